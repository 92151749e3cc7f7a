"""How many evaluations each of several models deserves: multifidelity Monte Carlo under a budget."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown

__all__ = ["LEAST_SOLVES", "Allocation", "allocate", "relative_variance", "select"]

Array = NDArray[np.float64]

#: Full-order solves below which an estimated coefficient is worth nothing.
LEAST_SOLVES = 10
_MOST_MODELS = 12


@dataclass(frozen=True)
class Allocation:
    """Models in their order and how often each is evaluated.

    Attributes
    ----------
    models : tuple of int
        Chosen models, 0 (the full-order one) first, then by falling correlation.
    evaluations : tuple of int
        m_1 <= m_2 <= ..., one number for each chosen model.
    relative_variance : float
        Variance of the estimated mean divided by the variance of the output.
    """

    models: tuple[int, ...]
    evaluations: tuple[int, ...]
    relative_variance: float


def relative_variance(evaluations: Array, rho2: Array) -> float:
    """1 / m_1 - sum_i (1 / m_{i-1} - 1 / m_i) rho_i^2 with the optimal coefficients.

    Peherstorfer, Willcox and Gunzburger 2016, eq. (3.4) with alpha_i = rho_i sigma_1 / sigma_i (theorem 3.4).

    Parameters
    ----------
    evaluations : (k,)
    rho2 : (k,)
        Squared correlations with the first model; the first is 1.
    """
    inverse = 1.0 / np.asarray(evaluations, dtype=float)
    return float(inverse[0] - (inverse[:-1] - inverse[1:]) @ np.asarray(rho2)[1:])


def allocate(rho2: Array, seconds: Array, budget: float, least: int = LEAST_SOLVES) -> tuple[int, ...]:
    """Evaluations m (k,) that a budget buys with the least variance; the models are in their order.

    m_1 = budget / (w^T r) and m_i = r_i m_1 with r_i = sqrt(w_1 (rho_i^2 - rho_{i+1}^2) / (w_i (1 - rho_2^2))),
    Peherstorfer, Willcox and Gunzburger 2016, theorem 3.4. Where that gives fewer than `least` full-order solves, these
    are fixed at `least` and the rest of the budget is split among the other models in the same proportions (as Gruber,
    Gunzburger, Ju and Wang 2022 do for small budgets). Numbers are rounded down, so that the budget holds.

    Parameters
    ----------
    rho2 : (k,)
        Squared correlations with the first model, 1 first, falling.
    seconds : (k,)
        w, of one evaluation.
    budget : float
        Seconds.
    least : int
        Fewest full-order solves.

    Raises
    ------
    InputError
        The budget does not buy `least` evaluations of every model.

    Examples
    --------
    >>> allocate(np.array([1.0, 0.99]), np.array([1.0, 0.01]), 100.0)
    (50, 4987)
    """
    rho2, w = np.asarray(rho2, dtype=float), np.asarray(seconds, dtype=float)
    needed = least * w.sum()
    if not budget * (1 + 1e-12) >= needed:
        raise InputError(f"multifidelity: the budget of {shown(float(budget))} s buys fewer than {least} evaluations "
                         f"of each of {w.size} models, which take {needed:.4g} s; give a larger budget")
    steps = np.maximum(rho2 - np.append(rho2[1:], 0.0), 0.0)
    ratios = np.sqrt(steps / w)
    free = budget / (w @ ratios) * ratios
    if free[0] >= least:
        counts = free
    elif w.size == 1 or not ratios[1:].any():
        counts = np.full(w.size, float(least))
    else:
        counts = np.append(float(least), (budget - least * w[0]) / (w[1:] @ ratios[1:]) * ratios[1:])
    whole = np.floor(counts * (1 + 1e-12)).astype(np.int64)
    return tuple(int(m) for m in np.maximum.accumulate(np.maximum(whole, least)))


def select(rho: Array, seconds: Array, budget: float, least: int = LEAST_SOLVES) -> Allocation:
    """The subset and order of models with the least variance, and its allocation.

    All subsets that hold the full-order model are tried (Peherstorfer, Willcox and Gunzburger 2016, algorithm 1). One
    is admitted where |rho| falls and w_{i-1} / w_i > (rho_{i-1}^2 - rho_i^2) / (rho_i^2 - rho_{i+1}^2), eq. (3.13).

    Parameters
    ----------
    rho : (k,) or (k, s)
        Correlation of each model with the first, for one or several statistics: with several, their mean square
        counts, which is exact for the mean of their relative variances.
    seconds : (k,)
    budget : float
        Seconds.

    Raises
    ------
    ShapeError, InputError
        Shapes differ; a number is not finite, costs are not positive, correlations are beyond 1; too small a budget.

    Examples
    --------
    >>> select(np.array([1.0, 0.7, 0.99]), np.array([1.0, 0.1, 0.01]), 100.0).models
    (0, 2)
    """
    rho, w = np.asarray(rho, dtype=float), np.asarray(seconds, dtype=float)
    _check(rho, w, budget)
    rho2 = rho**2 if rho.ndim == 1 else np.mean(rho**2, axis=1)
    order = sorted(range(1, w.size), key=lambda i: (-rho2[i], w[i], i))
    best: Allocation | None = None
    for count in range(w.size):
        for chosen in combinations(order, count):
            found = _of_subset((0, *chosen), rho2, w, budget, least)
            if found is not None and (best is None or found.relative_variance < best.relative_variance):
                best = found
    if best is None:
        raise InputError(f"multifidelity: the budget of {shown(float(budget))} s buys fewer than {least} full-order "
                         f"solves of {w[0]:.4g} s; give a larger budget")
    return best


def _of_subset(models: tuple[int, ...], rho2: Array, w: Array, budget: float, least: int) -> Allocation | None:
    own, cost = np.append(1.0, rho2[list(models[1:])]), w[list(models)]
    drops = own - np.append(own[1:], 0.0)
    if len(models) > 1 and ((drops[1:] <= 0.0).any() or (cost[:-1] * drops[1:] <= cost[1:] * drops[:-1]).any()):
        return None
    if budget * (1 + 1e-12) < least * cost.sum():
        return None
    counts = allocate(own, cost, budget, least)
    return Allocation(models, counts, relative_variance(np.array(counts, dtype=float), own))


def _check(rho: Array, w: Array, budget: float) -> None:
    if w.ndim != 1 or rho.ndim not in (1, 2) or rho.shape[0] != w.size or not w.size:
        raise ShapeError(f"multifidelity got correlations of shape {rho.shape} and costs of shape {w.shape}; the rule "
                         "is one row of correlations and one cost a model")
    if w.size > _MOST_MODELS:
        raise InputError(f"multifidelity got {w.size} models; the rule is at most {_MOST_MODELS}, because all subsets "
                         "are tried: leave the poorer ones out")
    if not (np.isfinite(rho).all() and (np.abs(rho) <= 1.0 + 1e-9).all()):
        raise InputError("multifidelity: a correlation is not a number from -1 to 1; look at the pilot's outputs")
    if not (np.isfinite(w).all() and (w > 0.0).all()):
        raise InputError("multifidelity: the seconds of a model are not positive and finite; measure or give them")
    if not (np.isfinite(budget) and budget > 0.0):
        raise InputError(f"multifidelity: the budget is {shown(float(budget))}; the rule is a positive number of "
                         "seconds")
