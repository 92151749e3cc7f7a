"""Faces of CalculiX's elements by their number, as surfaces of an input file name them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["face_nodes", "is_plane"]

# Faces S1, S2 ... of each kind of element by its corners, as CalculiX numbers them.
_FACES = {4: [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]],
          8: [[0, 1, 2, 3], [4, 7, 6, 5], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]]}
_EDGES = {3: [[0, 1], [1, 2], [2, 0]], 4: [[0, 1], [1, 2], [2, 3], [3, 0]]}


def is_plane(kind: str) -> bool:
    """Whether an element type has two coordinates: plane strain, plane stress or axisymmetric."""
    return kind.startswith(("CPE", "CPS", "CAX"))


def face_nodes(kind: str, cells: NDArray[np.int64], face: str) -> NDArray[np.int64]:
    """Nodes (F, f) of the face "S1", "S2" ... of each of the cells (C, v), corners first; (0, 0) if there is none.

    Examples
    --------
    >>> face_nodes("CPE3", np.array([[4, 7, 9]]), "S2")
    array([[7, 9]])
    """
    number = int(face[1:]) - 1 if face[1:].isdigit() else -1
    nodes, plane = cells.shape[1], is_plane(kind)
    corners = {3: 3, 6: 3, 4: 4, 10: 4, 8: 4 if plane else 8, 20: 8}.get(nodes, 0)
    faces = _EDGES.get(corners, []) if plane else _FACES.get(corners, [])
    if not 0 <= number < len(faces) or not len(cells):
        return np.empty((0, 0), np.int64)
    local = faces[number] + [corners + k for k, ends in enumerate(_middles(kind, nodes))
                             if set(faces[number]).issuperset(ends)]
    return np.asarray(cells[:, local])


def _middles(kind: str, nodes: int) -> list[tuple[int, int]]:
    """Ends of the edge that each node behind the corners is the middle of."""
    if nodes == 10:
        return [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)]
    if nodes == 6:
        return [(0, 1), (1, 2), (2, 0)]
    if nodes == 20:
        return [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
    return [(0, 1), (1, 2), (2, 3), (3, 0)] if nodes == 8 and not kind.startswith("C3D") else []
