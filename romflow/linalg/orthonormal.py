"""Orthonormal bases by blocks: twice-applied block Gram-Schmidt with Householder or Cholesky kernels."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl

from romflow.linalg.inner_product import InnerProduct

# A vector that keeps less than this share of its norm outside the span of the basis brings only rounding noise.
DEPENDENT = 1e-13
_SWEEPS = 4


def extend_orthonormal(V: np.ndarray, U: np.ndarray, product: InnerProduct) -> np.ndarray:
    """Columns W such that [V, W] is X-orthonormal and spans V and U, dependent vectors left out.

    Modified Gram-Schmidt with re-orthogonalisation until the norm stops falling ("twice is enough", Daniel, Gragg,
    Kaufman and Stewart 1976); one step a vector, because U is a snapshot or a small batch.

    Parameters
    ----------
    V : (n, r) X-orthonormal
    U : (n, j)
    product : InnerProduct

    Returns
    -------
    (n, i) with i <= j
    """
    basis = V
    for u in U.T:
        w = _outside(basis, u[:, None], product)
        if w is not None:
            basis = np.hstack([basis, w])
    return basis[:, V.shape[1]:]


def _outside(V: np.ndarray, u: np.ndarray, product: InnerProduct) -> np.ndarray | None:
    start = product.norm(u)[0]
    if start == 0.0:
        return None
    w, before = u / start, 1.0
    for _ in range(3):
        w = w - V @ product.gram(V, w)
        now = product.norm(w)[0]
        if now < DEPENDENT:
            return None
        if now > 0.5 * before:
            break
        before = now
    return w / now


class OrthonormalRange:
    """Growing QR factorisation Y = Q T of blocks of columns, with T exact to rounding also where Y is rank deficient.

    Each block is projected on the complement of Q and factorised by Householder reflections, and its orthonormal factor
    again, until that changes nothing but rounding, so that directions made of noise are orthogonal too (the blocked
    form of Buhr, Engwer, Ohlberger and Rave 2014, Algorithm 1). Cost: about 8 n m j flops a block of j columns on m
    earlier ones.

    Examples
    --------
    >>> import numpy as np
    >>> grown = OrthonormalRange(3)
    >>> grown.extend(np.array([[3.0], [4.0], [0.0]]))
    >>> abs(grown.T)
    array([[5.]])
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._Q = np.empty((n, 0), order="F")
        self._used = 0
        self.T = np.empty((0, 0))

    def extend(self, Y: np.ndarray) -> None:
        """Append the columns Y (n, j) to T (m, m), which grows to (m + j, m + j).

        Once the columns outnumber n, T (n, m + j) holds them in the coordinates of R^n instead.
        """
        m, j = self.T.shape[1], Y.shape[1]
        if m + j > self._n:
            self.T = np.hstack([self._Q[:, :m] @ self.T if self._used == m else self.T, Y])
            self._used = -1
            return
        Q = self._Q[:, :m]
        head, tail, W = np.zeros((m, j)), np.eye(j), np.asfortranarray(Y)
        for sweep in range(_SWEEPS):
            H = Q.T @ W
            W, R = sl.qr(W - Q @ H, mode="economic", overwrite_a=True, check_finite=False)
            head += H @ tail
            tail = R @ tail
            if sweep and np.abs(R.diagonal()).min() > 0.5:
                break
        self.T = np.block([[self.T, head], [np.zeros((j, m)), tail]])
        self._store(W)

    def _store(self, W: np.ndarray) -> None:
        needed = self._used + W.shape[1]
        if needed > self._Q.shape[1]:
            grown = np.empty((self._n, max(needed, 2 * self._Q.shape[1])), order="F")
            grown[:, :self._used] = self._Q[:, :self._used]
            self._Q = grown
        self._Q[:, self._used:needed] = W
        self._used = needed
