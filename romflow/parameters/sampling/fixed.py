"""What designs that are chosen beforehand have in common: they ask once and are told nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.space import ParameterSpace

__all__ = ["FixedDesign", "whole_number"]


class FixedDesign(ABC):
    """A sampler that asks for all its parameters at once, and then for none.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Of the random numbers; the same seed gives the same design.

    Raises
    ------
    ConfigError
        The seed is not a whole number from 0.
    """

    def __init__(self, space: ParameterSpace, seed: int = 0) -> None:
        self.space = space
        self.seed = whole_number("seed", seed, least=0)
        self._asked = False

    @property
    @abstractmethod
    def solves(self) -> int:
        """Number of parameters, and so the most full-order solves."""

    @abstractmethod
    def design(self) -> NDArray[np.float64]:
        """All parameters (k, p); the same at every call."""

    def ask(self) -> NDArray[np.float64]:
        """All parameters (k, p) the first time, none (0, p) afterwards."""
        if self._asked:
            return np.empty((0, self.space.size))
        self._asked = True
        return self.design()

    def tell(self, rom: Any) -> None:
        """Nothing: a fixed design does not depend on the reduced model."""
        del rom

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON."""
        return {"asked": self._asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        self._asked = bool(state["asked"])


def whole_number(key: str, value: object, least: int = 1) -> int:
    """`value` of a key of [sampling] as an int.

    Raises
    ------
    ConfigError
        It is not a whole number from `least`.

    Examples
    --------
    >>> whole_number("size", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"[sampling] {key} = {shown(value)} is not a whole number from {least}; give one.")
    return int(value)
