"""Bilinear elements on the unit square as sparse maps from coefficients to band matrices, for many of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from romflow.linalg.solvers.superlu import SuperLU

__all__ = ["SquareForms"]

Array = NDArray[np.float64]

# Above so many diagonals a sparse factor is smaller than a band.
_WIDE = 400
_GAUSS = (0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0))


class SquareForms:
    """int K grad u . grad v + c u v and int f v on N x M equal rectangles, u = v = 0 on the boundary.

    K = [[K11, K12], [K12, K22]], c and f are given at the P = 4 N M quadrature points (2 x 2 Gauss points a cell).
    A matrix is its five upper diagonals; it has a band of at most N. Every number of a matrix is the sum of the same
    products in the same order however many are made at once.

    Parameters
    ----------
    cells : (int, int)
        N, M from 2.

    Attributes
    ----------
    points : (P, 2), weights : (P,)
    nodes : ((N+1)(M+1), 2)
        x fastest.
    nodal : (n,)
        Node of each unknown, n = (N - 1)(M - 1).

    Examples
    --------
    >>> forms = SquareForms((2, 2))
    >>> one = np.ones((forms.P, 1))
    >>> forms.solve(forms.stiffness @ np.vstack([one, 0 * one, one]), forms.load @ one).round(6)
    array([[0.09375]])
    """

    def __init__(self, cells: tuple[int, int]) -> None:
        N, M = self.cells = cells
        self.n, self.P = (N - 1) * (M - 1), 4 * N * M
        x, y = np.linspace(0.0, 1.0, N + 1), np.linspace(0.0, 1.0, M + 1)
        self.nodes = np.column_stack([np.tile(x, M + 1), np.repeat(y, N + 1)])
        inner = np.zeros((M + 1, N + 1), dtype=bool)
        inner[1:-1, 1:-1] = True
        self.nodal = np.flatnonzero(inner.ravel())
        numbers = np.full(inner.size, -1)
        numbers[self.nodal] = np.arange(self.n)
        corner = (np.arange(M)[:, None] * (N + 1) + np.arange(N)).ravel()
        self.corners = corner[:, None] + np.array([0, 1, N + 2, N + 1])
        self._dofs = numbers[self.corners]
        self.offsets = (0, 1, N - 2, N - 1, N) if N > 3 else tuple(sorted({0, 1, N - 2, N - 1, N}))
        local = np.array([(s, t) for t in _GAUSS for s in _GAUSS])
        h = np.array([1.0 / N, 1.0 / M])
        self.points = (self.nodes[corner][:, None] + local * h).reshape(-1, 2)
        self.weights = np.full(self.P, h.prod() / 4.0)
        self._shapes, self._slopes = _bilinear(local, h)
        self.stiffness = self._map(self._gradient_parts() * h.prod() / 4.0)
        self.mass = self._map(np.einsum("iq,jq->ijq", self._shapes, self._shapes)[None] * h.prod() / 4.0)
        self.load = self._load()

    @property
    def band(self) -> int:
        """Diagonals above the main one."""
        return self.offsets[-1]

    def full(self, entries: Array) -> sp.csc_array:
        """The symmetric matrix (n, n) of the diagonals (D n,)."""
        upper = entries.reshape(len(self.offsets), self.n)
        parts = {k: diagonal[:self.n - k] for k, diagonal in zip(self.offsets, upper, strict=True) if k < self.n}
        both: dict[int, Any] = parts | {-k: diagonal for k, diagonal in parts.items()}
        return sp.csc_array(sp.diags_array(list(both.values()), offsets=list(both), shape=(self.n, self.n),
                                           format="csc"))

    def product(self, entries: Array, u: Array) -> Array:
        """A u (n, b) for b matrices (D n, b) and states (n, b)."""
        upper = entries.reshape(len(self.offsets), self.n, -1)
        total = upper[0] * u
        for k, diagonal in zip(self.offsets[1:], upper[1:], strict=True):
            if k < self.n:
                total[:self.n - k] += diagonal[:self.n - k] * u[k:]
                total[k:] += diagonal[:self.n - k] * u[:self.n - k]
        return np.asarray(total)

    def solve(self, entries: Array, rhs: Array) -> Array:
        """A^-1 f (n, b) for b positive definite matrices (D n, b) and loads (n, b); NaN where one is not definite.

        By band Cholesky factors: n N^2 multiplications each, memory of one band (N + 1, n); by sparse ones where N is
        above 400.
        """
        if self.band > _WIDE:
            return self._sparse(entries, rhs)
        u = np.full(rhs.shape, np.nan)
        for j in range(rhs.shape[1]):
            band = np.zeros((self.band + 1, self.n), order="F")
            for k, diagonal in zip(self.offsets, entries[:, j].reshape(len(self.offsets), -1), strict=True):
                band[self.band - k, k:] = diagonal[:max(self.n - k, 0)]
            factor, fault = lapack.dpbtrf(band, overwrite_ab=True)
            if fault == 0:
                u[:, j] = lapack.dpbtrs(factor, rhs[:, j])[0]
        return u

    def _sparse(self, entries: Array, rhs: Array) -> Array:
        solver = SuperLU(symmetric=True)
        u = np.full(rhs.shape, np.nan)
        for j in np.flatnonzero(np.isfinite(entries).all(axis=0)):
            u[:, j] = solver.update(self.full(entries[:, j])).solve(rhs[:, j])
        return u

    def interpolation(self, points: Array) -> sp.csr_array:
        """(k, n): values of states at points (k, 2) of the square."""
        N, M = self.cells
        scaled = points * (N, M)
        cell = np.minimum(scaled.astype(int), (N - 1, M - 1))
        shapes, _ = _bilinear(scaled - cell, np.ones(2))
        dofs = self._dofs[cell[:, 1] * N + cell[:, 0]]
        kept = dofs >= 0
        rows = np.repeat(np.arange(len(points)), 4).reshape(-1, 4)
        return sp.csr_array((shapes.T[kept], (rows[kept], dofs[kept])), shape=(len(points), self.n))

    def _gradient_parts(self) -> Array:
        """(3, 4, 4, 4): grad_i . K grad_j for K11, K12, K22 alone, at the four points of a cell."""
        gx, gy = self._slopes
        cross = np.einsum("iq,jq->ijq", gx, gy)
        return np.stack([np.einsum("iq,jq->ijq", gx, gx), cross + cross.transpose(1, 0, 2),
                         np.einsum("iq,jq->ijq", gy, gy)])

    def _map(self, local: Array) -> sp.csr_array:
        """(D n, C P) from values (C P, b) to diagonals; entry k n + i is A[i, i + offsets[k]]."""
        cell, i, j = np.nonzero((self._dofs[:, :, None] >= 0) & (self._dofs[:, None, :] >= self._dofs[:, :, None]))
        row, column = self._dofs[cell, i], self._dofs[cell, j]
        slot = np.searchsorted(self.offsets, column - row) * self.n + row
        rows, columns, values = [], [], []
        for c, part in enumerate(local):
            for q in range(4):
                rows.append(slot)
                columns.append(c * self.P + 4 * cell + q)
                values.append(part[i, j, q])
        shape = (len(self.offsets) * self.n, len(local) * self.P)
        found = sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
        found.sort_indices()
        return found

    def _load(self) -> sp.csr_array:
        """(n, P): load vector from values at the points."""
        cell, i = np.nonzero(self._dofs >= 0)
        rows = np.repeat(self._dofs[cell, i], 4)
        columns = (4 * cell[:, None] + np.arange(4)).ravel()
        values = (self._shapes[i] * self.weights[0]).ravel()
        found = sp.csr_array((values, (rows, columns)), shape=(self.n, self.P))
        found.sort_indices()
        return found


def _bilinear(local: Array, h: Array) -> tuple[Array, Array]:
    """Shape functions (4, k) and derivatives (2, 4, k) at points (k, 2) of a cell with sides h, counter-clockwise."""
    s, t = local.T
    shapes = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])
    slopes = np.stack([np.stack([t - 1, 1 - t, t, -t]) / h[0], np.stack([s - 1, -s, s, 1 - s]) / h[1]])
    return shapes, slopes
