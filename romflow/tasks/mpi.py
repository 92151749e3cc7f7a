"""MPI jobs in processes of their own: started by mpiexec or srun, watched line by line, ended with all their ranks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.files import write_json
from romflow.core.mpi_environment import without_mpi
from romflow.core.names import shown
from romflow.tasks import rank
from romflow.tasks.mpi_ends import failure, first_exit
from romflow.tasks.mpi_folder import MARK, job_folder, kill_marked
from romflow.tasks.settings import OWN_STEPS, thread_limits

__all__ = ["JOB", "Launch", "OnLine", "run_ranks"]

#: The module that ranks run.
JOB = "romflow.fom.distributed.job"
_TICK = 0.2  # seconds between looks at the clock, at a cancellation and at ranks that have ended
_LOSS = 5.0  # seconds that the launcher has to end the others after a rank has failed
_START = 300.0  # seconds that a job has at least until its first line, and that srun waits for processors
_FAREWELL = 30.0  # seconds from the last line to the end of all ranks
_GRACE = 3.0  # seconds from SIGTERM to SIGKILL
_BLOCK = 1 << 16
#: Options of the step of Slurm around this process, which srun would take for those of a new one.
_OF_A_STEP = ("SLURM_CPU_BIND", "SLURM_MEM_BIND", "SLURM_DISTRIBUTION", "SLURM_OVERCOMMIT", "SLURM_NTASKS",
              "SLURM_NPROCS", "SLURM_NNODES", "SLURM_STEP")
_LONGEST = 1 << 24

OnLine = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Launch:
    """How MPI jobs are started.

    Attributes
    ----------
    launcher : str
        "mpiexec", "srun", or "auto": srun within a job of Slurm, else mpiexec.
    time_limit : float or None
        Seconds from a line of a job to the next: a solve is between two. The first line has 300 s at least.
    threads : int
        Threads of BLAS in each rank.
    jobs : int
        Jobs at once on this machine.
    module : str
        What the ranks run.
    """

    launcher: str = "auto"
    time_limit: float | None = None
    threads: int = 1
    jobs: int = 1
    module: str = JOB


def run_ranks(
    job: dict[str, Any],
    ranks: int,
    folder: str | Path,
    launch: Launch | None = None,
    on_line: OnLine | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """The last line of a job on so many ranks; when this returns or raises, no rank of it is left on this machine.

    The ranks run ``python -m mpi4py -m MODULE job.json`` in an environment without the traces of another MPI job. Rank
    0 prints one JSON object a line, the last with the key "end"; other lines are ignored. The job is ended when this
    process dies, when it is interrupted, after the time limit, and 5 s after one of its ranks has failed, should its
    launcher not have done so.

    Parameters
    ----------
    job : dict
        JSON, written to a file whose name is the module's only argument.
    ranks : int
    folder : path
        A folder that all ranks see; what the job leaves there is removed.
    launch : Launch, optional
    on_line : callable, optional
        Called with each line as it comes; an error of it ends the job.
    cancelled : callable, optional
        Asked several times a second whether the job is to be ended.

    Raises
    ------
    SolveFailed
        A rank failed, the time limit passed or the job was cancelled. `report`: "rank" (None if nobody knows),
        "exit_code" (negative: the signal), "stderr" (last 4000 characters of that rank's), "limit" (seconds, if that
        was the reason), "ranks", "wall_seconds", and "error" with "reason" where the rank raised a `RomflowError`.
    ConfigError
        The launcher is not there.
    StoreError
        The folder cannot be written.
    """
    launch = launch or Launch()
    words = _launcher(launch.launcher, ranks, launch.threads)
    with job_folder(folder) as place:
        write_json(place / "job.json", job)
        shim = [sys.executable, "-I", "-S", rank.__file__]
        command = [*shim, "launch", str(os.getpid()), *words, *shim, "rank", str(place),
                   sys.executable, "-m", "mpi4py", "-m", launch.module, str(place / "job.json")]
        run = _Run(command, _environment(launch, ranks, words[0], place.name), place, ranks, launch.time_limit)
        with contextlib.closing(run):
            for line in run.lines(cancelled or (lambda: False)):
                if on_line is not None:
                    on_line(line)
        if run.last is None or run.exit_code:
            raise failure(place, run.exit_code, ranks, time.monotonic() - run.begun, run.why, run.patience)
        return run.last


class _Run:
    """One job: its launcher's process, the lines of rank 0, and why it was ended."""

    def __init__(self, command: list[str], environment: dict[str, str], place: Path, ranks: int,
                 limit: float | None) -> None:
        self.place, self.ranks, self.limit = place, ranks, limit
        self.last: dict[str, Any] | None = None
        self.why = ""  # "limit", "cancelled", "lost" (a rank failed and the launcher did not notice), or by itself
        self.exit_code: int | None = None
        self.begun = self._heard = time.monotonic()
        self._lost: float | None = None
        self._spoke = False
        self._rest = b""
        with open(place / "launcher.stderr", "wb") as errors:
            try:
                self._process = subprocess.Popen(command, bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                 stderr=errors, env=environment, start_new_session=True)
            except OSError as error:
                reason = error.strerror or error
                raise ConfigError(f"an MPI job of {ranks} ranks cannot be started: {reason}.") from error

    def lines(self, cancelled: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """The JSON lines as they come, until the launcher has ended or there is a reason to end it."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            while True:
                ended = self._process.poll() is not None
                yield from self._read(selector, 0.0 if ended else _TICK)
                if ended:
                    break
                self.why = self._reason(cancelled)
                if self.why:
                    return
            yield from self._read(selector, 0.0)
        self.exit_code = self._process.returncode

    def _read(self, selector: selectors.BaseSelector, seconds: float) -> Iterator[dict[str, Any]]:
        """What is there after some seconds at most."""
        if not selector.get_map():
            time.sleep(min(seconds, 0.01))
            return
        while selector.select(seconds):
            seconds = 0.0
            block = os.read(self._process.stdout.fileno(), _BLOCK)  # type: ignore[union-attr]
            if not block:
                selector.unregister(self._process.stdout)  # type: ignore[arg-type]
                return
            *whole, self._rest = (self._rest + block).split(b"\n")
            self._rest = self._rest[:_LONGEST]
            for text in whole:
                line = _object(text)
                if line is not None:
                    self._heard, self._spoke = time.monotonic(), True
                    self.last = line if "end" in line else self.last
                    yield line

    def _reason(self, cancelled: Callable[[], bool]) -> str:
        now = time.monotonic()
        if self.last is not None:
            return "farewell" if now - self._heard > _FAREWELL else ""
        if cancelled():
            return "cancelled"
        if now - self._heard > self.patience:
            return "limit"
        if self._lost is None and first_exit(self.place) is not None:
            self._lost = now
        return "lost" if self._lost is not None and now - self._lost > _LOSS else ""

    @property
    def patience(self) -> float:
        """Seconds that the next line may take."""
        return math.inf if self.limit is None else self.limit if self._spoke else max(self.limit, _START)

    def close(self) -> None:
        """End the launcher and all ranks that are left."""
        try:
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE)
        finally:
            if self._process.poll() is None:
                self._signal(signal.SIGKILL)
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            kill_marked(self.place.name)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _object(text: bytes) -> dict[str, Any] | None:
    """A line of the job, or None for what else was printed."""
    if not text.startswith(b"{"):
        return None
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _launcher(wish: str, ranks: int, threads: int) -> list[str]:
    """The launcher and its options."""
    if wish == "auto":
        wish = "srun" if "SLURM_JOB_ID" in os.environ and shutil.which("srun") else "mpiexec"
    found = _mpiexec() if wish == "mpiexec" else shutil.which(wish)
    if found is None:
        remedy = "install the package 'mpich', load the site's MPI module or name it in ROMFLOW_MPIEXEC"
        raise ConfigError(f"[cluster] launcher: {shown(wish)} is not found, and {ranks} ranks need it; "
                          f"{remedy if wish == 'mpiexec' else 'ask for mpiexec, or run within a job of Slurm'}.")
    return [found, "-n", str(ranks)] if wish == "mpiexec" else [found, *_srun_options(ranks, threads)]


def _srun_options(ranks: int, threads: int) -> list[str]:
    """Of a step; where workers share an allocation it has processors of its own, on one node if they fit."""
    kind = ["--mpi=pmi2"] if os.environ.get("SLURM_MPI_TYPE", "none") == "none" else []
    share = ["--overlap"]
    if OWN_STEPS in os.environ:
        fits = ranks * threads <= int(os.environ.get("SLURM_CPUS_ON_NODE") or 0)
        share = ["--exact", "--mem=0", f"--immediate={_START:.0f}", *(["--nodes=1"] if fits else [])]
    return [*kind, *share, f"--ntasks={ranks}", f"--cpus-per-task={threads}", "--kill-on-bad-exit=1", "--input=none",
            "--quiet"]


def _mpiexec() -> str | None:
    """The one that the user names, the one of this Python's environment, or the first on the PATH."""
    named = os.environ.get("ROMFLOW_MPIEXEC")
    if named:
        return shutil.which(named)
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def _environment(launch: Launch, ranks: int, launcher: str, mark: str) -> dict[str, str]:
    """Of a job: no traces of another MPI job, the same Python path as here, limits of threads, its mark."""
    clean = without_mpi(os.environ, slurm=Path(launcher).name == "srun")
    if "SLURM_STEP_ID" in clean:
        clean = {name: value for name, value in clean.items() if not name.startswith(_OF_A_STEP)}
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    clean |= {**thread_limits(launch.threads), "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1", MARK: mark}
    nodes = int(clean.get("SLURM_JOB_NUM_NODES") or 1)
    if ranks * launch.jobs * launch.threads > nodes * len(os.sched_getaffinity(0)):
        clean["MPIR_CVAR_ENABLE_HEAVY_YIELD"] = "1"  # else those that wait keep those that work from the cores
    return clean
