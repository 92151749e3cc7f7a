"""Spectral coarse spaces: the modes of a subdomain that its neighbours cannot correct."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from romflow.core.errors import SolveFailed
from romflow.dd.local_factor import LocalFactor
from romflow.dd.schwarz import Weighted
from romflow.linalg.aggregation import aggregated

__all__ = ["aggregated_modes", "exact_modes"]

_DENSE = 300
_SCALAR, _VECTOR = 400, 1500
_SHIFT = 0.02
_FIRST, _MOST = 12, 80


def exact_modes(one: Weighted, A: sp.csr_array, neumann: sp.csr_array, threshold: float, backend: str) -> np.ndarray:
    """V_i of N v = lambda D B D v with lambda < threshold, by shift-and-invert Lanczos; D v, normalised, is returned.

    Spillane, Dolean, Hauret, Nataf, Pechstein and Scheichl (2014), (2.8): N is the matrix of the subdomain's overlapped
    cells alone, B the subdomain's block of A, D its partition of unity. With the columns D_i V_i of all subdomains as
    coarse space the condition number depends on the threshold and the number of neighbours, not on coefficients.

    Parameters
    ----------
    one : Weighted
    A : csr (local, local)
    neumann : csr (m, m)
    threshold : float
    backend : str

    Returns
    -------
    (m, k)

    Raises
    ------
    SolveFailed
        Lanczos did not converge.

    Notes
    -----
    Cost: a factorisation of N + shift D B D, and 30 to 100 substitutions, one vector at a time.
    """
    m = one.dofs.size
    N, B = _pencil(one, A, neumann)
    if m == 0 or B.nnz == 0:
        return np.zeros((m, 0))
    values, vectors = _dense(N.toarray(), B.toarray(), threshold) if m <= _DENSE else _lanczos(N, B, threshold, backend)
    return _normalised(one, vectors[:, values < threshold])


def aggregated_modes(one: Weighted, A: sp.csr_array, neumann: sp.csr_array, threshold: float,
                     near_nullspace: np.ndarray | None, nodes: np.ndarray) -> np.ndarray:
    """As `exact_modes`, projected on a smoothed aggregation of N: P^T N P y = lambda P^T D B D P y.

    The modes of small lambda have little energy, and the range of P holds such vectors well; the Ritz values lie above
    the eigenvalues, so that a few modes near the threshold are missed, which a larger threshold makes up for. P has
    at most 400 columns for one candidate and 1500 for several, or is the identity.

    Parameters
    ----------
    near_nullspace : (local, j), optional
        Constants where it is None.
    nodes : (local,) int
        Equal for the unknowns of a node.

    Returns
    -------
    (m, k)

    Notes
    -----
    Cost: a few sparse products and one dense eigenproblem of some hundred rows; nothing sparse is factorised.
    """
    m = one.dofs.size
    N, B = _pencil(one, A, neumann)
    if m == 0 or B.nnz == 0:
        return np.zeros((m, 0))
    candidates = np.ones((m, 1)) if near_nullspace is None else near_nullspace[one.dofs]
    groups = _by_appearance(nodes[one.dofs])
    P, coarse = aggregated(N, candidates, _SCALAR if candidates.shape[1] == 1 else _VECTOR, groups)
    _, vectors = _dense(coarse.toarray(), (sp.csr_array(P.T) @ (B @ P)).toarray(), threshold)
    return _normalised(one, P @ vectors)


def _by_appearance(labels: np.ndarray) -> np.ndarray:
    """The labels numbered 0, 1, .. in the order in which they appear, which does not depend on the ranks."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(first.size, dtype=np.int64)
    number[np.argsort(first)] = np.arange(first.size)
    return number[inverse.reshape(-1)]


def _pencil(one: Weighted, A: sp.csr_array, neumann: sp.csr_array) -> tuple[sp.csr_array, sp.csr_array]:
    """The symmetric parts of N and of D B D."""
    N, B = sp.csr_array(neumann, copy=True), sp.csr_array(A[one.dofs][:, one.dofs])
    B.data *= np.repeat(one.weight, np.diff(B.indptr)) * one.weight[B.indices]
    B.eliminate_zeros()
    return _symmetric_part(N), _symmetric_part(B)


def _symmetric_part(A: sp.csr_array) -> sp.csr_array:
    return sp.csr_array(0.5 * (A + A.T))


def _normalised(one: Weighted, vectors: np.ndarray) -> np.ndarray:
    chosen = one.weight[:, None] * vectors
    return chosen / np.maximum(np.linalg.norm(chosen, axis=0), np.finfo(float).tiny)


def _dense(N: np.ndarray, B: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs with lambda below the threshold, rising: from B y = mu (N + shift B) y, scaled and regular."""
    shift = _SHIFT * threshold
    regular = N + shift * B
    diagonal = np.diag(regular)
    used = np.flatnonzero(diagonal > 1e-13 * diagonal.max(initial=0.0))
    scale = 1.0 / np.sqrt(diagonal[used])
    regular = regular[np.ix_(used, used)] * scale[:, None] * scale
    regular[np.diag_indices_from(regular)] += 1e-11
    right = B[np.ix_(used, used)] * scale[:, None] * scale
    values, vectors = _largest(right, regular, 1.0 / (threshold + shift))
    full = np.zeros((N.shape[0], values.size))
    full[used] = scale[:, None] * vectors[:, ::-1]
    return 1.0 / values[::-1] - shift, full


def _largest(B: np.ndarray, N: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs of B y = mu N y with mu above `least`, rising.

    Where N is not definite (the symmetric part of a transport term, cut off at the rim of a subdomain), its directions
    of negative energy count as such of almost none.
    """
    try:
        return sl.eigh(B, N, subset_by_value=(least, np.inf), check_finite=False)
    except sl.LinAlgError:
        energies, U = sl.eigh(N, check_finite=False)
        U /= np.sqrt(np.maximum(energies, 1e-8 * energies[-1]))
        values, Y = sl.eigh(U.T @ B @ U, subset_by_value=(least, np.inf), check_finite=False)
        return values, U @ Y


def _lanczos(N: sp.csr_array, B: sp.csr_array, threshold: float,
             backend: str) -> tuple[np.ndarray, np.ndarray]:
    m, shift = N.shape[0], _SHIFT * threshold
    factor = LocalFactor(sp.csr_array(N + shift * B + 1e-13 * sp.diags_array(N.diagonal())), "definite", backend)
    inverse = LinearOperator((m, m), matvec=lambda v: factor.solve(np.reshape(v, (m, 1)))[:, 0], dtype=float)
    start = np.random.default_rng(0).standard_normal(m)
    count = min(_FIRST, m // 4)
    while True:
        try:
            values, vectors = eigsh(N, k=count, M=B, sigma=-shift, OPinv=inverse, which="LM", v0=start, tol=1e-6)
        except ArpackError as error:
            raise SolveFailed(f"Lanczos did not find the modes of a subdomain of {m} unknowns ({error}): take coarse = "
                              "\"nicolaides\", or another number of subdomains") from None
        if values.max() >= threshold or count >= min(_MOST, m // 3):
            return values, vectors
        count = min(2 * count, _MOST, m // 3)
