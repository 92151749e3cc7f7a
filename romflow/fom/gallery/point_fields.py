"""Values and gradients of a finite element field at quadrature points, as sparse matrices on its unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import skfem

from romflow.core.errors import ConfigError
from romflow.fom.cells import CellMesh, CellProblem
from romflow.fom.gallery.elements import skfem_element, skfem_mesh


@dataclass(frozen=True, eq=False)
class PointFields:
    """What unknowns u (n,) give at P quadrature points of cells or facets.

    Attributes
    ----------
    weights : (P,)
    coordinates : (d, P)
    cells : (P,) array of int
        Cell or facet of a point, from 0.
    values : csr (P, n)
    gradients : tuple of d csr (P, n)
    """

    weights: np.ndarray
    coordinates: np.ndarray
    cells: np.ndarray
    values: sp.csr_array
    gradients: tuple[sp.csr_array, ...]

    def test(self, field: sp.csr_array) -> sp.csr_array:
        """field^T times the weights, (n, P): integrates against the functions of `values` or of a gradient."""
        return sp.csr_array(field.T * self.weights)


def volume_points(problem: CellProblem, order: int = 2) -> PointFields:
    """Points in all the cells, exact for polynomials of this order on triangles, tetrahedra, rectangles and boxes.

    Memory: (1 + d) w numbers a point, w the corners of a cell.
    """
    mesh = problem.mesh
    basis = skfem.CellBasis(skfem_mesh(mesh), skfem_element(mesh), intorder=order)
    return _fields(basis, problem.cell_dofs, problem.n)


def facet_points(problem: CellProblem, marks: Sequence[np.ndarray], order: int = 2) -> PointFields:
    """Points in the facets of the boundary whose corners are all marked, for each of the marks (P,) bool.

    Raises
    ------
    ConfigError
        There is no such facet.
    """
    mesh = problem.mesh
    whole = skfem_mesh(mesh)
    outside = whole.boundary_facets()
    chosen = [outside[mark[whole.facets[:, outside]].all(axis=0)] for mark in marks]
    facets = np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=int)
    if facets.size == 0:
        raise ConfigError("the boundaries that were named hold no facet of the mesh; check their tags or coordinates")
    basis = skfem.FacetBasis(whole, skfem_element(mesh), facets=facets, intorder=order)
    return _fields(basis, problem.cell_dofs[basis.tind], problem.n)


def _fields(basis: skfem.AbstractBasis, dofs: np.ndarray, n: int) -> PointFields:
    shape = basis.dx.shape
    functions = [functions[0] for functions in basis.basis]
    values = np.stack([np.broadcast_to(np.asarray(f), shape) for f in functions], axis=-1)
    gradients = np.stack([f.grad for f in functions], axis=-1)
    columns = np.broadcast_to(dofs[:, None, :], values.shape)
    coordinates = np.asarray(basis.global_coordinates())
    return PointFields(np.ascontiguousarray(basis.dx.ravel()), coordinates.reshape(len(coordinates), -1),
                       np.repeat(np.arange(shape[0]), shape[1]), _matrix(values, columns, n),
                       tuple(_matrix(gradient, columns, n) for gradient in gradients))


def _matrix(values: np.ndarray, columns: np.ndarray, n: int) -> sp.csr_array:
    """(P, n) matrix of values (E, q, w) at the columns (E, q, w), -1 where a value is fixed."""
    width = values.shape[2]
    flat, places = values.reshape(-1, width), columns.reshape(-1, width)
    # Shape functions that vanish on a facet come as rounding.
    kept = (places >= 0) & (np.abs(flat) > 1e-14 * np.abs(flat).max(initial=0.0))
    rows = np.broadcast_to(np.arange(len(flat))[:, None], flat.shape)
    return sp.csr_array((flat[kept], (rows[kept], places[kept])), shape=(len(flat), n))


def mesh_coordinates(mesh: CellMesh) -> tuple[str, ...]:
    """Names of the coordinates: ("x", "y") or ("x", "y", "z")."""
    return ("x", "y", "z")[:mesh.points.shape[1]]
