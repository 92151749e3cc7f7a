"""The adaptive runs of a study: at each parameter the reduced model goes on, and learns where its indicator asks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported, SolveFailed
from romflow.outcome.mechanics import FieldErrors, field_errors, measured_field
from romflow.reduction.mechanics.adaptive_log import LogRow
from romflow.tasks.adaptive import AdaptiveResult, AdaptiveSettings, Tasks, run_adaptive, run_many_adaptive
from romflow.walk.truth import Truth
from romflow.walk.watcher import MODEL, OFFLINE

__all__ = ["FOLDER", "AdaptiveOutcome", "adaptive_runs", "adaptive_summary"]

#: Folder of the runs within that of the study, one folder a run.
FOLDER = "adaptive"


@dataclass(frozen=True)
class AdaptiveOutcome:
    """One adaptive run beside the truth.

    Attributes
    ----------
    mu : (p,)
    log : tuple of LogRow
    full_order_steps : int
    share : float
        Of all steps.
    indicator : float
        Of the whole run at its end.
    measure : str
        Field that the indicator is of.
    errors : FieldErrors or None
        Where the truth is stored.
    """

    mu: np.ndarray
    log: tuple[LogRow, ...]
    full_order_steps: int
    share: float
    indicator: float
    measure: str
    errors: FieldErrors | None

    @property
    def last_error(self) -> float:
        """Relative error of the measured field at the last time; not a number where it is not known."""
        if self.errors is None or self.measure not in self.errors.norm:
            return float("nan")
        return float(self.errors.relative(self.measure)[-1, 0])


def adaptive_runs(tasks: Tasks, truth: Truth, rom: Any, offline: Any, mu: np.ndarray, settings: AdaptiveSettings,
                  folder: Path) -> list[AdaptiveOutcome]:
    """Run the reduced model adaptively at each row of mu (k, p); each run begins with the same model.

    The model and its offline data are stored in `folder`, that of the study's run.

    The runs are tasks; where MPI ranks take the full-order steps, these are the tasks, and the runs stay here. A run
    that fails is told and left out; the others go on.

    Raises
    ------
    NotSupported
        The reduced model has no offline data or no indicator.
    """
    if offline is None:
        raise NotSupported("[adaptivity] needs a reduced model that can be enriched; use [reduction] method = "
                           "\"empirical-cubature\"")
    progress, place, found = truth.progress, folder / FOLDER, []
    progress.begin("adaptive runs", len(mu))
    if truth.request.get("ranks") is None:
        # One that fails ends the others' waiting; what they did is found below.
        with progress.timed("adaptive runs"), contextlib.suppress(SolveFailed):
            run_many_adaptive(tasks, folder / MODEL, folder / OFFLINE, mu, settings, place)
    for number, row in enumerate(mu):
        where = place / f"{number:04d}"
        with progress.timed("adaptive runs"):
            try:
                result = run_adaptive(tasks, truth.fom, rom, offline, row, settings, where)
            except SolveFailed as error:
                progress.note(f"an adaptive run failed: {error}")
                progress.tick(0)
                continue
            found.append(_outcome(result, truth, row))
        progress.tick(1)
    return found


def adaptive_summary(runs: list[AdaptiveOutcome]) -> dict[str, Any]:
    """The "adaptive" part of summary.json."""
    last = [run.last_error for run in runs if np.isfinite(run.last_error)]
    return {"runs": len(runs), "full_order_steps": sum(run.full_order_steps for run in runs),
            "max_full_order_share": max((run.share for run in runs), default=None),
            "max_relative_error": max(last, default=None),
            "mean_relative_error": float(np.mean(last)) if last else None,
            "max_error_estimate": max((run.indicator for run in runs), default=None)}


def _outcome(result: AdaptiveResult, truth: Truth, row: np.ndarray) -> AdaptiveOutcome:
    steps = max(1, len(result.answer.times) - 1)
    stored = not len(truth.store.missing(row[None]))
    errors = field_errors(result.rom, truth.fom, truth.store, row[None], result.answer) if stored else None
    return AdaptiveOutcome(row, result.log, result.full_order_steps, result.full_order_steps / steps,
                           float(result.answer.relative_error[0]), measured_field(result.rom), errors)
