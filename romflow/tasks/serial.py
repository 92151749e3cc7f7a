"""Solves in this process, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from romflow.tasks.batches import checked_rows
from romflow.tasks.records import OnDone, SolveRecord
from romflow.tasks.solving import pinned_threads, solve_batch

__all__ = ["SerialExecutor"]


class SerialExecutor:
    """Solves in this process: no start-up time, easy to debug, the same results as any other executor.

    Parameters
    ----------
    retries : int
        Further attempts for a solve that fails.
    threads : int
        Threads that BLAS may use.
    """

    remote = False

    def __init__(self, retries: int = 0, threads: int = 1) -> None:
        self.retries = retries
        self.threads = threads

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
        with pinned_threads(self.threads):
            done = solve_batch(request, str(store_folder), columns, rows.tolist(), self.retries, on_done=on_done)
        return done[0]

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
