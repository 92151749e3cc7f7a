"""Weighted least-squares polynomials of targets over the parameters, their degree chosen by leave-one-out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest
from romflow.parameters.polynomials.basis import PolynomialBasis, polynomial_basis
from romflow.parameters.polynomials.multi_indices import INDEX_SETS, MAX_TERMS
from romflow.parameters.space import ParameterSpace
from romflow.rom.polynomial_regression import PolynomialRegression

__all__ = ["PolynomialChoice", "fit_polynomials"]

WEIGHTS = ("auto", "equal", "optimal")

# Largest degree that is tried, and polynomials a snapshot.
_HIGHEST, _SHARE = 20, 0.9
# A point whose leverage is nearer to 1 decides a polynomial alone.
_DECIDES = 1e-9
# Diagonal entries of R this small beside the largest mean that the design does not tell the polynomials apart.
_SINGULAR = 1e-10


@dataclass(frozen=True)
class PolynomialChoice:
    """What the user wants of the polynomials.

    Attributes
    ----------
    degree : int or None
        None: by leave-one-out.
    index_set : {"total", "hyperbolic"} or None
        None: both are tried.
    weights : {"auto", "equal", "optimal"}
        "optimal": m / sum_j phi_j^2, for the sampler "optimal-design"; "equal": for any other; "auto": those for
        whose density the points are likelier.

    Raises
    ------
    ConfigError
        One of them is none of these.
    """

    degree: int | None = None
    index_set: str | None = None
    weights: str = "auto"

    def __post_init__(self) -> None:
        degree = self.degree
        if degree is not None and (isinstance(degree, bool) or not isinstance(degree, int) or degree < 0):
            raise ConfigError(f"[reduction] degree = {degree!r} is not a whole number from 0; give one, or none")
        if self.index_set is not None and self.index_set not in INDEX_SETS:
            raise ConfigError(f"[reduction] no index_set is called {self.index_set!r}"
                              f"{nearest(str(self.index_set), INDEX_SETS)}")
        if self.weights not in WEIGHTS:
            raise ConfigError(f"[reduction] no weights are called {self.weights!r}"
                              f"{nearest(str(self.weights), WEIGHTS)}")


@dataclass(frozen=True)
class _Fit:
    """One weighted fit: coefficients (t, m), R^{-T} (m, m), leave-one-out errors (t, k) and growth (k,)."""

    basis: PolynomialBasis
    coefficients: np.ndarray
    factor: np.ndarray
    missed: np.ndarray
    growth: np.ndarray


def fit_polynomials(space: ParameterSpace, mu: np.ndarray, targets: np.ndarray, importance: np.ndarray,
                    choice: PolynomialChoice) -> tuple[PolynomialRegression, np.ndarray, np.ndarray]:
    """Polynomials of all targets (t, k) at mu (k, p), their leave-one-out errors and spreads (t, k).

    Of all degrees and index sets asked for, that with the least ``sum_t importance_t sum_i missed_ti^2 T(m, k)`` with
    missed_ti = |residual_ti| / (1 - h_i), the leverages h_i, and T = k / (k - m) (1 + tr (R^T R)^{-1}) against choosing
    too many polynomials (Chapelle, Vapnik and Bengio 2002; Blatman and Sudret 2011, eq. 22). Cost O(k m^2) each.

    Raises
    ------
    InputError
        The degree asked for has more polynomials than there are snapshots, or the design cannot tell them apart.
    """
    best: tuple[float, _Fit] | None = None
    for basis in _candidates(space, len(mu), choice):
        fit = _fitted(basis, mu, targets, choice.weights)
        if fit is None:
            continue
        k, m = len(mu), basis.size
        penalty = k / max(k - m, 1e-9) * (1.0 + float(np.sum(fit.factor**2)))
        score = float(importance @ np.sum(fit.missed**2, axis=1)) * penalty
        if best is None or score < best[0]:
            best = score, fit
    if best is None:
        raise InputError(f"regressor = \"polynomial\" cannot tell polynomials apart at the {len(mu)} parameters given: "
                         "use another design or more parameters, or a lower degree")
    fit = best[1]
    spread = np.sqrt(np.mean((fit.missed / fit.growth) ** 2, axis=1))
    own = fit.basis
    regression = PolynomialRegression(own.degrees, own.logarithm, own.shift, own.scale, own.a, own.b,
                                      fit.coefficients, fit.factor, spread)
    return regression, fit.missed, spread[:, None] * fit.growth


def _candidates(space: ParameterSpace, k: int, choice: PolynomialChoice) -> Iterator[PolynomialBasis]:
    kinds = INDEX_SETS if choice.index_set is None else (choice.index_set,)
    if choice.degree is not None:
        for kind in kinds[:1]:
            yield _affordable(polynomial_basis(space, choice.degree, kind), k, choice.degree)
        return
    yield polynomial_basis(space, 0)
    for kind in kinds:
        before = 1
        for degree in range(1, _HIGHEST + 1):
            if _least_size(space.size, degree, kind) > MAX_TERMS:
                break
            basis = polynomial_basis(space, degree, kind)
            if basis.size > max(_SHARE * k, 1) or basis.size == before:
                break
            before = basis.size
            yield basis


def _least_size(p: int, degree: int, kind: str) -> int:
    """Number of polynomials (of the hyperbolic set at least so many) where no column limits its degree."""
    pairs = math.comb(p, 2) if degree >= 3 else 0
    return math.comb(p + degree, degree) if kind == "total" else 1 + p * degree + pairs


def _affordable(basis: PolynomialBasis, k: int, degree: int) -> PolynomialBasis:
    if basis.size >= k:
        raise InputError(f"degree = {degree} has {basis.size} polynomials, and there are {k} snapshots; the rule is "
                         "more snapshots than polynomials: raise [sampling] size, or lower degree")
    return basis


def _fitted(basis: PolynomialBasis, mu: np.ndarray, targets: np.ndarray, weights: str) -> _Fit | None:
    """The fit, None where the design does not determine it."""
    phi = basis.values(mu)
    w = _weights(phi, weights)
    Q, R = np.linalg.qr(phi * np.sqrt(w)[:, None])
    diagonal = np.abs(np.diag(R))
    if diagonal.min() <= _SINGULAR * diagonal.max():
        return None
    leverage = np.sum(Q**2, axis=1)
    if leverage.max() >= 1.0 - _DECIDES:
        return None
    coefficients = np.ascontiguousarray(sl.solve_triangular(R, Q.T @ (targets * np.sqrt(w)).T).T)
    factor = np.ascontiguousarray(sl.solve_triangular(R, np.eye(len(R)), trans="T"))
    missed = np.abs(targets - coefficients @ phi.T) / (1.0 - leverage)
    growth = np.sqrt(1.0 + leverage / w / (1.0 - leverage))
    return _Fit(basis, coefficients, factor, missed, growth)


def _weights(phi: np.ndarray, kind: str) -> np.ndarray:
    """Weights (k,) with the mean 1."""
    k, m = phi.shape
    optimal = m / np.sum(phi**2, axis=1)
    if kind == "auto":
        # The points have the density 1 (equal weights) or 1 / w: the likelier one.
        kind = "optimal" if np.sum(np.log(optimal)) < 0.0 else "equal"
    return np.ones(k) if kind == "equal" else optimal / optimal.mean()
