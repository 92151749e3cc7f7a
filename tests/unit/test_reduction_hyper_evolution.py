"""Hyper-reduction of models that move in time: Burgers' equation, explicit without viscosity and implicit with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.fom.affine_terms import AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.burgers import Burgers
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.linalg.compression.source import ArraySource
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.collateral import CollateralSource, TrajectoryStates
from romflow.reduction.hyper_reduction import HyperReduction
from romflow.rom.evolution import EvolutionReducedModel
from romflow.store.snapshots import SnapshotStore

_MU = np.linspace(1.0, 2.0, 5)[:, None]


def _space() -> ParameterSpace:
    return ParameterSpace([Parameter("exponent", Uniform(1.0, 2.0))])


def _store(fom: EvolutionModel, mu: np.ndarray, folder: Path) -> SnapshotStore:
    store = SnapshotStore(folder, fom.spec, fom.parameters.columns)
    for row in mu:
        writer = store.writer(row)
        for piece in fom.march(row):
            writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint)
        writer.finish()
    return store


def _trajectory(fom: EvolutionModel, mu: np.ndarray) -> np.ndarray:
    return np.hstack([piece.states for piece in fom.march(mu)])


@pytest.fixture(scope="module", params=["explicit", "implicit"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Model, store, test parameters (3, 1) and the trajectories there."""
    explicit = request.param == "explicit"
    model = Burgers(_space(), cells=[30, 15], viscosity=0.0 if explicit else 0.02)
    fom = model.evolving(TimeGrid(0.3, 30 if explicit else 12, scheme=f"{request.param}-euler"))
    test = np.array([[1.1], [1.62], [1.9]])
    return (fom, _store(fom, _MU, tmp_path_factory.mktemp("time") / "store"), test,
            [_trajectory(fom, row) for row in test])


def _error(fom: EvolutionModel, rom: object, test: np.ndarray, truth: list[np.ndarray]) -> float:
    """max over parameters of max_t ||u - V x|| / max_t ||u||."""
    answer, product = rom.solve(test), InnerProduct(fom.inner_product)
    return max(product.norm(U - rom.basis @ answer.trajectory[:, :, j].T).max() / product.norm(U).max()
               for j, U in enumerate(truth))


def test_error_points_and_indicator(case: tuple, must_fail: Callable[..., None]) -> None:
    fom, store, test, truth = case
    rom = HyperReduction(1e-4, 12, points=30).reduce(fom, store, _MU)
    facts = rom.metadata["hyper_reduction"]
    assert rom.size == 12 and facts["points"] == 30 and facts["evaluation_points"] < 0.4 * fom.nonlinear.P

    def check(rom: object) -> None:
        assert _error(fom, rom, test, truth) <= 2e-2

    check(rom)
    must_fail(check, rom.truncate(2), HyperReduction(1e-4, 12, points=3).reduce(fom, store, _MU))
    product, answer = InnerProduct(fom.inner_product), rom.solve(test)
    steps = np.diff(fom.times)
    for j, U in enumerate(truth):
        e = product.norm(U - rom.basis @ answer.trajectory[:, :, j].T)[1:]
        assert answer.error[j] >= np.sqrt(steps @ e**2)
        np.testing.assert_allclose(answer.series[:, -1, j], fom.outputs.evaluate(U[:, -1:], test[j:j + 1])[:, 0],
                                   atol=1e-2)
    assert answer.kind == "indicator"


def test_no_point_of_the_mesh_is_evaluated_online(case: tuple) -> None:
    fom, store, test, _ = case
    rom = HyperReduction(1e-4, 12, points=30).reduce(fom, store, _MU)
    fom.nonlinear.evaluated = rom.nonlinear.evaluated = 0
    rom.solve(test)
    assert fom.nonlinear.evaluated == 0 < rom.nonlinear.evaluated


def test_snapshots_are_reproduced_with_all_modes(case: tuple) -> None:
    fom, store, _, _ = case
    few = _MU[:2]
    rom = HyperReduction(1e-9, 200, interpolation_tolerance=1e-10).reduce(fom, store, few)
    assert _error(fom, rom, few, [store.trajectory(row).columns() for row in few]) <= 1e-6


def test_arrays(case: tuple) -> None:
    fom, store, test, _ = case
    rom = HyperReduction(1e-3, 8).reduce(fom, store, _MU)
    again = EvolutionReducedModel.from_arrays(*rom.to_arrays()[1:])
    np.testing.assert_array_equal(again.solve(test).trajectory, rom.solve(test).trajectory)
    np.testing.assert_allclose(again.solve(test).error, rom.solve(test).error, rtol=1e-12)


def test_terms_that_depend_on_the_time(tmp_path: Path) -> None:
    """u' + (1 + t) a u^3 = 0, whose collateral values need the time of each state."""
    n = 30
    space = ParameterSpace([Parameter("a", Uniform(0.5, 2.0))])
    one = sp.eye_array(n)
    term = PointTerm(one, one, PointFunction(["(1 + t) * a * u**3"], ["u"], [], ["a", "t"]))
    start = np.linspace(0.2, 1.0, n)[:, None]
    fom = EvolutionModel(space, one, None, None, one, TimeGrid(1.0, 20), nonlinear=term,
                         initial=AffineVector(Theta(["1"], ["a"]), start), spec={"kind": "cubic"})
    mu = np.linspace(0.5, 2.0, 5)[:, None]
    store = _store(fom, mu, tmp_path / "store")
    states = TrajectoryStates([store.trajectory(row) for row in mu], mu)
    values = CollateralSource(term, states, states.parameters, states.times).columns(slice(19, 44))
    for j, (row, t) in enumerate(zip(states.parameters[19:44], states.times[19:44], strict=True)):
        np.testing.assert_allclose(values[:, j], (1.0 + t) * row[0] * states.columns(slice(19 + j, 20 + j))[:, 0] ** 3)
    rom = HyperReduction(1e-6).reduce(fom, store, mu)
    test = np.array([[0.8], [1.7]])
    assert _error(fom, rom, test, [_trajectory(fom, row) for row in test]) <= 1e-4


def test_states_are_read_across_trajectories() -> None:
    class Stored:
        """Like a stored trajectory."""

        def __init__(self, first: int, count: int) -> None:
            self.n, self.times = 2, np.arange(count, dtype=float)
            self._S = first + np.arange(2.0 * count).reshape(2, count)

        def columns(self, part: slice) -> np.ndarray:
            return self._S[:, part]

    parts = [Stored(0, 3), Stored(100, 4), Stored(200, 1)]
    source = TrajectoryStates(parts, np.array([[1.0], [2.0], [3.0]]))
    whole = np.hstack([part.columns(slice(None)) for part in parts])
    assert (source.n, source.k) == whole.shape
    for start in range(8):
        for stop in range(start, 9):
            np.testing.assert_array_equal(source.columns(slice(start, stop)), ArraySource(whole).columns(
                slice(start, stop)))
    np.testing.assert_array_equal(source.parameters[:, 0], [1, 1, 1, 2, 2, 2, 2, 3])
