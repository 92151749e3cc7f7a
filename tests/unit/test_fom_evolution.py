"""Evolution models: exact trajectories, orders of the schemes, resumed marches, mass matrices, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, NotSupported, ParameterError, ShapeError, SolveFailed
from romflow.fom.affine_files import AffineFiles
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.mass import mass_matrix
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.fom.marching import checked_march
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace

SPACE = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
MU = np.array([1.5])


def scalar(time: TimeGrid, operator: str | None = "a", load: str | None = None, power: str | None = None,
           **more) -> EvolutionModel:
    """2 u' + (operator) u + (power) = load with two equal unknowns, u(0) = 1."""
    one = sp.eye_array(2, format="csr")
    timed = ("a", "t")
    term = None if power is None else PointTerm(one, one, PointFunction([power], ["u"], [], ["a"]))
    return EvolutionModel(
        SPACE, 2.0 * one, None if operator is None else AffineOperator(Theta([operator], timed), [one]),
        None if load is None else AffineVector(Theta([load], timed), np.ones((2, 1))), one, time, nonlinear=term,
        initial=AffineVector(Theta(["1"], ["a"]), np.ones((2, 1))), spec={"kind": "scalar"},
        outputs=AffineOutputs(["sum"], Theta(["1"], ["a"]), np.ones((1, 1, 2))), **more)


def states(model: EvolutionModel, mu: np.ndarray = MU) -> np.ndarray:
    return np.hstack([piece.states for piece in model.march(mu)])


def test_implicit_euler_is_its_formula():
    found = states(scalar(TimeGrid(times=[0.1, 0.3, 0.4])))
    factors = 1.0 / (1.0 + 0.75 * np.array([0.1, 0.2, 0.1]))
    np.testing.assert_allclose(found[0], np.append(1.0, np.cumprod(factors)), rtol=1e-14)


@pytest.mark.parametrize(("scheme", "order"), [("explicit-euler", 1), ("implicit-euler", 1), ("bdf2", 2), ("dc3", 3)])
@pytest.mark.parametrize("kind", ["linear", "moving", "power"])
def test_the_schemes_keep_their_order(scheme, order, kind):
    """u = exp(-3t/4); u = exp(-3t^2/8 + sin t / 2) by A(t) = a t - cos t; 2 u' = -a u^2: u = 1 / (1 + 3t/4)."""
    choices = {"linear": ({}, np.exp(-0.75)), "moving": ({"operator": "a * t - cos(t)"},
                                                           np.exp(-0.375 + 0.5 * np.sin(1.0))),
               "power": ({"operator": None, "power": "a * u**2"}, 1.0 / 1.75)}
    options, exact = choices[kind]
    errors = [abs(states(scalar(TimeGrid(1.0, K, scheme=scheme), **options))[0, -1] - exact) for K in (40, 80)]
    assert np.log2(errors[0] / errors[1]) > order - 0.2


def test_a_load_in_time_is_integrated():
    """2 u' = 2 t - 0 u has u = 1 + t^2 / 2, which BDF2 integrates exactly after its start."""
    model = scalar(TimeGrid(1.0, 8, scheme="bdf2"), operator="0 * a", load="2 * t")
    np.testing.assert_allclose(states(model)[0], 1.0 + 0.5 * model.times**2, rtol=1e-12)


def test_the_load_of_the_grid_multiplies_the_right_hand_side():
    space = ParameterSpace([Parameter("k", Uniform(0.5, 1.0), size=1)])
    block = ThermalBlock(space, blocks=[1, 1], cells=6)
    whole, half = (states(block.evolving(TimeGrid(1.0, 4, load=load)), np.array([0.7])) for load in ("1", "k / 1.4"))
    np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("scheme", ["implicit-euler", "dc4"])
def test_a_resumed_march_is_bit_equal(scheme):
    model = scalar(TimeGrid(1.0, 9, scheme=scheme), piece_bytes=8 * 2 * 3)
    pieces = list(checked_march(model, MU))
    assert [piece.start for piece in pieces] == [0, 3, 6, 9]
    rest = list(model.march(MU, (6, pieces[1].checkpoint)))
    np.testing.assert_array_equal(np.hstack([p.states for p in rest]), np.hstack([p.states for p in pieces[2:]]))
    assert not list(model.march(MU, (10, pieces[-1].checkpoint)))


def test_step_control_reaches_the_exact_state():
    rough, fine = (abs(states(scalar(TimeGrid(1.0, 2, scheme="bdf2", tolerance=tolerance)))[0, -1] - np.exp(-0.75))
                   for tolerance in (1e-3, 1e-7))
    assert fine < 1e-5 < rough


def test_snapshot_and_series_are_those_of_the_last_time():
    model = scalar(TimeGrid(1.0, 5))
    snapshot, piece = model.solve(MU), next(iter(model.march(MU)))
    np.testing.assert_array_equal(snapshot.state, piece.states[:, -1])
    np.testing.assert_allclose(piece.series[0], piece.states.sum(axis=0), rtol=1e-15)
    assert snapshot.outputs == piece.series[:, -1]


@pytest.mark.parametrize("cells", ["quad", "triangle", "hexahedron"])
def test_the_mass_matrix_integrates_products(cells, must_fail):
    """u^T M u of a product of sines: tensor products exactly, triangles as well as they resolve it."""
    d = 3 if cells == "hexahedron" else 2
    space = ParameterSpace([Parameter("k", Uniform(0.5, 1.0), size=1)])
    block = ThermalBlock(space, blocks=[1] * d, cells=[12] * d, element="P1" if cells == "triangle" else "Q1")
    M, mesh = mass_matrix(block.problem), block.problem.mesh
    u = np.prod(np.sin(np.pi * mesh.points[block.problem.nodal]), axis=1)
    assert (M != M.T).nnz == 0
    line = np.sin(np.pi * np.arange(13) / 12)
    one = (4.0 * line @ line + 2.0 * line[1:] @ line[:-1]) / 72.0
    expected = pytest.approx(0.25, rel=0.02) if cells == "triangle" else pytest.approx(one**d, rel=1e-12)

    def check(value: float) -> None:
        assert value == expected

    check(u @ (M @ u))
    must_fail(check, 1.1 * (u @ (M @ u)))
    assert mesh.cell_type == cells


def test_a_nonsymmetric_model_moves_towards_its_steady_state():
    space = ParameterSpace([Parameter("diffusion", Uniform(0.5, 1.0)), Parameter("angle", Uniform(0.0, 1.0))])
    steady = AdvectionDiffusion(space, cells=10)
    mu = np.array([0.6, 0.5])
    late = steady.evolving(TimeGrid(10.0, 10)).solve(mu).state
    np.testing.assert_allclose(late, steady.solve(mu).state, rtol=1e-9)


def test_a_newton_that_diverges_is_a_failed_solve_that_names_the_time():
    model = scalar(TimeGrid(1.0, 1), operator=None, power="-5 * a * exp(u)")
    with pytest.raises(SolveFailed, match="no trajectory for mu = .*step to t = 1 failed") as failure:
        model.solve(MU)
    assert failure.value.report["time"] == 1.0
    assert failure.value.report["mu"] == [1.5]


def test_a_state_without_numbers_is_a_failed_solve_that_names_the_time():
    model = scalar(TimeGrid(10.0, 40, scheme="explicit-euler"), operator=None, power="-a * u**3")
    with np.errstate(all="ignore"), pytest.raises(SolveFailed) as failure:
        model.solve(MU)
    assert 0.0 < failure.value.report["time"] <= 10.0


def test_parameters_and_shapes_are_refused_with_their_rule():
    model = scalar(TimeGrid(1.0, 2))
    with pytest.raises(ParameterError):
        model.solve(np.array([5.0]))
    with pytest.raises(ShapeError, match="takes one parameter"):
        model.solve(np.array([[1.5], [1.5]]))
    with pytest.raises(InputError, match="nothing drives it"):
        scalar(TimeGrid(1.0, 2), operator=None)
    one = sp.eye_array(3, format="csr")
    with pytest.raises(ShapeError, match="n = 3"):
        EvolutionModel(SPACE, one, AffineOperator(Theta(["a"], ["a"]), [sp.eye_array(2)]), None, one,
                       TimeGrid(1.0, 2), spec={})


def test_a_model_without_mass_cannot_move():
    from romflow.fom.affine import AffineModel

    one = sp.eye_array(2, format="csr")
    parts = (SPACE, AffineOperator(Theta(["a"], ["a"]), [one]), AffineVector(Theta(["1"], ["a"]), np.ones((2, 1))), one)
    with pytest.raises(NotSupported, match="no mass matrix"):
        AffineModel(*parts, spec={}).evolving(TimeGrid(1.0, 2))
    moving = AffineModel(*parts, spec={}, mass=one).evolving(TimeGrid(1.0, 1))
    np.testing.assert_allclose(moving.solve(MU).state, np.full(2, 1.0 / 2.5))


def test_matrices_from_files_move_with_their_mass(tmp_path):
    for name, matrix in {"A": sp.diags_array([3.0, 3.0]), "M": sp.diags_array([2.0, 2.0]),
                         "bad": sp.diags_array([1.0, -1.0])}.items():
        sp.save_npz(tmp_path / f"{name}.npz", matrix.tocsr())
    np.save(tmp_path / "f.npy", np.ones(2))
    text = ('[[operator]]\nfile = "A.npz"\ntheta = "a"\n[[rhs]]\nfile = "f.npy"\ntheta = 1\n'
            '[mass]\nfile = "M.npz"\n')
    (tmp_path / "model.toml").write_text(text)
    steady = AffineFiles(SPACE, str(tmp_path))
    np.testing.assert_allclose(steady.evolving(TimeGrid(1.0, 1)).solve(MU).state, np.full(2, 1.0 / 6.5))
    (tmp_path / "model.toml").write_text(text.replace("M.npz", "bad.npz"))
    with pytest.raises(InputError, match="bad.npz is no mass matrix"):
        AffineFiles(SPACE, str(tmp_path))
    (tmp_path / "model.toml").write_text(text.partition("[mass]")[0])
    still = AffineFiles(SPACE, str(tmp_path))
    assert "mass" in steady.spec and "mass" not in still.spec
    with pytest.raises(NotSupported, match="no mass matrix"):
        still.evolving(TimeGrid(1.0, 1))


@pytest.mark.parametrize(("options", "words"), [
    ({"end": 1.0}, "end and steps"), ({"end": -1.0, "steps": 3}, "above 0"), ({"end": 1.0, "steps": 0}, "from 1"),
    ({"times": [1.0, 0.5]}, "do not increase"), ({"times": [1.0], "end": 1.0}, "one of the two"),
    ({"end": 1.0, "steps": 2, "scheme": "bdf"}, "Did you mean 'bdf2'"),
    ({"end": 1.0, "steps": 2, "tolerance": 2.0}, "between 0 and 1")])
def test_grids_of_times_are_refused_with_their_rule(options, words):
    with pytest.raises(ConfigError, match=words):
        TimeGrid(**options)


def test_the_grid_is_in_the_identity():
    first, second = (scalar(TimeGrid(1.0, 2, scheme=scheme)).spec for scheme in ("bdf2", "implicit-euler"))
    assert first != second


@pytest.mark.parametrize("steps", [3, 30, 300])
def test_explicit_steps_beyond_the_stability_limit_are_refused(steps):
    space = ParameterSpace([Parameter("k", Uniform(0.5, 1.0), size=1)])
    block, mu = ThermalBlock(space, blocks=[1, 1], cells=8), np.array([0.7])
    unstable, stable = TimeGrid(30.0, steps, scheme="explicit-euler"), TimeGrid(0.03, 30, scheme="explicit-euler")
    assert block.evolving(stable).solve(mu).state.max() < 0.1
    with pytest.raises(SolveFailed, match=r"no trajectory for mu = \[0.7\]: .* an implicit scheme") as failed:
        block.evolving(unstable).solve(mu)
    assert 0.0 < failed.value.report["time"] <= 30.0
