"""The adaptive runs of a study: at each parameter the reduced model goes on, and learns where its indicator asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported, SolveFailed
from romflow.outcome.mechanics import FieldErrors, field_errors
from romflow.reduction.mechanics.adaptive_log import LogRow
from romflow.reduction.mechanics.adaptivity import AdaptiveResult, AdaptiveSettings, adaptive_run
from romflow.store.snapshots import SnapshotStore
from romflow.walk.progress import Progress

__all__ = ["FOLDER", "AdaptiveOutcome", "adaptive_runs", "adaptive_summary"]

#: Folder of the runs within that of the study, one folder a run.
FOLDER = "adaptive"
_NAME = 16


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
    errors : FieldErrors or None
        Where the truth is stored.
    """

    mu: np.ndarray
    log: tuple[LogRow, ...]
    full_order_steps: int
    share: float
    indicator: float
    errors: FieldErrors | None


def adaptive_runs(tasks: Callable[..., Any], fom: Any, rom: Any, offline: Any, mu: np.ndarray,
                  settings: AdaptiveSettings, folder: Path, truth: SnapshotStore,
                  progress: Progress) -> list[AdaptiveOutcome]:
    """Run the reduced model adaptively at each row of mu (k, p); each run begins with the same model.

    A run that fails is told and left out; the others go on.

    Raises
    ------
    NotSupported
        The reduced model has no offline data or no indicator.
    """
    if offline is None:
        raise NotSupported("[adaptivity] needs a reduced model that can be enriched; use [reduction] method = "
                           "\"empirical-cubature\"")
    found = []
    progress.begin("adaptive runs", len(mu))
    for row in mu:
        where = folder / FOLDER / truth.key(row)[:_NAME]
        with progress.timed("adaptive runs"):
            try:
                result = adaptive_run(tasks, fom, rom, offline, row, settings, where)
            except SolveFailed as error:
                progress.note(f"an adaptive run failed: {error}")
                progress.tick(0)
                continue
            result.rom.save(where / "model.h5")
            found.append(_outcome(result, fom, row, truth))
        progress.tick(1)
    return found


def adaptive_summary(runs: list[AdaptiveOutcome], measure: str) -> dict[str, Any]:
    """The "adaptive" part of summary.json."""
    known = [run.errors for run in runs if run.errors is not None]
    last = [float(errors.relative(measure)[-1, 0]) for errors in known if measure in errors.norm]
    return {"runs": len(runs), "full_order_steps": sum(run.full_order_steps for run in runs),
            "max_full_order_share": max((run.share for run in runs), default=None),
            "max_relative_error": max(last, default=None),
            "mean_relative_error": float(np.mean(last)) if last else None,
            "max_error_estimate": max((run.indicator for run in runs), default=None)}


def _outcome(result: AdaptiveResult, fom: Any, row: np.ndarray, truth: SnapshotStore) -> AdaptiveOutcome:
    steps = max(1, len(result.answer.times) - 1)
    stored = not len(truth.missing(row[None]))
    whole = replace(result.rom, times=result.answer.times)
    errors = field_errors(whole, fom, truth, row[None], result.answer) if stored else None
    return AdaptiveOutcome(row, result.log, result.full_order_steps, result.full_order_steps / steps,
                           float(result.answer.relative_error[0]), errors)
