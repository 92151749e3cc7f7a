"""How far a run is: what was solved, how long each stage took, and the file that says so while it goes on."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from romflow.core.errors import SolveFailed
from romflow.core.files import plain, write_json
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.executor import SolveRecord
from romflow.walk.watcher import STATUS, Watcher

__all__ = ["Progress"]

_STATUS_EVERY = 1.0


class Progress:
    """Counts of a run, passed on to its watcher, its log and its status file.

    Parameters
    ----------
    study : str
        Name of the study.
    folder : Path
        Of the run.
    watcher : Watcher
    max_failed_share : float
        Share of the solves that may fail.

    Attributes
    ----------
    solved, reused, failed : int
    solve_seconds : float
        Processor seconds of the solves.
    stages : dict of str to float
        Seconds of each stage.
    """

    def __init__(self, study: str, folder: Path, watcher: Watcher, max_failed_share: float) -> None:
        self.study, self.folder, self.watcher, self.max_failed_share = study, folder, watcher, max_failed_share
        self.solved = self.reused = self.failed = 0
        self.solve_seconds = 0.0
        self.stages: dict[str, float] = {}
        self._stage: str | None = None
        self._done = 0
        self._seen: dict[Path, int] = {}
        self._written = 0.0

    def begin(self, stage: str, total: int | None) -> None:
        """Tell the watcher that a stage of `total` steps begins."""
        self._done = 0
        self.watcher.stage(stage, total)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of what is done inside to a stage."""
        started = time.perf_counter()
        self._stage = stage
        try:
            yield
        finally:
            self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - started

    def tick(self, done: int) -> None:
        """So many further steps are done."""
        self._done += done
        self.watcher.step(self._done, self.failed)
        if time.monotonic() - self._written > _STATUS_EVERY:
            self._write("running")

    def found(self, count: int) -> None:
        """So many snapshots were stored already."""
        self.reused += count
        self.tick(count)

    def record(self, record: SolveRecord) -> None:
        """One solve came to its end."""
        self.solved += record.status == "solved"
        self.reused += record.status == "stored"
        self.failed += record.status == "failed"
        self.solve_seconds += record.seconds
        if record.status == "failed":
            logging.getLogger("romflow").warning("failed: %s", record.message)
            if self.failed == 1:
                self.watcher.note(f"a solve failed and is recorded: {record.message}")
        self.tick(0 if record.status == "failed" else 1)

    def check_share(self, store: SnapshotStore) -> None:
        """Raise SolveFailed where more solves failed than the study allows."""
        asked = self.solved + self.reused + self.failed
        if self.failed and self.failed > self.max_failed_share * asked:
            first = store.failures()[0]["message"]
            raise SolveFailed(f"{self.failed} of {asked} full-order solves failed, more than [failures] "
                              f"max_failed_share = {self.max_failed_share:g} allows; the first: {first}")

    def report_damage(self, store: SnapshotStore) -> None:
        """Say which files of the store were set aside since this was last asked."""
        for path, reason in store.damaged[self._seen.get(store.folder, 0):]:
            self.note(f"set aside and solved again: {path} ({reason})")
        self.skip_damage(store)

    def skip_damage(self, store: SnapshotStore) -> None:
        """What is set aside so far was told otherwise."""
        self._seen[store.folder] = len(store.damaged)

    def note(self, text: str) -> None:
        """Something that a user should read, in the log too."""
        self.watcher.note(text)
        logging.getLogger("romflow").warning(text)

    def close(self, state: str, reason: str | None = None) -> None:
        """The run ends so."""
        with contextlib.suppress(OSError):
            self._write(state, reason)

    def _write(self, state: str, reason: str | None = None) -> None:
        self._written = time.monotonic()
        write_json(self.folder / STATUS, plain({
            "state": state, "reason": reason, "stage": self._stage, "solved": self.solved, "reused": self.reused,
            "failed": self.failed, "study": self.study, "updated": datetime.now(UTC).isoformat(timespec="seconds")}))
