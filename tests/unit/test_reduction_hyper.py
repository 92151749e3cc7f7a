"""Hyper-reduction of a stationary nonlinear model: errors, indicator, batches, files, and what has no solution."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import romflow
from romflow.core.errors import ConfigError, InputError, NotSupported
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.linalg.compression.source import ArraySource
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.collateral import INTERPOLATIONS, collateral_of, continued_points
from romflow.reduction.hyper_reduction import HyperReduction
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.sketched import SketchedReductor
from romflow.rom.nonlinear import NonlinearReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.testing.small import small_thermal_block

_CELLS = 16


def _model(text: str = "a * (exp(b * u) - 1) / b", *, monotone: bool = True, high: float = 5.0,
           load: float = 100.0) -> NonlinearModel:
    """-lap u + text = load sin(2 pi x) sin(2 pi y) on the unit square by five-point differences."""
    n, h = (_CELLS - 1) ** 2, 1.0 / _CELLS
    line = sp.diags_array([np.full(_CELLS - 1, 2.0), -np.ones(_CELLS - 2), -np.ones(_CELLS - 2)], offsets=[0, 1, -1])
    one = sp.eye_array(_CELLS - 1)
    A = sp.csr_array(sp.kron(line, one) + sp.kron(one, line))
    wave = np.sin(2.0 * np.pi * h * np.arange(1, _CELLS))
    space = ParameterSpace([Parameter("a", Uniform(0.1, high)), Parameter("b", Uniform(0.1, 5.0))])
    names = space.columns
    term = PointTerm(h * h * sp.eye_array(n), sp.eye_array(n), PointFunction([text], ["u"], [], names))
    outputs = AffineOutputs(["corner"], Theta(["1"], names), np.full((1, 1, n), h * h) * (np.arange(n) < n // 2))
    return NonlinearModel(space, AffineOperator(Theta(["1"], names), [A]), term,
                          AffineVector(Theta(["1"], names), load * h * h * np.outer(wave, wave).reshape(-1, 1)), A,
                          outputs, spec={"kind": "reaction", "text": text}, norm="H1_0", monotone=monotone,
                          symmetric=True, stability={"kind": "min-theta", "reference": [1.0, 1.0]})


def _stored(fom: NonlinearModel, mu: np.ndarray, folder: Path) -> SnapshotStore:
    store = SnapshotStore(folder, fom.spec, fom.parameters.columns)
    for row in mu:
        store.put(row, fom.solve(row))
    return store


def _grid(high: float = 5.0) -> np.ndarray:
    return np.array([[a, b] for a in np.linspace(0.1, high, 5) for b in np.linspace(0.1, 5.0, 5)])


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[NonlinearModel, SnapshotStore, np.ndarray, np.ndarray]:
    """Model, store, test parameters and their full-order states."""
    fom = _model()
    store = _stored(fom, _grid(), tmp_path_factory.mktemp("hyper") / "store")
    test = fom.parameters.sample(8, np.random.default_rng(5))
    return fom, store, test, np.stack([fom.solve(row).state for row in test], axis=1)


def _errors(fom: NonlinearModel, rom: NonlinearReducedModel, mu: np.ndarray, U: np.ndarray) -> np.ndarray:
    return InnerProduct(fom.inner_product).norm(U - rom.lift(rom.solve(mu).coefficients))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_errors_and_indicator(case: tuple, interpolation: str, must_fail: Callable[..., None]) -> None:
    fom, store, test, U = case
    rom = HyperReduction(1e-4, interpolation=interpolation).reduce(fom, store, _grid())
    answer, error = rom.solve(test), _errors(fom, rom, test, U)
    assert answer.converged.all() and answer.kind == "indicator"
    assert (error / InnerProduct(fom.inner_product).norm(U)).max() <= 1e-3

    def check(estimate: np.ndarray) -> None:
        assert 0.95 <= (estimate / error).min() and (estimate / error).max() <= 1.3

    check(answer.error)
    must_fail(check, 0.5 * answer.error, 2.0 * answer.error)
    truth = fom.outputs.evaluate(U, test)
    assert (np.abs(answer.output - truth) <= answer.output_error).all()
    assert rom.term.points <= 60 < fom.nonlinear.P


def test_a_coarse_interpolation_gives_a_large_and_honest_estimate(case: tuple) -> None:
    fom, store, test, U = case
    fine = HyperReduction(1e-6).reduce(fom, store, _grid())
    rough = HyperReduction(1e-6, points=2).reduce(fom, store, _grid())
    error = _errors(fom, rough, test, U)
    assert error.max() >= 100.0 * _errors(fom, fine, test, U).max()
    ratio = rough.solve(test).error / error
    assert 0.9 <= ratio.min() and ratio.max() <= 2.5
    # Without further rows the interpolation error is invisible: that is what they are for.
    blind = HyperReduction(1e-6, points=2, extra=0).reduce(fom, store, _grid())
    assert (blind.solve(test).error / _errors(fom, blind, test, U)).min() <= 0.5


def test_snapshots_are_reproduced(case: tuple) -> None:
    fom, store, _, _ = case
    rom = HyperReduction(1e-12, interpolation_tolerance=1e-12).reduce(fom, store, _grid())
    U = store.matrix(_grid())
    product = InnerProduct(fom.inner_product)
    assert (product.norm(U - rom.lift(rom.solve(_grid()).coefficients)) / product.norm(U)).max() <= 1e-9


def test_nothing_of_the_mesh_is_touched_online(case: tuple) -> None:
    fom, store, test, _ = case
    rom = HyperReduction(1e-4).reduce(fom, store, _grid())
    fom.nonlinear.evaluated = rom.term.evaluated = 0
    rom.solve(test)
    assert fom.nonlinear.evaluated == 0
    assert rom.term.evaluated % 1 == 0 and rom.term.evaluated >= len(test) * rom.term.points
    assert rom.metadata["hyper_reduction"]["evaluation_points"] == rom.term.points


def test_a_batch_equals_its_parts_and_the_file(case: tuple, tmp_path: Path) -> None:
    fom, store, test, _ = case
    rom = HyperReduction(1e-4).reduce(fom, store, _grid())
    again = romflow.load(rom.save(tmp_path / "model.h5"))
    answer = rom.solve(test)
    for j, row in enumerate(test):
        alone = again.solve(row)
        np.testing.assert_allclose(alone.output[:, 0], answer.output[:, j], rtol=1e-10)
        np.testing.assert_allclose(alone.error[0], answer.error[j], rtol=1e-5)
    assert again.metadata == rom.metadata and again.norm_name == "H1_0"
    assert rom.solve(test[:0]).output.shape == (1, 0)


def test_truncation_slices(case: tuple) -> None:
    fom, store, test, U = case
    rom = HyperReduction(1e-5).reduce(fom, store, _grid())
    small = rom.truncate(4)
    direct = HyperReduction(1e-5, max_size=4).reduce(fom, store, _grid())
    np.testing.assert_allclose(small.solve(test).output, direct.solve(test).output, rtol=1e-8)
    np.testing.assert_allclose(small.solve(test).error, direct.solve(test).error, rtol=1e-2)
    assert rom.truncate(0).solve(test).error.shape == (8,)


def test_parameters_without_a_solution_leave_the_others(tmp_path: Path) -> None:
    """-lap u = a exp(u) on the unit square has no solution for a > 6.81."""
    fom = _model("-a * exp(u) + 0 * b", monotone=False, high=8.0, load=0.0)
    mu = np.array([[a, 1.0] for a in (0.5, 2.0, 4.0, 6.0)])
    rom = HyperReduction(1e-6, points=4).reduce(fom, _stored(fom, mu, tmp_path / "store"), mu)
    test = np.array([[1.0, 1.0], [7.9, 1.0], [5.0, 1.0]])
    answer = rom.solve(test)
    np.testing.assert_array_equal(answer.converged, [True, False, True])
    np.testing.assert_array_equal(np.isnan(answer.output[0]), [False, True, False])
    assert np.isinf(answer.error[1]) and np.isfinite(answer.error[[0, 2]]).all()
    U = np.stack([fom.solve(row).state for row in test[[0, 2]]], axis=1)
    error = InnerProduct(fom.inner_product).norm(U - rom.lift(answer.coefficients[:, [0, 2]]))
    ratio = answer.error[[0, 2]] / error
    assert ratio.min() >= 0.8 and ratio.max() <= 3.0


def test_more_points_than_the_snapshots_hold(case: tuple) -> None:
    fom, store, _, _ = case
    rom = HyperReduction(1e-3, points=200).reduce(fom, store, _grid())
    facts = rom.metadata["hyper_reduction"]
    assert facts["points"] < 25 and facts["why"].startswith("fewer than asked for")


def test_nested_rows_stay_regular_where_the_mesh_is_symmetric() -> None:
    """Every row occurs twice: rows of two separate choices would repeat, continued ones do not."""
    x = np.tile(np.linspace(0.0, 1.0, 30), 2)[:, None]
    found = collateral_of(ArraySource(np.exp(-np.linspace(1.0, 9.0, 20) * x)), "qdeim", 1e-3)
    found = found.behind(np.cos(np.linspace(1.0, 9.0, 20) * x), 4)
    table = found.basis[found.rows]
    assert np.linalg.matrix_rank(table) == table.shape[1] == found.modes + 4
    assert len(set((found.rows % 30).tolist())) == len(found.rows)
    np.testing.assert_array_equal(continued_points(found.basis, found.rows, len(found.rows)), found.rows)


def test_refusals(case: tuple) -> None:
    fom, store, _, _ = case
    with pytest.raises(ConfigError, match="Did you mean 'qdeim'"):
        HyperReduction(interpolation="qdem")
    block = small_thermal_block()
    assert "reduced-basis" in HyperReduction().accepts(block)
    with pytest.raises(NotSupported, match="needs a model with a nonlinear term"):
        HyperReduction().reduce(block, store, _grid())
    with pytest.raises(InputError, match="vanishes on all snapshots"):
        collateral_of(ArraySource(np.zeros((4, 3))), "deim", 1e-3)
    with pytest.raises(InputError, match="a whole number from 0"):
        collateral_of(ArraySource(np.eye(3)), "deim", 1e-3, points=-1)


@pytest.mark.parametrize(("options", "word"), [
    ({"points": -1}, "points = -1"), ({"points": "many"}, "points = 'many'"), ({"points": 3.5}, "points = 3.5"),
    ({"points": True}, "points = true"), ({"extra": -1}, "extra = -1"), ({"extra": 1.5}, "extra = 1.5"),
    ({"interpolation_tolerance": -1.0}, "interpolation_tolerance = -1"),
    ({"interpolation_tolerance": 2.0}, "interpolation_tolerance = 2"),
    ({"interpolation_tolerance": "small"}, "interpolation_tolerance = 'small'"),
])
def test_options_that_are_no_numbers_of_their_kind_are_refused_at_once(options: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        HyperReduction(**options)


def test_without_tolerances_the_snapshots_decide(case: tuple) -> None:
    fom, store = case[:2]
    rom = HyperReduction(tolerance=0.0, max_size=8).reduce(fom, store, _grid())
    assert rom.size == 8
    assert rom.metadata["hyper_reduction"]["interpolation_error"] < 1e-10


@pytest.mark.parametrize("method", [ReducedBasisReductor, PodGalerkin, SketchedReductor])
def test_methods_for_affine_models_refuse_nonlinear_ones(method: type) -> None:
    reason = method().accepts(_model())
    assert reason is not None
    assert "hyper-reduction" in reason
