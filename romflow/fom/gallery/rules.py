"""Rules on parameters that several models of the gallery share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, ParameterError
from romflow.core.names import nearest, shown
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

# Where texts in the parameters are tried: the corners of so many parameters, and random samples.
_CORNERS = 8
_SAMPLES = 200


def check_positive(kind: str, parameters: ParameterSpace, columns: Sequence[str]) -> None:
    """Raise ConfigError unless these columns take positive values only."""
    # The smallest value that is drawn; the support alone would refuse log-normal, which never gives its end 0.
    smallest = parameters.ppf(np.zeros((1, parameters.size)))[0]
    for name, value in zip(parameters.columns, smallest, strict=True):
        if name in columns and value <= 0.0:
            raise ConfigError(f"{kind} needs a positive {name}, and its distribution reaches {shown(float(value))}; "
                              "choose a distribution above zero")


def check_columns(kind: str, parameters: ParameterSpace, needed: Sequence[str]) -> None:
    """Raise ConfigError unless the parameters are exactly `needed`, in any order."""
    for name in parameters.columns:
        if name not in needed:
            raise ConfigError(f"{kind} has no parameter {shown(name)}{nearest(name, needed)}")
    for name in needed:
        if name not in parameters.columns:
            raise ConfigError(f"{kind} needs the parameter {shown(name)}; add [parameters.{name}]")


def number(name: str, value: Any) -> float:
    """`value` as a finite float; ConfigError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ConfigError(f"{name} = {shown(value)} is not a number; give one")
    if not np.isfinite(value):
        raise ConfigError(f"{name} = {shown(value)} is not finite; give a finite number")
    return float(value)


def values_on(name: str, text: str | float, parameters: ParameterSpace) -> np.ndarray:
    """Values of a text in the parameters at the corners of their box, its middle and 200 samples.

    Raises
    ------
    ConfigError
        The option is neither a text nor a number, or not finite somewhere.
    """
    if not isinstance(text, str):
        number(name, text)
    theta = Theta([text], parameters.columns)
    few = min(parameters.size, _CORNERS)
    ends = np.full((2**few, parameters.size), 0.5)
    ends[:, :few] = (np.arange(2**few)[:, None] >> np.arange(few)) & 1
    unit = np.vstack([ends, np.full((1, parameters.size), 0.5)])
    mu = np.vstack([parameters.ppf(unit), parameters.sample(_SAMPLES, np.random.default_rng(0))])
    try:
        return theta(mu)[:, 0]
    except ParameterError as error:
        raise ConfigError(f"{name} = {shown(text)} is not finite on the space of the parameters ({error})") from error
