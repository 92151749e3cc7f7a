"""Small affine families A(theta) u = F phi for the tests of sweeps, made of cells with SciPy alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

Terms = list[sp.csr_array]


def lattice(cells: tuple[int, ...], group: Callable[[np.ndarray], np.ndarray], fixed: str = "all",
            count: int | None = None) -> tuple[Terms, np.ndarray]:
    """-div(k grad u) on the unit cube with k = theta[group] on each cell, and the load 1 as (n, 1).

    Parameters
    ----------
    cells : (d,) int
    group : callable
        Centres of the cells (d, c) -> term of each.
    fixed : {"all", "left", "none"}
        Where u = 0: the whole boundary, x = 0, nowhere.
    """
    d, shape = len(cells), tuple(c + 1 for c in cells)
    corner = np.indices(cells).reshape(d, -1)
    label = group((corner + 0.5) / np.array(cells)[:, None])
    n = int(np.prod(shape))
    load = np.zeros(n)
    rows, columns, owners = [], [], []
    for bits in product((0, 1), repeat=d):
        here = corner + np.array(bits)[:, None]
        start = np.ravel_multi_index(here, shape)
        np.add.at(load, start, 1.0 / (corner.shape[1] * 2**d))
        for axis in range(d):
            if bits[axis] == 0:
                there = here.copy()
                there[axis] += 1
                rows.append(start)
                columns.append(np.ravel_multi_index(there, shape))
                owners.append(label)
    i, j, owner = map(np.concatenate, (rows, columns, owners))
    place = np.indices(shape).reshape(d, -1)
    ends = np.array(shape)[:, None] - 1
    free = np.ones(n, dtype=bool)
    if fixed == "all":
        free = ((place > 0) & (place < ends)).all(axis=0)
    elif fixed == "left":
        free = place[0] > 0
    terms = []
    for q in range(int(label.max()) + 1 if count is None else count):
        a, b = i[owner == q], j[owner == q]
        ones = np.full(a.size, 2.0 ** (1 - d) * float(max(cells)) ** (2 - d))
        A = sp.csr_array((np.concatenate([ones, ones, -ones, -ones]),
                          (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))), shape=(n, n))
        terms.append(sp.csr_array(A[free][:, free]))
    return terms, load[free][:, None]


def block(cells: int = 36, fixed: str = "all") -> tuple[Terms, np.ndarray]:
    """Thermal block of 3 x 3; the one in the middle touches no boundary."""
    return lattice((cells, cells), lambda x: 3 * np.floor(3 * x[1]).astype(int) + np.floor(3 * x[0]).astype(int), fixed)


def bars(cells: int = 10) -> tuple[Terms, np.ndarray]:
    """Four bars along x in a cube, each a term; the first term is what is outside."""
    def group(x: np.ndarray) -> np.ndarray:
        row, column = np.floor(5 * x[1]).astype(int), np.floor(5 * x[2]).astype(int)
        return np.where((row % 2 == 1) & (column % 2 == 1), 1 + 2 * (row // 2) + column // 2, 0)

    return lattice((cells,) * 3, group, "left")


def wind(n: int = 300) -> tuple[Terms, np.ndarray]:
    """Diffusion and a one-sided wind on a line, and two load vectors: not symmetric."""
    one = np.ones(n)
    diffusion = sp.diags_array([-one[1:], 2 * one, -one[1:]], offsets=[-1, 0, 1])
    upwind = sp.diags_array([-one[1:], one], offsets=[-1, 0])
    return [sp.csr_array(diffusion), sp.csr_array(upwind)], np.stack([one, np.linspace(0.0, 1.0, n)], axis=1) / n


def contrasts(rng: np.random.Generator, terms: Terms, largest: float) -> np.ndarray:
    """theta (Q,), log-uniform in 1 .. largest."""
    return np.exp(rng.uniform(0.0, np.log(largest), len(terms)))


def assembled(terms: Terms, theta: np.ndarray) -> sp.csc_array:
    """A(theta) by plain sums."""
    return sp.csc_array(sum((weight * term for weight, term in zip(theta, terms, strict=True)), 0.0 * terms[0]))


def exact(terms: Terms, theta: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A(theta)^{-1} b by SciPy's SuperLU."""
    return spsolve(assembled(terms, theta), b)
