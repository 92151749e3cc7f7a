"""The folder of one MPI job, and the mark in the environment by which its processes are found on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from romflow.core.files import refused

__all__ = ["MARK", "job_folder", "kill_marked"]

#: Environment variable of all processes of a job; its value is the name of the job's folder.
MARK = "ROMFLOW_MPI_JOB"
_PREFIX = "mpi-job."
_ROUNDS = 200


@contextlib.contextmanager
def job_folder(folder: str | Path) -> Iterator[Path]:
    """A new folder within `folder`, removed in the end; those of processes that have died are removed before.

    Raises
    ------
    StoreError
        The system refuses to make it.
    """
    host = socket.gethostname()
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for old in Path(folder).glob(f"{_PREFIX}{host}.*.*"):
            if not Path("/proc", old.name.split(".")[-2]).exists():
                shutil.rmtree(old, ignore_errors=True)
        place = tempfile.mkdtemp(prefix=f"{_PREFIX}{host}.{os.getpid()}.", dir=Path(folder).absolute())
    except OSError as error:
        raise refused("make a folder in", Path(folder), error) from error
    try:
        yield Path(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def kill_marked(mark: str) -> None:
    """Kill the processes of this machine that bear a job's mark, until there are none; nothing without /proc."""
    for _ in range(_ROUNDS):
        left = marked(mark)
        if not left:
            return
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.01)


def marked(mark: str) -> list[int]:
    """Process numbers of the living processes that bear a job's mark.

    Examples
    --------
    >>> marked("no such job")
    []
    """
    if not os.path.isdir("/proc"):
        return []
    sign, found = f"{MARK}={mark}".encode(), []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                if sign in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found
