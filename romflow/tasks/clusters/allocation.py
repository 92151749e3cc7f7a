"""A cluster inside one allocation of Slurm: workers that `srun` spreads over its nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Scheduler, SpecCluster

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.tasks.clusters.cluster import NO_PORTS, Cluster
from romflow.tasks.clusters.queue import certificates, shared_folder
from romflow.tasks.settings import environment

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["start_allocation", "worker_command"]

_GRACE = 5.0


def start_allocation(cluster: Cluster, config: ClusterConfig) -> None:
    """Start a scheduler here, and workers on the nodes of the allocation in which this process runs.

    Raises
    ------
    ConfigError
        No allocation of Slurm, no `srun`, or options, which this kind has none of.
    """
    if config.options:
        key = next(iter(config.options))
        raise ConfigError(f"[cluster.options] has the key {shown(key)}, but kind = 'allocation' finds "
                          "its nodes there already; remove it, or write it in [cluster.driver] for --submit.")
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise ConfigError("[cluster] kind = 'allocation' works inside an allocation of Slurm, and this is none; start "
                          "romflow in a job (salloc, sbatch, or romflow run --submit), or set kind = 'slurm'.")
    security = certificates(config.kind)
    folder = Path(tempfile.mkdtemp(prefix="certificates-", dir=shared_folder()))
    cluster.exits.callback(shutil.rmtree, folder, ignore_errors=True)
    scheduler: Any = SpecCluster(
        scheduler={"cls": Scheduler, "options": {**NO_PORTS, "protocol": "tls://", "security": security}},
        security=security,
        silence_logs=False,
        scheduler_sync_interval="10s",
    )
    cluster.exits.callback(scheduler.close)
    tls = _written(folder, security.get_tls_config_for_role("worker"))
    workers = _Step(worker_command(config, scheduler.scheduler.address, tls), config.threads)
    cluster.watch = workers
    cluster.exits.callback(workers.close)
    cluster.connect(scheduler)


def worker_command(config: ClusterConfig, address: str, tls: list[str]) -> list[str]:
    """The command that starts the workers: one step of the allocation, which holds no processors for itself.

    The ranks that a solve starts are steps of their own, and Slurm finds free processors for them.
    """
    step = ["srun", f"--ntasks={config.workers}", "--overcommit", "--overlap", "--mem=0", "--cpus-per-task=1",
            "--distribution=cyclic", "--cpu-bind=none", "--mpi=none", "--kill-on-bad-exit=0", "--wait=0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--memory-limit", "0",
              "--no-dashboard", "--death-timeout", "60", "--protocol", "tls://", *tls]
    ranks = [] if config.ranks is None else ["--resources", f"ranks={config.ranks}"]
    return [*step, *worker, *ranks]


def _written(folder: Path, parts: dict[str, Any]) -> list[str]:
    """Options of a worker that name the files with the certificate, which only this user may read."""
    options = []
    for name, content in parts.items():
        if name in ("ca_file", "cert", "key") and content is not None:
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(content, encoding="ascii")
            options += [f"--tls-{name.replace('_', '-')}", str(file)]
    return options


class _Step:
    """The running step of all workers; it has broken when it ends before it is closed."""

    def __init__(self, command: list[str], threads: int) -> None:
        self.broken: str | None = None
        self._closed = False
        self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, start_new_session=True,
                                         env={**os.environ, **environment(threads)})
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
