"""Energy distance: how far two samples of outputs are from having one distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown
from romflow.uq.estimate import Estimate

__all__ = ["EnergyDistance", "compare_outputs", "energy_distance"]

Array = NDArray[np.float64]

# Pairs whose distances are held at a time.
_PAIRS = 2_000_000


@dataclass(frozen=True)
class EnergyDistance:
    """Energy distance of two samples.

    Attributes
    ----------
    distance : Estimate
        2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased (so that it may be negative), with a bootstrap interval; 0 where
        the distributions are one.
    relative : float
        The distance over 2 E|X - Y|, within 0 and 1.
    p_value : float
        Share of the permutations of the two samples whose distance is as large.
    sizes : (int, int)
        Draws of each sample that counted.
    """

    distance: Estimate
    relative: float
    p_value: float
    sizes: tuple[int, int]

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return {"distance": self.distance.plain(), "relative": self.relative, "p_value": self.p_value,
                "sizes": list(self.sizes)}


def energy_distance(first: ArrayLike, second: ArrayLike, *, paired: bool = False, repetitions: int = 199,
                    confidence: float = 0.95, seed: int = 0) -> EnergyDistance:
    """Energy distance of two samples of one or several outputs (Szekely and Rizzo 2013, eq. (6.1)), as U-statistic.

    One output: every mean distance is a sum over the sorted sample, O(n log n) once and O(n) for each repetition.
    Several outputs: each is divided by its pooled standard deviation, Euclidean distances are made by blocks, and all
    repetitions share them: O(n^2 (o + repetitions)).

    Parameters
    ----------
    first, second : (n,) or (o, n), (m,) or (o, m)
        Columns that are not finite are left out (of both samples where they are paired).
    paired : bool
        Column k of both is at the same parameter, such as the full-order and the reduced model's outputs: pairs are
        swapped and drawn together.
    repetitions : int
        Of permutations and of bootstrap samples.
    confidence : float
    seed : int

    Raises
    ------
    ShapeError, InputError
        Samples with different numbers of outputs, or of fewer than 4 columns; arguments that break their rules.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same = energy_distance(rng.normal(size=300), rng.normal(size=400))
    >>> other = energy_distance(rng.normal(size=300), rng.normal(1.0, 1.0, size=400))
    >>> same.p_value > 0.05, other.p_value < 0.01
    (True, True)
    """
    x, y = _samples(first, second, paired)
    if isinstance(repetitions, bool) or not hasattr(repetitions, "__index__") or repetitions < 19:
        raise InputError(f"repetitions = {shown(repetitions)}; the rule is a whole number of at least 19")
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed < 0:
        raise InputError(f"seed = {shown(seed)}; the rule is a whole number of at least 0")
    if isinstance(confidence, bool) or not 0.0 < confidence < 1.0:
        raise InputError(f"confidence = {shown(confidence)}; the rule is between 0 and 1, such as 0.95")
    n, m, count = x.shape[1], y.shape[1], int(repetitions)
    sums = _sums(x, y, _labels(n, m, paired, count, np.random.default_rng(seed)), paired)
    distances = _statistic(sums[:, :count + 1], n, m, paired)
    # A draw that is taken twice lowers the mean distance within a bootstrap sample by 1 - 1 / n.
    factors = np.array([n / (n - 1), m / (m - 1), 1.0])[:, None]
    again = _statistic(sums[:, count + 1:] * factors, n, m, paired)
    value = float(distances[0])
    p = (1 + np.count_nonzero(distances[1:] >= value - 1e-12 * abs(value))) / len(distances)
    half = float(stats.norm.ppf(0.5 + confidence / 2) * again.std(ddof=1))
    scale = 2.0 * sums[2, 0] / (n * (m - 1) if paired else n * m)
    relative = float(np.clip(value / scale, 0.0, 1.0)) if scale > 0.0 else 0.0
    return EnergyDistance(Estimate(value, value - half, value + half, 0.0, "bound"), relative, float(p), (n, m))


def compare_outputs(names: tuple[str, ...], first: ArrayLike, second: ArrayLike, **options: Any) -> dict[
        str, EnergyDistance]:
    """Energy distance of each output (o, n), (o, m), by name, and of all together as "all" where there are several."""
    x, y = np.atleast_2d(np.asarray(first, dtype=float)), np.atleast_2d(np.asarray(second, dtype=float))
    if x.shape[0] != len(names) or y.shape[0] != len(names):
        raise ShapeError(f"samples of shape {x.shape} and {y.shape} have {len(names)} names; the rule is one for each "
                         "row")
    found = {name: energy_distance(x[o], y[o], **options) for o, name in enumerate(names)}
    return found | ({"all": energy_distance(x, y, **options)} if len(names) > 1 else {})


def _samples(first: ArrayLike, second: ArrayLike, paired: bool) -> tuple[Array, Array]:
    x, y = np.atleast_2d(np.asarray(first, dtype=float)), np.atleast_2d(np.asarray(second, dtype=float))
    if x.ndim != 2 or y.ndim != 2 or x.shape[0] != y.shape[0] or (paired and x.shape != y.shape):
        raise ShapeError(f"the energy distance got samples of shape {x.shape} and {y.shape}; the rule is (o, n) and "
                         f"(o, {'n) for pairs' if paired else 'm)'}")
    good_x, good_y = np.isfinite(x).all(axis=0), np.isfinite(y).all(axis=0)
    if paired:
        good_x = good_y = good_x & good_y
    x, y = x[:, good_x], y[:, good_y]
    if min(x.shape[1], y.shape[1]) < 4:
        raise InputError(f"the energy distance got samples of {x.shape[1]} and {y.shape[1]} finite columns; the rule "
                         "is at least 4 of each")
    if x.shape[0] == 1:
        return x, y
    scale = np.concatenate([x, y], axis=1).std(axis=1, keepdims=True)
    scale = np.where(scale > 0.0, scale, 1.0)
    return x / scale, y / scale


def _labels(n: int, m: int, paired: bool, repetitions: int, rng: np.random.Generator) -> Iterator[Array]:
    """Weights (2, n + m) of the points in both samples: as they are, of permutations, and of bootstrap samples."""
    own = np.concatenate([np.ones(n), np.zeros(m)])
    yield np.stack([own, 1.0 - own])
    for _ in range(repetitions):
        swap = rng.integers(0, 2, n).astype(float) if paired else np.empty(0)
        mixed = np.concatenate([swap, 1.0 - swap]) if paired else rng.permutation(own)
        yield np.stack([mixed, 1.0 - mixed])
    for _ in range(repetitions):
        drawn = np.zeros((2, n + m))
        drawn[0, :n] = np.bincount(rng.integers(0, n, n), minlength=n)
        drawn[1, n:] = drawn[0, :n] if paired else np.bincount(rng.integers(0, m, m), minlength=m)
        yield drawn


def _sums(x: Array, y: Array, labels: Iterator[Array], paired: bool) -> Array:
    """sum_ij a_i a_j d_ij, the same of b, and sum_ij a_i b_j d_ij without pairs (3, r), for weights a and b."""
    points = np.concatenate([x, y], axis=1)
    own = np.sqrt(((x - y)**2).sum(axis=0)) if paired else None
    return _sums_sorted(points[0], labels, own) if len(points) == 1 else _sums_blocks(points, labels, own)


def _of_pairs(a: Array, b: Array, own: Array | None) -> float:
    """What pairs of the same parameter have in the sum between the samples."""
    if own is None:
        return 0.0
    n = own.size
    return float((a[:n] * b[n:] + a[n:] * b[:n]) @ own)


def _sums_sorted(values: Array, labels: Iterator[Array], own: Array | None) -> Array:
    """sum_ij a_i b_j |v_i - v_j| = integral of A (1 - B) + B (1 - A), with A, B the weights below."""
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    found = []
    for pair in labels:
        below = np.cumsum(pair[:, order], axis=1)
        above = below[:, -1:] - below
        (a, b), (not_a, not_b) = below[:, :-1], above[:, :-1]
        between = (a * not_b + b * not_a) @ gaps - _of_pairs(pair[0], pair[1], own)
        found.append((2.0 * (a * not_a) @ gaps, 2.0 * (b * not_b) @ gaps, between))
    return np.array(found).T


def _sums_blocks(points: Array, labels: Iterator[Array], own: Array | None) -> Array:
    weights = np.stack(list(labels))
    a, b, count = weights[:, 0], weights[:, 1], points.shape[1]
    found = np.zeros((3, len(weights)))
    step = max(1, _PAIRS // count)
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        distance = np.sqrt(sum((row[rows, None] - row[None])**2 for row in points))
        to_a, to_b = distance @ a.T, distance @ b.T
        found[0] += np.einsum("ri,ir->r", a[:, rows], to_a)
        found[1] += np.einsum("ri,ir->r", b[:, rows], to_b)
        found[2] += np.einsum("ri,ir->r", a[:, rows], to_b)
    found[2] -= [_of_pairs(one, two, own) for one, two in weights]
    return found


def _statistic(sums: Array, n: int, m: int, paired: bool) -> Array:
    between = sums[2] / (n * (m - 1) if paired else n * m)
    return np.asarray(2.0 * between - sums[0] / (n * (n - 1)) - sums[1] / (m * (m - 1)))
