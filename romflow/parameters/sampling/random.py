"""Independent random parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import ParameterSpace

__all__ = ["Random"]


class Random(FixedDesign):
    """Independent parameters, each from its distribution: ``space.sample(size, default_rng(seed))``.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Of the random numbers.
    size : int
        Number of parameters.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> Random(ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]), size=3).ask().shape
    (3, 1)
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, size: int) -> None:
        super().__init__(space, seed)
        self.size = whole_number("size", size)

    @property
    def solves(self) -> int:
        return self.size

    def design(self) -> NDArray[np.float64]:
        return self.space.sample(self.size, np.random.default_rng(self.seed))
