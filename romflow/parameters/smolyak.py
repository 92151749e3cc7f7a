"""Sparse grids: nodes in the unit cube and weights that integrate polynomials of many variables exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown

__all__ = ["clenshaw_curtis", "index_set", "node_count", "sparse_grid"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

#: The largest number of nodes, and of tensor grids that a sparse grid is put together from.
MAX_NODES = 2_000_000
# (level) -> nodes (m,) in [0, 1] and weights (m,) that sum to 1.
Rule = Callable[[int], tuple[Array, Array]]


def sparse_grid(p: int, level: int, *, anisotropy: ArrayLike | None = None,
                rules: Sequence[Rule] | None = None) -> tuple[Array, Array]:
    """Nodes (k, p) in the unit cube and weights (k,) of Smolyak's rule; some weights are negative, their sum is 1.

    ``sum over i in I of c_i (U_i1 x .. x U_ip)`` with the combination coefficients ``c_i = sum over z in {0, 1}^p with
    i + z in I of (-1)^|z|`` and I = {i >= 0: sum_j a_j i_j <= level} (Smolyak 1963; Gerstner and Griebel, Numer.
    Algorithms 18, 1998). With Clenshaw-Curtis rules of 1, 3, 5, 9 .. nested nodes and all a_j = 1 it is exact for
    polynomials of total degree 2 level + 1 (Novak and Ritter 1999). Nodes are sorted, and none comes twice.

    Parameters
    ----------
    p : int
    level : int
        From 0, which is one node.
    anisotropy : (p,), optional
        a_j > 0, the smallest being 1: the larger, the fewer nodes in direction j. All 1 where not given.
    rules : p rules, optional
        For each direction: level -> nodes in [0, 1] and weights; nodes that agree to 1e-13 are one. Gauss rules of the
        marginals: :func:`romflow.parameters.polynomials.marginals.gauss_rules`. Clenshaw-Curtis where not given.

    Raises
    ------
    InputError, ShapeError
        Wrong p, level or anisotropy; more than two million nodes.

    Examples
    --------
    >>> nodes, weights = sparse_grid(2, 1)
    >>> nodes
    array([[0. , 0.5],
           [0.5, 0. ],
           [0.5, 0.5],
           [0.5, 1. ],
           [1. , 0.5]])
    >>> bool(abs(weights @ nodes[:, 0] ** 2 - 1 / 3) < 1e-15)
    True
    """
    indices = index_set(p, level, anisotropy)
    coefficients = _combination(indices)
    used = coefficients != 0
    if rules is not None and len(rules) != p:
        raise ShapeError(f"{len(rules)} rules are given for {p} inputs; give one for each.")
    if rules is None and float(np.sum(2.0 ** indices[used].sum(axis=1))) > 10.0 * MAX_NODES:
        raise _too_many(p, level, node_count(p, level, anisotropy))
    table = [[rule(i) for i in range(int(top) + 1)] for rule, top in
             zip(rules or [clenshaw_curtis] * p, indices.max(axis=0), strict=True)]
    places = [_places([nodes for nodes, _ in rules_j]) for rules_j in table]
    lowest = _product([at[0] for _, at in places])
    total, keys, weights = 0, [], []
    for index, c in zip(indices[used], coefficients[used], strict=True):
        # A direction of level 0 with one node changes nothing but the place.
        active = [j for j, i in enumerate(index) if i or len(lowest) > 1]
        grid = _product([places[j][1][index[j]] for j in active])
        total += len(grid)
        if total > 10 * MAX_NODES or total * p > 100 * MAX_NODES:
            raise _too_many(p, level, total)
        keys.append(np.repeat(lowest[:1], len(grid), axis=0))
        keys[-1][:, active] = grid
        weights.append(c * _weights([table[j][index[j]][1] for j in active]))
    return _merged(np.concatenate(keys), np.concatenate(weights), [values for values, _ in places])


def node_count(p: int, level: int, anisotropy: ArrayLike | None = None) -> int:
    """Number of nodes of the Clenshaw-Curtis sparse grid: sum over I of prod_j (new nodes of level i_j: 1, 2, 2, 4 ..).

    Examples
    --------
    >>> [node_count(10, level) for level in range(4)]
    [1, 21, 221, 1581]
    """
    indices = index_set(p, level, anisotropy)
    fresh = np.where(indices == 0, 1.0, 2.0 ** np.maximum(indices - 1, 1))
    return round(float(np.prod(fresh, axis=1).sum()))


def index_set(p: int, level: int, anisotropy: ArrayLike | None = None) -> Integers:
    """All i >= 0 (count, p) with sum_j a_j i_j <= level, in lexicographic order.

    Examples
    --------
    >>> index_set(2, 1).tolist()
    [[0, 0], [0, 1], [1, 0]]
    """
    for name, value, least in (("p", p, 1), ("level", level, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"a sparse grid has {name} = {shown(value)}; the rule is a whole number from {least}.")
    a = np.ones(p) if anisotropy is None else np.asarray(anisotropy, dtype=np.float64)
    if a.shape != (p,):
        raise ShapeError(f"anisotropy has shape {a.shape}; the rule is one number for each of the {p} inputs.")
    if not np.isfinite(a).all() or (a <= 0.0).any() or abs(a.min() - 1.0) > 1e-12:
        raise InputError(f"anisotropy = {shown(a.tolist())}; the rule is numbers from 1, the smallest of which is 1.")
    found, left = np.zeros((1, 0), dtype=np.int64), np.array([float(level)])
    for j in range(p):
        counts = np.floor(left / a[j] + 1e-9).astype(np.int64) + 1
        if counts.sum() * p > 10 * MAX_NODES:
            raise _too_many(p, level, int(counts.sum()))
        rows = np.repeat(np.arange(len(found)), counts)
        i = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found, left = np.column_stack([found[rows], i]), left[rows] - a[j] * i
    return found


def clenshaw_curtis(level: int) -> tuple[Array, Array]:
    """Nodes (1 - cos(pi j / m)) / 2, m = 2^level (level 0: 1/2 alone), and their interpolatory weights on [0, 1].

    Cost O(m log m).

    Examples
    --------
    >>> nodes, weights = clenshaw_curtis(1)
    >>> nodes, bool(np.allclose(weights, [1 / 6, 2 / 3, 1 / 6]))
    (array([0. , 0.5, 1. ]), True)
    """
    if level == 0:
        return np.array([0.5]), np.array([1.0])
    m = 2**level
    j, k = np.arange(m + 1), np.arange(1, m // 2 + 1)
    # Clenshaw and Curtis 1960: w_j = c_j / m (1 - sum_k b_k / (4 k^2 - 1) cos(2 pi j k / m)), b_k = 2, the last 1.
    sums = m * fft.irfft(np.concatenate([[0.0], 1.0 / (4.0 * k**2 - 1.0)]), n=m)
    ends = np.where((j == 0) | (j == m), 1.0, 2.0)
    weights = 0.5 * ends / m * (1.0 - np.append(sums, sums[0]))
    half = np.sin(0.5 * np.pi * j[:m // 2] / m) ** 2
    return np.concatenate([half, [0.5], 1.0 - half[::-1]]), weights


def _combination(indices: Integers) -> Integers:
    """c_i = sum over z in {0, 1}^p, i + z in I, of (-1)^|z|: one direction after the other."""
    p, top = indices.shape[1], int(indices.max(initial=0)) + 2
    if top ** p >= 2**62:
        return _combination_by_search(indices)
    strides = np.array([top ** (p - 1 - j) for j in range(p)], dtype=np.int64)
    keys = indices @ strides
    coefficients = np.ones(len(indices), dtype=np.int64)
    # Sum over z_p, then over z_(p-1) ..: each takes away the value at i + e_j, where i + e_j is in I.
    for j in range(p):
        place = np.minimum(np.searchsorted(keys, keys + strides[j]), len(keys) - 1)
        there = keys[place] == keys + strides[j]
        coefficients = coefficients - np.where(there, coefficients[place], 0)
    return coefficients


def _combination_by_search(indices: Integers) -> Integers:
    """The same for so many directions that an index is no 64-bit key."""
    known: dict[bytes, int] = {row.tobytes(): place for place, row in enumerate(indices)}
    coefficients = np.ones(len(indices), dtype=np.int64)
    for step in np.eye(indices.shape[1], dtype=np.int64):
        above = np.array([known.get(row.tobytes(), -1) for row in indices + step])
        coefficients = coefficients - np.where(above >= 0, coefficients[above], 0)
    return coefficients


def _places(grids: Sequence[Array]) -> tuple[Array, list[Integers]]:
    """All different nodes of one direction, and for each level which of them its nodes are."""
    everything = np.concatenate(grids)
    order = np.argsort(everything, kind="stable")
    fresh = np.concatenate([[True], np.diff(everything[order]) > 1e-13])
    names = np.empty(len(everything), dtype=np.int64)
    names[order] = np.cumsum(fresh) - 1
    return everything[order][fresh], np.split(names, np.cumsum([len(grid) for grid in grids])[:-1])


def _product(factors: Sequence[Integers]) -> Integers:
    shape = [len(factor) for factor in factors]
    found = np.empty((math.prod(shape), len(shape)), dtype=np.int64)
    for j, factor in enumerate(factors):
        found[:, j] = np.tile(np.repeat(factor, math.prod(shape[j + 1:])), math.prod(shape[:j]))
    return found


def _weights(factors: Sequence[Array]) -> Array:
    found = np.ones(1)
    for factor in factors:
        found = np.outer(found, factor).ravel()
    return found


def _merged(keys: Integers, weights: Array, values: Sequence[Array]) -> tuple[Array, Array]:
    order = np.lexsort(keys.T[::-1])
    ordered = keys[order]
    fresh = np.concatenate([[True], (np.diff(ordered, axis=0) != 0).any(axis=1)])
    summed = np.add.reduceat(weights[order], np.flatnonzero(fresh))
    nodes = np.column_stack([value[ordered[fresh][:, j]] for j, value in enumerate(values)])
    return np.ascontiguousarray(nodes), summed


def _too_many(p: int, level: int, count: int) -> InputError:
    return InputError(f"a sparse grid of level {level} in {p} dimensions is put together from {shown(count)} nodes, "
                      f"more than {MAX_NODES}; lower the level, or give an anisotropy.")
