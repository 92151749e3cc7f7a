"""The mass matrix of a problem on cells: int of u v, component by component."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from romflow.fom.cells import CellMesh, CellProblem
from romflow.fom.gallery.elements import Elements
from romflow.fom.scattering import scattered

__all__ = ["Mass", "mass_matrix"]

_SIMPLICES = ("triangle", "tetra")


@dataclass(frozen=True)
class Mass:
    """int of u . v for fields with so many components.

    On triangles and tetrahedra of d dimensions by the formula volume (1 + delta_ij) / ((d + 1) (d + 2)) (Quarteroni and
    Valli, Numerical Approximation of Partial Differential Equations, section 11.2), on the others by quadrature.
    """

    components: int = 1
    symmetry: int = 1

    def matrices(self, mesh: CellMesh) -> np.ndarray:
        """(E, v c, v c)."""
        elements = Elements(mesh)
        if mesh.cell_type in _SIMPLICES:
            v = mesh.cells.shape[1]
            volumes = elements.load().sum(axis=1)
            local = volumes[:, None, None] * (1.0 + np.eye(v)) / (v * (v + 1))
        else:
            local = elements.value_products()
        if self.components == 1:
            return np.asarray(local)
        E, v, c = len(local), local.shape[1], self.components
        full = np.zeros((E, v, c, v, c))
        for i in range(c):
            full[:, :, i, :, i] = local
        return np.asarray(full.reshape(E, v * c, v * c))


def mass_matrix(problem: CellProblem) -> sp.csr_array:
    """M (n, n) of a cell problem, exactly symmetric; `problem.chunk` cells at a time."""
    mesh, dofs, form = problem.mesh, problem.cell_dofs, Mass(problem.components)
    total = sp.csr_array((problem.n, problem.n))
    for start in range(0, len(mesh.cells), problem.chunk):
        chosen = np.arange(start, min(start + problem.chunk, len(mesh.cells)))
        total = total + scattered(dofs[chosen], form.matrices(mesh.chosen(chosen)), problem.n)
    return sp.csr_array(0.5 * (total + total.T))
