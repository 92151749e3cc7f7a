"""MUMPS through python-mumps: one analysis for a pattern, then numeric factorisations on it."""

from __future__ import annotations

import contextlib

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.optional import load
from romflow.linalg.solvers.protocol import Kind

__all__ = ["Mumps"]


class Mumps:
    """Multifrontal L D L^T or L U factorisation with pivoting, also for indefinite matrices.

    Parameters
    ----------
    kind : {"definite", "symmetric", "general"}
        The first two read the upper triangle; pivots are exchanged in both.

    Raises
    ------
    ConfigError
        python-mumps is not there.

    Examples
    --------
    >>> from romflow.linalg.solvers.optional import problem
    >>> A = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> if not problem("mumps"):
    ...     solver = Mumps("symmetric")
    ...     solver.analyse(A)
    ...     solver.factorise(A)
    ...     bool(np.allclose(solver.solve(np.ones((2, 1))), 1.0))
    ... else:
    ...     True
    True
    """

    name = "mumps"

    def __init__(self, kind: Kind) -> None:
        module = load("mumps")
        self._error, self._kind = module.MUMPSError, kind
        self._context = module.Context()
        self._symmetric = kind != "general"

    def analyse(self, A: sp.csr_array) -> None:
        """Ordering and symbolic factorisation."""
        rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
        self._keep = np.flatnonzero(rows <= A.indices) if self._symmetric else np.arange(A.nnz)
        self._rows, self._columns = rows[self._keep], A.indices[self._keep]
        with self._named("analysis", A.shape[0]):
            self._set(A)
            self._context.analyze(ordering="auto")

    def factorise(self, A: sp.csr_array) -> None:
        """Numeric factorisation on the analysis of the pattern."""
        with self._named("factorisation", A.shape[0]):
            self._set(A)
            self._context.factor(reuse_analysis=True)

    def solve(self, B: np.ndarray) -> np.ndarray:
        """Substitutions for B (n, j)."""
        with self._named("solve", B.shape[0]):
            return np.array(self._context.solve(np.asfortranarray(B, dtype=float)))

    def _set(self, A: sp.csr_array) -> None:
        values = sp.coo_array((A.data[self._keep], (self._rows, self._columns)), shape=A.shape)
        self._context.set_matrix(values, symmetric=self._symmetric)

    @contextlib.contextmanager
    def _named(self, what: str, n: int):  # type: ignore[no-untyped-def]
        try:
            yield
        except self._error as error:
            raise SolveFailed(f"the {what} of MUMPS failed on a matrix of {n} rows ({error}); if it is singular, check "
                              "the boundary conditions and the coefficients; if memory ran out, take an iterative "
                              "method", {"backend": "mumps", "code": int(getattr(error, "error", 0))}) from None
