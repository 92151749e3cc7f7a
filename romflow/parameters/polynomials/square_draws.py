"""Exact draws from densities that are squares of polynomials, one coordinate after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre as series
from numpy.typing import NDArray

from romflow.parameters.polynomials.marginals import Cells, Marginal
from romflow.parameters.polynomials.recurrence import legendre

__all__ = ["SquareDraws"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_ITERATIONS = 60
_CLOSE = 1e-13


class SquareDraws:
    """Draws x from (sum_j c_j phi_j(x))^2 times the measure, for polynomials phi_j with these degrees.

    The marginal density of the first coordinate is a mixture over the different tails of the multi-indices: tail t has
    the probability sum c_j^2 over the j that end in it, and the density (sum_j c_j phi_(d_j1))^2 of one variable.
    After the draw of x_1 the coefficients of the tails are c_t = sum_j c_j phi_(d_j1)(x_1), and so on. No draw is ever
    rejected. Cost a draw: O(m + p (cells)(degree)).

    Parameters
    ----------
    degrees : (m, p) int
    marginals : p marginals
    """

    def __init__(self, degrees: Integers, marginals: Sequence[Marginal]) -> None:
        self._degrees = degrees
        self._axes = [_Axis(part, int(degrees[:, j].max())) for j, part in enumerate(marginals)]

    @cached_property
    def _stages(self) -> list[_Stage]:
        found, tails = [], self._degrees
        for axis in self._axes:
            after, place = np.unique(tails[:, 1:], axis=0, return_inverse=True)
            found.append(_Stage(tails[:, 0], place.reshape(-1), len(after), axis))
            tails = after
        return found

    def of_one(self, chosen: Integers, rng: np.random.Generator) -> Array:
        """Germs (r, p) with the density phi_j^2, j = chosen (r,): the coordinates are independent."""
        return np.stack([axis.draw(np.eye(axis.degree + 1)[self._degrees[chosen, j]], rng.random(len(chosen)))
                         for j, axis in enumerate(self._axes)], axis=1)

    def draw(self, coefficients: Array, rng: np.random.Generator) -> Array:
        """One germ (r, p) for each row of coefficients (r, m), which need not have norm 1."""
        left, found = coefficients, []
        for stage in self._stages:
            left = left / np.linalg.norm(left, axis=1, keepdims=True)
            spread = np.zeros((len(left), stage.tails, stage.axis.degree + 1))
            spread[:, stage.tail, stage.first] = left
            tail = _chosen(np.sum(spread**2, axis=2), rng.random(len(left)))
            own = spread[np.arange(len(left)), tail]
            x = stage.axis.draw(own, rng.random(len(left)))
            left = np.einsum("rtk,rk->rt", spread, stage.axis.values(x))
            found.append(x)
        return np.stack(found, axis=1)


@dataclass(frozen=True)
class _Stage:
    """One coordinate: the degree in it and the tail of each multi-index that is left."""

    first: Integers
    tail: Integers
    tails: int
    axis: _Axis


class _Axis:
    """Draws of one germ from squares of its polynomials, by inversion of the distribution function."""

    def __init__(self, part: Marginal, degree: int) -> None:
        self._recurrence = part.recurrence
        self.degree = degree
        if not degree:
            return
        cells: Cells = part.cells()
        self._cells = cells
        values = part.recurrence.values(cells.nodes)[..., :degree + 1]
        self._roots = values * np.sqrt(cells.weights)[..., None]
        g = cells.nodes.shape[1]
        nodes, _ = legendre(g + 1).gauss(g)
        self._transform = series.legvander(nodes, g - 1) @ _powers(g)

    def values(self, x: Array) -> Array:
        """phi_0 .. phi_degree (r, degree + 1)."""
        return self._recurrence.values(x)[:, :self.degree + 1]

    def draw(self, coefficients: Array, unit: Array) -> Array:
        """Germs (r,) with the density (coefficients . phi)^2 (r, degree + 1), whose distribution function is `unit`."""
        if not self.degree:
            return np.zeros(len(unit))
        c, g, k = self._roots.shape
        mass = ((coefficients @ self._roots.reshape(c * g, k).T) ** 2).reshape(-1, c, g)
        sums = np.cumsum(mass.sum(axis=2), axis=1)
        aim = unit * sums[:, -1]
        cell = np.minimum((sums <= aim[:, None]).sum(axis=1), c - 1)
        rows = np.arange(len(unit))
        before = np.where(cell > 0, sums[rows, cell - 1], 0.0)
        place = _inverted(mass[rows, cell] @ self._transform, aim - before)
        edges = self._cells.edges
        return self._cells.germ(edges[cell] + 0.5 * (place + 1.0) * (edges[cell + 1] - edges[cell]))


def _chosen(weights: Array, unit: Array) -> Integers:
    """An index for each row (r,), with probabilities in proportion to `weights` (r, t)."""
    sums = np.cumsum(weights, axis=1)
    found: Integers = np.minimum((sums <= unit[:, None] * sums[:, -1:]).sum(axis=1), weights.shape[1] - 1)
    # Rounding may lead to a weight of zero behind the last positive one.
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0.0, axis=1)
    return np.asarray(np.minimum(found, last), dtype=np.int64)


def _powers(g: int) -> Array:
    """(k, g + 1): sums of (values times weights) times P_k -> coefficients of s^0 .. s^g of the integral from -1."""
    found = np.zeros((g, g + 1))
    for k in range(g):
        integral = series.legint([0.0] * k + [1.0], lbnd=-1.0)
        found[k, :k + 2] = 0.5 * (2.0 * k + 1.0) * series.leg2poly(integral)
    return found


def _inverted(powers: Array, aim: Array) -> Array:
    """s (r,) in [-1, 1] where the integral of a density (r, g + 1) is `aim` (r,): Newton's method, kept in a bracket.

    The integral is given by its coefficients of s^0 .. s^g.
    """
    of = np.ascontiguousarray(powers.T)
    enough = _CLOSE * np.abs(of).max(axis=0)
    low, high = np.full(len(aim), -1.0), np.ones(len(aim))
    s = np.zeros(len(aim))
    for _ in range(_ITERATIONS):
        value, slope = of[-1], np.zeros(len(aim))
        for c in of[-2::-1]:
            slope = slope * s + value
            value = value * s + c
        miss = value - aim
        below = miss < 0.0
        low, high = np.where(below, s, low), np.where(below, high, s)
        done = (np.abs(miss) <= enough) | (high - low <= _CLOSE)
        if done.all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            step = s - miss / slope
        following = np.where((step > low) & (step < high), step, 0.5 * (low + high))
        s = np.where(done, s, following)
    return s
