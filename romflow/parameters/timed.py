"""Coefficients that may depend on the time: a `Theta` with the column "t" behind those of the parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.expressions import Theta

__all__ = ["coefficients_at", "depends_on_time", "loaded", "row_at"]


def depends_on_time(theta: Theta) -> bool:
    """Whether any expression uses the column "t".

    Examples
    --------
    >>> depends_on_time(Theta(["a"], ["a", "t"])), depends_on_time(Theta(["a * t"], ["a", "t"]))
    (False, True)
    """
    return bool(theta.columns) and theta.columns[-1] == "t" and len(theta.columns) - 1 in theta.used


def coefficients_at(theta: Theta, mu: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """theta(mu, t) (b, Q) for mu (b, p); the time is left out where theta has no column for it.

    Examples
    --------
    >>> coefficients_at(Theta(["a * t"], ["a", "t"]), np.array([[2.0], [3.0]]), 0.5)
    array([[1. ],
           [1.5]])
    """
    return theta(row_at(theta, mu, t))


def row_at(theta: Theta, mu: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """mu (b, p) with the time behind it where theta has a column for it.

    Examples
    --------
    >>> row_at(Theta(["a * t"], ["a", "t"]), np.array([[2.0]]), 0.5), row_at(Theta(["a"], ["a"]), np.ones((1, 1)), 0.5)
    (array([[2. , 0.5]]), array([[1.]]))
    """
    if theta.columns and theta.columns[-1] == "t":
        return np.column_stack([mu, np.full(len(mu), t)])
    return mu


def loaded(theta: Theta, load: str, columns: Sequence[str]) -> Theta:
    """The coefficients times a load, a text in the parameters `columns` and "t"; theta itself where the load is "1".

    Examples
    --------
    >>> loaded(Theta(["a"], ["a"]), "sin(t)", ["a"])(np.array([[2.0, 0.0]]))
    array([[0.]])
    """
    if load.strip() in ("1", "1.0"):
        return theta
    factor = load.strip()
    return Theta([factor if text in ("1", "1.0") else f"({text}) * ({factor})" for text in theta.expressions],
                 (*columns, "t"))
