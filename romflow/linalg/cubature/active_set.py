"""Least squares with positive weights over a set of columns that grows and shrinks, by an updated QR factorisation."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl

__all__ = ["ActiveSet"]

# A column whose part outside the span of the others is this small next to it is dependent on them.
_DEPENDENT = 1e-10
# Deletions after which the factorisation is made anew.
_REFRESH = 100
_FIRST_CAPACITY = 64


class ActiveSet:
    """min ||G_Z x - b|| with x > 0 over chosen columns Z, which come and go at the cost of one update each.

    The factorisation G_Z = Q R grows by Gram-Schmidt, done twice, and shrinks by rotations; it is made anew after 100
    deletions. Weights that would turn negative leave as in the inner loop of Lawson and Hanson (1974, algorithm 23.10).
    Cost of a column: 4 M m flops to append or delete, m^2 for the weights.

    Parameters
    ----------
    b : (M,)
        Right-hand side.

    Examples
    --------
    >>> active = ActiveSet(np.array([1.0, 2.0, 0.0]))
    >>> active.append(7, np.array([1.0, 1.0, 0.0])), active.append(3, np.array([0.0, 1.0, 0.0]))
    (True, True)
    >>> active.settle()
    >>> active.columns, np.round(active.weights, 12).tolist(), round(float(np.linalg.norm(active.residual())), 12)
    ([7, 3], [1.0, 1.0], 0.0)
    """

    def __init__(self, b: np.ndarray) -> None:
        self.b = b
        #: The chosen columns' numbers, in the order of their arrival.
        self.columns: list[int] = []
        #: (m,) their weights; zero for those that `settle` has not seen yet.
        self.weights = np.empty(0)
        self._changes: list[tuple[np.ndarray, float]] = []
        self._deletions = 0
        capacity = min(_FIRST_CAPACITY, b.size)
        self._G = np.empty((b.size, capacity), order="F")
        self._Q = np.empty((b.size, capacity), order="F")
        # Beyond the columns it is the identity, so that triangular solves take all of it and copy nothing.
        self._R = np.eye(capacity, order="F")

    def append(self, number: int, column: np.ndarray, weight: float = 0.0) -> bool:
        """Take a column in; False, and nothing changes, if it depends on the others to rounding."""
        m, scale = len(self.columns), float(np.linalg.norm(column))
        if m == self.b.size or scale == 0.0:
            return False
        Q = self._Q[:, :m]
        along = Q.T @ column
        rest = column - Q @ along
        again = Q.T @ rest
        rest -= Q @ again
        size = float(np.linalg.norm(rest))
        if size <= _DEPENDENT * scale:
            return False
        self._reserve(m + 1)
        self._G[:, m], self._Q[:, m] = column, rest / size
        self._R[:m, m], self._R[m, :m], self._R[m, m] = along + again, 0.0, size
        self._changes.append((self._Q[:, m].copy(), 1.0))
        self.columns.append(number)
        self.weights = np.append(self.weights, weight)
        return True

    def settle(self) -> None:
        """Best positive weights: least squares, cut back where a weight turns negative, which then leaves the set.

        The residual never grows, whatever the feasible weights were before.
        """
        while self.columns:
            m = len(self.columns)
            right = np.zeros(self._R.shape[0])
            right[:m] = self._Q[:, :m].T @ self.b
            best = sl.blas.dtrsv(self._R, right)[:m]
            bad = best <= 0.0
            if not bad.any():
                self.weights = best
                return
            ratio = self.weights[bad] / (self.weights[bad] - best[bad])
            step = min(1.0, float(ratio.min()))
            weights = self.weights + step * (best - self.weights)
            leaving = bad & (weights <= np.finfo(float).eps * max(float(weights.max()), 0.0))
            leaving[np.flatnonzero(bad)[np.argmin(ratio)]] = True
            self.weights = np.maximum(weights, 0.0)
            self._delete(np.flatnonzero(leaving))

    def residual(self) -> np.ndarray:
        """b - G_Z x (M,), from the columns themselves and not from the factorisation."""
        return self.b - self.matrix() @ self.weights

    def turned(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (c, M) by which the span of G_Z has grown (sign 1) or shrunk (-1) since the last call, in order.

        The squared length of a column within the span changes by sign (vector . column)^2 with each of them.
        """
        vectors = np.array([vector for vector, _ in self._changes]).reshape(-1, self.b.size)
        signs = np.array([sign for _, sign in self._changes])
        self._changes = []
        return vectors, signs

    def matrix(self) -> np.ndarray:
        """G_Z (M, m), a view."""
        return self._G[:, :len(self.columns)]

    def factor(self) -> np.ndarray:
        """R (m, m), a view."""
        m = len(self.columns)
        return self._R[:m, :m]

    def _reserve(self, size: int) -> None:
        capacity = self._G.shape[1]
        if size <= capacity:
            return
        m, new = len(self.columns), min(2 * capacity, self.b.size)
        for name in ("_G", "_Q"):
            wider = np.empty((self.b.size, new), order="F")
            wider[:, :m] = getattr(self, name)[:, :m]
            setattr(self, name, wider)
        R = np.eye(new, order="F")
        R[:m, :m] = self._R[:m, :m]
        self._R = R

    def _delete(self, places: np.ndarray) -> None:
        for place in places[::-1].tolist():
            m = len(self.columns)
            # In place: what comes back are views of the same arrays.
            sl.qr_delete(self._Q[:, :m], self._R[:m, :m], place, which="col", overwrite_qr=True, check_finite=False)
            self._R[:, m - 1] = self._R[m - 1] = 0.0
            self._R[m - 1, m - 1] = 1.0
            Q = self._Q[:, :m - 1]
            lost = self._G[:, place] - Q @ (Q.T @ self._G[:, place])
            lost -= Q @ (Q.T @ lost)
            self._changes.append((lost / np.linalg.norm(lost), -1.0))
            self._G[:, place:m - 1] = self._G[:, place + 1:m].copy(order="F")
            del self.columns[place]
        self.weights = np.delete(self.weights, places)
        self._deletions += places.size
        if self._deletions >= _REFRESH:
            self._refresh()

    def _refresh(self) -> None:
        m = len(self.columns)
        self._Q[:, :m], self._R[:m, :m] = np.linalg.qr(self._G[:, :m])
        self._deletions = 0
