"""Dual norms of the residual from a sketch of the whitened columns: ||Theta Y c|| in place of ||Y c||.

Balabanov and Nouy 2019 (part I, section 4.2; part II, section 3): Theta (s, n) keeps lengths up to a factor
1 +- epsilon, and Theta Y (s, Qf + r Q) is all of the residual that is stored. As the small number ||Y c|| is found as a
norm and not as a difference of squares, rounding leaves eps ||f||, as the orthonormal basis does and the Gram matrix
does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincc

from romflow.core.errors import InputError
from romflow.rom.residual import residual_coefficients

# The estimate of a residual is within 10 % except with probability 5e-3: 396 rows.
EPSILON, DELTA = 0.1, 5e-3
_MOST_ROWS = 1 << 24


@dataclass(frozen=True)
class SketchedResidual:
    """||S c||_2 with S = Theta Y (s, Qf + r Q): within 1 +- epsilon of the exact norm with probability 1 - delta.

    What the probability means: for each parameter that, with the reduced space, is fixed before Theta is drawn, the
    ratio of the estimate to the exact dual norm is outside [1 - epsilon, 1 + epsilon] with probability at most delta
    (for m such parameters at once: m delta). epsilon follows from rows and delta by the chi-square law of s ratio^2,
    which is exact for Gaussian embeddings and holds for sparse-sign and SRHT ones up to what tests measure. It is not
    a statement on all parameters at once, and not on parameters or a space that were chosen by looking at this very
    sketch, as a greedy with this estimator does. Therefore the model's error kind is "indicator", never "bound": a
    number that may be below the true one, rarely and by little, is no bound, and `certified = true` refuses it.

    Attributes
    ----------
    T : (m, Qf + r Q)
        S, or the triangular factor of S = Q T where that has fewer rows: ||T c|| = ||S c||.
    kind : str
        Of the embedding.
    rows : int
        s.
    seed : int
    epsilon, delta : float
    """

    T: np.ndarray
    kind: str
    rows: int
    seed: int
    epsilon: float
    delta: float
    name: str = "sketched"
    exact: bool = False

    def norm(self, theta_a: np.ndarray, theta_f: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Estimated residual dual norms (b,). Cost: 2 m (Qf + r Q) flops each, m <= s."""
        y = residual_coefficients(theta_a, theta_f, x) @ self.T.T
        return np.sqrt(np.einsum("bm,bm->b", y, y))

    @property
    def about(self) -> dict[str, Any]:
        """The embedding and its promise, as JSON."""
        return {"sketch": self.kind, "rows": self.rows, "seed": self.seed, "epsilon": self.epsilon,
                "delta": self.delta}

    @classmethod
    def from_about(cls, T: np.ndarray, about: dict[str, Any]) -> SketchedResidual:
        """The residual norm with the factor T (m, Qf + r Q) of the sketch that `about` describes."""
        return cls(T, about["sketch"], about["rows"], about["seed"], about["epsilon"], about["delta"])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing beyond the sketched columns, which stand where other models keep their factor."""
        return {}


def residual_epsilon(rows: int, delta: float = DELTA) -> float:
    """epsilon with P(|ratio - 1| > epsilon) = delta for one vector and a Gaussian embedding of `rows` rows.

    rows * ratio^2 has the chi-square law with `rows` degrees of freedom; for many rows epsilon falls as
    sqrt(log(2 / delta) / rows).

    Raises
    ------
    InputError
        rows below 1, or delta outside (0, 1).

    Examples
    --------
    >>> round(residual_epsilon(400, 0.005), 3)
    0.099
    """
    if isinstance(rows, bool) or not isinstance(rows, int | np.integer) or rows < 1:
        raise InputError(f"sketch_rows = {rows!r} is not a whole number from 1; give one, or 0 for the rule")
    if rows > _MOST_ROWS:
        raise InputError(f"sketch_rows = {rows} is more than {_MOST_ROWS}; give fewer, or 0 for the rule")
    _check_probability("delta", delta)
    low, high = 0.0, 1.0
    while _outside(rows, high) > delta:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _outside(rows, middle) > delta else (low, middle)
    return high


def residual_rows(epsilon: float = EPSILON, delta: float = DELTA) -> int:
    """Fewest rows whose `residual_epsilon` is at most epsilon.

    Raises
    ------
    InputError
        epsilon or delta is outside (0, 1).

    Examples
    --------
    >>> 380 < residual_rows(0.1, 0.005) < 400
    True
    """
    _check_probability("epsilon", epsilon)
    _check_probability("delta", delta)
    low, high = 0, 1
    while _outside(high, epsilon) > delta:
        low, high = high, 2 * high
        if high > _MOST_ROWS:
            raise InputError(f"epsilon = {epsilon:g} with delta = {delta:g} needs more than {_MOST_ROWS} rows; allow "
                             "a larger epsilon, or use estimator = \"orthonormal\", which is exact")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _outside(middle, epsilon) > delta else (low, middle)
    return high


def _outside(rows: int, epsilon: float) -> float:
    """P(|ratio - 1| > epsilon) where rows * ratio^2 has the chi-square law: incomplete gamma functions."""
    half = 0.5 * rows
    return float(gammainc(half, half * max(1.0 - epsilon, 0.0) ** 2) + gammaincc(half, half * (1.0 + epsilon) ** 2))


def _check_probability(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0.0 < value < 1.0:
        raise InputError(f"{name} = {value!r} is not a number between 0 and 1; give one")
