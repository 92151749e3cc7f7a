"""Who sees a run go on, what a run gives, and the names of the files that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from romflow.rom.model import ReducedModel

__all__ = ["LOG", "MODEL", "OFFLINE", "REPORT", "STATUS", "SUMMARY", "Result", "Silent", "Watcher"]

MODEL, SUMMARY, STATUS, REPORT, LOG = "model.h5", "summary.json", "status.json", "report.html", "run.log"
#: What an enrichment of the model needs beside it, where it can be enriched.
OFFLINE = "offline.h5"


class Watcher(Protocol):
    """Sees a run go on: what the command line draws its progress bars from."""

    def stage(self, name: str, total: int | None) -> None: ...

    def step(self, done: int, failed: int) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Watches nothing."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` steps where that is known."""

    def step(self, done: int, failed: int) -> None:
        """So many steps of the stage are done, so many of them failed."""

    def note(self, text: str) -> None:
        """Something that a user should read."""


@dataclass(frozen=True)
class Result:
    """What a run gives: the reduced model, the summary as in summary.json, and the run folder."""

    rom: ReducedModel
    summary: dict[str, Any]
    folder: Path
