"""Jacobians of pointwise terms on one sparsity pattern: dense products cell by cell, and one sum of their entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

Pair = tuple[int, int]


class PointJacobian:
    """sum_(i, j) T_i diag(d_ij) G_j (n, n) for any values d_ij (P,) of the pairs (i, j), on one pattern.

    T = [T_0, T_1 ...] and G = [G_0; G_1; ...] are cut into dense blocks, one for the points of each cell. Pattern and
    place of every entry are found once.

    Parameters
    ----------
    test : csr (n, c P)
    gather : csr (a P, n)
    cells : (P,) array of int
    pairs : sequence of (i, j)
        The pairs that a matrix may name.

    Examples
    --------
    >>> one = sp.csr_array(np.ones((2, 2)))
    >>> PointJacobian(one, one, np.array([0, 0]), [(0, 0)]).matrix({(0, 0): np.array([1.0, 2.0])}).toarray()
    array([[3., 3.],
           [3., 3.]])
    """

    def __init__(self, test: sp.csr_array, gather: sp.csr_array, cells: np.ndarray, pairs: Sequence[Pair]) -> None:
        self._n, P = test.shape[0], len(cells)
        self._tests = sorted({i for i, _ in pairs})
        self._gathers = sorted({j for _, j in pairs})
        columns = sp.csr_array(test.T)
        self._groups = [
            _Group(points, _blocks(columns, self._tests, points, P), _blocks(gather, self._gathers, points, P))
            for points in _equal_groups(cells)]
        rows, places = self._entries()
        # Whole numbers: the pattern must not lose entries that cancel.
        union = sp.csc_array((np.ones(rows.size, dtype=np.int32), (rows, places)), shape=(self._n, self._n))
        union.sum_duplicates()
        keys = np.repeat(np.arange(self._n, dtype=np.int64), np.diff(union.indptr)) * self._n + union.indices
        slots = np.searchsorted(keys, places.astype(np.int64) * self._n + rows)
        self._sum = sp.csr_array((np.ones(slots.size), (slots, np.arange(slots.size))),
                                 shape=(union.nnz, slots.size))
        self._indices, self._indptr = union.indices, union.indptr
        for array in (self._indices, self._indptr):
            array.flags.writeable = False

    def matrix(self, slopes: Mapping[Pair, np.ndarray]) -> sp.csc_array:
        """The matrix for values d_ij (P,) of some of the pairs."""
        parts = [group.values(slopes, self._tests, self._gathers) for group in self._groups]
        values = self._sum @ np.concatenate(parts) if parts else np.zeros(0)
        matrix = sp.csc_array((values, self._indices, self._indptr), shape=(self._n, self._n), copy=False)
        matrix.has_canonical_format = True
        return matrix

    def _entries(self) -> tuple[np.ndarray, np.ndarray]:
        found = [group.entries() for group in self._groups]
        empty = np.zeros(0, dtype=np.int32)
        return (np.concatenate([rows for rows, _ in found] or [empty]),
                np.concatenate([columns for _, columns in found] or [empty]))


class _Group:
    """The E cells of one number s of points; their equations (E, v) and unknowns (E, w), -1 where there are fewer."""

    def __init__(self, points: np.ndarray, test: tuple[np.ndarray, np.ndarray],
                 gather: tuple[np.ndarray, np.ndarray]) -> None:
        self._points = points
        rows, T = test
        columns, self._G = gather
        self._T = np.ascontiguousarray(T.transpose(0, 1, 3, 2))
        self._used = (rows[:, :, None] >= 0) & (columns[:, None, :] >= 0)
        self._rows = np.broadcast_to(rows[:, :, None], self._used.shape)[self._used]
        self._columns = np.broadcast_to(columns[:, None, :], self._used.shape)[self._used]
        self._whole = bool(self._used.all())

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each entry of all the blocks."""
        return self._rows, self._columns

    def values(self, slopes: Mapping[Pair, np.ndarray], tests: Sequence[int], gathers: Sequence[int]) -> np.ndarray:
        """Values of the entries, in their order."""
        total = np.zeros(self._used.shape)
        for i in sorted({i for i, _ in slopes}):
            weighted: np.ndarray | float = 0.0
            for (row, j), slope in slopes.items():
                if row == i:
                    weighted = weighted + slope[self._points][:, :, None] * self._G[gathers.index(j)]
            T = self._T[tests.index(i)]
            total += T * weighted if self._points.shape[1] == 1 else T @ weighted
        return total.ravel() if self._whole else total[self._used]


def _equal_groups(cells: np.ndarray) -> list[np.ndarray]:
    """Points (E, s) of the cells that have s points, for every s that occurs."""
    order = np.argsort(cells, kind="stable")
    _, first, count = np.unique(cells[order], return_index=True, return_counts=True)
    return [order[first[count == size][:, None] + np.arange(size)] for size in np.unique(count)]


def _blocks(A: sp.csr_array, components: Sequence[int], points: np.ndarray, P: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (E, w) that the rows i P + points of A name, -1 as filling, and the blocks (i, E, s, w) of A there."""
    E, s = points.shape
    chosen = (np.asarray(components)[:, None] * P + points.ravel()).ravel()
    part = sp.coo_array(A[chosen])
    n = A.shape[1]
    place = part.row % (E * s)
    keys, numbers = np.unique((place // s).astype(np.int64) * n + part.col, return_inverse=True)
    cell = keys // n
    start = np.searchsorted(cell, np.arange(E + 1))
    width = max(int(np.diff(start).max(initial=0)), 1)
    local = np.arange(keys.size) - start[cell]
    names = np.full((E, width), -1, dtype=np.int64)
    names[cell, local] = keys % n
    blocks = np.zeros((len(components), E, s, width))
    blocks[part.row // (E * s), place // s, place % s, local[numbers]] = part.data
    return names, blocks
