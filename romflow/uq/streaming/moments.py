"""Count, mean and central sums of powers 2 to 4, in one pass and merged exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["kurtosis", "merge", "merge_all", "moments_of", "no_moments", "skewness", "variance", "without_each"]

Array = NDArray[np.float64]
Merge = Callable[[Array, Array], Array]


def no_moments(*shape: int) -> Array:
    """Moments (5, *shape) of no values."""
    return np.zeros((5, *shape))


def moments_of(values: Array) -> Array:
    """Moments (5, o) of values (o, b): count, mean m and sums of (y - m)^j, j = 2, 3, 4; two passes over the values.

    Examples
    --------
    >>> moments_of(np.array([[1.0, 2.0, 3.0]]))[:, 0]
    array([3., 2., 2., 0., 2.])
    """
    o, b = values.shape
    if b == 0:
        return no_moments(o)
    mean = values.mean(axis=1)
    away = values - mean[:, None]
    square = away * away
    return np.stack([np.full(o, float(b)), mean, square.sum(axis=1), (square * away).sum(axis=1),
                     (square * square).sum(axis=1)])


def merge(first: Array, second: Array) -> Array:
    """Moments of both sets of values together, elementwise over all but the first axis.

    Pebay, Sandia report SAND2008-6212, eqs. (3.1) and (2.1) for p = 3, 4; for p = 2 Chan, Golub and LeVeque (1979).

    Examples
    --------
    >>> y = np.arange(6.0).reshape(1, 6) ** 2
    >>> np.allclose(merge(moments_of(y[:, :2]), moments_of(y[:, 2:])), moments_of(y))
    True
    """
    (na, ma, a2, a3, a4), (nb, mb, b2, b3, b4) = first, second
    n = na + nb
    size = np.where(n > 0.0, n, 1.0)
    d, share_a, share_b = mb - ma, na / size, nb / size
    weight = na * share_b
    return np.stack([
        n, np.where(na > 0.0, ma + d * share_b, mb), a2 + b2 + d**2 * weight,
        a3 + b3 + d**3 * weight * (share_a - share_b) + 3.0 * d * (share_a * b2 - share_b * a2),
        a4 + b4 + d**4 * weight * (share_a**2 - share_a * share_b + share_b**2)
        + 6.0 * d**2 * (share_a**2 * b2 + share_b**2 * a2) + 4.0 * d * (share_a * b3 - share_b * a3)])


def merge_all(groups: Array, merging: Merge = merge) -> Array:
    """Moments (5, ...) of all groups (g, 5, ...) together, one after the other."""
    total = np.zeros(groups.shape[1:])
    for group in groups:
        total = merging(total, group)
    return total


def without_each(groups: Array, merging: Merge = merge) -> Array:
    """Moments (g, 5, ...) of all groups but the j-th, for each j; 3 g merges."""
    before = [np.zeros(groups.shape[1:])]
    after = [np.zeros(groups.shape[1:])]
    for group, last in zip(groups[:-1], groups[:0:-1], strict=True):
        before.append(merging(before[-1], group))
        after.append(merging(after[-1], last))
    return np.stack([merging(one, other) for one, other in zip(before, reversed(after), strict=True)])


def variance(moments: Array) -> Array:
    """Sum of squares / (n - 1), NaN for fewer than two values."""
    n = moments[0]
    return np.asarray(np.where(n > 1.0, moments[2] / np.where(n > 1.0, n - 1.0, 1.0), np.nan))


def skewness(moments: Array) -> Array:
    """m_3 / m_2^(3/2) with m_j the mean of (y - mean)^j; NaN where all values are alike."""
    return _standardised(moments, 3)


def kurtosis(moments: Array) -> Array:
    """m_4 / m_2^2, which is 3 for a normal distribution; NaN where all values are alike."""
    return _standardised(moments, 4)


def _standardised(moments: Array, order: int) -> Array:
    n = np.where(moments[0] > 0.0, moments[0], 1.0)
    spread = np.sqrt(moments[2] / n)
    some = spread > 4.0 * np.finfo(float).eps * np.abs(moments[1])
    root = np.where(some, spread, 1.0)
    return np.asarray(np.where(some, moments[order] / n / root**order, np.nan))
