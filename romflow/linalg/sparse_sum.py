"""A + c B for sparse matrices whose values change and whose patterns do not."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ShapeError

__all__ = ["SparseSum"]


class SparseSum:
    """A + c B (n, m) on the union of the two patterns, which a factorisation can rely on: entries that cancel stay.

    Cost: one pass over the entries of both for each sum.

    Parameters
    ----------
    A, B : csc (n, m)
        Any two matrices with the patterns of those to come.

    Raises
    ------
    ShapeError
        The shapes differ; later: a matrix with another number of entries.

    Examples
    --------
    >>> A, B = sp.csc_array(np.diag([1.0, 2.0])), sp.csc_array(np.array([[-1.0, 3.0], [0.0, 0.0]]))
    >>> total = SparseSum(A, B).of(A, 1.0, B)
    >>> total.toarray(), total.nnz
    (array([[0., 3.],
           [0., 2.]]), 3)
    """

    def __init__(self, A: sp.csc_array, B: sp.csc_array) -> None:
        if A.shape != B.shape:
            raise ShapeError(f"matrices of shapes {A.shape} and {B.shape} have no sum; the rule is one shape")
        self.shape = A.shape
        keys = [_keys(matrix) for matrix in (A, B)]
        union = np.unique(np.concatenate(keys))
        self._places = [np.searchsorted(union, own) for own in keys]
        self._indices = (union % A.shape[0]).astype(np.int32)
        counts = np.bincount(union // A.shape[0], minlength=A.shape[1])
        self._indptr = np.append(0, np.cumsum(counts)).astype(np.int32)

    def of(self, A: sp.csc_array, c: float, B: sp.csc_array) -> sp.csc_array:
        """A + c B for matrices of the patterns given."""
        for matrix, places in zip((A, B), self._places, strict=True):
            if matrix.nnz != places.size:
                raise ShapeError(f"a matrix has {matrix.nnz} entries; this sum was made for {places.size}")
        values = np.zeros(self._indices.size)
        values[self._places[0]] = A.data
        values[self._places[1]] += c * B.data
        matrix = sp.csc_array((values, self._indices, self._indptr), shape=self.shape, copy=False)
        matrix.has_canonical_format = True
        return matrix


def _keys(A: sp.csc_array) -> np.ndarray:
    columns = np.repeat(np.arange(A.shape[1], dtype=np.int64), np.diff(A.indptr))
    return np.asarray(columns * A.shape[0] + A.indices)
