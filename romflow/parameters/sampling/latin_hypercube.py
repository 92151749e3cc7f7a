"""Latin hypercube design."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import ParameterSpace

__all__ = ["LatinHypercube"]


class LatinHypercube(FixedDesign):
    """Each of the `size` equally likely parts of every axis holds exactly one parameter.

    ``u[i, j] = (pi_j(i) + v_ij) / size`` with independent random permutations pi_j and uniform v_ij (McKay, Beckman and
    Conover, Technometrics 21, 1979, section 2), then ``space.ppf(u)``.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Of the permutations and of the places within the parts.
    size : int
        Number of parameters.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> design = LatinHypercube(ParameterSpace([Parameter("a", Uniform(0.0, 4.0))]), size=4).ask()
    >>> np.sort(np.floor(design[:, 0]))
    array([0., 1., 2., 3.])
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, size: int) -> None:
        super().__init__(space, seed)
        self.size = whole_number("size", size)

    @property
    def solves(self) -> int:
        return self.size

    def design(self) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.seed)
        parts = rng.permuted(np.tile(np.arange(self.size, dtype=np.float64), (self.space.size, 1)), axis=1).T
        return self.space.ppf((parts + rng.random(parts.shape)) / self.size)
