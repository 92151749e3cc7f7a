"""Multifidelity Monte Carlo: a budget split among a full-order model and any number of cheaper ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown
from romflow.uq.asked import Asked, all_failed, asked, evaluated
from romflow.uq.paired.allocation import LEAST_SOLVES, Allocation, select
from romflow.uq.paired.control_variates import check_names, folds_for, whole
from romflow.uq.paired.joint_moments import JointMoments
from romflow.uq.paired.matching import matched_thresholds
from romflow.uq.paired.nested_estimator import influences, nested_estimates
from romflow.uq.paired.nested_sums import MAIN, Fidelity, draws, nested_sums, pair_sums
from romflow.uq.paired.paired_answers import PairedAnswers, paired_answers

__all__ = ["Fidelity", "Pilot", "multifidelity", "run_pilot"]

Array = NDArray[np.float64]

_PILOT = 1
_PILOT_SIZE = 20
# Least time that an evaluation is taken to need, below the clock's resolution.
_INSTANT = 1e-9


@dataclass(frozen=True)
class Pilot:
    """All models at the same few draws: outputs (k, o, n), correlations (k, s), seconds of one evaluation (k,)."""

    values: Array
    correlation: Array
    seconds: Array
    reused: bool

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.values.shape[2]

    @property
    def cost(self) -> float:
        """Seconds of all its evaluations."""
        return float(self.seconds.sum() * self.size)


def multifidelity(models: Sequence[Fidelity], inputs: Any, outputs: Sequence[str], budget: float, *,
                  unit: str = "solves", pilot: int | Array = _PILOT_SIZE, reuse_pilot: bool = False,
                  exceedance: Mapping[str, Sequence[float]] | None = None, confidence: float = 0.95,
                  seed: int = 0) -> PairedAnswers:
    """Means, variances and exceedance probabilities of the full-order outputs with the least variance for a budget.

    A pilot gives correlations and costs; the subset, the order and the numbers of evaluations follow from them
    (`romflow.uq.paired.allocation`); the draws are nested, and each cheaper model corrects the one before it
    (`romflow.uq.paired.nested_estimator`). The estimates are unbiased whatever the cheaper models' bias, because the
    pilot's draws serve the allocation and the coefficients alone. With `reuse_pilot` they are part of the estimate too,
    which saves them for a bias of the order of 1 / pilot times the remaining error.

    Parameters
    ----------
    models : sequence of Fidelity
        The full-order model first; the others in any order.
    inputs : RandomInputs or ParameterSpace
    outputs : sequence of str
        Names of the rows that all models answer.
    budget : float
        Of everything, the pilot too.
    unit : "solves" or "seconds"
        The budget in full-order solves or in seconds.
    pilot : int or (k, p)
        Number of draws of the pilot, or its parameters (such as those of a validation, which are solved already).
    reuse_pilot : bool
        Not for a pilot that is given as parameters.
    exceedance, confidence, seed
        As for `romflow.uq.paired.control_variates.control_variate`.

    Raises
    ------
    InputError
        Numbers or names that break a rule; too small a budget.
    SolveFailed
        Too few full-order solves have an answer.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.uq.evaluation import of_function
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> truth = Fidelity("full", of_function(lambda mu: np.exp(mu[:, 0])), 1.0)
    >>> good = Fidelity("good", of_function(lambda mu: 1 + mu[:, 0] + mu[:, 0] ** 2), 1e-2)
    >>> poor = Fidelity("poor", of_function(lambda mu: mu[:, 0]), 1e-4)
    >>> found = multifidelity([truth, poor, good], space, ["q"], budget=100)
    >>> found.mean["q"].low < np.e - 1 < found.mean["q"].high, list(found.budget)
    (True, ['full', 'good', 'poor'])
    """
    wish, models = asked(outputs, exceedance, confidence), tuple(models)
    check_names(models)
    _check(budget, unit, pilot, reuse_pilot)
    first = run_pilot(models, inputs, wish, pilot, whole("seed", seed, 0), reuse_pilot)
    seconds = float(budget) * (first.seconds[0] if unit == "solves" else 1.0)
    chosen = _select(first, seconds, models[0].name)
    kept = [replace(models[i], seconds=float(first.seconds[i])) for i in chosen.models]
    counts = np.maximum.accumulate(np.maximum(chosen.evaluations, first.size if reuse_pilot else 0)).tolist()
    values = first.values[list(chosen.models)]
    sums = nested_sums(kept, counts, inputs, wish, seed, folds_for(counts[0]), values[0] if reuse_pilot else None,
                       None if reuse_pilot else values)
    return paired_answers(wish, kept, counts, sums, nested_estimates(wish, sums),
                          0.0 if reuse_pilot else first.cost, _notes(models, chosen, first))


def run_pilot(models: Sequence[Fidelity], inputs: Any, wish: Asked, pilot: int | Array, seed: int,
              reuse: bool = False) -> Pilot:
    """Evaluate all models at the pilot's draws; with `reuse` they are the first ones of the main stream.

    Raises
    ------
    InputError, SolveFailed
        Fewer than 5 draws; no answers.
    """
    if np.ndim(pilot) == 2:
        mu = _given(pilot, inputs.size)
    else:
        mu = draws(inputs, seed, MAIN if reuse else _PILOT, 0, whole("pilot", pilot, 5))
    values, seconds = [], []
    for model in models:
        begun = time.perf_counter()
        values.append(evaluated(model.evaluate, mu, wish.outputs, model.name))
        seconds.append(model.seconds or max((time.perf_counter() - begun) / len(mu), _INSTANT))
    found = np.array(values)
    good = np.isfinite(found).all(axis=(0, 1))
    if good.sum() < 5:
        raise all_failed("the pilot", len(mu))
    moments = pair_sums(wish, found, found[:, :, good].mean(axis=2), matched_thresholds(wish, found))
    return Pilot(found, _correlations(wish, moments), np.array(seconds), reuse)


def _given(pilot: Any, p: int) -> Array:
    mu = np.asarray(pilot, dtype=float)
    if mu.shape[1] != p or not np.isfinite(mu).all():
        raise ShapeError(f"pilot has shape {mu.shape}; the rule is finite parameters (k, {p})")
    return mu


def _correlations(wish: Asked, moments: tuple[JointMoments, JointMoments]) -> Array:
    """(k, s) with the first model, for all statistics that are asked for and vary in the pilot."""
    parts = [influences(moments[0], "mean"), influences(moments[0], "variance")]
    S = np.concatenate([*parts, influences(moments[1], "exceedance")] if wish.thresholds else parts)
    varying = S[:, 0, 0] > 0.0
    S = S[varying] if varying.any() else S
    own = np.einsum("gkk->gk", S)
    size = np.sqrt(own * own[:, :1])
    rho = np.divide(S[:, 0], size, out=np.zeros_like(size), where=size > 0.0)
    return np.clip(rho.T, -1.0, 1.0)


def _select(pilot: Pilot, seconds: float, name: str) -> Allocation:
    left = seconds if pilot.reused else seconds - pilot.cost
    if left < LEAST_SOLVES * pilot.seconds[0]:
        raise InputError(f"multifidelity: the budget of {seconds:.4g} s less the pilot's {pilot.cost:.4g} s leaves "
                         f"fewer than {LEAST_SOLVES} solves of {name} ({pilot.seconds[0]:.4g} s each); give a larger "
                         "budget or a smaller pilot")
    return select(pilot.correlation, pilot.seconds, left)


def _notes(models: Sequence[Fidelity], chosen: Allocation, pilot: Pilot) -> list[str]:
    notes = [f"{model.name} is left out: it costs more than its correlation is worth"
             for i, model in enumerate(models) if i not in chosen.models]
    if any(model.seconds is None for model in models):
        notes.append("seconds of an evaluation were measured, so that another run may split the budget otherwise")
    if pilot.reused:
        notes.append(f"the {pilot.size} draws of the pilot are part of the estimates")
    return notes


def _check(budget: float, unit: str, pilot: Any, reuse: bool) -> None:
    if unit not in ("solves", "seconds"):
        raise InputError(f"unit = {shown(unit)} of a budget; the rule is \"solves\" or \"seconds\"")
    if isinstance(budget, bool) or not isinstance(budget, int | float | np.number) or not 0.0 < budget < np.inf:
        raise InputError(f"budget = {shown(budget)}; the rule is a positive number of {unit}")
    if np.ndim(pilot) == 2 and reuse:
        raise InputError("reuse_pilot goes with a number of draws; parameters that were chosen otherwise are no draws")
