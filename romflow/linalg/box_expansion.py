"""Random fields on a box, whatever mesh looks at them: a Karhunen-Loeve expansion on a grid, continued to points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import shown
from romflow.linalg.karhunen_loeve import Covariance, KarhunenLoeve, karhunen_loeve

__all__ = ["BoxExpansion"]

Array = NDArray[np.float64]

# Gauss points of a direction: so many a correlation length and so many more; of the grid at most so many.
_PER_LENGTH, _MORE, _MOST = 3.0, 4, 1500
# A grid with fewer points a correlation length cannot see the field.
_COARSEST = 1.5
# Points may lie outside by this share of the box; kernel values that are made at once.
_OUTSIDE, _VALUES = 1e-6, 4_000_000


class BoxExpansion:
    """sqrt(l_m) phi_m(x) = sum_j c(x, x_j) w_j phi_m(x_j) / sqrt(l_m), with Gauss points x_j of the box.

    The continuation by Nystroem of the leading eigenpairs on a tensor grid of Gauss points (Atkinson, The Numerical
    Solution of Integral Equations of the Second Kind, 4.1): two meshes in the box see the same fields.

    Parameters
    ----------
    covariance : Covariance
    low, high : (d,)
        Corners of the box.
    terms : int
        M.

    Attributes
    ----------
    grid : (P, d)
    expansion : KarhunenLoeve
        On the grid.

    Raises
    ------
    ConfigError
        The corners are no box; more terms than the field has on the grid; a length that is too short for the box.

    Examples
    --------
    >>> field = BoxExpansion(Covariance("squared-exponential", 1.0), [0.0], [2.0], 3)
    >>> modes = field.at([[0.0], [0.5], [1.0]])
    >>> (modes**2).sum(axis=1).round(2), round(field.share, 3)
    (array([0.98, 1.  , 1.  ]), 0.998)
    """

    def __init__(self, covariance: Covariance, low: ArrayLike, high: ArrayLike, terms: int) -> None:
        self.covariance = covariance
        self.low, self.high = _corners(low, high)
        self.grid, weights = _gauss_grid(self.low, self.high, covariance.length)
        self.expansion: KarhunenLoeve = karhunen_loeve(self.grid, weights, covariance, terms=terms)
        self._continued = weights[:, None] * self.expansion.modes / np.sqrt(self.expansion.values)

    @property
    def share(self) -> float:
        """Share of the variance in the box that the terms capture."""
        return float(self.expansion.shares[-1])

    def at(self, points: ArrayLike) -> Array:
        """sqrt(l_m) phi_m (N, M) at points (N, d) of the box. Cost: N P values of the kernel, in blocks.

        Raises
        ------
        ShapeError
            Points have another dimension.
        ConfigError
            A point lies outside the box.
        """
        x = np.asarray(points, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.low):
            raise ShapeError(f"points of shape {x.shape} for a random field on a box; the rule is "
                             f"(N, {len(self.low)})")
        slack = _OUTSIDE * (self.high - self.low)
        inside = (x >= self.low - slack) & (x <= self.high + slack)
        if not inside.all():
            worst = x[np.flatnonzero(~inside.all(axis=1))[0]].round(6).tolist()
            raise ConfigError(f"the point {worst} lies outside the box {self.low.tolist()} .. {self.high.tolist()} of "
                              "a random field; give a box around the whole body")
        rows = max(1, _VALUES // len(self.grid))
        found = [self.covariance.matrix(x[start:start + rows], self.grid) @ self._continued
                 for start in range(0, len(x), rows)]
        return np.vstack(found) if found else np.empty((0, self.expansion.size))


def _corners(low: ArrayLike, high: ArrayLike) -> tuple[Array, Array]:
    try:
        a, b = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    except (TypeError, ValueError):
        a = b = np.empty(0)
    if a.ndim != 1 or a.shape != b.shape or not a.size or not (np.isfinite(a) & np.isfinite(b) & (a < b)).all():
        raise ConfigError(f"the box of a random field is {shown(low)} .. {shown(high)}; the rule is two corners, each "
                          "coordinate of the first below that of the second")
    return a, b


def _gauss_grid(low: Array, high: Array, length: float | Sequence[float]) -> tuple[Array, Array]:
    """Points (P, d) and weights (P,) of the tensor rule."""
    lengths = np.atleast_1d(np.asarray(length, dtype=np.float64))
    if lengths.size not in (1, low.size):
        raise ConfigError(f"the random field has {lengths.size} correlation lengths in a box of {low.size} "
                          "dimensions; give one, or one for each direction")
    wished = np.ceil(_PER_LENGTH * np.minimum((high - low) / lengths, _MOST)) + _MORE
    while wished.prod() > _MOST:
        largest = int(np.argmax(wished))
        wished[largest] -= 1.0
    if np.any(wished * lengths < _COARSEST * (high - low)):
        raise ConfigError(f"the correlation length {shown(length)} of a random field is too short for its box "
                          f"{low.tolist()} .. {high.tolist()}: it takes more than {_MOST} points to see it; take a "
                          "longer one")
    rules: list[Any] = [np.polynomial.legendre.leggauss(int(count)) for count in wished]
    axes = [a + (b - a) * 0.5 * (1.0 + x) for a, b, (x, _) in zip(low, high, rules, strict=True)]
    weights = [0.5 * (b - a) * w for a, b, (_, w) in zip(low, high, rules, strict=True)]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return grid, np.asarray(reduce(np.multiply.outer, weights)).ravel()
