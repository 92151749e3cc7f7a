"""Laws of the store: what is put is got back bit by bit, and no altered file is taken for what was written."""

import io
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from romflow.core.errors import StoreError
from romflow.core.fingerprint import snapshot_key
from romflow.core.snapshot import Snapshot
from romflow.store.artefact import read_artefact, write_artefact
from romflow.store.seal import SEAL_LENGTH, Damaged, check_seal, sealed
from romflow.store.snapshots import SnapshotStore

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VECTORS = arrays(np.float64, st.integers(1, 40), elements=FINITE)
OUTPUTS = st.none() | arrays(np.float64, st.integers(0, 3), elements=FINITE)
PARAMETERS = st.integers(0, 4).flatmap(lambda p: st.lists(FINITE, min_size=p, max_size=p))
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                    max_leaves=8)
INFOS = st.dictionaries(st.text(max_size=300), JSON, max_size=4)
KINDS = st.sampled_from(["<f8", "<f4", "<i8", "<u2", "?", "<c16", "S3", ">f8"])
NAMES = st.lists(st.text("abcXYZ_09", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Folders that no other example uses."""
    base, count = tmp_path_factory.mktemp("law"), itertools.count()
    return lambda: base / str(next(count))


def same_snapshot(pair):
    found, wanted = pair
    assert found.state.tobytes() == wanted.state.tobytes()
    assert (found.outputs is None) == (wanted.outputs is None)
    if found.outputs is not None:
        assert found.outputs.tobytes() == wanted.outputs.tobytes()
    assert found.info == wanted.info


@given(mu=PARAMETERS, state=VECTORS, outputs=OUTPUTS, info=INFOS, again=VECTORS)
def test_get_gives_the_bits_that_were_put(numbered, mu, state, outputs, info, again):
    columns = [f"c{index}" for index in range(len(mu))]
    store = SnapshotStore(numbered(), {"a": 1}, columns)
    snapshot = Snapshot(state, outputs, info)
    key = store.put(mu, snapshot)
    assert key == snapshot_key(store.fingerprint, mu)
    same_snapshot((store.get(mu), snapshot))
    seen = SnapshotStore.open(store.folder)
    same_snapshot((seen.get(key), snapshot))
    assert seen.matrix(np.array([mu]).reshape(1, -1)).tobytes() == state.tobytes()
    seen.put(mu, Snapshot(again, outputs, {}))
    same_snapshot((store.get(mu), Snapshot(again, outputs, {})))


def test_a_moved_snapshot_is_told_apart(must_fail):
    wanted = Snapshot([1.0, 0.0], [2.0], {"a": 1})
    must_fail(same_snapshot, (Snapshot([1.0, -0.0], [2.0], {"a": 1}), wanted),
              (Snapshot([np.nextafter(1.0, 2.0), 0.0], [2.0], {"a": 1}), wanted),
              (Snapshot([1.0, 0.0], None, {"a": 1}), wanted), (Snapshot([1.0, 0.0], [2.0], {"a": 2}), wanted))


@pytest.fixture(scope="module")
def one(numbered):
    """A store with one snapshot, and the bytes of its file."""
    store = SnapshotStore(numbered(), {"a": 1}, ["x"])
    store.put([0.5], Snapshot(np.arange(1.0, 30.0), [1.0], {"seconds": 0.5}))
    file = store.path(store.keys()[0])
    return store, file, file.read_bytes()


@settings(max_examples=300)
@given(place=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_passes(one, place, bit):
    store, file, content = one
    altered = bytearray(content)
    altered[int(place * len(content))] ^= 1 << bit
    file.write_bytes(bytes(altered))
    assert SnapshotStore.open(store.folder).missing([[0.5]]).tolist() == [0]
    file.write_bytes(content)
    assert SnapshotStore.open(store.folder).missing([[0.5]]).tolist() == []


@settings(max_examples=100)
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_no_cut_file_passes(one, share):
    store, file, content = one
    file.write_bytes(content[: int(share * len(content))])
    assert SnapshotStore.open(store.folder).missing([[0.5]]).tolist() == [0]


@given(parts=st.lists(st.binary(max_size=200), max_size=4))
def test_a_seal_holds_for_its_bytes_only(parts):
    content = sealed(parts)
    assert content[:-SEAL_LENGTH] == b"".join(parts)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(content)
        check_seal(file)
        file.seek(0, io.SEEK_END)
        file.write(b"\n")
        with pytest.raises(Damaged):
            check_seal(file)


def same_artefact(pair):
    (kind, found, metadata), (wanted_kind, wanted, wanted_metadata) = pair
    assert kind == wanted_kind and metadata == wanted_metadata and set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].tobytes() == np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()


SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = KINDS.flatmap(lambda kind: arrays(np.dtype(kind), SHAPES))


@given(kind=st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()), metadata=INFOS,
       content=st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_an_artefact_is_read_as_it_was_written(numbered, kind, metadata, content):
    for name in list(content):
        for group in itertools.accumulate(name.split("/")[:-1], lambda a, b: f"{a}/{b}"):
            content.pop(group, None)
    path = numbered()
    write_artefact(path, kind, content, metadata)
    same_artefact((read_artefact(path), (kind, content, metadata)))
    first = path.read_bytes()
    write_artefact(path, kind, dict(reversed(content.items())), dict(reversed(metadata.items())))
    assert path.read_bytes() == first


def test_a_moved_artefact_is_told_apart(must_fail):
    wanted = ("a", {"V": np.array([1.0, 2.0])}, {"n": 1})
    must_fail(same_artefact, (("b", wanted[1], wanted[2]), wanted),
              (("a", {"V": np.array([1.0, 2.1])}, {"n": 1}), wanted),
              (("a", {"V": np.array([[1.0, 2.0]])}, {"n": 1}), wanted), (("a", {}, {"n": 1}), wanted),
              (("a", wanted[1], {"n": 2}), wanted))


@settings(max_examples=300)
@given(place=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
def test_no_altered_artefact_is_read(model, place, bit):
    file, content = model
    altered = bytearray(content)
    altered[int(place * len(content))] ^= 1 << bit
    file.write_bytes(bytes(altered))
    with pytest.raises(StoreError) as caught:
        read_artefact(file)
    assert "\n" not in str(caught.value)


@settings(max_examples=100)
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_no_cut_artefact_is_read(model, share):
    file, content = model
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError, match="is damaged: .*; export or build it again"):
        read_artefact(file)


@pytest.fixture(scope="module")
def model(numbered) -> tuple[Path, bytes]:
    path = numbered()
    write_artefact(path, "affine", {"V": np.arange(12.0).reshape(4, 3), "operator/0": np.eye(3)}, {"name": "a"})
    return path, io.BytesIO(path.read_bytes()).getvalue()
