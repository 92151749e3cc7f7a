"""Samples are compared out of core: the same numbers for any tile and order, and again after a kill or damage."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, SolveFailed, StoreError
from romflow.core.snapshot import Snapshot
from romflow.fom.mechanics.replay import replay
from romflow.linalg.dissimilarity.fields import euclidean, sine
from romflow.linalg.dissimilarity.subspaces import chordal
from romflow.linalg.inner_product import InnerProduct
from romflow.materials.protocol import PLASTIC
from romflow.reduction.dictionary import features as feature_files
from romflow.reduction.dictionary.features import Features
from romflow.reduction.dictionary.pairs import FOLDER, Pairs, dissimilarities
from romflow.reduction.dictionary.task_table import TASKS
from romflow.store.sealed_array import read_sealed_array, write_sealed_array
from romflow.store.snapshots import SnapshotStore
from romflow.study import Study
from romflow.tasks.serial import SerialExecutor
from tests.toy_mechanics_store import stored
from tests.toy_reduced_mechanics import History, plate

N, SAMPLES = 30, 8
MU = np.linspace(0.0, 2.0, SAMPLES)[:, None]
X = np.linspace(0.0, 1.0, N)


class Line:
    """A model of N unknowns with an inner product; it solves nothing."""

    def __init__(self, n: int | None = N) -> None:
        self.n = n


def bump(a: float) -> np.ndarray:
    return np.asarray(10.0**a * np.exp(-((X - 0.4 * a) / 0.2)**2))


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    store = SnapshotStore(tmp_path / "store", {"kind": "line"}, ["a"])
    for (a,) in MU:
        store.put([a], Snapshot(bump(a)))
    return store


def moving(folder: Path, times: int = 5) -> SnapshotStore:
    """Histories of which the first is zero."""
    store = SnapshotStore(folder, {"kind": "moving"}, ["a"])
    t = np.linspace(0.0, 1.0, times)**2
    for (a,) in MU[:4]:
        writer = store.writer([a])
        writer.append(0, t, a * np.stack([np.cos(s * X * a) for s in t], axis=1))
        writer.finish()
    return store


def stretched() -> History:
    """A small plate that is pulled and let go again, in displacements that nothing balances."""
    problem, times = plate(cells=(2, 4)), np.linspace(0.0, 100.0, 5)
    u = np.zeros(problem.n)
    u[1::2] = 4e-3 * problem.space.nodes[:, 1]
    return History(problem, times, u[:, None] * np.array([0.0, 0.5, 1.0, 0.7, 0.2]), np.empty(0), np.empty(0))


class Tasks:
    """Kernels as other processes take them: through JSON, in a mixed order; killed when so many were done."""

    def __init__(self, fom: Any, store: SnapshotStore, left: int = 1000) -> None:
        self.fom, self.store, self.left, self.done = fom, store, left, list[str]()

    def __call__(self, kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        told = json.loads(json.dumps(shared))
        for part in np.random.default_rng(len(parts)).permutation(parts):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            TASKS[kernel](self.fom, str(self.store.folder), int(part), **told)
            self.done.append(kernel)
        return [{} for _ in parts]


def pairs(store: SnapshotStore, **options: Any) -> Pairs:
    return dissimilarities(options.pop("tasks", None), Line(), store, options.pop("mu", MU), **options)


def test_tiles_are_the_dissimilarities_of_all_fields(store: SnapshotStore, must_fail: Callable[..., None]) -> None:
    U = np.stack([bump(a) for (a,) in MU], axis=1)

    def check(D: np.ndarray) -> None:
        np.testing.assert_allclose(D, sine(U, U), rtol=1e-11, atol=1e-15)

    found = pairs(store, tile=3)
    check(found.D)
    must_fail(check, 1.0000000001 * found.D, found.D.T[::-1])
    assert found.made == {"features": SAMPLES, "tiles": 6}
    assert np.array_equal(found.D, found.D.T) and not found.D.diagonal().any()
    assert np.array_equal(found.features.fields(), U) and np.array_equal(found.features.matrix([3, 1]), U[:, [3, 1]])
    assert found.features.n == N and found.features.sizes.tolist() == [1] * SAMPLES
    np.testing.assert_allclose(pairs(store, dissimilarity="euclidean").D, euclidean(U, U), rtol=1e-12)
    np.testing.assert_allclose(pairs(store, dissimilarity="chordal", tile=3).D, sine(U, U), atol=1e-14)


def test_workers_tiles_and_interruptions_do_not_change_it(store: SnapshotStore, tmp_path: Path) -> None:
    straight = pairs(store, tile=3, folder=tmp_path / "straight")
    np.testing.assert_allclose(pairs(store, tile=5, folder=tmp_path / "straight").D, straight.D, atol=1e-15)
    tasks = Tasks(Line(), store, left=5)
    with pytest.raises(KeyboardInterrupt):
        pairs(store, tile=3, tasks=tasks)
    tasks.left = SAMPLES - 5 + 2
    with pytest.raises(KeyboardInterrupt):
        pairs(store, tile=3, tasks=tasks)
    tasks.left = 4
    found = pairs(store, tile=3, tasks=tasks)
    assert np.array_equal(found.D, straight.D) and found.made == {"features": 0, "tiles": 4} and not tasks.left
    assert pairs(store, tile=3).made == {"features": 0, "tiles": 0}


def test_more_samples_take_the_files_that_are_there(store: SnapshotStore) -> None:
    pairs(store, mu=MU[:6], tile=3)
    assert pairs(store, tile=3).made == {"features": 2, "tiles": 3}
    assert np.array_equal(pairs(store, tile=3).D[:6, :6], pairs(store, mu=MU[:6], tile=3).D)
    twice = pairs(store, mu=MU[[0, 0, 5]], tile=2)
    assert twice.D[0, 1] == 0.0 and twice.D[0, 2] == twice.D[1, 2]


@pytest.mark.parametrize("how", ["cut", "bit", "gone", "folder"])
def test_damaged_files_are_made_again(store: SnapshotStore, how: str) -> None:
    straight = pairs(store, tile=3)
    files = sorted((store.folder / FOLDER).glob("*/*.npy"))
    assert len(files) == 2 * SAMPLES + 6
    for file in (files[0], files[-1]):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.unlink()
        if how in ("cut", "bit"):
            file.write_bytes(content if how == "bit" else content[:-9])
    if how == "folder":
        for name in ("part", "12-ab.part"):
            files[0].with_name(f"{files[0].name}.{name}").write_bytes(b"half")
    found = pairs(store, tile=3)
    assert np.array_equal(found.D, straight.D) and found.made == {"features": 1, "tiles": 1}


def test_another_solution_of_a_parameter_is_compared_anew(store: SnapshotStore) -> None:
    before = pairs(store, tile=3)
    store.put(MU[2], Snapshot(bump(0.0)))
    after = pairs(store, tile=3)
    assert after.made["features"] == 1 and after.D[0, 2] == 0.0 and before.D[0, 2] > 0.1


def test_histories_are_modes_with_their_singular_values(tmp_path: Path) -> None:
    store = moving(tmp_path)
    found = dissimilarities(None, Line(), store, MU[:4], "chordal", tolerance=1e-6)
    t = store.trajectory(MU[3]).times
    S = store.trajectory(MU[3]).columns() * np.sqrt(np.append(np.diff(t)[0], np.diff(t)))
    modes = found.features.columns(3)
    k = modes.shape[1]
    left, values, _ = np.linalg.svd(S)
    assert np.sqrt(np.sum(values[k:]**2)) <= 1e-6 * np.linalg.norm(values) < np.sqrt(np.sum(values[k - 1:]**2))
    np.testing.assert_allclose(modes.T @ modes, np.diag(values[:k]**2), atol=1e-12 * values[0]**2)
    V = found.features.subspace(3)
    assert V.shape[1] == 1 + np.count_nonzero(np.sqrt(np.cumsum(values[::-1]**2)[::-1][1:]) > 1e-2 * values[0])
    np.testing.assert_allclose(np.abs(np.sum(V * left[:, :V.shape[1]], axis=0)), 1.0, atol=1e-9)
    assert not found.features.columns(0).any() and found.features.subspace(0).shape == (N, 0)
    assert found.features.sizes[0] == 1 and found.D[0, 3] == pytest.approx(np.sqrt(V.shape[1]))
    spaces = [found.features.subspace(i) for i in range(4)]
    np.testing.assert_allclose(found.D, chordal(spaces, spaces), atol=1e-14)
    single = dissimilarities(None, Line(), moving(tmp_path / "one", times=1), MU[:4], "chordal")
    assert single.features.sizes.tolist() == [1] * 4


def test_dual_fields_are_those_of_the_law(tmp_path: Path) -> None:
    known, mu = stretched(), np.array([[1.0, 1.0], [0.5, 1.0]])
    fom, store = stored(known, tmp_path, mu)
    w = known.problem.space.weights
    for field, rows in (("stress", 6), (PLASTIC, 1)):
        found = dissimilarities(None, fom, store, mu, "sine", field)
        got = found.features.fields()
        assert got.shape == (rows * w.size, 2)
        for row, values in zip(mu, got.T, strict=True):
            *_, (_, stress, state) = replay(known.problem, row, known.times, known.u.T)
            np.testing.assert_allclose(values, (stress if rows == 6 else state[6]).ravel(), rtol=1e-12)
        assert found.features.product.norm(got)[0] == pytest.approx(np.sqrt(np.sum(np.tile(w, rows) * got[:, 0]**2)))
        assert 0.0 < found.D[0, 1] < 1.0 and found.features.columns(0).shape[1] >= 2


def test_what_a_law_cannot_follow_names_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, mu = stretched(), np.array([[1.0, 1.0]])
    fom, store = stored(known, tmp_path, mu)

    def wrong(*args: Any, **options: Any) -> Any:
        for k in range(len(known.times)):
            yield k, np.full((6, known.problem.space.G), np.nan), None

    monkeypatch.setattr(feature_files, "replay", wrong)
    with pytest.raises(InputError, match=r"sample 0 \(mu = \[1.0, 1.0\]\) has a stress that is not finite"):
        dissimilarities(None, fom, store, mu, field="stress")

    def fails(*args: Any, **options: Any) -> Any:
        raise SolveFailed("no convergence", {"time": 1.0})
        yield

    monkeypatch.setattr(feature_files, "replay", fails)
    with pytest.raises(SolveFailed, match="sample 0"):
        dissimilarities(None, fom, store, mu, field="stress")


def test_wrong_input_is_refused(store: SnapshotStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'sine'"):
        pairs(store, dissimilarity="sines")
    with pytest.raises(InputError, match="no field of Line is called 'stress'"):
        pairs(store, field="stress")
    for options in ({"tile": 0}, {"tile": 2.0}, {"tolerance": 0.0}, {"tolerance": 1.0}, {"tolerance": np.nan}):
        with pytest.raises(InputError, match="the rule is"):
            pairs(store, **options)
    for mu in (np.empty((0, 1)), np.ones(3)):
        with pytest.raises(ShapeError, match="the rule is"):
            pairs(store, mu=mu)
    with pytest.raises(StoreError, match="not stored|no snapshot"):
        pairs(store, mu=np.array([[7.0]]))
    split = Line()
    split.ranks, split.part_operators, split.decompose = 2, None, None
    with pytest.raises(NotSupported, match="parts"):
        dissimilarities(None, split, store, MU)


def test_fields_of_another_mesh_are_refused(store: SnapshotStore) -> None:
    store.put([9.0], Snapshot(np.ones(N + 1)))
    with pytest.raises(ShapeError, match=r"sample 1 \(mu = \[9.0\]\) has 31 entries"):
        pairs(store, mu=np.array([[0.0], [9.0]]))
    for dissimilarity in ("sine", "chordal"):
        with pytest.raises(ShapeError, match="sample 1 has a field of 31 entries and the mesh 30"):
            dissimilarities(None, Line(None), store, np.array([[0.0], [9.0]]), dissimilarity)


def test_features_of_a_wrong_product_are_refused(store: SnapshotStore) -> None:
    found = pairs(store).features
    wrong = Features(found.folder, found.keys, InnerProduct(np.eye(N + 1)))
    with pytest.raises(ShapeError, match="one mesh"):
        wrong.fields([0])


def test_sealed_arrays_say_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.npy"
    with pytest.raises(StoreError, match="cannot read"):
        read_sealed_array(file)
    write_sealed_array(file, np.eye(3)[:, :2].T)
    assert np.array_equal(read_sealed_array(file), np.eye(3)[:2]) and len(os.listdir(file.parent)) == 1
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match="damaged"):
        read_sealed_array(file)


def test_an_executor_knows_the_kernels(tmp_path: Path) -> None:
    study = Study.from_dict({"study": {"name": "blocks"}, "model": {"kind": "thermal-block", "cells": 6},
                             "parameters": {"conductivity": {"low": 0.1, "high": 10.0, "size": 9}},
                             "sampling": {"method": "random", "size": 3}})
    fom, mu = study.model, np.array([np.linspace(0.1, 1.0, 9), np.ones(9), np.linspace(10.0, 0.1, 9)])
    store, executor = SnapshotStore(tmp_path, fom.spec, fom.parameters.columns), SerialExecutor()
    for row in mu:
        store.put(row, fom.solve(row))

    def tasks(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        return executor.parts(kernel, study.request, tmp_path, shared, parts)

    found, U = dissimilarities(tasks, fom, store, mu, tile=2), store.matrix(mu)
    np.testing.assert_allclose(found.D, sine(U, U, InnerProduct(fom.inner_product)), rtol=1e-10, atol=1e-15)
    assert found.made == {"features": 3, "tiles": 3}
