"""Dual norms of the residual f(mu) - A(mu) V x, evaluated in a batch at a cost that does not depend on n.

With whitened columns Y = L^{-1} [f_1 .. f_Qf, A_1 v_1, .., A_Q v_1, A_1 v_2, ..] (X = L L^T) and coefficients
c(mu) = (theta_f, -theta_q x_i) the dual norm is ||Y c||_2. The three evaluations differ in what they keep of Y:

* `OrthonormalResidual`: the factor T of Y = Q T; ||T c||, accurate to eps ||f|| (Buhr, Engwer, Ohlberger and Rave
  2014);
* `GramResidual`: Y^T Y; (c^T Y^T Y c)^{1/2}, accurate to sqrt(eps) ||f|| (the classical formula);
* `EimResidual`: empirical interpolation of the products c_I c_J (Casenave, Ern and Lelievre 2014, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg as sl

from romflow.linalg.interpolation.eim import empirical_interpolation


class ResidualNorm(Protocol):
    """Residual dual norm (b,) from theta_a (b, Q), theta_f (b, Qf) and reduced coefficients x (r, b)."""

    name: str
    exact: bool

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray: ...

    def to_arrays(self) -> dict[str, np.ndarray]: ...


def residual_coefficients(theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Coefficients c (b, Qf + r Q) of the residual on the columns of Y."""
    b, Qf = theta_f.shape
    r, Q = x.shape[0], theta_a.shape[1]
    c = np.empty((b, Qf + r * Q))
    c[:, :Qf] = theta_f
    np.multiply(-x.T[:, :, None], theta_a[:, None, :], out=c[:, Qf:].reshape(b, r, Q))
    return c


def leading(T: np.ndarray, columns: int) -> np.ndarray:
    """The factor of the first `columns` columns of Y = Q T: those columns of T without their zero rows."""
    part = T[:, :columns]
    return np.ascontiguousarray(part[np.any(part != 0.0, axis=1)])


@dataclass(frozen=True)
class OrthonormalResidual:
    """||T c||_2 with T (m, Qf + r Q) from an orthonormal basis of the residual space."""

    T: np.ndarray
    name: str = "orthonormal"
    exact: bool = True

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Residual dual norms (b,)."""
        y = residual_coefficients(theta_a, theta_f, x) @ self.T.T
        return np.sqrt(np.einsum("bm,bm->b", y, y))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing beyond T, which every affine model keeps."""
        return {}


@dataclass(frozen=True)
class GramResidual:
    """|c^T G c|^{1/2} with G = Y^T Y; stalls at sqrt(eps) ||f||: for comparison."""

    G: np.ndarray
    name: str = "gram"
    exact: bool = True

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Residual dual norms (b,)."""
        c = residual_coefficients(theta_a, theta_f, x)
        return np.sqrt(np.abs(np.einsum("bm,bm->b", c @ self.G, c)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing beyond T, from which G = T^T T is formed."""
        return {}


# The fewest pairs are kept whose error is at most so many times the smallest.
_FEWEST = 4.0
# Products a training parameter among which pairs are chosen; independent functions a training parameter from which on
# the training may not have seen them all.
_PAIRS, _RESOLVED = 5, 0.8
_NUMBERS = 50_000_000


def _pairs(size: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """I <= J of the products: all, or those with I = J and `most` others drawn at random, always the same."""
    if size * (size + 1) // 2 <= most + size:
        return np.triu_indices(size)
    drawn = np.random.default_rng(0).integers(0, size, (2, most))
    pairs = np.unique(np.sort(np.hstack([drawn, np.tile(np.arange(size), (2, 1))]), axis=0), axis=1)
    return pairs[0], pairs[1]


@dataclass(frozen=True)
class EimResidual:
    """E^2 = sum_k phi_k(mu) v_k + floor: interpolation of the products c_I c_J at d pairs (I, J).

    E^2 is linear in the table of all products, so that it is interpolated with them: B phi = (c_I c_J at the pairs),
    and v_k is E^2 of the k-th collateral function, all of them small numbers. So rounding enters relative to the
    residuals and not to ||f||, as in the Gram form. The products are weighted by 1 / max |c_I| max |c_J|, without which
    those of the last, small coefficients vanish in rounding. About 2 r + 1 pairs serve r basis vectors and one
    parameter. Cost a parameter: d^2 / 2 + d multiplications.

    Attributes
    ----------
    pairs : (d, 2) int
    B : (d, d)
        Unit lower triangular.
    values : (d,)
    training : (k, p)
        Parameters among which the points were chosen (kept, so that a truncated model can choose again).
    exact : bool
        The training family was spanned to rounding; otherwise the value is an approximation without guarantee.
    floor : float
        Largest error of the interpolated E^2 over the training set, which is added.
    """

    pairs: np.ndarray
    B: np.ndarray
    values: np.ndarray
    training: np.ndarray
    exact: bool
    floor: float = 0.0
    name: str = "eim"

    @classmethod
    def build(cls, T: np.ndarray, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray,
              training: np.ndarray, max_points: int = 400) -> EimResidual:
        """Choose interpolation pairs on training coefficients theta_a (k, Q), theta_f (k, Qf), x (r, k).

        The greedy goes on to rounding or `max_points`; then the fewest pairs are kept whose error of E^2 on the
        training set is at most 4 times the smallest. Where the family has nearly as many independent functions as
        there are training parameters, these say nothing about others: then a third of them is kept apart, the error
        is that at them, and as many pairs are kept as make it smallest. Of many products 5 a training parameter are
        drawn, which span as many functions.
        Cost: 2 M k d flops and M k numbers for M products.
        """
        c = residual_coefficients(theta_a, theta_f, x)
        k = len(c)
        squares = np.sum((c @ T.T) ** 2, axis=1)
        first, second = _pairs(c.shape[1], min(_PAIRS * k, _NUMBERS // k))
        largest = np.abs(c).max(axis=0, initial=0.0)
        weights = np.zeros(first.size + 1)
        np.divide(1.0, largest[first] * largest[second], out=weights[:-1], where=(largest > 0.0)[first]
                  & (largest > 0.0)[second])
        family = np.empty((first.size + 1, k))
        np.multiply(c.T[first], c.T[second], out=family[:-1])
        family[-1] = squares
        found = empirical_interpolation(family, max_terms=max_points, weights=weights)
        exact = found.stopped == "rounding" and found.size <= _RESOLVED * k
        fewest, tried = _FEWEST, np.ones(k, dtype=bool)
        if found.size > _RESOLVED * k and k > 2:
            fewest, tried = 1.0, np.arange(k) % 3 == 1
            found = empirical_interpolation(np.ascontiguousarray(family[:, ~tried]), max_terms=max_points,
                                            weights=weights)
        values = found.basis[-1]
        phi = found.coefficients(family[found.points][:, tried])
        error = np.abs(np.cumsum(values[:, None] * phi, axis=0) - squares[tried]).max(axis=1, initial=0.0)
        size = int(np.argmax(error <= fewest * error.min(initial=np.inf))) + 1 if found.size else 0
        small = found.truncate(size)
        pairs = np.stack([first[small.points], second[small.points]], axis=1)
        return cls(pairs, small.B, values[:size], training, exact, float(error[size - 1]) if size else 0.0)

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Residual dual norms (b,)."""
        c = residual_coefficients(theta_a, theta_f, x)
        products = c[:, self.pairs[:, 0]] * c[:, self.pairs[:, 1]]
        phi = sl.solve_triangular(self.B, products.T, lower=True, unit_diagonal=True)
        return np.sqrt(np.abs(self.values @ phi) + self.floor)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Pairs, B, values, training parameters, exactness and floor."""
        return {"eim/pairs": self.pairs, "eim/B": self.B, "eim/values": self.values, "eim/training": self.training,
                "eim/exact": np.array(float(self.exact)), "eim/floor": np.array(self.floor)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> EimResidual:
        """What `to_arrays` wrote; files of earlier versions have no floor."""
        return cls(arrays["eim/pairs"].astype(int), arrays["eim/B"], arrays["eim/values"], arrays["eim/training"],
                   bool(arrays["eim/exact"]), float(arrays.get("eim/floor", 0.0)))
