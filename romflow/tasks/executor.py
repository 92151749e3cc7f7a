"""Executors: what solves a model at many parameters, chosen by the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from romflow.tasks.dask_executor import DaskExecutor
from romflow.tasks.mpi import Launch
from romflow.tasks.records import Executor, OnDone, SolveRecord
from romflow.tasks.serial import SerialExecutor
from romflow.tasks.solving import pinned_threads

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["DaskExecutor", "Executor", "OnDone", "SerialExecutor", "SolveRecord", "make_executor", "pinned_threads"]


def make_executor(cluster: ClusterConfig, retries: int = 0) -> Executor:
    """The executor for a study's [cluster] section; it starts nothing before the first solve.

    Parameters
    ----------
    cluster : ClusterConfig
    retries : int
        Further attempts for a solve that fails.

    Examples
    --------
    >>> from romflow.core.schema import ClusterConfig
    >>> make_executor(ClusterConfig(kind="serial")).remote
    False
    """
    if cluster.kind == "serial":
        return SerialExecutor(retries, cluster.threads, Launch(cluster.launcher, cluster.time_limit, cluster.threads))
    return DaskExecutor(cluster, retries)
