"""Prolongations by smoothed aggregation for one matrix, down to a size for dense algebra (pyamg)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["aggregated"]

_STRENGTH = 0.08
_POWER_STEPS = 8


def aggregated(A: sp.csr_array, candidates: np.ndarray, most: int, groups: np.ndarray | None = None,
               strength: float = _STRENGTH) -> tuple[sp.csr_array, sp.csr_array]:
    """P (n, c) and P^T A P of smoothed aggregation, level by level until c <= `most` or a level no longer shrinks.

    P = (I - w D^{-1} A) T with T from aggregates of strongly coupled groups of rows that holds the candidates exactly,
    w = 4 / (3 rho(D^{-1} A)): Vanek, Mandel and Brezina (1996). The range of P is rich in the modes of small energy,
    also where coefficients jump.

    Parameters
    ----------
    A : csr (n, n)
        Symmetric positive semi-definite, with positive diagonal.
    candidates : (n, j)
        Near-null space: constants, rigid-body modes.
    most : int
        Wanted number of columns at most.
    groups : (n,) int, optional
        Rows that stay together, such as the components at a node: numbers from 0. Each row alone by default.
    strength : float
        Rows i and j are strongly coupled where |a_ij| > strength sqrt(a_ii a_jj), with Frobenius norms of blocks.

    Returns
    -------
    csr (n, c), csr (c, c)

    Notes
    -----
    Cost: a few sparse products a level; nothing is factorised.

    Examples
    --------
    >>> A = sp.csr_array(sp.diags_array([-np.ones(99), 2 * np.ones(100), -np.ones(99)], offsets=[-1, 0, 1]))
    >>> P, coarse = aggregated(A, np.ones((100, 1)), 40)
    >>> P.shape, coarse.shape
    ((100, 34), (34, 34))
    """
    groups = np.arange(A.shape[0]) if groups is None else groups
    P: sp.csr_array | None = None
    while A.shape[0] > most:
        T, candidates, groups = _tentative(A, groups, candidates, strength)
        if not 0 < T.shape[1] < 0.8 * A.shape[0]:
            break
        T = _smoothed(A, T)
        A, P = sp.csr_array(sp.csr_array(T.T) @ (A @ T)), T if P is None else P @ T
    return sp.csr_array(sp.eye_array(A.shape[0])) if P is None else P, A


def _tentative(A: sp.csr_array, groups: np.ndarray, candidates: np.ndarray,
               strength: float) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """T with orthonormal columns, the candidates on the coarse level, and the coarse groups."""
    from pyamg.aggregation import fit_candidates, standard_aggregation
    from pyamg.strength import symmetric_strength_of_connection

    strong = symmetric_strength_of_connection(_int32(_coupling(A, groups)), strength)
    of_group = sp.csr_array(standard_aggregation(strong)[0])
    T, coarse = fit_candidates(_int32(sp.csr_array(of_group[groups], dtype=float)), candidates)
    T, width = sp.csc_array(T), candidates.shape[1]
    norms = np.bincount(np.repeat(np.arange(T.shape[1]), np.diff(T.indptr)), T.data**2, minlength=T.shape[1])
    used = np.flatnonzero(norms > 0.5)
    return sp.csr_array(T[:, used]), coarse[used], np.unique(used // width, return_inverse=True)[1].reshape(-1)


def _coupling(A: sp.csr_array, groups: np.ndarray) -> sp.csr_array:
    """Frobenius norms of the blocks of A between groups of rows."""
    count = int(groups.max()) + 1
    if count == A.shape[0]:
        order = np.argsort(groups)
        return A if np.array_equal(order, groups) else sp.csr_array(A[order][:, order])
    rows = np.repeat(groups, np.diff(A.indptr))
    squares = sp.csr_array(sp.coo_array((A.data**2, (rows, groups[A.indices])), shape=(count, count)))
    squares.data = np.sqrt(squares.data)
    return squares


def _smoothed(A: sp.csr_array, T: sp.csr_array) -> sp.csr_array:
    inverse = 1.0 / A.diagonal()
    v = np.random.default_rng(0).standard_normal(A.shape[0])
    radius = 1.0
    for _ in range(_POWER_STEPS):
        v = inverse * (A @ (v / np.linalg.norm(v)))
        radius = float(np.linalg.norm(v))
    image = sp.csr_array(A @ T)
    image.data *= np.repeat(4.0 / 3.0 / (1.1 * radius) * inverse, np.diff(image.indptr))
    return sp.csr_array(T - image)


def _int32(A: sp.csr_array) -> sp.csr_array:
    return sp.csr_array((A.data, A.indices.astype(np.int32), A.indptr.astype(np.int32)), shape=A.shape)
