"""Whole fields from their values at a few points: least squares in a basis, with a residual that tells when not to."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.interpolation.deim import oversampled_points, qdeim_points

__all__ = ["GappyBasis", "gappy_rows"]


class GappyBasis:
    """c = argmin ||B c - v|| with B = modes[rows]: exact on the span of the modes; no solution is ever undefined.

    Gappy POD (Everson and Sirovich 1995), by an orthogonal factorisation of B and not by B^T B. Where B has
    a smaller rank than modes (singular values below `cut` times the largest), c is the shortest of the least-squares
    solutions; without modes c is empty. Cost: 2 m_p n_p b flops for coefficients and twice that with the residual.

    Parameters
    ----------
    modes : (F, n_p)
        F values of the whole field (points, or components times points). None of them is copied.
    rows : (m_p,) int
        Distinct rows of `modes` where values are known. More than n_p of them make the residual meaningful.
    cut : float
        Relative cut-off of singular values.

    Raises
    ------
    ShapeError, InputError
        Modes that are no finite matrix; rows that repeat or lie outside.

    Examples
    --------
    >>> modes = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, 50), 3))[0]
    >>> gappy = GappyBasis(modes, [0, 12, 25, 40])
    >>> field = modes @ np.array([[1.0], [2.0], [3.0]])
    >>> np.round(gappy.coefficients(field[gappy.rows]).ravel(), 12).tolist()
    [1.0, 2.0, 3.0]
    >>> foreign = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    >>> bool(gappy.residual(field[gappy.rows])[0] < 1e-14), bool(gappy.residual(foreign)[0] > 0.5)
    (True, True)
    """

    def __init__(self, modes: np.ndarray, rows: np.ndarray, cut: float = 1e-12) -> None:
        modes, rows = np.asarray(modes, dtype=float), np.asarray(rows)
        if modes.ndim != 2 or rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise ShapeError(f"a gappy basis got modes of shape {modes.shape} and rows of shape {rows.shape} and type "
                             f"{rows.dtype}; the rule is (F, n_p) and whole numbers (m_p,)")
        rows = rows.astype(np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= modes.shape[0] or np.unique(rows).size < rows.size):
            raise InputError(f"the rows of a gappy basis repeat or lie outside 0 to {modes.shape[0] - 1}; give "
                             "distinct ones")
        self.modes, self.rows = modes, rows
        #: (m_p, n_p) the modes at the rows.
        self.sampled = np.ascontiguousarray(modes[rows])
        if not np.isfinite(self.sampled).all():
            raise InputError("a gappy basis has modes that are not finite; look at the fields they were made of")
        U, s, Wt = np.linalg.svd(self.sampled, full_matrices=False)
        kept = s > cut * s.max(initial=0.0)
        self._range = np.ascontiguousarray(U[:, kept])
        self._to_coefficients = (Wt[kept].T / s[kept]) if kept.any() else np.zeros((modes.shape[1], 0))
        #: Numerical rank of the modes at the rows.
        self.rank = int(kept.sum())
        #: ||B^+||_2, the factor from errors of values to errors of coefficients; infinite where modes are lost.
        self.stability = 0.0 if not modes.shape[1] else (
            float(1.0 / s[kept].min()) if self.rank == modes.shape[1] else float("inf"))

    @cached_property
    def pseudo_inverse(self) -> np.ndarray:
        """B^+ (n_p, m_p), for products that are prepared once."""
        return self._to_coefficients @ self._range.T

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """c (n_p, b) from values (m_p, b) at the rows.

        Raises
        ------
        ShapeError
            Not one value a row.
        """
        return self._to_coefficients @ (self._range.T @ self._values(values))

    def residual(self, values: np.ndarray) -> np.ndarray:
        """||B c - v|| / ||v|| (b,), between 0 and 1; 0 where v = 0.

        A lower bound in spirit only: a field with a large residual is not in the span of the modes, one with a small
        residual may be.
        """
        values = self._values(values)
        outside = values - self._range @ (self._range.T @ values)
        size = np.sqrt(np.einsum("mb,mb->b", values, values))
        rest = np.sqrt(np.einsum("mb,mb->b", outside, outside))
        return np.divide(rest, size, out=np.zeros_like(size), where=size > 0.0)

    def field(self, coefficients: np.ndarray, part: slice | np.ndarray | None = None) -> np.ndarray:
        """modes c (F, b), or some rows of it."""
        modes = self.modes if part is None else self.modes[part]
        return modes @ np.asarray(coefficients, dtype=float)

    def _values(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or values.shape[0] != self.rows.size:
            raise ShapeError(f"a gappy basis of {self.rows.size} rows got values of shape {values.shape}; the rule is "
                             "(m_p, b): one value for each row")
        return values


def gappy_rows(modes: np.ndarray, known: np.ndarray | None = None, oversampling: float = 1.0) -> np.ndarray:
    """Rows that tell the modes apart, ascending: `known` ones, and the points of Q-DEIM (more with oversampling).

    Parameters
    ----------
    modes : (F, n_p)
        Independent columns; none gives `known` alone.
    known : (m,) int, optional
        Rows that are there in any case, such as the points of a cubature rule.
    oversampling : float
        ceil(oversampling n_p) points are chosen, at most F.

    Returns
    -------
    (m_p,) int

    Raises
    ------
    InputError
        The modes depend on each other, or the oversampling is below 1.

    Examples
    --------
    >>> gappy_rows(np.array([[0.1, 0.0], [1.0, 0.0], [0.3, 0.4], [0.0, 2.0]]), known=np.array([2])).tolist()
    [1, 2, 3]
    """
    known = np.empty(0, dtype=np.int64) if known is None else np.asarray(known, dtype=np.int64)
    if not oversampling >= 1.0:
        raise InputError(f"the oversampling of a gappy basis is {oversampling}; the rule is 1 or more")
    F, count = modes.shape
    if not count:
        return np.unique(known)
    wanted = min(F, int(np.ceil(oversampling * count)))
    chosen = qdeim_points(modes) if wanted == count else oversampled_points(modes, wanted)
    return np.union1d(known, chosen)
