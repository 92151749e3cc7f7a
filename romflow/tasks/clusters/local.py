"""A cluster of worker processes on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from distributed import LocalCluster

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.tasks.clusters.cluster import NO_PORTS, Cluster
from romflow.tasks.local import LocalWorkers

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["start_local"]

_GATHERING = 10.0  # seconds in which local workers should all be there


def start_local(cluster: Cluster, config: ClusterConfig) -> None:
    """Start workers on this machine; scheduler and workers listen on the loopback interface only.

    Raises
    ------
    ConfigError
        Options, which this kind has none of.
    """
    if config.options:
        key = next(iter(config.options))
        raise ConfigError(f"[cluster.options] has the key {shown(key)}, but kind = 'local' has no options; remove it.")
    workers = LocalWorkers(config.workers, config.threads, config.ranks)
    cluster.local = cluster.watch = workers
    cluster.exits.callback(workers.close)
    scheduler: Any = LocalCluster(
        n_workers=0,
        processes=True,
        dashboard_address=None,
        silence_logs=False,
        scheduler_kwargs={**NO_PORTS, "protocol": ["tcp", "inproc"], "host": ["127.0.0.1", ""], "port": [0, 0]},
        scheduler_sync_interval="10s",
    )
    cluster.exits.callback(scheduler.close)
    cluster.exits.callback(workers.close)  # before the scheduler, which would wait for them
    for_workers, for_client = scheduler.scheduler.listeners
    workers.connect(for_workers.contact_address, cluster.folder)
    cluster.connect(for_client.contact_address, loop=scheduler.loop)
    give_up = time.monotonic() + _GATHERING
    while cluster.size() < config.workers and workers.broken is None and time.monotonic() < give_up:
        time.sleep(0.01)
