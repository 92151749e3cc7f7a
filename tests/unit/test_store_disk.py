"""Disks that refuse, and writers that are killed: one sentence, and no half snapshot."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from romflow.core import files
from romflow.core.errors import StoreError
from romflow.store.snapshots import SnapshotStore
from tests.toy_store import SPEC, fresh, put, rows


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path / "store", SPEC, ["a", "b"])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, which fills up."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(small_disk):
    store = SnapshotStore(small_disk / "store", SPEC, ["a", "b"])
    with pytest.raises(StoreError) as caught:
        for a in range(1, 100):
            put(store, float(a), 10_000)
    assert caught.value.errno == errno.ENOSPC
    assert "no space left" in str(caught.value) and "\n" not in str(caught.value)
    assert not list(small_disk.rglob("*.part"))
    count = len(store)
    assert 5 < count < 13
    assert store.missing(rows(*np.arange(1.0, count + 2))).tolist() == [count]


def test_no_write_permission(store):
    put(store, 0.5)
    code = """
        import os, sys
        sys.path.insert(0, os.getcwd())
        from romflow.core.snapshot import Snapshot
        from romflow.store.snapshots import SnapshotStore
        os.chdir(sys.argv[1])
        if os.geteuid() == 0:
            os.setgid(65534), os.setuid(65534)
        store = SnapshotStore.open(".")
        print(store.missing([[0.5, -0.5], [0.6, -0.6]]), store.matrix([[0.5, -0.5]]).shape)
        for call in (lambda: store.put([0.6, -0.6], Snapshot([1.0])),
                     lambda: store.record_failure([0.6, -0.6], {"message": "x"}),
                     lambda: SnapshotStore("deeper", {}, ["a"])):
            try:
                call()
            except OSError as error:
                print(type(error).__name__, error)
    """
    entries = [store.folder, *store.folder.rglob("*")]
    for entry in entries:
        entry.chmod(0o555)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", textwrap.dedent(code), str(store.folder)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=root)
    for entry in entries:
        entry.chmod(0o755)
    lines = answer.stdout.splitlines()
    assert answer.returncode == 0, answer.stderr
    assert lines[0] == "[1] (40, 1)"
    assert len(lines) == 4
    assert all(line.startswith("StoreError cannot") and "permission denied" in line for line in lines[1:])


def test_a_refusal_to_read_is_not_damage(store, monkeypatch):
    put(store, 0.5)

    def refuse(path, like=None):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("romflow.store.snapshot_files.read_header", refuse)
    with pytest.raises(StoreError, match="cannot read .*input/output error"):
        store.missing(rows(0.5))
    assert store.damaged == [] and store.has([0.5, -0.5])


def test_an_error_while_writing_leaves_nothing(store, monkeypatch):
    def refuse(old, new):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(StoreError, match="no space left"):
        put(store, 0.5)
    assert len(store) == 0 and not list(store.folder.rglob("*.part"))


def test_a_killed_writer_leaves_no_snapshot(store, tmp_path):
    """A process that writes without end is killed at random moments; what it leaves is whole."""
    code = (
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "from romflow.core.snapshot import Snapshot\n"
        "from romflow.store.snapshots import SnapshotStore\n"
        "store = SnapshotStore.open(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "for a in range(10**9):\n"
        "    store.put([a % 50, -(a % 50)], Snapshot(np.arange(30_000.0) + a % 50))\n"
    )
    for wait in (0.02, 0.05, 0.11):
        writer = subprocess.Popen([sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(wait)
        writer.kill()
        writer.wait()
        writer.stdout.close()
    seen = fresh(store)
    mu = rows(*np.arange(50.0))
    there = np.setdiff1d(np.arange(50), seen.missing(mu))
    assert seen.damaged == [] and len(there) == len(seen) > 0
    assert np.array_equal(seen.matrix(mu[there]), np.arange(30_000.0)[:, None] + there)
