"""The affine model that assembles a cell problem as a whole, in one process."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from romflow.core.mesh import Mesh
from romflow.fom.affine import AffineModel
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.cells import CellMesh, CellProblem
from romflow.fom.scattering import scattered
from romflow.linalg.affine_pattern import AffinePattern

if TYPE_CHECKING:
    from romflow.fom.evolution.model import EvolutionModel
    from romflow.fom.evolution.time_grid import TimeGrid

# scikit-fem numbers the corners of a hexahedron by its edges at one corner, VTK walks around bottom and top.
HEXAHEDRON = (0, 3, 6, 2, 1, 5, 7, 4)
# Corners that are neighbours of corner 0, in the order in which they span a positive volume.
_EDGES = {"triangle": [1, 2], "quad": [1, 3], "tetra": [1, 2, 3]}


class CellModel(AffineModel):
    """The affine model of a `CellProblem`: terms, right-hand side, outputs and product assembled over all cells.

    Parameters
    ----------
    problem : CellProblem

    Attributes
    ----------
    problem : CellProblem
    files : tuple of Path
        Files that the model was made from.
    """

    def __init__(self, problem: CellProblem) -> None:
        self.problem, self.files = problem, problem.files
        terms = AffineOperator(problem.theta, [_assembled(problem, q) for q in range(problem.Q)])
        super().__init__(
            problem.parameters, terms, AffineVector(problem.rhs_theta, problem.vectors()), _product(problem, terms),
            AffineOutputs(problem.output_names, problem.output_theta, problem.functionals()), spec=problem.spec,
            norm=problem.norm, stability=problem.stability,
            mesh=picture_mesh(problem.mesh, problem.nodal, problem.components),
            near_nullspace=problem.near_nullspace())

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """The model M du/dt + A(mu) u = load(mu, t) f(mu) on these times, M the mass matrix of the cells."""
        from romflow.fom.evolution.making import evolving
        from romflow.fom.evolution.mass import mass_matrix

        return evolving(self, mass_matrix(self.problem), time)


def picture_mesh(mesh: CellMesh, dofs: np.ndarray, components: int = 1) -> Mesh:
    """The mesh with its corners in VTK's order; entry i of a state is nodal value dofs[i]."""
    cells = np.array(mesh.cells, dtype=np.int64)
    if mesh.cell_type == "hexahedron":
        cells = cells[:, HEXAHEDRON]
    else:
        edges = mesh.points[cells[:, _EDGES[mesh.cell_type]]] - mesh.points[cells[:, :1]]
        mirrored = np.linalg.det(edges) < 0.0
        swapped = _EDGES[mesh.cell_type][-2:]
        cells[np.ix_(mirrored, swapped)] = cells[np.ix_(mirrored, swapped[::-1])]
    return Mesh(np.ascontiguousarray(mesh.points), cells, mesh.cell_type, dofs, components)


def _assembled(problem: CellProblem, q: int) -> sp.csr_array:
    mesh, cell_dofs, form = problem.mesh, problem.cell_dofs, problem.terms[q].form
    inside = problem.term_cells(q, mesh)
    parts = []
    for start in range(0, inside.size, problem.chunk):
        chosen = inside[start:start + problem.chunk]
        A = scattered(cell_dofs[chosen], form.matrices(mesh.chosen(chosen)), problem.n)
        # Sums of mirrored entries differ by rounding.
        parts.append(A if form.symmetry == 0 else sp.csr_array(0.5 * (A + form.symmetry * A.T)))
    return functools.reduce(operator.add, parts)


def _product(problem: CellProblem, terms: AffineOperator) -> sp.sparray:
    weights = np.array(problem.product)
    if weights.all():
        return terms.combine(weights)
    used = np.flatnonzero(weights)
    return AffinePattern([terms.matrices[q] for q in used]).csc(weights[used])
