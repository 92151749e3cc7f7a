"""Progress of a run: bars on a terminal, plain lines in a batch log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from romflow.walk.watcher import Watcher

_LINE_EVERY = 10.0


class Bars:
    """One bar a stage: done / total, failures and the time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None) -> None:
        """A new bar; the one before is finished."""
        self._finish()
        self._task = self._progress.add_task(name, total=total, failed="")

    def step(self, done: int, failed: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, failed=f"{failed} failed" if failed else "")

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False)

    def _finish(self) -> None:
        if self._task is None:
            return
        task = self._progress.tasks[self._task]
        self._progress.update(self._task, total=max(task.completed, 1), completed=max(task.completed, 1))
        self._progress.stop_task(self._task)


class Lines:
    """A line at the start of each stage and every ten seconds within it."""

    def __init__(self) -> None:
        self._name, self._total, self._started, self._printed = "", None, 0.0, 0.0

    def stage(self, name: str, total: int | None) -> None:
        """Print the stage's name."""
        self._name, self._total = name, total
        self._started = self._printed = time.monotonic()
        self._print(f"{name}: " + ("started" if total is None else f"at most {total} steps"))

    def step(self, done: int, failed: int) -> None:
        """Print how far it is, at most every ten seconds."""
        now = time.monotonic()
        if now - self._printed < _LINE_EVERY:
            return
        self._printed = now
        of = "" if self._total is None else f" / {self._total}"
        left = "" if self._total is None or not done else (
            f", about {(now - self._started) / done * max(self._total - done, 0):.0f} s left at most")
        self._print(f"{self._name}: {done}{of} done{f', {failed} failed' if failed else ''}{left}")

    def note(self, text: str) -> None:
        """Print the text."""
        self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def make_watcher() -> Iterator[Watcher]:
    """Bars where standard error is a terminal, lines elsewhere."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[failed]}", style="red"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars = Bars(progress)
        yield bars
        bars.stage("done", 1)
        bars.step(1, 0)
