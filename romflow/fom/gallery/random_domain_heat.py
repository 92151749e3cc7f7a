"""The heat equation on a square whose sides are random: at each parameter an evolution model of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import NotSupported
from romflow.core.mesh import Mesh
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.protocol import Piece, Resume
from romflow.parameters.expressions import Theta
from romflow.parameters.timed import loaded

if TYPE_CHECKING:
    from romflow.fom.gallery.random_domain import RandomDomain

__all__ = ["RandomDomainHeat"]


class RandomDomainHeat:
    """du/dt - lap u = load(mu, t) f on D(mu), u = 0 on its boundary, pulled back to the unit square.

    int det J du^/dt v + int (J^-1 J^-T det J) grad u^ . grad v = load int f(V) det J v: matrices that depend on mu but
    not on t. [time] initial is a text in x and y of the random domain.

    Parameters
    ----------
    steady : RandomDomain
    time : TimeGrid

    Attributes
    ----------
    times : (K + 1,)
    """

    def __init__(self, steady: RandomDomain, time: TimeGrid) -> None:
        self.steady, self.time = steady, time
        self.parameters, self.n, self.mesh = steady.parameters, steady.n, steady.mesh
        self.inner_product, self.norm, self.output_names = steady.inner_product, steady.norm, steady.output_names
        self.spec = {**steady.spec, "time": time.spec}
        self._options: Mapping[str, Any] | None = None
        self.frozen(steady.parameters.centre())

    @property
    def times(self) -> np.ndarray:
        """Stored times (K + 1,)."""
        return self.time.times

    def solve(self, mu: np.ndarray) -> Snapshot:
        """State and outputs at the last time for mu (p,); as `EvolutionModel.solve`."""
        return self.frozen(mu).solve(mu)

    def march(self, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece]:
        """Pieces of the trajectory at mu (p,); as `EvolutionModel.march`.

        Raises
        ------
        ParameterError, SolveFailed
            mu is outside the space; its domain is folded; a step has no solution.
        """
        return self.frozen(mu).march(mu, resume)

    def use_solver(self, options: Mapping[str, Any]) -> None:
        """Solve the steps from now on as the keys of [solver] say; see `EvolutionModel.use_solver`."""
        model = self.frozen(self.parameters.centre())
        model.use_solver(options)
        self._options = dict(options)
        self.spec = {**self.spec, **{key: model.spec[key] for key in ("solver",) if key in model.spec}}

    def sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Raise NotSupported: derivatives with respect to the domain are not made."""
        raise NotSupported("random-domain gives no derivatives with respect to its parameters; take differences of "
                           "outputs, or the derivatives of a reduced model")

    def frozen(self, mu: np.ndarray) -> EvolutionModel:
        """The evolution model with the matrices at mu (p,).

        Raises
        ------
        ParameterError, SolveFailed
            mu is outside the space; its domain is folded.
        """
        steady, columns = self.steady, self.parameters.columns
        row = self.parameters.one(mu, "march")
        K, determinant = steady.unfolded(row)
        forms, one = steady.forms, Theta(["1"], columns)
        A = sp.csr_array(forms.full((forms.stiffness @ K)[:, 0]))
        M = sp.csr_array(forms.full((forms.mass @ determinant)[:, 0]))
        f = AffineVector(loaded(one, self.time.load, columns), steady.load(row[None], determinant))
        shown = Mesh(steady.placed(row), self.mesh.cells, self.mesh.cell_type, self.mesh.dofs)
        functionals, constant = steady.functionals(determinant)
        model = _Affine(self.parameters, M, AffineOperator(one, [A]), f, self.inner_product, self.time,
                        outputs=AffineOutputs(self.output_names, one, functionals[None]), spec=steady.spec,
                        norm=self.norm, mesh=shown)
        model.constant = constant
        if self._options is not None:
            model.use_solver(self._options)
        return model


class _Affine(EvolutionModel):
    """Its outputs are linear functionals of the state and constants beside them."""

    constant = np.zeros(0)

    def _series(self, states: list[np.ndarray], row: np.ndarray, start: int) -> np.ndarray | None:
        found = super()._series(states, row, start)
        return None if found is None else found + self.constant[:, None]
