"""What a job is told, what its rank 0 says, one JSON object a line, and what all ranks spent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.core.errors import InputError, RomflowError, SolveFailed
from romflow.core.files import plain
from romflow.core.names import one_line
from romflow.dd.communicator import gathered
from romflow.store.snapshots import SnapshotStore

__all__ = ["failed", "opened", "say", "total"]


def opened(job: Mapping[str, Any]) -> tuple[SnapshotStore, np.ndarray]:
    """The store of a job with "store", "columns" and "mu", and the parameters (k, p) to be solved.

    Raises
    ------
    InputError
        The store has other columns.
    """
    store = SnapshotStore.open(job["store"])
    if list(store.columns) != list(job["columns"]):
        raise InputError(f"the job has the columns {', '.join(job['columns'])} and the store "
                         f"{', '.join(store.columns)}; the rule is the same ones: run the study again")
    return store, np.array(job["mu"], dtype=np.float64).reshape(len(job["mu"]), len(store.columns))


def say(comm: Any, line: Mapping[str, Any]) -> None:
    """Print a line on rank 0, at once."""
    if comm.rank == 0:
        print(json.dumps(plain(line)), flush=True)


def total(comm: Any, seconds: float) -> float:
    """The sum over all ranks, on every rank."""
    return float(np.sum(np.concatenate(gathered(comm, np.array([seconds])))))


def failed(error: RomflowError) -> dict[str, Any]:
    """What is said of a solve that raised an error: "status", "message", "report"."""
    report = {"error": type(error).__name__, **(plain(error.report) if isinstance(error, SolveFailed) else {})}
    return {"status": "failed", "message": one_line(str(error)), "report": report}
