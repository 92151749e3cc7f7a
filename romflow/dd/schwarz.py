"""One-level Schwarz methods: partition of unity, local factors, and the sum of the local corrections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError
from romflow.core.names import nearest
from romflow.dd.communicator import agreed
from romflow.dd.layout import Layout
from romflow.dd.local_factor import LocalFactor
from romflow.linalg.solvers.protocol import Kind

__all__ = ["ONE_LEVEL", "OneLevel", "Weighted", "weighted_subdomains"]

ONE_LEVEL = ("asm", "ras", "oras", "none")
Neumann = Callable[[int], sp.csr_array]
# Smaller systems fit in double precision, which is faster where coefficients jump: single precision meets denormals.
_SINGLE_BEYOND = 400_000


@dataclass(frozen=True)
class Weighted:
    """A subdomain with its partition of unity.

    Attributes
    ----------
    dofs : (m,) int
        Unknowns of the overlapped cells, as places in the local vector.
    inner : (q,) int
        Places in `dofs` of those that touch no cell outside the overlapped subdomain (and of the owned ones).
    weight : (m,) float64
        The diagonal of D_i: sum over subdomains of R_i^T D_i R_i = I; zero outside `inner`.
    owned : (m,) bool
    """

    dofs: np.ndarray
    inner: np.ndarray
    weight: np.ndarray
    owned: np.ndarray


def weighted_subdomains(layout: Layout) -> list[Weighted]:
    """The rank's subdomains with D_i = 1 / (number of subdomains in which an unknown is inner). Collective.

    The weight vanishes at the rim of an overlapped subdomain: there the Neumann matrix of its cells lacks the cells
    beyond, and a spectral coarse space would find modes that are not there.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    list of Weighted
    """
    cells_of = np.bincount(layout.cell_dofs[layout.cell_dofs >= 0], minlength=layout.local)
    masks, count, place = [], np.zeros((layout.local, 1)), np.empty(layout.local, dtype=np.int64)
    for one in layout.subdomains:
        place[one.dofs] = np.arange(one.dofs.size)
        inside = layout.cell_dofs[one.cells]
        number = np.bincount(place[inside[inside >= 0]], minlength=one.dofs.size)
        mask = (number == cells_of[one.dofs]) | one.owned
        masks.append(mask)
        count[one.dofs, 0] += mask
    total = layout.exchange.forward(layout.exchange.add(count))[:, 0]
    return [Weighted(one.dofs, np.flatnonzero(mask), np.where(mask, 1.0 / np.maximum(total[one.dofs], 1.0), 0.0),
                     one.owned) for one, mask in zip(layout.subdomains, masks, strict=True)]


class OneLevel:
    """z = sum over subdomains of R_i^T W_i B_i^{-1} R_i r on all unknowns of the overlapped cells of each subdomain.

    ========  ==================  =========================================================================
    method    W_i                 B_i
    ========  ==================  =========================================================================
    "asm"     identity            R_i A R_i^T; symmetric
    "ras"     1 where owned       R_i A R_i^T (Cai and Sarkis 1999); no second exchange
    "oras"    1 where owned       the Neumann matrix with a Robin term on the rim (St-Cyr, Gander, Thomas 2007)
    "none"    -                   z = r / diagonal(A)
    ========  ==================  =========================================================================

    The Robin term of "oras" is (h / H)^{2/3} times what the cells beyond the rim add to the diagonal, with h / H the
    inverse of the number of unknowns along a side of the subdomain. Beyond 400,000 unknowns the factors are in
    single precision where that is accurate enough: half of the memory, and the Krylov methods of this room forgive it.

    Parameters
    ----------
    layout : Layout
    subdomains : list of Weighted
    method : str
    kind : {"definite", "symmetric", "general"}
        Of the local matrices.
    backend : str
        Of the local factors.

    Raises
    ------
    ConfigError
        No such method.
    """

    def __init__(self, layout: Layout, subdomains: list[Weighted], method: str, kind: Kind, backend: str) -> None:
        if method not in ONE_LEVEL:
            raise ConfigError(f"no one-level method is called '{method}'" + nearest(method, list(ONE_LEVEL)))
        self.method, self._layout, self._kind, self._backend = method, layout, kind, backend
        self._kept = [np.flatnonzero(one.owned) for one in subdomains]
        self._subdomains = subdomains
        self.factors: list[LocalFactor] = []

    def setup(self, A: sp.csr_array, neumann: Neumann) -> None:
        """Factorise the local matrices. Collective.

        Parameters
        ----------
        A : csr (local, local)
        neumann : callable
            i -> the matrix of subdomain i's overlapped cells alone (m, m); called by "oras" only.

        Raises
        ------
        SolveFailed
            A local matrix is singular; on all ranks.
        """
        self.factors = []
        self._diagonal = A.diagonal()[:self._layout.owned, None]
        if self.method == "none":
            return
        with agreed(self._layout.comm, "factorising its subdomains"):
            for i in range(len(self._subdomains)):
                self.factors.append(LocalFactor(self.local_matrix(A, neumann, i), self._kind, self._backend,
                                                self._layout.n > _SINGLE_BEYOND))

    def local_matrix(self, A: sp.csr_array, neumann: Neumann, i: int) -> sp.csr_array:
        """B_i of the table above."""
        rows = self._subdomains[i].dofs
        B = sp.csr_array(A[rows][:, rows])
        if self.method != "oras":
            return B
        inside = sp.csr_array(neumann(i))
        beyond = np.maximum(B.diagonal() - inside.diagonal(), 0.0)
        beyond[self._subdomains[i].inner] = 0.0
        share = max(rows.size, 1) ** (-2.0 / 9.0)
        return sp.csr_array(inside + sp.diags_array(share * beyond))

    def __call__(self, R: np.ndarray) -> np.ndarray:
        """z (owned, j) for r (owned, j)."""
        if self.method == "none":
            return R / self._diagonal
        local = self._layout.exchange.forward(R)
        Z = np.zeros_like(local)
        for one, kept, factor in zip(self._subdomains, self._kept, self.factors, strict=True):
            rows = one.dofs
            X = factor.solve(local[rows])
            if self.method == "asm":
                Z[rows] += X
            else:
                Z[rows[kept]] = X[kept]
        if self.method == "asm":
            Z = self._layout.exchange.add(Z)
        return Z[:self._layout.owned]
