"""Confidence intervals of statistics: Student's, from groups that are left out one at a time, of counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from romflow.core.errors import InputError
from romflow.core.names import shown

__all__ = ["clopper_pearson", "from_groups", "normal_factor", "student_factor", "student_interval"]

Array = NDArray[np.float64]


def normal_factor(confidence: float) -> float:
    """z with P(|Z| <= z) = confidence for a standard normal Z."""
    return float(special.ndtri((1.0 + confidence) / 2.0))


def student_factor(degrees: float, confidence: float) -> float:
    """t with P(|T| <= t) = confidence for Student's T.

    Examples
    --------
    >>> round(student_factor(15, 0.95), 3)
    2.131
    """
    return float(special.stdtrit(degrees, (1.0 + confidence) / 2.0))


def student_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent repetitions (r,) and its interval: mean -+ t_{r-1} s / sqrt(r).

    Raises
    ------
    InputError
        Fewer than two values, a value that is not finite, a confidence that is not between 0 and 1.

    Examples
    --------
    >>> [round(number, 2) for number in student_interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size < 2 or not np.isfinite(numbers).all():
        raise InputError(f"repetitions {shown(numbers.tolist())}: two or more finite numbers are needed, one for each.")
    check_confidence(confidence)
    mean = float(numbers.mean())
    half = student_factor(numbers.size - 1, confidence) * float(numbers.std(ddof=1)) / numbers.size**0.5
    return mean, mean - half, mean + half


def check_confidence(confidence: float) -> None:
    """Raise InputError unless 0 < confidence < 1."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence = {shown(confidence)}; the rule is a number between 0 and 1, such as 0.95.")


def from_groups(without: Array, confidence: float) -> Array:
    """Half of the interval (...) of a statistic from its values (g, ...) with one of g independent groups left out.

    t_{g-1} sqrt((g - 1) / g sum_j (theta_j - mean)^2): the delete-one-group jackknife (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, eq. 11.5). For a mean of equal groups it is Student's interval over them.
    """
    g = without.shape[0]
    if g < 2:
        return np.full(without.shape[1:], np.nan)
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0) * (g - 1) / g
    return np.asarray(student_factor(g - 1, confidence) * np.sqrt(spread))


def clopper_pearson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a probability from `count` of n independent draws that holds it with at least this confidence.

    Clopper and Pearson (Biometrika 26, 1934): quantiles of Beta(count, n - count + 1) and Beta(count + 1, n - count).

    Raises
    ------
    InputError
        Not 0 <= count <= n, n < 1, or a confidence that is not between 0 and 1.

    Examples
    --------
    >>> [round(end, 4) for end in clopper_pearson(0, 1000)]
    [0.0, 0.0037]
    """
    if not (0 <= count <= n and n >= 1):
        raise InputError(f"{shown(count)} of {shown(n)} draws; the rule is 0 <= count <= n and n >= 1.")
    check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low = float(special.betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(special.betaincinv(count + 1, n - count, 1.0 - tail)) if count < n else 1.0
    return low, high
