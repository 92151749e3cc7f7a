"""Inverse, solutions and log-determinant of A(theta) from their values at a few points, with one set of weights.

If the weights w_r(theta) interpolate every monomial of degree at most m of the coefficients, sum_r w_r theta_r^I =
theta^I, then sum_r w_r p(A(theta_r)) = p(A(theta)) for **every** polynomial p of degree at most m, although the terms
of A(theta) = sum_q theta_q A_q do not commute. So the same weights serve the inverse, the solution of any system and
the log-determinant (limits of matrix powers by empirical interpolation, arXiv 1710.02488).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import InputError, NotCertified, ShapeError
from romflow.linalg.functions.spectral_interval import SpectralInterval
from romflow.linalg.interpolation.maximal_volume import InterpolationTable, interpolation_table

_MAX_ORDER = 60


@dataclass(frozen=True, eq=False)
class PowerInterpolation:
    """Weights (b, d) that sum to 1 and reproduce every polynomial in A(theta) of degree at most `degree`.

    Made by `build` or `certified`. The monomials are products of Chebyshev polynomials of the coefficients scaled to
    [-1, 1] on the training set: the same space as raw powers, but no underflow at high orders.

    Attributes
    ----------
    points : (d, Q)
        Coefficients where the black-box values are wanted.
    indices : (d,) int
        Their rows in the training coefficients.
    order, degree : int
        The order asked for, and the largest degree of which every monomial was taken.
    exponents : (M, Q) int
        The monomials, those of degree at most `degree` first.
    lebesgue : float
        Lambda: largest sum_r |w_r| over the training set.
    error : float
        Largest interpolation error of a monomial of degree at most `degree` over the training set.

    Examples
    --------
    >>> import numpy as np
    >>> mu = np.linspace(0.0, 9.0, 200)
    >>> powers = PowerInterpolation.build(np.stack([np.ones(200), mu], axis=1), order=10)
    >>> A = lambda theta: np.diag([theta[0], theta[0] + theta[1]])
    >>> inverses = np.stack([np.linalg.inv(A(point)) for point in powers.points])
    >>> here = np.array([[1.0, 4.0]])
    >>> bool(np.abs(powers.inverse(here, inverses)[0] - np.diag([1.0, 0.2])).max() < 1e-3)
    True
    """

    points: np.ndarray
    indices: np.ndarray
    order: int
    degree: int
    exponents: np.ndarray
    _table: InterpolationTable
    _centre: np.ndarray
    _half: np.ndarray
    lebesgue: float = np.nan
    error: float = np.nan

    @classmethod
    def build(cls, theta: np.ndarray, order: int, *, tolerance: float = 1e-12, max_monomials: int = 1000,
              max_points: int | None = None, seed: int = 0) -> PowerInterpolation:
        """Choose the points among training coefficients by empirical interpolation of the monomials.

        Monomials: all of total degree at most `order` while there are at most `max_monomials`; beyond that, all of the
        largest complete degree that fits, and as many of the higher ones as fit, drawn at random (each first its
        degree, then its factors). Coefficients that are constant on the training set count as constants.
        Cost: k M (Q + d) flops for M monomials and d <= M points.

        Parameters
        ----------
        theta : (k, Q)
            Training coefficients.
        order : int
            From 0.
        tolerance : float
            Stop where every monomial is interpolated to this error on the training set.
        max_monomials : int
            At least 1 + the number of coefficients that vary.
        max_points : int, optional
        seed : int

        Raises
        ------
        ShapeError, InputError
            Bad shapes or values; fewer distinct training coefficients than monomials to tell apart.
        """
        theta = _coefficients(theta, None)
        _check(order, tolerance, max_points)
        low, high = theta.min(axis=0), theta.max(axis=0)
        half = 0.5 * (high - low)
        half[half <= 1e-14 * np.maximum(np.abs(low), np.abs(high))] = 0.0
        exponents, degree = monomials(half > 0.0, order, max_monomials, seed)
        centre = 0.5 * (high + low)
        values = _chebyshev(theta, centre, half, exponents)
        table = interpolation_table(values, tolerance, max_points)
        if table.points.size < len(exponents) and table.points.size == len(np.unique(theta, axis=0)):
            raise InputError(f"the interpolation took all {table.points.size} distinct training coefficients for "
                             f"{len(exponents)} monomials; give more training coefficients, or a lower order")
        made = cls(theta[table.points], table.points, order, degree, exponents, table, centre, half)
        return replace(made, lebesgue=float(made.lebesgue_at(theta).max()), error=float(made.error_at(theta).max()))

    @classmethod
    def certified(cls, theta: np.ndarray, spectrum: SpectralInterval, tolerance: float, *, max_order: int = _MAX_ORDER,
                  **options: Any) -> PowerInterpolation:
        """The smallest order whose bound `inverse_bound` is at most tolerance / spectrum.low on the training set.

        Since ||A^{-1}|| <= 1 / low, the tolerance is relative to the largest inverse that the interval allows.

        Parameters
        ----------
        theta : (k, Q)
        spectrum : SpectralInterval
            Of every A(theta) with coefficients in the box of the training set.
        tolerance : float
        max_order : int
        **options
            As for `build`.

        Raises
        ------
        NotCertified
            The interval reaches 0, or no order up to `max_order` brings the bound down to the tolerance.
        """
        if not 0.0 < tolerance < np.inf:
            raise InputError(f"the tolerance is {tolerance}; the rule is a positive number")
        theta, bound = _coefficients(theta, None), np.inf
        for order in range(max_order + 1) if spectrum.rho < 1.0 else ():
            if 2.0 * spectrum.inverse_series(order)[1] * spectrum.low > tolerance:
                continue
            made = cls.build(theta, order, **options)
            bound = float(made.inverse_bound(theta, spectrum).max()) * spectrum.low
            if bound <= tolerance:
                return made
            if made.degree < order:
                break
        raise NotCertified(f"no order up to {max_order} certifies the tolerance {tolerance:g} for a spectrum "
                           f"in [{spectrum.low:g}, {spectrum.high:g}] (last bound {bound:.2e}); narrow the parameter "
                           "range, precondition A, raise max_order or max_monomials, or check the error at other "
                           "parameters")

    @property
    def size(self) -> int:
        """Number d of interpolation points."""
        return len(self.points)

    def weights(self, theta: np.ndarray) -> np.ndarray:
        """Weights w (b, d) at coefficients theta (b, Q) or (Q,); rows sum to 1; unit vectors at the chosen points."""
        theta = _coefficients(theta, self.points.shape[1])
        return self._table.weights(_chebyshev(theta, self._centre, self._half, self.exponents[self._table.functions]))

    def solve(self, theta: np.ndarray, values: np.ndarray) -> np.ndarray:
        """sum_r w_r(theta) values_r (b, ...) of any quantity (d, ...): solutions (d, n, j) give solutions (b, n, j).

        The right-hand side must be one and the same at every point; interpolate terms of an affine one on their own.
        """
        values = np.asarray(values, dtype=float)
        if values.ndim == 0 or values.shape[0] != self.size:
            raise ShapeError(f"the values have shape {values.shape}; the rule is ({self.size}, ...), one for each "
                             "interpolation point")
        if not np.isfinite(values).all():
            raise InputError("the values at the interpolation points are not all finite; check the solves there")
        return np.tensordot(self.weights(theta), values, 1)

    def inverse(self, theta: np.ndarray, inverses: np.ndarray) -> np.ndarray:
        """A(theta)^{-1} (b, n, n) from inverses (d, n, n) at the points; error at most `inverse_bound`."""
        inverses = np.asarray(inverses, dtype=float)
        if inverses.ndim != 3 or inverses.shape[1] != inverses.shape[2]:
            raise ShapeError(f"the inverses have shape {inverses.shape}; the rule is ({self.size}, n, n)")
        return self.solve(theta, inverses)

    def log_determinant(self, theta: np.ndarray, values: np.ndarray) -> np.ndarray:
        """log det A(theta) (b,) from log-determinants (d,) at the points; error at most `log_determinant_bound`."""
        values = np.asarray(values, dtype=float)
        if values.shape != (self.size,):
            raise ShapeError(f"the log-determinants have shape {values.shape}; the rule is ({self.size},)")
        return self.solve(theta, values)

    def inverse_operator(self, theta: np.ndarray, solvers: Sequence[Callable[[np.ndarray], np.ndarray]],
                         n: int) -> LinearOperator:
        """P = sum_r w_r A(theta_r)^{-1} (n, n) at one theta (Q,), for use as preconditioner; d solves a product.

        Symmetric where the inverses are; weights of both signs leave it positive definite (as conjugate gradients need)
        wherever the error of P is below 1 / ||A(theta)||.

        Parameters
        ----------
        theta : (Q,)
        solvers : d callables B -> A(theta_r)^{-1} B
        n : int
        """
        if len(solvers) != self.size or np.ndim(theta) != 1:
            raise ShapeError(f"{len(solvers)} solvers and theta of shape {np.shape(theta)}; the rule is "
                             f"{self.size} solvers and one theta (Q,)")
        w = self.weights(theta)[0]

        def apply(B: np.ndarray) -> np.ndarray:
            return sum(weight * solver(B) for weight, solver in zip(w, solvers, strict=True))

        return LinearOperator((n, n), matvec=apply, matmat=apply, dtype=float)

    def lebesgue_at(self, theta: np.ndarray) -> np.ndarray:
        """sum_r |w_r(theta)| (b,)."""
        return np.abs(self.weights(theta)).sum(axis=1)

    def error_at(self, theta: np.ndarray) -> np.ndarray:
        """Largest interpolation error (b,) of a scaled monomial of degree at most `degree`."""
        return self._misfit(theta).max(axis=1)

    def inverse_bound(self, theta: np.ndarray, spectrum: SpectralInterval, series: str = "chebyshev") -> np.ndarray:
        """Upper bound (b,) of || A(theta)^{-1} - sum_r w_r A(theta_r)^{-1} ||_2 in exact arithmetic.

        EIM error + (1 + Lambda) tail, where tail is what the series of 1/x of order `degree` leaves on the interval
        (alpha rho^{m+1} / (1 - rho) for series "neumann"), Lambda = sum_r |w_r(theta)| and the first summand, which
        vanishes where all monomials are interpolated, is sum_k a_k sum_{|I| <= k} (4/pi)^{nonzeros of I} |e_I|.
        Infinite where rho >= 1.

        Assumes A(theta) = sum_q theta_q A_q symmetric, with its spectrum in [low, high] at theta and at the points;
        where the EIM error is not rounding noise, on the whole box of the training coefficients (for symmetric terms
        the vertices of the box decide). With a spectrum relative to A_0 the norm is that of A_0^{1/2} (.) A_0^{1/2}.

        Parameters
        ----------
        theta : (b, Q) or (Q,)
        spectrum : SpectralInterval
        series : {"chebyshev", "neumann"}
        """
        return self._bound(theta, *spectrum.inverse_series(self.degree, series))

    def log_determinant_bound(self, theta: np.ndarray, spectrum: SpectralInterval, n: int,
                              series: str = "chebyshev") -> np.ndarray:
        """Upper bound (b,) of the absolute error of log det A(theta), n times that of the logarithm; see
        `inverse_bound`."""
        return n * self._bound(theta, *spectrum.log_series(self.degree, series))

    def _bound(self, theta: np.ndarray, coefficients: np.ndarray, tail: float) -> np.ndarray:
        theta = _coefficients(theta, self.points.shape[1])
        if not np.isfinite(tail):
            return np.full(len(theta), np.inf)
        exponents = self.exponents[:comb(self.degree + int(np.count_nonzero(self._half)), self.degree)]
        reach = np.cumsum(coefficients[::-1])[::-1]  # a monomial of degree j enters the powers k >= j
        share = reach[exponents.sum(axis=1)] * (4.0 / np.pi) ** np.count_nonzero(exponents, axis=1)
        return self._misfit(theta) @ share + (1.0 + self.lebesgue_at(theta)) * tail

    def _misfit(self, theta: np.ndarray) -> np.ndarray:
        exponents = self.exponents[:comb(self.degree + int(np.count_nonzero(self._half)), self.degree)]
        theta = _coefficients(theta, self.points.shape[1])
        here, there = (_chebyshev(at, self._centre, self._half, exponents) for at in (theta, self.points))
        return np.abs(here - self.weights(theta) @ there)


def monomials(varies: np.ndarray, order: int, cap: int, seed: int = 0) -> tuple[np.ndarray, int]:
    """Exponents (M, Q) with M <= cap, and the largest degree that they hold completely.

    Parameters
    ----------
    varies : (Q,) bool
        The coefficients that enter.
    order : int
        Largest total degree.
    cap : int
    seed : int
        Of the draw of those above the complete degree.

    Examples
    --------
    >>> monomials(np.array([False, True, True]), 1, 10)[0].tolist()
    [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    where = np.flatnonzero(varies)
    Q = where.size
    if Q == 0:
        return np.zeros((1, len(varies)), dtype=int), order
    if cap < 1 + Q:
        raise InputError(f"max_monomials is {cap}; the rule is at least {1 + Q}, 1 + the number of "
                         "varying coefficients")
    degree = max(j for j in range(order + 1) if comb(j + Q, Q) <= cap)
    rows, level = [(0,) * Q], [(0,) * Q]
    for _ in range(degree):
        level = [(*e[:q], e[q] + 1, *e[q + 1:]) for e in level for q in range(Q) if not any(e[q + 1:])]
        rows += level
    rng, known = np.random.default_rng(seed), set(rows)
    for _ in range(20 * cap if degree < order else 0):
        if len(rows) >= cap:
            break
        drawn = tuple(np.bincount(rng.integers(Q, size=int(rng.integers(degree + 1, order + 1))), minlength=Q).tolist())
        if drawn not in known:
            known.add(drawn)
            rows.append(drawn)
    exponents = np.zeros((len(rows), len(varies)), dtype=int)
    exponents[:, where] = rows
    return exponents, degree


def _chebyshev(theta: np.ndarray, centre: np.ndarray, half: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Products of Chebyshev polynomials (b, M)."""
    values = np.ones((len(theta), len(exponents)))
    for q in np.flatnonzero(half):
        x = (theta[:, q] - centre[q]) / half[q]
        values *= np.polynomial.chebyshev.chebvander(x, int(exponents[:, q].max(initial=0)))[:, exponents[:, q]]
    return values


def _coefficients(theta: np.ndarray, Q: int | None) -> np.ndarray:
    theta = np.asarray(theta, dtype=float)
    theta = theta[None] if theta.ndim == 1 and Q is not None else theta
    if theta.ndim != 2 or theta.size == 0 or (Q is not None and theta.shape[1] != Q):
        raise ShapeError(f"the coefficients have shape {theta.shape}; the rule is (k, {'Q' if Q is None else Q}) with "
                         "one row for each parameter")
    if not np.isfinite(theta).all():
        raise InputError("the coefficients are not all finite; check theta at these parameters")
    return theta


def _check(order: int, tolerance: float, max_points: int | None) -> None:
    if order < 0 or not 0.0 <= tolerance < 1.0 or (max_points is not None and max_points < 1):
        raise InputError(f"order is {order}, tolerance {tolerance}, max_points {max_points}; the rules are order from "
                         "0, 0 <= tolerance < 1 and max_points from 1")
