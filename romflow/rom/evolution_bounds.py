"""From the residuals of trajectories to their errors: energy estimates, and sums of residuals where nothing damps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ErrorsInTime", "energy_errors", "summed_errors"]


@dataclass(frozen=True)
class ErrorsInTime:
    """Estimates of the error e of b trajectories.

    Attributes
    ----------
    total : (K + 1, b)
        Of (sum_{j<=k} dt_j ||e^j||_X^2)^{1/2}.
    in_mass, in_space : (K + 1, b)
        Of ||e^k||_M and of ||e^k||_X at the times; infinite where nothing is known.
    """

    total: np.ndarray
    in_mass: np.ndarray
    in_space: np.ndarray


def energy_errors(start: np.ndarray, squares: np.ndarray, steps: np.ndarray, alpha: np.ndarray) -> ErrorsInTime:
    """The square root of E_k^2 / min alpha bounds the error up to t_k, E_k the one at t_k in the norm of M.

        ||e^k||_M^2 + sum_{j<=k} dt_j alpha_j ||e^j||_X^2 <= E_k^2
        E_k^2 = ||e^0||_M^2 + sum_{j<=k} dt_j ||r^j||_{X'}^2 / alpha_j

    Test the error equation M (e^k - e^{k-1}) / dt + A e^k = r^k with 2 dt e^k, and use 2 ||r|| ||e||_X <=
    ||r||^2 / alpha + alpha ||e||_X^2 (Grepl and Patera 2005, proposition 1, for implicit Euler).

    Parameters
    ----------
    start : (b,)
        ||e^0||_M^2.
    squares : (K + 1, b)
        ||r^j||_{X'}^2; the first row counts for nothing.
    steps : (K,)
    alpha : (K + 1, b)
        Lower bounds of the coercivity of A at the times.

    Examples
    --------
    >>> found = energy_errors(np.zeros(1), np.array([[0.0], [4.0]]), np.array([0.5]), np.full((2, 1), 2.0))
    >>> found.total.ravel(), found.in_mass.ravel()
    (array([0.        , 0.70710678]), array([0., 1.]))
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(alpha[1:] > 0.0, squares[1:] / alpha[1:], np.inf)
        energy = _from(start, steps[:, None] * shares)
        total = np.where(alpha > 0.0, energy / np.minimum.accumulate(alpha), np.inf)
        weight = np.append(0.0, steps)[:, None] * alpha
        space = np.where(weight > 0.0, energy / weight, np.inf)
    return ErrorsInTime(np.sqrt(total), np.sqrt(energy), np.sqrt(space))


def summed_errors(start: np.ndarray, squares: np.ndarray, steps: np.ndarray) -> ErrorsInTime:
    """||e^k||_M <= ||e^0||_M + sum_{j<=k} dt_j ||r^j||_{M'} where the equation does not amplify errors.

    For X = M, and nothing is said where it amplifies them; `start` and `squares` as for `energy_errors`.

    Examples
    --------
    >>> summed_errors(np.ones(1), np.array([[0.0], [4.0]]), np.array([0.5])).in_mass.ravel()
    array([1., 2.])
    """
    at = _from(np.sqrt(start), steps[:, None] * np.sqrt(squares[1:]))
    total = np.sqrt(_from(np.zeros_like(start), steps[:, None] * at[1:] ** 2))
    return ErrorsInTime(total, at, at)


def _from(start: np.ndarray, increments: np.ndarray) -> np.ndarray:
    """start and start + sums of the increments (K + 1, b)."""
    return np.concatenate([start[None], start + np.cumsum(increments, axis=0)])
