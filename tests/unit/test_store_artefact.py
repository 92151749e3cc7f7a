"""Files of reduced models: self-describing, the same bytes for the same content, and clear words for all others."""

import json
import os
import time

import h5py
import numpy as np
import pytest

from romflow.core.errors import InputError, StoreError
from romflow.store.artefact import read_artefact, write_artefact
from romflow.store.seal import SEAL_LENGTH, sealed

ARRAYS = {"V": np.arange(6.0).reshape(3, 2), "operator/0": np.eye(2), "operator/1": np.eye(2, dtype=np.float32),
          "flags": np.array([True, False]), "dofs": np.arange(3), "names": np.array([b"mean", b"max"]),
          "empty": np.zeros((0, 3)), "scalar": np.array(2.5)}
METADATA = {"study": "block", "theta": ["a", "1"], "nothing": None, "size": np.int64(2), "bad": np.nan}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.h5"
    write_artefact(path, "affine", ARRAYS, METADATA)
    return path


def test_what_is_written_is_read(model):
    kind, arrays, metadata = read_artefact(model)
    assert kind == "affine"
    assert metadata == {"study": "block", "theta": ["a", "1"], "nothing": None, "size": 2, "bad": None}
    assert list(arrays) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array), name
        arrays[name][...] = array  # writable
    assert sorted(os.listdir(model.parent)) == ["model.h5"]


def test_h5py_alone_opens_it(model):
    with h5py.File(model, "r") as file:
        assert file.attrs["format"] == "romflow-model" and file.attrs["version"] == 1 and file.attrs["kind"] == "affine"
        assert json.loads(file.attrs["metadata"])["study"] == "block"
        assert file["operator"]["1"].dtype == np.float32
        assert file["V"][()].tolist() == ARRAYS["V"].tolist()
    assert model.read_bytes().startswith(b"\x89HDF\r\n\x1a\n")


def test_the_bytes_follow_from_the_content(model, tmp_path):
    time.sleep(1.1)  # HDF5 would write seconds
    write_artefact(tmp_path / "b.h5", "affine", dict(sorted(ARRAYS.items(), reverse=True)), METADATA)
    assert (tmp_path / "b.h5").read_bytes() == model.read_bytes()
    fortran = {name: np.array(array, order="F") for name, array in ARRAYS.items()}
    write_artefact(tmp_path / "c.h5", "affine", {**fortran, "V": ARRAYS["V"].astype(">f8")}, METADATA)
    assert (tmp_path / "c.h5").read_bytes() == model.read_bytes()
    write_artefact(tmp_path / "d.h5", "affine", ARRAYS, {**METADATA, "study": "blocK"})
    assert (tmp_path / "d.h5").read_bytes() != model.read_bytes()


def test_long_metadata(tmp_path):
    text = {"text": "x" * 1_000_000}
    for name in ("a", "b"):
        write_artefact(tmp_path / name, "affine", {}, text)
    assert read_artefact(tmp_path / "a") == ("affine", {}, text)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("arrays", "words"), [
    ({"": np.eye(2)}, "is called ''"), ({"/V": np.eye(2)}, "is called '/V'"), ({"a/": np.eye(2)}, "is called 'a/'"),
    ({"a/../b": np.eye(2)}, "use words"), ({"a/b": np.eye(2), "a": np.eye(2)}, "an array or a group"),
    ({"a": np.array([{}])}, "has type object"), ({"a": np.array(["text"])}, "has type <U4")])
def test_wrong_arrays_are_refused(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words):
        write_artefact(tmp_path / "model.h5", "affine", arrays, {})
    assert not list(tmp_path.iterdir())


def edit(path, change):
    """Change a file as another program would, without a new seal."""
    path.write_bytes(path.read_bytes()[:-SEAL_LENGTH])
    with h5py.File(path, "r+") as file:
        change(file)


@pytest.mark.parametrize("seal", [False, True])
@pytest.mark.parametrize(("change", "words"), [
    (lambda file: file.attrs.modify("version", 7),
     "was written in format version 7; this romflow reads version 1: update romflow"),
    (lambda file: file.attrs.modify("format", "other"), "is an HDF5 file, but not a romflow model")])
def test_other_files_are_told_apart(model, change, words, seal):
    edit(model, change)
    if seal:
        model.write_bytes(sealed([model.read_bytes()]))
    with pytest.raises(StoreError, match=words):
        read_artefact(model)


def test_foreign_hdf5(tmp_path):
    with h5py.File(tmp_path / "mesh.h5", "w") as file:
        file["points"] = np.eye(3)
    with pytest.raises(StoreError, match="mesh.h5 is an HDF5 file, but not a romflow model; give the model.h5"):
        read_artefact(tmp_path / "mesh.h5")


@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2], lambda content: content[:-1], lambda content: b"",
    lambda content: b"hello", lambda content: content.replace(b"block", b"blocK"), lambda content: content[100:],
    lambda content: sealed([b"hello" * 100])])
def test_damaged_files(model, damage):
    model.write_bytes(damage(model.read_bytes()))
    with pytest.raises(StoreError, match=r"model.h5 is damaged: .*; export or build it again\.$") as caught:
        read_artefact(model)
    assert "\n" not in str(caught.value)


def test_edited_files(model):
    edit(model, lambda file: file["V"].write_direct(np.zeros((3, 2))))
    with pytest.raises(StoreError, match="is damaged: it has no checksum"):
        read_artefact(model)


def test_a_missing_file(tmp_path):
    with pytest.raises(StoreError, match="no such file or directory"):
        read_artefact(tmp_path / "none.h5")
    with pytest.raises(StoreError, match="directory"):
        read_artefact(tmp_path)
    with pytest.raises(StoreError, match="no such file or directory; create its folder first"):
        write_artefact(tmp_path / "none" / "model.h5", "affine", {}, {})
