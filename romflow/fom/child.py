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

from romflow.core.mpi_environment import without_mpi
from romflow.fom.watchdog import guarded

_LAUNCHERS = ("mpiexec", "mpirun", "mpiexec.hydra", "orterun", "prterun")
_KEPT = 16000
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
        del self.data[:-_KEPT]


@dataclass
class _Head:
    """Keeps everything up to `limit` if it starts with `prefix`, else the first bytes."""

    prefix: bytes
    limit: int
    data: bytearray = field(default_factory=bytearray)
    full: bool = False

    def take(self, block: bytes) -> None:
        start = bytes(self.data[:len(self.prefix)])
        room = (self.limit if self.prefix.startswith(start) else _KEPT) - len(self.data)
        self.full = self.full or len(block) > room
        self.data += block[:max(0, room)]

    @property
    def overflow(self) -> bool:
        return self.full and self.data.startswith(self.prefix)


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
        process = subprocess.Popen(command, bufsize=0, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   cwd=folder, env=_environment(command[0]), start_new_session=True)
    stdout, stderr = _Head(prefix, limit), _Tail()
    timed_out = True
    with guarded(process.pid), selectors.DefaultSelector() as selector, contextlib.ExitStack() as pipes:
        try:
            _listen(selector, pipes, process.stdout, stdout)
            _listen(selector, pipes, process.stderr, stderr)
            timed_out = not _wait(process, selector, None if timeout is None else start + timeout)
        finally:
            cpu_seconds = _stop(process, selector, politely=timed_out)
        _drain(selector)
    return Finished(process.returncode, bytes(stdout.data), stdout.overflow, bytes(stderr.data),
                    time.monotonic() - start, cpu_seconds, timed_out)


def _environment(program: str) -> dict[str, str]:
    """Of a program: without the traces of an MPI job around this process; a launcher starts its ranks by itself."""
    return without_mpi(os.environ, slurm=Path(program).name not in _LAUNCHERS)


def _listen(selector: selectors.BaseSelector, pipes: contextlib.ExitStack, pipe: IO[bytes] | None,
            sink: _Tail | _Head) -> None:
    if pipe is not None:
        pipes.callback(pipe.close)
        selector.register(pipe, selectors.EVENT_READ, sink)


def _wait(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, deadline: float | None) -> bool:
    """Read the pipes until the program has ended (True) or the deadline has passed (False)."""
    pause = 0.001
    while not _ended(process):
        left = _TICK if deadline is None else deadline - time.monotonic()
        if left <= 0.0:
            return False
        # The end of both pipes usually means that the program ends now; otherwise look more and more rarely.
        silent = not selector.get_map()
        _read(selector, min(left, pause if silent else _TICK))
        pause = min(2.0 * pause, _TICK) if silent else pause
    return True


def _read(selector: selectors.BaseSelector, seconds: float) -> None:
    for key, _ in selector.select(seconds):
        block = os.read(key.fd, _BLOCK)
        if block:
            key.data.take(block)
        else:
            selector.unregister(key.fileobj)


def _drain(selector: selectors.BaseSelector) -> None:
    """Read what is left in the pipes; a process that left the group may keep them open, so only for a moment."""
    deadline = time.monotonic() + _DRAIN
    while selector.get_map() and (left := deadline - time.monotonic()) > 0.0:
        _read(selector, left)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the program has ended; it is not reaped, so that its number still means its group."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _stop(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, politely: bool) -> float:
    """End the group and set the exit code; processor seconds of the program and of the children that it waited for."""
    try:
        if politely:
            _signal(process, signal.SIGTERM)
            _wait(process, selector, time.monotonic() + _GRACE)
    finally:
        # Also when the wait is interrupted.
        _signal(process, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime
