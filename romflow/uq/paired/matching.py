"""Thresholds at which a cheaper model exceeds when the full-order one exceeds its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.uq.asked import Asked

__all__ = ["matched_thresholds"]

Array = NDArray[np.float64]

# Draws on either side of the threshold from which quantiles are told.
_ENOUGH = 5


def matched_thresholds(wish: Asked, values: Array) -> Array:
    """Thresholds (k, t) of k models from paired outputs (k, o, n); those of the first model are the ones asked for.

    For every other model: the threshold itself, that at which as large a share of its outputs is beyond, or that of the
    linear regression of the first model on it, whichever disagrees least with the first model (the first of equals).

    Examples
    --------
    >>> q = np.linspace(0.0, 1.0, 101)
    >>> wish = Asked(("q",), ((0, 0.805),), 0.95)
    >>> matched_thresholds(wish, np.stack([q, 3.0 + q])[:, None]).round(2).tolist()
    [[0.8], [3.8]]
    """
    good = np.isfinite(values).all(axis=(0, 1))
    values = values[:, :, good]
    found = np.empty((len(values), len(wish.thresholds)))
    for j, (o, t) in enumerate(wish.thresholds):
        found[:, j] = [t, *(_matched(values[0, o], other, t) for other in values[1:, o])]
    return found


def _matched(truth: Array, other: Array, threshold: float) -> float:
    beyond = truth > threshold
    joint = float(np.mean((truth - truth.mean()) * (other - other.mean())))
    candidates = [threshold, *_by_share(beyond, other, joint), *_by_line(truth, other, threshold, joint)]
    wrong = [min(np.count_nonzero((other > t) != beyond), np.count_nonzero((other > t) == beyond)) for t in candidates]
    return float(candidates[int(np.argmin(wrong))])


def _by_share(beyond: Array, other: Array, joint: float) -> list[float]:
    count = int(np.count_nonzero(beyond))
    if min(count, beyond.size - count) < _ENOUGH:
        return []
    ordered = np.sort(other)
    place = beyond.size - count if joint >= 0.0 else count
    return [float(0.5 * (ordered[place - 1] + ordered[place]))]


def _by_line(truth: Array, other: Array, threshold: float, joint: float) -> list[float]:
    spread = float(other.var())
    if not spread > 0.0 or joint == 0.0:
        return []
    return [float(other.mean() + (threshold - truth.mean()) * spread / joint)]
