"""One run of an external program: own process group, time limit, output kept in bounds, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from romflow.fom.watchdog import guarded

_TAIL = 16000
_BLOCK = 1 << 16
_TICK = 0.05
# Seconds from SIGTERM to SIGKILL, and seconds given to pipes that a process outside the group keeps open.
_GRACE = 2.0
_DRAIN = 0.5


@dataclass(frozen=True)
class Finished:
    """What a program did.

    Attributes
    ----------
    exit_code : int
        Negative: the signal that ended it.
    stdout : bytes
        All of it if it starts with `prefix` and fits in the limit, else its first bytes.
    overflow : bool
        It starts with `prefix` and does not fit in the limit.
    stderr : bytes
        The end of it.
    wall_seconds, cpu_seconds : float
        Elapsed time; processor time of the program and of the children that it waited for.
    timed_out : bool
        It was ended by the time limit.
    """

    exit_code: int
    stdout: bytes
    overflow: bool
    stderr: bytes
    wall_seconds: float
    cpu_seconds: float
    timed_out: bool


@dataclass
class _Tail:
    """Keeps the last bytes."""

    data: bytearray = field(default_factory=bytearray)

    def take(self, block: bytes) -> None:
        self.data += block
        del self.data[:-_TAIL]


@dataclass
class _Head:
    """Keeps everything up to `limit` if it starts with `prefix`, else the first bytes."""

    prefix: bytes
    limit: int
    data: bytearray = field(default_factory=bytearray)
    overflow: bool = False

    def take(self, block: bytes) -> None:
        wanted = self.data.startswith(self.prefix) or self.prefix.startswith(bytes(self.data[:len(self.prefix)]))
        room = (self.limit if wanted else _TAIL) - len(self.data)
        self.overflow = self.overflow or (wanted and len(block) > room)
        self.data += block[:max(0, room)]


def run(command: list[str], request: Path, folder: Path, timeout: float | None, prefix: bytes, limit: int) -> Finished:
    """Run a program to its end, and end every process of its group that it leaves behind.

    Parameters
    ----------
    command : list of str
        Program and arguments; no shell.
    request : Path
        File that becomes its standard input.
    folder : Path
        Its working folder.
    timeout : float or None
        Seconds; then the group gets SIGTERM, and SIGKILL after 2 s.
    prefix, limit : bytes, int
        Standard output is kept, up to `limit` bytes, if it starts with `prefix`; the rest is read and dropped.

    Raises
    ------
    OSError
        The program cannot be started.
    """
    start = time.monotonic()
    with open(request, "rb") as stdin:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
                                   start_new_session=True)
    stdout, stderr = _Head(prefix, limit), _Tail()
    assert_pipes = ((process.stdout, stdout), (process.stderr, stderr))
    with guarded(process.pid), selectors.DefaultSelector() as selector, contextlib.ExitStack() as pipes:
        for pipe, sink in assert_pipes:
            _open(selector, pipes, pipe, sink)
        try:
            timed_out = not _wait(process, selector, None if timeout is None else start + timeout)
            if timed_out:
                _signal(process, signal.SIGTERM)
                _wait(process, selector, time.monotonic() + _GRACE)
        finally:
            # The leader is not reaped yet, so that its number still means its group.
            _signal(process, signal.SIGKILL)
            usage = _reap(process)
        _drain(selector, time.monotonic() + _DRAIN)
    return Finished(process.returncode, bytes(stdout.data), stdout.overflow, bytes(stderr.data),
                    time.monotonic() - start, usage, timed_out)
