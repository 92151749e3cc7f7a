"""The task that workers run: solve parameters one after the other and store each; it knows nothing of Dask."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError, RomflowError, SolveFailed, StoreError
from romflow.core.files import plain, read_json, write_json
from romflow.core.fingerprint import canonical_json
from romflow.core.names import one_line, shown
from romflow.fom.build import build_model, model_identity
from romflow.fom.protocol import SupportsTime, snapshot_of
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march
from romflow.tasks.mpi import Launch
from romflow.tasks.mpi_solving import solve_on_ranks
from romflow.tasks.records import OnDone, SolveRecord
from romflow.tasks.settings import SETTINGS

__all__ = ["DEATHS", "one_at_a_time", "pinned_threads", "solve_batch", "solve_task"]

#: Workers that die before a task is taken apart, and before a suspect has failed.
DEATHS: int = SETTINGS["distributed.scheduler.allowed-failures"] + 1
#: What the solver has learnt along the sweep, beside the snapshots.
SOLVER_STATE = "solver.json"
_TRACE = 4000
#: Held by the task that a worker process is at.
one_at_a_time = threading.Lock()


@contextlib.contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Within this context, BLAS and OpenMP use at most `threads` threads in this process.

    Examples
    --------
    >>> with pinned_threads(1):
    ...     np.eye(2) @ np.ones(2)
    array([1., 1.])
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        yield


def solve_batch(
    request: dict[str, Any],
    store_folder: str,
    columns: Sequence[str],
    mu: Sequence[Sequence[float]],
    retries: int = 0,
    suspect: bool = False,
    on_done: OnDone | None = None,
    launch: Mapping[str, Any] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[list[SolveRecord], int, float]:
    """Solve and store the parameters that are not stored; each is stored as soon as it is solved.

    Parameters
    ----------
    request, store_folder, columns
        As for :meth:`romflow.tasks.records.Executor.solve`.
    mu : k lists of p numbers
        Parameters.
    retries : int
        Further attempts for a solve that fails.
    suspect : bool
        A worker died at one of these perhaps: note each as failed before it is solved.
    on_done : callable, optional
        Called with each record.
    launch : mapping, optional
        Fields of :class:`romflow.tasks.mpi.Launch`, for a request with "ranks": one MPI job solves all parameters.
    cancelled : callable, optional
        Asked while an MPI job runs whether to end it.

    Returns
    -------
    list of SolveRecord
        One a parameter, `index` counting from 0.
    int
        Number of parameters that were not stored.
    float
        Wall-clock seconds that these took.

    Raises
    ------
    StoreError
        The disk is full or refuses, or the folder holds another model's snapshots.
    RomflowError
        The model cannot be built.
    """
    if request.get("ranks") is not None:
        store, worker = SnapshotStore.open(store_folder), _worker()
        suspicion = functools.partial(_note_suspect, store, worker=worker) if suspect else None
        return solve_on_ranks(request, store_folder, columns, mu, Launch(**(launch or {})), retries, suspicion, on_done,
                              cancelled)
    fom = _model(request)
    state = Path(store_folder, SOLVER_STATE)
    _remind(fom, state)
    store = _store(store_folder, canonical_json(model_identity(request, fom)), tuple(columns))
    records, solves, seconds = [], 0, 0.0
    for index, row in enumerate(np.array(mu, dtype=np.float64).reshape(len(mu), len(columns))):
        start = time.perf_counter()
        record = _solve_one(fom, store, index, row, retries, suspect)
        if record.status != "stored":
            solves, seconds = solves + 1, seconds + time.perf_counter() - start
        records.append(record)
        if on_done is not None:
            on_done(record)
    learnt = fom.solver_state() if solves and hasattr(fom, "solver_state") else None
    if learnt is not None:
        write_json(state, learnt)
    return records, solves, seconds


def reuses(request: dict[str, Any]) -> bool:
    """Whether a solve uses what the solves before have left, so that neighbours belong to one worker."""
    return request.get("ranks") is not None or (request.get("solver") or {}).get("method") == "sweep"


def solve_task(call: str, threads: int | None) -> tuple[list[SolveRecord], int, float]:
    """:func:`solve_batch` with its arguments as JSON text; one at a time in a process, with BLAS limited if asked."""
    with one_at_a_time, contextlib.nullcontext() if threads is None else pinned_threads(threads):
        return solve_batch(**json.loads(call))


def _remind(fom: Any, state: Path) -> None:
    """Give the solver what an earlier run has learnt; what cannot be used is learnt again."""
    if not hasattr(fom, "restore_solver") or not state.exists():
        return
    try:
        fom.restore_solver(read_json(state))
    except (RomflowError, KeyError, TypeError, ValueError) as error:
        logging.getLogger("romflow").warning("%s is not used: %s", state, one_line(str(error)))


def _model(request: dict[str, Any]) -> Any:
    try:
        return build_model(request)
    except RomflowError:
        raise
    except Exception as error:  # of a user's class, which the driver may be unable to name
        reason = one_line("".join(traceback.format_exception_only(error)))
        raise ConfigError(f"the model {shown(request.get('kind'))} cannot be built: {reason}") from None


@functools.lru_cache(maxsize=4)
def _store(folder: str, identity: bytes, columns: tuple[str, ...]) -> SnapshotStore:
    return SnapshotStore(folder, json.loads(identity), columns, create=False)


def _solve_one(
    fom: Any, store: SnapshotStore, index: int, row: NDArray[np.float64], retries: int, suspect: bool
) -> SolveRecord:
    key, worker = store.key(row), _worker()
    if store.has(key) and not len(store.missing(row[None, :])):
        known = float(store.seconds(row[None, :])[0])
        return SolveRecord(index, key, "stored", known if np.isfinite(known) else 0.0, worker=worker)
    if suspect:
        _note_suspect(store, row, worker)
    begun, moves = time.process_time(), isinstance(fom, SupportsTime)
    for attempt in range(1, retries + 2):
        try:
            snapshot = None if moves else snapshot_of(fom, row)
            seconds = stored_march(fom, store, row) if snapshot is None else float(snapshot.info.get("seconds", 0.0))
        except Exception as error:
            if moves and isinstance(error, StoreError):  # of the disk, which the next solve would meet too
                raise
            message, report = _report(error, attempt)
            continue
        try:
            if snapshot is not None:
                store.put(row, snapshot)
        except InputError as error:
            message, report = _report(error, attempt)
            break
        if suspect:
            store.clear_failure(row)
        return SolveRecord(index, key, "solved", seconds, worker=worker)
    seconds = max(time.process_time() - begun, float(report.get("seconds") or 0.0))
    store.record_failure(row, {**report, "message": message, "seconds": seconds, "worker": worker})
    return SolveRecord(index, key, "failed", seconds, message, report, worker)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _note_suspect(store: SnapshotStore, row: NDArray[np.float64], worker: str) -> None:
    """Note a solve as failed that is about to begin, because it may be what kills its workers."""
    message = one_line(
        f"each worker that solved mu = {shown(row.tolist())} died, ended by a signal or by lack of memory; try fewer "
        "workers, or look for a crash in the model's own code."
    )
    earlier = store.failure(row) or {"attempts": DEATHS}
    report = {"error": "WorkerDied", "attempts": earlier["attempts"] + 1, "worker": worker}
    store.record_failure(row, {**report, "message": message})


def _report(error: Exception, attempt: int) -> tuple[str, dict[str, Any]]:
    """Message and facts of a failed attempt."""
    message = one_line(str(error) or type(error).__name__)
    report: dict[str, Any] = {"error": type(error).__name__, "attempts": attempt, "exit_code": None, "stderr": ""}
    if isinstance(error, SolveFailed):
        report |= {str(key): _plain(value) for key, value in error.report.items()}
    elif not isinstance(error, InputError | StoreError):
        report["traceback"] = "".join(traceback.format_exception(error))[-_TRACE:]
    return message, report


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except ConfigError:
        return shown(value)
