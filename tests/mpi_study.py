"""A folder with the store of the job in `tests/mpi_job.py`, and what an executor is asked."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from romflow.store.snapshots import SnapshotStore
from romflow.tasks.mpi_folder import MARK
from tests import mpi_job

SPEC = {"model": {"kind": "split line"}}


class MpiStudy:
    """What is needed to solve on two ranks in a folder, and what has become of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.request = {"kind": "split-line", "options": options, "parameters": {}, "base": str(folder), "ranks": 2}
        self.store = SnapshotStore(folder / "store", SPEC, ["a"])

    def solve(self, executor: Any, values: Any, on_done: Any = None, time_limit: float | None = None) -> list[Any]:
        """Records of the solves at a = each of the values."""
        executor.launch = replace(executor.launch, module=mpi_job.__name__, time_limit=time_limit)
        mu = np.asarray(values, dtype=float).reshape(-1, 1)
        return executor.solve(self.request, self.store.folder, ["a"], mu, on_done)

    def jobs(self) -> list[tuple[int, int]]:
        """Ranks and number of parameters of each job that was begun."""
        file = self.folder / "jobs.txt"
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
        return [(sum(other[1:] == line[1:] for other in lines), int(line[3])) for line in lines if line[1] == "0"]

    def check(self, values: Any) -> None:
        """The snapshots at these values are stored and right, and there are no others."""
        wanted = np.asarray(values, dtype=float)
        assert len(self.store) == len(wanted) and not len(self.store.missing(wanted[:, None]))
        states = self.store.matrix(wanted[:, None])
        assert np.array_equal(states, np.outer(np.arange(1.0, mpi_job.N + 1), wanted))


def ranks_alive(folder: Path) -> list[int]:
    """Process numbers of launchers and ranks whose job's folder is below `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if MARK in process.environ() and str(folder) in words:
                found.append(process.pid)
    return found


def until(condition: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait until a condition holds; the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "waited too long"
        time.sleep(0.02)
    return time.monotonic() - start


def script(folder: Path, name: str, text: str) -> Path:
    """An executable file."""
    file = folder / name
    file.write_text(text.replace("PYTHON", sys.executable), encoding="utf-8")
    file.chmod(0o700)
    return file
