"""The modes of the MPI job for histories of bodies: whole histories into a store, and single steps between files.

solve
    As in `romflow.fom.distributed.job`; each parameter is one history, stored by rank 0 as any trajectory.
step
    "folder", "mu" (p numbers), "times" (those of a history, and the one to step to), "basis" (n, j) and "coefficients"
    (k, j): displacements of that history; "start": state (s, G) at its first time or "" for the virgin material; "out":
    what the displacement, stress and state at the end are called. Names are work arrays in the folder.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import InputError, RomflowError, SolveFailed, StoreError
from romflow.core.names import nearest
from romflow.dd.communicator import agreed, spread
from romflow.fom.distributed.telling import failed, opened, say, total
from romflow.fom.mechanics.problem import Point
from romflow.fom.mechanics.ranks.history import RankHistory
from romflow.fom.mechanics.replay import replay
from romflow.store.snapshots import SnapshotStore
from romflow.store.work_arrays import work_file, write_work_array

__all__ = ["run_history"]


def run_history(comm: Any, job: Mapping[str, Any]) -> None:
    """Do a job on the ranks of a communicator; rank 0 prints its lines."""
    with agreed(comm, "reading the job"):
        if job["mode"] not in _MODES:
            raise InputError(f"no mode of a job for mechanics is called {job['mode']!r}"
                             f"{nearest(str(job['mode']), _MODES)}")
    history = RankHistory(comm, job["request"])
    _MODES[job["mode"]](history, job)
    say(comm, {"end": True})


def _solve(history: RankHistory, job: Mapping[str, Any]) -> None:
    comm = history.comm
    with agreed(comm, "opening the store"):
        store, rows = opened(job)
    for index, row in enumerate(rows):
        say(comm, {"begin": index})
        say(comm, {"index": index, **_record(history, store, row)})


def _record(history: RankHistory, store: SnapshotStore, row: np.ndarray) -> dict[str, Any]:
    """March and store one parameter; what rank 0 says of it."""
    comm, begun = history.comm, time.process_time()
    known = {"key": store.key(row), "message": "", "report": {}}
    if bool(spread(comm, {"has": np.array([store.has(row)])})["has"][0]):
        return {**known, "status": "stored", "seconds": 0.0}
    try:
        seconds = _stored(history, store, row)
    except StoreError:
        raise
    except RomflowError as error:
        return {**known, **failed(error), "seconds": total(comm, time.process_time() - begun)}
    return {**known, "status": "solved", "seconds": seconds}


def _stored(history: RankHistory, store: SnapshotStore, row: np.ndarray) -> float:
    """Store the history piece by piece, from the last good one that is there; processor seconds of all ranks.

    What rank 0 cannot write fails on all ranks; pieces are left as by `romflow.tasks.marching.stored_march`.
    """
    comm = history.comm
    with agreed(comm, "looking for pieces of a history"):
        writer = store.writer(row) if comm.rank == 0 else None
        resume = None if writer is None else writer.resume()
    begun = time.process_time()
    try:
        for piece in history.march(row, resume):
            seconds = total(comm, time.process_time() - begun)
            begun = time.process_time()
            with agreed(comm, "storing a piece of a history"):
                if writer is not None and piece is not None:
                    writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint, seconds)
    except BaseException as error:
        if writer is not None and isinstance(error, SolveFailed) and not error.report.get("resumable"):
            writer.drop()
        elif writer is not None:
            with contextlib.suppress(StoreError):
                writer.flush()
        raise
    spent = 0.0 if writer is None else writer.seconds
    with agreed(comm, "completing a history"):
        if writer is not None:
            writer.finish()
    return spent


def _step(history: RankHistory, job: Mapping[str, Any]) -> None:
    comm, body, folder = history.comm, history.body, Path(job["folder"])
    times, mu = np.array(job["times"], dtype=np.float64), np.array(job["mu"], dtype=np.float64)
    with agreed(comm, "replaying the law along a history"):
        previous = _replayed(history, mu, times[:-1], job)
    found = history.step(previous, float(times[-1]), mu)
    whole = {"displacement": body.gather(found.displacement), "stress": body.gather_points(np.asarray(found.stress)),
             "state": body.gather_points(found.state)}
    with agreed(comm, "writing a step"):
        for name, values in whole.items():
            if values is not None:
                write_work_array(folder / f"{job['out']}-{name}", 0, values)


def _replayed(history: RankHistory, mu: np.ndarray, times: np.ndarray, job: Mapping[str, Any]) -> Point:
    """This rank's part of the body at the end of a history that is given by its displacements."""
    body, problem = history.body, history.body.problem
    V = _read(job, "basis")[body.dofs]
    path = np.array(_read(job, "coefficients"))
    state = np.asarray(problem.virgin(float(times[0])).state)
    if job["start"]:
        state = np.ascontiguousarray(_read(job, "start")[:, body.points])
    if len(path) > 1:
        _, _, state = deque(replay(problem, mu, times, (V @ q for q in path), state), maxlen=1).pop()
    return Point(float(times[-1]), V @ path[-1], state)


def _read(job: Mapping[str, Any], key: str) -> np.ndarray:
    """A work array, mapped."""
    place = work_file(Path(job["folder"]) / job[key], 0)
    try:
        return np.asarray(np.load(place, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise StoreError(f"{place} cannot be read ({error}); remove it and run the study again.") from error


_MODES = {"solve": _solve, "step": _step}
