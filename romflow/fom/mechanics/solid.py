"""A body as a mesh: nodes, cells of one type, named parts of its boundary and of its volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.fom.mechanics.elements import CELL_ELEMENTS, ELEMENTS, cell_corners, cell_edges, cell_facets
from romflow.fom.mechanics.space import StrainSpace

__all__ = ["Solid", "with_middles"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Solid:
    """A mesh of one type of cell, with names.

    Attributes
    ----------
    nodes : (N, d)
    cells : (C, v) int
        In VTK's order.
    cell : str
        meshio's name: triangle, triangle6, quad, tetra, tetra10 or hexahedron.
    boundaries : dict of name -> (F, f) int
        Nodes of the facets of each named part of the boundary.
    regions : dict of name -> (c,) int
        Cells of each named part of the volume.
    node_sets : dict of name -> (k,) int
        Nodes of each named set; it stands for the facets too that lie in it.
    """

    nodes: Array
    cells: Numbers
    cell: str
    boundaries: Mapping[str, Numbers] = field(default_factory=dict)
    regions: Mapping[str, Numbers] = field(default_factory=dict)
    node_sets: Mapping[str, Numbers] = field(default_factory=dict)

    def space(self, element: str | None = None) -> StrainSpace:
        """Displacements and strains on this mesh.

        Parameters
        ----------
        element : str, optional
            By default the element of the cells; B-bar on quadrilaterals and hexahedra.

        Raises
        ------
        InputError
            The element has other cells than the mesh.
        """
        if self.cell not in CELL_ELEMENTS:
            raise InputError(f"the mesh has cells of type {self.cell}; the elements of mechanics are on "
                             f"{', '.join(CELL_ELEMENTS)}.")
        name = CELL_ELEMENTS[self.cell] if element is None else element
        if name in ELEMENTS and ELEMENTS[name][0] != self.cell:
            fitting = [key for key, value in ELEMENTS.items() if value[0] == self.cell]
            raise InputError(f"element = {name!r} has cells of type {ELEMENTS[name][0]}, the mesh has {self.cell}; "
                             f"choose {' or '.join(fitting)}, or another mesh.")
        return StrainSpace(self.nodes, self.cells, name)

    @cached_property
    def outside(self) -> tuple[Numbers, Numbers]:
        """Facets of one cell only: their nodes (F, f), normals outwards, and their cells (F,)."""
        local = np.array(cell_facets(self.cell))
        facets = self.cells[:, local].reshape(-1, local.shape[1])
        owners = np.repeat(np.arange(len(self.cells)), len(local))
        corners = np.sort(facets[:, :_facet_corners(self.cell)], axis=1)
        _, first, count = np.unique(corners, axis=0, return_index=True, return_counts=True)
        chosen = np.sort(first[count == 1])
        return facets[chosen], owners[chosen]


def _facet_corners(cell: str) -> int:
    return {"triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 4}[cell_corners(cell)]


def with_middles(nodes: Array, cells: Numbers, cell: str) -> tuple[Array, Numbers, str]:
    """Nodes, cells and cell type of second order: a node more in the middle of each edge of triangles and tetrahedra.

    Examples
    --------
    >>> nodes, cells, cell = with_middles(np.eye(3, 2), np.array([[0, 1, 2]]), "triangle")
    >>> nodes.shape, cells.shape, cell
    ((6, 2), (1, 6), 'triangle6')
    """
    edges = np.sort(cells[:, np.array(cell_edges(cell))].reshape(-1, 2), axis=1)
    pairs, places = np.unique(edges, axis=0, return_inverse=True)
    middles = nodes[pairs].mean(axis=1)
    quadratic = np.hstack([cells, len(nodes) + places.reshape(len(cells), -1)])
    return np.concatenate([nodes, middles]), quadratic, {"triangle": "triangle6", "tetra": "tetra10"}[cell]
