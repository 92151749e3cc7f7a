"""Extreme eigenvalues of a symmetric pencil A v = lambda X v."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from romflow.core.errors import SolveFailed
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.solvers.superlu import SuperLU

_DENSE = 400


def eigenvalue_range(A: sp.sparray | LinearOperator, product: InnerProduct, tolerance: float = 1e-8,
                     seed: int = 0) -> tuple[float, float]:
    """Smallest and largest lambda of A v = lambda X v with a symmetric A (n, n), to `tolerance` times the larger.

    Lanczos in the X inner product on A + c X and c X - A, with c above the spectral radius, so that eigenvalues which
    accumulate at zero cost no accuracy that is not needed.

    Raises
    ------
    SolveFailed
        Lanczos did not converge.
    """
    n = A.shape[0]
    if n <= _DENSE:
        values, _ = _dense(A, product)
        return float(values[0]), float(values[-1])
    shift = 2.0 * _radius(A, product, seed)
    if shift == 0.0:
        return 0.0, 0.0
    ends = []
    for sign in (-1.0, 1.0):
        shifted = LinearOperator((n, n), dtype=float,
                                 matvec=lambda v, s=sign: s * (A @ np.ravel(v)) + shift * product.apply(np.ravel(v)))
        value = _lanczos(shifted, seed, return_eigenvectors=False, M=_matrix(product, n), Minv=_inverse(product, n),
                         which="LA", ncv=40, tol=tolerance / 3)
        ends.append(sign * (float(value[0]) - shift))
    return ends[0], ends[1]


def largest_eigenvalue(A: sp.sparray | LinearOperator, product: InnerProduct, tolerance: float = 1e-8,
                       seed: int = 0) -> float:
    """Largest lambda of A v = lambda X v with a symmetric positive semidefinite A (n, n), to `tolerance` relative.

    Lanczos in the X inner product on A itself. Where eigenvalues accumulate at zero, as those of a mass matrix in an
    energy product do, this takes tens of solves, the other end of :func:`eigenvalue_range` thousands.

    Raises
    ------
    SolveFailed
        Lanczos did not converge.
    """
    n = A.shape[0]
    if n <= _DENSE:
        return float(_dense(A, product)[0][-1])
    operator = LinearOperator((n, n), dtype=float, matvec=lambda v: A @ np.ravel(v))
    value = _lanczos(operator, seed, return_eigenvectors=False, M=_matrix(product, n), Minv=_inverse(product, n),
                     which="LA", ncv=40, tol=tolerance)
    return float(value[0])


def _radius(A: sp.sparray | LinearOperator, product: InnerProduct, seed: int) -> float:
    """A few power iterations on X^{-1} A: the spectral radius to about 20 %."""
    v = np.random.default_rng(seed).standard_normal(A.shape[0])
    largest = 0.0
    for _ in range(20):
        v = v / product.norm(v[:, None])[0]
        v = product.riesz(A @ v)
        norm = float(product.norm(v[:, None])[0])
        largest = max(largest, norm)
        if norm == 0.0:
            break
    return largest


def smallest_eigenpair(A: sp.sparray | LinearOperator, product: InnerProduct, shift: float,
                       inverse: Callable[[np.ndarray], np.ndarray], seed: int = 0,
                       tolerance: float = 1e-10) -> tuple[float, np.ndarray]:
    """Smallest lambda of A v = lambda X v and its X-normalised v (n,), by shift-and-invert Lanczos.

    Parameters
    ----------
    A : symmetric (n, n)
    product : InnerProduct
    shift : float
        A number not above lambda, so that the eigenvalue nearest to it is the smallest.
    inverse : callable
        v (n,) -> (A - shift X)^{-1} v.
    tolerance : float
        Relative; where eigenvalues accumulate at the smallest one, fewer digits save hundreds of iterations.

    Raises
    ------
    SolveFailed
        Lanczos did not converge.
    """
    n = A.shape[0]
    if n <= _DENSE:
        values, vectors = _dense(A, product)
        return float(values[0]), vectors[:, 0]
    operator = LinearOperator((n, n), matvec=lambda v: inverse(np.ravel(v)), dtype=float)
    values, vectors = _lanczos(A, seed, M=_matrix(product, n), sigma=shift, OPinv=operator, which="LM", ncv=40,
                               tol=tolerance)
    return float(values[0]), vectors[:, 0] / product.norm(vectors)[0]


def _lanczos(A: sp.sparray | LinearOperator, seed: int, **options: Any) -> Any:
    start = np.random.default_rng(seed).standard_normal(A.shape[0])
    try:
        return eigsh(A, k=1, v0=start, maxiter=3000, **options)
    except ArpackError as error:
        raise SolveFailed(f"Lanczos did not find an extreme eigenvalue ({error}): the model's terms are badly "
                          "scaled; give a stability expression instead") from None


def is_semidefinite(A: sp.sparray, product: InnerProduct) -> bool:
    """Whether the symmetric A (n, n) has no eigenvalue under -1e-10 ||A|| / ||X||, with respect to X.

    Diagonally dominant matrices pass by Gershgorin's theorem; others are judged by the inertia of A + shift X on the
    unknowns that A touches.
    """
    A = sp.csr_array(A)
    touched = np.flatnonzero(np.diff(A.indptr))
    if touched.size == 0:
        return True
    A = A[touched][:, touched]
    scale = float(abs(A).max())
    diagonal = A.diagonal()
    if np.all(diagonal + np.abs(diagonal) - np.asarray(abs(A).sum(axis=1)) >= -1e-12 * scale):
        return True
    X = sp.eye_array(A.shape[0]) if product.X is None else product.X[touched][:, touched]
    shift = 1e-10 * scale / float(abs(X).max())
    return SuperLU(symmetric=True).setup(A + shift * X).negative_pivots == 0


def _matrix(product: InnerProduct, n: int) -> sp.sparray:
    return sp.eye_array(n) if product.X is None else product.X


def _inverse(product: InnerProduct, n: int) -> LinearOperator:
    return LinearOperator((n, n), matvec=lambda v: product.riesz(np.ravel(v)), dtype=float)


def _dense(A: sp.sparray | LinearOperator, product: InnerProduct) -> tuple[np.ndarray, np.ndarray]:
    n = A.shape[0]
    full = A @ np.eye(n) if isinstance(A, LinearOperator) else A.toarray()
    X = np.eye(n) if product.X is None else product.X.toarray()
    return sl.eigh(0.5 * (full + full.T), X)
