"""The distribution that a table of the study file describes, with the files that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from romflow.core.errors import InputError, ParameterError
from romflow.core.parameter_rules import DISTRIBUTION_KEYS
from romflow.parameters.distribution import Distribution
from romflow.parameters.distributions import from_spec
from romflow.parameters.empirical import Table
from romflow.parameters.tables import read_table

if TYPE_CHECKING:
    from romflow.core.parameter_section import ParameterConfig

__all__ = ["configured_distribution"]


def configured_distribution(name: str, config: ParameterConfig, base: str | Path = ".") -> Distribution:
    """The distribution of [parameters.NAME] or [uq.inputs.NAME].

    Parameters
    ----------
    name : str
        NAME; also the column of a table's file if none is given.
    config : ParameterConfig
    base : path
        Folder of the study file.

    Raises
    ------
    ParameterError, InputError
        The file of a table is missing, damaged, empty or holds wrong numbers.

    Examples
    --------
    >>> from romflow.core.parameter_section import ParameterConfig
    >>> configured_distribution("a", ParameterConfig(distribution="normal", mean=0.0, std=1.0))
    Normal(mean=0.0, std=1.0)
    """
    if config.file is not None:
        return _from_file(name, config, Path(base, config.file))
    given = {key: getattr(config, key) for key in DISTRIBUTION_KEYS[config.distribution]}
    numbers = {key: value for key, value in given.items() if value is not None}
    return from_spec({"distribution": config.distribution, **numbers})


def _from_file(name: str, config: ParameterConfig, file: Path) -> Table:
    column = config.column or name
    names = [column] if config.weights is None else [column, str(config.weights)]
    if len(set(names)) != len(names):
        raise ParameterError(f"{name}: the values and the weights are both the column {column!r} of {file}; name two.")
    try:
        rows = read_table(file, names, others=True)
        weights = None if config.weights is None else rows[:, 1].tolist()
        return Table(rows[:, 0].tolist(), weights, bool(config.discrete))
    except InputError as error:
        text = str(error)
        raise type(error)(f"{name}: {text}" if text.startswith(str(file)) else f"{name}: {file}: {text}") from error
