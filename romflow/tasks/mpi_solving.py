"""Solves on MPI ranks: one job for many parameters, its lines as records, a new job for what a death has left."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import RomflowError, SolveFailed, StoreError
from romflow.core.files import plain
from romflow.core.names import one_line
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.batches import first_of_equal
from romflow.tasks.mpi import Launch, OnLine, run_ranks
from romflow.tasks.mpi_ends import own_error
from romflow.tasks.records import OnDone, SolveRecord

__all__ = ["run_job", "solve_on_ranks"]

_BUGS = 3
Suspicion = Callable[[NDArray[np.float64]], None]


def run_job(
    request: Mapping[str, Any],
    store_folder: str | Path,
    job: Mapping[str, Any],
    launch: Launch,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """The last line of a job of ``request["ranks"]`` ranks on a store; see :func:`romflow.tasks.mpi.run_ranks`.

    The job is told "request", "store" (absolute path), "ranks", "threads" and what `job` holds.

    Raises
    ------
    SolveFailed
        A rank died, the time limit passed or the job was cancelled.
    RomflowError
        What the job raised itself.
    """
    try:
        return _run(request, store_folder, job, launch, None, cancelled)
    except SolveFailed as failed:
        own = own_error(failed)
        if own is None:
            raise
        raise own from failed


def _run(
    request: Mapping[str, Any],
    store_folder: str | Path,
    job: Mapping[str, Any],
    launch: Launch,
    on_line: OnLine | None,
    cancelled: Callable[[], bool] | None,
) -> dict[str, Any]:
    ranks, store = int(request["ranks"]), Path(store_folder).absolute()
    told = {**job, "request": dict(request), "store": str(store), "ranks": ranks, "threads": launch.threads}
    return run_ranks(told, ranks, store, launch, on_line, cancelled)


def solve_on_ranks(
    request: dict[str, Any],
    store_folder: str,
    columns: Sequence[str],
    mu: Sequence[Sequence[float]],
    launch: Launch,
    retries: int = 0,
    suspicion: Suspicion | None = None,
    on_done: OnDone | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[list[SolveRecord], int, float]:
    """Solve on MPI ranks what is not stored; arguments and result of :func:`romflow.tasks.solving.solve_batch`.

    One job solves one parameter after the other and keeps its solver. If it dies at one of them, this attempt of that
    parameter has failed, and a new job goes on with the others first. A job that dies before any solve was begun is
    tried once more, or `retries` times if that is more. Three jobs in succession that end with the same error of the
    code, and solve nothing, are a bug of the code.

    Parameters
    ----------
    request, store_folder, columns, mu, retries, on_done
        As there; `request` has "ranks".
    launch : Launch
    suspicion : callable, optional
        Called with each parameter before it is solved.
    cancelled : callable, optional
        Asked several times a second whether to stop.

    Raises
    ------
    StoreError
        The disk is full or refuses, on any of the ranks.
    SolveFailed
        Jobs died before the first solve or by the same bug again and again, or one was cancelled.
    RomflowError
        The model cannot be built, or MPI cannot be started.
    """
    rows = np.array(mu, dtype=np.float64).reshape(len(mu), len(columns))
    store = SnapshotStore.open(store_folder)
    sweep = _Sweep(store, rows, retries, suspicion, on_done)
    start, false_starts = time.perf_counter(), 0
    while sweep.left:
        before, turn = sweep.progress, sweep.turn()
        job = {"mode": "solve", "columns": list(columns), "mu": rows[turn].tolist()}
        try:
            _run(request, store_folder, job, launch, sweep.note, cancelled)
        except SolveFailed as failed:
            _raise_fatal(failed, sweep, cancelled)
            false_starts += not sweep.died(failed)
            if false_starts > max(1, retries) or sweep.hopeless(failed):
                raise
        else:
            if sweep.progress == before:  # not even a failure
                raise RomflowError(f"the MPI job of {request['ranks']} ranks ended without a solve; romflow must be "
                                   "the same on all hosts.")
    return sweep.records(), sweep.solves, time.perf_counter() - start


def _raise_fatal(failed: SolveFailed, sweep: _Sweep, cancelled: Callable[[], bool] | None) -> None:
    """Raise what ends the study: a cancellation, a disk that refuses, and any error of ours before the first solve."""
    if cancelled is not None and cancelled():
        raise failed
    own = own_error(failed)
    if own is not None and (sweep.at is None or isinstance(own, StoreError)):
        raise own from failed


class _Sweep:
    """What became of the parameters, from the lines of one job after the other."""

    def __init__(self, store: SnapshotStore, rows: NDArray[np.float64], retries: int, suspicion: Suspicion | None,
                 on_done: OnDone | None) -> None:
        self.store, self.rows, self.retries, self.suspicion = store, rows, retries, suspicion
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._on_done = on_done
        self._first = first_of_equal(rows)
        self._found: dict[int, SolveRecord] = {}
        self._attempts = np.zeros(len(rows), dtype=int)
        self._spent = np.zeros(len(rows))
        self.progress = 0
        self.left: list[int] = []
        self.left = self._missing()
        self.solves = len(self.left)
        self.at: int | None = None
        self.begun = False
        self._turn: list[int] = []
        self._before, self._begun = 0, 0.0
        self._bugs: list[str] = []

    def _missing(self) -> list[int]:
        """Rows to solve, each of equal ones once, after the records of those that are stored."""
        unique = [index for index, first in enumerate(self._first) if index == first]
        missing = {unique[i] for i in self.store.missing(self.rows[unique])}
        there = [index for index in unique if index not in missing]
        for index, seconds in zip(there, self.store.seconds(self.rows[there]), strict=True):
            self._done(index, "stored", float(seconds) if np.isfinite(seconds) else 0.0)
        return [index for index in unique if index in missing]

    def turn(self) -> list[int]:
        """Rows of the next job: those that have failed least often first, else in order."""
        self._turn, self.at = sorted(self.left, key=lambda index: int(self._attempts[index])), None
        self._before = self.progress
        return self._turn

    def note(self, line: Mapping[str, Any]) -> None:
        """A line of the job."""
        if "begin" in line:
            self.at, self._begun, self.begun = self._turn[int(line["begin"])], time.monotonic(), True
            if self.suspicion is not None:
                self.suspicion(self.rows[self.at])
        elif "index" in line:
            index, self.at = self._turn[int(line["index"])], None
            seconds = float(line.get("seconds") or 0.0)
            if line["status"] == "failed":
                self._failed(index, seconds, str(line.get("message", "")), dict(line.get("report") or {}))
            else:
                self.progress += 1
                self._bugs.clear()
                if self.suspicion is not None:
                    self.store.clear_failure(self.rows[index])
                self._done(index, str(line["status"]), self._spent[index] + seconds)

    def died(self, failed: SolveFailed) -> bool:
        """The attempt that the job was at when it ended has failed; False if no solve was ever begun.

        The last words of a job may be lost with it: where jobs have begun to solve, one that seems not to have was at
        its first parameter.
        """
        if self.at is None and self.begun and self.progress == self._before:
            self.at, self._begun = self._turn[0], time.monotonic() - failed.report["wall_seconds"]
        if self.at is not None:
            index, self.at = self.at, None
            report = {key: failed.report.get(key) for key in ("rank", "exit_code", "stderr", "limit", "ranks")}
            seconds = (time.monotonic() - self._begun) * int(failed.report["ranks"])  # waiting ranks are busy
            self._failed(index, seconds, str(failed), report)
        return self.begun

    def hopeless(self, failed: SolveFailed) -> bool:
        """Whether jobs in succession ended with the same bug, and solved nothing."""
        raised = str(failed) if failed.report.get("exit_code") == 1 else ""
        self._bugs = [*self._bugs, raised] if raised and {raised} >= set(self._bugs) else [raised]
        return len(self._bugs) >= _BUGS

    def _failed(self, index: int, seconds: float, message: str, report: dict[str, Any]) -> None:
        self.progress += 1
        self._attempts[index] += 1
        self._spent[index] += seconds
        if self._attempts[index] <= self.retries:
            return
        message = one_line(message)
        report = {"error": "SolveFailed", "exit_code": None, "stderr": "", **plain(report),
                  "attempts": int(self._attempts[index])}
        spent = float(self._spent[index])
        self.store.record_failure(self.rows[index], {**report, "message": message, "seconds": spent,
                                                     "worker": self.worker})
        self._done(index, "failed", spent, message, report)

    def _done(self, index: int, status: str, seconds: float, message: str = "",
              report: dict[str, Any] | None = None) -> None:
        key = self.store.key(self.rows[index])
        if index in self.left:
            self.left.remove(index)
        self._tell(SolveRecord(index, key, status, float(seconds), message, report or {}, self.worker))

    def _tell(self, record: SolveRecord) -> None:
        self._found[record.index] = record
        if self._on_done is not None:
            self._on_done(record)

    def records(self) -> list[SolveRecord]:
        """All records in the order of the rows; one for each of equal rows."""
        for index, first in enumerate(self._first):
            if index not in self._found:
                status = self._found[first].status
                twin = replace(self._found[first], index=index, status="stored" if status == "solved" else status)
                self._tell(twin)
        return [self._found[index] for index in range(len(self.rows))]
