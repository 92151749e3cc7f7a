"""Split snapshots: files of ranks, the virtual dataset over them, reads by parts, and what goes wrong with them."""

import errno
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from romflow.core.errors import InputError, StoreError
from romflow.core.snapshot import Snapshot
from romflow.store.part_arrays import part_file, read_part_arrays, write_part_arrays
from romflow.store.snapshots import SnapshotStore

# Part -> global numbers of its closure: what it owns first, then ghosts of the others.
CLOSURES = {0: [0, 1, 2, 3], 1: [3, 4, 5, 2, 6], 2: [6, 7, 8, 5]}
STARTS = [0, 3, 6, 9]
RANKS = [{0: 0, 1: 0, 2: 0}, {0: 0, 1: 0, 2: 1}, {0: 0, 1: 1, 2: 2}]


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path / "store", {"kind": "split"}, ["a"])


def fresh(store):
    return SnapshotStore(store.folder, store.spec, store.columns)


def state_at(a):
    return a + np.arange(9.0) ** 2


def put(store, a, owner=RANKS[1], token="00ff"):
    state = state_at(a)
    receipts = []
    for rank in sorted(set(owner.values())):
        values = {part: state[CLOSURES[part]] for part in owner if owner[part] == rank}
        receipts.append(json.loads(json.dumps(store.put_part([a], rank, values, token))))
    return store.put_split([a], receipts, STARTS, [a, -a], {"seconds": 2.5, "rank": len(receipts)})


@pytest.mark.parametrize("owner", RANKS)
def test_what_ranks_put_is_got_back_whatever_their_number(store, owner, must_fail):
    key = put(store, 0.5, owner)

    def check(seen):
        assert np.array_equal(seen.get([0.5]).state, state_at(0.5))

    check(fresh(store))
    snapshot = fresh(store).get(key)
    assert snapshot.outputs.tolist() == [0.5, -0.5] and snapshot.info["seconds"] == 2.5
    for part, closure in CLOSURES.items():
        assert np.array_equal(store.part_matrix([[0.5]], part), state_at(0.5)[closure][:, None])
    other = SnapshotStore(store.folder.parent / "other", store.spec, store.columns)
    put(other, 0.5 + 1e-15)
    receipts = [other.put_part([0.5], 0, {part: state_at(0.6)[CLOSURES[part]] for part in CLOSURES}, "aa")]
    other.put_split([0.5], receipts, STARTS)
    must_fail(check, other)


def test_split_snapshots_and_whole_ones_are_read_alike(store):
    for a in (0.1, 0.2):
        put(store, a)
    store.put([0.3], Snapshot(state_at(0.3), [0.3, -0.3], {"seconds": 1.0}))
    mu = np.array([[0.1], [0.3], [0.2]])
    expected = np.column_stack([state_at(a) for a in (0.1, 0.3, 0.2)])
    assert np.array_equal(store.matrix(mu), expected) and store.n == 9 and len(store) == 3
    assert np.array_equal(store.matrix(mu, slice(2, 7)), expected[2:7])
    blocks = list(fresh(store).row_blocks(mu, 4))
    assert np.array_equal(np.vstack([block for _, block in blocks]), expected)
    assert store.seconds(mu).tolist() == [2.5, 1.0, 2.5] and store.facts(mu, "rank") == [2, None, 2]
    assert store.outputs(mu).tolist() == [[0.1, 0.3, 0.2], [-0.1, -0.3, -0.2]]
    assert store.missing(np.array([[0.1], [0.9], [0.3]])).tolist() == [1]
    with pytest.raises(StoreError, match="is in one piece"):
        store.part_matrix([[0.3]], 0)


def test_any_reader_of_hdf5_sees_the_whole_also_after_the_store_moved(store):
    key = put(store, 0.5)
    folder = store.folder.rename(store.folder.with_name("moved"))
    with h5py.File(folder / "snapshots" / key[:2] / f"{key}.h5", "r") as file:
        assert np.array_equal(file["state"][()], state_at(0.5)) and file["state"].is_virtual


@pytest.mark.parametrize("harm", ["missing", "cut", "altered", "of another solve"])
def test_a_file_of_a_rank_that_does_not_hold_is_noticed(store, harm):
    key = put(store, 0.5)
    put(store, 0.6, token="aa")
    files = sorted(store.path(key).with_suffix(".parts").iterdir())
    assert len(files) == 2
    if harm == "missing":
        files[1].unlink()
    elif harm == "cut":
        files[1].write_bytes(files[1].read_bytes()[:-10])
    elif harm == "altered":
        data = bytearray(files[1].read_bytes())
        data[len(data) // 2] ^= 1
        files[1].write_bytes(data)
    else:
        other = sorted(store.path(store.key([0.6])).with_suffix(".parts").iterdir())[1]
        shutil.copy(other, files[1])
    seen = fresh(store)
    assert np.array_equal(seen.part_matrix([[0.5], [0.6]], 0)[0], [0.5, 0.6])
    assert seen.missing([[0.5], [0.6]]).tolist() == [0]
    assert "rank-0001" in seen.damaged[0][1]
    assert seen.damaged[0][0].with_suffix(".parts").is_dir() and not store.path(key).with_suffix(".parts").exists()
    with pytest.raises(StoreError, match="no snapshot with the key"):
        seen.part_matrix([[0.5]], 2)


def test_a_missing_part_is_noticed_by_who_read_it_before(store):
    key = put(store, 0.5)
    assert len(store.part_matrix([[0.5]], 2)) == 4
    next(store.path(key).with_suffix(".parts").glob("rank-0001*")).unlink()
    with pytest.raises(StoreError, match=r"rank-0001.* is missing"):
        store.part_matrix([[0.5]], 2)


def test_an_unknown_part_is_no_damage(store):
    put(store, 0.5)
    with pytest.raises(StoreError, match="has 3 parts and none is 7"):
        store.part_matrix([[0.5]], 7)
    assert store.has([0.5]) and store.damaged == []


def test_ranks_alone_make_no_snapshot_and_leave_no_litter(store):
    store.put_part([0.5], 0, {0: np.ones(4), 1: np.ones(5)}, "ab")
    assert not store.has([0.5]) and len(store) == 0
    store.drop_parts([0.5], "ab")
    assert not list(store.folder.rglob("*.parts"))
    with pytest.raises(InputError, match="each part once"):
        store.put_split([0.5], [store.put_part([0.5], 0, {0: np.ones(4)}, "ab")], STARTS)
    with pytest.raises(InputError, match="not all finite"):
        store.put_part([0.5], 0, {0: [np.nan]}, "ab")


def test_a_second_solve_replaces_the_first_and_its_files(store):
    put(store, 0.5, RANKS[2], "01")
    put(store, 0.5, RANKS[0], "02")
    files = list(store.path(store.key([0.5])).with_suffix(".parts").iterdir())
    assert [file.name for file in files] == ["rank-0000.02.h5"]
    assert np.array_equal(store.get([0.5]).state, state_at(0.5))
    store.put([0.5], Snapshot(np.ones(9)))
    assert not list(store.folder.rglob("*.parts")) and np.array_equal(store.get([0.5]).state, np.ones(9))


def test_discarded_snapshots_take_their_files_along(store):
    put(store, 0.5)
    store.stand_in = SnapshotStore(store.folder / "sketches", {"kind": "sketch"}, ["a"])
    store.stand_in.put([0.5], Snapshot([1.0]))
    store.discard([0.5])
    assert not list(store.folder.rglob("*.parts")) and not store.has([0.5])


FULL = """
import resource, signal, sys
import numpy as np
from romflow.core.errors import StoreError
from romflow.store.snapshots import SnapshotStore
store = SnapshotStore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    store.put_part([0.5], 1, {2: np.ones(10_000)}, "cd")
except StoreError as error:
    print(error.errno, error)
"""


def test_a_full_disk_on_one_rank_leaves_nothing_of_it(store, repository):
    store.put_part([0.5], 0, {0: np.ones(4), 1: np.ones(5)}, "cd")
    answer = subprocess.run([sys.executable, "-c", FULL, str(store.folder)], cwd=repository, capture_output=True,
                            text=True, timeout=60, check=True)
    assert answer.stdout.startswith(str(errno.EFBIG)) and "cannot write" in answer.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
    assert [file.name for file in store.folder.rglob("rank-*")] == ["rank-0000.cd.h5"]


def test_part_arrays_come_back_and_are_checked(tmp_path):
    arrays = {"basis": np.arange(6.0).reshape(3, 2), "owned": np.array([2])}
    write_part_arrays(tmp_path / "new", 3, arrays, {"scale": 1.5})
    found, facts = read_part_arrays(tmp_path / "new", 3)
    assert facts == {"scale": 1.5} and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    with pytest.raises(StoreError, match="holds no array 'other'"):
        read_part_arrays(tmp_path / "new", 3, ["other"])
    with pytest.raises(StoreError, match="part 4 was not written"):
        read_part_arrays(tmp_path / "new", 4)
    part_file(tmp_path / "new", 3).rename(part_file(tmp_path / "new", 5))
    with pytest.raises(StoreError, match="is not the file of part 5"):
        read_part_arrays(tmp_path / "new", 5)
    Path(part_file(tmp_path / "new", 5)).write_bytes(b"no")
    with pytest.raises(StoreError, match="damaged"):
        read_part_arrays(tmp_path / "new", 5)
