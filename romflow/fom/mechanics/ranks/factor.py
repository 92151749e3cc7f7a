"""What preconditions the tangents of a split body: two-level Schwarz on the symmetric part of an earlier tangent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.dd.communicator import agreed
from romflow.dd.krylov import flexible_gmres
from romflow.dd.layout import assemble
from romflow.dd.solver import SchwarzSolver
from romflow.fom.mechanics.linear import FreePattern
from romflow.fom.mechanics.ranks.body import RankBody

__all__ = ["SplitFactor"]

_MOST = 160


class SplitFactor:
    """`romflow.fom.mechanics.linear.Factor` over ranks: local factors and coarse operator of one symmetric tangent.

    The coarse space (GenEO) is that of the elastic body at the centre of the parameters, made once for all histories:
    so one that goes on from a checkpoint has the same preconditioner as one that was never stopped. Iterations are
    flexible GMRES on the tangent at hand, which is not assembled and need not be symmetric.

    Parameters
    ----------
    body : RankBody
    options : mapping
        The keys of [solver].
    elastic : callable
        () -> tangent (6, 6, G_l) of the undeformed body.
    """

    def __init__(self, body: RankBody, options: Mapping[str, Any], elastic: Callable[[], np.ndarray]) -> None:
        self._body, self._elastic = body, elastic
        self.pattern = FreePattern(body.problem.space, body.problem.supports.free)
        self._solver = SchwarzSolver(
            body.layout, symmetric=True, definite=True, near_nullspace=body.motions,
            **{key: options[key] for key in ("one_level", "coarse", "threshold", "backend", "max_iterations")})
        self._renumbered: tuple[np.ndarray, sp.csr_array] | None = None
        self._begun = False
        self.owner: object = None

    def factorise(self, tangent: np.ndarray, owner: object) -> None:
        """Local factors and coarse operator of the symmetric tangent (6, 6, G_l); collective.

        Raises
        ------
        SolveFailed
            A local or the coarse matrix is singular; on all ranks.
        """
        self.owner = None
        if not self._begun:
            with agreed(self._body.comm, "assembling the elastic stiffness"):
                elastic = self._elastic()
                A = self._matrix(elastic)
            self._solver.setup(A, lambda i: self._neumann(elastic, i))
            self._begun = True
        with agreed(self._body.comm, "assembling a tangent"):
            A = self._matrix(tangent)
        self._solver.update(A, lambda i: self._neumann(tangent, i))
        self.owner = owner

    def iterate(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> tuple[np.ndarray | None, int]:
        """See `Factor`; collective."""
        body, layout = self._body, self._body.layout
        B = r[body.order[:layout.owned], None]
        answer = flexible_gmres(layout, _Product(self.pattern, body, tangent), B, self._solver.precondition, accuracy,
                                _MOST, np.zeros_like(B), strict=False)
        count = int(answer.iterations.max())
        if not float(answer.residuals.max()) <= accuracy:
            return None, count
        found = np.empty(r.size)
        found[body.order] = layout.exchange.forward(answer.X)[:, 0]
        return found, count

    def _matrix(self, tangent: np.ndarray) -> sp.csr_array:
        """K (local, local) of a symmetric tangent in the layout's order."""
        K = self.pattern.of(tangent)
        if self._renumbered is None:
            places = sp.csr_array((np.arange(K.nnz, dtype=np.int64), K.indices, K.indptr), shape=K.shape)
            moved = sp.csr_array(places[self._body.order][:, self._body.order])
            moved.sort_indices()
            self._renumbered = moved.data, moved
        order, shape = self._renumbered
        return sp.csr_array((K.data[order], shape.indices, shape.indptr), shape=K.shape)

    def _neumann(self, tangent: np.ndarray, i: int) -> sp.csr_array:
        """The stiffness (m, m) of the overlapped cells of the rank's i-th subdomain alone."""
        layout = self._body.layout
        one = layout.subdomains[i]
        place = np.full(layout.local + 1, -1)
        place[one.dofs] = np.arange(one.dofs.size)
        K = self._body.problem.space.cell_stiffness(tangent, one.cells)
        return assemble(place[layout.cell_dofs[one.cells]], K, one.dofs.size)


class _Product:
    """K of one tangent times columns over the owned dofs, without assembling K."""

    def __init__(self, pattern: FreePattern, body: RankBody, tangent: np.ndarray) -> None:
        self._pattern, self._body, self._tangent = pattern, body, tangent
        self._places = np.flatnonzero(pattern.free)[body.order]

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        layout, whole = self._body.layout, np.zeros(self._pattern.free.size)
        columns = []
        for x in layout.exchange.forward(X).T:
            if not x.any():
                columns.append(np.zeros(layout.owned))
                continue
            whole[self._places] = x
            columns.append(self._pattern.product(self._tangent, whole)[self._places[:layout.owned]])
        return np.stack(columns, axis=1)

    def rounding(self, X: np.ndarray) -> np.ndarray:
        """No residual is excused by rounding: the accuracies of Newton's method are far above it."""
        return np.zeros(X.shape[1])
