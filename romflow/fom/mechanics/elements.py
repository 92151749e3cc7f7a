"""Elements of small-strain mechanics: shape functions at their integration points, in the node order of VTK."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import skfem
from numpy.typing import NDArray
from skfem.quadrature import get_quadrature

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown

__all__ = ["CELL_ELEMENTS", "ELEMENTS", "Element", "Rule", "make_element", "make_rule", "shapes_at"]

Array = NDArray[np.float64]
_CORNERS = {
    "line": [[0], [1]],
    "triangle": [[0, 0], [1, 0], [0, 1]],
    "quad": [[0, 0], [1, 0], [1, 1], [0, 1]],
    "tetra": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "hexahedron": [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
}
_EDGES = {
    "line": [[0, 1]],
    "triangle": [[0, 1], [1, 2], [2, 0]],
    "tetra": [[0, 1], [1, 2], [2, 0], [0, 3], [1, 3], [2, 3]],
}
_DOMAINS = {"line": skfem.refdom.RefLine, "triangle": skfem.refdom.RefTri, "quad": skfem.refdom.RefQuad,
            "tetra": skfem.refdom.RefTet, "hexahedron": skfem.refdom.RefHex}
# Nodal cell of meshio -> corner cell, element of scikit-fem, facets as local nodes (outwards), nodal cell of a facet.
_CELLS = {
    "line": ("line", skfem.ElementLineP1, (), ""),
    "line3": ("line", skfem.ElementLineP2, (), ""),
    "triangle": ("triangle", skfem.ElementTriP1, ((0, 1), (1, 2), (2, 0)), "line"),
    "triangle6": ("triangle", skfem.ElementTriP2, ((0, 1, 3), (1, 2, 4), (2, 0, 5)), "line3"),
    "quad": ("quad", skfem.ElementQuad1, ((0, 1), (1, 2), (2, 3), (3, 0)), "line"),
    "tetra": ("tetra", skfem.ElementTetP1, ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)), "triangle"),
    "tetra10": ("tetra", skfem.ElementTetP2,
                ((0, 2, 1, 6, 5, 4), (0, 1, 3, 4, 8, 7), (1, 2, 3, 5, 9, 8), (0, 3, 2, 7, 9, 6)), "triangle6"),
    "hexahedron": ("hexahedron", skfem.ElementHex1,
                   ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)), "quad"),
}
# Neighbours of corner 0 that span a positive volume, and the order of the nodes of the mirrored cell.
_TURNS = {"triangle": ([1, 2], [0, 2, 1]), "triangle6": ([1, 2], [0, 2, 1, 5, 4, 3]), "quad": ([1, 3], [0, 3, 2, 1]),
          "tetra": ([1, 2, 3], [0, 2, 1, 3]), "tetra10": ([1, 2, 3], [0, 2, 1, 3, 6, 5, 4, 7, 9, 8]),
          "hexahedron": ([1, 3, 4], [4, 5, 6, 7, 0, 1, 2, 3])}
#: Name in a study -> (nodal cell of meshio, order of the integration, mean dilatation over the cell).
ELEMENTS: dict[str, tuple[str, int, bool]] = {
    "tri3": ("triangle", 1, False),
    "tri6": ("triangle6", 2, False),
    "quad4": ("quad", 3, False),
    "quad4-bbar": ("quad", 3, True),
    "tet4": ("tetra", 1, False),
    "tet10": ("tetra10", 2, False),
    "hex8": ("hexahedron", 3, False),
    "hex8-bbar": ("hexahedron", 3, True),
}
#: Nodal cell of meshio -> the element that is taken where a study names none.
CELL_ELEMENTS = {"triangle": "tri3", "triangle6": "tri6", "quad": "quad4-bbar", "tetra": "tet4", "tetra10": "tet10",
                 "hexahedron": "hex8-bbar"}


@dataclass(frozen=True, eq=False)
class Rule:
    """Shape functions of one cell at the points of a quadrature on the reference cell.

    Attributes
    ----------
    weights : (q,)
    shape : (q, v)
    gradients : (q, v, d)
        Derivatives along the coordinates of the reference cell.
    """

    weights: Array
    shape: Array
    gradients: Array

    def mapped(self, nodes: Array) -> tuple[Array, Array, Array]:
        """Points (E, q, D), Jacobians (E, q, D, d) and their measures, signed where D = d, of cells nodes (E, v, D)."""
        points = np.einsum("qv,evx->eqx", self.shape, nodes, optimize=True)
        jacobians = np.einsum("evx,qvd->eqxd", nodes, self.gradients, optimize=True)
        if jacobians.shape[2] == jacobians.shape[3]:
            return points, jacobians, np.linalg.det(jacobians)
        gram = np.einsum("eqxd,eqxf->eqdf", jacobians, jacobians)
        return points, jacobians, np.sqrt(np.linalg.det(gram))


@dataclass(frozen=True, eq=False)
class Element:
    """An element: nodes in VTK's order, integration rule, facets.

    Attributes
    ----------
    name : str
    cell, corner_cell, facet_cell : str
        meshio's names: of the nodal cell, of its corners alone, of a nodal facet.
    d, v, q : int
        Directions, nodes and integration points of a cell.
    rule : Rule
        At the integration points.
    mean_dilatation : bool
        The volume change is its mean over the cell (B-bar).
    facets : tuple of tuple of int
        Local nodes of each facet; corners first, their right-handed normal points outwards.
    corners : int
        Number of corners of the cell.
    averages : (q, v)
        Positive weights with which the values at the points give those at the nodes.
    """

    name: str
    cell: str
    corner_cell: str
    facet_cell: str
    d: int
    v: int
    q: int
    rule: Rule
    mean_dilatation: bool
    facets: tuple[tuple[int, ...], ...]
    corners: int
    averages: Array


@cache
def make_rule(cell: str, order: int) -> Rule:
    """Shape functions of a nodal cell (meshio's name) at a quadrature that is exact to this order.

    Examples
    --------
    >>> make_rule("tetra10", 2).shape.sum(axis=1).round(12)
    array([1., 1., 1., 1.])
    """
    points, weights = _quadrature(_CELLS[cell][0], order)
    return Rule(np.asarray(weights), *shapes_at(cell, points))


def shapes_at(cell: str, points: Array) -> tuple[Array, Array]:
    """Shape functions (P, v) of a nodal cell and their gradients (P, v, d) at points (d, P) of the reference cell.

    Examples
    --------
    >>> shapes_at("triangle", np.array([[0.25], [0.5]]))[0]
    array([[0.25, 0.25, 0.5 ]])
    """
    element = _CELLS[cell][1]()
    functions = [element.lbasis(points, i) for i in range(len(element.doflocs))]
    locations = reference_nodes(cell)
    places = np.abs(locations[:, None, :] - np.asarray(element.doflocs)[None]).max(axis=2).argmin(axis=1)
    shape = np.stack([np.broadcast_to(functions[i][0], points.shape[1:]) for i in places], axis=1)
    gradients = np.stack([np.broadcast_to(functions[i][1], points.shape).T for i in places], axis=1)
    return np.ascontiguousarray(shape), np.ascontiguousarray(gradients)


def _quadrature(corner: str, order: int) -> tuple[Array, Array]:
    if corner in ("triangle", "tetra") and order == 1:
        # scikit-fem takes three points on a triangle.
        middle = np.array(_CORNERS[corner], dtype=np.float64).mean(axis=0)
        return middle[:, None], np.array([1.0 / math.factorial(len(middle))])
    points, weights = get_quadrature(_DOMAINS[corner], order)
    return np.asarray(points), np.asarray(weights)


def reference_nodes(cell: str) -> Array:
    """Nodes (v, d) of the reference cell in VTK's order: corners, then the middles of the edges."""
    corner = _CELLS[cell][0]
    nodes = np.array(_CORNERS[corner], dtype=np.float64)
    if cell == corner:
        return nodes
    return np.concatenate([nodes, nodes[np.array(_EDGES[corner])].mean(axis=1)])


@cache
def make_element(name: str) -> Element:
    """The element of this name.

    Raises
    ------
    ConfigError
        No element has this name.

    Examples
    --------
    >>> make_element("tet10").q, make_element("hex8-bbar").q
    (4, 8)
    """
    if name not in ELEMENTS:
        raise ConfigError(f"no element is called {shown(name)}{nearest(str(name), ELEMENTS)}")
    cell, order, mean = ELEMENTS[name]
    corner, _, facets, facet_cell = _CELLS[cell]
    rule = make_rule(cell, order)
    linear = make_rule(corner, order).shape
    middles = [4.0 * linear[:, a] * linear[:, b] for a, b in _EDGES[corner]] if cell != corner else []
    averages = np.column_stack([linear, *middles])
    q, v, d = rule.gradients.shape
    return Element(name, cell, corner, facet_cell, d, v, q, rule, mean, facets, len(_CORNERS[corner]), averages)


def cell_facets(cell: str) -> tuple[tuple[int, ...], ...]:
    """Local nodes of the facets of a nodal cell; corners first, their right-handed normal points outwards."""
    return _CELLS[cell][2]


def cell_facet(cell: str) -> str:
    """Name of the nodal cell that the facets of a nodal cell are."""
    return _CELLS[cell][3]


def cell_corners(cell: str) -> str:
    """Name of the cell that the corners of a nodal cell make."""
    return _CELLS[cell][0]


def cell_edges(cell: str) -> list[list[int]]:
    """Corners of the edges of a cell in VTK's order of their middles."""
    return _EDGES[_CELLS[cell][0]]


def mirrored(nodes: Array, cells: NDArray[np.int64], cell: str) -> NDArray[np.int64]:
    """The cells, with nodes exchanged in those that are turned inside out at their first corner."""
    neighbours, exchanged = _TURNS[cell]
    edges = nodes[cells[:, neighbours]] - nodes[cells[:, :1]]
    turned = np.linalg.det(edges) < 0.0
    return np.ascontiguousarray(np.where(turned[:, None], cells[:, exchanged], cells), dtype=np.int64)
