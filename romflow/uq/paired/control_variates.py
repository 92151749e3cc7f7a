"""A reduced model as control variate: statistics of the full-order outputs from few full-order solves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from romflow.core.errors import InputError
from romflow.core.names import shown
from romflow.uq.asked import asked
from romflow.uq.paired.nested_estimator import nested_estimates
from romflow.uq.paired.nested_sums import Fidelity, nested_sums
from romflow.uq.paired.paired_answers import PairedAnswers, paired_answers

__all__ = ["FOLDS", "control_variate", "folds_for"]

#: Parts of the draws whose coefficients come from the other parts.
FOLDS = 5
_LEAST_IN_FOLD = 2


def control_variate(truth: Fidelity, reduced: Fidelity, inputs: Any, outputs: Sequence[str], solves: int,
                    evaluations: int | None = None, *, exceedance: Mapping[str, Sequence[float]] | None = None,
                    confidence: float = 0.95, seed: int = 0) -> PairedAnswers:
    """Means, variances and exceedance probabilities of the full-order outputs, unbiased for any reduced model.

    mean(q) + alpha (mean over all draws(q_rom) - mean over the paired draws(q_rom)), alpha from other draws than it is
    applied to; see `romflow.uq.paired.nested_estimator` for the formula, the intervals and their sources. Cost:
    `solves` full-order and `evaluations` reduced ones; the full-order model is asked once, for all its parameters.

    Parameters
    ----------
    truth, reduced : Fidelity
    inputs : RandomInputs or ParameterSpace
        `size` and `ppf(unit (k, p))`.
    outputs : sequence of str
        Names of the rows that both models answer.
    solves : int
        Full-order solves, at least 10.
    evaluations : int, optional
        Of the reduced model; 100 times the solves by default.
    exceedance : mapping of str to numbers, optional
        Thresholds by output.
    confidence : float
    seed : int

    Raises
    ------
    InputError
        Numbers or names that break a rule; models with different numbers of outputs.
    SolveFailed
        Too few full-order solves have an answer.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.uq.evaluation import of_function
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> truth = Fidelity("full", of_function(lambda mu: mu[:, 0] ** 2), 1.0)
    >>> rom = Fidelity("reduced", of_function(lambda mu: 2.0 + 1.1 * mu[:, 0]), 1e-3)
    >>> found = control_variate(truth, rom, space, ["q"], 50, 5000)
    >>> found.mean["q"].low < 1 / 3 < found.mean["q"].high, found.gain["q"]["mean"] > 5
    (True, True)
    """
    wish = asked(outputs, exceedance, confidence)
    solves = whole("solves", solves, FOLDS * _LEAST_IN_FOLD)
    evaluations = 100 * solves if evaluations is None else whole("evaluations", evaluations, solves)
    models, counts = (truth, reduced), (solves, evaluations)
    check_names(models)
    sums = nested_sums(models, counts, inputs, wish, whole("seed", seed, 0), folds_for(solves))
    return paired_answers(wish, models, counts, sums, nested_estimates(wish, sums))


def folds_for(solves: int) -> int:
    """Number of folds: each holds two draws at least."""
    return max(2, min(FOLDS, solves // _LEAST_IN_FOLD))


def check_names(models: Sequence[Fidelity]) -> None:
    """Two models or more, each with a name of its own.

    Raises
    ------
    InputError
        They are not.
    """
    names = [model.name for model in models if isinstance(model, Fidelity)]
    if len(names) < max(2, len(models)) or len(set(names)) < len(names):
        raise InputError(f"the models are {shown([getattr(model, 'name', model) for model in models])}; the rule is "
                         "two or more Fidelity with different names, the full-order one first")


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`, checked.

    Raises
    ------
    InputError
        It is not.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise InputError(f"{name} = {shown(value)}; the rule is a whole number of at least {least}")
    return int(value)
