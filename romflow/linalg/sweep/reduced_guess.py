"""Initial guesses for a sweep: the Galerkin solution in the span of the solutions so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

# A solution that keeps less than this share of its norm outside the basis brings only rounding noise.
_DEPENDENT = 1e-11


class ReducedGuess:
    """The reduced model that grows along a sweep of A(theta) u = F phi: its answer is the next initial guess.

    Keeps an orthonormal basis V (n, r) and the projections V^T A_q V, V^T F. A guess costs Q r^2 + r^3 / 3 flops and
    n r for V y; a new solution costs two operations an entry of the terms and n r Q' for its projections, where Q' is
    the mean number of terms that touch a row. For symmetric positive definite A the guess is at least as good as zero
    in the energy norm.

    Parameters
    ----------
    terms : sequence of sparse (n, n)
    vectors : (n, Qf)
    max_size : int
        Later solutions are not taken in.

    Examples
    --------
    >>> terms = [sp.csr_array(np.diag([1.0, 0.0])), sp.csr_array(np.diag([0.0, 1.0]))]
    >>> reduced = ReducedGuess(terms, np.ones((2, 1)))
    >>> reduced.extend(np.array([1.0, 0.5])); reduced.extend(np.array([1.0, 0.1]))
    >>> reduced.guess(np.array([2.0, 4.0]), np.ones(1)).round(12)
    array([0.5 , 0.25])
    """

    def __init__(self, terms: Sequence[sp.csr_array], vectors: np.ndarray, max_size: int = 64) -> None:
        self.max_size = max_size
        self._F = vectors
        rows = [np.flatnonzero(np.diff(term.indptr)) for term in terms]
        # One sparse product for all terms: their rows that hold entries, below each other.
        self._stacked = sp.csr_array(sp.vstack([term[chosen] for term, chosen in zip(terms, rows, strict=True)]))
        self._rows = np.concatenate(rows)
        self._starts = np.concatenate([[0], np.cumsum([chosen.size for chosen in rows])])
        self._V = np.empty((vectors.shape[0], 0))
        self._operator = np.zeros((len(terms), 0, 0))
        self._load = np.zeros((0, vectors.shape[1]))

    @property
    def size(self) -> int:
        """Number of basis vectors r."""
        return self._load.shape[0]

    @property
    def basis(self) -> np.ndarray:
        """V (n, r), orthonormal."""
        return self._V[:, :self.size]

    def extend(self, u: np.ndarray) -> None:
        """Take the solution u (n,) into the basis, unless it is full or u adds nothing but rounding."""
        r = self.size
        if r >= self.max_size:
            return
        V, norm = self.basis, float(np.linalg.norm(u))
        if norm == 0.0:
            return
        w = u / norm
        for _ in range(2):
            w = w - V @ (V.T @ w)
        left = float(np.linalg.norm(w))
        if left < _DEPENDENT:
            return
        self._append(w / left)

    def energy_left(self, u: np.ndarray, guess: np.ndarray, b: np.ndarray) -> float:
        """||u - guess||_A / ||u||_A (1 = no better than zero), from A u = b and Galerkin orthogonality alone."""
        whole = float(u @ b)
        return float(np.sqrt(max(whole - float(guess @ b), 0.0) / whole)) if whole > 0.0 else 1.0

    def galerkin(self, theta: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """The coarse correction r -> V (V^T A(theta) V)^{-1} V^T r, (n,) to (n,), for symmetric positive definite A.

        Zero before the first solution, and where V^T A V is not positive definite.
        """
        V = self.basis
        try:
            factor = sl.cho_factor(np.tensordot(theta, self._operator, 1), check_finite=False) if self.size else None
        except sl.LinAlgError:
            factor = None
        if factor is None:
            return np.zeros_like
        return lambda residual: V @ sl.cho_solve(factor, V.T @ residual, check_finite=False)

    def guess(self, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """V y (n,) with V^T A(theta) V y = V^T F phi; zero before the first solution."""
        return self.basis @ self._solved(theta, self._load @ phi)

    def _solved(self, theta: np.ndarray, b: np.ndarray) -> np.ndarray:
        if self.size == 0:
            return b
        try:
            y = np.linalg.solve(np.tensordot(theta, self._operator, 1), b)
        except np.linalg.LinAlgError:
            return np.zeros_like(b)
        return y if np.isfinite(y).all() else np.zeros_like(b)

    def _append(self, w: np.ndarray) -> None:
        r = self.size
        if r == self._V.shape[1]:
            grown = np.empty((w.size, min(self.max_size, max(8, 2 * r))))
            grown[:, :r] = self._V
            self._V = grown
        self._V[:, r] = w
        # Row q of `images` is A_q w on the rows where it can differ from zero.
        images = sp.csr_array((self._stacked @ w, self._rows, self._starts), shape=(self._operator.shape[0], w.size))
        V = self._V[:, :r + 1]
        columns = images @ V
        grown = np.zeros((columns.shape[0], r + 1, r + 1))
        grown[:, :r, :r] = self._operator
        grown[:, :, r] = columns
        grown[:, r, :] = self._rowwise(w, V, columns)
        self._operator = grown
        self._load = np.vstack([self._load, w @ self._F])

    def _rowwise(self, w: np.ndarray, V: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """w^T A_q V (Q, r + 1); for symmetric terms the same numbers as V^T A_q w."""
        return columns


class GeneralReducedGuess(ReducedGuess):
    """The same for terms that are not symmetric: one more product with the transposed terms for each solution."""

    def __init__(self, terms: Sequence[sp.csr_array], vectors: np.ndarray, max_size: int = 64) -> None:
        super().__init__(terms, vectors, max_size)
        self._transposed = [sp.csr_array(term.T) for term in terms]

    def _rowwise(self, w: np.ndarray, V: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.stack([(A @ w) @ V for A in self._transposed])
