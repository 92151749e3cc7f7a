"""Derivatives of outputs over time: of every scheme, full-order and reduced, against central differences."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import NotSupported
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.tangent import TangentSystem
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.linalg.stepping.march import SCHEMES
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.hyper_reduction import HyperReduction
from romflow.reduction.pod_greedy import PodGreedy
from romflow.store.snapshots import SnapshotStore

SPACE = ParameterSpace([Parameter("a", Uniform(0.5, 2.0)), Parameter("b", Uniform(0.5, 2.0))])
N = 12


def model(scheme="implicit-euler", nonlinear=True, outputs=True, end=0.5, **time):
    """Everything depends on the parameters, and on the time: A, f, N, u0 and the outputs."""
    columns = [*SPACE.columns, "t"]
    h = 1.0 / (N + 1)
    x = h * np.arange(1, N + 1)
    K = sp.diags_array([np.full(N - 1, -1.0), np.full(N, 2.0), np.full(N - 1, -1.0)], offsets=[-1, 0, 1]) / h
    M = sp.diags_array([np.full(N - 1, h / 6), np.full(N, 2 * h / 3), np.full(N - 1, h / 6)], offsets=[-1, 0, 1])
    K, M = sp.csr_array(K), sp.csr_array(M)
    term = PointTerm(h * sp.eye_array(N), sp.eye_array(N),
                     PointFunction(["a * u**3 + sin(b * t) * u * x"], ["u"], ["x"], columns), x[None])
    return EvolutionModel(
        SPACE, M, AffineOperator(Theta(["a", "0.1 * b * t"], columns), [K, M]),
        AffineVector(Theta(["a * b + t", "sin(b * t)"], columns), h * np.stack([np.ones(N), x], axis=1)), K,
        TimeGrid(end, 7, scheme=scheme, newton_tolerance=1e-13, **time), nonlinear=term if nonlinear else None,
        initial=AffineVector(Theta(["1", "b"], SPACE.columns), np.stack([np.sin(np.pi * x), x * (1 - x)], axis=1)),
        outputs=AffineOutputs(("one", "two"), Theta(["1", "a * t"], columns),
                              np.stack([np.eye(N)[[2, 7]], np.full((2, N), h)])) if outputs else None,
        spec={"kind": "all", "nonlinear": nonlinear})


def series(fom, mu):
    return np.hstack([piece.series for piece in fom.march(mu)])


def differences(function, mu, h=1e-5):
    """Central differences along each parameter on a new second axis."""
    steps = h * np.eye(mu.size)
    return np.stack([(function(mu + d) - function(mu - d)) / (2 * h) for d in steps], axis=1)


def relative(found, right):
    return np.abs(found - right).max() / np.abs(right).max()


@pytest.fixture(scope="module", params=[True, False], ids=["nonlinear", "linear"])
def reduced(request, tmp_path_factory):
    fom = model(nonlinear=request.param)
    store = SnapshotStore(tmp_path_factory.mktemp("time") / "store", fom.spec, SPACE.columns)
    training = SPACE.sample(6, np.random.default_rng(0))
    for row in training:
        writer = store.writer(row)
        for piece in fom.march(row):
            writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint)
        writer.finish()

    def reduce(**options):
        kind = HyperReduction if request.param else PodGreedy
        return kind(tolerance=1e-10, **options).reduce(fom, store, training)

    return fom, reduce


@pytest.mark.parametrize("nonlinear", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_derivatives_of_trajectories_are_central_differences(scheme, nonlinear):
    fom, mu = model(scheme, nonlinear, end=0.01 if scheme == "explicit-euler" else 0.5), np.array([0.9, 1.3])
    found = fom.series_sensitivity(mu)
    assert found.shape == (2, 2, 8)
    assert relative(found, differences(lambda m: series(fom, m), mu)) < 1e-7
    assert np.array_equal(fom.sensitivity(mu), found[:, :, -1])


def test_without_the_parameters_own_part_they_are_not(monkeypatch):
    fom, mu = model(), np.array([0.9, 1.3])
    right = differences(lambda m: series(fom, m), mu)
    monkeypatch.setattr(TangentSystem, "_explicit", lambda self, t, u: np.zeros((N, 2)))
    assert relative(fom.series_sensitivity(mu), right) > 0.1


@pytest.mark.long
def test_steps_by_control_follow_the_derivatives_to_their_tolerance():
    fine, controlled = model("dc4", end=0.2, tolerance=1e-6), model("bdf2", end=0.2, tolerance=1e-3)
    mu = np.array([0.9, 1.3])
    assert relative(controlled.series_sensitivity(mu), fine.series_sensitivity(mu)) < 5e-3


def test_models_without_outputs_say_so():
    with pytest.raises(NotSupported, match="no outputs"):
        model(outputs=False).sensitivity(np.array([0.9, 1.3]))


@pytest.mark.parametrize("windows", [{}, {"windows": 2, "window_size": 4}], ids=["one-basis", "windows"])
def test_reduced_derivatives_are_differences_of_what_the_model_answers(reduced, windows):
    fom, reduce = reduced
    rom, mu = reduce(**windows), SPACE.sample(3, np.random.default_rng(4))
    found = rom.series_sensitivity(mu)
    assert found.shape == (2, 2, 8, 3)
    assert np.array_equal(rom.sensitivity(mu), found[:, :, -1])
    for j, row in enumerate(mu):
        right = differences(lambda m: rom.solve(m[None]).series[:, :, 0], row)
        assert relative(found[..., j], right) < 1e-7
    if not windows:
        assert relative(found[..., 0], fom.series_sensitivity(mu[0])) < 1e-4


def test_a_batch_gives_what_single_parameters_give(reduced):
    rom, mu = reduced[1](), SPACE.sample(5, np.random.default_rng(5))
    alone = np.concatenate([rom.sensitivity(row[None]) for row in mu], axis=2)
    assert np.allclose(rom.sensitivity(mu), alone, rtol=1e-12, atol=1e-13)
    assert rom.sensitivity(mu[:0]).shape == (2, 2, 0)


def test_a_failed_step_has_no_derivative_and_leaves_the_others_alone(reduced):
    rom = reduced[1]()
    mu = np.array([[1.0, 1.0], [1e300, 1.0], [1.5, 1.2]])
    found, converged = rom.sensitivity(mu, check=False), rom.solve(mu, check=False).converged
    assert converged.tolist() == [True, rom.nonlinear is None, True]
    assert np.isnan(found[..., ~converged]).all()
    assert np.allclose(found[..., [0, 2]], rom.sensitivity(mu[[0, 2]]), rtol=1e-10)
