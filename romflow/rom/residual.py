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

from romflow.core.errors import InputError


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


# The interpolation counts as exact when what it leaves of the training family is rounding noise.
_EIM_EXACT = 1e-13


@dataclass(frozen=True)
class EimResidual:
    """E^2 = sum_k phi_k(mu) v_k: interpolation of the products c_I c_J at d pairs (I, J).

    B (d, d) is unit lower triangular, B phi = (c_I c_J at the pairs), and v_k is the squared residual norm of the
    k-th collateral function. Built in the recursive (product) form, which keeps B triangular in floating point.

    Attributes
    ----------
    pairs : (d, 2) int
    B : (d, d)
    values : (d,)
    training : (k, p)
        Parameters among which the points were chosen (kept, so that a truncated model can choose again).
    exact : bool
        The training family was spanned to rounding; otherwise the value is an approximation without guarantee.
    """

    pairs: np.ndarray
    B: np.ndarray
    values: np.ndarray
    training: np.ndarray
    exact: bool
    name: str = "eim"

    @classmethod
    def build(cls, T: np.ndarray, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray,
              training: np.ndarray, max_points: int = 400) -> EimResidual:
        """Choose interpolation pairs on training coefficients theta_a (k, Q), theta_f (k, Qf), x (r, k)."""
        c = residual_coefficients(theta_a, theta_f, x)
        k, size = c.shape
        if size * (size + 1) // 2 * k > 2e8:
            raise InputError(f"estimator = \"eim\" would tabulate {size * (size + 1) // 2} products for {k} training "
                             "parameters; use estimator = \"orthonormal\", or a smaller basis or pool")
        first, second = np.triu_indices(size)
        R = c[:, first] * c[:, second]
        E = np.sum((c @ T.T) ** 2, axis=1)
        scale = np.abs(R).max(initial=0.0)
        chosen: list[int] = []
        columns: list[np.ndarray] = []
        values: list[float] = []
        for _ in range(min(max_points, k, first.size)):
            row, at = np.unravel_index(int(np.argmax(np.abs(R))), R.shape)
            pivot = R[row, at]
            if abs(pivot) <= 4 * np.finfo(float).eps * scale:
                break
            function, value, weights = R[row] / pivot, E[row] / pivot, R[:, at].copy()
            R -= weights[:, None] * function
            E = E - weights * value
            R[:, at] = 0.0
            chosen.append(int(at))
            columns.append(function)
            values.append(float(value))
        B = np.tril(np.array(columns)[:, chosen].T) if chosen else np.zeros((0, 0))
        pairs = np.stack([first[chosen], second[chosen]], axis=1) if chosen else np.zeros((0, 2), dtype=int)
        exact = bool(np.abs(R).max(initial=0.0) <= _EIM_EXACT * scale)
        return cls(pairs, B, np.array(values), training, exact)

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Residual dual norms (b,)."""
        c = residual_coefficients(theta_a, theta_f, x)
        products = c[:, self.pairs[:, 0]] * c[:, self.pairs[:, 1]]
        phi = sl.solve_triangular(self.B, products.T, lower=True, unit_diagonal=True)
        return np.sqrt(np.abs(self.values @ phi))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Pairs, B, values, training parameters and exactness."""
        return {"eim/pairs": self.pairs, "eim/B": self.B, "eim/values": self.values, "eim/training": self.training,
                "eim/exact": np.array(float(self.exact))}
