"""What bounded errors of the log-density of a sample do to its mean, standard deviation and quantiles.

As good as the sample covers the other density: of what lies where there is no draw, nothing is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_range", "quantile_range", "std_range"]

Array = NDArray[np.float64]


def mean_range(values: Array, low: Array, high: Array) -> tuple[float, float]:
    """Least and largest weighted mean of values (n,) with weights between exp(low) and exp(high) (n,) each.

    The extremes give the upper weight to all values above a threshold and the lower to those below, or the reverse; all
    thresholds are tried after sorting, O(n log n).

    Examples
    --------
    >>> mean_range(np.array([0.0, 1.0]), np.zeros(2), np.log([1.0, 3.0]))
    (0.5, 0.75)
    """
    order = np.argsort(values, kind="stable")
    x = values[order]
    a, b = _weights(low[order], high[order])
    return float(_best(x, b, a).min()), float(_best(x, a, b).max())


def std_range(values: Array, low: Array, high: Array) -> tuple[float, float]:
    """Numbers between which the weighted standard deviation is, for all such weights.

    With m the mean of the values: the variance is at most the largest weighted mean of (x - m)^2, and at least the
    least one less the square of the largest shift of the mean.
    """
    m = float(values.mean())
    least, largest = mean_range((values - m) ** 2, low, high)
    shift = max(abs(end - m) for end in mean_range(values, low, high))
    return float(np.sqrt(max(least - shift**2, 0.0))), float(np.sqrt(max(largest, 0.0)))


def quantile_range(values: Array, levels: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Least and largest weighted quantiles (l,) at levels (l,), for all such weights.

    The distribution function at x is least with the lower weights up to x and the upper ones beyond it, and largest
    with the reverse.
    """
    order = np.argsort(values, kind="stable")
    x = values[order]
    a, b = _weights(low[order], high[order])
    largest_share = _share(b, a)
    least_share = _share(a, b)
    last = len(x) - 1
    lower = x[np.minimum(np.searchsorted(largest_share, levels, side="left"), last)]
    upper = x[np.minimum(np.searchsorted(least_share, levels, side="left"), last)]
    return lower, upper


def _weights(low: Array, high: Array) -> tuple[Array, Array]:
    largest = high.max()
    return np.exp(low - largest), np.exp(high - largest)


def _share(left: Array, right: Array) -> Array:
    """Share of the weight up to each value: `left` up to it, `right` beyond."""
    up = np.cumsum(left)
    beyond = np.concatenate([np.cumsum(right[::-1])[::-1][1:], [0.0]])
    return np.asarray(up / np.where(up + beyond > 0.0, up + beyond, 1.0))


def _best(x: Array, below: Array, above: Array) -> Array:
    """Weighted means (n + 1,) with the weights `below` for the first k values and `above` for the others, all k."""
    weight = np.concatenate([[0.0], np.cumsum(below)]) + np.concatenate([np.cumsum(above[::-1])[::-1], [0.0]])
    total = np.concatenate([[0.0], np.cumsum(below * x)]) + np.concatenate([np.cumsum((above * x)[::-1])[::-1], [0.0]])
    usable = weight > 0.0
    return np.asarray(total[usable] / weight[usable])
