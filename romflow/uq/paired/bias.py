"""The bias of a reduced model on few full-order solves, and statistics of many draws without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.core.files import plain
from romflow.uq.bootstrap import acceleration, bca_interval, moments_again, resampled_counts, std_influence
from romflow.uq.estimate import Estimate

__all__ = ["LEAST_PAIRS", "Bias", "reduced_bias"]

Array = NDArray[np.float64]

#: Fewest pairs that tell a bias.
LEAST_PAIRS = 10
_LEAST_RESAMPLES = 50


@dataclass(frozen=True)
class Bias:
    """By how much the reduced model's statistics of one output are off, and what its draws give without that.

    Attributes
    ----------
    mean, std : Estimate
        Of the full-order output less that of the reduced one, on the paired draws.
    corrected_mean, corrected_std : Estimate or None
        Of the reduced model's own draws, plus that.
    size : int
        Pairs that count.
    """

    mean: Estimate
    std: Estimate
    corrected_mean: Estimate | None
    corrected_std: Estimate | None
    size: int

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return dict(plain(asdict(self)))


def reduced_bias(names: Sequence[str], full: ArrayLike, reduced: ArrayLike, drawn: ArrayLike | None = None, *,
                 resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> dict[str, Bias]:
    """mean(q - q_r) and std(q) - std(q_r) on n pairs, and the same added to the statistics of N draws of q_r.

    mean_N(q_r) + mean_n(q - q_r) is unbiased whatever the reduced model: a control variate with the coefficient 1. The
    intervals are accelerated percentiles of resampled pairs and, independently, resampled draws, with Student's
    quantiles for the few pairs; see `romflow.uq.bootstrap.bca_interval`. The acceleration is that of both samples
    (Efron and Tibshirani 1993, eq. (14.15) with influences over the numbers of draws).

    Parameters
    ----------
    names : sequence of str
        Of the outputs.
    full, reduced : (o, n)
        At the same draws; pairs with a value that is not finite are left out.
    drawn : (o, N), optional
        The reduced model at other draws of the same inputs.
    resamples : int
        At least 50.
    confidence : float
    seed : int

    Raises
    ------
    ShapeError, InputError
        Tables that do not fit, fewer than ten pairs, too few resamples.

    Examples
    --------
    >>> q = np.random.default_rng(0).normal(size=(2, 1, 400))
    >>> found = reduced_bias(["q"], q[0][:, :20], q[0][:, :20] - 1.0, q[1] - 1.0)["q"]
    >>> round(found.mean.value, 9), round(found.std.value, 9), abs(found.corrected_mean.value) < 0.2
    (1.0, 0.0, True)
    """
    pairs = _pairs(names, full, reduced)
    if isinstance(resamples, bool) or not hasattr(resamples, "__index__") or resamples < _LEAST_RESAMPLES:
        raise InputError(f"resamples = {resamples!r}; the rule is a whole number of at least {_LEAST_RESAMPLES}")
    n = pairs.shape[2]
    again = [_again(model, resamples, 2 * seed) for model in pairs]
    step = [first - second for first, second in zip(*again, strict=True)]
    value = _statistics(pairs[0]) - _statistics(pairs[1])
    influence = [(a - b) / n for a, b in zip(_influences(pairs[0]), _influences(pairs[1]), strict=True)]
    bias = [_estimates(value[i], step[i], [influence[i]], confidence, n) for i in (0, 1)]
    corrected: list[list[Estimate] | list[None]] = [[None] * len(names)] * 2
    if drawn is not None:
        others = _finite(names, drawn)
        more = _again(others, resamples, 2 * seed + 1)
        total = value + _statistics(others)
        influences = [[own, other / others.shape[1]] for own, other in zip(influence, _influences(others), strict=True)]
        corrected = [_estimates(total[i], step[i] + more[i], influences[i], confidence, n) for i in (0, 1)]
    return {name: Bias(bias[0][row], bias[1][row], corrected[0][row], corrected[1][row], n)
            for row, name in enumerate(names)}


def _pairs(names: Sequence[str], full: ArrayLike, reduced: ArrayLike) -> Array:
    """Outputs (2, o, n) of the pairs that count."""
    tables = [np.asarray(values, dtype=np.float64) for values in (full, reduced)]
    if tables[0].ndim != 2 or tables[0].shape != tables[1].shape or len(tables[0]) != len(names) or not len(names):
        raise ShapeError(f"outputs of shapes {tables[0].shape} (full-order) and {tables[1].shape} (reduced) have "
                         f"{len(names)} names; the rule is (o, n) for both, with a name for each row")
    pairs = np.stack(tables)
    pairs = pairs[:, :, np.isfinite(pairs).all(axis=(0, 1))]
    if pairs.shape[2] < LEAST_PAIRS:
        raise InputError(f"{pairs.shape[2]} pairs of full-order and reduced outputs are finite; a bias needs "
                         f"{LEAST_PAIRS} at least: solve more, or look at why solves fail")
    return pairs


def _finite(names: Sequence[str], drawn: ArrayLike) -> Array:
    others = np.asarray(drawn, dtype=np.float64)
    if others.ndim != 2 or len(others) != len(names):
        raise ShapeError(f"draws have outputs of shape {others.shape}; the rule is ({len(names)}, N)")
    others = others[:, np.isfinite(others).all(axis=0)]
    if others.shape[1] < LEAST_PAIRS:
        raise InputError(f"{others.shape[1]} draws of the reduced model are finite; the rule is {LEAST_PAIRS} at least")
    return others


def _statistics(values: Array) -> Array:
    """Means and standard deviations (2, o)."""
    return np.stack([values.mean(axis=1), values.std(axis=1, ddof=1)])


def _influences(values: Array) -> tuple[Array, Array]:
    """Influences (o, k) of draws on means and on standard deviations, times the number of draws."""
    k = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    return centred, (k - 1) * std_influence(centred)


def _again(values: Array, resamples: int, seed: int) -> Array:
    """Means and standard deviations (2, B, o) of resamples."""
    found = np.empty((2, resamples, len(values)))
    for rows, counts in resampled_counts(values.shape[1], resamples, seed):
        found[:, rows] = moments_again(values, counts)
    return found


def _estimates(values: Array, again: Array, influences: Sequence[Array], confidence: float,
               few: int) -> list[Estimate]:
    """Values (o,) with intervals from resamples (B, o) and the influences of one or two samples, each (o, k)."""
    skewness = acceleration(np.concatenate(influences, axis=1))
    return [Estimate(float(value), *bca_interval(float(value), column, float(a), confidence, few))
            for value, column, a in zip(values, again.T, skewness, strict=True)]
