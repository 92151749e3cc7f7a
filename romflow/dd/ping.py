"""Latency and bandwidth between ranks: ``python -m mpi4py -m romflow.dd.ping job.json`` on two or more ranks.

Rank 0 and the last rank send messages to and fro; the last line is {"end": true, "latency": seconds of a small message,
"bandwidth": bytes a second of a large one}. The job may name "bytes" of the large message.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from romflow.dd.communicator import world

_SMALL, _LARGE, _TIMES, _FEW = 1, 1 << 20, 200, 10


def exchange_rates(comm: Any, large: int = _LARGE) -> tuple[float, float]:
    """Seconds of a small message and bytes a second of a large one, between rank 0 and the last; collective.

    Parameters
    ----------
    comm : communicator
        Of at least two ranks.
    large : int
        Bytes.

    Returns
    -------
    (float, float)
        Zeros on the ranks that only look on.
    """
    small = min(_round_trips(comm, _SMALL, _TIMES // 4) for _ in range(4))
    wide = min(_round_trips(comm, large, _FEW) for _ in range(2))
    return 0.5 * small, large / max(0.5 * wide - 0.5 * small, 1e-9)


def _round_trips(comm: Any, size: int, times: int) -> float:
    """Seconds of one message to and fro."""
    data, last = np.zeros(size, dtype=np.uint8), comm.size - 1
    started = time.perf_counter()
    for _ in range(times if comm.rank in (0, last) else 0):
        if comm.rank == 0:
            comm.Send(data, dest=last)
            comm.Recv(data, source=last)
        else:
            comm.Recv(data, source=0)
            comm.Send(data, dest=0)
    return (time.perf_counter() - started) / times


def main(file: str) -> None:
    """Measure and say it."""
    comm = world()
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    latency, bandwidth = exchange_rates(comm, int(job.get("bytes", _LARGE)))
    if comm.rank == 0:
        print(json.dumps({"end": True, "latency": latency, "bandwidth": bandwidth}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
