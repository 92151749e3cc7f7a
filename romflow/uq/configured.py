"""What the table [uq] of a study says, as the objects that do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.core.uq_section import CopulaConfig, UqConfig
from romflow.parameters.configured import configured_distribution
from romflow.parameters.copulas import Copula, Gaussian, Student
from romflow.parameters.correlation import correlation_of_pairs
from romflow.parameters.space import ParameterSpace
from romflow.uq.inputs import RandomInputs
from romflow.uq.wishes import Wishes

__all__ = ["random_inputs", "wishes"]


def random_inputs(config: UqConfig, space: ParameterSpace, base: str | Path = ".") -> RandomInputs:
    """The random inputs of a study: the parameters' distributions, those of [uq.inputs.NAME], and [uq.copula].

    Raises
    ------
    ConfigError
        An unknown name, or a distribution or correlation that breaks its rule.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=2)])
    >>> config = UqConfig.model_validate({"copula": {"pairs": {"a_0, a_1": 0.5}}})
    >>> random_inputs(config, space).copula.correlation.tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    try:
        marginals = {name: configured_distribution(name, table, base) for name, table in config.inputs.items()}
        for name, table in config.inputs.items():
            if table.size != 1:
                raise ParameterError(f"{name} has a size; the size is that of [parameters.{name}], leave it out here.")
        return RandomInputs(space, marginals, None if config.copula is None else _copula(config.copula, space))
    except (ParameterError, ShapeError) as error:
        raise ConfigError(f"[uq] {str(error).removeprefix('random inputs: ')}") from error


def wishes(config: UqConfig, inputs: RandomInputs) -> Wishes:
    """The draws and answers that a study asks for; indices of inputs that all depend on each other only if written.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> inputs = RandomInputs(ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]))
    >>> wishes(UqConfig(size=4096), inputs).draws
    'sobol'
    """
    answers = config.answers()
    if "sensitivity" not in config.model_fields_set and inputs.size > 1 and len(inputs.groups) == 1:
        answers["sensitivity"] = False
    return Wishes(draws=config.draws, size=config.size, seed=config.seed, repetitions=config.repetitions,
                  confidence=config.confidence, outputs=config.outputs, outside=config.outside, batch=config.batch,
                  sensitivity_size=config.sensitivity_size, level=config.level, **answers)


def _copula(config: CopulaConfig, space: ParameterSpace) -> Copula:
    correlation = config.correlation if config.pairs is None else correlation_of_pairs(space.columns, config.pairs)
    ragged = len({len(row) for row in correlation}) > 1 if isinstance(correlation, list) else False
    if ragged:
        raise ParameterError("copula: the rows of correlation have different lengths; give p rows of p numbers.")
    R = np.array(correlation, dtype=float)
    return Gaussian(R) if config.kind == "gaussian" else Student(R, config.degrees)
