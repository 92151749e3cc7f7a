"""Strains, forces and stiffnesses of a displacement field at the integration points of a mesh."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.core.mesh import Mesh
from romflow.fom.mechanics.elements import Element, Rule, make_element, make_rule
from romflow.fom.mechanics.pattern import BlockPattern

__all__ = ["StrainSpace"]

Array = NDArray[np.float64]
# Cells whose matrices are held at once.
_BLOCK = 1024
# Rows of the strain in Voigt order that a derivative along x, y, z of the components x, y, z adds to.
_VOIGT = {(0, 0): 0, (1, 1): 1, (2, 2): 2, (0, 1): 3, (1, 0): 3, (1, 2): 4, (2, 1): 4, (0, 2): 5, (2, 0): 5}


class StrainSpace:
    """Displacements at nodes, and all that small-strain mechanics asks of them at the integration points.

    Point g = cell q + k is point k of a cell. Dof node d + component is a displacement, supported ones included. Strain
    has six rows, xx yy zz xy yz xz with engineering shear, in the plane too (plane strain). Elements with "-bbar"
    replace the volume change by its mean over the cell (Hughes, The Finite Element Method, 4.5.2); in the plane their
    zz strain is the part that the mean takes from xx + yy, and zero only in the mean.

    Parameters
    ----------
    nodes : (N, d) array
    cells : (C, v) array of int
        In VTK's order.
    element : str
        A name of `romflow.fom.mechanics.elements.ELEMENTS`.

    Attributes
    ----------
    nodes : (N, d); cells : (C, v); element : Element
    n, d, G : int
        Dofs, directions, points.
    weights : (G,)
        Their sum is the volume (area in the plane).
    points : (d, G)
    shape : (q, v)
        Shape functions at the points of a cell.
    dofs : (C, v d)
    B : (C, 6 q, v d)
        Strain of the dofs of a cell; row 6 k + i is component i at point k. Memory: 48 q v d bytes a cell.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other, numbers are out of range or not finite, a cell is turned inside out.
    ConfigError
        No element has this name.

    Examples
    --------
    >>> space = StrainSpace([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2, 3]], "quad4")
    >>> space.strain(np.array([0, 0, 0.1, 0, 0.1, 0, 0, 0]))[:, 0].round(12)
    array([0.1, 0. , 0. , 0. , 0. , 0. ])
    """

    def __init__(self, nodes: ArrayLike, cells: ArrayLike, element: str) -> None:
        self.element: Element = make_element(element)
        self.nodes, self.cells = _checked(nodes, cells, self.element)
        self.d = self.element.d
        self.n = self.nodes.size
        self.dofs = (self.cells[:, :, None] * self.d + np.arange(self.d)).reshape(len(self.cells), -1)
        points, _, weights = _geometry(self.nodes, self.cells, self.element.rule)
        self.points = np.ascontiguousarray(points.reshape(-1, self.d).T)
        self.weights = weights.ravel()
        self.G = self.weights.size

    @cached_property
    def B(self) -> Array:
        """Strain rows (C, 6 q, v d), made when they are first asked for."""
        _, gradients, weights = _geometry(self.nodes, self.cells, self.element.rule)
        return _strain_rows(gradients, weights, self.element.mean_dilatation)

    @property
    def shape(self) -> Array:
        """Shape functions (q, v) at the points of a cell."""
        return self.element.rule.shape

    def strain(self, displacements: Array, cells: slice | NDArray[np.int64] | None = None) -> Array:
        """Strain (6, G) of displacements (n,), or (6, G, b) of (n, b); of the points of the chosen cells only.

        Cost: 12 q v d C b flops, and the memory traffic of B.
        """
        dofs, rows = (self.dofs, self.B) if cells is None else (self.dofs[cells], self.B[cells])
        columns = displacements.reshape(self.n, -1)
        out = np.empty((6, len(dofs), self.element.q, columns.shape[1]))
        for start in range(0, len(dofs), _BLOCK):
            part = slice(start, start + _BLOCK)
            values = rows[part] @ columns[dofs[part]]
            out[:, part] = values.reshape(len(values), self.element.q, 6, -1).transpose(2, 0, 1, 3)
        return out.reshape(6, -1, *displacements.shape[1:])

    def forces(self, stress: Array) -> Array:
        """Internal forces (n,): sum over the points of w B^T stress, for a stress (6, G)."""
        weighted = np.ascontiguousarray((stress * self.weights).T).reshape(len(self.cells), 1, -1)
        local = weighted @ self.B
        return np.asarray(np.bincount(self.dofs.ravel(), local.ravel(), self.n), dtype=np.float64)

    def stiffness(self, tangent: Array) -> sp.csc_array:
        """Stiffness (n, n): sum over the points of w B^T C B, for a tangent C (6, 6, G), not symmetric in general.

        The pattern is the same in every call (entries that are zero are stored). Cost: 12 q (v d)^2 C flops.
        """
        q, v, d = self.element.q, self.element.v, self.d
        moduli = np.ascontiguousarray(np.moveaxis(tangent, 2, 0)) * self.weights[:, None, None]
        local = np.empty((len(self.cells), v, v, d, d))
        for start in range(0, len(self.cells), _BLOCK):
            part = slice(start, start + _BLOCK)
            blocks = _cell_matrices(self.B[part], moduli[start * q:(start + _BLOCK) * q])
            local[part] = blocks.reshape(-1, v, d, v, d).transpose(0, 3, 1, 4, 2)
        return self._pattern.matrix(local.reshape(-1, d, d))

    def cell_stiffness(self, tangent: Array, cells: NDArray[np.int64]) -> Array:
        """Stiffness (k, v d, v d) of some cells (k,) on their `dofs`, for a tangent (6, 6, G) of all points."""
        q = self.element.q
        points = (q * np.asarray(cells)[:, None] + np.arange(q)).ravel()
        moduli = np.ascontiguousarray(np.moveaxis(tangent[:, :, points], 2, 0)) * self.weights[points, None, None]
        return _cell_matrices(self.B[cells], moduli)

    @cached_property
    def _pattern(self) -> BlockPattern:
        return BlockPattern(self.cells, len(self.nodes), self.d)

    def point_rows(self, points: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
        """Strain rows E (m, 6, v d) of the given points (m,), and the dofs (m, v d) that they apply to."""
        chosen = np.asarray(points, dtype=np.int64)
        return self.B.reshape(self.G, 6, -1)[chosen], self.dofs[chosen // self.element.q]

    def shape_rows(self, points: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
        """Shape functions (m, v) of the given points (m,), and the nodes (m, v) that they belong to."""
        chosen = np.asarray(points, dtype=np.int64)
        return self.shape[chosen % self.element.q], self.cells[chosen // self.element.q]

    def at_points(self, nodal: Array, cells: slice | NDArray[np.int64] | None = None) -> Array:
        """Values (G,) or (G, b) at the points of a nodal field (N,) or (N, b); at the chosen cells only."""
        numbers = self.cells if cells is None else self.cells[cells]
        values = np.einsum("kv,cvb->ckb", self.shape, nodal.reshape(len(self.nodes), -1)[numbers], optimize=True)
        return np.ascontiguousarray(values).reshape(-1, *nodal.shape[1:])

    def extrapolate(self, field: Array) -> Array:
        """Nodal values (c, N) of a field (c, G) at the points: averages with positive weights, within its range.

        For pictures: a linear field comes back smoothed. Nodes of no cell get zero.
        """
        return np.ascontiguousarray((self._averages @ np.atleast_2d(field).T).T)

    @cached_property
    def _averages(self) -> sp.csr_array:
        weights = self.weights.reshape(len(self.cells), -1, 1) * self.element.averages
        columns = np.broadcast_to(np.arange(self.G).reshape(len(self.cells), -1, 1), weights.shape)
        rows = np.broadcast_to(self.cells[:, None, :], weights.shape)
        matrix = sp.csr_array((weights.ravel(), (rows.ravel(), columns.ravel())), shape=(len(self.nodes), self.G))
        sums: Array = np.asarray(matrix.sum(axis=1)).ravel()
        return sp.csr_array(sp.diags_array(1.0 / np.where(sums > 0.0, sums, 1.0)) @ matrix)

    def mass(self, components: int = 1) -> sp.csr_array:
        """L2 products (N c, N c) of nodal fields of c components, entry node c + component; density 1."""
        return sp.csr_array(sp.kron(self._products[0], sp.eye_array(components), format="csr"))

    @cached_property
    def h1(self) -> sp.csr_array:
        """H1 products (n, n) of displacements: L2 of the values and of all their derivatives (unit length 1)."""
        return sp.csr_array(sp.kron(self._products[0] + self._products[1], sp.eye_array(self.d), format="csr"))

    @cached_property
    def _products(self) -> tuple[sp.csr_array, sp.csr_array]:
        """Products (N, N) of the values and of the gradients of scalar fields."""
        rule = make_rule(self.element.cell, 4)
        _, gradients, weights = _geometry(self.nodes, self.cells, rule)
        values = np.einsum("ck,kv,kw->cvw", weights, rule.shape, rule.shape, optimize=True)
        slopes = np.einsum("ck,ckvx,ckwx->cvw", weights, gradients, gradients, optimize=True)
        return self._scalar(values), self._scalar(slopes)

    def _scalar(self, local: Array) -> sp.csr_array:
        rows = np.broadcast_to(self.cells[:, :, None], local.shape)
        places = (rows.ravel(), rows.transpose(0, 2, 1).ravel())
        return sp.csr_array((local.ravel(), places), shape=(len(self.nodes),) * 2)

    @cached_property
    def mesh(self) -> Mesh:
        """The mesh for pictures: all nodes, cells by their corners, every dof a nodal value."""
        corners = self.cells[:, :self.element.corners]
        return Mesh(self.nodes, corners, self.element.corner_cell, np.arange(self.n), self.d)


def _checked(nodes: ArrayLike, cells: ArrayLike, element: Element) -> tuple[Array, NDArray[np.int64]]:
    points = np.ascontiguousarray(nodes, dtype=np.float64)
    numbers: NDArray[Any] = np.asarray(cells)
    if points.ndim != 2 or points.shape[1] != element.d:
        raise ShapeError(f"nodes have shape {points.shape}; the element {element.name} needs (N, {element.d}).")
    if numbers.ndim != 2 or numbers.shape[1] != element.v or len(numbers) == 0 or numbers.dtype.kind not in "iu":
        raise ShapeError(f"cells have shape {numbers.shape} and type {numbers.dtype}; the element {element.name} needs "
                         f"whole numbers (C, {element.v}) with C > 0.")
    if not np.isfinite(points).all():
        raise InputError("nodes are not all finite; a mesh needs finite coordinates.")
    if numbers.min() < 0 or numbers.max() >= len(points):
        raise InputError(f"cells name nodes {numbers.min()} to {numbers.max()}; there are {len(points)}, from 0.")
    return points, np.ascontiguousarray(numbers, dtype=np.int64)


def _geometry(nodes: Array, cells: NDArray[np.int64], rule: Rule) -> tuple[Array, Array, Array]:
    """Points (C, q, d), gradients of the shape functions (C, q, v, d) and weights (C, q) of all cells."""
    points, jacobians, determinants = rule.mapped(nodes[cells])
    wrong = np.flatnonzero(determinants.min(axis=1) <= 0.0)
    if wrong.size:
        raise InputError(f"{wrong.size} of {len(cells)} cells are turned inside out or flat, the first is cell "
                         f"{wrong[0]} with the nodes {cells[wrong[0]].tolist()}; number their nodes in VTK's order and "
                         "check the quality of the mesh.")
    gradients = np.matmul(rule.gradients, np.linalg.inv(jacobians))
    return points, gradients, determinants * rule.weights


def _cell_matrices(rows: Array, moduli: Array) -> Array:
    """B^T C B (k, v d, v d) of the strain rows (k, 6 q, v d) of cells and the moduli (k q, 6, 6) at their points."""
    stress = moduli @ rows.reshape(-1, 6, rows.shape[2])
    return np.asarray(rows.transpose(0, 2, 1) @ stress.reshape(rows.shape))


def _strain_rows(gradients: Array, weights: Array, mean_dilatation: bool) -> Array:
    """B (C, 6 q, v d) of the gradients (C, q, v, d)."""
    count, q, v, d = gradients.shape
    rows = np.zeros((count, q, 6, v, d))
    for component in range(d):
        for axis in range(d):
            rows[:, :, _VOIGT[axis, component], :, component] += gradients[:, :, :, axis]
    if mean_dilatation:
        share = weights / weights.sum(axis=1, keepdims=True)
        mean = np.einsum("ck,ckvx->cvx", share, gradients)
        rows[:, :, :3] += ((mean[:, None] - gradients) / 3.0)[:, :, None]
    return rows.reshape(count, 6 * q, v * d)
