"""What the report shows of models that move in time: the validation trajectory that is furthest off."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.core.errors import RomflowError
from romflow.linalg.diagnosis import phase_amplitude
from romflow.outcome.summary import relative
from romflow.outcome.validation import Validation, moves, product_of
from romflow.report.data import EvolutionComparison
from romflow.rom.dictionary.model import is_mechanics
from romflow.rom.model import ReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["worst_trajectory"]

# Processor seconds that the comparison with half the time steps may take.
_PATIENCE = 20.0


def worst_trajectory(rom: ReducedModel, fom: Any, store: SnapshotStore,
                     validation: Validation | None) -> EvolutionComparison | None:
    """The truth beside the reduced model over time where the relative error is largest.

    None for models at rest, and for mechanics, whose errors are those of fields: see
    `romflow.outcome.mechanics_pictures`.
    """
    if validation is None or not moves(rom) or is_mechanics(rom):
        return None
    j = int(np.argmax(relative(validation.true_error, validation.norm)))
    answer: Any = validation.answer
    trajectory, product = store.trajectory(validation.mu[j]), product_of(fom)
    weights = _weights(fom)
    error, norm, phase, amplitude = (np.zeros(len(answer.times)) for _ in range(4))
    for which, U in trajectory.pieces():
        reduced = rom.lift(answer.trajectory[which, :, j].T)
        error[which], norm[which] = product.norm(U - reduced), product.norm(U)
        parts = phase_amplitude(U, reduced, weights)
        phase[which], amplitude[which] = parts.dispersion, parts.dissipation
    outputs = len(rom.output_names) > 0
    steps = _step_error(fom, store, validation.mu[j], weights)
    return EvolutionComparison(
        validation.mu[j], answer.times, _up_to(answer.times, error), answer.error_series[:, j],
        _up_to(answer.times, norm), trajectory.series if outputs else None,
        answer.series[:, :, j] if outputs else None, answer.series_error[:, :, j] if outputs else None,
        dispersion=phase, dissipation=amplitude, step_dispersion=steps[0], step_dissipation=steps[1])


def _step_error(fom: Any, store: SnapshotStore, mu: np.ndarray,
                weights: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Dispersion and dissipation (K + 1,) of a stored trajectory against half the steps, where that is cheap."""
    seconds = float(store.seconds(mu[None])[0])
    if not hasattr(fom, "on") or not 2.0 * seconds <= _PATIENCE:
        return None, None
    trajectory = store.trajectory(mu)
    phase, amplitude = np.zeros(len(fom.times)), np.zeros(len(fom.times))
    try:
        for piece in fom.on(fom.time.halved).march(mu):
            inside = np.flatnonzero((piece.start + np.arange(len(piece.times))) % 2 == 0)
            if not inside.size:
                continue
            first = (piece.start + int(inside[0])) // 2
            part = slice(first, first + inside.size)
            found = phase_amplitude(piece.states[:, inside], trajectory.columns(part), weights)
            phase[part], amplitude[part] = found.dispersion, found.dissipation
    except RomflowError:
        return None, None
    return phase, amplitude


def _up_to(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Norms (K + 1,) in L2(0, t_k; X) of what has the norms `values` in X."""
    return np.sqrt(np.append(0.0, np.cumsum(np.diff(times) * values[1:] ** 2)))


def _weights(fom: Any) -> np.ndarray | None:
    """Volumes that belong to the unknowns, from the mass matrix; None where it gives none that are positive."""
    mass = getattr(fom, "mass", None)
    if mass is None:
        return None
    sums = np.asarray(mass.sum(axis=1)).ravel()
    return sums if np.all(sums > 0.0) else mass.diagonal()
