"""Points for the interpolation of vectors in the span of a basis, square or over-sampled, and the projection there."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError

__all__ = ["SampledProjection", "deim_points", "oversampled_points", "qdeim_points"]

# Rows of candidates whose gain is found at a time.
_ROWS = 1 << 16


def deim_points(U: np.ndarray) -> np.ndarray:
    """One point a column of U, distinct and nested: each where its column is worst interpolated by those before.

    The discrete empirical interpolation of Chaturantabut and Sorensen (2010, algorithm 1). Its points are the pivot
    rows of the LU factorisation of U with partial pivoting, which is how they are found. Cost: n m^2 flops.

    Parameters
    ----------
    U : (n, m)
        Linearly independent columns, the most important first.

    Returns
    -------
    (m,) int

    Raises
    ------
    ShapeError, InputError
        No matrix with 1 <= m <= n; NaN or infinity; a column depends on those before to rounding.

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 21)
    >>> x[deim_points(np.stack([2.0 - x, x**2 + 0.2], axis=1))]
    array([-1.,  1.])
    """
    U = _basis(U)
    place, _, upper = sl.lu(U, p_indices=True, check_finite=False)
    _independent(np.abs(np.diagonal(upper)), np.abs(U).max())
    return np.argsort(place)[:U.shape[1]]


def qdeim_points(U: np.ndarray) -> np.ndarray:
    """m distinct points that do not depend on the basis of span U, up to rotation: the pivots of a QR of U^T.

    Drmac and Gugercin (2016, section 2); the norm of (P^T U)^{-1} is usually smaller than with `deim_points`.
    Cost: 2 n m^2 flops.

    Parameters
    ----------
    U : (n, m)
        Orthonormal columns; linearly independent ones serve.

    Returns
    -------
    (m,) int

    Raises
    ------
    ShapeError, InputError
        As for `deim_points`.

    Examples
    --------
    >>> sorted(qdeim_points(np.array([[0.1, 0.0], [1.0, 0.0], [0.3, 0.4], [0.0, 2.0]])).tolist())
    [1, 3]
    """
    U = _basis(U)
    R, pivots = sl.qr(U.T, mode="r", pivoting=True, check_finite=False)
    diagonal = np.abs(np.diagonal(R))
    _independent(diagonal, diagonal.max())
    return np.asarray(pivots[:U.shape[1]])


def oversampled_points(U: np.ndarray, count: int) -> np.ndarray:
    """`count` >= m distinct points: those of `qdeim_points`, and more that raise the smallest singular value of P^T U.

    With P^T U = W S Z^T, a row u adds to the smallest eigenvalue s_m^2 at least
    (g + |u|^2 - sqrt((g + |u|^2)^2 - 4 g (z_m . u)^2)) / 2, g = s_{m-1}^2 - s_m^2, and the row with the largest such
    gain is taken (Peherstorfer, Drmac and Gugercin 2020, GappyPOD+E). Cost: 2 n m + n flops a point beside
    O(m^3), and no loop over the n candidates.

    Parameters
    ----------
    U : (n, m)
        Orthonormal columns; linearly independent ones serve.
    count : int
        m to n.

    Returns
    -------
    (count,) int
        The first m are those of `qdeim_points`, the others in the order in which they were added.

    Raises
    ------
    ShapeError, InputError
        As for `deim_points`; a count outside m to n.

    Examples
    --------
    >>> U = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, 50), 5))[0]
    >>> stability = [SampledProjection(U, oversampled_points(U, count)).stability for count in (5, 10, 50)]
    >>> stability[0] > stability[1] > stability[2], round(stability[2], 12)
    (True, 1.0)
    """
    U = _basis(U)
    n, m = U.shape
    if not m <= count <= n:
        raise InputError(f"{count} points were asked for a basis of {m} vectors of {n} entries; the rule is {m} to {n}")
    points = qdeim_points(U).tolist()
    squares = np.einsum("ij,ij->i", U, U)
    free = np.ones(n, dtype=bool)
    free[points] = False
    gram = U[points].T @ U[points]
    while len(points) < count:
        at = _best_gain(U, squares, free, gram)
        points.append(at)
        free[at] = False
        gram += np.outer(U[at], U[at])
    return np.array(points)


class SampledProjection:
    """c = (P^T U)^+ values: exact on span U; interpolation where as many points as vectors, else least squares.

    The error of the approximation U c of a vector is at most `stability` times its distance to span U (U orthonormal,
    2-norm; Chaturantabut and Sorensen 2010, lemma 3.2).

    Parameters
    ----------
    U : (n, m)
    points : (m',) int
        Distinct, m' >= m.

    Raises
    ------
    ShapeError, InputError
        Bad shapes, points that repeat or lie outside, or P^T U singular to rounding.

    Examples
    --------
    >>> U = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, 50), 5))[0]
    >>> gappy = SampledProjection(U, oversampled_points(U, 8))
    >>> new = U @ np.arange(5.0)[:, None]
    >>> np.round(gappy.coefficients(new[gappy.points]).ravel(), 12) + 0.0
    array([0., 1., 2., 3., 4.])
    """

    def __init__(self, U: np.ndarray, points: np.ndarray) -> None:
        U, points = _basis(U), np.asarray(points)
        n, m = U.shape
        if points.ndim != 1 or points.size < m or points.dtype.kind not in "iu":
            raise ShapeError(f"a projection on {m} vectors got points of shape {points.shape} and type {points.dtype}; "
                             f"the rule is whole numbers ({m} or more,)")
        if points.min() < 0 or points.max() >= n or np.unique(points).size < points.size:
            raise InputError(f"the points of a projection repeat or lie outside 0 to {n - 1}; give distinct ones")
        self.points = points.astype(np.int64)
        self._sampled = U[self.points]
        singular = sl.svdvals(self._sampled)
        if singular[-1] <= np.finfo(float).eps * max(points.size, m) * singular[0]:
            raise InputError(f"the {points.size} points do not tell the {m} vectors apart (singular values from "
                             f"{singular[-1]:.1e} to {singular[0]:.1e}); give more or other points, or fewer vectors")
        #: ||(P^T U)^+||_2, from 1 on for an orthonormal U.
        self.stability = float(1.0 / singular[-1])
        self._square = points.size == m
        if self._square:
            self._lu = sl.lu_factor(self._sampled)
        else:
            self._q, self._r = sl.qr(self._sampled, mode="economic")

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """c (m, b) from the values (m', b) at the points. Cost: 2 m m' b flops.

        Raises
        ------
        ShapeError
            Not one value a point.
        """
        values = np.asarray(values, dtype=float)
        if values.shape[:1] != self.points.shape:
            raise ShapeError(f"the projection got values of shape {values.shape}; the rule is ({self.points.size}, b): "
                             "one value for each of its points")
        if self._square:
            return sl.lu_solve(self._lu, values)
        return sl.solve_triangular(self._r, self._q.T @ values)

    @cached_property
    def pseudo_inverse(self) -> np.ndarray:
        """(P^T U)^+ (m, m'), for a product that is prepared once."""
        return self.coefficients(np.eye(self.points.size))


def _basis(U: np.ndarray) -> np.ndarray:
    U = np.asarray(U, dtype=float)
    if U.ndim != 2 or not 1 <= U.shape[1] <= U.shape[0]:
        raise ShapeError(f"the collateral basis has shape {U.shape}; the rule is (n, m) with 1 <= m <= n")
    if not np.isfinite(U).all():
        raise InputError("the collateral basis has entries that are not finite; look at the snapshots it was made of")
    return U


def _independent(pivots: np.ndarray, scale: float) -> None:
    small = np.flatnonzero(pivots <= 10.0 * np.finfo(float).eps * scale)
    if small.size:
        raise InputError(f"the {pivots.size} vectors of the collateral basis have the numerical rank {small[0]} (pivot "
                         f"{pivots[small[0]]:.1e}): that many points can be told apart; keep {small[0]} vectors")


def _best_gain(U: np.ndarray, squares: np.ndarray, free: np.ndarray, gram: np.ndarray) -> int:
    values, vectors = np.linalg.eigh(gram)
    gap = values[1] - values[0] if values.size > 1 else 0.0
    best, at = -1.0, int(np.argmax(free))
    for start in range(0, U.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        along = (U[rows] @ vectors[:, 0])**2
        if values.size == 1:
            gain = along
        else:
            total = gap + squares[rows]
            # The rationalised form of the gain, in which nothing cancels.
            root = np.sqrt(np.maximum(total**2 - 4.0 * gap * along, 0.0))
            gain = np.divide(2.0 * gap * along, total + root, out=np.zeros_like(along), where=total > 0.0)
        gain = np.where(free[rows], gain, -1.0)
        top = int(np.argmax(gain))
        if gain[top] > best:
            best, at = float(gain[top]), start + top
    return at
