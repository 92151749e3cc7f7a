"""What a choice of solver rests on: symmetry, definiteness, the dimension of the graph, the fill of a factor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import log2

import numpy as np
import scipy.sparse as sp

from romflow.linalg.solvers.matrix_input import Pattern

__all__ = ["MatrixFacts", "graph_dimension", "machine_memory"]

_BALL = 4000
_FLAT = 2.5


@dataclass(frozen=True)
class MatrixFacts:
    """Facts of one matrix, found in a few passes over its entries.

    Attributes
    ----------
    n, nnz : int
    symmetric : bool
        |A - A^T| <= 1e-12 of the largest entry.
    definite : bool or None
        False where a diagonal entry of a symmetric A is not positive; True where A is diagonally dominant too
        (Gershgorin) or the caller said so; None where neither is known.
    dimension : float
        Exponent d of the growth r^d of graph balls.
    lattice : bool
        Off-diagonal entries are not positive, but for 1 % of the diagonal: what classical multigrid was made for.
    fill : float
        Entries that a Cholesky factor on a nested-dissection ordering is expected to have, to a factor of about 2.
    operations : float
        Its expected floating-point operations, likewise.

    Examples
    --------
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> facts = MatrixFacts.of(Pattern(A), A)
    >>> facts.symmetric, facts.definite, facts.lattice
    (True, True, True)
    """

    n: int
    nnz: int
    symmetric: bool
    definite: bool | None
    dimension: float
    lattice: bool
    fill: float
    operations: float

    @classmethod
    def of(cls, pattern: Pattern, A: sp.csr_array, symmetric: bool | None = None,
           definite: bool | None = None) -> MatrixFacts:
        """Facts of a matrix of this pattern; what the caller knows is not looked for."""
        symmetric = pattern.is_symmetric(A) if symmetric is None else symmetric
        rows = np.repeat(np.arange(pattern.n), np.diff(pattern.indptr))
        off = np.where(rows == A.indices, 0.0, A.data)
        diagonal = A.diagonal()
        if definite is None and symmetric:
            definite = _definite(diagonal, np.bincount(rows, weights=np.abs(off), minlength=pattern.n))
        largest = float(np.abs(diagonal).max())
        lattice = bool((off <= 0.01 * np.minimum(largest, np.abs(diagonal))[rows]).all())
        dimension = graph_dimension(pattern)
        fill, operations = _fill(pattern.n, pattern.nnz, dimension)
        return cls(pattern.n, pattern.nnz, symmetric, definite, dimension, lattice, fill, operations)

    @property
    def memory(self) -> float:
        """Bytes of the factors, twice as many where A is not symmetric."""
        return 9.6 * self.fill * (1.0 if self.symmetric else 2.0)

    def text(self) -> str:
        """One clause with the facts."""
        sort = "not symmetric" if not self.symmetric else {
            True: "symmetric positive definite", False: "symmetric indefinite",
            None: "symmetric with a positive diagonal"}[self.definite]
        return (f"n = {self.n}, {self.nnz / self.n:.1f} entries a row, {sort}, graph dimension {self.dimension:.1f}, "
                f"about {max(self.memory / 1e6, 0.1):.2g} MB of factors")


def _definite(diagonal: np.ndarray, sums: np.ndarray) -> bool | None:
    if not (diagonal > 0.0).all():
        return False
    dominant = diagonal >= sums * (1.0 - 1e-12)
    return True if dominant.all() and (diagonal > sums * (1.0 + 1e-12)).any() else None


def graph_dimension(pattern: Pattern) -> float:
    """Largest exponent d of |ball(2 r)| / |ball(r)| = 2^d at three nodes, for balls of up to 4000 nodes.

    Examples
    --------
    >>> line = sp.diags_array([np.ones(999), np.ones(1000), np.ones(999)], offsets=[-1, 0, 1])
    >>> round(graph_dimension(Pattern(line)), 1)
    1.0
    """
    return max(_growth(pattern, start) for start in {pattern.n // 4, pattern.n // 2, 3 * pattern.n // 4})


def _growth(pattern: Pattern, start: int) -> float:
    seen = np.zeros(pattern.n, dtype=bool)
    seen[start] = True
    front, sizes = np.array([start]), [1]
    while sizes[-1] < _BALL:
        counts = pattern.indptr[front + 1] - pattern.indptr[front]
        first = np.repeat(pattern.indptr[front] - np.append(0, np.cumsum(counts)[:-1]), counts)
        reached = np.unique(pattern.indices[first + np.arange(counts.sum())])
        front = reached[~seen[reached]]
        if not front.size:
            break
        seen[front] = True
        sizes.append(sizes[-1] + int(front.size))
    radius = len(sizes) - 1
    if radius < 2:
        return float(np.log(max(sizes[-1], 1)) / np.log(3.0))
    within = int(np.count_nonzero(np.array(sizes) <= pattern.n / 3)) - 1
    outer = max(2, min(radius, within))
    # |ball(r)| ~ (2 r + 1)^d for the lattices of low order.
    return float(np.log(sizes[outer] / sizes[outer // 2]) / np.log((2 * outer + 1) / (2 * (outer // 2) + 1)))


def _fill(n: int, nnz: int, dimension: float) -> tuple[float, float]:
    """Entries and operations of a nested-dissection factor (George 1973), with constants measured on P1 meshes."""
    degree = nnz / n
    if dimension < 1.5:
        entries, operations = 2.0 * nnz, 4.0 * nnz * degree
    elif dimension < _FLAT:
        dense = max(1.0, degree / 7.0)
        entries, operations = 3.1 * n * log2(max(n, 2)) * dense, 20.0 * n**1.5 * dense**1.5
    else:
        dense = max(1.0, degree / 15.0) * max(1.0, dimension - 3.5)
        entries, operations = 8.4 * n ** (4 / 3) * dense ** (2 / 3), 5.4 * float(n) ** 2 * dense
    return float(min(entries, n * n / 2)), float(min(operations, float(n) ** 3 / 3))


def machine_memory() -> float:
    """Bytes of physical memory.

    Examples
    --------
    >>> machine_memory() > 1e8
    True
    """
    return float(os.sysconf("SC_PHYS_PAGES")) * float(os.sysconf("SC_PAGE_SIZE"))
