"""Trajectories in the store: what was appended is read back in any cut, and nothing unfinished or damaged is."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import romflow.store.trajectory_writer as writing
from romflow.core.errors import InputError, ShapeError, StoreError
from romflow.core.snapshot import Snapshot
from romflow.store.snapshots import SnapshotStore

N, K = 9, 11
TIMES = np.cumsum(np.random.default_rng(0).uniform(0.1, 1.0, K + 1))
CUTS = (0, 3, 4, 8, 12)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PIECE_BYTES", 1)
    return SnapshotStore(tmp_path / "store", {"kind": "moving"}, ["a"])


def fresh(store):
    return SnapshotStore(store.folder, store.spec, store.columns)


def states(a):
    return a * np.random.default_rng(1).standard_normal((N, K + 1))


def write(store, a, cuts=CUTS, series=True, finish=True, info=None):
    U, writer = states(a), store.writer([a])
    for start, stop in zip(cuts, cuts[1:], strict=False):
        writer.append(start, TIMES[start:stop], U[:, start:stop], U[:2, start:stop] if series else None,
                      {"now": U[:, stop - 1], "step": np.array(stop)}, seconds=0.5)
    return writer.finish(info=info) if finish else writer


def files(store):
    return sorted(store.folder.glob("snapshots/*/*.pieces/*.h5"))


@pytest.mark.parametrize("cuts", [CUTS, (0, 12), tuple(range(13))])
@pytest.mark.parametrize("series", [True, False])
def test_what_was_appended_is_read_back_in_any_cut(store, cuts, series, must_fail):
    key, U = write(store, 0.5, cuts, series), states(0.5)
    found = fresh(store).trajectory([0.5])
    assert found.shape == (N, K + 1) and len(found) == K + 1 and found.n == N and len(files(store)) == len(cuts) - 1

    def check(shift):
        assert np.array_equal(found.columns() + shift, U)
        for cut in (slice(2, 9), slice(-3, None), slice(5, 5), slice(9, 3)):
            assert np.array_equal(found.columns(cut) + shift, U[:, cut])
            assert np.array_equal(found.rows(cut) + shift, U[cut])

    check(0.0)
    must_fail(check, 1e-9)
    assert all(np.array_equal(found.state(k), U[:, k]) for k in (0, 3, K, -1, -K - 1))
    assert [(cut.start, cut.stop) for cut, _ in found.pieces()] == list(zip(cuts, cuts[1:], strict=False))
    for block in (None, 1, 5, 100):
        assert np.array_equal(np.concatenate([states for _, states in found.pieces(block)], axis=1), U)
    assert np.array_equal(found.times, TIMES)
    assert np.array_equal(found.series, U[:2]) if series else found.series is None
    snapshot = store.get(key)
    assert np.array_equal(snapshot.state, U[:, -1]) and snapshot.info["seconds"] == 0.5 * (len(cuts) - 1)
    assert (snapshot.outputs is None) == (not series) and np.array_equal(store.matrix([[0.5]]), U[:, -1:])
    assert store.is_trajectory([0.5]) and found.columns(slice(0, 2)).flags.f_contiguous


def test_pieces_open_with_h5py_alone(store):
    write(store, 0.5)
    with h5py.File(files(store)[1], "r") as file:
        assert file.attrs["format"] == "romflow-trajectory-piece" and file.attrs["start"] == 3
        assert np.array_equal(file["states"][()].T, states(0.5)[:, 3:4]) and file["checkpoint/step"][()] == 4


def test_a_single_state_is_no_trajectory(store):
    store.put([0.5], Snapshot(np.ones(3), info={"trajectory": {"pieces": 3}}))
    assert not store.is_trajectory([0.5]) and store.missing([[0.5]]).size == 0
    with pytest.raises(StoreError, match="single state"):
        store.trajectory([0.5])
    with pytest.raises(StoreError, match="solve its parameter"):
        store.trajectory([0.6])


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda w: w.append(1, [0.0], np.ones((2, 1))), InputError, "next has index 0"),
    (lambda w: w.append(0, [], np.ones((2, 0))), InputError, "next has index 0"),
    (lambda w: w.append(0, [0.0, 0.0], np.ones((2, 2))), InputError, "do not increase"),
    (lambda w: w.append(0, [0.0, np.nan], np.ones((2, 2))), InputError, "do not increase"),
    (lambda w: w.append(0, [0.0], np.ones((2, 2))), ShapeError, r"states of shape \(2, 2\) for 1 times"),
    (lambda w: w.append(0, [0.0], np.ones((0, 1))), ShapeError, "without entries"),
    (lambda w: w.append(0, [0.0], [[np.nan], [1.0]]), InputError, "not finite"),
    (lambda w: w.append(0, [0.0], [[1.0]], [[np.inf]]), InputError, "not finite"),
    (lambda w: w.append(0, [0.0], [[1.0]], None, {"a/b": np.ones(1)}), InputError, "checkpoint"),
    (lambda w: w.append(0, [0.0], [[1.0]], None, {"a": np.array([None])}), InputError, "checkpoint"),
    (lambda w: (w.append(0, [0.0], [[1.0]]), w.append(1, [0.0], [[1.0]])), InputError, "do not increase"),
    (lambda w: (w.append(0, [0.0], [[1.0]]), w.append(1, [1.0], [[1.0], [2.0]])), ShapeError, "as long as"),
    (lambda w: (w.append(0, [0.0], [[1.0]], [[1.0]]), w.append(1, [1.0], [[1.0]])), ShapeError, "some times only"),
    (lambda w: (w.append(0, [0.0], [[1.0]]), w.resume()), InputError, "already"),
    (lambda w: w.finish(), InputError, "no times"),
    (lambda w: (w.append(0, [0.0], [[1.0]]), w.finish([np.nan])), InputError, "finite")])
def test_what_cannot_be_stored_is_refused(store, call, error, words):
    with pytest.raises(error, match=words):
        call(store.writer([0.5]))
    assert store.missing([[0.5]]).tolist() == [0]


def test_slices_with_steps_and_times_that_are_not_there_are_refused(store):
    write(store, 0.5)
    found = store.trajectory([0.5])
    for call in (lambda: found.columns(slice(0, 9, 2)), lambda: found.rows(slice(0, 9, 2)), lambda: found.state(12),
                 lambda: next(found.pieces(0))):
        with pytest.raises(InputError):
            call()


def test_without_its_last_word_there_is_no_snapshot_but_a_place_to_go_on(store):
    write(store, 0.5, (0, 3, 4, 8), finish=False)
    again = fresh(store)
    assert again.missing([[0.5]]).tolist() == [0] and len(again) == 0 and len(files(store)) == 3
    writer = again.writer([0.5])
    start, memory = writer.resume()
    assert start == 8 and memory["step"] == 8 and np.array_equal(memory["now"], states(0.5)[:, 7])
    writer.append(8, TIMES[8:], states(0.5)[:, 8:], states(0.5)[:2, 8:])
    writer.finish()
    assert np.array_equal(again.trajectory([0.5]).columns(), states(0.5)) and writer.seconds == 1.5


def test_an_unfinished_one_whose_times_are_all_there_only_has_to_be_finished(store):
    write(store, 0.5, finish=False)
    writer = store.writer([0.5])
    assert writer.resume()[0] == K + 1
    writer.finish(info={"seconds": 9.0})
    assert np.array_equal(store.get([0.5]).state, states(0.5)[:, -1]) and store.seconds([[0.5]])[0] == 9.0
    assert np.array_equal(store.outputs([[0.5]])[:, 0], states(0.5)[:2, -1])


def test_two_writers_of_one_parameter_do_not_mix(store):
    first, second = write(store, 0.5, (0, 3, 4), finish=False), write(store, 0.5, (0, 2, 6, 8), finish=False)
    assert store.writer([0.5]).resume()[0] == 8
    U = states(0.5)
    first.append(4, TIMES[4:], U[:, 4:], U[:2, 4:])
    key = first.finish()
    assert len(files(store)) == 3
    second.append(8, TIMES[8:], U[:, 8:], U[:2, 8:])
    assert second.finish() == key and len(files(store)) == 3  # the faster one's
    assert np.array_equal(fresh(store).trajectory(key).columns(), U)


def test_a_piece_that_vanished_is_an_error_of_its_writer(store):
    writer = write(store, 0.5, finish=False)
    files(store)[0].unlink()
    with pytest.raises(StoreError, match="was removed while its trajectory was written"):
        writer.finish()


def test_replacing_and_dropping_leave_no_pieces(store):
    write(store, 0.5)
    write(store, 0.5, (0, 12))
    assert len(files(store)) == 1 and np.array_equal(store.trajectory([0.5]).columns(), states(0.5))
    writer = store.writer([0.5])
    assert writer.resume()[0] == K + 1
    writer.drop()  # what a snapshot names stays
    assert len(files(store)) == 1 and store.missing([[0.5]]).size == 0
    store.put([0.5], Snapshot(np.ones(N)))
    assert files(store) == [] and not store.is_trajectory([0.5])
    write(store, 0.7, finish=False).drop()
    assert files(store) == [] and store.writer([0.7]).resume() is None


@pytest.mark.parametrize("harm", ["cut", "bit", "missing", "foreign"])
def test_a_damaged_piece_is_found_before_it_is_read(store, harm):
    write(store, 0.5)
    write(store, 0.6)
    folder = store.path(store.key([0.5])).with_suffix(".pieces")
    victim = sorted(folder.iterdir())[2]
    content = victim.read_bytes()
    if harm == "missing":
        victim.unlink()
    elif harm == "foreign":
        other = store.path(store.key([0.6])).with_suffix(".pieces")
        victim.write_bytes(sorted(other.iterdir())[2].read_bytes())
    else:
        victim.write_bytes(content[:-400] if harm == "cut" else content[:-200] + bytes([content[-200] ^ 1]) +
                           content[-199:])
    seen = fresh(store)
    assert seen.missing([[0.5], [0.6]]).tolist() == [0]
    assert len(seen.damaged) == 1 and victim.name in seen.damaged[0][1]
    assert seen.writer([0.5]).resume()[0] == 4  # behind the last good piece
    assert not victim.exists()
    with pytest.raises(StoreError):
        seen.trajectory([0.5])


def test_a_trajectory_that_is_replaced_while_it_is_read_says_so(store):
    write(store, 0.5)
    found = store.trajectory([0.5])
    write(store, 0.5)
    with pytest.raises(StoreError, match="replaced or damaged meanwhile"):
        found.columns()


def test_discarded_and_stale_pieces_go(store):
    write(store, 0.5)
    store.stand_in = SnapshotStore(store.folder / "sketches", {"kind": "sketch"}, ["a"])
    store.stand_in.put([0.5], Snapshot([1.0]))
    store.discard([0.5])
    assert files(store) == [] and not store.has([0.5])
    write(store, 0.7, finish=False)
    old = time.time() - 31 * 86400
    fresh(store)
    assert len(files(store)) == 4
    for place in [files(store)[0].parent, *files(store)]:
        os.utime(place, (old, old))
    fresh(store)
    assert files(store) == []


def test_small_pieces_gather_until_they_are_large_or_late(store, monkeypatch):
    monkeypatch.setattr(writing, "PIECE_BYTES", 4 * N * 8)
    write(store, 0.5, tuple(range(13)))
    assert [cut.stop for cut, _ in store.trajectory([0.5]).pieces()] == [4, 8, 12]
    monkeypatch.setattr(writing, "PIECE_SECONDS", -1.0)
    write(store, 0.6, tuple(range(13)))
    assert len(list(store.trajectory([0.6]).pieces())) == 12


MEMORY = """
import resource, sys
import numpy as np
from romflow.store.snapshots import SnapshotStore
store = SnapshotStore(sys.argv[1], {"kind": "long"}, ["a"])
n, count = 100_000, 400
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writer = store.writer([1.0])
for k in range(count):
    writer.append(k, [float(k)], np.full((n, 1), float(k)), None, {"k": np.array(k)})
writer.finish()
found, total = store.trajectory([1.0]), 0.0
for cut, states in found.pieces():
    total += states[5].sum()
assert total == count * (count - 1) / 2 and found.rows(slice(7, 9))[1, -1] == count - 1.0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_is_that_of_some_pieces_and_not_of_the_trajectory(tmp_path):
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "long")], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 200.0  # of 320 MB; three copies of a piece of 32 MB, and what reads them
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
