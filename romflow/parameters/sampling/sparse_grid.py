"""Nodes of a sparse grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.parameters.polynomials.marginals import gauss_rules
from romflow.parameters.sampling.fixed import FixedDesign, whole_number
from romflow.parameters.smolyak import node_count, sparse_grid
from romflow.parameters.space import ParameterSpace

__all__ = ["SparseGrid"]

_RULES = ("clenshaw-curtis", "gauss")


class SparseGrid(FixedDesign):
    """The nodes of a sparse grid in the unit cube, through ``space.ppf``.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Not used; every sampler takes one.
    level : int
        From 0, which is the median alone; see :func:`romflow.parameters.smolyak.sparse_grid`.
    anisotropy : sequence of p float, optional
        From 1: the larger, the fewer nodes along this column.
    rule : {"clenshaw-curtis", "gauss"}
        Nested nodes in the distribution function, or the Gauss nodes of each distribution.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> SparseGrid(ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=2)]), level=1).ask().tolist()
    [[0.0, 0.5], [0.5, 0.0], [0.5, 0.5], [0.5, 1.0], [1.0, 0.5]]
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, level: int, anisotropy: Sequence[float] | None = None,
                 rule: str = "clenshaw-curtis") -> None:
        super().__init__(space, seed)
        self.level = whole_number("level", level, least=0)
        if rule not in _RULES:
            raise ConfigError(f"[sampling] no rule is called {shown(rule)}{nearest(str(rule), _RULES)}")
        self.rule, self.anisotropy = rule, anisotropy
        self._nodes: NDArray[np.float64] | None = None
        node_count(space.size, self.level, anisotropy)

    @property
    def solves(self) -> int:
        if self.rule == "clenshaw-curtis":
            return node_count(self.space.size, self.level, self.anisotropy)
        return len(self._unit())

    def design(self) -> NDArray[np.float64]:
        return self.space.ppf(self._unit())

    def _unit(self) -> NDArray[np.float64]:
        if self._nodes is None:
            rules = None
            if self.rule == "gauss":
                tables = self.space.tables
                rules = gauss_rules([table.distribution for table in tables for _ in range(table.size)])
            self._nodes, _ = sparse_grid(self.space.size, self.level, anisotropy=self.anisotropy, rules=rules)
        return self._nodes
