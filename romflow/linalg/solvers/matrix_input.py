"""The public boundary of the solvers: matrices and right-hand sides are checked here, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed

__all__ = ["Goal", "Pattern", "checked_columns", "relative_residuals"]

_SYMMETRIC = 1e-12
_DEFAULT_TOLERANCE = 1e-10
# Rounding of A x, in units of eps || |A| |x| ||.
_ROUNDING = 4.0


class Pattern:
    """The pattern of a square sparse matrix: reads further matrices of it as CSR on the same index arrays.

    Parameters
    ----------
    A : sparse or dense (n, n)
        Real. Stored zeros belong to the pattern.

    Raises
    ------
    ShapeError
        A is not square or has no rows.
    InputError
        A is complex or not finite.
    SolveFailed
        A row or a column holds no entry: A is singular whatever its values.

    Examples
    --------
    >>> pattern = Pattern(sp.csc_array(np.array([[2.0, 1.0], [0.0, 3.0]])))
    >>> pattern.read(sp.csc_array(np.array([[4.0, 5.0], [0.0, 6.0]]))).toarray()
    array([[4., 5.],
           [0., 6.]])
    """

    def __init__(self, A: Any) -> None:
        A = _square(A)
        matrix = sp.csr_array(A, copy=True)
        matrix.sum_duplicates()
        self.shape, self.indptr, self.indices = matrix.shape, matrix.indptr, matrix.indices
        self.n, self.nnz = int(matrix.shape[0]), int(matrix.nnz)
        number = sp.csr_array((np.arange(self.nnz), self.indices, self.indptr), shape=self.shape)
        columns = number.tocsc()
        _no_empty(np.diff(self.indptr), "row")
        _no_empty(np.diff(columns.indptr), "column")
        self._csc = (columns.indptr, columns.indices)
        # values of CSC order -> CSR order, and (on a symmetric pattern) A -> A^T
        self._from_csc = np.empty(self.nnz, dtype=np.int64)
        self._from_csc[columns.data] = np.arange(self.nnz)
        self.symmetric = bool(np.array_equal(columns.indptr, self.indptr)
                              and np.array_equal(columns.indices, self.indices))
        self._seen: list[tuple[Any, Any, str]] = []

    def read(self, A: Any) -> sp.csr_array:
        """A (n, n) as canonical CSR on the arrays of this pattern; its values are a copy.

        Raises
        ------
        InputError
            A has another pattern (call `setup`), is complex or not finite.
        """
        A = _square(A)
        kind = self._known(A)
        data = A.data if kind == "csr" else A.data[self._from_csc] if kind == "csc" else self._converted(A)
        matrix = sp.csr_array((np.array(data, dtype=float), self.indices, self.indptr), shape=self.shape)
        matrix.has_canonical_format = True
        return matrix

    def skew(self, A: sp.csr_array) -> float:
        """max |A - A^T| / max |A| of a matrix of this pattern."""
        largest = float(np.abs(A.data).max())
        if not self.symmetric:
            return float(abs(A - A.T).max()) / largest if largest else 0.0
        return float(np.abs(A.data - A.data[self._from_csc]).max()) / largest if largest else 0.0

    def is_symmetric(self, A: sp.csr_array) -> bool:
        """Whether |A - A^T| stays below 1e-12 of the largest entry."""
        return self.skew(A) <= _SYMMETRIC

    def _known(self, A: Any) -> str:
        kind = getattr(A, "format", "")
        if kind not in ("csr", "csc"):
            return ""
        if any(A.indptr is pointers and A.indices is indices and kind == seen
               for pointers, indices, seen in self._seen):
            return kind
        pointers, indices = (self.indptr, self.indices) if kind == "csr" else self._csc
        if not (np.array_equal(A.indptr, pointers) and np.array_equal(A.indices, indices)):
            return ""
        self._seen = [*self._seen[-1:], (A.indptr, A.indices, kind)]
        return kind

    def _converted(self, A: Any) -> np.ndarray:
        if A.shape != self.shape:
            raise InputError(f"update got a matrix of shape {A.shape} after setup with {self.shape}; the rule is one "
                             "pattern from setup to update: call setup with the new matrix")
        matrix = sp.csr_array(A, copy=True)
        matrix.sum_duplicates()
        if not (np.array_equal(matrix.indptr, self.indptr) and np.array_equal(matrix.indices, self.indices)):
            raise InputError(f"update got a matrix of another pattern ({matrix.nnz} entries, setup saw {self.nnz}); "
                             "the rule is one pattern from setup to update: call setup with the new matrix, or keep "
                             "zeros stored so that every matrix has the same entries")
        data: np.ndarray = matrix.data
        return data


def _square(A: Any) -> Any:
    A = A if sp.issparse(A) else np.asarray(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ShapeError(f"a linear system needs a square matrix with at least one row; this one has shape {A.shape}")
    _real_and_finite(A.data if sp.issparse(A) and hasattr(A, "data") and isinstance(A.data, np.ndarray)
                     and A.data.dtype != object else sp.coo_array(A).data, "the matrix")
    return A if sp.issparse(A) else sp.csr_array(A)


def _real_and_finite(values: Any, owner: str) -> None:
    values = np.asarray(values)
    if values.dtype.kind == "c":
        raise InputError(f"{owner} is complex; the rule is real numbers: solve for the real and the imaginary part as "
                         "one real system of twice the size")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{owner} holds {values.dtype} values; the rule is real numbers")
    if not np.isfinite(values).all():
        raise InputError(f"{owner} has entries that are not finite (NaN or infinity); check its assembly")


def _no_empty(counts: np.ndarray, what: str) -> None:
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        raise SolveFailed(f"{what} {int(empty[0])} of the matrix holds no entry ({empty.size} such {what}s), so that "
                          "it is singular; constrain this unknown or remove it", {f"empty_{what}s": int(empty.size)})


def checked_columns(B: Any, n: int, name: str = "the right-hand side") -> np.ndarray:
    """B (n,) or (n, j) as float64.

    Raises
    ------
    ShapeError, InputError
        Another shape; complex, or not finite.

    Examples
    --------
    >>> checked_columns([1, 2], 2)
    array([1., 2.])
    """
    B = np.asarray(B)
    if B.ndim not in (1, 2) or B.shape[0] != n:
        raise ShapeError(f"{name} has shape {B.shape}; the rule is ({n},) or ({n}, j), for the matrix is ({n}, {n})")
    _real_and_finite(B, name)
    return B.astype(float, copy=False)


def relative_residuals(A: Any, X: np.ndarray, B: np.ndarray) -> np.ndarray:
    """||b - A x|| / ||b|| (j,) of the columns of X and B (n, j); where b = 0, zero for x = 0 and infinity else.

    Examples
    --------
    >>> relative_residuals(np.eye(2), np.array([[1.0], [0.0]]), np.array([[2.0], [0.0]]))
    array([0.5])
    """
    norms = np.linalg.norm(B, axis=0)
    residuals = np.linalg.norm(B - A @ X, axis=0)
    still = np.where(residuals > 0.0, np.inf, 0.0)
    return np.where(norms > 0.0, residuals / np.where(norms > 0.0, norms, 1.0), still)


@dataclass(frozen=True)
class Goal:
    """The relative residual that every column must reach.

    Attributes
    ----------
    tolerance : float or None
        A number is kept or the solve fails. None is 1e-10, or 4 eps || |A| |x| || / ||b|| where that is larger: no x in
        double precision has a residual below this rounding of A x (contrasts and fine meshes raise it above 1e-10).

    Raises
    ------
    InputError
        The tolerance is not in (0, 1).

    Examples
    --------
    >>> Goal(1e-8).reached(np.array([1e-9, 1e-7]), np.eye(1), np.ones((1, 2)), np.ones((1, 2)))
    array([ True, False])
    """

    tolerance: float | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.tolerance, float | int | np.floating)
        if self.tolerance is not None and not (number and 0.0 < self.tolerance < 1.0):
            raise InputError(f"the tolerance of the linear solver is {self.tolerance!r}; the rule is 0 < tolerance < 1")

    @property
    def value(self) -> float:
        """The number to aim at."""
        return _DEFAULT_TOLERANCE if self.tolerance is None else self.tolerance

    def reached(self, residuals: np.ndarray, A: Any, X: np.ndarray, B: np.ndarray) -> np.ndarray:
        """Which columns (j,) of X with these relative residuals are good enough."""
        good: np.ndarray = residuals <= self.value
        if self.tolerance is None and not good.all():
            late = np.flatnonzero(~good)
            size = np.linalg.norm(abs(A) @ np.abs(X[:, late]), axis=0)
            norms = np.linalg.norm(B[:, late], axis=0)
            good[late] = residuals[late] * norms <= _ROUNDING * np.finfo(float).eps * size
        return good
