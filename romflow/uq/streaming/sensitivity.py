"""Sobol' indices by pick-freeze: pairs of outputs that share some inputs, in one pass, with intervals.

Of two independent points A and B, let A_i be A with input i taken from B. Then f(B) and f(A_i) share input i alone, and
f(A) and f(A_i) share all but input i. For a pair (y, y') with equal distributions

    R = 1 - mean (y - y')^2 / 2 / (mean (y^2 + y'^2) / 2 - (mean (y + y') / 2)^2)

is the estimate of Cov(y, y') / Var(y) by Monod et al. (2006) and Janon et al. (ESAIM: P&S 18, 2014, eq. (6)), which has
the least asymptotic variance of all that use these pairs. The first-order index is R of the first pair, the total index
1 - R of the second (Jansen 1999 with the variance of the pair).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown
from romflow.uq.estimate import Estimate
from romflow.uq.intervals import check_confidence, from_groups, normal_factor
from romflow.uq.streaming.moments import merge_all, without_each

__all__ = ["Indices", "index_values", "merge_pairs", "pair_intervals", "pairs_of", "sobol_indices"]

Array = NDArray[np.float64]

# Rows of the moments of a pair: count, means of d, s, t, and the sums of products of their deviations.
_FIRST, _SECOND = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 1, 2, 2])
_ROWS = 4 + _FIRST.size
# Below this many points the delta method's interval is not near its confidence.
_LEAST = 16


def pairs_of(y: Array, other: Array) -> Array:
    """Moments (10, o) of pairs (o, b): of d = (y - y')^2 / 2, s = (y^2 + y'^2) / 2 and t = y + y'."""
    o, b = y.shape
    if b == 0:
        return np.zeros((_ROWS, o))
    values = np.stack([0.5 * (y - other) ** 2, 0.5 * (y * y + other * other), y + other])
    mean = values.mean(axis=2)
    away = values - mean[:, :, None]
    sums = np.einsum("kob,kob->ko", away[_FIRST], away[_SECOND])
    return np.concatenate([np.full((1, o), float(b)), mean, sums])


def merge_pairs(first: Array, second: Array) -> Array:
    """Moments (10, ...) of both sets of pairs (Chan, Golub and LeVeque 1979, for sums of products)."""
    na, nb = first[0], second[0]
    n = na + nb
    share = nb / np.where(n > 0.0, n, 1.0)
    d = second[1:4] - first[1:4]
    mean = np.where(na > 0.0, first[1:4] + d * share, second[1:4])
    sums = first[4:] + second[4:] + d[_FIRST] * d[_SECOND] * (na * share)
    return np.concatenate([n[None], mean, sums])


def index_values(pairs: Array) -> tuple[Array, Array]:
    """1 - R (...) of pairs' moments (10, ...), and its standard error by the delta method for independent pairs.

    T = mean d / V, V = mean s - (mean t / 2)^2; its influence function is (d - T (s - t mean t / 2)) / V.
    NaN where V is 0.
    """
    n, d, s, t = pairs[:4]
    middle = 0.5 * t
    spread = s - middle**2
    some = (n > 1.0) & (spread > 1e-14 * np.abs(s))
    size, V = np.where(some, n, 2.0), np.where(some, spread, 1.0)
    T = d / V
    w = np.stack([np.ones_like(T), -T, T * middle]) / V
    twice = np.where(_FIRST == _SECOND, 1.0, 2.0).reshape(-1, *[1] * T.ndim)
    spread = np.maximum((twice * w[_FIRST] * w[_SECOND] * pairs[4:]).sum(axis=0), 0.0) / (size - 1.0)
    return np.where(some, T, np.nan), np.where(some, np.sqrt(spread / size), np.nan)


def pair_intervals(groups: Array, confidence: float) -> tuple[Array, Array]:
    """1 - R (...) and half of its interval, from moments (g, 10, ...) of g independent groups of pairs.

    One group: independent pairs, by the delta method. Several: repetitions of points that are not independent, by
    leaving out one at a time.
    """
    value, error = index_values(merge_all(groups, merge_pairs))
    if groups.shape[0] == 1:
        return value, normal_factor(confidence) * error
    others = np.moveaxis(without_each(groups, merge_pairs), 0, 1)
    return value, from_groups(index_values(others)[0], confidence)


class Indices:
    """Sums from which the Sobol' indices of all groups of inputs follow, for all outputs at once.

    Parameters
    ----------
    repetitions, groups, outputs : int
    origin, unit : (o,)
        Subtracted from the outputs and divided by, against round-off: about their means and standard deviations.

    Attributes
    ----------
    used, failed : int
        Base points all of whose evaluations have answers, and others.
    """

    def __init__(self, repetitions: int, groups: int, origin: Array, unit: Array) -> None:
        self._origin, self._unit = origin[:, None], unit[:, None]
        self.pairs = np.zeros((repetitions, _ROWS, 2, groups, origin.size))
        self.used = self.failed = 0

    def add(self, repetition: int, first: Array, second: Array, mixed: Array) -> None:
        """Outputs (o, b) at A and at B and (g, o, b) at A with the inputs of each group from B."""
        whole = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0) & np.isfinite(mixed).all(axis=(0, 1))
        self.used, self.failed = self.used + int(whole.sum()), self.failed + int((~whole).sum())
        a, b = self._scaled(first, whole), self._scaled(second, whole)
        for group, values in enumerate(mixed):
            c = self._scaled(values, whole)
            for row, y in enumerate((b, a)):
                old = self.pairs[repetition, :, row, group]
                self.pairs[repetition, :, row, group] = merge_pairs(old, pairs_of(y, c))

    def intervals(self, confidence: float) -> tuple[Array, Array]:
        """Indices (2, g, o), first-order and total, and half of their intervals; NaN where an output is constant."""
        groups = self.pairs[self.pairs[:, 0, 0, 0, 0] > 0.0]
        value, half = pair_intervals(groups if len(groups) else self.pairs[:1], confidence)
        value[0] = 1.0 - value[0]
        return value, half

    def arrays(self) -> dict[str, Any]:
        """All that changes."""
        return {"pairs": self.pairs, "counts": np.array([self.used, self.failed])}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Go on from what `arrays` gave."""
        self.pairs = np.array(arrays["pairs"], dtype=np.float64)
        self.used, self.failed = (int(count) for count in arrays["counts"])

    def _scaled(self, values: Array, whole: NDArray[np.bool_]) -> Array:
        return np.asarray((values[:, whole] - self._origin) / self._unit)


def sobol_indices(first: ArrayLike, second: ArrayLike, mixed: ArrayLike,
                  confidence: float = 0.95) -> tuple[list[Estimate], list[Estimate]]:
    """First-order and total Sobol' indices of one output, from its values at points that were drawn independently.

    Parameters
    ----------
    first, second : (n,)
        Values at points A and at points B.
    mixed : (g, n)
        Values at A with the i-th input, or group of inputs, taken from B.
    confidence : float
        Of the intervals, by the delta method; right for n from some hundreds on.

    Returns
    -------
    first_order, total : lists of g Estimate

    Raises
    ------
    ShapeError
        The arrays do not fit.
    InputError
        Fewer than 16 points, a value that is not finite, all values alike, a wrong confidence.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> A, B = rng.normal(size=(2, 4000, 2))
    >>> f = lambda x: x[:, 0] + 2.0 * x[:, 1]
    >>> mixed = [f(np.column_stack([B[:, 0], A[:, 1]])), f(np.column_stack([A[:, 0], B[:, 1]]))]
    >>> first, total = sobol_indices(f(A), f(B), mixed)
    >>> first[1].low < 0.8 < first[1].high, total[0].low < 0.2 < total[0].high
    (True, True)
    """
    a, b, c = (np.asarray(values, dtype=np.float64) for values in (first, second, mixed))
    if a.ndim != 1 or b.shape != a.shape or c.ndim != 2 or c.shape[1:] != a.shape or not len(c):
        raise ShapeError(f"outputs at the points have shapes {a.shape}, {b.shape} and {c.shape}; the rule is (n,), "
                         "(n,) and (g, n).")
    if a.size < _LEAST:
        raise InputError(f"Sobol' indices of {a.size} points have no interval; give {_LEAST} points or more.")
    check_confidence(confidence)
    for name, values in (("first", a), ("second", b), ("mixed", c)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds {shown(float(values[~np.isfinite(values)][0]))} among its values; leave "
                             "points without an answer out of all arrays.")
    return _estimates(a, b, c, confidence)


def _estimates(a: Array, b: Array, c: Array, confidence: float) -> tuple[list[Estimate], list[Estimate]]:
    unit = float(a.std())
    if not unit > 1e-14 * float(np.abs(a).max()):
        raise InputError("all values are alike: the output does not depend on the inputs, and no index is defined.")
    sums = Indices(1, len(c), np.array([a.mean()]), np.array([unit]))
    sums.add(0, a[None], b[None], c[:, None])
    values, halves = sums.intervals(confidence)
    pairs = zip(values[..., 0], halves[..., 0], strict=True)
    first, total = ([Estimate(float(v), float(v - h), float(v + h), None) for v, h in zip(*pair, strict=True)]
                    for pair in pairs)
    return first, total
