"""Many small dense systems at once: vectorised over the batch, never a Python loop over it."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import SolveFailed

# Systems a chunk: the r (r + 1) numbers of each stay in the second-level cache.
_CHUNK = 1024


def assemble_and_solve(theta: np.ndarray, operators: np.ndarray, rhs: np.ndarray, *, definite: bool) -> np.ndarray:
    """Solutions x_j of (sum_q theta_jq A_q) x_j = f_j for a whole batch.

    Symmetric positive definite systems are eliminated without pivoting, r steps vectorised over the batch
    (half the arithmetic of LU and a third of the time of a LAPACK call a system); others go to LAPACK's gesv.

    Parameters
    ----------
    theta : (b, Q)
    operators : (Q, r, r)
    rhs : (r, b)
    definite : bool
        All the matrices are symmetric positive definite.

    Returns
    -------
    (r, b)

    Raises
    ------
    SolveFailed
        A matrix is singular.
    """
    r, b = rhs.shape
    x = np.empty((r, b))
    if r == 0:
        return x
    flat = np.ascontiguousarray(operators.reshape(operators.shape[0], r * r).T)
    for start in range(0, b, _CHUNK):
        part = slice(start, min(start + _CHUNK, b))
        if definite:
            x[:, part] = _eliminate((flat @ theta[part].T).reshape(r, r, -1), rhs[:, part])
        else:
            x[:, part] = _gesv((theta[part] @ flat.T).reshape(-1, r, r), rhs[:, part])
    if not np.isfinite(x).all():
        raise SolveFailed(f"{int(np.count_nonzero(~np.isfinite(x).all(axis=0)))} of {b} reduced systems are singular; "
                          "the reduced operator is not positive definite there: check the parameter range")
    return x


def _eliminate(A: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Symmetric elimination of A (r, r, b), of which only the upper triangle is read, with f (r, b)."""
    r = A.shape[0]
    x = f.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        for k in range(r - 1):
            row = A[k, k + 1:]
            factors = row / A[k, k]
            x[k + 1:] -= factors * x[k]
            for i in range(k + 1, r):
                A[i, i:] -= factors[i - k - 1] * row[i - k - 1:]
        for i in range(r - 1, -1, -1):
            x[i] -= np.einsum("jb,jb->b", A[i, i + 1:], x[i + 1:])
            x[i] /= A[i, i]
    x[:, (np.einsum("iib->ib", A) <= 0.0).any(axis=0)] = np.nan
    return x


def _gesv(A: np.ndarray, f: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(A, f.T[:, :, None])[:, :, 0].T
    except np.linalg.LinAlgError:
        return np.full(f.shape, np.nan)


def least_squares(A: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Minimisers x_j of ||A_j x - f_j||_2 for A (b, m, r), f (b, m), by QR: the condition number is not squared.

    Returns
    -------
    (r, b)
    """
    Q, R = np.linalg.qr(A)
    g = np.einsum("bmr,bm->rb", Q, f)
    x = np.empty_like(g)
    for i in range(g.shape[0] - 1, -1, -1):
        x[i] = (g[i] - np.einsum("bj,jb->b", R[:, i, i + 1:], x[i + 1:])) / R[:, i, i]
    return x
