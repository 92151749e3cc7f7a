"""Inverses of many small matrices at once, kept with the batch as the last axis."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import SolveFailed

__all__ = ["apply_batched", "inverses"]

# Fewer matrices than this are inverted one by one: the vectorised elimination has 4 r calls to pay.
_VECTORISED = 24


def inverses(S: np.ndarray, definite: bool) -> np.ndarray:
    """Inverses (r, r, b) of the matrices S (r, r, b), which are overwritten.

    Symmetric positive definite ones by Gauss-Jordan elimination without pivoting, each of its r steps over the whole
    batch (2 r^3 operations a matrix, half the time of a LAPACK call for each); the others by LAPACK's gesv.

    Parameters
    ----------
    S : (r, r, b)
    definite : bool
        All of them are symmetric positive definite.

    Raises
    ------
    SolveFailed
        A matrix is singular, or has a pivot that is not positive where `definite`.

    Examples
    --------
    >>> inverses(np.array([[[2.0, 4.0]]]), definite=True)
    array([[[0.5 , 0.25]]])
    """
    if definite and S.shape[2] >= _VECTORISED:
        return _eliminated(S)
    try:
        found = np.linalg.inv(np.ascontiguousarray(np.moveaxis(S, 2, 0)))
    except np.linalg.LinAlgError:
        raise _singular(S.shape[2]) from None
    if not np.isfinite(found).all():
        raise _singular(S.shape[2])
    return np.ascontiguousarray(np.moveaxis(found, 0, 2))


def apply_batched(P: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P_j y_j (r, b) for P (r, r, b) and y (r, b).

    Examples
    --------
    >>> apply_batched(np.array([[[2.0, 3.0]]]), np.array([[1.0, 10.0]]))
    array([[ 2., 30.]])
    """
    return np.einsum("ijb,jb->ib", P, y)


def _eliminated(S: np.ndarray) -> np.ndarray:
    change = np.empty_like(S)
    smallest = np.inf
    for k in range(S.shape[0]):
        pivot = S[k, k].copy()
        smallest = min(smallest, float(pivot.min()))
        if not smallest > 0.0:
            raise _singular(S.shape[2])
        row, column = S[k] / pivot, S[:, k].copy()
        np.multiply(column[:, None], row[None], out=change)
        S -= change
        S[:, k] = -column / pivot
        S[k] = row
        S[k, k] = 1.0 / pivot
    return S


def _singular(b: int) -> SolveFailed:
    return SolveFailed(f"a matrix among {b} reduced ones is singular or not positive definite; check the parameter "
                       "range, or take another basis")
