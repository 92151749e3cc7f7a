"""Atomic files, JSON without NaN, folder locks."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from romflow.core import files
from romflow.core.errors import ConfigError, StoreError
from romflow.core.files import FolderLock, plain, read_json, write_atomic, write_json


def run_python(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_written_whole_and_replaces_the_old_one(tmp_path, sync):
    target = tmp_path / "a.bin"
    write_atomic(target, b"old", sync=sync)
    write_atomic(target, b"new", sync=sync)
    assert target.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, error):
    target = tmp_path / "a.bin"
    write_atomic(target, b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises((StoreError, KeyboardInterrupt)) as caught:
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]
    if isinstance(error, OSError):
        assert isinstance(caught.value, StoreError)
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value) == (
            f"cannot write {target}: no space left on device; free space or choose another folder."
        )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_is_full_gives_one_sentence(tmp_path, monkeypatch):
    real = open

    def full(path, *arguments, **named):
        return real("/dev/full", "wb") if str(path).endswith(".part") else real(path, *arguments, **named)

    monkeypatch.setattr(files, "open", full, raising=False)
    with pytest.raises(StoreError, match="no space left on device"):
        write_atomic(tmp_path / "a.bin", b"x" * 100_000)


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(StoreError, match="create its folder first"):
        write_atomic(tmp_path / "none" / "a", b"")


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    writer = run_python(
        """
        import os, signal, sys
        from romflow.core import files
        files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(sys.argv[1], b"new")
        """,
        str(target),
    )
    writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


def test_json_goes_and_comes_back(tmp_path):
    content = {"a": [1, 2.5, None, True], "ä": {"b": "c\n"}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), np.int64(3), {1: 2}, object()])
def test_json_refuses_what_it_cannot_hold(tmp_path, wrong):
    with pytest.raises(ConfigError):
        write_json(tmp_path / "a.json", {"x": [wrong]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_damaged_json_file_is_said(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StoreError, match="is damaged: it is not JSON") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_missing_json_file_is_said(tmp_path):
    with pytest.raises(StoreError, match="cannot read .*no such file"):
        read_json(tmp_path / "a.json")


def test_plain_converts_numpy_paths_and_non_finite_numbers():
    given = {
        "array": np.array([[1.0, np.nan]]),
        "scalar": np.float32(0.5),
        "flag": np.bool_(True),
        "path": Path("a/b"),
        "tuple": (1, -np.inf),
        "set": {2, 1},
        3: None,
    }
    assert plain(given) == {
        "array": [[1.0, None]],
        "scalar": 0.5,
        "flag": True,
        "path": "a/b",
        "tuple": [1, None],
        "set": [1, 2],
        "3": None,
    }
    with pytest.raises(ConfigError, match="a object has no JSON form"):
        plain([object()])


def test_one_lock_a_folder_and_the_holder_is_named(tmp_path):
    holder = run_python(
        """
        import sys, time
        from romflow.core.files import FolderLock
        with FolderLock(sys.argv[1]):
            print("held", flush=True)
            time.sleep(60)
        """,
        str(tmp_path),
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"{tmp_path} is in use by process {holder.pid} on ") as caught:
            FolderLock(tmp_path).__enter__()
        assert "\n" not in str(caught.value)
    finally:
        holder.kill()
        holder.communicate()
    with FolderLock(tmp_path):
        pass


def test_a_lock_is_freed_and_can_be_taken_again(tmp_path):
    lock = FolderLock(tmp_path)
    for _ in range(2):
        with lock, pytest.raises(StoreError, match="by this process already"):
            lock.__enter__()
    with FolderLock(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()} on"):
        FolderLock(tmp_path).__enter__()


def test_a_lock_needs_a_folder(tmp_path):
    with pytest.raises(StoreError, match="cannot lock"):
        FolderLock(tmp_path / "none").__enter__()
