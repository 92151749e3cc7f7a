"""Diffusion, transport, reaction and load as sparse maps from values at quadrature points to matrices and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem

from romflow.fom.cells import CellMesh
from romflow.fom.gallery.elements import skfem_mesh

# Element of scikit-fem and order of quadrature: exact for products of two functions where coefficients are constant.
_KINDS: dict[str, tuple[Any, int]] = {
    "quad": (skfem.ElementQuad1, 3),
    "triangle": (skfem.ElementTriP1, 2),
    "hexahedron": (skfem.ElementHex1, 3),
    "tetra": (skfem.ElementTetP1, 2),
}
# Entries of a cell below this share of the largest are rounding of zero (right angles), whatever the coefficient.
_ZERO = 1e-14


class QuadratureForms:
    """Matrices and loads that are linear in the values of coefficients at the P quadrature points of a mesh.

    With weights w_q and shape functions phi the entries are sums over the points of

        diffusion  a_q w_q grad phi_i . grad phi_j,   velocity  w_q phi_i (b_q . grad phi_j),
        reaction   c_q w_q phi_i phi_j,               load      f_q w_q phi_i.

    Each form is one sparse matrix, so that assembling for new values costs a sparse product and no call of the finite
    element library: v^2 multiplications a point and form (v vertices of a cell). All matrices share one pattern.

    Parameters
    ----------
    mesh : CellMesh
        With one value a point, some of them fixed to zero.
    forms : sequence of str
        Which of "diffusion", "velocity" and "reaction" are needed.

    Attributes
    ----------
    points : (P, d), weights : (P,)
        Quadrature points, those of a cell together, and their weights, all positive.
    nodal : (n,)
        Point of the mesh of each unknown.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fixed = np.array([[True], [True], [False], [False]])
    >>> mesh = CellMesh(points, np.array([[0, 1, 2], [1, 2, 3]]), "triangle", np.zeros(2, int), fixed)
    >>> forms = QuadratureForms(mesh, ["diffusion"])
    >>> forms.matrix(forms.maps["diffusion"] @ np.ones(forms.P)).toarray().round(12)
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """

    def __init__(self, mesh: CellMesh, forms: Sequence[str] = ("diffusion",)) -> None:
        free = ~mesh.fixed.ravel()
        self.nodal = np.flatnonzero(free)
        self.n, self.d = int(self.nodal.size), mesh.points.shape[1]
        self._dofs = np.where(free, np.cumsum(free) - 1, -1)[mesh.cells]
        element, order = _KINDS[mesh.cell_type]
        basis = skfem.Basis(skfem_mesh(mesh), element(), intorder=order)
        self._dx = np.asarray(basis.dx)
        shapes = [functions[0] for functions in basis.basis]
        self._values = np.stack([np.broadcast_to(np.asarray(f), self._dx.shape) for f in shapes])
        self._gradients = np.stack([np.broadcast_to(f.grad, (self.d, *self._dx.shape)) for f in shapes])
        coordinates = np.asarray(basis.global_coordinates())
        self.points = np.ascontiguousarray(np.moveaxis(coordinates, 0, -1).reshape(-1, self.d))
        self.weights = np.ascontiguousarray(self._dx.ravel())
        self._build(forms)
        del self._gradients

    @property
    def P(self) -> int:
        """Number of quadrature points."""
        return int(self.weights.size)

    @property
    def nnz(self) -> int:
        """Entries of the common pattern."""
        return int(self._indices.size)

    def matrix(self, values: np.ndarray) -> sp.csc_array:
        """The matrix (n, n) with these entries (nnz,); all matrices share their index arrays."""
        matrix = sp.csc_array((np.ascontiguousarray(values), self._indices, self._indptr), shape=(self.n, self.n),
                              copy=False)
        matrix.has_canonical_format = True
        return matrix

    @property
    def shapes(self) -> np.ndarray:
        """Values (v, E, points a cell) of the shape functions at the quadrature points of each cell."""
        return np.asarray(self._values)

    @cached_property
    def load(self) -> sp.csr_array:
        """(n, P): load vector from values of the source."""
        return sp.csr_array(self._shapes @ sp.diags_array(self.weights))

    def mass(self) -> sp.csr_array:
        """(n, n): sum_q w_q phi_i phi_j by the same quadrature."""
        return sp.csr_array(self.load @ self._shapes.T)

    @cached_property
    def _shapes(self) -> sp.csr_array:
        """(n, P): values of the shape functions at the points."""
        v, E, points = self._values.shape
        dofs = np.broadcast_to(self._dofs.T[:, :, None], (v, E, points))
        numbers = np.broadcast_to(np.arange(E * points).reshape(E, points), (v, E, points))
        kept = dofs >= 0
        return sp.csr_array((self._values[kept], (dofs[kept], numbers[kept])), shape=(self.n, E * points))

    def _build(self, forms: Sequence[str]) -> None:
        local = {name: getattr(self, f"_{name}")() for name in forms}
        i, j = self._dofs.T[:, None, :], self._dofs.T[None, :, :]
        kept = np.zeros(np.broadcast_shapes(i.shape, j.shape), dtype=bool)
        for blocks in local.values():
            scale = max(float(np.abs(block).max()) for block in blocks)
            for block in blocks:
                kept |= (np.abs(block) > _ZERO * scale).any(axis=-1)
        kept &= (i >= 0) & (j >= 0)
        keys = (j.astype(np.int64) * self.n + i)[kept]
        unique, slots = np.unique(keys, return_inverse=True)
        self._indices = (unique % self.n).astype(np.int32)
        self._indptr = np.searchsorted(unique, np.arange(self.n + 1, dtype=np.int64) * self.n).astype(np.int32)
        for array in (self._indices, self._indptr):
            array.flags.writeable = False
        each = self._dx.shape[1]
        numbers = np.nonzero(kept)[2][:, None] * each + np.arange(each)
        self.maps: dict[str, sp.csr_array] = {}
        for name in forms:
            self.maps[name] = _map([block[kept] for block in local.pop(name)], slots, numbers, self.P)

    def _diffusion(self) -> list[np.ndarray]:
        """(v, v, E, points) of each component of the coefficient, here one."""
        return [self._symmetric(lambda i, j: np.einsum("aeq,aeq->eq", self._gradients[i], self._gradients[j]))]

    def _reaction(self) -> list[np.ndarray]:
        return [self._symmetric(lambda i, j: self._values[i] * self._values[j])]

    def _velocity(self) -> list[np.ndarray]:
        weighted = self._values * self._dx
        return [weighted[:, None] * self._gradients[None, :, a] for a in range(self.d)]

    def _symmetric(self, product: Any) -> np.ndarray:
        v = len(self._values)
        local = np.empty((v, v, *self._dx.shape))
        for i in range(v):
            for j in range(i, v):
                local[i, j] = product(i, j) * self._dx
                local[j, i] = local[i, j]
        return local


def _map(blocks: list[np.ndarray], slots: np.ndarray, numbers: np.ndarray, P: int) -> sp.csr_array:
    """(nnz, C P) from values (entries, points) of each component; sorted columns make mirrored sums equal bits."""
    size = int(slots.max(initial=-1)) + 1
    rows = np.repeat(slots, numbers.shape[1])
    parts = [sp.csr_array((block.ravel(), (rows, numbers.ravel())), shape=(size, P)) for block in blocks]
    result = sp.csr_array(parts[0] if len(parts) == 1 else sp.hstack(parts, format="csr"))
    result.sort_indices()
    return result
