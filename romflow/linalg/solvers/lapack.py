"""Dense factorisations of LAPACK, for matrices that are small or have few zeros."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.protocol import Kind

__all__ = ["Lapack"]


class Lapack:
    """Cholesky factorisation of a definite matrix, and L U with partial pivoting of every other one.

    Parameters
    ----------
    kind : {"definite", "symmetric", "general"}

    Examples
    --------
    >>> solver = Lapack("definite")
    >>> solver.analyse(sp.csr_array(np.eye(2)))
    >>> solver.factorise(sp.csr_array(4.0 * np.eye(2)))
    >>> solver.solve(np.ones((2, 1)))[:, 0]
    array([0.25, 0.25])
    """

    name = "lapack"

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def analyse(self, A: sp.csr_array) -> None:
        """Nothing: a dense matrix has no pattern."""

    def factorise(self, A: sp.csr_array) -> None:
        """n^3/3 (Cholesky) or 2 n^3/3 (L U) operations."""
        try:
            if self._kind == "definite":
                self._factor = sl.cho_factor(A.toarray(order="F"), overwrite_a=True)
                return
            with warnings.catch_warnings():
                warnings.simplefilter("error", sl.LinAlgWarning)
                self._factor = sl.lu_factor(A.toarray(order="F"), overwrite_a=True)
        except sl.LinAlgError:
            raise SolveFailed(f"the Cholesky factorisation of a {A.shape[0]} x {A.shape[0]} matrix failed: it is not "
                              "positive definite", {"backend": "lapack"}) from None
        except sl.LinAlgWarning:
            raise SolveFailed(f"a pivot of a {A.shape[0]} x {A.shape[0]} matrix is exactly zero: the matrix is "
                              "singular; check the boundary conditions and the coefficients",
                              {"backend": "lapack"}) from None

    def solve(self, B: np.ndarray) -> np.ndarray:
        """Substitutions for B (n, j)."""
        return sl.cho_solve(self._factor, B) if self._kind == "definite" else sl.lu_solve(self._factor, B)
