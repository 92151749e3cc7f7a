"""Prolongations by smoothed aggregation for one matrix, down to a size for dense algebra (pyamg)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["aggregated", "equal_patterns"]

_STRENGTH = 0.08
_POWER_STEPS = 8


def equal_patterns(A: sp.csr_array) -> np.ndarray:
    """Group (n,) of each row: rows with the same columns are one group, such as the components at a node.

    Examples
    --------
    >>> A = sp.csr_array(np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> equal_patterns(A).tolist() in ([0, 0, 1], [1, 1, 0])
    True
    """
    marks = np.random.default_rng(0).integers(1, 2**40, size=A.shape[1])
    pattern = sp.csr_array((np.ones(A.nnz, dtype=np.int64), A.indices, A.indptr), shape=A.shape)
    return np.unique(pattern @ marks, return_inverse=True)[1].reshape(-1)


def aggregated(A: sp.csr_array, candidates: np.ndarray, most: int, strength: float = _STRENGTH) -> sp.csr_array:
    """P (n, c) of smoothed aggregation, level by level until c <= `most` or a level no longer shrinks.

    P = (I - w D^{-1} A) T with T from aggregates of strongly coupled groups of rows (see `equal_patterns`) that holds
    the candidates exactly, w = 4 / (3 rho(D^{-1} A)): Vanek, Mandel and Brezina (1996). The range of P is rich in the
    modes of small energy, also where coefficients jump.

    Parameters
    ----------
    A : csr (n, n)
        Symmetric positive semi-definite, with positive diagonal.
    candidates : (n, j)
        Near-null space: constants, rigid-body modes.
    most : int
        Wanted number of columns at most.
    strength : float
        Rows i and j are strongly coupled where |a_ij| > strength sqrt(a_ii a_jj), with Frobenius norms of blocks.

    Returns
    -------
    csr (n, c)

    Notes
    -----
    Cost: a few sparse products a level; nothing is factorised.

    Examples
    --------
    >>> A = sp.csr_array(sp.diags_array([-np.ones(99), 2 * np.ones(100), -np.ones(99)], offsets=[-1, 0, 1]))
    >>> aggregated(A, np.ones((100, 1)), 40).shape
    (100, 34)
    """
    P, groups = sp.csr_array(sp.eye_array(A.shape[0])), equal_patterns(A)
    while A.shape[0] > most:
        T, candidates, groups = _tentative(A, groups, candidates, strength)
        if not 0 < T.shape[1] < 0.8 * A.shape[0]:
            break
        T = _smoothed(A, T)
        A, P = sp.csr_array(T.T @ (A @ T)), sp.csr_array(P @ T)
    return P


def _tentative(A: sp.csr_array, groups: np.ndarray, candidates: np.ndarray,
               strength: float) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """T with orthonormal columns, the candidates on the coarse level, and the coarse groups."""
    from pyamg.aggregation import fit_candidates, standard_aggregation
    from pyamg.strength import symmetric_strength_of_connection

    count = int(groups.max()) + 1
    member = sp.csr_array((np.ones(groups.size), (np.arange(groups.size), groups)), shape=(groups.size, count))
    squares = sp.csr_array((A.data**2, A.indices, A.indptr), shape=A.shape)
    coupling = sp.csr_array(member.T @ squares @ member)
    coupling.data = np.sqrt(coupling.data)
    strong = symmetric_strength_of_connection(_int32(coupling), strength)
    aggregates = sp.csr_array(member @ sp.csr_array(standard_aggregation(strong)[0], dtype=float))
    T, coarse = fit_candidates(_int32(aggregates), candidates)
    T = sp.csc_array(T)
    full = np.flatnonzero(np.diff(T.indptr) > 0)
    width = candidates.shape[1]
    used = full[np.sqrt(np.asarray(T[:, full].power(2).sum(axis=0)).ravel()) > 0.5]
    return sp.csr_array(T[:, used]), coarse[used], np.unique(used // width, return_inverse=True)[1].reshape(-1)


def _smoothed(A: sp.csr_array, T: sp.csr_array) -> sp.csr_array:
    inverse = 1.0 / A.diagonal()
    v = np.random.default_rng(0).standard_normal(A.shape[0])
    radius = 1.0
    for _ in range(_POWER_STEPS):
        v = inverse * (A @ (v / np.linalg.norm(v)))
        radius = float(np.linalg.norm(v))
    return sp.csr_array(T - (4.0 / 3.0 / (1.1 * radius)) * (sp.diags_array(inverse) @ (A @ T)))


def _int32(A: sp.csr_array) -> sp.csr_array:
    return sp.csr_array((A.data, A.indices.astype(np.int32), A.indptr.astype(np.int32)), shape=A.shape)
