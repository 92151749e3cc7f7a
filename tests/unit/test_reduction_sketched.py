"""Projection from sketches alone: as accurate as with the basis, which is never touched; snapshots thrown away."""

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, NotSupported, StoreError
from romflow.core.snapshot import Snapshot
from romflow.export.npz import Npz
from romflow.export.vtu import Vtu
from romflow.linalg.inner_product import InnerProduct
from romflow.outcome.curves import errors_by_size
from romflow.outcome.validation import validate
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.residual_columns import Sketch
from romflow.reduction.sketched import SketchedProjection, SketchedReductor
from romflow.reduction.snapshot_sketch import SketchedSnapshots, SnapshotSketcher, sketch_store
from romflow.report.data import ReportData
from romflow.report.page import page
from romflow.store.snapshots import SnapshotStore
from romflow.testing.small import new_store, small_thermal_block, solve_missing
from tests.problems import MemoryStore, advection, reaction_diffusion

PROJECTIONS = ["galerkin", "least-squares"]


def sketcher_of(fom, rows=200, seed=0):
    return SnapshotSketcher(fom, InnerProduct(fom.inner_product, fom.norm), Sketch.chosen(rows=rows, seed=seed))


def errors(fom, rom, mu):
    U = np.stack([fom.solve(row).state for row in mu], axis=1)
    return InnerProduct(fom.inner_product).norm(U - rom.lift(rom.solve(mu).coefficients))


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("make", [lambda: advection(200), reaction_diffusion])
def test_projection_from_sketches_is_nearly_as_good_as_the_whole(make, projection):
    fom = make()
    rng = np.random.default_rng(0)
    mu, new = fom.parameters.sample(5, rng), fom.parameters.sample(40, rng)
    whole = ReducedBasisReductor(projection=projection).reduce(fom, MemoryStore(fom), mu)
    rom = SketchedReductor(projection=projection, seed=2).reduce(fom, MemoryStore(fom), mu)
    np.testing.assert_allclose(rom.basis, whole.basis, atol=1e-12)
    ratio = errors(fom, rom, new) / errors(fom, whole, new)
    assert np.median(ratio) < 1.1
    assert np.max(ratio) < 3.0
    few = SketchedReductor(projection=projection, seed=2, max_size=5, sketch_rows=8).reduce(fom, MemoryStore(fom), mu)
    worse = errors(fom, few, new) / errors(fom, whole, new)
    assert np.max(worse) > np.max(ratio), "the companion: too few rows are worse"


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_sketches_suffice_and_no_long_vector_is_kept(projection):
    fom = advection(200)
    rng = np.random.default_rng(1)
    mu, new = fom.parameters.sample(6, rng), fom.parameters.sample(30, rng)
    sketcher = sketcher_of(fom)
    projected = SketchedProjection(sketcher, projection=projection)
    for row in mu:
        projected.extend(sketcher.unpacked(sketcher.of(fom.solve(row).state[:, None]).packed()))
    rom = projected.model()
    assert max(max(np.shape(array), default=0) for array in rom.to_arrays()[1].values()) < fom.n + 1
    assert rom.basis.shape == (0, 6)
    assert rom.n == fom.n
    np.testing.assert_allclose(rom.state_sketch.T @ rom.state_sketch, np.eye(6), atol=1e-10)
    truth = np.stack([fom.solve(row).state for row in new], axis=1)
    answer = rom.solve(new)
    lifted = SketchedReductor(projection=projection, sketch_rows=200, max_size=6).reduce(fom, MemoryStore(fom), mu)
    np.testing.assert_allclose(answer.output, lifted.solve(new).output, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(answer.error, lifted.solve(new).error, rtol=1e-5, atol=1e-9)
    gap = rom.sketched_gap(sketcher.of(truth).states, answer.coefficients)
    exact = errors(fom, lifted, new)
    assert np.all(np.abs(gap / exact - 1.0) < 0.25)
    assert np.any(np.abs(gap / exact - 1.0) > 1e-3), "the companion: a sketched error is no exact one"
    with pytest.raises(NotSupported, match="keep_snapshots = true"):
        rom.lift(answer.coefficients)


def test_estimates_reach_the_floor_of_rounding_from_sketches_alone():
    fom = reaction_diffusion()
    sketcher = sketcher_of(fom, 100)
    projected = SketchedProjection(sketcher)
    for mu in (1.0, 10.0, 4.0, 2.0, 7.0):
        projected.extend(sketcher.of(fom.solve(np.array([mu])).state[:, None]))
    scale = sketcher.product.dual_norm(fom.rhs.vectors)[0]
    mu = np.linspace(1.0, 10.0, 200)[:, None]
    values = [projected.model().truncate(size).solve(mu).error.max() / scale for size in range(1, 6)]
    np.testing.assert_allclose(values[:4], [4.9e-2, 4.2e-4, 1.5e-6, 7.2e-9], rtol=0.35)
    assert values[4] < 3e-11


def study(**reduction):
    return romflow.Study.from_dict({
        "study": {"name": "b"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 8},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "cluster": {"kind": "serial"},
        "sampling": {"method": "greedy", "pool": 30}, "validation": {"size": 5},
        "reduction": {"method": "sketched", "tolerance": 1e-6, "max_size": 8, "sketch_rows": 150} | reduction,
        "export": [{"format": "npz"}, {"format": "vtu"}]})


class Notes:
    def __init__(self):
        self.notes = []

    def stage(self, name, total):
        pass

    def step(self, done, failed):
        pass

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def thrown(tmp_path_factory):
    folder, notes = tmp_path_factory.mktemp("thrown"), Notes()
    with pytest.MonkeyPatch.context() as patch:  # the resumed run writes the page again
        patch.setattr("romflow.walk.run.write_report", lambda path, data: None)
        return study(keep_snapshots=False).run(folder, notes), folder, notes.notes


def test_snapshots_are_replaced_by_sketches_and_a_resumed_run_solves_nothing(thrown):
    first, folder, notes = thrown
    assert first.summary["offline"]["snapshots_solved"] == 13
    assert not list(folder.glob("store/snapshots/*/*.h5"))
    assert len(list(folder.glob("store/sketches/sparse-sign-150-0-*/snapshots/*/*.h5"))) == 13
    assert any("b.vtu" in note for note in notes)
    assert (folder / "b.npz").exists()
    assert not (folder / "b.vtu").exists()
    assert first.summary["validation"]["error_measured_by"]["rows"] == 150
    model = (folder / "model.h5").read_bytes()
    again = study(keep_snapshots=False).run(folder, Notes())
    assert again.summary["offline"]["snapshots_solved"] == 0
    assert again.summary["validation"] == first.summary["validation"]
    assert (folder / "model.h5").read_bytes() == model
    words = (folder / "report.html").read_text()
    assert "no fields to show" in words
    assert "sketched norms too" in words


def test_another_sketch_does_not_serve(tmp_path):
    fom = small_thermal_block()
    store, mu = new_store(fom, tmp_path), fom.parameters.sample(2, np.random.default_rng(0))
    solve_missing(fom, store, mu)
    for row in mu:
        SketchedSnapshots(store, sketcher_of(fom, 30)).get(row)
    scaled = sketcher_of(fom, 30)
    scaled._embedding.theta = Sketch.chosen(rows=30, seed=5).embedding(fom.n)  # noqa: SLF001 - another random map
    found = []
    for sketcher in (sketcher_of(fom, 30), sketcher_of(fom, 31), sketcher_of(fom, 30, seed=1), scaled):
        again = SnapshotStore.open(tmp_path)
        sketch_store(again, sketcher)
        found.append(len(again.missing(mu)))
    assert found == [0, 2, 2, 2]


@pytest.mark.long
def test_kept_and_thrown_away_snapshots_give_the_same_answers(thrown, tmp_path):
    first, folder, _ = thrown
    kept = study().run(tmp_path, Notes())
    assert "error_measured_by" not in kept.summary["validation"]
    mu = kept.rom.parameters.sample(50, np.random.default_rng(9))
    np.testing.assert_allclose(first.rom.solve(mu).output, kept.rom.solve(mu).output, rtol=1e-7)
    np.testing.assert_allclose(first.rom.solve(mu).error, kept.rom.solve(mu).error, rtol=1e-5)
    true, sketched = (run.summary["validation"]["max_relative_error"] for run in (kept, first))
    assert sketched == pytest.approx(true, rel=0.2)
    assert first.rom.metadata["singular_values"]
    loaded = romflow.load(folder / "model.h5")
    assert np.array_equal(loaded.solve(mu).error, first.rom.solve(mu).error)
    with pytest.raises(NotSupported, match="fields"):
        Vtu().write(loaded, tmp_path / "x.vtu")
    assert "basis" not in np.load(Npz().write(loaded, tmp_path / "x.npz")[0])
    assert "sketch of 150 rows" in page(ReportData(rom=kept.rom, summary=kept.summary))


def test_errors_of_smaller_models_are_those_of_the_models_themselves(tmp_path):
    fom = small_thermal_block()
    store = new_store(fom, tmp_path)
    mu, new = (fom.parameters.sample(4, np.random.default_rng(seed)) for seed in (0, 1))
    solve_missing(fom, store, np.vstack([mu, new]))
    rom = SketchedReductor(max_size=4, sketch_rows=40, keep_snapshots=False).reduce(fom, store, mu)
    found = errors_by_size(rom, fom, store, validate(rom, fom, store, new))
    for size in (1, 3, 4):
        alone = validate(rom.truncate(size), fom, store, new)
        assert found[size][0] == pytest.approx(alone.true_error.max(), rel=1e-8)
    assert found[1][0] > 2 * found[4][0]


def test_store_discards_only_what_is_replaced(tmp_path):
    store = SnapshotStore(tmp_path, {"kind": "x"}, ["a"])
    store.put([1.0], Snapshot(np.arange(4.0), np.array([7.0]), {"seconds": 2.0}))
    with pytest.raises(StoreError, match="is kept"):
        store.discard([1.0])
    store.stand_in = SnapshotStore(tmp_path / "sketches", {"kind": "y"}, ["a"])
    with pytest.raises(StoreError, match="is kept"):
        store.discard([1.0])
    store.stand_in.put([1.0], Snapshot(np.ones(2), np.array([7.0]), {"seconds": 2.0}))
    store.discard([1.0])
    assert not store.has([1.0])
    assert list(store.missing([[1.0], [2.0]])) == [1]
    assert list(SnapshotStore.open(tmp_path).missing([[1.0]])) == [0], "the companion: without stand-in it is missing"
    assert store.seconds([[1.0]]) == 2.0
    assert store.outputs([[1.0]]) == 7.0
    for read in (lambda: store.get([1.0]), lambda: store.matrix([[1.0]]), lambda: list(store.row_blocks([[1.0]], 2))):
        with pytest.raises(StoreError, match="replaced by its sketch"):
            read()
    path = store.stand_in.path(store.stand_in.key([1.0]))
    path.write_bytes(path.read_bytes()[:-100])
    assert list(store.missing([[1.0]])) == [0], "a damaged sketch is solved again"


def test_a_kept_sketch_wins_over_a_snapshot_left_by_a_crash(tmp_path):
    fom = small_thermal_block()
    store, mu = new_store(fom, tmp_path), fom.parameters.sample(1, np.random.default_rng(0))
    solve_missing(fom, store, mu)
    snapshot = store.get(mu[0])
    snapshots = SketchedSnapshots(store, sketcher_of(fom, 30))
    first = snapshots.get(mu[0])
    store.put(mu[0], snapshot)
    assert np.array_equal(snapshots.get(mu[0]).packed(), first.packed())
    assert not store.has(mu[0])


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"estimator": "gram"}, NotSupported, "leave the estimator out"),
    ({"keep_snapshots": "no"}, ConfigError, "neither true nor false"),
    ({"sketch_rows": 10, "max_size": 10}, ConfigError, "at least 44")])
def test_wrong_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        SketchedReductor(**options)


def test_rows_follow_the_size_where_the_estimate_needs_fewer():
    assert SketchedReductor(max_size=10).sketch.rows == Sketch.chosen().rows
    assert SketchedReductor(max_size=300).sketch.rows == 4 * 301
