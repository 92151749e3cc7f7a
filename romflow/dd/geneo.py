"""Spectral coarse spaces: the modes of a subdomain that its neighbours cannot correct."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from romflow.core.errors import SolveFailed
from romflow.dd.local_factor import LocalFactor
from romflow.dd.schwarz import Weighted

__all__ = ["exact_modes"]

_DENSE = 300
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
    D = sp.diags_array(one.weight)
    B = sp.csr_array(A[one.dofs][:, one.dofs])
    B, N = sp.csr_array(D @ (0.5 * (B + B.T)) @ D), sp.csr_array(0.5 * (neumann + neumann.T))
    if m == 0 or B.nnz == 0:
        return np.zeros((m, 0))
    shift = 0.1 * threshold
    values, vectors = _dense(N, B, shift) if m <= _DENSE else _lanczos(N, B, threshold, shift, backend)
    chosen = one.weight[:, None] * vectors[:, values < threshold]
    return chosen / np.maximum(np.linalg.norm(chosen, axis=0), np.finfo(float).tiny)


def _dense(N: sp.csr_array, B: sp.csr_array, shift: float) -> tuple[np.ndarray, np.ndarray]:
    shifted = (N + shift * B).toarray()
    shifted[np.diag_indices_from(shifted)] *= 1.0 + 1e-13
    values, vectors = sl.eigh(B.toarray(), shifted)
    values, vectors = values[::-1], vectors[:, ::-1]
    return 1.0 / np.maximum(values, 1e-300) - shift, vectors


def _lanczos(N: sp.csr_array, B: sp.csr_array, threshold: float, shift: float,
             backend: str) -> tuple[np.ndarray, np.ndarray]:
    m = N.shape[0]
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
