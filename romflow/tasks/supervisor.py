"""The process that owns the local workers: it starts them, replaces those that die, and ends them with the driver.

It is a child of the driver in a session of its own, so that Ctrl-C and signals to the driver's process group do not
reach it or the workers. It imports what workers need once and forks them, which makes a new worker in some
milliseconds. It ends with its standard input, which the driver holds open: however the driver dies, the workers and all
programs that they started are killed within a second. Linux adopts a dead worker's programs to it, and it kills them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

__all__ = ["main"]

#: Exit code of a worker that could not start, and of the supervisor if that goes on.
CANNOT_START = 71
_ATTEMPTS = 3
_POLL = 0.2
_MARK = "ROMFLOW_WORKER"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> NoReturn:
    """Read the configuration, one line of JSON on standard input, and supervise until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = os.getppid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    from romflow.tasks import worker  # before the configuration is there: the driver makes it meanwhile

    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    config = json.loads(line)

    def work(slot: str) -> None:
        worker.work(config["address"], slot, config["folder"], config["ranks"])

    code = CANNOT_START
    try:
        code = _Supervisor(work, config["workers"], driver).run()
    finally:
        _kill_all()
        if not code:  # the driver has ended, perhaps without its own clearing up
            shutil.rmtree(config["folder"], ignore_errors=True)
        os._exit(code)


class _Supervisor:
    def __init__(self, work: Callable[[str], None], count: int, driver: int) -> None:
        self.work, self.count, self.driver = work, count, driver
        self.workers: dict[int, tuple[int, str]] = {}  # process number -> (slot, mark of its children)
        self.started = 0
        self.failed_starts = 0

    def run(self) -> int:
        """Keep all workers alive until the driver closes standard input or dies."""
        for slot in range(self.count):
            self._fork(slot)
        while os.getppid() == self.driver and not _ended(0, _POLL):
            self._reap()
            if self.failed_starts >= _ATTEMPTS:
                return CANNOT_START
        return 0

    def _fork(self, slot: int) -> None:
        self.started += 1
        mark = f"{os.getpid()}-{self.started}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BLAS may have threads, which it ends and restarts around a fork itself
            number = os.fork()
        if number:
            self.workers[number] = (slot, mark)
            return
        try:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.environ[_MARK] = mark
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed worker loses no output
            with contextlib.suppress(OSError):  # if memory runs out, a worker ends and not the driver
                Path("/proc/self/oom_score_adj").write_text("500")
            self.work(f"local-{slot}-{self.started}")
        except BaseException:
            os._exit(CANNOT_START)
        os._exit(0)

    def _reap(self) -> None:
        """Collect what has ended; replace workers, and kill what a dead worker left running."""
        while (ended := _wait_any()) is not None:
            number, status = ended
            if number not in self.workers:
                continue
            slot, mark = self.workers.pop(number)
            _kill_marked(mark)
            if os.waitstatus_to_exitcode(status) == CANNOT_START:
                self.failed_starts += 1
            else:
                self.failed_starts = 0
            self._fork(slot)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _ended(descriptor: int, timeout: float) -> bool:
    """Whether a pipe was closed at its other end."""
    ready, _, _ = select.select([descriptor], [], [], timeout)
    return bool(ready) and not os.read(descriptor, 1)


def _wait_any() -> tuple[int, int] | None:
    try:
        number, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (number, status) if number else None


def _children() -> list[int]:
    """Process numbers of the children of this process, adopted ones too."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid() and fields[0] != "Z":
                    found.append(int(entry))
    return found


def _kill_marked(mark: str) -> None:
    """Kill the adopted children that bear a dead worker's mark in their environment, and theirs after them."""
    sign = f"{_MARK}={mark}".encode()
    for _ in range(10):
        marked = []
        for number in _children():
            with contextlib.suppress(OSError):
                if sign in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                    marked.append(number)
        if not marked:
            return
        _kill(marked)
        time.sleep(0.01)


def _kill_all() -> None:
    """Kill all children; theirs become children of this process, and are killed next."""
    for _ in range(100):
        numbers = _children()
        if not numbers:
            return
        _kill(numbers)
        time.sleep(0.01)
        while _wait_any() is not None:
            pass


def _kill(numbers: list[int]) -> None:
    for number in numbers:
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)
