"""What the table [uq] of a study asks: whether it can be answered, and how many full-order solves it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from romflow.core.errors import ConfigError, NotSupported
from romflow.core.names import shown
from romflow.uq.bayes.data import Data
from romflow.uq.bayes.samplers.ensemble import load_emcee
from romflow.uq.configured import wishes
from romflow.uq.draws import Draws
from romflow.uq.error_split import DomainWish
from romflow.uq.inputs import RandomInputs
from romflow.uq.streaming.propagation import refuse_outside
from romflow.uq.streaming.quadrature import sparse_nodes
from romflow.uq.wishes import Wishes

if TYPE_CHECKING:
    from romflow.study import Study

# Draws that are looked at before a run.
_FIRST = 8192

__all__ = ["check_uncertainty", "levels_wish", "uncertainty_solves"]


def check_uncertainty(study: Study, names: tuple[str, ...], times: Sequence[float] | None = None) -> None:
    """Refuse what the table [uq] asks and cannot be answered, before anything is solved.

    Parameters
    ----------
    study : Study
    names : tuple of str
        Of the outputs.
    times : (K + 1,), optional
        Of a model in time.

    Raises
    ------
    ConfigError, InputError
        Unknown names, more draws than can be made, inputs beyond the range of a model that is to be solved there,
        missing measurements or such at times that the model does not reach.
    NotSupported
        The model has no outputs, or no times for measurements in time; the package of a sampler is not installed.
    """
    config = study.config.uq
    if config is None:
        return
    if not names:
        raise NotSupported("[uq] asks for statistics of outputs, and this model has none; give it outputs")
    inputs = study.random_inputs()
    asked = wishes(config, inputs)
    asked.chosen(names)
    _check_draws(asked, inputs)
    solved = {"uq": config.model == "full-order", "uq.control": config.control, "uq.levels": config.levels,
              "uq.calibration": config.calibration is not None and config.calibration.tolerance}
    for table, wanted in solved.items():
        if wanted:
            _check_solvable(table, inputs)
    if config.calibration is not None:
        if config.calibration.sampler == "emcee":
            load_emcee()
        _check_data(Data.from_csv(study.base / config.calibration.data), names, times)
    if config.levels is not None:
        levels_wish(study, inputs)


def _check_draws(asked: Wishes, inputs: RandomInputs) -> None:
    """Refuse draws that cannot be made, and where `outside` is "refuse" first ones that are outside the range."""
    if asked.draws == "sparse-grid":
        sparse_nodes(inputs, asked.level)
        return
    draws = Draws(asked.draws, asked.size, inputs.size, asked.seed, asked.repetitions)
    if asked.outside == "refuse":
        refuse_outside(inputs, inputs.ppf(draws.block(0, 0, min(draws.each, _FIRST))))


def _check_data(data: Data, names: tuple[str, ...], times: Sequence[float] | None) -> None:
    data.rows(names)
    if data.times is None:
        return
    if times is None or len(times) < 2:
        raise NotSupported("[uq.calibration]: the measurements have times and the model has none; leave the column "
                           "time out.")
    data.in_time(np.zeros((len(names), len(times), 1)), np.asarray(times), names)


def _check_solvable(table: str, inputs: RandomInputs) -> None:
    """Refuse inputs that reach beyond the range in which the full-order model is defined."""
    space = inputs.space
    for j, (column, marginal) in enumerate(zip(space.columns, inputs.marginals, strict=True)):
        low, high = marginal.support
        if low < space.low[j] or high > space.high[j]:
            raise ConfigError(f"[{table}] solves the full-order model, and {column} reaches from {shown(low)} to "
                              f"{shown(high)}, beyond its range {shown(float(space.low[j]))} to "
                              f"{shown(float(space.high[j]))}; truncate its distribution, or widen the parameter")


def levels_wish(study: Study, inputs: RandomInputs) -> DomainWish:
    """What [uq.levels] asks for.

    Raises
    ------
    ConfigError
        The mesh is not a number of cells, or the inputs are too few.
    """
    config = study.config.uq
    if config is None or config.levels is None:
        raise ConfigError("the study has no table [uq.levels]; add one")
    wish, size = config.levels, inputs.size
    own = study.config.model.options.get(wish.option)
    cells = wish.cells if wish.cells is not None else own
    if not isinstance(cells, int) or not isinstance(own, int | None) or isinstance(own, bool):
        raise ConfigError(f"[uq.levels] needs cells: the model's option {shown(wish.option)} is {shown(own)}; give a "
                          "whole number, or name another option")
    dimension = wish.dimension if wish.dimension is not None else size // 2
    if not 2 <= dimension < size:
        raise ConfigError(f"[uq.levels] dimension = {dimension} of {size} inputs; the rule is at least 2 and fewer "
                          "than all")
    space = inputs.space
    for j in range(dimension // 2, size):
        if not space.low[j] <= wish.neutral <= space.high[j]:
            raise ConfigError(f"[uq.levels] neutral = {shown(wish.neutral)} is outside the range "
                              f"{shown(float(space.low[j]))} to {shown(float(space.high[j]))} of {space.columns[j]}; "
                              "give a value within, at which an input does nothing")
    return DomainWish(dimension, size, cells, wish.size, wish.few, wish.repetitions, wish.order, wish.neutral,
                      wish.seed, config.confidence)


def uncertainty_solves(study: Study) -> int:
    """Full-order solves of [uq] at most, without those that a calibration decides on or a budget in seconds allows."""
    config = study.config.uq
    if config is None:
        return 0
    inputs, solves = study.random_inputs(), 0
    if config.model == "full-order" and config.draws != "sparse-grid":
        asked = wishes(config, inputs)
        solves += Draws(asked.draws, asked.size, inputs.size, asked.seed, asked.repetitions).size
        solves += asked.base_points(len(inputs.groups)) * (len(inputs.groups) + 2) if asked.sensitivity else 0
    if config.control is not None and config.control.solves is not None:
        solves += config.control.solves
    if config.levels is not None:
        wish = levels_wish(study, inputs)
        each = Draws(wish.kind, wish.size * wish.repetitions, wish.larger, wish.seed, wish.repetitions).each
        solves += wish.repetitions * (each + 4 * (wish.few or max(1, each // 4)))
    return solves
