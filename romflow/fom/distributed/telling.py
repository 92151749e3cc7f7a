"""What rank 0 of a job says, one JSON object a line, and what all ranks spent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.core.errors import RomflowError, SolveFailed
from romflow.core.files import plain
from romflow.core.names import one_line
from romflow.dd.communicator import gathered

__all__ = ["failed", "say", "total"]


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
