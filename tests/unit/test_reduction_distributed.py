"""Reduction by parts against the reduction of the whole model, on toys that are split by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import romflow
from romflow.core.errors import InputError, NotSupported, StoreError
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.reduction.distributed import representatives
from romflow.reduction.distributed.modes import pod_by_parts
from romflow.reduction.distributed.projection import DistributedProjection
from romflow.reduction.distributed.residual_range import PartRange, upper_factor
from romflow.reduction.distributed.runner import Blocks, PartRunner
from romflow.reduction.distributed.stability import stability_by_weights
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.reduction.projection import AffineProjection
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.stability import stability_bound
from romflow.store.split_array import SplitArray
from romflow.store.work_arrays import write_work_array
from tests.toy_parts import SplitToy, ToyWorkers, toy_study

MU = np.random.default_rng(0).uniform(0.1, 1.0, (8, 2))
NEW = np.random.default_rng(5).uniform(0.1, 1.0, (50, 2))


def _whole(runner: PartRunner, blocks: Blocks) -> np.ndarray:
    return np.asarray(SplitArray(tuple((runner.folder(name), count) for name, count in blocks), runner.layout.owned))


def _written(runner: PartRunner, toy: SplitToy, values: np.ndarray) -> Blocks:
    name = runner.fresh("test")
    for part in range(toy.parts):
        write_work_array(runner.folder(name), part, values[toy.dofs(part)])
    return ((name, values.shape[1]),)


def test_layout_counts_every_unknown_once(tmp_path: Path) -> None:
    toy, _, runner = toy_study(tmp_path, MU[:0])
    assert runner.layout.n == toy.n
    assert runner.layout.terms == (2, 1, 1, 2)
    np.testing.assert_array_equal(runner.layout.starts, np.cumsum(runner.layout.owned) - runner.layout.owned)
    assert (runner.layout.closures > runner.layout.owned).any()


@pytest.mark.parametrize("tolerance", [1e-3, 1e-12])
def test_pod_by_parts_is_that_of_the_whole_with_its_scale(tolerance: float, tmp_path: Path,
                                                          must_fail: Callable[..., None]) -> None:
    toy, store, runner = toy_study(tmp_path, MU, kind="wind")
    X = InnerProduct(toy.model.inner_product)
    whole = pod(store.matrix(MU), X, tolerance, route="gram" if tolerance > 1e-7 else "two-pass")
    found = pod_by_parts(runner, MU, tolerance)
    V = _whole(runner, found.basis)

    def same(sigma: np.ndarray, V: np.ndarray) -> None:
        assert V.shape == whole.basis.shape
        assert np.abs(sigma - whole.singular_values).max() <= 1e-12 * whole.singular_values[0]
        assert X.norm(V - whole.basis @ X.gram(whole.basis, V)).max() <= 1e-8
        assert np.abs(X.gram(V, V) - np.eye(V.shape[1])).max() <= 1e-13

    same(found.pod.singular_values, V)
    assert found.pod.error == pytest.approx(whole.error, rel=1e-6, abs=1e-14)
    turned = V.copy()
    turned[:, -1] += 1e-6 * X.riesz(np.ones((toy.n, 1)))[:, 0]
    must_fail(lambda pair: same(*pair), (found.pod.singular_values * (1 + 1e-10), V),
              (found.pod.singular_values, turned))


def test_interfaces_counted_twice_would_be_found(tmp_path: Path,
                                                 must_fail: Callable[..., None]) -> None:
    """The inner product that is assembled over the interfaces, summed over parts, gives another scale."""
    toy, store, runner = toy_study(tmp_path, MU)
    S = store.matrix(MU)
    right = S.T @ toy.model.inner_product @ S

    def same(gram: np.ndarray) -> None:
        np.testing.assert_allclose(gram, right, rtol=1e-12)

    same(runner.total("pod_gram", mu=MU, modes=None, Z=[])["gram"])
    X, pieces = toy.model.inner_product, [toy.dofs(part) for part in range(toy.parts)]
    must_fail(same, sum(S[d].T @ X[d][:, d] @ S[d] for d in pieces))


def test_ranks_that_wrote_the_snapshots_change_no_bit(tmp_path: Path) -> None:
    studies = [toy_study(tmp_path / str(ranks), MU[:4], ranks, kind="wind") for ranks in (1, 2, 3)]
    first, *others = (_whole(runner, pod_by_parts(runner, MU[:4], 1e-6).basis) for _, _, runner in studies)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_order_of_workers_changes_no_bit(tmp_path: Path) -> None:
    toy, _, runner = toy_study(tmp_path, MU, kind="wind")
    other = PartRunner(ToyWorkers(toy, "backward"), {}, tmp_path, toy.parts)
    first, second = (_whole(run, pod_by_parts(run, MU, 1e-6).basis) for run in (runner, other))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rows, size", [(MU[:0], 0), (np.repeat(MU[:1], 3, axis=0), 1)])
def test_pod_of_nothing_and_of_one_snapshot_thrice(rows: np.ndarray, size: int, tmp_path: Path) -> None:
    _, _, runner = toy_study(tmp_path, rows)
    assert sum(count for _, count in pod_by_parts(runner, rows, 1e-6).basis) == size


def test_routes_that_need_whole_snapshots_are_refused(tmp_path: Path) -> None:
    _, _, runner = toy_study(tmp_path, MU)
    with pytest.raises(NotSupported, match="\"hapod\" needs whole snapshots"):
        pod_by_parts(runner, MU, 1e-3, route="hapod")
    assert "\"hapod\" needs whole snapshots" in str(PodGalerkin(compression="hapod").accepts(SplitToy()))
    with pytest.raises(InputError, match="below 1e-07"):
        pod_by_parts(runner, MU, 1e-9, route="gram")


def _both(tmp_path: Path, kind: str,
          tolerance: float = 1e-6) -> tuple[Any, Any, SplitToy, PartRunner]:
    toy, _, runner = toy_study(tmp_path, MU, kind=kind)
    X = InnerProduct(toy.model.inner_product, toy.norm)
    parts = DistributedProjection(toy, runner, "auto", tolerance)
    for row in MU[:3]:
        parts.extend_by_snapshot(row)
    whole = AffineProjection(toy.model, X, stability_bound(toy.model, X), "auto")
    whole.extend(_whole(runner, parts.basis))
    return parts.model(), whole.model(), toy, runner


@pytest.mark.parametrize("kind", ["block", "wind"])
def test_the_projection_is_that_of_the_whole(kind: str, tmp_path: Path,
                                             must_fail: Callable[..., None]) -> None:
    parts, whole, _, _ = _both(tmp_path, kind)
    here, there = parts.solve(NEW), whole.solve(NEW)

    def same(model: Any) -> None:
        for name in ("operator", "rhs", "output", "compliance"):
            np.testing.assert_allclose(getattr(model, name), getattr(whole, name), rtol=0.0, atol=1e-12)

    same(parts)
    must_fail(same, replace(parts, operator=parts.operator * (1 + 1e-9)), replace(parts, rhs=parts.rhs + 1e-9))
    np.testing.assert_allclose(here.output, there.output, rtol=1e-9)
    assert here.kind == there.kind == "bound"
    measured = there.error > 1e-7 * there.norm
    ratio = here.error[measured] / there.error[measured]
    assert (ratio >= 1.0).all() and (ratio <= 1.01).all()
    assert (here.error >= there.error).all() and (here.output_error >= there.output_error * (1 - 1e-12)).all()
    small, both = parts.truncate(2), whole.truncate(2)
    ratio = small.solve(NEW).error / both.solve(NEW).error
    assert (ratio >= 1.0).all() and (ratio <= 1.01).all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_the_bound_is_one_however_badly_representatives_are_solved(tolerance: float, tmp_path: Path,
                                                                   must_fail: Callable[..., None]) -> None:
    """Against the dual norm with a factorised X; the factor without the rows of the errors is below it."""
    toy, _, runner = toy_study(tmp_path, MU)
    X = InnerProduct(toy.model.inner_product)
    C = np.random.default_rng(3).standard_normal((toy.n, 6))
    C[:, 3:] = C[:, :3] + 1e-3 * C[:, 3:]
    Z0 = X.riesz(C + tolerance * 0.1 * np.linalg.norm(C, axis=0) * np.random.default_rng(4).standard_normal(C.shape))
    left = _written(runner, toy, Z0)
    eps = X.norm(Z0 - X.riesz(C))
    grown = PartRange(runner)
    grown.extend(representatives.Representatives(left, eps))
    c = np.random.default_rng(6).standard_normal((200, 6)) * [1, 1, 1, -1, -1, -1]
    c[:100, 3:] = -c[:100, :3]
    true = X.dual_norm(C @ c.T)

    def above(T: np.ndarray) -> None:
        assert (np.linalg.norm(T @ c.T, axis=0) >= true).all()

    above(upper_factor(grown.T, grown.eps))
    must_fail(above, grown.T)


def test_the_range_keeps_all_digits(tmp_path: Path) -> None:
    """||T c|| of nearly dependent representatives to rounding, where their Gram matrix knows half of it."""
    toy, _, runner = toy_study(tmp_path, MU[:0])
    X = InnerProduct(toy.model.inner_product)
    random = np.random.default_rng(1)
    base = random.standard_normal((toy.n, 3))
    Z = np.hstack([base, base + 1e-9 * random.standard_normal((toy.n, 3)), np.zeros((toy.n, 1))])
    grown = PartRange(runner)
    for columns in (slice(0, 2), slice(2, 7)):
        block = _written(runner, toy, Z[:, columns])
        grown.extend(representatives.Representatives(block, np.zeros(Z[:, columns].shape[1])))
    c = np.concatenate([np.ones(3), -np.ones(3), [5.0]])
    true, size = X.norm(Z @ c[:, None])[0], X.norm(Z).max()
    assert abs(np.linalg.norm(grown.T @ c) - true) <= 1e-13 * size
    G = X.gram(Z, Z)
    assert abs(np.sqrt(abs(c @ G @ c)) - true) > 1e-10 * size
    assert grown.eps.max() <= 1e-12 * size


def test_representatives_say_how_wrong_they_are(tmp_path: Path) -> None:
    toy, _, runner = toy_study(tmp_path, MU[:0])
    X = InnerProduct(toy.model.inner_product)
    name = runner.fresh("columns")
    runner.each("functionals", outputs=[1], out=name)
    found = representatives.representatives(runner, ((name, 2),), 1e-5)
    F = toy.model.outputs.functionals[0].T
    wrong = X.norm(_whole(runner, found.blocks) - X.riesz(F))
    assert (wrong <= found.eps).all() and (found.eps <= 1e-3 * X.dual_norm(F)).all() and (found.eps > 0.0).all()


def test_one_term_is_solved_less_than_the_operator_has(tmp_path: Path) -> None:
    """Two terms and X their sum: one column a vector; the right-hand side and one output too."""
    _, _, _, runner = _both(tmp_path, "block")
    assert runner.workers.solves == 2 + 3  # type: ignore[attr-defined]


def test_stability_needs_terms_of_the_product_or_skew_ones() -> None:
    toy = SplitToy("wind")
    bound = stability_by_weights(toy.problem)
    np.testing.assert_allclose(bound(NEW), NEW[:, 0])
    toy.problem.terms[1].form.symmetry = 0
    with pytest.raises(NotSupported, match="operator term 1 is neither"):
        stability_by_weights(toy.problem)
    assert "operator term 1" in str(PodGalerkin().accepts(toy))
    toy.problem.stability = {"kind": "expression", "expression": "a / 2"}
    np.testing.assert_allclose(stability_by_weights(toy.problem)(NEW), NEW[:, 0] / 2)
    toy.problem.stability = None
    assert stability_by_weights(toy.problem) is None


@pytest.mark.parametrize("kind", [ReducedBasisReductor, PodGalerkin])
def test_reductors_take_split_models(kind: Any, tmp_path: Path) -> None:
    toy, store, runner = toy_study(tmp_path, MU, kind="wind")
    reductor = kind(tolerance=1e-4, max_size=4)
    assert reductor.accepts(toy) is None
    with pytest.raises(NotSupported, match="need the workers of a run"):
        reductor.reduce(toy, store, MU[:2])
    reductor.runner = runner
    assert reductor.reduce(toy, store, MU[:0]).size == 0
    rom = reductor.reduce(toy, store, MU[:6])
    assert rom.size == 4 and rom.metadata["split"]["parts"] == toy.parts
    twice = reductor.reduce(toy, store, np.repeat(MU[:1], 2, axis=0))
    assert twice.size == 1
    assert "whole snapshots" in kind(estimator="sketched").accepts(toy)


def test_the_model_file_shows_the_basis_to_h5py_alone(tmp_path: Path) -> None:
    parts, whole, _, _ = _both(tmp_path / "store", "block")
    V, file = np.asarray(parts.basis), tmp_path / "model.h5"
    whole.save(file)
    parts.save(file)
    parts.save(file)
    folder, = (path for path in tmp_path.iterdir() if path.suffix == ".parts")
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(opened["basis"][:], V)
    rom = romflow.load(file)
    x = rom.solve(NEW).coefficients
    np.testing.assert_array_equal(rom.lift(x), parts.lift(x))
    np.testing.assert_allclose(rom.truncate(1).lift(x[:1]), V[:, :1] @ x[:1], atol=1e-14)
    np.testing.assert_array_equal(rom.basis[:, 1], V[:, 1])
    moved = tmp_path / "elsewhere.h5"
    rom.save(moved)
    np.testing.assert_array_equal(np.asarray(romflow.load(moved).basis), V)
    file_of = folder / "part-0001.h5"
    kept = file_of.read_bytes()
    file_of.write_bytes((folder / "part-0000.h5").read_bytes())
    with pytest.raises(StoreError, match="not the part"):
        romflow.load(file)
    file_of.write_bytes(kept[:3000] + bytes([kept[3000] ^ 1]) + kept[3001:])
    with pytest.raises(StoreError, match="damaged"):
        romflow.load(file).lift(x)
    file_of.unlink()
    with pytest.raises(StoreError, match="copy the folder"):
        romflow.load(file)
    with h5py.File(file) as opened:
        assert np.isnan(opened["basis"][:]).any()


def test_a_basis_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, _, _, _ = _both(tmp_path, "block")
    monkeypatch.setattr("romflow.store.split_array.LIMIT", 100)
    with pytest.raises(NotSupported, match="too large to be read as a whole"):
        np.asarray(parts.basis)
    with pytest.raises(InputError, match="gives whole columns"):
        parts.basis[0]
