"""Element matrices of all elements at once, and their sum into sparse matrices on the free unknowns."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem

# Local entries below this share of the largest one are rounding of zero (right angles) and would only cause fill.
_ZERO = 1e-14

_ELEMENTS = {
    "MeshQuad1": (skfem.ElementQuad1, 2),
    "MeshTri1": (skfem.ElementTriP1, 1),
    "MeshHex1": (skfem.ElementHex1, 2),
    "MeshTet1": (skfem.ElementTetP1, 1),
}


class Elements:
    """Shape functions of first order at the quadrature points of every element.

    The quadrature is exact for products of two gradients, for a function times a gradient, and for one function, on
    parallelograms, boxes, triangles and tetrahedra.

    Parameters
    ----------
    mesh : scikit-fem mesh
        Of E triangles, quadrilaterals, tetrahedra or hexahedra with v vertices in d dimensions.
    """

    def __init__(self, mesh: Any) -> None:
        element, order = _ELEMENTS[type(mesh).__name__]
        self.mesh = mesh
        self.basis = skfem.Basis(mesh, element(), intorder=order)
        fields = [functions[0] for functions in self.basis.basis]
        self._weights = np.asarray(self.basis.dx)
        self._values = np.stack([np.broadcast_to(np.asarray(f), self._weights.shape) for f in fields], axis=1)
        self._gradients = np.stack([f.grad.transpose(1, 0, 2) for f in fields], axis=1)

    @property
    def vertices(self) -> np.ndarray:
        """Vertex numbers (E, v)."""
        return np.asarray(self.basis.element_dofs).T

    @property
    def centroids(self) -> np.ndarray:
        """Centroids (E, d)."""
        return np.asarray(self.mesh.p[:, self.mesh.t].mean(axis=1).T)

    def gradient_products(self, chosen: Any = slice(None)) -> np.ndarray:
        """G (E', v, d, v, d) with G[e, i, a, j, b] = int over e of d_a phi_i d_b phi_j."""
        G = self._gradients[chosen]
        count, v, d, points = G.shape
        flat = G.reshape(count, v * d, points)
        products = (flat * self._weights[chosen][:, None, :]) @ flat.transpose(0, 2, 1)
        return np.asarray(products.reshape(count, v, d, v, d))

    def stiffness(self) -> np.ndarray:
        """(E, v, v): int of grad phi_i . grad phi_j."""
        return np.asarray(np.einsum("eiaja->eij", self.gradient_products()))

    def advection(self, direction: int) -> np.ndarray:
        """(E, v, v): int of phi_i d_direction phi_j."""
        weighted = self._values * self._weights[:, None, :]
        return np.asarray(weighted @ self._gradients[:, :, direction].transpose(0, 2, 1))

    def load(self) -> np.ndarray:
        """(E, v): int of phi_i."""
        return np.asarray(np.einsum("eiq,eq->ei", self._values, self._weights))


class FreeUnknowns:
    """The unknowns that are not fixed to zero, numbered 0 .. n - 1 in the order of their nodal values.

    Parameters
    ----------
    vertices : (E, v) int
        Vertex numbers of each element.
    fixed : (P,) bool
        Vertices whose values are all fixed.
    components : int
        Values a vertex; nodal value j * components + c is component c at vertex j.
    """

    def __init__(self, vertices: np.ndarray, fixed: np.ndarray, components: int = 1) -> None:
        free = np.repeat(~fixed, components)
        self.nodal = np.flatnonzero(free)
        self.n = self.nodal.size
        numbers = np.where(free, np.cumsum(free) - 1, -1)
        local = vertices[:, :, None] * components + np.arange(components)
        self._numbers = numbers[local.reshape(vertices.shape[0], -1)].astype(np.int32)

    def matrix(self, local: np.ndarray, chosen: Any = slice(None), *, symmetric: bool = False) -> sp.csr_array:
        """Sum of element matrices local (E', w, w) of the chosen elements: csr (n, n).

        Parameters
        ----------
        local : (E', w, w)
            w = v * components; consumed (tiny entries are set to zero).
        chosen : index
            The elements that `local` belongs to.
        symmetric : bool
            Remove the rounding by which the sums of mirrored entries differ.
        """
        numbers = self._numbers[chosen]
        width = numbers.shape[1]
        local[np.abs(local) <= _ZERO * np.abs(local).max(initial=0.0)] = 0.0
        rows = np.repeat(numbers, width, axis=1).ravel()
        columns = np.tile(numbers, (1, width)).ravel()
        values = local.reshape(-1)
        kept = (rows >= 0) & (columns >= 0) & (values != 0.0)
        A = sp.coo_array((values[kept], (rows[kept], columns[kept])), shape=(self.n, self.n)).tocsr()
        return sp.csr_array(0.5 * (A + A.T)) if symmetric else A

    def vector(self, local: np.ndarray) -> np.ndarray:
        """Sum of element vectors local (E, w): (n,)."""
        kept = self._numbers >= 0
        return np.bincount(self._numbers[kept], weights=local[kept], minlength=self.n)


def on_boundary(mesh: Any) -> np.ndarray:
    """Vertices (P,) bool on the boundary of the mesh."""
    marks = np.zeros(mesh.p.shape[1], dtype=bool)
    marks[mesh.boundary_nodes()] = True
    return marks
