"""Settings of dask for runs whose results are on the disk: little that is periodic, no ports but those of the tasks."""

from __future__ import annotations

from typing import Any

__all__ = ["OWN_STEPS", "SETTINGS", "environment", "thread_limits"]

SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,  # deaths of its workers that a task survives; see DaskExecutor
    "distributed.scheduler.worker-ttl": None,  # a solve may hold Python's lock for long; TCP tells whether a host lives
    "distributed.scheduler.work-stealing": True,  # a new worker takes what waits for a busy one
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.host-cpu": False,
    "distributed.diagnostics.nvml": False,
    "distributed.client.scheduler-info-interval": "10s",
}

#: Set for workers that share one allocation: their MPI jobs take processors that no other step of it has.
OWN_STEPS = "ROMFLOW_OWN_STEPS"

_LIMITS = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM")


def thread_limits(threads: int) -> dict[str, str]:
    """Environment variables that limit BLAS and OpenMP to so many threads.

    Examples
    --------
    >>> thread_limits(1)["OMP_NUM_THREADS"]
    '1'
    """
    return {f"{name}_NUM_THREADS": str(threads) for name in _LIMITS}


def environment(threads: int) -> dict[str, str]:
    """Environment of a worker that another program starts: the thread limits, and the settings as dask reads them.

    Examples
    --------
    >>> environment(1)["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"]
    'False'
    """
    limits = thread_limits(threads)
    for key, value in SETTINGS.items():
        if key.startswith(("distributed.worker", "distributed.admin")):
            limits["DASK_" + key.upper().replace(".", "__").replace("-", "_")] = f"{value}"
    return limits
