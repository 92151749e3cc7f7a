"""A cluster inside one allocation of Slurm: workers that `srun` spreads over its nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from distributed import Scheduler, SpecCluster

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.tasks.clusters.certificates import certificates
from romflow.tasks.clusters.cluster import NO_PORTS, Cluster
from romflow.tasks.settings import OWN_STEPS, environment

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["start_allocation", "worker_command"]

_GRACE = 5.0
_FOR_SUBMIT = ("walltime", "memory", "queue", "account", "job_extra_directives", "job_script_prologue")


def start_allocation(cluster: Cluster, config: ClusterConfig) -> None:
    """Start a scheduler here, and workers on the nodes of the allocation in which this process runs.

    Raises
    ------
    ConfigError
        No allocation of Slurm, no `srun`, or options that are not for the submission of the allocation.
    """
    strange = sorted(set(config.options) - set(_FOR_SUBMIT))
    if strange:
        raise ConfigError(f"[cluster] has the key {shown(strange[0])}, but kind = 'allocation' finds its nodes there; "
                          f"remove it ({', '.join(_FOR_SUBMIT)} are for romflow run --submit).")
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise ConfigError("[cluster] kind = 'allocation' works inside an allocation of Slurm, and this is none; start "
                          "romflow in a job (salloc, sbatch, or romflow run --submit), or set kind = 'slurm'.")
    security = certificates(config.kind, cluster.exits)
    scheduler: Any = SpecCluster(
        scheduler={"cls": Scheduler, "options": {**NO_PORTS, "protocol": "tls://", "security": security}},
        security=security,
        silence_logs=False,
        scheduler_sync_interval="10s",
    )
    cluster.exits.callback(scheduler.close)
    workers = _Step(worker_command(config, scheduler.scheduler.address, security), config.threads)
    cluster.watch = workers
    cluster.exits.callback(workers.close)
    cluster.connect(scheduler)


def worker_command(config: ClusterConfig, address: str, security: Any) -> list[str]:
    """The command that starts the workers: one step of the allocation, which holds no processors for itself.

    The ranks that a solve starts are steps of their own, and Slurm finds free processors for them.
    """
    files = security.get_tls_config_for_role("worker")
    tls = [word for name in ("ca_file", "cert", "key") for word in (f"--tls-{name.replace('_', '-')}", files[name])]
    step = ["srun", f"--ntasks={config.workers}", "--overcommit", "--overlap", "--mem=0", "--cpus-per-task=1",
            "--distribution=cyclic", "--cpu-bind=none", "--mpi=none", "--kill-on-bad-exit=0", "--wait=0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--memory-limit", "0",
              "--no-dashboard", "--death-timeout", "60", "--protocol", "tls://", *tls]
    ranks = [] if config.ranks is None else ["--resources", f"ranks={config.ranks}"]
    return [*step, *worker, *ranks]


class _Step:
    """The running step of all workers; it has broken when it ends before it is closed."""

    def __init__(self, command: list[str], threads: int) -> None:
        self.broken: str | None = None
        self._closed = False
        self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, start_new_session=True,
                                         env={**os.environ, **environment(threads), OWN_STEPS: "1"})
        threading.Thread(target=self._watch, name="romflow-step", daemon=True).start()

    def want(self, tasks: int) -> None:
        """Nothing: the allocation has the size that it has."""

    def _watch(self) -> None:
        last = ""
        for line in self._running.stderr or ():
            last = line.strip() or last
        code = self._running.wait()
        if not self._closed:
            self.broken = f"srun, which had started the workers, ended with exit code {code}; its last line: {last}"

    def close(self) -> None:
        """End the workers."""
        self._closed = True
        self._running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(_GRACE)
            return
        self._running.kill()
        self._running.wait()
