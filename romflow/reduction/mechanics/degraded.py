"""Pairs of residual and true error for the indicator, from models of decreasing tolerance on the training histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.core.errors import InputError, SolveFailed
from romflow.reduction.mechanics.assembly import Parts, assembled
from romflow.reduction.mechanics.cubature import ForceCubature
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.mechanics.teaching import taught

__all__ = ["KnownField", "calibrated", "kept_modes", "pairs_of", "taught_by_training", "tells", "tolerance_ladder"]

# Share of the largest norm from which a field's errors teach; where it begins, any share of it may be wrong.
_SEEN = 0.05
#: Tolerances of the degraded models, down to the model's own.
_LADDER = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5)
_LOOSEST_RULE = 0.1
# Where the field is below this share of its largest norm, relative errors say nothing.
_GUARD = 1e-2
# Residuals that are rounding.
_EXACT = 1e-10


@dataclass(frozen=True)
class KnownField:
    """A dual field along the training histories, as far as norms of differences need it.

    Attributes
    ----------
    coordinates : (n_q, k)
        In its modes, which are orthonormal; k states, one history after the other.
    squares : (k,)
        ||s||^2.
    counts : tuple of int
        States of each history.
    """

    coordinates: np.ndarray
    squares: np.ndarray
    counts: tuple[int, ...]

    def errors(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """||s - Psi z|| and ||s|| (k,) for coefficients z (n, k) of the first n modes.

        Examples
        --------
        >>> field = KnownField(np.array([[3.0], [4.0]]), np.array([26.0]), (1,))
        >>> field.errors(np.array([[3.0]]))[0].round(6)
        array([4.123106])
        """
        z = np.zeros_like(self.coordinates)
        z[:len(coefficients)] = coefficients
        outside = np.maximum(self.squares - np.sum(self.coordinates**2, axis=0), 0.0)
        return np.sqrt(np.sum((self.coordinates - z) ** 2, axis=0) + outside), np.sqrt(self.squares)


def tolerance_ladder(least: float) -> list[float]:
    """Tolerances above `least`, largest first.

    Examples
    --------
    >>> tolerance_ladder(2e-3)
    [0.1, 0.03, 0.01, 0.003]
    """
    return [value for value in _LADDER if value > least]


def calibrated(fom: Any, rom: MechanicsReducedModel, parts: Parts, cubature: ForceCubature, known: KnownField,
               values: dict[str, np.ndarray], mu: np.ndarray, tolerance: float) -> tuple[Calibration | None, int]:
    """The calibration of the model's indicator, and how many models gave pairs.

    A model of tolerance e has as many modes as leave e of the displacements and of the measured field, a rule of
    tolerance 10 e chosen among the candidates, and the reduced model's points for dual fields. Residual and error are
    those along the training histories, where both are known; the good model alone would show small ones only.

    Parameters
    ----------
    fom, rom, parts, cubature
        The model and what it is made of.
    known : KnownField
        The measured field.
    values : dict of str to array
        Singular values of "displacement" and of the dual fields.
    mu : (j, p)
        Of the training histories.
    tolerance : float
        Of the model.
    """
    raw = [pairs_of(one, known, mu) for one in _models(fom, rom, parts, cubature, values, tolerance)]
    useful = [pairs for pairs in (*filter(tells, raw), pairs_of(rom, known, mu)) if len(pairs)]
    scale = _scale(rom, known)
    residuals, errors = np.concatenate(useful).T if useful else (np.empty(0), np.empty(0))
    positive = np.count_nonzero((residuals > 0.0) & (errors > 0.0))
    if positive < 2:
        return None, 0
    return Calibration.fit(residuals, errors, scale=scale, guard=_GUARD), len(useful)


def pairs_of(rom: MechanicsReducedModel, known: KnownField, mu: np.ndarray) -> np.ndarray:
    """Residuals and relative errors (q, 2) of a model along the training histories, where the field is not tiny.

    Histories on which the model fails give none.
    """
    answer = rom.solve(mu, check=False)
    if not answer.converged.any() or answer.residual.shape[0] != known.counts[0] or len(set(known.counts)) > 1:
        return np.empty((0, 2))
    z = answer.dual[rom.measure]
    coefficients = z.transpose(1, 2, 0).reshape(z.shape[1], z.shape[0] * z.shape[2])
    error, norm = known.errors(coefficients)
    keep = (norm > _SEEN * norm.max(initial=0.0)) & np.repeat(answer.converged, known.counts[0]) & (norm > 0.0)
    residual = answer.residual.T.ravel()
    relative = np.minimum(error / np.where(norm > 0.0, norm, 1.0), 1.0)
    return np.asarray(np.column_stack([residual, relative])[keep])


def tells(pairs: np.ndarray) -> bool:
    """Whether residuals of a model's pairs (q, 2) are more than rounding.

    Where a field is zero at most points, a fit may meet all others with as many modes: it leaves nothing at any error,
    and a line through such pairs says nothing of the others.

    Examples
    --------
    >>> tells(np.array([[1e-3, 0.1], [1e-16, 0.1], [2e-3, 0.2]])), tells(np.array([[1e-16, 0.1]]))
    (True, False)
    """
    return bool(len(pairs)) and float(np.median(pairs[:, 0])) > _EXACT


def taught_by_training(rom: MechanicsReducedModel, mu: np.ndarray,
                       known: Mapping[str, KnownField]) -> MechanicsReducedModel:
    """The model whose dual fields are corrected by regressions on its own runs of the training histories mu (j, p).

    The calibration stays that of the gappy fits, which are what the indicator reads. Histories that end early teach
    nothing.

    Raises
    ------
    InputError
        No history has all the model's times, or the model fails on all of them.
    """
    counts, times = next(iter(known.values())).counts, len(rom.times)
    whole = np.flatnonzero(np.array(counts) == times)
    if not whole.size:
        raise InputError("[reduction] dual = \"regression\" needs a training history with all times of the model, and "
                         "every one ends earlier; use dual = \"gappy\"")
    starts = np.cumsum([0, *counts])[whole]
    truth = {name: np.stack([field.coordinates[:, start:start + times].T for start in starts], axis=2)
             for name, field in known.items() if len(field.coordinates)}
    return taught(rom, mu[whole], truth)


def _models(fom: Any, rom: MechanicsReducedModel, parts: Parts, cubature: ForceCubature,
            values: dict[str, np.ndarray], tolerance: float) -> Iterator[MechanicsReducedModel]:
    extra = rom.points[len(rom.weights):]
    for level in tolerance_ladder(tolerance):
        r = min(kept_modes(values["displacement"], level), rom.size)
        dual = {name: modes[:, :max(1, min(modes.shape[1], kept_modes(values[name], level)))]
                for name, modes in parts.dual.items()}
        try:
            rule = cubature.degraded(r, min(10.0 * level, _LOOSEST_RULE))
        except SolveFailed:
            continue
        less = replace(parts, basis=parts.basis[:, :r], dual=dual, rule=rule, size=parts.size[:r])
        yield assembled(fom, less, {}, np.setdiff1d(extra, rule.points), outputs=False)


def kept_modes(values: Sequence[float] | np.ndarray, tolerance: float) -> int:
    """How many singular values leave less than the tolerance behind them.

    Examples
    --------
    >>> kept_modes([1.0, 0.1, 0.001], 0.01)
    2
    """
    squares = np.asarray(values, dtype=float) ** 2
    tails = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
    return min(max(1, int(np.argmax(tails <= tolerance**2 * tails[0]))), squares.size)


def _scale(rom: MechanicsReducedModel, known: KnownField) -> float:
    """Largest root mean square of the measured field at its rows in training."""
    dual = rom.dual[rom.measure]
    if not dual.size:
        return 0.0
    values = dual.modes[dual.rows] @ known.coordinates[:dual.size]
    return float(np.sqrt(np.mean(values**2, axis=0).max(initial=0.0)))
