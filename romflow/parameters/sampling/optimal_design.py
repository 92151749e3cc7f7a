"""Random designs that are optimal for weighted least squares with polynomials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest, shown
from romflow.parameters.polynomials.basis import marginals_of, polynomial_basis
from romflow.parameters.polynomials.designs import DESIGNS, conditioned, optimal_germs
from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.space import ParameterSpace

__all__ = ["OptimalDesign"]

#: Points a polynomial where no size is given.
_RATIO = 3
# Polynomials up to which a determinantal draw takes minutes at most.
_MOST = 2000


class OptimalDesign(FixedDesign):
    """Points that repel each other so that few of them determine a polynomial of the parameters.

    For ``regressor = "polynomial"`` of "pod-regression"; see
    :func:`romflow.parameters.polynomials.designs.optimal_germs`.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Of the draws.
    degree : int
        Of the m polynomials that the design is for.
    index_set : {"total", "hyperbolic"}
        The total degree is bounded, or the product of the degrees plus one.
    size : int, optional
        Number of parameters, at least m; 3 m where not given.
    design : {"projection-dpp", "volume", "iid"}
    conditioned : bool
        Draw anew until the Gram matrix has no eigenvalue below 1/2.

    Examples
    --------
    >>> from romflow.parameters.distributions import Normal
    >>> from romflow.parameters.space import Parameter
    >>> OptimalDesign(ParameterSpace([Parameter("a", Normal(0.0, 1.0), size=2)]), degree=2).ask().shape
    (18, 2)
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, degree: int, index_set: str = "total",
                 size: int | None = None, design: str = "projection-dpp", conditioned: bool = False) -> None:
        super().__init__(space, seed)
        self.degree = whole_number("degree", degree, least=0)
        try:
            self._basis = polynomial_basis(space, self.degree, index_set)
        except InputError as error:
            raise ConfigError(f"[sampling] {error}") from error
        m = self._basis.size
        self.size = whole_number("size", _RATIO * m if size is None else size)
        if self.size < m:
            raise ConfigError(f"[sampling] size = {self.size} is below the {m} polynomials of degree {degree} in "
                              f"{space.size} columns; raise it, or lower degree.")
        if design not in DESIGNS:
            raise ConfigError(f"[sampling] no design is called {shown(design)}{nearest(str(design), DESIGNS)}")
        if design != "iid" and m > _MOST:
            raise ConfigError(f"[sampling] design = {design!r} is for at most {_MOST} polynomials, and degree {degree} "
                              f"in {space.size} columns has {m}; lower degree, or use index_set = 'hyperbolic' or "
                              "design = 'iid'.")
        if not isinstance(conditioned, bool):
            raise ConfigError(f"[sampling] conditioned = {shown(conditioned)} is neither true nor false; write one.")
        self.kind, self.conditioned = design, conditioned

    @property
    def solves(self) -> int:
        return self.size

    def design(self) -> NDArray[np.float64]:
        marginals = marginals_of(self.space, self.degree)
        rng = np.random.default_rng(self.seed)
        try:
            germs = (conditioned(self._basis, marginals, self.size, rng, self.kind) if self.conditioned else
                     optimal_germs(self._basis, marginals, self.size, rng, self.kind)[0])
        except InputError as error:
            raise ConfigError(f"[sampling] {error}") from error
        return np.stack([part.values(germs[:, j]) for j, part in enumerate(marginals)], axis=1)
