"""The cluster that a study names: workers on this machine, jobs of a queue, an allocation, or a running scheduler."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import dask
from distributed import Client

from romflow.tasks.local import LocalWorkers
from romflow.tasks.settings import SETTINGS

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["NO_PORTS", "Cluster", "Watch", "start"]

#: Options of a dask scheduler that listens for its workers and clients only.
NO_PORTS = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
_PATIENCE = "10s"  # for a scheduler to answer
_SILENT = logging.CRITICAL + 1


class Watch(Protocol):
    """Keeps workers alive that this process has started."""

    broken: str | None

    def want(self, tasks: int) -> None: ...


class Cluster:
    """A running cluster and the connection to it.

    Attributes
    ----------
    client : distributed.Client
    folder : str
        Folder for scratch files on this machine, removed in the end.
    local : LocalWorkers or None
        The workers, if they are on this machine.
    watch : Watch or None
        Who replaces and scales the workers, if this process does.
    threads : int or None
        Limit of BLAS threads that each task has to set; None where the workers' environment sets it.
    """

    def __init__(self) -> None:
        self.client: Any = None
        self.folder = ""
        self.local: LocalWorkers | None = None
        self.watch: Watch | None = None
        self.threads: int | None = None
        self.exits = contextlib.ExitStack()

    @property
    def broken(self) -> str | None:
        """Why there are no workers any more and what to do, or None."""
        return None if self.watch is None else self.watch.broken

    def want(self, tasks: int) -> None:
        """Say how many tasks could run at once now, so that a cluster that scales has workers for them."""
        if self.watch is not None:
            self.watch.want(tasks)

    def size(self) -> int:
        """Number of workers that are connected now."""
        return len(self.client.nthreads())

    def connect(self, to: Any, **options: Any) -> None:
        """Connect to a scheduler, and disconnect in the end."""
        self.client = Client(to, set_as_default=False, timeout=_PATIENCE, **options)
        self.exits.callback(self.client.close)

    def close(self) -> None:
        """Disconnect, and end what was started here; takes seconds at most, whatever the workers do."""
        self.exits.close()


def start(config: ClusterConfig) -> Cluster:
    """Start or join the cluster of a study.

    Parameters
    ----------
    config : ClusterConfig
        kind ("local", "slurm", "pbs", "allocation" or a scheduler's address), workers, threads, ranks, options.

    Raises
    ------
    ConfigError
        An address without TLS on another host, nobody who answers at it, wrong options, a queue that is not there.
    """
    cluster = Cluster()
    try:
        cluster.folder = tempfile.mkdtemp(prefix="romflow-")
        cluster.exits.callback(shutil.rmtree, cluster.folder, ignore_errors=True)
        cluster.exits.enter_context(_quiet())
        with dask.config.set({**SETTINGS, "temporary-directory": cluster.folder}):
            _start(cluster, config)
    except BaseException:
        cluster.close()
        raise
    return cluster


def _start(cluster: Cluster, config: ClusterConfig) -> None:
    if config.kind == "local":
        from romflow.tasks.clusters.local import start_local

        start_local(cluster, config)
    elif config.kind in ("slurm", "pbs"):
        from romflow.tasks.clusters.queue import start_queue

        start_queue(cluster, config)
    elif config.kind == "allocation":
        from romflow.tasks.clusters.allocation import start_allocation

        start_allocation(cluster, config)
    else:
        from romflow.tasks.clusters.address import join

        join(cluster, config)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within this context, the loggers of dask's scheduler and connections say nothing."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    loggers = [logging.getLogger(name) for name in sorted({*names, "distributed", "tornado"})]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_SILENT)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
