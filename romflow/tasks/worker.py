"""A worker on this machine: a dask worker with one thread, quiet, that ends with its scheduler."""

from __future__ import annotations

import asyncio
import logging
import warnings

import dask
from distributed import Worker

import romflow.tasks.solving  # noqa: F401  (imported before the fork, once for all workers)
from romflow.tasks.settings import SETTINGS

__all__ = ["work"]


def work(address: str, name: str, folder: str, ranks: int | None = None) -> None:
    """Serve the scheduler at `address` until it closes.

    Parameters
    ----------
    address : str
        Of a scheduler on this machine.
    name : str
        Name of the worker.
    folder : path
        For the worker's scratch files.
    ranks : int, optional
        MPI ranks that its tasks may start: its resource "ranks".
    """
    for logger in ("distributed", "tornado", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="distributed")
    with dask.config.set(SETTINGS):
        asyncio.run(_serve(address, name, folder, ranks))


async def _serve(address: str, name: str, folder: str, ranks: int | None) -> None:
    worker = Worker(
        address,
        name=name,
        nthreads=1,
        resources=None if ranks is None else {"ranks": ranks},
        memory_limit=0,
        local_directory=folder,
        host="127.0.0.1",
        dashboard=False,
        dashboard_address="127.0.0.1:0",
    )
    async with worker:
        await worker.finished()
