"""The full-order side of a run: a model, its store, and what solves the one into the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.fom.build import build_model, model_identity
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.veracity import VeracityCheck
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.executor import Executor
from romflow.walk.progress import Progress

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["Truth", "store_folder"]


def store_folder(study: Study, folder: Path) -> Path:
    """Where a run in `folder` keeps the snapshots over all the times of the study."""
    store = folder / "store"
    return store if study.training_request == study.request else store / "horizon"


class Truth:
    """A full-order model with the store of its snapshots; what is stored is not solved again.

    Parameters
    ----------
    request : dict
        What builds the model.
    folder : Path
        Of the store.
    columns : sequence of str
        Of the parameters.
    progress : Progress
    veracity : float
        Score below which a snapshot is set aside; 0 leaves all.
    """

    def __init__(self, request: dict[str, Any], folder: Path, columns: tuple[str, ...], progress: Progress,
                 veracity: float) -> None:
        self.request, self.columns, self.progress = request, columns, progress
        self.fom: Any = build_model(request)
        self.store = SnapshotStore(folder, model_identity(request, self.fom), columns)
        self._check = VeracityCheck(self.store, veracity) if veracity and not is_split(self.fom) else None

    def solve_missing(self, mu: np.ndarray, executor: Executor) -> np.ndarray:
        """Solve the rows of mu (k, p) that the store lacks; which rows failed (k,)."""
        progress = self.progress
        with progress.timed("full-order solves"):
            missing = self.store.missing(mu)
            progress.report_damage(self.store)
            progress.found(len(mu) - len(missing))
            records = executor.solve(self.request, self.store.folder, self.columns, mu[missing],
                                     progress.record) if len(missing) else []
        failed = np.zeros(len(mu), dtype=bool)
        for record in records:
            failed[missing[record.index]] = record.status == "failed"
        progress.check_share(self.store)
        return failed

    def set_aside(self, known: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Which of the new snapshots at mu (k, p) are doubtful (k,); they are failed solves from now on."""
        if self._check is None:
            return np.zeros(len(new), dtype=bool)
        progress = self.progress
        with progress.timed("veracity"):
            aside = self._check.set_aside(known, new)
        for row in new[aside]:
            reason = (self.store.failure(row) or {}).get("message", "")
            progress.note(f"a snapshot is set aside: {reason}")
        progress.skip_damage(self.store)
        progress.failed += int(np.count_nonzero(aside))
        progress.check_share(self.store)
        return aside
