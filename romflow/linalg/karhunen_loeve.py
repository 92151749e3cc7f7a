"""Karhunen-Loeve expansions of random fields at given points, from a pivoted Cholesky factor of low rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest, shown

__all__ = ["KERNELS", "Covariance", "KarhunenLoeve", "karhunen_loeve", "pivoted_cholesky"]

Array = NDArray[np.float64]

_ROOT3, _ROOT5 = np.sqrt(3.0), np.sqrt(5.0)

#: Name -> correlation at a scaled distance r.
KERNELS: dict[str, Callable[[Array], Array]] = {
    "exponential": lambda r: np.exp(-r),
    "matern-3/2": lambda r: (1.0 + _ROOT3 * r) * np.exp(-_ROOT3 * r),
    "matern-5/2": lambda r: (1.0 + _ROOT5 * r + 5.0 / 3.0 * r * r) * np.exp(-_ROOT5 * r),
    "squared-exponential": lambda r: np.exp(-0.5 * r * r)}

# Eigenvalues that differ by less than this share belong together: their vectors are any basis of one space. Below the
# second share of the largest they are rounding.
_TOGETHER, _ROUNDING = 1e-6, 1e-10
# A factor goes on to this share of the variance, or of what a wish leaves out; it has so many columns at least.
_REST, _OF_THE_REST, _COLUMNS = 1e-8, 0.05, 400
_MOST = 4000
# Up to so many points, eigenpairs of which the factor has left more than a share are refined with the whole kernel, so
# many rows of it at once, and with so many vectors more.
_DENSE, _NEAR, _ROWS, _MORE = 5000, 1e-4, 512, 16
# Scaled distances at which all the kernels are zero.
_FAR = 1e4


@dataclass(frozen=True)
class Covariance:
    """c(x, y) = variance k(|(x - y) / length|) of a random field that is alike everywhere.

    Matern kernels by Rasmussen and Williams 2006, eq. (4.17); "squared-exponential" is eq. (4.9).

    Parameters
    ----------
    kernel : str
        One of :data:`KERNELS`.
    length : float or sequence of float
        Correlation length, or one for each direction.
    variance : float

    Raises
    ------
    ConfigError
        An unknown kernel, lengths or a variance that are not positive and finite.

    Examples
    --------
    >>> Covariance("exponential", 0.5).matrix(np.array([[0.0], [0.5]]), np.array([[0.0]])).round(4)
    array([[1.    ],
           [0.3679]])
    """

    kernel: str = "matern-3/2"
    length: float | Sequence[float] = 0.5
    variance: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, str) or self.kernel not in KERNELS:
            raise ConfigError(f"no covariance is called {shown(self.kernel)}{nearest(str(self.kernel), KERNELS)}")
        lengths = list(self.length) if isinstance(self.length, list | tuple | np.ndarray) else [self.length]
        if not lengths or not all(_positive(length) for length in lengths):
            raise ConfigError(f"the correlation length {shown(self.length)} of a random field is not positive; the "
                              "rule is a number above 0, or one for each direction")
        if not _positive(self.variance):
            raise ConfigError(f"the variance {shown(self.variance)} of a random field is not a number above 0; give "
                              "its standard deviation squared")

    @property
    def spec(self) -> dict[str, Any]:
        """JSON identity."""
        several = isinstance(self.length, list | tuple | np.ndarray)
        length = [float(one) for one in self.length] if several else float(self.length)  # type: ignore
        return {"kernel": self.kernel, "length": length, "variance": float(self.variance)}

    def matrix(self, x: Array, y: Array) -> Array:
        """c (k, l) between points (k, d) and (l, d).

        Raises
        ------
        ConfigError
            There are several lengths, and not d of them.
        """
        lengths = np.atleast_1d(np.asarray(self.length, dtype=float))
        if lengths.size not in (1, x.shape[1]):
            raise ConfigError(f"the random field has {lengths.size} correlation lengths on points in {x.shape[1]} "
                              "dimensions; give one, or one for each direction")
        squares = np.zeros((len(x), len(y)))
        for axis in range(x.shape[1]):
            with np.errstate(over="ignore"):
                gaps = (x[:, axis, None] - y[:, axis]) / lengths[axis if lengths.size > 1 else 0]
            squares += np.clip(gaps, -_FAR, _FAR) ** 2
        return np.asarray(self.variance * KERNELS[self.kernel](np.sqrt(squares)))


@dataclass(frozen=True, eq=False)
class KarhunenLoeve:
    """g(x) = sum_m sqrt(values_m) modes_m(x) xi_m with uncorrelated xi_m of variance 1.

    Attributes
    ----------
    values : (M,)
        Eigenvalues of the covariance operator, falling.
    modes : (N, M)
        Orthonormal in the weights, sum_i w_i modes_im modes_il = delta_ml.
    total : float
        Integral of the variance, the sum of all the eigenvalues.
    missed : float
        What the factor left of it: each eigenvalue is too small by at most so much.
    """

    values: Array
    modes: Array
    total: float
    missed: float

    @property
    def size(self) -> int:
        """Number of terms M."""
        return int(self.values.size)

    @property
    def shares(self) -> Array:
        """Shares (M,) of the total variance that the first 1, 2, ... terms capture; not too large."""
        return np.asarray(np.cumsum(self.values) / self.total)

    @property
    def scaled(self) -> Array:
        """sqrt(values_m) modes_m (N, M)."""
        return np.asarray(self.modes * np.sqrt(self.values))

    def fields(self, xi: ArrayLike) -> Array:
        """Realisations (N, b) for coordinates xi (b, M) or (b, s) with s < M: the sum of the first s terms.

        Raises
        ------
        ShapeError, InputError
            xi has more columns than there are terms, or is not finite.
        """
        rows = np.atleast_2d(np.asarray(xi, dtype=float))
        if rows.ndim != 2 or rows.shape[1] > self.size:
            raise ShapeError(f"xi has shape {rows.shape}; the rule is (b, s) with s up to {self.size} terms")
        if not np.isfinite(rows).all():
            raise InputError("xi holds values that are not finite; the coordinates of a random field are numbers")
        return np.asarray(self.scaled[:, :rows.shape[1]] @ rows.T)


def karhunen_loeve(points: ArrayLike, weights: ArrayLike, covariance: Covariance, terms: int | None = None,
                   share: float | None = None) -> KarhunenLoeve:
    """The leading terms of the expansion on points with quadrature weights.

    The eigenproblem sum_j c(x_i, x_j) w_j phi(x_j) = lambda phi(x_i) is symmetric for sqrt(w) phi; its matrix is never
    made: with its pivoted Cholesky factor L (N, R), the eigenpairs of L^T L (R, R) give those of L L^T (Harbrecht,
    Peters and Schneider 2012). By the trace that is left of it every eigenvalue is too small at most. Up to 5000 points
    two steps of subspace iteration with the whole kernel, block by block, make rough fields as exact as smooth ones.
    Signs, and bases of eigenvalues that belong together, are fixed by the points. Cost: N R^2 multiplications, N R
    numbers; 2 N^2 values of the kernel where it is refined.

    Parameters
    ----------
    points : (N, d)
    weights : (N,)
        Positive; their sum is the size of the domain.
    covariance : Covariance
    terms : int, optional
        M.
    share : float, optional
        In the place of `terms`: the fewest terms that capture this share of the variance, in (0, 1).

    Raises
    ------
    InputError, ShapeError
        Points or weights are not finite, of other shapes, or a weight is not positive.
    ConfigError
        Neither or both of terms and share; more terms than points or than the field has; a share that takes more than
        4000 columns of L.

    Examples
    --------
    >>> x = (np.arange(200) + 0.5)[:, None] / 200
    >>> found = karhunen_loeve(x, np.full(200, 1 / 200), Covariance("exponential", 1.0), terms=2)
    >>> found.values.round(3), found.shares.round(3)
    (array([0.739, 0.138]), array([0.739, 0.877]))
    """
    x, w = _checked(points, weights)
    _check_wish(terms, share, len(x))
    root = np.sqrt(w)
    most = _MOST if terms is None else max(_COLUMNS, 10 * terms)
    rest = _REST if share is None else min(_REST, _OF_THE_REST * (1.0 - share))
    L, missed = pivoted_cholesky(
        lambda j: root * covariance.matrix(x, x[j:j + 1])[:, 0] * root[j], covariance.variance * w, rest, most)
    values, vectors = np.linalg.eigh(L.T @ L)
    order = np.argsort(-values, kind="stable")
    total = float(covariance.variance * w.sum())
    kept = order[values[order] > _ROUNDING * values[order[0]]]
    values, U = values[kept], (L @ vectors[:, kept]) / np.sqrt(values[kept])
    M = _count(values, total, terms, share)
    if len(x) <= _DENSE and missed > _NEAR * values[M - 1]:
        values, U = _refined(lambda V: _applied(covariance, x, root, V), U[:, :M + _MORE])
        M = M if share is None else _count(values, total, terms, share)
    U = _canonical(U, values, x, M)
    return KarhunenLoeve(values[:M], U[:, :M] / root[:, None], total, float(missed))


def pivoted_cholesky(column: Callable[[int], Array], diagonal: Array, rest: float, most: int) -> tuple[Array, float]:
    """L (N, R) with A ~= L L^T of a positive semidefinite A (N, N), and the trace of A - L L^T.

    Each step takes the row of the largest diagonal entry of what is left, until its trace is at most `rest` times that
    of A or R = `most` (Harbrecht, Peters and Schneider 2012).

    Parameters
    ----------
    column : callable
        j -> column j of A (N,).
    diagonal : (N,)
    rest : float
    most : int

    Examples
    --------
    >>> A = np.array([[4.0, 2.0], [2.0, 1.0]])
    >>> pivoted_cholesky(lambda j: A[:, j], np.diag(A), 1e-12, 2)
    (array([[2.],
           [1.]]), 0.0)
    """
    N = len(diagonal)
    left = np.array(diagonal, dtype=float)
    L = np.zeros((min(64, N), N))
    total, k = float(left.sum()), 0
    while k < min(most, N):
        pivot = int(np.argmax(left))
        if left.sum() <= rest * total or left[pivot] <= 0.0:
            break
        if k == len(L):
            L = np.vstack([L, np.zeros((min(k, N - k), N))])
        L[k] = (column(pivot) - L[:k, pivot] @ L[:k]) / np.sqrt(left[pivot])
        left = np.maximum(left - L[k] ** 2, 0.0)
        left[pivot] = 0.0
        k += 1
    return np.ascontiguousarray(L[:k].T), float(left.sum())


def _refined(apply: Callable[[Array], Array], U: Array) -> tuple[Array, Array]:
    """Ritz pairs of A on the range of A U, falling: no Ritz value is below that of U, nor above its eigenvalue."""
    Q = np.linalg.qr(apply(U))[0]
    T = Q.T @ apply(Q)
    values, vectors = np.linalg.eigh(0.5 * (T + T.T))
    return values[::-1], Q @ vectors[:, ::-1]


def _applied(covariance: Covariance, x: Array, root: Array, V: Array) -> Array:
    """sqrt(w) c sqrt(w) V (N, j), a block of rows at a time."""
    right = root[:, None] * V
    rows = range(0, len(x), _ROWS)
    return np.vstack([root[i:i + _ROWS, None] * (covariance.matrix(x[i:i + _ROWS], x) @ right) for i in rows])


def _canonical(U: Array, values: Array, x: Array, M: int) -> Array:
    """The same spaces with bases and signs that depend on the points alone.

    Where eigenvalues belong together, the basis that diagonalises a fixed function g; signs by sum_i g_i U_i > 0.
    """
    span = np.ptp(x, axis=0)
    scaled = (x - x.min(axis=0)) / np.where(span > 0.0, span, 1.0)
    g = np.exp(scaled @ (1.0 / np.sqrt(2.0 + np.arange(x.shape[1]))))
    found, start = U.copy(), 0
    while start < M:
        stop = start + 1
        while stop < len(values) and values[stop - 1] - values[stop] <= _TOGETHER * values[stop]:
            stop += 1
        if stop > start + 1:
            part = found[:, start:stop]
            found[:, start:stop] = part @ np.linalg.eigh(part.T @ (g[:, None] * part))[1][:, ::-1]
        start = stop
    signs = np.where(g @ found < 0.0, -1.0, 1.0)
    return np.asarray(found * signs)


def _count(values: Array, total: float, terms: int | None, share: float | None) -> int:
    if terms is not None:
        if terms > len(values):
            raise ConfigError(f"terms = {terms} of a random field, and on these points it has only {len(values)} above "
                              "rounding; take fewer terms, or a shorter correlation length")
        return terms
    captured = np.cumsum(values) / total
    enough = np.flatnonzero(captured >= float(share or 0.0))
    if not enough.size:
        raise ConfigError(f"share = {share} of the variance of a random field needs more than {len(values)} terms "
                          f"(they capture {captured[-1]:.4g}); take a smaller share, or a longer correlation length")
    return int(enough[0]) + 1


def _check_wish(terms: int | None, share: float | None, N: int) -> None:
    if (terms is None) == (share is None):
        raise ConfigError("a Karhunen-Loeve expansion needs either terms or share; give one of the two")
    if terms is not None and (isinstance(terms, bool) or not isinstance(terms, int) or not 1 <= terms <= N):
        raise ConfigError(f"terms = {shown(terms)} of a random field; the rule is a whole number from 1 to {N}, the "
                          "number of points")
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0):
        raise ConfigError(f"share = {shown(share)} of the variance of a random field; the rule is a number between 0 "
                          "and 1")


def _checked(points: ArrayLike, weights: ArrayLike) -> tuple[Array, Array]:
    x, w = np.asarray(points, dtype=float), np.asarray(weights, dtype=float)
    if x.ndim != 2 or not len(x) or w.shape != (len(x),):
        raise ShapeError(f"the points of a random field have shape {x.shape} and their weights {w.shape}; the rule is "
                         "(N, d) and (N,)")
    if not np.isfinite(x).all() or not np.isfinite(w).all():
        raise InputError("points or weights of a random field are not finite; give finite numbers")
    if w.min() <= 0.0:
        raise InputError(f"the smallest weight of a random field's points is {w.min():g}; the rule is positive "
                         "weights, such as the integrals of the shape functions")
    return x, w


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return bool(number and np.isfinite(value) and value > 0.0)
