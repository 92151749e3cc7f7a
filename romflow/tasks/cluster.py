"""The cluster that a study names: workers on this machine, a job queue, or a scheduler that runs already."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster
from distributed.security import Security

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, one_line, shown
from romflow.tasks.local import LocalWorkers
from romflow.tasks.settings import SETTINGS, environment

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["Cluster", "check_address", "start"]

_QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
_PATIENCE = "10s"  # for a scheduler to answer
_GATHERING = 10.0  # seconds in which local workers should all be there
_SILENT = logging.CRITICAL + 1
_NO_PORTS = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}


class Cluster:
    """A running cluster and the connection to it.

    Attributes
    ----------
    client : distributed.Client
    folder : str
        Folder for scratch files on this machine, removed in the end.
    local : LocalWorkers or None
        The workers, if they are on this machine.
    threads : int or None
        Limit of BLAS threads that each task has to set; None where the workers' environment sets it.
    """

    def __init__(self) -> None:
        self.client: Any = None
        self.folder = ""
        self.local: LocalWorkers | None = None
        self.threads: int | None = None
        self.exits = contextlib.ExitStack()

    @property
    def broken(self) -> str | None:
        """Why there are no workers any more, or None."""
        return None if self.local is None else self.local.broken

    def size(self) -> int:
        """Number of workers that are connected now."""
        return len(self.client.nthreads())

    def close(self) -> None:
        """Disconnect, and end what was started here; takes seconds at most, whatever the workers do."""
        self.exits.close()


def start(config: ClusterConfig) -> Cluster:
    """Start or join the cluster of a study.

    Parameters
    ----------
    config : ClusterConfig
        kind ("local", "slurm", "pbs" or a scheduler's address), workers, threads, options.

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
            if config.kind == "local":
                _start_local(cluster, config)
            elif config.kind in _QUEUES:
                _start_queue(cluster, config)
            else:
                _join(cluster, config)
    except BaseException:
        cluster.close()
        raise
    return cluster


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


def _start_local(cluster: Cluster, config: ClusterConfig) -> None:
    if config.options:
        key = next(iter(config.options))
        raise ConfigError(f"[cluster.options] has the key {shown(key)}, but kind = 'local' has no options; remove it.")
    workers = LocalWorkers(config.workers, config.threads)
    cluster.local = workers
    cluster.exits.callback(workers.close)
    scheduler: Any = LocalCluster(
        n_workers=0,
        processes=True,
        dashboard_address=None,
        silence_logs=False,
        scheduler_kwargs={**_NO_PORTS, "protocol": ["tcp", "inproc"], "host": ["127.0.0.1", ""], "port": [0, 0]},
        scheduler_sync_interval="10s",
    )
    cluster.exits.callback(scheduler.close)
    cluster.exits.callback(workers.close)  # before the scheduler, which would wait for them
    for_workers, for_client = scheduler.scheduler.listeners
    workers.connect(for_workers.contact_address, cluster.folder)
    _connect(cluster, for_client.contact_address, loop=scheduler.loop)
    give_up = time.monotonic() + _GATHERING
    while cluster.size() < config.workers and workers.broken is None and time.monotonic() < give_up:
        time.sleep(0.01)


def _start_queue(cluster: Cluster, config: ClusterConfig) -> None:
    import dask_jobqueue

    try:
        security = Security.temporary()
    except ImportError:
        raise ConfigError(
            f"[cluster] kind = {config.kind!r} needs the package 'cryptography' to keep other users out; install it."
        ) from None
    try:
        options = _queue_options(config)
        jobs = getattr(dask_jobqueue, _QUEUES[config.kind])(security=security, protocol="tls://", **options)
        cluster.exits.callback(jobs.close)
        jobs.scale(jobs=config.workers)
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(one_line(f"[cluster] kind = {config.kind!r} cannot be started: {error}")) from error
    _connect(cluster, jobs)


def _queue_options(config: ClusterConfig) -> dict[str, Any]:
    """Options of dask_jobqueue: one solve a job, and the home directory for what all hosts must see."""
    shared = Path.home() / ".romflow"
    shared.mkdir(mode=0o700, exist_ok=True)
    options: dict[str, Any] = {
        "cores": config.threads,
        "processes": 1,
        "scheduler_options": _NO_PORTS,
        "worker_extra_args": ["--no-dashboard"],
        "shared_temp_directory": str(shared),
        "log_directory": str(shared / "jobs"),
        **config.options,
    }
    exports = [f"export {name}={value}" for name, value in environment(config.threads).items()]
    return {**options, "job_script_prologue": [*exports, *options.get("job_script_prologue", [])]}


def _join(cluster: Cluster, config: ClusterConfig) -> None:
    check_address(config.kind)
    cluster.threads = config.threads
    try:
        security = Security(**config.options)
    except TypeError as error:
        raise ConfigError(one_line(f"[cluster.options] is wrong for a scheduler's address: {error}")) from error
    try:
        _connect(cluster, config.kind, security=security)
    except (OSError, TypeError) as error:
        raise ConfigError(
            one_line(f"no scheduler answers at {config.kind} ({error}); start it, or correct [cluster] kind.")
        ) from error


def _connect(cluster: Cluster, to: Any, **options: Any) -> None:
    cluster.client = Client(to, set_as_default=False, timeout=_PATIENCE, **options)
    cluster.exits.callback(cluster.client.close)


def check_address(address: str) -> None:
    """Raise unless nobody but this user can be the scheduler at an address: TLS, or this machine alone.

    Raises
    ------
    ConfigError
        tcp:// to another host, another protocol, or no port.

    Examples
    --------
    >>> check_address("tls://node7:8786")
    >>> check_address("tcp://127.0.0.1:8786")
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme not in ("tcp", "tls"):
        raise ConfigError(f"no cluster is called {shown(address)}{nearest(address, ['local', 'serial', *_QUEUES])}")
    if not host or port is None:
        raise ConfigError(f"[cluster] kind = {shown(address)} lacks a host or a port; write 'tls://HOST:PORT'.")
    if parts.scheme == "tcp" and not _is_loopback(host):
        raise ConfigError(
            f"[cluster] kind = {shown(address)} has no TLS, so that every user of the network could run code as you; "
            "start the scheduler with TLS and write 'tls://HOST:PORT'."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
