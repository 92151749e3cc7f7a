"""Jobs of a batch system as dask_jobqueue makes them, with names of their own and faults that are kept."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from pathlib import Path
from typing import Any

from dask_jobqueue.pbs import PBSCluster, PBSJob
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed.core import Status

from romflow.core.names import one_line

__all__ = ["QUEUES", "alive", "clean_submit", "last_words"]

_ANSWER = 30.0  # seconds for a queue to answer


class _Kept:
    """A job that keeps the reason why it could not be submitted in `fault` instead of raising it out of sight."""

    fault: str | None = None

    async def start(self) -> None:
        """Submit the job."""
        try:
            await super().start()  # type: ignore[misc]
        except (RuntimeError, OSError, ValueError) as error:
            self.fault = _complaint(str(error))
            self.status = Status.failed

    async def close(self) -> None:
        """Cancel the job; nothing happens if it is over."""
        try:
            await super().close()  # type: ignore[misc]
        except OSError as error:
            self.fault = str(error)
        self.status = Status.closed


class _SlurmJob(_Kept, SLURMJob):
    pass


class _PbsJob(_Kept, PBSJob):
    pass


class _Named:
    """A cluster in which no two jobs ever have the same name."""

    _numbers: itertools.count[int]

    def _new_worker_name(self, worker_number: int) -> str:
        self.__dict__.setdefault("_numbers", itertools.count())
        return f"romflow-{next(self._numbers)}"


class _SlurmJobs(_Named, SLURMCluster):
    job_cls = _SlurmJob


class _PbsJobs(_Named, PBSCluster):
    job_cls = _PbsJob


#: Class of the cluster for each kind.
QUEUES: dict[str, Any] = {"slurm": _SlurmJobs, "pbs": _PbsJobs}


def clean_submit(command: str) -> str:
    """A submit command that does not pass on the allocation in which this process runs itself.

    A job would mistake SLURM_MEM_PER_CPU and the like of the driver's own job for its own.

    Examples
    --------
    >>> clean_submit("sbatch").endswith("sbatch")
    True
    """
    foreign = sorted(name for name in os.environ if name.startswith(("SLURM_", "PBS_", "PMI_")) and name != "SLURM_CONF"
                     and re.fullmatch(r"\w+", name))
    return " ".join(["env", *(f"-u {name}" for name in foreign), command]) if foreign else command


def _complaint(text: str) -> str:
    """What the submit command wrote to standard error, out of dask_jobqueue's message."""
    stderr = text.partition("stderr:")[2].strip()
    return one_line(stderr or text)


async def alive(kind: str, jobs: set[str]) -> set[str]:
    """Those of the jobs which the queue still knows as waiting or running; all of them if it does not answer.

    Parameters
    ----------
    kind : str
        "slurm" or "pbs".
    jobs : set of str
        Job numbers.
    """
    if kind == "slurm":
        code, out, _ = await _output("squeue", "--me", "--noheader", "--format=%A %T")
        lines = [line.split() for line in out.splitlines()]
        return jobs if code else jobs & {line[0] for line in lines if line[1:] != ["COMPLETING"]}
    found = set()
    for job in jobs:
        code, _, err = await _output("qstat", job)
        if not code or not re.search("unknown job|has finished", err, re.IGNORECASE):
            found.add(job)
    return found


async def _output(*command: str) -> tuple[int, str, str]:
    try:
        running = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    except OSError as error:
        return 127, "", str(error)
    try:
        out, err = await asyncio.wait_for(running.communicate(), _ANSWER)
    except TimeoutError:
        running.kill()
        await running.wait()
        return 124, "", "no answer"
    return running.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def last_words(folder: str | Path | None, job: str | None) -> str:
    """The last line that a job wrote to its standard error, or where it would be."""
    if folder is None or job is None:
        return "it left no log"
    for log in sorted(Path(folder).glob(f"*{job}*.err")):
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if lines:
            return f"the last line of {log}: {one_line(lines[-1])}"
    return f"no message in {folder}"
