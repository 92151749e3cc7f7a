"""Damaged and foreign files in a store: reported, set aside, solved again, and never used."""

import json
import os
import time

import h5py
import numpy as np
import pytest

from romflow.core.errors import StoreError
from romflow.store import snapshot_file
from romflow.store.seal import SEAL_LENGTH, sealed
from romflow.store.snapshots import SnapshotStore
from tests.toy_store import SPEC, fresh, put, rows


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path / "store", SPEC, ["a", "b"])


def flip(file, place, mask=0x10):
    content = bytearray(file.read_bytes())
    content[place] ^= mask
    file.write_bytes(bytes(content))


def damage_truncated(store, file):
    file.write_bytes(file.read_bytes()[:-100])


def damage_empty(store, file):
    file.write_bytes(b"")


def damage_flipped_state(store, file):
    flip(file, -SEAL_LENGTH - 20)


def damage_flipped_metadata(store, file):
    flip(file, 300)


def damage_longer(store, file):
    file.write_bytes(file.read_bytes() + b"\0")


def damage_text(store, file):
    file.write_text("not a snapshot\n" * 100)


def damage_renamed(store, file):
    put(store, 0.625)
    file.write_bytes(store.path(store.key([0.625, -0.625])).read_bytes())


def damage_foreign(store, file):
    other = SnapshotStore(store.folder.parent / "other", {"another": "model"}, ["a", "b"])
    put(other, 0.5)
    file.write_bytes(other.path(other.keys()[0]).read_bytes())


def damage_resealed_text(store, file):
    file.write_bytes(sealed([b"hello"]))


def damage_resealed_model(store, file):
    with h5py.File(file, "w") as hdf:
        hdf["V"] = np.eye(2)
    file.write_bytes(sealed([file.read_bytes()]))


def damage_other_version(store, file):
    file.write_bytes(file.read_bytes()[:-SEAL_LENGTH])
    with h5py.File(file, "r+") as hdf:
        hdf.attrs["version"] = 2
    file.write_bytes(sealed([file.read_bytes()]))


def damage_edited(store, file):
    file.write_bytes(file.read_bytes()[:-SEAL_LENGTH])
    with h5py.File(file, "r+") as hdf:
        hdf["state"][3] = 7.0


DAMAGE = {
    damage_truncated: "no checksum at its end", damage_empty: "it has 0 bytes", damage_flipped_state: "were altered",
    damage_flipped_metadata: "were altered", damage_longer: "no checksum at its end", damage_text: "no checksum",
    damage_renamed: "snapshot of another parameter", damage_foreign: "snapshot of another model",
    damage_resealed_text: "not the HDF5 file of a snapshot", damage_resealed_model: "not the HDF5 file of a snapshot",
    damage_other_version: "format version 2", damage_edited: "no checksum at its end"}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_reported_set_aside_and_missing(store, damage):
    put(store, 0.25)
    put(store, 0.5)
    key = store.key([0.5, -0.5])
    damage(store, store.path(key))
    content = store.path(key).read_bytes()
    for seen in (fresh(store), store):  # whoever looks first
        with pytest.raises(StoreError, match=DAMAGE[damage]) as caught:
            seen.matrix(rows(0.25, 0.5), slice(0, 2))
        assert "\n" not in str(caught.value) and "run the study again" in str(caught.value)
        place, reason = seen.damaged[0]
        assert DAMAGE[damage] in reason
        assert place.read_bytes() == content
        assert place.parent == store.folder / "damaged"
        assert json.loads(place.with_suffix(".json").read_text())["reason"] == reason
        assert store.missing(rows(0.25, 0.5)).tolist() == [1]
        assert not store.has(key)
        place.rename(store.path(key))  # back, for the next
    assert store.missing(rows(0.25, 0.5)).tolist() == [1]
    put(store, 0.5)
    assert store.missing(rows(0.25, 0.5)).tolist() == []
    assert store.get([0.5, -0.5]).state.shape == (40,)


def test_damage_after_a_check_is_seen_too(store):
    put(store, 0.5)
    file = store.path(store.keys()[0])
    for wait in (0.0, 0.15):
        time.sleep(wait)
        assert store.missing(rows(0.5)).tolist() == []
        status = file.stat()
        flip(file, -SEAL_LENGTH - 5)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert store.missing(rows(0.5)).tolist() == [0]
        put(store, 0.5)


def test_a_file_is_checked_once(store, monkeypatch):
    put(store, 0.5)
    time.sleep(0.15)
    looks = []
    check = snapshot_file.check_seal
    monkeypatch.setattr(snapshot_file, "check_seal", lambda stream: (looks.append(1), check(stream)))
    for _ in range(3):
        assert store.missing(rows(0.5)).tolist() == []
        store.matrix(rows(0.5))
    assert len(looks) == 1


def test_set_aside_keeps_all_of_them(store):
    for _ in range(3):
        put(store, 0.5)
        damage_truncated(store, store.path(store.keys()[0]))
        assert store.missing(rows(0.5)).tolist() == [0]
    assert len({place for place, _ in store.damaged}) == 3
    assert len(list((store.folder / "damaged").glob("*.h5"))) == 3


def test_missing_without_a_check_looks_at_names_only(store):
    put(store, 0.5)
    damage_truncated(store, store.path(store.keys()[0]))
    assert store.missing(rows(0.5, 0.6), check=False).tolist() == [1]
    assert store.damaged == []


def test_files_of_others_are_not_snapshots(store):
    put(store, 0.5)
    folder = store.path(store.keys()[0]).parent
    for name in ("notes.txt", "x.h5", f"{'a' * 64}.h5.1-2.part"):
        (folder / name).write_bytes(b"x")
    assert len(store) == 1 and store.n == 40


def test_a_file_made_by_another_version_of_hdf5_is_read(store, monkeypatch):
    """Another layout of the same content; here without the space that h5py leaves in its first opening."""
    snapshot = put(store, 0.5)
    file = store.path(store.keys()[0])
    with h5py.File(file, "r") as old, h5py.File(file.with_suffix(".new"), "w", libver="latest") as new:
        new.attrs.update(dict(old.attrs))
        for name in ("info", "outputs", "key", "mu", "state"):
            new.create_dataset(name, data=old[name][()], dtype=old[name].dtype)
    content = file.with_suffix(".new").read_bytes()
    with h5py.File(file.with_suffix(".new"), "r") as new:
        end = new["state"].id.get_offset() + new["state"].nbytes
    assert content[:end] != file.read_bytes()[:end]
    file.write_bytes(sealed([content[:end]]))
    put(store, 0.25)
    again = fresh(store)
    assert again.missing(rows(0.25, 0.5)).tolist() == []
    assert again.get([0.5, -0.5]).state.tobytes() == snapshot.state.tobytes()
    assert again.matrix(rows(0.25, 0.5)).shape == (40, 2)


