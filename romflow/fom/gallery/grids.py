"""Structured meshes of the gallery, and their form for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import skfem

from romflow.core.errors import ConfigError
from romflow.core.mesh import Mesh
from romflow.core.names import nearest, shown

#: Name in a study -> what it is.
PLANE_ELEMENTS = {"Q1": "bilinear quadrilaterals", "P1": "linear triangles, four to a square (criss-cross)"}
SOLID_ELEMENTS = {"hex": "trilinear hexahedra", "tet": "linear tetrahedra"}

# scikit-fem numbers the corners of a hexahedron by its edges at one corner, VTK walks around bottom and top.
_HEXAHEDRON = [0, 3, 6, 2, 1, 5, 7, 4]
# Corners that are neighbours of corner 0, in the order in which they span a positive volume.
_EDGES = {"triangle": [1, 2], "quad": [1, 3], "tetra": [1, 2, 3]}


def counts(value: Any, dimension: int, key: str, least: int = 1) -> tuple[int, ...]:
    """A number of cells (blocks ...) in each direction, from one whole number or a list of `dimension` of them.

    Raises
    ------
    ConfigError
        Another type, another length, or a number below `least`.

    Examples
    --------
    >>> counts(4, 2, "cells"), counts([4, 6], 2, "cells")
    ((4, 4), (4, 6))
    """
    numbers = list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * dimension
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers)
    if not whole or len(numbers) != dimension or min(numbers) < least:
        raise ConfigError(f"{key} = {shown(value)} is not a whole number from {least} or a list of {dimension} of them")
    return tuple(int(number) for number in numbers)


def check_element(element: Any, known: dict[str, str]) -> None:
    """Raise ConfigError unless `element` is a known name."""
    if element not in known:
        raise ConfigError(f"no element is called {shown(element)}{nearest(str(element), known)}")


def unit_square(element: str, cells: tuple[int, ...]) -> Any:
    """Mesh of (0, 1)^2: cells[0] x cells[1] rectangles ("Q1"), each cut in four triangles by its diagonals ("P1")."""
    nx, ny = cells
    rectangles = skfem.MeshQuad.init_tensor(np.linspace(0.0, 1.0, nx + 1), np.linspace(0.0, 1.0, ny + 1))
    if element == "Q1":
        return rectangles
    corners = rectangles.t
    centres = rectangles.p.shape[1] + np.arange(corners.shape[1])
    points = np.hstack([rectangles.p, rectangles.p[:, corners].mean(axis=1)])
    triangles = np.hstack([np.vstack([corners[i], corners[(i + 1) % 4], centres]) for i in range(4)])
    return skfem.MeshTri(np.ascontiguousarray(points), np.ascontiguousarray(triangles))


def box(element: str, lengths: tuple[float, float, float], cells: tuple[int, ...]) -> Any:
    """Mesh of [0, lengths[0]] x [0, lengths[1]] x [0, lengths[2]] of boxes ("hex") or six tetrahedra each ("tet")."""
    axes = [np.linspace(0.0, length, count + 1) for length, count in zip(lengths, cells, strict=True)]
    return (skfem.MeshHex if element == "hex" else skfem.MeshTet).init_tensor(*axes)


def picture_mesh(mesh: Any, dofs: np.ndarray, components: int = 1) -> Mesh:
    """The mesh of scikit-fem, corners in VTK's order; entry i of a state is nodal value dofs[i]."""
    cell_type = {3: "triangle", 4: "quad" if mesh.dim() == 2 else "tetra", 8: "hexahedron"}[mesh.t.shape[0]]
    points, cells = np.ascontiguousarray(mesh.p.T), np.array(mesh.t.T, dtype=np.int64)
    if cell_type == "hexahedron":
        cells = cells[:, _HEXAHEDRON]
    else:
        edges = points[cells[:, _EDGES[cell_type]]] - points[cells[:, :1]]
        mirrored = np.linalg.det(edges) < 0.0
        swapped = _EDGES[cell_type][-2:]
        cells[np.ix_(mirrored, swapped)] = cells[np.ix_(mirrored, swapped[::-1])]
    return Mesh(points, cells, cell_type, dofs, components)
