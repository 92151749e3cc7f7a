"""What the report shows of a reduced mechanics model: its worst run beside the truth, and the points that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.materials.protocol import PLASTIC
from romflow.materials.tensors import mises
from romflow.outcome.mechanics import FieldErrors, TrueFields
from romflow.outcome.validation import Validation
from romflow.reduction.mechanics.adaptive_log import LogRow
from romflow.report.mechanics_data import AdaptiveRuns, BodyComparison, MechanicsHistory, ReducedPoints
from romflow.rom.dictionary.answer import columns_of
from romflow.rom.dictionary.model import RomDictionary, is_mechanics
from romflow.rom.mechanics.answer import MechanicsAnswer
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.model import ReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["MechanicsPictures", "mechanics_pictures", "pictured_runs"]


@dataclass(frozen=True)
class MechanicsPictures:
    """Parts of a report on mechanics, by the names that `romflow.report.data.ReportData` has for them."""

    body: BodyComparison | None = None
    points: ReducedPoints | None = None
    run: MechanicsHistory | None = None


def mechanics_pictures(rom: ReducedModel, fom: Any, store: SnapshotStore, validation: Validation | None,
                       trained_until: float | None = None) -> MechanicsPictures:
    """The body and the run at the validation parameter with the largest error; no parts for other models.

    Without a validation they are those of the reduced model alone, at the centre of the parameter space, and none where
    it has no solution there. Cost: one reduced run then, else fields of one time.

    Parameters
    ----------
    rom : ReducedModel
    fom : model with `mechanics`
    store : SnapshotStore
        Of the trajectories that the validation was made with.
    validation : Validation or None
    trained_until : float, optional
        Last time of the snapshots, where the run goes on beyond it.
    """
    if not is_mechanics(rom) or rom.mesh is None:
        return MechanicsPictures()
    space = fom.mechanics.space
    if validation is None or validation.fields is None:
        mu, truth = rom.parameters.centre(), None
        model, answer = _one(rom, rom.solve(mu[None], check=False), 0)
        run = _history(mu, answer, trained_until)
    else:
        found = validation.fields
        model, answer = _one(rom, validation.answer, found.worst)
        mu, truth = validation.mu[found.worst], found.body
        series = store.trajectory(mu).series
        known = series is not None and len(rom.output_names) > 0 and series.shape == answer.series.shape[:2]
        run = replace(_history(mu, answer, trained_until), outputs_true=series if known else None,
                      **_errors(found))
    idle = len(model.points) - len(model.weights)
    points = ReducedPoints(space.points[:, model.points].T, np.pad(model.weights, (0, idle)))
    if not answer.converged.all():
        return MechanicsPictures(points=points)
    return MechanicsPictures(_body(model, space, mu, answer, truth), points, run)


def pictured_runs(mu: np.ndarray, logs: Sequence[Sequence[LogRow]], tolerance: float,
                  true_error: np.ndarray | None = None) -> AdaptiveRuns:
    """The logs of adaptive runs at mu (k, p) as the report takes them; `true_error` (k,) where some are known.

    Examples
    --------
    >>> runs = pictured_runs([[1.0]], [[LogRow(0, 2.5, 0.01, 0.1, True, 0.05, 7, 80, 60)]], 0.05)
    >>> runs.of(0).full_order_steps
    1
    """
    rows = np.array([[number, row.turn, row.time, row.residual, row.indicator, row.triggered, row.modes, row.points]
                     for number, log in enumerate(logs) for row in log], dtype=float).reshape(-1, 8)
    unknown = np.full(len(mu), np.nan)
    return AdaptiveRuns(mu, np.array([tolerance]), unknown if true_error is None else true_error, *rows.T)


def _one(rom: Any, answers: Any, j: int) -> tuple[MechanicsReducedModel, MechanicsAnswer]:
    """The model that answered one draw, the local one of a dictionary, and its answer for that alone."""
    if isinstance(rom, RomDictionary):
        return rom.answering(answers, j)
    return rom, columns_of(answers, slice(j, j + 1))


def _history(mu: np.ndarray, answer: MechanicsAnswer, trained_until: float | None) -> MechanicsHistory:
    known = np.isfinite(answer.error_series).any()
    return MechanicsHistory(mu, answer.times, answer.residual[:, 0], answer.error_series[:, 0] if known else None,
                            outputs_reduced=answer.series[:, :, 0] if len(answer.series) else None,
                            trained_until=None if trained_until is None else np.array([trained_until]))


def _errors(found: FieldErrors) -> dict[str, Any]:
    """Errors and norms (K + 1,) of the fields at the worst parameter, by the names of a `MechanicsHistory`."""
    return {f"{_SHORT.get(name, name)}_{what}": values[name][:, found.worst] for name in found.norm
            for what, values in (("error", found.error), ("norm", found.norm))}


def _body(rom: MechanicsReducedModel, space: Any, mu: np.ndarray, answer: MechanicsAnswer,
          truth: TrueFields | None) -> BodyComparison:
    """Nodal values of displacements, von Mises stress and accumulated plastic strain at the last time."""
    def nodal(points: np.ndarray) -> np.ndarray:
        return np.asarray(space.extrapolate(points)[0])

    plastic = PLASTIC in rom.dual
    body = BodyComparison(
        mu, answer.times[-1:], rom.lift(answer.trajectory[-1])[:, 0], nodal(rom.field(answer, "mises")[:, :, 0]),
        nodal(rom.field(answer, PLASTIC)[:, :, 0]) if plastic else None)
    if truth is None:
        return body
    strain = nodal(truth.plastic) if plastic and truth.plastic is not None else None
    return replace(body, displacement_true=truth.displacement, mises_true=nodal(mises(truth.stress)),
                   plastic_true=strain)


_SHORT = {PLASTIC: "plastic"}
