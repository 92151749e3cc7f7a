"""Solves in this process, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.parameters.ordering import neighbour_groups
from romflow.tasks.batches import checked_rows
from romflow.tasks.mpi import Launch
from romflow.tasks.mpi_solving import run_job
from romflow.tasks.records import OnDone, SolveRecord
from romflow.tasks.solving import pinned_threads, reuses, solve_batch

if TYPE_CHECKING:
    from romflow.linalg.compression.result import Pod
    from romflow.tasks.parts import PartResult

__all__ = ["SerialExecutor"]


class SerialExecutor:
    """Solves in this process: no start-up time, easy to debug, the same results as any other executor.

    Parameters
    ----------
    retries : int
        Further attempts for a solve that fails.
    threads : int
        Threads that BLAS may use.
    launch : Launch, optional
        How MPI jobs are started, for requests with "ranks".
    """

    remote = False

    def __init__(self, retries: int = 0, threads: int = 1, launch: Launch | None = None) -> None:
        self.retries = retries
        self.threads = threads
        self.launch = launch or Launch(threads=threads)

    def solve(
        self,
        request: dict[str, Any],
        store_folder: str | Path,
        columns: Sequence[str],
        mu: ArrayLike,
        on_done: OnDone | None = None,
    ) -> list[SolveRecord]:
        """Solve and store every row of `mu` (k, p) that is not stored; see `romflow.tasks.records.Executor`."""
        rows = checked_rows(mu, columns)
        order = neighbour_groups(rows, 1)[0] if reuses(request) else np.arange(len(rows))
        found: dict[int, SolveRecord] = {}

        def note(record: SolveRecord) -> None:
            placed = replace(record, index=int(order[record.index]))
            found[placed.index] = placed
            if on_done is not None:
                on_done(placed)

        with pinned_threads(self.threads):
            solve_batch(request, str(store_folder), columns, rows[order].tolist(), self.retries, on_done=note,
                        launch=asdict(self.launch))
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
        """The POD of stored snapshots (HAPOD); see `romflow.tasks.records.Executor`."""
        from romflow.tasks.compressing import Compression, leaf_task, merge_task, project_task

        job = Compression(request, store_folder, columns, mu, tolerance, **options)
        tree = job.tree()

        def node(level: int, index: int) -> Any:
            if not level:
                return leaf_task(job.call(tree, tree.leaves[index]), self.threads)
            children = [node(level - 1, child) for child in tree.merges[level - 1][index]]
            return merge_task(job.call(tree, root=level == len(tree.merges)), self.threads, *children)

        root = node(len(tree.merges), 0)
        parts = [project_task(job.call(tree, part), self.threads, root) for part in tree.leaves]
        return job.result(root, parts)

    def parts(
        self,
        kernel: str,
        request: dict[str, Any],
        store_folder: str | Path,
        shared: dict[str, Any],
        parts: Sequence[int],
    ) -> list[PartResult]:
        """What a kernel finds on each part; see `romflow.tasks.records.Executor`."""
        from romflow.tasks.parts import checked_parts, part_call, part_task, rank_job

        job = rank_job(kernel, request, shared)
        if job is not None:
            self.mpi(request, store_folder, job)
        calls = [part_call(kernel, request, store_folder, shared, part) for part in checked_parts(parts)]
        return [part_task(call, self.threads) for call in calls]

    def mpi(self, request: dict[str, Any], store_folder: str | Path, job: dict[str, Any]) -> dict[str, Any]:
        """The last line of an MPI job; see `romflow.tasks.records.Executor`."""
        return run_job(request, store_folder, job, self.launch)

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
