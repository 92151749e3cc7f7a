"""Tensor grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import MAX_GRID, ParameterSpace

__all__ = ["Grid"]


class Grid(FixedDesign):
    """All combinations of a number of values a column: ``space.grid(per_axis)``.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Not used; every sampler takes one.
    per_axis : int or sequence of p int
        Values a column.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> Grid(ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]), per_axis=3).ask()[:, 0]
    array([0. , 0.5, 1. ])
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, per_axis: int | Sequence[int]) -> None:
        super().__init__(space, seed)
        if isinstance(per_axis, list | tuple):
            if len(per_axis) != space.size:
                raise ConfigError(
                    f"[sampling] per_axis = {shown(per_axis)} has {len(per_axis)} numbers; "
                    f"this space has {space.size} columns, give one number a column."
                )
            self.per_axis = [whole_number("per_axis", count) for count in per_axis]
        else:
            self.per_axis = [whole_number("per_axis", per_axis)] * space.size
        if self.solves > MAX_GRID:
            raise ConfigError(
                f"[sampling] per_axis = {shown(per_axis)} asks for {shown(self.solves, 20)} parameters; "
                f"at most {MAX_GRID} are made, use another method."
            )

    @property
    def solves(self) -> int:
        return math.prod(self.per_axis)

    def design(self) -> NDArray[np.float64]:
        return self.space.grid(self.per_axis)
