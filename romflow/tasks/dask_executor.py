"""Solves by the workers of a Dask cluster: batched, stored where they are solved, and repeated if a worker dies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import RomflowError
from romflow.core.fingerprint import canonical_json, fingerprint
from romflow.core.names import one_line, shown
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.batches import Batches, Pace, checked_rows, first_of_equal
from romflow.tasks.records import OnDone, SolveRecord
from romflow.tasks.settings import SETTINGS
from romflow.tasks.solving import solve_task

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig
    from romflow.tasks.cluster import Cluster

__all__ = ["DaskExecutor"]

_COUNT_EVERY = 1.0  # seconds between looks at how many workers a cluster has


@dataclass(frozen=True)
class _Job:
    """One call of :meth:`DaskExecutor.solve`."""

    request: dict[str, Any]
    folder: str
    columns: Sequence[str]
    rows: NDArray[np.float64]
    batches: Batches
    pace: Pace


class DaskExecutor:
    """Solves on the workers of a cluster, which starts with the first solve and ends with the context.

    A task solves some parameters one after the other, stores each at once and answers with records, never with states.
    Each worker has one task at a time. The task of a worker that dies is repeated by another one, which finds what was
    stored. A task whose worker died four times is taken apart; a single solve whose worker dies four times has failed.
    The results do not depend on the number of workers.

    Parameters
    ----------
    cluster : ClusterConfig
        Kind, workers, threads of BLAS in each, and options.
    retries : int
        Further attempts for a solve that fails.
    """

    remote = True

    def __init__(self, cluster: ClusterConfig, retries: int = 0) -> None:
        self.config = cluster
        self.retries = retries
        self._cluster: Cluster | None = None
        self._paces: dict[str, Pace] = {}
        self._flying: dict[Any, list[int]] = {}
        self._size, self._counted = cluster.workers, -_COUNT_EVERY

    def solve(
        self,
        request: dict[str, Any],
        store_folder: str | Path,
        columns: Sequence[str],
        mu: ArrayLike,
        on_done: OnDone | None = None,
    ) -> list[SolveRecord]:
        """Solve and store every row of `mu` (k, p) that is not stored; see `romflow.tasks.records.Executor`.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        RomflowError
            The model cannot be built, the workers cannot be kept alive, or the scheduler is lost.
        """
        rows = checked_rows(mu, columns)
        first = first_of_equal(rows)
        pace = self._paces.setdefault(fingerprint(request), Pace())
        batches = Batches([index for index, original in enumerate(first) if index == original], pace)
        folder = str(Path(store_folder).absolute())
        found: dict[int, SolveRecord] = {}
        for record in self._records(_Job(request, folder, columns, rows, batches, pace)):
            found[record.index] = record
            if on_done is not None:
                on_done(record)
        for index, original in enumerate(first):
            if index != original:
                record = found[original]
                status = "stored" if record.status == "solved" else record.status
                found[index] = replace(record, index=index, status=status)
                if on_done is not None:
                    on_done(found[index])
        return [found[index] for index in range(len(rows))]

    def _records(self, job: _Job) -> Iterator[SolveRecord]:
        """Keep every worker busy, and yield records as they come."""
        if not len(job.batches):
            return
        from distributed import as_completed

        client = self._running().client
        done = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        try:
            self._submit(job, done)
            while self._flying:
                future, answer = next(done)
                rows, status = self._flying.pop(future), future.status
                future.release()
                if status == "finished":
                    records, solved, seconds = answer
                    job.pace.add(solved, seconds)
                    yield from (replace(record, index=rows[record.index]) for record in records)
                else:
                    yield from self._lost(job, rows, answer if status == "error" else None)
                self._submit(job, done)
        finally:
            if self._flying:
                client.cancel(list(self._flying))
                self._flying.clear()

    def _submit(self, job: _Job, done: Any) -> None:
        """Send tasks until every worker has one."""
        cluster = self._running()
        while len(job.batches) and len(self._flying) < self._workers(cluster):
            rows = job.batches.take(self._workers(cluster))
            call = {
                "request": job.request,
                "store_folder": job.folder,
                "columns": list(job.columns),
                "mu": job.rows[rows].tolist(),
                "retries": self.retries,
            }
            future = cluster.client.submit(solve_task, canonical_json(call).decode(), cluster.threads, pure=False)
            self._flying[future] = rows
            done.add(future)
        self._raise_if_broken()

    def _workers(self, cluster: Cluster) -> int:
        """Number of workers to keep busy."""
        if cluster.local is None and time.monotonic() - self._counted > _COUNT_EVERY:
            self._size, self._counted = max(1, cluster.size()), time.monotonic()
        return self._size

    def _lost(self, job: _Job, rows: list[int], answer: Any) -> Iterator[SolveRecord]:
        """What follows from a task that gave no records: its rows again, a failure, or an error."""
        from distributed import KilledWorker

        error = None if answer is None else answer[1]
        if isinstance(error, KilledWorker):
            if len(rows) > 1:
                job.batches.put_back(rows)
            else:
                yield self._killed(job, rows[0])
            return
        self._raise_if_broken()
        if isinstance(error, RomflowError):
            raise error
        if isinstance(error, Exception):
            reason = one_line(f"{type(error).__name__}: {error}")
            raise RomflowError(f"a worker cannot solve: {reason}; romflow must be the same on all workers.") from error
        raise RomflowError("the scheduler or the connection to it was lost; run again, and what is stored is used.")

    def _killed(self, job: _Job, index: int) -> SolveRecord:
        mu, deaths = job.rows[index], SETTINGS["distributed.scheduler.allowed-failures"] + 1
        message = one_line(
            f"the worker died {deaths} times while it solved mu = {shown(mu.tolist())}: ended by a signal or by lack "
            "of memory; try fewer workers, or look for a crash in the model's own code."
        )
        report = {"error": "WorkerDied", "attempts": deaths, "exit_code": None, "stderr": "", "message": message}
        store = SnapshotStore.open(job.folder)
        store.record_failure(mu, report)
        return SolveRecord(index, store.key(mu), "failed", 0.0, message, report)

    def _running(self) -> Cluster:
        """The cluster, started if it is not running."""
        if self._cluster is None:
            from romflow.tasks.cluster import start

            self._cluster = start(self.config, self._on_broken)
        return self._cluster

    def _on_broken(self) -> None:
        """Wake the thread that waits for tasks which nobody will do."""
        if self._cluster is not None and self._flying:
            self._cluster.client.cancel(list(self._flying), force=True)

    def _raise_if_broken(self) -> None:
        if (broken := self._running().broken) is not None:
            raise RomflowError(f"{broken}; look for their messages above, or set [cluster] kind = 'serial'.")

    def __enter__(self) -> DaskExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
