"""From the residual of gappy dual fields to an error: a line in log-log with a margin, taught by degraded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ShapeError

__all__ = ["Calibration", "IndicatorQuality", "indicator_quality"]

_STEEPEST, _FLATTEST = 2.0, 0.5
_TINY = 1e-300


@dataclass(frozen=True)
class Calibration:
    """Indicator I(r) = 10^(a + c log10 r + k s), never decreasing in r and never below its value at `floor`.

    a and c fit log10 E = a + c log10 r to pairs of residual r and true relative error E, s is their standard deviation
    about the line, k the `margin`. Pairs should come from models of several tolerances, for the residuals of one good
    model alone are all small. c is kept within [1/2, 2]; beyond the largest residual of the pairs it is at least 1, so
    that an unseen case never falls back to what was seen (a regression that returns to a prior mean does that).

    Pairs that are observed while a model is in use count `share` of all training pairs each: few of them must be able
    to move a line of hundreds of easy pairs.

    Source: Casenave and Akkari 2019 (Mathematical and Computational Applications 24) for residual and regression; the
    line in place of their Gaussian process, which falls back to its prior away from the pairs, is this project's.

    Attributes
    ----------
    pairs : (k, 2)
        Residuals and errors of training, both > 0.
    observed : (l, 2)
        Pairs added by :meth:`observe`.
    margin : float
        k.
    floor : float
        Smallest residual that is told from zero.
    scale : float
        Largest size of the dual field at the reduced points in training, ||p_hat||_2 / sqrt(m_p).
    guard : float
        Share of `scale` below which the field counts as not there yet; see :meth:`residual`.
    share : float
        What an observed pair counts, of all training pairs.

    Examples
    --------
    >>> r = np.logspace(-5, -1, 9)
    >>> calibration = Calibration.fit(r, 2 * r, margin=0.0)
    >>> np.round(calibration.indicator(np.array([1e-3, 0.5])), 6).tolist()
    [0.002, 1.0]
    """

    pairs: np.ndarray
    observed: np.ndarray
    margin: float = 3.0
    floor: float = 0.0
    scale: float = 0.0
    guard: float = 1e-3
    share: float = 0.02

    @classmethod
    def fit(cls, residuals: Any, errors: Any, *, margin: float = 3.0, scale: float = 0.0, guard: float = 1e-3,
            floor: float | None = None) -> Calibration:
        """The line through pairs of degraded models; pairs with r = 0 or E = 0 say nothing and are left out.

        Parameters
        ----------
        residuals, errors : (k,)
            Relative residuals r and relative true errors E at the same times.
        margin : float
            Standard deviations that the indicator lies above the line.
        scale, guard : float
            See the attributes.
        floor : float, optional
            None: the smallest residual of the pairs.

        Raises
        ------
        ShapeError
            The lengths differ.
        InputError
            A value is negative or not finite, or fewer than two pairs are left.
        """
        pairs = _checked(residuals, errors)
        if len(pairs) < 2:
            raise InputError(f"an indicator is calibrated with {len(pairs)} pairs of residual and error that are not "
                             "zero; two are the least: give more degraded models or more times.")
        if not (np.isfinite(margin) and margin >= 0 and scale >= 0 and 0 <= guard < 1):
            raise InputError(f"margin = {margin}, scale = {scale}, guard = {guard}; margin and scale are not negative, "
                             "and guard is in [0, 1).")
        least = float(pairs[:, 0].min()) if floor is None else float(floor)
        return cls(pairs, np.empty((0, 2)), float(margin), least, float(scale), float(guard))

    def observe(self, residual: Any, error: Any) -> Calibration:
        """The calibration that also knows a pair, or several, from the use of the model (all not negative, finite)."""
        pairs = _checked(residual, error)
        return replace(self, observed=np.concatenate([self.observed, pairs])) if len(pairs) else self

    @cached_property
    def line(self) -> tuple[float, float, float]:
        """Intercept a, slope c and standard deviation s of log10 E about a + c log10 r."""
        x, y = np.log10(np.concatenate([self.pairs, self.observed])).T
        w = np.concatenate([np.ones(len(self.pairs)),
                            np.full(len(self.observed), max(1.0, self.share * len(self.pairs)))])
        w /= w.sum()
        x0, y0 = w @ x, w @ y
        spread = w @ (x - x0) ** 2
        slope = 1.0 if spread < 1e-4 else float(np.clip(w @ ((x - x0) * (y - y0)) / spread, _FLATTEST, _STEEPEST))
        intercept = float(y0 - slope * x0)
        return intercept, slope, float(np.sqrt(w @ (y - intercept - slope * x) ** 2))

    def residual(self, misfit: Any, size: Any) -> np.ndarray:
        """||B z - p_hat|| / max(||p_hat||, guard scale), both sizes as root mean squares over the m_p points.

        While the field is small everywhere the quotient has no meaning: the guard makes it go to zero with the misfit.
        Where size and guard are zero it is 0.

        Parameters
        ----------
        misfit, size : (..., b)
        """
        below = np.maximum(size, self.guard * self.scale)
        return np.asarray(np.divide(misfit, below, out=np.zeros(np.shape(below)), where=below > 0))

    def indicator(self, residual: Any) -> np.ndarray:
        """I(r) of the same shape as r; not a number stays so, infinity gives infinity. Cost: one power an entry."""
        a, c, s = self.line
        r = np.maximum(np.asarray(residual, dtype=float), max(self.floor, _TINY))
        largest = self.largest
        inside = 10 ** (a + self.margin * s) * np.minimum(r, largest) ** c
        return np.asarray(inside * np.maximum(r / largest, 1.0) ** max(c, 1.0))

    @cached_property
    def largest(self) -> float:
        """Largest residual of all pairs."""
        return float(np.concatenate([self.pairs, self.observed])[:, 0].max())

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Arrays, by names that begin with "calibration", and JSON metadata: all that the calibration is."""
        return ({"calibration_pairs": self.pairs, "calibration_observed": self.observed},
                {name: getattr(self, name) for name in _NUMBERS})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, float]) -> Calibration:
        """The calibration that `to_arrays` described."""
        return cls(np.asarray(arrays["calibration_pairs"]), np.asarray(arrays["calibration_observed"]).reshape(-1, 2),
                   **{name: float(metadata[name]) for name in _NUMBERS})


@dataclass(frozen=True)
class IndicatorQuality:
    """How an indicator did where the truth is known.

    Attributes
    ----------
    rank_correlation : float or None
        Spearman's, of indicators and errors; None with fewer than three of them.
    least_effectivity : float or None
        Smallest indicator / error among errors above the tolerance; None where no error is.
    missed : float
        Share of all cases in which the error is above the tolerance and the indicator is not.
    """

    rank_correlation: float | None
    least_effectivity: float | None
    missed: float


def indicator_quality(indicators: Any, errors: Any, tolerance: float) -> IndicatorQuality:
    """Rank correlation, least effectivity above a tolerance, and missed cases.

    Parameters
    ----------
    indicators, errors : (k,)
    tolerance : float

    Examples
    --------
    >>> indicator_quality([1e-3, 2e-2, 0.2], [2e-3, 1e-2, 0.4], 5e-3)
    IndicatorQuality(rank_correlation=1.0, least_effectivity=0.5, missed=0.0)
    """
    found, true = np.asarray(indicators, dtype=float).ravel(), np.asarray(errors, dtype=float).ravel()
    if found.shape != true.shape:
        raise ShapeError(f"{found.size} indicators and {true.size} errors; give one indicator for each error.")
    large = true > tolerance
    constant = true.size < 3 or np.ptp(true) == 0 or np.ptp(found) == 0
    return IndicatorQuality(None if constant else float(round(np.corrcoef(_ranks(found), _ranks(true))[0, 1], 12)),
                            float(np.min(found[large] / true[large])) if large.any() else None,
                            float(np.mean(large & (found <= tolerance))) if true.size else 0.0)


_NUMBERS = ("margin", "floor", "scale", "guard", "share")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - 0.5 * (counts - 1))[inverse])


def _checked(residuals: Any, errors: Any) -> np.ndarray:
    r, e = np.atleast_1d(np.asarray(residuals, dtype=float)), np.atleast_1d(np.asarray(errors, dtype=float))
    if r.shape != e.shape or r.ndim != 1:
        raise ShapeError(f"residuals have shape {r.shape} and errors {e.shape}; give vectors of one length.")
    wrong = ~(np.isfinite(r) & np.isfinite(e) & (r >= 0) & (e >= 0))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InputError(f"pair {k} of the calibration is residual {r[k]}, error {e[k]}; both are finite and not "
                         "negative.")
    return np.column_stack([r, e])[(r > 0) & (e > 0)]
