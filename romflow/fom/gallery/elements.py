"""Elements of first order on the cells of a mesh: integrals over every cell at once, by scikit-fem."""

from __future__ import annotations

from typing import Any

import numpy as np
import skfem

from romflow.fom.cells import CellMesh

# Mesh, element and order of quadrature of scikit-fem; the names of cells are meshio's.
_KINDS = {
    "quad": (skfem.MeshQuad, skfem.ElementQuad1, 2),
    "triangle": (skfem.MeshTri, skfem.ElementTriP1, 1),
    "hexahedron": (skfem.MeshHex, skfem.ElementHex1, 2),
    "tetra": (skfem.MeshTet, skfem.ElementTetP1, 1),
}
# Cells whose shape functions are held at once where only sums over them are wanted.
_CHUNK = 65536


class Elements:
    """Shape functions of first order at the quadrature points of every element.

    The quadrature is exact for products of two gradients, for a function times a gradient, and for one function, on
    parallelograms, boxes, triangles and tetrahedra.

    Parameters
    ----------
    mesh : CellMesh
        Of E triangles, quadrilaterals, tetrahedra or hexahedra with v vertices in d dimensions.
    """

    def __init__(self, mesh: CellMesh) -> None:
        _, element, order = _KINDS[mesh.cell_type]
        basis = skfem.Basis(skfem_mesh(mesh), element(), intorder=order)
        fields = [functions[0] for functions in basis.basis]
        self._weights = np.asarray(basis.dx)
        self._values = np.stack([np.broadcast_to(np.asarray(f), self._weights.shape) for f in fields], axis=1)
        self._gradients = np.stack([f.grad.transpose(1, 0, 2) for f in fields], axis=1)

    def gradient_products(self) -> np.ndarray:
        """G (E, v, d, v, d) with G[e, i, a, j, b] = int over e of d_a phi_i d_b phi_j."""
        count, v, d, points = self._gradients.shape
        flat = self._gradients.reshape(count, v * d, points)
        products = (flat * self._weights[:, None, :]) @ flat.transpose(0, 2, 1)
        return np.asarray(products.reshape(count, v, d, v, d))

    def advection(self, direction: int) -> np.ndarray:
        """(E, v, v): int of phi_i d_direction phi_j."""
        weighted = self._values * self._weights[:, None, :]
        return np.asarray(weighted @ self._gradients[:, :, direction].transpose(0, 2, 1))

    def value_products(self) -> np.ndarray:
        """(E, v, v): int of phi_i phi_j; exact on parallelograms and boxes, not on triangles and tetrahedra."""
        weighted = self._values * self._weights[:, None, :]
        return np.asarray(weighted @ self._values.transpose(0, 2, 1))

    def load(self) -> np.ndarray:
        """(E, v): int of phi_i."""
        return np.asarray(np.einsum("eiq,eq->ei", self._values, self._weights))


def skfem_mesh(mesh: CellMesh) -> Any:
    """The mesh for scikit-fem, its cells with their corners as they are."""
    return _KINDS[mesh.cell_type][0](np.ascontiguousarray(mesh.points.T), np.ascontiguousarray(mesh.cells.T),
                                     sort_t=False, validate=False)


def skfem_element(mesh: CellMesh) -> Any:
    """The element of first order on these cells for scikit-fem."""
    return _KINDS[mesh.cell_type][1]()


def nodal_load(mesh: CellMesh) -> np.ndarray:
    """(P,): int of phi_j over the mesh."""
    local = np.empty(mesh.cells.shape)
    for start in range(0, len(local), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        local[chunk] = Elements(mesh.chosen(chunk)).load()
    return np.bincount(mesh.cells.ravel(), weights=local.ravel(), minlength=len(mesh.points))


def face_load(mesh: CellMesh, axis: int, place: float) -> np.ndarray:
    """(P,): int of phi_j over the face x_axis = place of the mesh, for a mesh that lies below it."""
    near = mesh.points[:, axis] > place * (1.0 - 1e-9)
    cells = np.flatnonzero(near[mesh.cells].any(axis=1))
    numbers = np.unique(mesh.cells[cells])
    # Few cells: scikit-fem lists the faces of all that it is given.
    piece = skfem_mesh(mesh.chosen(cells))
    facets = piece.facets_satisfying(lambda x: x[axis] > place * (1.0 - 1e-9))
    face = skfem.FacetBasis(piece, _KINDS[mesh.cell_type][1](), facets=facets, intorder=2)
    load = np.zeros(len(mesh.points))
    load[numbers] = skfem.LinearForm(lambda v, _: v).assemble(face)
    return load
