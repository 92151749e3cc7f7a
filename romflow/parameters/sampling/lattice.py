"""Points of a randomly shifted rank-1 lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.lattice_rule import MAX_POINTS, lattice, next_size, points, product_weights
from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import ParameterSpace

__all__ = ["Lattice"]


class Lattice(FixedDesign):
    """The first `size` points of a good lattice rule, shifted at random, through ``space.ppf``.

    ``{k z / n + shift}`` with the generating vector z of :func:`romflow.parameters.lattice_rule.lattice` and n the
    smallest prime or power of two from `size` on; only with size = n the points fill the cube evenly.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Of the shift.
    size : int
        Number of parameters.
    decay : float
        The j-th column matters like j^-decay; 0 where all matter alike.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> mu = Lattice(ParameterSpace([Parameter("a", Uniform(0.0, 5.0))]), size=5).ask()
    >>> np.diff(np.sort(mu[:, 0])).round(12)
    array([1., 1., 1., 1.])
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, size: int, decay: float = 0.0) -> None:
        super().__init__(space, seed)
        self.size = whole_number("size", size)
        if self.size > MAX_POINTS // 2:
            raise ConfigError(f"[sampling] size = {self.size} is above {MAX_POINTS // 2}; lower it, or use "
                              "'latin-hypercube'.")
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0.0 <= decay < np.inf:
            raise ConfigError(f"[sampling] decay = {shown(decay)} is not a number from 0; give one.")
        self.decay = float(decay)

    @property
    def solves(self) -> int:
        return self.size

    def design(self) -> NDArray[np.float64]:
        n, p = next_size(self.size), self.space.size
        z = lattice(n, p, product_weights(p, self.decay))
        return self.space.ppf(points(z, n, 0, self.size, np.random.default_rng(self.seed).random(p)))
