"""The snapshot store: what was put is got back, and nothing else is ever taken for it."""

import json
import os
import subprocess
import time

import h5py
import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, StoreError
from romflow.core.fingerprint import snapshot_key
from romflow.core.snapshot import Snapshot
from romflow.store.seal import SEAL_LENGTH
from romflow.store.snapshots import SnapshotStore
from tests.toy_store import SPEC, fresh, put, rows


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path / "store", SPEC, ["a", "b"])


# -- put and get ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("outputs", [None, (), (3.0,), (1.0, 2.0)])
@pytest.mark.parametrize("n", [1, 2, 1000])
def test_get_gives_what_was_put(store, n, outputs):
    info = {"seconds": 0.25, "host": "n\u00f6de", "nested": {"list": [1, None, True]}, "count": np.int64(3)}
    snapshot = put(store, 0.7, n, outputs, info)
    for which in ([0.7, -0.7], store.key([0.7, -0.7])):
        found = store.get(which)
        assert found.state.tobytes() == snapshot.state.tobytes()
        assert found.info == {**info, "count": 3}
        if outputs is None:
            assert found.outputs is None
        else:
            assert found.outputs.tobytes() == snapshot.outputs.tobytes()


def test_a_snapshot_is_not_shared_with_the_store(store):
    put(store, 0.5, info={"a": [1]})
    first = store.get([0.5, -0.5])
    first.state[:] = 0.0
    first.outputs[:] = 0.0
    first.info["a"].append(2)
    second = store.get([0.5, -0.5])
    assert second.state[0] != 0.0 and second.outputs[0] != 0.0 and second.info == {"a": [1]}


def test_put_replaces(store):
    put(store, 0.5, info={"long": "x" * 5000})
    time.sleep(0.15)  # beyond the age below which checks are not remembered
    assert store.get([0.5, -0.5]).info["long"]
    store.put([0.5, -0.5], Snapshot(np.full(40, 9.0)))
    assert store.matrix(rows(0.5))[3, 0] == 9.0
    assert store.get([0.5, -0.5]).info == {}


def test_keys_follow_the_bits_of_mu(store):
    assert store.key([0.0, 1.0]) == store.key([-0.0, 1.0]) == snapshot_key(store.fingerprint, [0.0, 1.0])
    assert store.key([0.0, 1.0]) != store.key([np.nextafter(0.0, 1.0), 1.0])
    put(store, 0.5)
    assert store.keys() == [store.key([0.5, -0.5])]
    assert len(store) == 1
    assert store.has([0.5, -0.5]) and not store.has([0.5, 0.5])


def test_a_snapshot_opens_with_h5py_alone(store):
    snapshot = put(store, 0.5)
    with h5py.File(store.path(store.key([0.5, -0.5])), "r") as file:
        assert file.attrs["format"] == "romflow-snapshot"
        assert file.attrs["version"] == 1
        assert file.attrs["fingerprint"] == store.fingerprint
        assert file["key"][()].decode() == store.key([0.5, -0.5])
        assert file["mu"][()].tolist() == [0.5, -0.5]
        assert file["state"][()].tobytes() == snapshot.state.tobytes()
        assert file["outputs"][()].tolist() == snapshot.outputs.tolist()
        assert json.loads(file["info"][()]) == {"seconds": 0.5}


def test_the_seal_can_be_checked_without_romflow(store):
    put(store, 0.5)
    content = store.path(store.key([0.5, -0.5])).read_bytes()
    answer = subprocess.run(["sha256sum"], input=content[:-SEAL_LENGTH], capture_output=True, check=True)
    assert content[-SEAL_LENGTH:] == b"\nsha256 " + answer.stdout[:64] + b"\n"


def test_files_are_small(store):
    put(store, 0.5, n=1)
    assert store.path(store.keys()[0]).stat().st_size < 8192


@pytest.mark.parametrize(("mu", "error"), [
    ([0.5], ShapeError), ([[0.5, 0.5]], ShapeError), ([0.5, np.nan], ParameterError), ([0.5, np.inf], ParameterError)])
def test_mu_is_checked(store, mu, error):
    for call in (store.key, store.get, store.has, store.clear_failure, lambda mu: store.put(mu, Snapshot([1.0]))):
        with pytest.raises(error):
            call(mu)


def test_many_mu_are_checked(store):
    for call in (store.missing, store.matrix, store.outputs, store.seconds, lambda mu: next(store.row_blocks(mu, 2))):
        with pytest.raises(ShapeError, match=r"rows \(k, 2\)"):
            call([0.5, 0.5])


def test_only_finite_numbers_are_stored(store):
    with pytest.raises(InputError, match=r"state\[1\] = nan is not finite"):
        store.put([0.5, 0.5], Snapshot([1.0, np.nan]))
    with pytest.raises(InputError, match=r"outputs\[0\] = inf is not finite"):
        store.put([0.5, 0.5], Snapshot([1.0], [np.inf]))
    with pytest.raises(ShapeError, match="empty"):
        store.put([0.5, 0.5], Snapshot([]))
    with pytest.raises(ConfigError, match="object"):
        store.put([0.5, 0.5], Snapshot([1.0], info={"a": object()}))
    assert len(store) == 0


@pytest.mark.parametrize("key", ["", "abc", "../../../etc/passwd", "g" * 64, "A" * 64, "a" * 63 + "\n"])
def test_a_text_that_is_no_key_is_refused(store, key):
    with pytest.raises(InputError, match="is no key"):
        store.get(key)


def test_what_is_not_stored_is_an_error(store):
    with pytest.raises(StoreError, match="solve its parameter first"):
        store.get([0.5, 0.5])
    with pytest.raises(StoreError, match="holds no snapshots yet"):
        _ = store.n


# -- which store ------------------------------------------------------------------------------------------------------

def test_the_same_model_opens_its_store_again(store):
    put(store, 0.5)
    again = SnapshotStore(store.folder, {"spec": {"blocks": (3, 3), "cells": 9}, "model": {"kind": "line"}}, ["a", "b"])
    assert again.missing(rows(0.5)).tolist() == []
    assert SnapshotStore.open(store.folder).spec == SPEC
    assert SnapshotStore.open(store.folder).columns == ("a", "b")


@pytest.mark.parametrize(("spec", "columns", "words"), [
    ({**SPEC, "spec": {"cells": 10, "blocks": [3, 3]}}, ["a", "b"], "differs in key 'spec.cells': 9 there, 10 here"),
    ({**SPEC, "spec": {"cells": 9, "blocks": [3, 4]}}, ["a", "b"], r".*'spec.blocks\[1\]': 3 there, 4 here"),
    ({**SPEC, "extra": 1}, ["a", "b"], "differs in key 'extra': absent there, 1 here"),
    ({**SPEC, "spec": {"cells": 9.0, "blocks": [3, 3]}}, ["a", "b"], "differs in key 'spec.cells'"),
    (SPEC, ["a", "c"], r"differs in key 'columns\[1\]': 'b' there, 'c' here"),
    (SPEC, ["a"], r"differs in key 'columns'")])
def test_another_model_is_refused(store, spec, columns, words):
    with pytest.raises(StoreError, match=f"holds snapshots of another model or study .{words}.*choose another --out"):
        SnapshotStore(store.folder, spec, columns)


def test_a_store_that_does_not_exist(tmp_path):
    with pytest.raises(StoreError, match=r"no file store.json"):
        SnapshotStore(tmp_path / "none", SPEC, ["a"], create=False)
    assert not (tmp_path / "none").exists()
    with pytest.raises(StoreError, match="no such file"):
        SnapshotStore.open(tmp_path / "none")


@pytest.mark.parametrize(("text", "words"), [
    ("", "not JSON"), ("[]", "not the description"), ('{"format": "other"}', "not the description"),
    ('{"format": "romflow-store", "version": 7}', "format version 7; this romflow reads version 1: update romflow"),
    ('{"format": "romflow-store", "version": 1, "spec": {}, "fingerprint": "0", "columns": []}', "is damaged")])
def test_a_damaged_description_is_refused(store, text, words):
    (store.folder / "store.json").write_text(text)
    with pytest.raises(StoreError, match=words):
        fresh(store)


def test_a_description_that_was_removed_is_written_again(store):
    put(store, 0.5)
    (store.folder / "store.json").unlink()
    assert fresh(store).missing(rows(0.5)).tolist() == []


def test_leavings_of_killed_writers_are_removed_after_an_hour(store):
    put(store, 0.5)
    folder = store.path(store.keys()[0]).parent
    old, new = folder / "a.h5.1-0.part", folder / "b.h5.2-0.part"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    assert fresh(store).keys() == store.keys()
    assert not old.exists() and new.exists()


# -- matrices ---------------------------------------------------------------------------------------------------------

def test_matrix_and_row_blocks(store):
    values = (0.25, 0.5, 0.75)
    U = np.stack([put(store, a).state for a in values], axis=1)
    mu = rows(*values)
    whole = store.matrix(mu)
    assert whole.flags.f_contiguous and whole.tobytes("F") == U.tobytes("F")
    for part in (slice(3, 9), slice(30, None), slice(-2, None), slice(5, 5), slice(9, 3), slice(35, 99)):
        assert np.array_equal(store.matrix(mu, part), U[part])
    with pytest.raises(InputError, match="step 2"):
        store.matrix(mu, slice(0, 10, 2))
    for block in (1, 7, 40, 1000):
        blocks = list(store.row_blocks(mu, block))
        assert np.array_equal(np.concatenate([part for _, part in blocks]), U)
        assert all(np.array_equal(U[where], part) for where, part in blocks)
    with pytest.raises(InputError, match="at least 1 row"):
        next(store.row_blocks(mu, 0))
    assert store.matrix(mu[[2, 0, 2]])[:, 2].tobytes() == U[:, 2].tobytes()
    assert store.matrix(np.empty((0, 2))).shape == (40, 0)
    assert store.n == 40


def test_matrix_reads_only_the_rows_asked_for(store, monkeypatch):
    n = 100_000
    for a in (0.25, 0.5):
        put(store, a, n)
    time.sleep(0.15)
    mu = rows(0.25, 0.5)
    store.missing(mu)
    read = []
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda d, buffers, at: (read.append(len(buffers[0])), preadv(d, buffers, at))[1])
    store.matrix(mu, slice(500, 600))
    assert sum(read) == 2 * 100 * 8


def test_row_blocks_hold_one_block(store):
    """Reading all of a matrix by blocks takes the memory of a block, also while the seals are checked."""
    import tracemalloc

    n = 2_000_000
    for a in (0.25, 0.5):
        put(store, a, n)
    seen = fresh(store)
    tracemalloc.start()
    try:
        total = sum(part[0, 0] for _, part in seen.row_blocks(rows(0.25, 0.5), 50_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(total)
    assert peak < 4 * 2 * 50_000 * 8 + 2**21 < n * 8


def test_states_of_different_length_do_not_make_a_matrix(store):
    put(store, 0.25, 40)
    put(store, 0.5, 30)
    with pytest.raises(StoreError, match="holds 30 entries, others 40"):
        store.matrix(rows(0.25, 0.5))


def test_outputs_and_seconds(store):
    put(store, 0.25)
    put(store, 0.5)
    assert store.outputs(rows(0.5, 0.25)).tolist() == [[0.5, 0.25], [1.0, 0.5]]
    assert store.seconds(rows(0.5, 0.25)).tolist() == [0.5, 0.25]
    put(store, 0.75, outputs=None, info={"host": "x"})
    assert store.outputs(rows(0.75)) is None
    assert np.isnan(store.seconds(rows(0.75))[0])
    with pytest.raises(StoreError, match="different numbers of outputs"):
        store.outputs(rows(0.5, 0.75))


# -- failures ---------------------------------------------------------------------------------------------------------

def test_failures(store):
    assert store.failures() == []
    store.record_failure([0.5, -0.5], {"message": "mesh not found", "attempts": 3, "exit_code": 1, "stderr": "no",
                                       "seconds": np.float64(np.nan)})
    store.record_failure([0.6, -0.6], {"message": "second"})
    first, second = sorted(store.failures(), key=lambda report: report["mu"])
    assert first["mu"] == [0.5, -0.5] and first["message"] == "mesh not found" and first["attempts"] == 3
    assert first["exit_code"] == 1 and first["stderr"] == "no" and first["seconds"] is None and first["when"]
    assert second["exit_code"] is None and second["attempts"] == 1
    assert len(SnapshotStore.open(store.folder).failures()) == 2
    assert store.failure([0.5, -0.5]) == first and store.failure([0.7, -0.7]) is None
    put(store, 0.5)
    assert [report["message"] for report in store.failures()] == ["second"]
    store.clear_failure([0.6, -0.6])
    store.clear_failure([0.6, -0.6])
    assert store.failures() == []
