"""The ranks of a job: the communicator, collective calls on arrays, and errors that all ranks raise together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core import errors
from romflow.core.errors import InputError, RomflowError, SolveFailed

__all__ = ["Single", "agree", "agreed", "check_size", "collected", "gathered", "spread", "swapped", "world"]


@dataclass(frozen=True)
class Single:
    """A communicator of one rank that needs no MPI: everything of this room accepts it.

    Examples
    --------
    >>> gathered(Single(), np.array([1.0, 2.0]))
    [array([1., 2.])]
    """

    rank: int = 0
    size: int = 1


def world() -> Any:
    """The communicator of all ranks of this job (mpi4py); only the entry of a job asks for it.

    Raises
    ------
    InputError
        mpi4py or an MPI library is not installed.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(f"MPI ranks need mpi4py and an MPI library ({' '.join(str(error).split())[:160]}): "
                         "pip install mpi4py mpich, or load the MPI of this machine") from None
    return MPI.COMM_WORLD


def check_size(comm: Any, expected: int) -> None:
    """Raise `InputError` on every rank unless the communicator has the expected size.

    A launcher of another MPI library starts so many jobs of one rank each, all of which would write the same files.

    Examples
    --------
    >>> check_size(Single(), 1)
    >>> check_size(Single(), 4)
    Traceback (most recent call last):
    romflow.core.errors.InputError: the job has 1 rank(s) and 4 were asked for: ...
    """
    if comm.size != expected:
        raise InputError(f"the job has {comm.size} rank(s) and {expected} were asked for: the launcher belongs to "
                         "another MPI library than mpi4py; start it with the mpiexec of mpi4py's library, or with "
                         "srun --mpi=pmi2 under Slurm")


def gathered(comm: Any, rows: np.ndarray) -> list[np.ndarray]:
    """The arrays of all ranks, in their order, on every rank; they differ in the first length only.

    Parameters
    ----------
    comm : communicator
    rows : (k, ...)

    Returns
    -------
    list of (k_rank, ...)
    """
    rows = np.ascontiguousarray(rows)
    if comm.size == 1:
        return [rows]
    lengths = np.empty(comm.size, dtype=np.int64)
    comm.Allgather(np.array([rows.shape[0]], dtype=np.int64), lengths)
    width = int(np.prod(rows.shape[1:], dtype=np.int64))
    counts = lengths * width
    result = np.empty(int(counts.sum()), dtype=rows.dtype)
    starts = np.concatenate([[0], np.cumsum(counts)])
    comm.Allgatherv(rows.ravel(), [result, counts, starts[:-1], _type(rows.dtype)])
    return [result[starts[k]:starts[k + 1]].reshape(-1, *rows.shape[1:]) for k in range(comm.size)]


def collected(comm: Any, rows: np.ndarray) -> list[np.ndarray] | None:
    """The arrays of all ranks on rank 0, in their order, and None on the others; see `gathered`.

    Parameters
    ----------
    comm : communicator
    rows : (k, ...)

    Returns
    -------
    list of (k_rank, ...), or None
    """
    rows = np.ascontiguousarray(rows)
    if comm.size == 1:
        return [rows]
    lengths = np.concatenate(gathered(comm, np.array([rows.shape[0]], dtype=np.int64)))
    counts = lengths * int(np.prod(rows.shape[1:], dtype=np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)])
    kind = _type(rows.dtype)
    if comm.rank:
        comm.Gatherv([rows.ravel(), rows.size, kind], None, root=0)
        return None
    result = np.empty(int(starts[-1]), dtype=rows.dtype)
    comm.Gatherv([rows.ravel(), rows.size, kind], [result, counts, starts[:-1], kind], root=0)
    return [result[starts[k]:starts[k + 1]].reshape(-1, *rows.shape[1:]) for k in range(comm.size)]


def spread(comm: Any, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """The arrays that rank 0 has, on every rank; what the others give is not looked at.

    Examples
    --------
    >>> spread(Single(), {"a": np.array([1.0])})
    {'a': array([1.])}
    """
    mine = {name: np.ascontiguousarray(values) for name, values in (arrays or {}).items()}
    if comm.size == 1:
        return mine
    about = [[name, values.dtype.str, list(values.shape)] for name, values in mine.items()]
    told = json.loads(_told(comm, json.dumps(about), 0))
    found: dict[str, np.ndarray] = {}
    for name, kind, shape in told:
        values = mine[name] if comm.rank == 0 else np.empty(shape, dtype=kind)
        comm.Bcast([values.ravel() if comm.rank == 0 else values.reshape(-1), values.size, _type(values.dtype)], root=0)
        found[name] = values
    return found


def swapped(comm: Any, pieces: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What every rank has for this one: piece k goes to rank k, and the answer's piece k came from it.

    Parameters
    ----------
    comm : communicator
    pieces : one (k,) array a rank
        All of one type of numbers, on all ranks.

    Returns
    -------
    list of (k_rank,)
    """
    if comm.size == 1:
        return [np.asarray(pieces[0])]
    out = np.array([piece.size for piece in pieces], dtype=np.int64)
    into = np.empty(comm.size, dtype=np.int64)
    comm.Alltoall(out, into)
    kind = np.asarray(pieces[0]).dtype
    send = np.concatenate([np.ravel(piece) for piece in pieces]).astype(kind, copy=False)
    received = np.empty(int(into.sum()), dtype=kind)
    ends, stops = np.cumsum(out), np.cumsum(into)
    comm.Alltoallv([send, out, ends - out, _type(kind)], [received, into, stops - into, _type(kind)])
    return np.split(received, stops[:-1])


def agree(comm: Any, error: BaseException | None) -> None:
    """Return on all ranks if none has an error; else raise the same one on all, that of the lowest rank that failed.

    Collective. The error of another kind than `RomflowError` becomes `SolveFailed` with its type and text.

    Examples
    --------
    >>> agree(Single(), None)
    >>> agree(Single(), ValueError("no such thing"))
    Traceback (most recent call last):
    romflow.core.errors.SolveFailed: rank 0 of 1 failed with ValueError: no such thing
    """
    failed = comm.size
    if comm.size == 1:
        failed = 0 if error is not None else 1
    else:
        ranks = np.empty(comm.size, dtype=np.int64)
        comm.Allgather(np.array([comm.rank if error is not None else comm.size], dtype=np.int64), ranks)
        failed = int(ranks.min())
    if failed == comm.size:
        return
    text = _told(comm, _facts(comm, error) if comm.rank == failed else "", failed)
    told = _error(text)
    if error is not None and comm.rank == failed:
        raise told from error
    raise told


@contextmanager
def agreed(comm: Any, what: str) -> Iterator[None]:
    """Run a block that may fail on one rank, and fail on all ranks or on none; the block must not communicate.

    Parameters
    ----------
    comm : communicator
    what : str
        What the block does, for the message: "assembling its parts".

    Raises
    ------
    RomflowError
        The same on every rank; the message names the rank and `what`.

    Examples
    --------
    >>> with agreed(Single(), "reading its parts"):
    ...     raise InputError("there is no part 3")
    Traceback (most recent call last):
    romflow.core.errors.InputError: rank 0 of 1, reading its parts: there is no part 3
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        error.__notes__ = [*getattr(error, "__notes__", []), f"{_WHAT}{what}"]
        failure = error
    agree(comm, failure)


_WHAT = "romflow was "


def _facts(comm: Any, error: BaseException | None) -> str:
    notes = [note[len(_WHAT):] for note in getattr(error, "__notes__", []) if note.startswith(_WHAT)]
    doing = f", {notes[-1]}" if notes else ""
    known = isinstance(error, RomflowError)
    name = type(error).__name__ if known and hasattr(errors, type(error).__name__) else "SolveFailed"
    words = " ".join(str(error).split())
    told = f": {words}" if known else f" failed with {type(error).__name__}: {words}"
    report = getattr(error, "report", {})
    return json.dumps({"kind": name, "text": f"rank {comm.rank} of {comm.size}{doing}{told}",
                       "report": {**(report if isinstance(report, dict) else {}), "rank": int(comm.rank)}},
                      default=str)


def _told(comm: Any, text: str, root: int) -> str:
    if comm.size == 1:
        return text
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    length = np.array([data.size], dtype=np.int64)
    comm.Bcast(length, root=root)
    buffer = data.copy() if comm.rank == root else np.empty(int(length[0]), dtype=np.uint8)
    comm.Bcast(buffer, root=root)
    return buffer.tobytes().decode()


def _error(text: str) -> RomflowError:
    facts = json.loads(text)
    kind = getattr(errors, facts["kind"])
    if issubclass(kind, SolveFailed):
        return kind(facts["text"], facts["report"])
    return kind(facts["text"])


def _type(kind: np.dtype) -> Any:
    from mpi4py.util import dtlib

    return dtlib.from_numpy_dtype(kind)
