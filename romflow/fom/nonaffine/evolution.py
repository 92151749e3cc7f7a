"""Nonaffine models in motion: marched with their true coefficients; their terms are made where a reduction asks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.fom.affine_terms import AffineOperator, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.system import Orderings, TimeSystem
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.linalg.sparse_sum import SparseSum
from romflow.parameters.expressions import Theta
from romflow.parameters.timed import coefficients_at, loaded

__all__ = ["NonaffineEvolution"]


class NonaffineEvolution(EvolutionModel):
    """M du/dt + A(mu) u = load(mu, t) f(mu) with the true A and f of a model; `operator` and `rhs` interpolate them.

    Parameters
    ----------
    nonaffine : NonaffineModel
        Its `interpolation` is the error of the terms, its `pointwise()` the bound that {"kind": "pointwise"} asks for.
    time : TimeGrid
    """

    moving = False

    def __init__(self, nonaffine: Any, time: TimeGrid) -> None:
        self.nonaffine = nonaffine
        self._describe(nonaffine.parameters, nonaffine.forms.mass(), nonaffine.inner_product, time, None, None,
                       nonaffine.outputs, nonaffine.spec, nonaffine.norm, nonaffine.stability, nonaffine.mesh)

    @cached_property
    def operator(self) -> AffineOperator:  # type: ignore[override]
        """The affine terms that interpolate A(mu)."""
        terms: AffineOperator = self.nonaffine.operator
        return terms

    @cached_property
    def rhs(self) -> AffineVector:  # type: ignore[override]
        """The affine terms that interpolate f(mu), times the load."""
        found = self.nonaffine.rhs
        return AffineVector(loaded(found.theta, self.time.load, self.parameters.columns), found.vectors)

    @property
    def symmetric(self) -> bool:
        """A(mu) is symmetric for every mu."""
        return bool(self.nonaffine.symmetric)

    @property
    def symmetric_operator(self) -> bool:
        """As `symmetric`."""
        return self.symmetric

    def series_sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p, K + 1) of the outputs at all times: those of the interpolated terms."""
        found: np.ndarray = self.nonaffine.interpolated().evolving(self.time).series_sensitivity(mu)
        return found

    def _system(self, mu: np.ndarray) -> TimeSystem:
        return _TrueSystem(self, mu, self._orderings)


class _TrueSystem(TimeSystem):
    """The steps with A(mu) and f(mu) assembled once from the true coefficients."""

    def __init__(self, model: NonaffineEvolution, mu: np.ndarray, shared: Orderings) -> None:
        super().__init__(model, mu, shared)
        truth = model.nonaffine.truth
        self._A, self._f = sp.csc_array(truth.operator.assemble(mu)), truth.rhs.assemble(mu)
        self._total = SparseSum(shared.mass, self._A)
        self._factor_of_load = Theta([model.time.load], (*model.parameters.columns, "t"))

    def _load(self, t: float) -> np.ndarray:
        return np.asarray(self._f * coefficients_at(self._factor_of_load, self._row, t)[0, 0])

    def _assembled(self, t: float) -> sp.csc_array:
        return self._A

    def _sum(self, c: float, t: float) -> sp.csc_array:
        return self._total.of(self._shared.mass, c, self._A)
