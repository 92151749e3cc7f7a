"""Interpolation of sparse matrices with one pattern by a few of their entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.interpolation.eim import EmpiricalInterpolation, empirical_interpolation
from romflow.linalg.interpolation.rows import RowBlocks

__all__ = ["MatrixInterpolation", "matrix_interpolation", "pattern_values"]


@dataclass(frozen=True, eq=False)
class MatrixInterpolation:
    """A(mu) ~= sum_r A(mu)[entries[r]] L_r, exact at the entries and for the chosen matrices; L_r are sparse.

    The coefficients are entries of the matrix itself: whoever can find m entries of A(mu) has the affine form.

    Attributes
    ----------
    interpolation : EmpiricalInterpolation
        Of the values in the order of `pattern`.
    pattern : csr array (n, n')
        Whole numbers from 0 on: the place of each entry among the values.

    Examples
    --------
    >>> K, M = sp.csr_array(np.diag([2.0, 1.0])), sp.csr_array(np.diag([1.0, 3.0]))
    >>> found = matrix_interpolation(*pattern_values([K + t * M for t in (0.1, 1.0, 5.0)]))
    >>> A = K + 3.0 * M
    >>> found.size, np.abs(found.assemble(A[*found.entries.T]) - A).max() < 1e-14
    (2, np.True_)
    """

    interpolation: EmpiricalInterpolation
    pattern: sp.csr_array

    @property
    def size(self) -> int:
        """Terms m."""
        return self.interpolation.size

    @cached_property
    def entries(self) -> np.ndarray:
        """Rows and columns (m, 2) of the entries that serve as coefficients."""
        rows = np.searchsorted(self.pattern.indptr, self.interpolation.points, side="right") - 1
        return np.stack([rows, self.pattern.indices[self.interpolation.points]], axis=1)

    @cached_property
    def terms(self) -> list[sp.csr_array]:
        """The cardinal matrices L_r: 1 at their own entry, exactly 0 at the other entries; one pattern for all."""
        return [self._matrix(values) for values in np.ascontiguousarray(self.interpolation.cardinal.T)]

    def assemble(self, values: np.ndarray) -> sp.csr_array:
        """The interpolated matrix from the values (m,) of A at `entries`. Cost: m nnz multiplications.

        Raises
        ------
        ShapeError
            Not one value an entry.
        """
        if np.shape(values) != (self.size,):
            raise ShapeError(f"the interpolated matrix got values of shape {np.shape(values)}; the rule is "
                             f"({self.size},): A at each of its entries")
        return self._matrix(self.interpolation.interpolate(np.asarray(values, dtype=float)[:, None])[:, 0])

    def _matrix(self, values: np.ndarray) -> sp.csr_array:
        return sp.csr_array((values, self.pattern.indices, self.pattern.indptr), shape=self.pattern.shape)


def pattern_values(matrices: Sequence[sp.sparray]) -> tuple[sp.csr_array, np.ndarray]:
    """The common pattern of matrices and their values (nnz, k) there; entries that some lack count as zeros.

    Parameters
    ----------
    matrices : sequence of sparse (n, n')

    Returns
    -------
    pattern : csr array
        Its data are 0 .. nnz - 1.
    values : (nnz, k)

    Raises
    ------
    ShapeError
        No matrices, or several shapes.

    Examples
    --------
    >>> pattern, values = pattern_values([sp.csr_array(np.diag([1.0, 0.0])), sp.csr_array(np.diag([2.0, 3.0]))])
    >>> values
    array([[1., 2.],
           [0., 3.]])
    """
    shapes = {A.shape for A in matrices}
    if len(shapes) != 1:
        raise ShapeError(f"the matrices to interpolate have the shapes {sorted(shapes)}; the rule is one shape for "
                         "all, and at least one matrix")
    rows = [sp.csr_array(A) for A in matrices]
    pattern = sp.csr_array(matrices[0].shape, dtype=np.int64)
    for A in rows:
        # Whole numbers: a union of patterns must not lose entries that cancel.
        pattern = pattern + sp.csr_array((np.ones(A.nnz, dtype=np.int64), A.indices, A.indptr), shape=A.shape)
    pattern.sum_duplicates()
    width = pattern.shape[1]
    keys = _keys(pattern, width)
    values = np.zeros((pattern.nnz, len(rows)))
    for j, A in enumerate(rows):
        np.add.at(values[:, j], np.searchsorted(keys, _keys(A, width)), A.data)
    return sp.csr_array((np.arange(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape), values


def matrix_interpolation(pattern: sp.csr_array, values: np.ndarray | RowBlocks, tolerance: float = 0.0,
                         max_terms: int | None = None, *, strict: bool = False,
                         folder: str | Path | None = None) -> MatrixInterpolation:
    """Entries and cardinal terms whose remainder is at most tolerance max |A| in every entry of the given matrices.

    Empirical interpolation of the values on the pattern (matrix interpolation: Negri, Manzoni and Amsallem 2015, here
    with cardinal terms). Stopping rule and cost: see `empirical_interpolation`, with n = nnz.

    Parameters
    ----------
    pattern : csr array (n, n')
        With the places 0 .. nnz - 1 as its data, in this order: see `pattern_values`.
    values : (nnz, k) array, or an object with blocks of rows
        A column for a matrix.
    tolerance, max_terms, strict, folder
        As for `empirical_interpolation`.

    Raises
    ------
    ShapeError, InputError
        Values that do not fit the pattern, a pattern without entries, bad options.

    Examples
    --------
    >>> matrices = [sp.csr_array(np.diag([1.0, t, t * t])) for t in (0.1, 0.5, 1.0, 2.0)]
    >>> found = matrix_interpolation(*pattern_values(matrices))
    >>> found.size, sorted(found.entries.tolist())
    (3, [[0, 0], [1, 1], [2, 2]])
    """
    if values.shape[0] != pattern.nnz or not np.array_equal(pattern.data, np.arange(pattern.nnz)):
        raise ShapeError(f"the matrices have {values.shape[0]} values each, their pattern {pattern.nnz} entries; give "
                         "one value an entry, and a pattern whose data are their places 0, 1, ..")
    if not pattern.nnz:
        raise InputError("the matrices to interpolate have no entries at all; give at least one that is not zero")
    found = empirical_interpolation(values, tolerance, max_terms, strict=strict, folder=folder)
    return MatrixInterpolation(found, pattern)


def _keys(A: sp.csr_array, width: int) -> np.ndarray:
    return np.repeat(np.arange(A.shape[0], dtype=np.int64), np.diff(A.indptr)) * width + A.indices
