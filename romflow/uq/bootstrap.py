"""Bootstrap intervals of statistics from draws that are kept: mean, standard deviation, quantiles, exceedance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown
from romflow.uq.asked import thresholds_of
from romflow.uq.estimate import Estimate
from romflow.uq.intervals import check_confidence, clopper_pearson

__all__ = ["LARGEST", "LEAST_DRAWS", "Bootstrap", "acceleration", "bca_interval", "bootstrap", "moments_again",
           "resampled_counts", "std_influence"]

Array = NDArray[np.float64]

#: Most draws of which intervals are made in this way, and fewest.
LARGEST = 100_000
LEAST_DRAWS, _LEAST_RESAMPLES = 10, 50
_TOLD = 5  # draws beyond a threshold, and within it, that tell a probability
# Resamples that are made at a time.
_TOGETHER = 64


@dataclass(frozen=True)
class Bootstrap:
    """Statistics of one output with intervals of resampled draws.

    Attributes
    ----------
    mean, std : Estimate
    quantiles : tuple of (level, Estimate)
    exceedance : tuple of (threshold, Estimate)
    size : int
        Draws that count.
    """

    mean: Estimate
    std: Estimate
    quantiles: tuple[tuple[float, Estimate], ...]
    exceedance: tuple[tuple[float, Estimate], ...]
    size: int

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return {"mean": self.mean.plain(), "std": self.std.plain(), "size": self.size,
                "quantiles": [{"level": level, **found.plain()} for level, found in self.quantiles],
                "exceedance": [{"threshold": t, **found.plain()} for t, found in self.exceedance]}


def bootstrap(names: Sequence[str], output: ArrayLike, resamples: int, *, quantiles: Sequence[float] = (),
              exceedance: Mapping[str, Sequence[float]] | None = None, confidence: float = 0.95,
              seed: int = 0) -> dict[str, Bootstrap]:
    """Intervals of the statistics of independent draws, by bias-corrected accelerated percentiles of resamples.

    Draws are taken again with replacement, the same ones for all outputs, and each statistic is found anew: its
    interval are percentiles of what comes out, moved by a bias z0 and an acceleration a (Efron and Tibshirani 1993,
    eqs. (14.9), (14.14), (14.15)). The acceleration comes from leaving draws out one at a time; for quantiles, of which
    that is not consistent, it is 0. Of probabilities that fewer than five draws tell, resamples know nothing: their
    intervals are those of Clopper and Pearson. Resamples do not depend on how many are made at a time.

    Cost: `resamples` times (k integers, o k additions and 2 (o + t) k flops) for k draws and t thresholds.

    Parameters
    ----------
    names : sequence of str
        Of the outputs.
    output : (o, k)
        Independent draws, at most 100,000; those with a value that is not finite are left out.
    resamples : int
        At least 50; a thousand or more for an interval of 95 %.
    quantiles : sequence of float
        Levels.
    exceedance : mapping of str to numbers, optional
        Thresholds by output.
    confidence : float
    seed : int

    Returns
    -------
    dict of str to Bootstrap

    Raises
    ------
    ShapeError, InputError
        Other rows than names, too few or too many draws, a number out of range.

    Examples
    --------
    >>> found = bootstrap(["q"], np.random.default_rng(0).normal(size=(1, 400)), 500)["q"]
    >>> found.mean.low < 0.0 < found.mean.high, found.std.low < 1.0 < found.std.high
    (True, True)
    """
    values = _checked(names, output, resamples, quantiles, seed)
    check_confidence(confidence)
    thresholds = thresholds_of(names, exceedance)
    o, k, levels = len(values), values.shape[1], np.asarray(quantiles, dtype=float)
    order = np.argsort(values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=1)
    beyond = np.array([values[row] > t for row, t in thresholds], dtype=float).reshape(len(thresholds), k)
    again = [np.empty((resamples, size)) for size in (o, o, o * len(levels), len(thresholds))]
    centred = values - values.mean(axis=1, keepdims=True)
    for rows, counts in resampled_counts(k, resamples, seed):
        again[0][rows], again[1][rows] = moments_again(values, counts)
        again[2][rows] = _quantiles_again(ranked, order, counts, levels)
        again[3][rows] = counts @ beyond.T / k
    mean, std = values.mean(axis=1), values.std(axis=1, ddof=1)
    found = {
        "mean": _intervals(mean, again[0], acceleration(centred), confidence),
        "std": _intervals(std, again[1], acceleration(std_influence(centred)), confidence),
        "quantiles": _intervals(np.quantile(values, levels, axis=1).T.ravel(), again[2], np.zeros(o * len(levels)),
                                confidence),
        "exceedance": _probabilities(beyond, again[3], confidence)}
    return {name: Bootstrap(
        found["mean"][row], found["std"][row],
        tuple((float(level), found["quantiles"][row * len(levels) + j]) for j, level in enumerate(levels)),
        tuple((t, found["exceedance"][j]) for j, (of, t) in enumerate(thresholds) if of == row), k)
        for row, name in enumerate(names)}


def resampled_counts(k: int, resamples: int, seed: int) -> Any:
    """How often each of k draws is in each resample: pairs (rows, counts (j, k)), a part of the resamples at a time.

    Examples
    --------
    >>> [(part, counts.sum(axis=1).tolist()) for part, counts in resampled_counts(3, 2, 0)]
    [(slice(0, 2, None), [3.0, 3.0])]
    """
    for block, first in enumerate(range(0, resamples, _TOGETHER)):
        rows = min(_TOGETHER, resamples - first)
        chosen = np.random.default_rng([seed, block]).integers(0, k, (_TOGETHER, k))[:rows]
        counts = np.bincount((chosen + k * np.arange(rows)[:, None]).ravel(), minlength=rows * k)
        yield slice(first, first + rows), counts.reshape(rows, k).astype(np.float64)


def moments_again(values: Array, counts: Array) -> tuple[Array, Array]:
    """Means and standard deviations (j, o) of resamples with counts (j, k) of values (o, k)."""
    k, mean = values.shape[1], values.mean(axis=1)
    centred = values - mean[:, None]
    means, squares = counts @ centred.T / k, counts @ (centred**2).T / k
    return means + mean, np.sqrt(np.maximum(squares - means**2, 0.0) * k / (k - 1))


def bca_interval(value: float, again: Array, skewness: float, confidence: float,
                 few: int | None = None) -> tuple[float, float]:
    """Ends of the interval of a statistic with `value` on the draws and values `again` (B,) on their resamples.

    Percentiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z = Phi^{-1}((1 -+ confidence) / 2), and z0 = Phi^{-1} of the
    share of the resamples below the value, those equal to it counted half (Efron and Tibshirani 1993, eqs. (14.10),
    (14.14)). Of `few` draws, z is sqrt(n / (n - 1)) times Student's t_{n-1}, for percentiles of few draws are too
    narrow (Hesterberg 2015, section 5.3).

    Parameters
    ----------
    value : float
    again : (B,)
    skewness : float
        The acceleration a.
    confidence : float
    few : int, optional
        Number n of draws.

    Examples
    --------
    >>> [round(end, 9) for end in bca_interval(50.0, np.arange(101.0), 0.0, 0.9)]
    [5.0, 95.0]
    """
    B = len(again)
    share = (np.count_nonzero(again < value) + 0.5 * np.count_nonzero(again == value)) / B
    bias = special.ndtri(np.clip(share, 0.5 / B, 1.0 - 0.5 / B))
    tails = np.array([1.0 - confidence, 1.0 + confidence]) / 2.0
    z = bias + (special.ndtri(tails) if few is None else np.sqrt(few / (few - 1)) * special.stdtrit(few - 1, tails))
    room = np.maximum(1.0 - skewness * z, 1e-6)
    low, high = np.quantile(again, special.ndtr(bias + z / room))
    return float(low), float(high)


def std_influence(centred: Array) -> Array:
    """Influences (o, k) of draws on their standard deviation: minus what it is without each of them, mean 0."""
    k = centred.shape[1]
    total = (centred**2).sum(axis=1, keepdims=True)
    variance = (total - centred**2 * k / (k - 1)) / (k - 2)
    left = -np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(left - left.mean(axis=1, keepdims=True))


def acceleration(influence: Array) -> Array:
    """The acceleration a = sum l^3 / (6 (sum l^2)^{3/2}) of influences l (s, k); 0 where nothing varies."""
    squares = (influence**2).sum(axis=1)
    return np.asarray(np.divide((influence**3).sum(axis=1), 6.0 * squares**1.5, out=np.zeros(len(influence)),
                                where=squares > 0.0))


def _checked(names: Sequence[str], output: ArrayLike, resamples: int, quantiles: Sequence[float], seed: int) -> Array:
    """The draws that count, (o, k)."""
    values = np.asarray(output, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(names) or not len(names):
        raise ShapeError(f"outputs of shape {values.shape} have {len(names)} names; the rule is (o, k) with a name for "
                         "each row")
    for name, number, least in (("resamples", resamples, _LEAST_RESAMPLES), ("seed", seed, 0)):
        if isinstance(number, bool) or not hasattr(number, "__index__") or int(number) < least:
            raise InputError(f"bootstrap: {name} = {shown(number)}; the rule is a whole number of at least {least}")
    for level in quantiles:
        if not 0.0 < level < 1.0:
            raise InputError(f"bootstrap: the quantile {shown(level)}; the rule is a number between 0 and 1")
    values = values[:, np.isfinite(values).all(axis=0)]
    if not LEAST_DRAWS <= values.shape[1] <= LARGEST:
        raise InputError(f"bootstrap: {values.shape[1]} draws have an answer; the rule is {LEAST_DRAWS} to {LARGEST}, "
                         "of more the intervals of large samples are as good")
    return values


def _quantiles_again(ranked: Array, order: NDArray[np.intp], counts: Array, levels: Array) -> Array:
    """Quantiles (j, o q) of resamples with counts (j, k) of values sorted as `ranked` (o, k), interpolated linearly."""
    j, k = counts.shape
    found = np.empty((j, len(ranked), len(levels)))
    if not len(levels):
        return found.reshape(j, 0)
    places = (k - 1) * levels
    lower = np.floor(places)
    wanted = np.concatenate([lower, np.minimum(lower + 1.0, k - 1)])
    for row, (sorted_values, by) in enumerate(zip(ranked, order, strict=True)):
        for again, count in enumerate(counts):
            low, high = np.split(sorted_values[np.searchsorted(np.cumsum(count[by]), wanted, side="right")], 2)
            found[again, row] = low + (places - lower) * (high - low)
    return found.reshape(j, -1)


def _intervals(values: Array, again: Array, acceleration: Array, confidence: float) -> list[Estimate]:
    return [Estimate(float(value), *bca_interval(float(value), column, float(a), confidence))
            for value, column, a in zip(values, again.T, acceleration, strict=True)]


def _probabilities(beyond: Array, again: Array, confidence: float) -> list[Estimate]:
    """Shares of draws (t, k) beyond thresholds."""
    k, counts = beyond.shape[1], beyond.sum(axis=1).astype(int).tolist()
    found = _intervals(beyond.mean(axis=1), again, acceleration(beyond - beyond.mean(axis=1)[:, None]), confidence)
    return [one if _TOLD <= count <= k - _TOLD else Estimate(one.value, *clopper_pearson(count, k, confidence))
            for one, count in zip(found, counts, strict=True)]
