"""A job of MPI ranks for tests of the tasks: it speaks as the one of the package, and some parameters bring trouble."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core import errors
from romflow.core.snapshot import Snapshot

#: Parameters at which a job gets into trouble, each in its way.
RAISES, KILLED, HANGS, FAILS, FULL, ONCE, LEAVES = (-float(i) for i in range(1, 8))
N = 6


def main(file: str) -> None:
    """Solve what the file asks for: the state at mu is mu * (1, ... N)."""
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    options = job["request"]["options"]
    if options.get("alone"):
        leave() if os.environ["PMI_RANK"] == "1" else hang()
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if comm.size != job["ranks"]:
        raise errors.ConfigError(f"the job has {comm.size} of {job['ranks']} ranks; use the mpiexec of this MPI.")
    if options.get("broken") and comm.rank == 1:
        getattr(sys.modules[__name__], options["broken"])()
    with open(Path(job["request"]["base"], "jobs.txt"), "a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {comm.rank} {job.get('mode')} {len(job.get('mu', []))}\n")
    tell = say if comm.rank == 0 else (lambda **line: None)
    if job["mode"] == "solve":
        solve(comm, job, tell)
    tell(end=True, mode=job["mode"], heavy=os.environ.get("MPIR_CVAR_ENABLE_HEAVY_YIELD"),
         threads=os.environ.get("OMP_NUM_THREADS"), extra=job.get("extra"))


def say(**line: Any) -> None:
    """One line for the task."""
    print("not for you")
    print(json.dumps(line), flush=True)


def solve(comm: Any, job: dict[str, Any], tell: Any) -> None:
    """All parameters, one after the other."""
    from romflow.store.snapshots import SnapshotStore

    store = SnapshotStore.open(job["store"])
    for index, row in enumerate(job["mu"]):
        key = store.key(row)
        tell(begin=index)
        comm.Barrier()
        status, message = trouble(comm, job, float(row[0]))
        comm.Barrier()
        time.sleep(job["request"]["options"].get("sleep", 0.0))
        if status == "solved" and comm.rank == 0:
            store.put(row, Snapshot(row[0] * np.arange(1.0, N + 1), None, {"seconds": 0.5}))
        comm.Barrier()
        tell(index=index, key=key, status=status, seconds=0.5, message=message,
             report={"iterations": 7} if message else {})


def trouble(comm: Any, job: dict[str, Any], a: float) -> tuple[str, str]:
    """What happens at a parameter."""
    if a in (RAISES, KILLED, HANGS, LEAVES) and comm.rank == 1:
        print("before", file=sys.stderr, flush=True)
        {RAISES: boom, KILLED: kill, HANGS: hang, LEAVES: leave}[a]()
    if a == FULL:
        raise errors.StoreError("cannot write /full: No space left on device.")
    mark = Path(job["request"]["base"], "once")
    if a == FAILS or (a == ONCE and not mark.exists()):
        comm.Barrier()
        mark.touch()
        return "failed", "GMRES did not converge."
    return "solved", ""


def boom() -> None:
    raise ValueError("no luck")


def refuse() -> None:
    raise errors.ConfigError("model 'toy' has no mesh.")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(1000.0)


def leave() -> None:
    os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1])
