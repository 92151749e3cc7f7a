"""True stability constants of one matrix, from eigenvalue solvers rather than from the bounds under test."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from romflow.linalg.solvers.superlu import SuperLU

__all__ = ["DENSE", "stability_constant"]

#: Up to this n the constants come from dense LAPACK routines.
DENSE = 1500


def stability_constant(A: Any, X: Any, kind: str) -> float:
    """The coercivity or inf-sup constant of A with respect to X.

    Coercivity: alpha = min_v (v^T A v) / (v^T X v), the smallest eigenvalue of the symmetric part of A.
    Inf-sup: beta = min_v ||A v||_{X^{-1}} / ||v||_X, the smallest singular value of L^{-1} A L^{-T} with X = L L^T.

    Parameters
    ----------
    A : sparse (n, n)
    X : sparse (n, n)
        Symmetric positive definite.
    kind : {"coercivity", "inf-sup"}

    Returns
    -------
    float
        For n above `DENSE` and an A that is not coercive, a negative Rayleigh quotient of A.

    Examples
    --------
    >>> round(stability_constant(sp.diags_array([4.0, 6.0]), sp.diags_array([2.0, 2.0]), "coercivity"), 12)
    2.0
    >>> round(stability_constant(sp.diags_array([4.0, -6.0]), sp.diags_array([2.0, 2.0]), "inf-sup"), 12)
    2.0
    """
    A, X = sp.csc_array(A), sp.csc_array(X)
    if kind == "coercivity":
        S = sp.csc_array(0.5 * (A + A.T))
        return _dense_coercivity(S, X) if A.shape[0] <= DENSE else _sparse_coercivity(S, X)
    return _dense_inf_sup(A, X) if A.shape[0] <= DENSE else _sparse_inf_sup(A, X)


def _dense_coercivity(S: Any, X: Any) -> float:
    return float(sl.eigh(S.toarray(), X.toarray(), eigvals_only=True, subset_by_index=[0, 0])[0])


def _dense_inf_sup(A: Any, X: Any) -> float:
    L = sl.cholesky(X.toarray(), lower=True)
    half = sl.solve_triangular(L, A.toarray(), lower=True)
    return float(sl.svdvals(sl.solve_triangular(L, half.T, lower=True))[-1])


def _sparse_coercivity(S: Any, X: Any) -> float:
    """Shift-invert about zero: the eigenvalue nearest to zero from below if S is indefinite, else the smallest."""
    definite = SuperLU(symmetric=True).setup(S).negative_pivots == 0
    start = np.random.default_rng(0).standard_normal(S.shape[0])
    found = spl.eigsh(S, k=1, M=X, sigma=0.0, which="LM" if definite else "SA", v0=start, return_eigenvectors=False)
    return float(found[0])


def _sparse_inf_sup(A: Any, X: Any) -> float:
    forward, product, adjoint = spl.splu(A), spl.splu(X), spl.splu(sp.csc_array(A.T))
    shape = A.shape
    squared = spl.LinearOperator(shape, matvec=lambda v: A.T @ product.solve(A @ np.ravel(v)), dtype=float)
    inverse = spl.LinearOperator(
        shape, matvec=lambda w: forward.solve(X @ adjoint.solve(np.ravel(w))), dtype=float)
    start = np.random.default_rng(0).standard_normal(shape[0])
    smallest = spl.eigsh(squared, k=1, M=X, sigma=0.0, OPinv=inverse, which="LM", v0=start, return_eigenvectors=False)
    return float(np.sqrt(max(smallest[0], 0.0)))
