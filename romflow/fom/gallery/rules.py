"""Rules on parameters that several models of the gallery share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.parameters.space import ParameterSpace


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
