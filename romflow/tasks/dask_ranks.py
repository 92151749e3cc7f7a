"""Tasks of Dask that hold MPI ranks, or one part of a distributed model: on the workers, and as seen by the driver."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from romflow.core.errors import ConfigError, RomflowError
from romflow.core.files import plain
from romflow.core.names import one_line
from romflow.tasks.mpi import Launch
from romflow.tasks.mpi_solving import run_job
from romflow.tasks.parts import PartResult, part_task
from romflow.tasks.records import SolveRecord
from romflow.tasks.solving import one_at_a_time, solve_batch

if TYPE_CHECKING:
    from romflow.tasks.clusters.cluster import Cluster

__all__ = ["Stream", "gathered", "job_on", "job_task", "parts_on", "ranks_task", "resources"]


# -- on a worker -----------------------------------------------------------------------------------------------------

def ranks_task(call: str, rows: list[int], topic: str) -> tuple[list[SolveRecord], int, float]:
    """:func:`solve_batch` on MPI ranks with its arguments as JSON text; each record is told at once under a topic.

    Parameters
    ----------
    call : str
    rows : list of int
        What the driver calls the parameters.
    topic : str
    """
    from distributed import get_worker

    worker = get_worker()

    def tell(record: SolveRecord) -> None:
        placed = dataclasses.replace(record, index=rows[record.index])
        worker.log_event(topic, {"record": plain(dataclasses.asdict(placed))})

    with one_at_a_time:
        return solve_batch(**json.loads(call), on_done=tell, cancelled=_cancellation())


def job_task(call: str) -> dict[str, Any]:
    """:func:`romflow.tasks.mpi_solving.run_job` with its arguments as JSON text."""
    told = json.loads(call)
    with one_at_a_time:
        return run_job(told["request"], told["store_folder"], told["job"], Launch(**told["launch"]),
                       cancelled=_cancellation())


def _cancellation() -> Callable[[], bool]:
    """Whether the task that this thread is at has been cancelled."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return cancelled


# -- seen by the driver ----------------------------------------------------------------------------------------------

class Stream:
    """Records that tasks tell while they run.

    Parameters
    ----------
    client : distributed.Client

    Attributes
    ----------
    topic : str
        Under which they are told.
    waiting : threading.Condition
        Notified when there are some.
    """

    def __init__(self, client: Any) -> None:
        self.topic = f"romflow-{uuid.uuid4().hex}"
        self._client = client
        self._records: queue.SimpleQueue[SolveRecord] = queue.SimpleQueue()
        self.waiting = threading.Condition()
        client.subscribe_topic(self.topic, self._hear)

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._records.put(SolveRecord(**event[1]["record"]))
        with self.waiting:
            self.waiting.notify_all()

    def take(self) -> Iterator[SolveRecord]:
        """What was told since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._records.get_nowait()

    def close(self) -> None:
        """Hear no more."""
        self._client.unsubscribe_topic(self.topic)


def resources(cluster: Cluster, ranks: int) -> dict[str, int]:
    """What a task with so many MPI ranks asks a worker for.

    Raises
    ------
    ConfigError
        There are workers, and none holds so many ranks: the task would wait for ever.
    """
    workers = cluster.client.scheduler_info(n_workers=-1)["workers"].values()
    held = [int(worker["resources"].get("ranks", 0)) for worker in workers]
    if held and max(held) < ranks:
        raise ConfigError(f"an MPI job needs {ranks} ranks, but no worker of this cluster holds more than {max(held)}; "
                          f"start its workers with --resources \"ranks={ranks}\".")
    return {"ranks": ranks}


def parts_on(cluster: Cluster, calls: list[str]) -> list[PartResult]:
    """What kernels find on parts, a task each, in order; the task of a worker that dies is repeated by another one."""
    futures = [cluster.client.submit(part_task, call, cluster.threads, pure=False) for call in calls]
    found: list[PartResult] = gathered(cluster, futures, "work on parts")
    return found


def job_on(cluster: Cluster, call: str, ranks: int) -> dict[str, Any]:
    """The last line of an MPI job that a worker launches."""
    future = cluster.client.submit(job_task, call, pure=False, resources=resources(cluster, ranks))
    found: dict[str, Any] = gathered(cluster, [future], "launch an MPI job")[0]
    return found


def gathered(cluster: Cluster, futures: list[Any], what: str) -> list[Any]:
    """The results of tasks in order, or the first error; tasks that are not wanted any more are cancelled.

    Parameters
    ----------
    cluster : Cluster
    futures : list of Future
    what : str
        For messages: what the workers cannot do.

    Raises
    ------
    RomflowError
        A task fails, its workers die again and again, or the scheduler is lost.
    """
    from romflow.tasks.dask_tree import wait_for

    try:
        wait_for(cluster, futures, what)
        results: list[Any] = cluster.client.gather(futures)
        return results
    except RomflowError:
        raise
    except Exception as error:
        raise RomflowError(one_line(f"a worker cannot {what}: {type(error).__name__}: {error}")) from error
    finally:
        cluster.client.cancel(futures)
