"""A hierarchical POD as a Dask graph: leaves and merges stay on the workers, the root comes back."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from romflow.core.errors import RomflowError
from romflow.core.names import one_line
from romflow.linalg.compression.result import Pod
from romflow.tasks.compressing import Compression, leaf_task, merge_task, project_task

if TYPE_CHECKING:
    from romflow.tasks.clusters.cluster import Cluster

__all__ = ["compress_on", "wait_for"]

_LOOK = 0.5  # seconds between looks at the workers


def compress_on(cluster: Cluster, job: Compression) -> Pod:
    """The POD of a job, by the workers of a cluster.

    Merges go before leaves, so that nodes are joined as soon as they are there. A node that is lost with its worker is
    made again by another one, from the store.

    Raises
    ------
    RomflowError
        A task fails, or its workers die again and again.
    """
    tree, client, threads = job.tree(), cluster.client, cluster.threads
    nodes = [client.submit(leaf_task, job.call(tree, part), threads, pure=False) for part in tree.leaves]
    for level, groups in enumerate(tree.merges, start=1):
        told = job.call(tree, root=level == len(tree.merges))
        nodes = [client.submit(merge_task, told, threads, *[nodes[child] for child in group], priority=level,
                               pure=False) for group in groups]
    root = nodes.pop()
    projections = [client.submit(project_task, job.call(tree, part), threads, root, pure=False) for part in tree.leaves]
    wanted = [root, *projections]
    try:
        wait_for(cluster, wanted, "compress the snapshots")
        answers = client.gather(wanted)
    finally:
        client.cancel(wanted)
    return job.result(answers[0], answers[1:])


def wait_for(cluster: Cluster, futures: list[Any], what: str) -> None:
    """Wait until all futures are finished.

    Parameters
    ----------
    cluster : Cluster
    futures : list of Future
    what : str
        What the workers do, for messages: "compress the snapshots".

    Raises
    ------
    RomflowError
        A task fails, its workers die again and again, or the scheduler is lost.
    """
    waiting = futures
    while waiting:
        if cluster.broken is not None:
            raise RomflowError(f"{cluster.broken}.")
        for future in waiting:
            if future.status in ("error", "cancelled"):
                raise _failure(future, what)
        waiting = [future for future in waiting if future.status != "finished"]
        if waiting:
            _pause(cluster.client, waiting[0])


def _pause(client: Any, future: Any) -> None:
    """Wait for one future, but not long."""
    from distributed import wait

    with client.as_current(), contextlib.suppress(TimeoutError, CancelledError):
        wait([future], timeout=_LOOK)


def _failure(future: Any, what: str) -> RomflowError:
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    if isinstance(error, RomflowError):
        return error
    if isinstance(error, KilledWorker):
        return RomflowError(f"the workers that were to {what} died, ended by a signal or by lack of memory; try fewer "
                            "workers.")
    if error is None:
        return RomflowError("the scheduler or the connection to it was lost; run again, and what is stored is used.")
    reason = one_line(f"{type(error).__name__}: {error}")
    return RomflowError(f"a worker cannot {what}: {reason}; romflow must be the same on all workers.")
