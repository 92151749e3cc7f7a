"""A Slurm of our own for the tests: two nodes on the loopback interface, as `slurm_up.sh` makes them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue", "sinfo")
_SYSTEM = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def why_not() -> str | None:
    """Why no Slurm can be started here, or None."""
    path = os.environ.get("PATH", "") + os.pathsep + _SYSTEM
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        return f"no Slurm: {', '.join(missing)} not found; install slurm-wlm and munge (.ci/run does, as root)"
    return None


@contextmanager
def running_slurm(folder: Path) -> Iterator[Path]:
    """A Slurm of two nodes with two processors each, while the context lasts; yields the path of its slurm.conf.

    Raises
    ------
    RuntimeError
        It does not start; the message is what the script says.
    """
    environment = {**os.environ, "PATH": os.environ["PATH"] + os.pathsep + _SYSTEM}
    try:
        up = subprocess.run([HERE / "slurm_up.sh", folder, "2", "2", sys.executable], env=environment, timeout=60,
                            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if up.returncode:
            raise RuntimeError(up.stderr.strip() or f"slurm_up.sh ended with exit code {up.returncode}")
        yield folder / "slurm.conf"
    finally:
        subprocess.run([HERE / "slurm_down.sh", folder], env=environment, timeout=60, capture_output=True, check=False)


def queue(*states: str) -> list[str]:
    """Numbers of the jobs that are waiting or running, or of those in the given states."""
    wanted = states or ("PENDING", "CONFIGURING", "RUNNING")
    told = subprocess.run(["squeue", "--me", "--noheader", "--format=%A %T"], capture_output=True, text=True,
                          timeout=20, check=True).stdout
    return [line.split()[0] for line in told.splitlines() if line.split()[1] in wanted]


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Whatever hangs within this context ends with TimeoutError; for the main thread."""
    def ring(number: int, frame: object) -> NoReturn:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds.

    Raises
    ------
    AssertionError
        It took too long.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for nothing"
        time.sleep(0.1)
