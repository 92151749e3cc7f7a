"""Each distribution's own variable for polynomials: their recurrence, Gauss rules, and cells to draw from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.distributions import Beta, Distribution, LogNormal, LogUniform, Normal, Uniform
from romflow.parameters.empirical import Table
from romflow.parameters.polynomials.recurrence import Recurrence, hermite, jacobi, legendre, of_measure
from romflow.parameters.smolyak import Rule

__all__ = ["Cells", "Marginal", "gauss_rules", "marginal"]

Array = NDArray[np.float64]

# Cells of [0, 1] shrink by halves towards both ends, down to this power.
_HALVINGS = 48
_NODES = 10
# The ends themselves would weigh far too much where the support goes on for long.
_INSIDE = 2.0**-53
# Values of a table that bound cells.
_BENDS = 1000
_LOGARITHMIC = ("log-uniform", "log-normal", "truncated-log-normal")


@dataclass(frozen=True)
class Cells:
    """The measure of a germ in cells, each with a Gauss rule in its coordinate t.

    Attributes
    ----------
    edges : (c + 1,)
        Of the cells in t.
    nodes : (c, g)
        Germ at the Gauss nodes of each cell.
    weights : (c, g)
        Of the measure at the nodes.
    germ : callable
        t -> germ.
    """

    edges: Array
    nodes: Array
    weights: Array
    germ: Callable[[Array], Array]


@dataclass(frozen=True)
class Marginal:
    """A distribution through its germ g = (x - shift) / scale, or g = (log x - shift) / scale.

    Uniform and log-uniform have Legendre polynomials of the germ on [-1, 1], normal and log-normal Hermite, beta
    Jacobi, any other those of its quantile function by Stieltjes' procedure.

    Attributes
    ----------
    distribution : Distribution
    logarithm : bool
    shift, scale : float
    recurrence : Recurrence
        Of lower degree than asked for where the distribution has only a few values.
    """

    distribution: Distribution
    logarithm: bool
    shift: float
    scale: float
    recurrence: Recurrence

    def values(self, germ: Array) -> Array:
        """The parameter at the germ, within the support."""
        x = self.shift + self.scale * germ
        low, high = self.distribution.support
        return np.clip(np.exp(x) if self.logarithm else x, low, high)

    def cells(self) -> Cells:
        """The measure, fine enough for squares of the polynomials."""
        degree = self.recurrence.degree
        if isinstance(self.distribution, Normal | LogNormal):
            reach = np.sqrt(4.0 * degree + 2.0) + 8.0
            edges = np.linspace(-reach, reach, 16 + 4 * degree)
            return _cells(edges, lambda t: t, lambda t: np.exp(-0.5 * t**2) / np.sqrt(2.0 * np.pi))
        if isinstance(self.distribution, Uniform | LogUniform):
            edges = np.linspace(0.0, np.pi, 8 + 2 * degree)
            return _cells(edges, lambda t: -np.cos(t), lambda t: 0.5 * np.sin(t))
        return _cells(_unit_edges(self.distribution, degree), self._germ_of_unit, np.ones_like)

    def _germ_of_unit(self, unit: Array) -> Array:
        return _germ(self.distribution, unit, self.logarithm, self.shift, self.scale)


def marginal(distribution: Distribution, degree: int) -> Marginal:
    """The germ of a distribution and its polynomials up to `degree`, or as far as it has them.

    Examples
    --------
    >>> marginal(Uniform(2.0, 4.0), 3).values(np.array([-1.0, 0.0]))
    array([2., 3.])
    """
    low, high = distribution.support
    if low == high:
        return Marginal(distribution, False, low, 1.0, Recurrence(np.empty(0), np.empty(0)))
    if isinstance(distribution, Normal | LogNormal):
        logarithm = isinstance(distribution, LogNormal)
        at = distribution.quantile(np.array([0.5, _PHI_1]))
        middle, above = np.log(at) if logarithm else at
        return Marginal(distribution, logarithm, float(middle), float(above - middle), hermite(degree))
    if isinstance(distribution, Uniform | LogUniform | Beta):
        logarithm = isinstance(distribution, LogUniform)
        left, right = (np.log(low), np.log(high)) if logarithm else (low, high)
        of = jacobi(degree, distribution.a, distribution.b) if isinstance(distribution, Beta) else legendre(degree)
        return Marginal(distribution, logarithm, float(left + right) / 2.0, float(right - left) / 2.0, of)
    return _by_quantiles(distribution, degree)


def gauss_rules(distributions: Sequence[Distribution]) -> list[Rule]:
    """Rules for `sparse_grid`: level i has the i + 1 Gauss nodes of the distribution, as values of its cdf.

    They are not nested, but exact for polynomials of degree 2 i + 1 of the germ, also on an unbounded support. Of a
    discrete distribution every level has all values.
    """

    def rule_of(distribution: Distribution) -> Rule:
        if isinstance(distribution, Table) and distribution.discrete:
            steps = np.unique(distribution.cdf(np.array(distribution.values)))
            weights = np.diff(steps, prepend=0.0)
            # Where a weight is 0 the value has the distribution function of the one before.
            kept = weights > 0.0
            middle = (steps - 0.5 * weights)[kept], weights[kept]
            return lambda level: middle

        def rule(level: int) -> tuple[Array, Array]:
            own = marginal(distribution, level + 1)
            if own.recurrence.degree <= level:
                own = marginal(distribution, max(own.recurrence.degree, 1))
            if not own.recurrence.degree:
                return np.array([0.5]), np.array([1.0])
            nodes, weights = own.recurrence.gauss(min(level + 1, own.recurrence.degree))
            return distribution.cdf(own.values(nodes)), weights

        return rule

    return [rule_of(distribution) for distribution in distributions]


_PHI_1 = 0.8413447460685429


def _by_quantiles(distribution: Distribution, degree: int) -> Marginal:
    logarithm = distribution.kind in _LOGARITHMIC
    edges = _unit_edges(distribution, degree)
    t, w = _gauss_nodes(edges)
    x = _germ(distribution, t.ravel(), logarithm, 0.0, 1.0)
    weights = w.ravel()
    shift = float(weights @ x)
    scale = float(np.sqrt(weights @ (x - shift) ** 2))
    if scale <= 1e-14 * abs(shift):
        return Marginal(distribution, logarithm, shift, 1.0, Recurrence(np.empty(0), np.empty(0)))
    return Marginal(distribution, logarithm, shift, scale, of_measure((x - shift) / scale, weights, degree))


def _germ(distribution: Distribution, unit: Array, logarithm: bool, shift: float, scale: float) -> Array:
    x = distribution.ppf(np.clip(unit, _INSIDE, 1.0 - _INSIDE))
    return np.asarray(((np.log(x) if logarithm else x) - shift) / scale)


def _unit_edges(distribution: Distribution, degree: int) -> Array:
    """Edges of cells of [0, 1]: finer towards both ends, and at the bends of the distribution function."""
    halves = 0.5 ** np.arange(_HALVINGS, 0, -1.0)
    middle = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, 8 + 2 * degree))
    bends = distribution.cdf(_thinned(distribution.values)) if isinstance(distribution, Table) else np.empty(0)
    return np.unique(np.clip(np.concatenate([[0.0, 1.0], halves, 1.0 - halves, middle, bends]), 0.0, 1.0))


def _thinned(values: Sequence[float]) -> Array:
    """Some of the values of a large table: bends between them are left to the rules of the cells."""
    x = np.unique(np.array(values, dtype=np.float64))
    return x[:: -(-len(x) // _BENDS)]


def _gauss_nodes(edges: Array) -> tuple[Array, Array]:
    """Gauss nodes and weights (c, g) of the cells."""
    nodes, weights = legendre(_NODES + 1).gauss(_NODES)
    half = 0.5 * np.diff(edges)[:, None]
    return edges[:-1, None] + half * (nodes + 1.0), 2.0 * half * weights


def _cells(edges: Array, germ: Callable[[Array], Array], density: Callable[[Array], Array]) -> Cells:
    t, w = _gauss_nodes(edges)
    return Cells(edges, germ(t), w * density(t), germ)
