"""The pattern of a stiffness of nodal blocks, found once, and filled again and again."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["BlockPattern"]


class BlockPattern:
    """Sums of element matrices in one csc matrix, all with the same pattern.

    A pair of nodes that share a cell is one block (d, d) of the matrix; the blocks of the cells are summed by a sparse
    matrix of ones.

    Parameters
    ----------
    cells : (C, v) array of int
    count : int
        Number of nodes N.
    d : int
        Dofs of a node.

    Examples
    --------
    >>> pattern = BlockPattern(np.array([[0, 1], [1, 2]]), 3, 1)
    >>> pattern.matrix(np.ones((8, 1, 1))).toarray()
    array([[1., 1., 0.],
           [1., 2., 1.],
           [0., 1., 1.]])
    """

    def __init__(self, cells: NDArray[np.int64], count: int, d: int) -> None:
        keys = (cells[:, :, None] * count + cells[:, None, :]).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        pairs = ordered[starts]
        columns, rows = pairs // count, pairs % count
        self._sums = sp.csr_array((np.ones(order.size), order, np.append(starts, order.size)),
                                  shape=(pairs.size, order.size))
        degrees = np.bincount(columns, minlength=count)
        first = np.concatenate([[0], np.cumsum(degrees)])
        # A column of the matrix holds d entries of each of its pairs: where these d are in the sums (pair, column, d).
        rank = np.arange(pairs.size) - first[columns]
        places = (d * first[columns] + rank)[:, None] + degrees[columns][:, None] * np.arange(d)
        self._order = np.empty(pairs.size * d, dtype=np.int64)
        self._order[places.ravel()] = np.arange(pairs.size * d)
        kind = np.int32 if pairs.size * d * d < 2**31 else np.int64
        entries = rows[self._order // d][:, None] * d + np.arange(d)
        self._indices = entries.ravel().astype(kind)
        self._starts = np.concatenate([[0], np.cumsum(np.repeat(degrees * d, d))]).astype(kind)
        self._d = d
        self._size = count * d

    def matrix(self, blocks: NDArray[np.float64]) -> sp.csc_array:
        """The matrix (N d, N d) of the blocks (C v v, d, d): those of cell c, column node j, row node i, one after
        another, each with its column first and its row last."""
        d = self._d
        sums = (self._sums @ blocks.reshape(-1, d * d)).reshape(-1, d)
        data = np.take(sums, self._order, axis=0).ravel()
        matrix = sp.csc_array((data, self._indices, self._starts), shape=(self._size, self._size))
        matrix.has_canonical_format = True
        return matrix
