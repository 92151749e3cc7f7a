"""Solves by the workers of a Dask cluster: batched, stored where they are solved, and repeated if a worker dies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import RomflowError
from romflow.core.fingerprint import canonical_json, fingerprint
from romflow.core.names import one_line
from romflow.parameters.ordering import neighbour_groups
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.batches import Batches, Pace, checked_rows, first_of_equal
from romflow.tasks.mpi import Launch
from romflow.tasks.parts import PartResult, checked_parts, part_call, rank_job
from romflow.tasks.records import OnDone, SolveRecord
from romflow.tasks.solving import DEATHS, reuses, solve_task

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig
    from romflow.linalg.compression.result import Pod
    from romflow.tasks.clusters.cluster import Cluster
    from romflow.tasks.dask_ranks import Stream

__all__ = ["DaskExecutor"]

_LOST = "the scheduler or the connection to it was lost; run again, and what is stored is used."
_LOOK = 1.0  # seconds between looks at the workers
_HOUR = 3600.0  # a task with MPI ranks has a mesh and a solver to set up, and tells its records as they come


@dataclass(frozen=True)
class _Job:
    """One call of :meth:`DaskExecutor.solve`."""

    request: dict[str, Any]
    folder: str
    columns: Sequence[str]
    rows: NDArray[np.float64]
    batches: Batches
    pace: Pace
    stream: Stream | None = None
    told: set[int] = field(default_factory=set)

    def news(self, records: Iterable[SolveRecord]) -> Iterator[SolveRecord]:
        """Those of some records that were not yielded before."""
        for record in records:
            if record.index not in self.told:
                self.told.add(record.index)
                yield record

    def streamed(self) -> Iterator[SolveRecord]:
        """What running tasks have told since the last call."""
        return iter(()) if self.stream is None else self.news(self.stream.take())


class DaskExecutor:
    """Solves on the workers of a cluster, which starts with the first solve and ends with the context.

    A task solves some parameters one after the other, stores each at once and answers with records, never with states.
    Each worker has one task at a time. The task of a worker that dies is repeated by another one, which finds what was
    stored. If that one dies too, the task is taken apart, and each of its solves is a suspect: noted as failed before
    it begins. A suspect that has begun when its worker dies, twice, has failed. The results do not depend on the number
    of workers.

    Where a request has "ranks", a task is an MPI job for many neighbouring parameters. It takes so many of its worker's
    resource "ranks", and its records come while it runs. If its workers die, what it has not reached goes on in others.

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
        jobs = cluster.workers if cluster.kind == "local" else 1
        self.launch = Launch(cluster.launcher, cluster.time_limit, cluster.threads, jobs)
        self._cluster: Cluster | None = None
        self._paces: dict[str, Pace] = {}
        self._flying: dict[Any, tuple[list[int], bool, int]] = {}
        self._size, self._counted = cluster.workers, -_LOOK

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
        unique = [index for index, original in enumerate(first) if index == original]
        folder = str(Path(store_folder).absolute())
        longest = {} if request.get("ranks") is None else {"longest": _HOUR}
        batches = Batches(unique, pace, self._groups(request, folder, rows, unique), **longest)
        found: dict[int, SolveRecord] = {}
        with contextlib.ExitStack() as exits:
            stream = self._stream(request, batches, exits)
            job = _Job(request, folder, columns, rows, batches, pace, stream)
            for record in exits.enter_context(contextlib.closing(self._records(job))):
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

    def compress(
        self,
        request: dict[str, Any],
        store_folder: str | Path,
        columns: Sequence[str],
        mu: ArrayLike,
        tolerance: float,
        **options: Any,
    ) -> Pod:
        """The POD of stored snapshots (HAPOD) on the workers; see `romflow.tasks.records.Executor`."""
        from romflow.tasks.compressing import Compression
        from romflow.tasks.dask_tree import compress_on

        return compress_on(self._running(), Compression(request, store_folder, columns, mu, tolerance, **options))

    def parts(
        self,
        kernel: str,
        request: dict[str, Any],
        store_folder: str | Path,
        shared: dict[str, Any],
        parts: Sequence[int],
    ) -> list[PartResult]:
        """What a kernel finds on each part, a task a part; see `romflow.tasks.records.Executor`."""
        from romflow.tasks.dask_ranks import parts_on

        job = rank_job(kernel, request, shared)
        if job is not None:
            self.mpi(request, store_folder, job)
        calls = [part_call(kernel, request, store_folder, shared, part) for part in checked_parts(parts)]
        return parts_on(self._running(), calls) if calls else []

    def mpi(self, request: dict[str, Any], store_folder: str | Path, job: dict[str, Any]) -> dict[str, Any]:
        """The last line of an MPI job, which a worker launches; see `romflow.tasks.records.Executor`."""
        from romflow.tasks.dask_ranks import job_on

        call = {"request": request, "store_folder": str(Path(store_folder).absolute()), "job": job,
                "launch": asdict(self.launch)}
        return job_on(self._running(), canonical_json(call).decode(), int(request["ranks"]))

    def _stream(self, request: dict[str, Any], batches: Batches, exits: contextlib.ExitStack) -> Stream | None:
        """Where tasks with MPI ranks tell their records."""
        if request.get("ranks") is None or not len(batches):
            return None
        from romflow.tasks.dask_ranks import Stream

        return exits.enter_context(contextlib.closing(Stream(self._running().client)))

    def _records(self, job: _Job) -> Generator[SolveRecord, None, None]:
        """Keep every worker busy, and yield records as they come."""
        if not len(job.batches):
            return
        from distributed import as_completed

        cluster = self._running()
        done = as_completed(loop=cluster.client.loop, with_results=True, raise_errors=False)
        if job.stream is not None:
            job.stream.waiting = done.thread_condition
        try:
            while len(job.batches) or self._flying:
                self._submit(job, done)
                finished = _finished(done)
                yield from job.streamed()
                for future, answer in finished:
                    (rows, suspect, _), status = self._flying.pop(future), future.status
                    future.release()
                    if status == "finished":
                        records, solved, seconds = answer
                        job.pace.add(solved, seconds)
                        yield from job.news(replace(record, index=rows[record.index]) for record in records)
                    else:
                        yield from self._lost(job, rows, suspect, answer if status == "error" else None)
        finally:
            if self._flying:
                cluster.client.cancel(list(self._flying))
                self._flying.clear()
            cluster.want(0)

    def _submit(self, job: _Job, done: Any) -> None:
        """Send tasks until every worker has one."""
        cluster = self._running()
        if cluster.broken is not None:
            raise RomflowError(f"{cluster.broken}.")
        cluster.want(len(job.batches) + len(self._flying))
        while len(job.batches) and len(self._flying) < self._workers(cluster):
            busy = {lane for _, _, lane in self._flying.values()}
            lane = next(lane for lane in range(len(busy) + 1) if lane not in busy)
            rows, suspect = job.batches.take(self._workers(cluster), lane)
            call = {
                "request": job.request,
                "store_folder": job.folder,
                "columns": list(job.columns),
                "mu": job.rows[rows].tolist(),
                "retries": self.retries,
                "suspect": suspect,
            }
            future = self._sent(cluster, job, call, rows, lane)
            self._flying[future] = (rows, suspect, lane)
            done.add(future)

    def _sent(self, cluster: Cluster, job: _Job, call: dict[str, Any], rows: list[int], lane: int) -> Any:
        """The future of a task."""
        if job.stream is None:
            home = self._home(cluster, lane, reuses(job.request))
            return cluster.client.submit(solve_task, canonical_json(call).decode(), cluster.threads, pure=False, **home)
        from romflow.tasks.dask_ranks import ranks_task, resources

        text = canonical_json({**call, "launch": asdict(self.launch)}).decode()
        wanted = resources(cluster, int(job.request["ranks"]))
        return cluster.client.submit(ranks_task, text, rows, job.stream.topic, pure=False, resources=wanted)

    def _groups(self, request: dict[str, Any], folder: str, rows: NDArray[np.float64],
                unique: list[int]) -> list[list[int]]:
        """Neighbours together, a group for each worker, where a solve uses what the solves before have left."""
        if not reuses(request) or not unique:
            return []
        there: list[int] = []
        if request.get("ranks") is not None:
            missing = SnapshotStore.open(folder).missing(rows[unique], check=False)
            there = [row for row in unique if row not in {unique[i] for i in missing}]
            unique = [unique[i] for i in missing]
        groups = neighbour_groups(rows[unique], self.config.workers) if unique else [np.empty(0, dtype=np.intp)]
        first, *others = [[unique[i] for i in part] for part in groups]
        return [there + first, *others]

    def _home(self, cluster: Cluster, lane: int, wanted: bool) -> dict[str, Any]:
        """The worker of a lane, as a wish: when it is dead or busy for long, another takes the task."""
        if not wanted:
            return {}
        addresses = sorted(cluster.client.nthreads())
        return {"workers": [addresses[lane % len(addresses)]], "allow_other_workers": True} if addresses else {}

    def _workers(self, cluster: Cluster) -> int:
        """Number of workers to keep busy."""
        if cluster.local is None and time.monotonic() - self._counted > _LOOK:
            try:
                self._size, self._counted = max(1, cluster.size()), time.monotonic()
            except OSError as error:
                raise RomflowError(_LOST) from error
        return self._size

    def _lost(self, job: _Job, rows: list[int], suspect: bool, answer: Any) -> Iterator[SolveRecord]:
        """What follows from a task that gave no records: its rows again, a failure, or an error."""
        from distributed import KilledWorker

        error = None if answer is None else answer[1]
        if isinstance(error, KilledWorker):
            yield from self._killed(job, rows, suspect)
        elif isinstance(error, RomflowError):
            raise error
        elif isinstance(error, Exception):
            reason = one_line(f"{type(error).__name__}: {error}")
            raise RomflowError(f"a worker cannot solve: {reason}; romflow must be the same on all workers.") from error
        else:
            raise RomflowError(_LOST)

    def _killed(self, job: _Job, rows: list[int], suspect: bool) -> Iterator[SolveRecord]:
        """The failure of a suspect that had begun when its workers died; all other rows are suspects from now on.

        A task that had got on is no suspect: the wall-time of its workers was over perhaps.
        """
        left = [row for row in rows if row not in job.told]
        if len(left) < len(rows):
            job.batches.again(left)
            return
        store = SnapshotStore.open(job.folder)
        for row in rows:
            note = store.failure(job.rows[row]) if suspect else None
            if note is not None and note["attempts"] >= 2 * DEATHS:
                yield SolveRecord(row, note["key"], "failed", 0.0, note["message"], note, note["worker"])
                continue
            if not suspect:
                store.clear_failure(job.rows[row])
            job.batches.put_back([row])

    def _running(self) -> Cluster:
        """The cluster, started if it is not running."""
        if self._cluster is None:
            from romflow.tasks.clusters.cluster import start

            self._cluster = start(self.config)
        return self._cluster

    def __enter__(self) -> DaskExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()


def _finished(done: Any) -> list[Any]:
    """Pairs (future, answer) of an `as_completed` that have finished, after waiting a second for one at most."""
    with done.thread_condition:
        if not done.has_ready():
            done.thread_condition.wait(_LOOK)
    return list(done.next_batch(block=False))
