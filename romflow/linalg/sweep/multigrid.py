"""Algebraic multigrid for an affine family: prolongations found once, coarse operators that follow theta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.affine_pattern import AffinePattern
from romflow.linalg.solvers.amg import Multigrid, gauss_seidel_sweep


@dataclass(frozen=True)
class _Level:
    """Both triangles of A with its diagonal D, D itself, and the transfers."""

    lower: sp.csr_array
    upper: sp.csr_array
    diagonal: np.ndarray
    prolongation: sp.csr_array
    restriction: sp.csr_array


class _Triangles:
    """The lower and the upper triangle of sum_q theta_q A_q, both with the diagonal, in single precision."""

    def __init__(self, pattern: AffinePattern) -> None:
        columns, n = pattern.indices, pattern.shape[0]
        rows = np.repeat(np.arange(n, dtype=columns.dtype), np.diff(pattern.indptr))
        self._parts, self._n = [], n
        for mask in (columns <= rows, columns >= rows):
            pointers = np.zeros(n + 1, dtype=pattern.indptr.dtype)
            np.cumsum(np.bincount(rows[mask], minlength=n), out=pointers[1:])
            self._parts.append((pattern.combination[np.flatnonzero(mask)].astype(np.float32), columns[mask], pointers))
        self._diagonal = pattern.combination[np.flatnonzero(columns == rows)]
        self._diagonal_rows = rows[columns == rows]

    def at(self, theta: np.ndarray) -> tuple[sp.csr_array, sp.csr_array, np.ndarray]:
        """(D + L, D + U, D)."""
        weights = theta.astype(np.float32)
        triangles = [sp.csr_array((values @ weights, columns, pointers), shape=(self._n, self._n))
                     for values, columns, pointers in self._parts]
        diagonal = np.zeros(self._n, dtype=np.float32)
        diagonal[self._diagonal_rows] = self._diagonal @ theta
        return triangles[0], triangles[1], diagonal


class AffineMultigrid:
    """Smoothed aggregation for A(theta) = sum_q theta_q A_q with the prolongations P of one reference theta.

    P^T A(theta) P = sum_q theta_q P^T A_q P, so that the coarse operators of every level are affine too and are
    projected once; a new theta costs two operations an entry of the hierarchy. A whole preconditioner kept over a wide
    range of theta loses to building anew; keeping P alone does not, because only the coarse *spaces* are reused. Choose
    the reference with the strongest contrast that occurs: aggregates that respect a jump do no harm where there is
    none.

    One V-cycle is a symmetric preconditioner: a forward Gauss-Seidel sweep before, a backward one after the coarse
    correction; a dense Cholesky factor on the coarsest level. Cycles run in single precision, which
    halves the memory traffic; the Krylov iteration around them is in double precision.

    Parameters
    ----------
    terms : sequence of sparse (n, n)
        Symmetric.
    reference : (Q,)
        theta of the prolongations; A(reference) must be positive definite.
    near_nullspace : (n, j), optional
        Rigid-body modes of elasticity, whose dofs go node by node.

    Examples
    --------
    >>> line = sp.diags_array([-np.ones(999), 2 * np.ones(1000), -np.ones(999)], offsets=[-1, 0, 1])
    >>> grid = AffineMultigrid([sp.csr_array(line), sp.eye_array(1000, format="csr")], np.array([1.0, 0.1]))
    >>> cycle = grid.at(np.array([2.0, 0.3]))
    >>> cycle(np.ones(1000)).shape
    (1000,)
    """

    def __init__(self, terms: Sequence[sp.sparray], reference: np.ndarray,
                 near_nullspace: np.ndarray | None = None) -> None:
        self._patterns = [AffinePattern(terms)]
        A = self._patterns[0].transposed(np.asarray(reference, dtype=float))
        self._transfers = []
        current = list(terms)
        hierarchy = Multigrid("smoothed-aggregation", near_nullspace=near_nullspace).setup(A)
        for P in map(sp.csr_array, hierarchy.prolongations):
            R = sp.csr_array(P.T)
            current = [sp.csr_array(R @ (term @ P)) for term in current]
            self._patterns.append(AffinePattern(current))
            self._transfers.append((P.astype(np.float32), R.astype(np.float32)))
        self._triangles = [_Triangles(pattern) for pattern in self._patterns[:-1]]
        # Aggregates with fewer dofs than near-null vectors leave columns of P empty, and rows of its coarse operator.
        self._empty = np.flatnonzero(abs(R).sum(axis=1) == 0.0) if self._transfers else np.zeros(0, dtype=int)

    def at(self, theta: np.ndarray) -> Cycle:
        """The V-cycle for A(theta).

        Raises
        ------
        SolveFailed
            The coarsest operator is not positive definite.
        """
        levels = [_Level(*triangles.at(theta), P, R)
                  for triangles, (P, R) in zip(self._triangles, self._transfers, strict=True)]
        coarsest = self._patterns[-1].transposed(theta).toarray()
        coarsest[self._empty, self._empty] = 1.0
        try:
            factor = sl.cho_factor(coarsest, lower=True, overwrite_a=True)
        except sl.LinAlgError:
            raise SolveFailed("the coarsest operator of the multigrid hierarchy is not positive definite, so the "
                              "matrix is not; use strategy = \"direct\"") from None
        return Cycle(levels, factor)


class Cycle:
    """One V-cycle as a preconditioner: a call maps a residual (n,) to a correction (n,)."""

    def __init__(self, levels: list[_Level], coarsest: tuple[np.ndarray, bool]) -> None:
        self._levels, self._coarsest = levels, coarsest

    def __call__(self, residual: np.ndarray) -> np.ndarray:
        """The correction (n,) for a residual (n,), both in double precision."""
        # Scaled, so that single precision neither overflows nor underflows.
        scale = float(np.abs(residual).max(initial=0.0)) or 1.0
        return self._cycle((residual / scale).astype(np.float32), 0) * scale

    def _cycle(self, b: np.ndarray, depth: int) -> np.ndarray:
        if depth == len(self._levels):
            return sl.cho_solve(self._coarsest, b.astype(float), check_finite=False)
        level = self._levels[depth]
        # Each step touches one triangle: (D + L) x = b from zero leaves the residual -U x; after the correction e,
        # b - L (x + e) = D (x + e) - (D + L) e is what the backward sweep solves for with D + U.
        x = np.zeros_like(b)
        gauss_seidel_sweep(level.lower, x, b, forward=True)
        coarse = self._cycle(level.restriction @ (level.diagonal * x - level.upper @ x), depth + 1)
        correction = level.prolongation @ coarse.astype(np.float32)
        x += correction
        b = level.diagonal * x - level.lower @ correction
        gauss_seidel_sweep(level.upper, x, b, forward=False)
        return x
