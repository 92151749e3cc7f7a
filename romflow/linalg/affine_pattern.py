"""Sums of sparse terms with varying coefficients on one pattern, the union of the patterns of the terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ShapeError


class AffinePattern:
    """sum_q theta_q A_q by one sparse product for the values; every matrix it returns shares its index arrays.

    The pattern holds every entry of every term, also where theta_q = 0 or where entries cancel, so that a symbolic
    factorisation serves all theta. Its index arrays are read-only. Cost: two operations an entry of a term.

    Parameters
    ----------
    terms : sequence of sparse (n, m)

    Raises
    ------
    ShapeError
        No terms, terms of different shapes, or later a theta of another length.

    Examples
    --------
    >>> pattern = AffinePattern([sp.csr_array(np.diag([1.0, 0.0])), sp.csr_array(np.diag([0.0, 1.0]))])
    >>> pattern.csc(np.array([2.0, 3.0])).toarray()
    array([[2., 0.],
           [0., 3.]])
    """

    def __init__(self, terms: Sequence[sp.sparray]) -> None:
        shapes = {term.shape for term in terms}
        if len(shapes) != 1:
            raise ShapeError(f"the terms of a sum have the shapes {sorted(shapes)}; the rule is one shape for all, "
                             "and at least one term")
        self.shape = terms[0].shape
        entries = [A.tocoo() for A in terms]
        rows, columns = (np.concatenate([getattr(A, name) for A in entries]) for name in ("row", "col"))
        values = np.concatenate([A.data for A in entries])
        # Whole numbers: a union of patterns must not lose entries that cancel.
        union = sp.csc_array((np.ones(values.size, dtype=np.int64), (rows, columns)), shape=self.shape)
        union.sum_duplicates()
        pointers = np.repeat(np.arange(self.shape[1], dtype=np.int64), np.diff(union.indptr))
        keys = pointers * self.shape[0] + union.indices
        slots = np.searchsorted(keys, columns.astype(np.int64) * self.shape[0] + rows)
        owners = np.repeat(np.arange(len(entries)), [A.nnz for A in entries])
        self.combination = sp.csr_array((values, (slots, owners)), shape=(union.nnz, len(entries)))
        self.indices, self.indptr = union.indices, union.indptr
        for array in (self.indices, self.indptr):
            array.flags.writeable = False

    @property
    def nnz(self) -> int:
        """Entries of the pattern."""
        return int(self.indices.size)

    def csc(self, theta: np.ndarray) -> sp.csc_array:
        """The sum (n, m) for theta (Q,), by columns."""
        values = self._values(theta)
        matrix = sp.csc_array((values, self.indices, self.indptr), shape=self.shape, copy=False)
        matrix.has_canonical_format = True
        return matrix

    def transposed(self, theta: np.ndarray) -> sp.csr_array:
        """The transpose (m, n) of the sum by rows, without moving an entry: the sum itself where it is symmetric."""
        values = self._values(theta)
        matrix = sp.csr_array((values, self.indices, self.indptr), shape=self.shape[::-1], copy=False)
        matrix.has_canonical_format = True
        return matrix

    def _values(self, theta: np.ndarray) -> np.ndarray:
        if np.shape(theta) != self.combination.shape[1:]:
            raise ShapeError(f"theta has shape {np.shape(theta)}; this sum needs {self.combination.shape[1:]}")
        return np.asarray(self.combination @ theta)
