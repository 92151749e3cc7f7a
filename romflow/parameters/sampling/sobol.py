"""Sobol' points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import ParameterSpace

__all__ = ["Sobol"]


class Sobol(FixedDesign):
    """The first `size` points of the Sobol' sequence in the unit cube, through ``space.ppf``.

    A power of two points fill the cube evenly; other numbers are the beginning of the next power of two. By
    ``scipy.stats.qmc.Sobol`` (Joe and Kuo, SIAM J. Sci. Comput. 30, 2008), scrambled by Owen's linear matrix scramble.

    Parameters
    ----------
    space : ParameterSpace
        At most 21201 columns.
    seed : int
        Of the scramble.
    size : int
        Number of parameters.
    scramble : bool
        Random scramble; without it the first point has every unit coordinate 0.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> Sobol(ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]), size=4, scramble=False).ask()[:, 0]
    array([0.  , 0.5 , 0.75, 0.25])
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, size: int, scramble: bool = True) -> None:
        super().__init__(space, seed)
        self.size = whole_number("size", size)
        if not isinstance(scramble, bool):
            raise ConfigError(f"[sampling] scramble = {shown(scramble)} is neither true nor false; write one of them.")
        if space.size > qmc.Sobol.MAXDIM:
            raise ConfigError(
                f"[sampling] method = 'sobol' takes at most {qmc.Sobol.MAXDIM} columns; "
                f"this space has {space.size}, use 'latin-hypercube'."
            )
        self.scramble = scramble

    @property
    def solves(self) -> int:
        return self.size

    def design(self) -> NDArray[np.float64]:
        sequence = qmc.Sobol(self.space.size, scramble=self.scramble, rng=np.random.default_rng(self.seed))
        points = sequence.random_base2((self.size - 1).bit_length())
        return self.space.ppf(points[: self.size])
