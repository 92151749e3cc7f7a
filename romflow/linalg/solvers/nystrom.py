"""Randomised Nystrom preconditioner for CG on a definite matrix with a fast falling spectrum, seen by products."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import SolveFailed

__all__ = ["Nystrom"]

_FIRST_RANK = 16
# The last eigenvalue found must have fallen by this since the rank was half as large, or more rank brings nothing.
_FALL = 0.7


class Nystrom:
    """P^{-1} = (l_r + mu) U (L + mu)^{-1} U^T + (I - U U^T) from a rank-r approximation U L U^T of A - mu I.

    Frangella, Tropp and Udell (2021), algorithms 2.1 and 5.1. The rank doubles until l_r <= 10 mu (the condition number
    is then bounded by a small constant in the mean, their theorem 5.1), until the eigenvalues no longer fall, or up to
    `max_rank`. Cost: `rank` products with A and 2 n rank^2 operations; 4 n rank operations a preconditioned vector.

    Parameters
    ----------
    max_rank : int, optional
        At most n / 2; n / 4 and at most 1000 where not given.
    shift : float
        mu >= 0, the part of A = A_0 + mu I that is known to be a multiple of the identity.
    seed : int

    Examples
    --------
    >>> A = np.diag(np.append(10.0 ** -np.arange(8.0), np.full(92, 1e-8)))
    >>> made = Nystrom(shift=1e-8).setup(A)
    >>> values = np.linalg.eigvals(made.apply(A))
    >>> bool(values.real.max() / values.real.min() < 20)
    True
    """

    def __init__(self, max_rank: int | None = None, *, shift: float = 0.0, seed: int = 0) -> None:
        self.max_rank, self.shift, self.seed = max_rank, shift, seed
        self.eigenvalues = np.empty(0)

    @property
    def rank(self) -> int:
        """Columns of U."""
        return int(self.eigenvalues.size)

    def setup(self, A: Any) -> Nystrom:
        """Sketch A (n, n), anything with ``A @ V``, with a growing number of columns.

        Raises
        ------
        SolveFailed
            A is not positive semidefinite.
        """
        n = A.shape[0]
        most = max(1, min(n // 2, min(n // 4, 1000) if self.max_rank is None else self.max_rank))
        random = np.random.default_rng(self.seed)
        omega, Y = np.empty((n, 0)), np.empty((n, 0))
        rank, last = min(_FIRST_RANK, most), np.inf
        while True:
            fresh = random.standard_normal((n, rank - omega.shape[1]))
            for _ in range(2):
                fresh -= omega @ (omega.T @ fresh)
            fresh = np.linalg.qr(fresh)[0]
            omega = np.hstack([omega, fresh])
            Y = np.hstack([Y, np.asarray(A @ fresh) - self.shift * fresh])
            U, values = _eigenpairs(omega, Y)
            if values[-1] <= 10.0 * self.shift or rank == most or values[-1] > _FALL * last:
                break
            rank, last = min(2 * rank, most), float(values[-1])
        positive = values > np.finfo(float).eps * values[0]
        self._basis, self.eigenvalues = U[:, positive], values[positive]
        return self

    def apply(self, R: np.ndarray) -> np.ndarray:
        """P^{-1} R for R (n, j) or (n,)."""
        scaled = (self.eigenvalues[-1] + self.shift) / (self.eigenvalues + self.shift) - 1.0
        C = self._basis.T @ R
        answer: np.ndarray = R + self._basis @ (scaled[:, None] * C if C.ndim == 2 else scaled * C)
        return answer


def _eigenpairs(omega: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of Y (omega^T Y)^{-1} Y^T, shifted by rounding and back (algorithm 2.1)."""
    if not np.isfinite(Y).all():
        raise SolveFailed("products with the matrix are not finite; check its values, or use method = 'direct'")
    nudge = np.sqrt(omega.shape[0]) * np.finfo(float).eps * np.linalg.norm(Y, 2)
    if nudge == 0.0:
        raise SolveFailed("the matrix maps random vectors to zero, so that it is singular; use another shift")
    Y = Y + nudge * omega
    core = omega.T @ Y
    try:
        factor = sl.cholesky(0.5 * (core + core.T))
    except sl.LinAlgError:
        raise SolveFailed("the matrix is not positive semidefinite (its compression to random vectors is not): use "
                          "method = 'minres' or 'direct'") from None
    B = sl.solve_triangular(factor, Y.T, trans="T", lower=False).T
    U, sigma, _ = sl.svd(B, full_matrices=False)
    return U, np.maximum(sigma**2 - nudge, 0.0)
