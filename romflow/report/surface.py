"""What can be seen of a mesh: triangles, boundary faces of a solid, and coarser ones where a picture needs no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# vertices of each face, in VTK's order of the cell's vertices
_FACES: dict[str, list[list[int]]] = {
    "tetra": [[0, 1, 2], [0, 1, 3], [1, 2, 3], [0, 2, 3]],
    "hexahedron": [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]],
}


def triangles(cells: Integers) -> Integers:
    """Triangles (T, 3) of triangular or quadrilateral faces (C, 3 or 4).

    Examples
    --------
    >>> triangles(np.array([[0, 1, 2, 3]])).tolist()
    [[0, 1, 2], [0, 2, 3]]
    """
    if cells.shape[1] == 3:
        return cells
    return np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])


def boundary_faces(points: Array, cells: Integers, cell_type: str) -> Integers:
    """Faces that belong to one cell only, (F, 3) or (F, 4), their normals pointing out of that cell.

    Examples
    --------
    >>> boundary_faces(np.eye(4, 3, k=-1), np.array([[0, 1, 2, 3]]), "tetra").shape
    (4, 3)
    """
    local = np.array(_FACES[cell_type])
    faces = cells[:, local].reshape(-1, local.shape[1])
    owner = np.repeat(np.arange(len(cells)), len(local))
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    once = np.sort(first[count == 1])
    faces, owner = faces[once], owner[once]
    outward = points[faces].mean(axis=1) - points[cells[owner]].mean(axis=1)
    inward = np.einsum("fd,fd->f", normals(points, faces), outward) < 0
    oriented: Integers = np.where(inward[:, None], faces[:, ::-1], faces)
    return oriented


def outline(cells: Integers) -> Integers:
    """Edges (E, 2) of plane cells that belong to one cell only: the rim of the mesh.

    Examples
    --------
    >>> outline(np.array([[0, 1, 2], [0, 2, 3]])).tolist()
    [[0, 1], [0, 3], [1, 2], [2, 3]]
    """
    edges = np.sort(np.stack([cells, np.roll(cells, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    rim: Integers = found[count == 1]
    return rim


def normals(points: Array, faces: Integers) -> Array:
    """Normals (F, 3) of triangles or quadrilaterals; their length is twice the area."""
    corner = points[faces]
    if faces.shape[1] == 3:
        return np.asarray(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]))
    return np.asarray(np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]))


def used(points: Array, faces: Integers) -> tuple[Integers, Integers]:
    """Numbers (U,) of the points that the faces use, and the faces in terms of those."""
    kept, again = np.unique(faces, return_inverse=True)
    return kept, again.reshape(faces.shape).astype(np.int64)


def coarsened(points: Array, faces: Integers, limit: int) -> tuple[Array, Integers, Integers]:
    """About `limit` triangles in place of more: points that lie close together become one.

    Points are merged within the boxes of a grid whose width h = (2 area / limit)^{1/2} gives about `limit` triangles
    (vertex clustering, Rossignac and Borrel 1993). Cost O(F log F).

    Parameters
    ----------
    points : (P, d) array
    faces : (F, 3) array
    limit : int

    Returns
    -------
    points (P', d), faces (F', 3), label (P,)
        `label` is the new number of each old point; `averaged` brings values onto the new points.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> coarsened(points, np.array([[0, 1, 2]]), 10)[2].tolist()
    [0, 1, 2]
    """
    if len(faces) <= limit:
        return points, faces, np.arange(len(points))
    solid = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    area = 0.5 * np.linalg.norm(normals(solid, faces), axis=1).sum()
    width = np.sqrt(2.0 * area / limit)
    box = np.floor((points - points.min(axis=0)) / width).astype(np.int64)
    sides = box.max(axis=0) + 1
    _, label = np.unique(np.ravel_multi_index(tuple(box.T), tuple(sides)), return_inverse=True)
    merged = label[faces]
    distinct = (merged[:, 0] != merged[:, 1]) & (merged[:, 1] != merged[:, 2]) & (merged[:, 0] != merged[:, 2])
    merged = merged[distinct]
    _, first = np.unique(np.sort(merged, axis=1), axis=0, return_index=True)
    return averaged(points, label), merged[np.sort(first)], label


def averaged(values: Array, label: Integers) -> Array:
    """Mean of the values (P, ...) over the points with the same label."""
    count = np.bincount(label)
    flat = values.reshape(len(values), -1)
    means = np.stack([np.bincount(label, weights=column) / count for column in flat.T], axis=1)
    return means.reshape(len(count), *values.shape[1:])


def refined(faces: Integers, count: int, limit: int) -> tuple[Integers, list[Integers]]:
    """Triangles of `count` points halved along every edge, again and again while no more than `limit` of them result.

    Returns
    -------
    faces (F 4^j, 3), and for each of the j steps the pairs (E, 2) of points whose middles are the new points.

    Examples
    --------
    >>> faces, pairs = refined(np.array([[0, 1, 2]]), 3, 4)
    >>> faces.shape, pairs[0].tolist()
    ((4, 3), [[0, 1], [0, 2], [1, 2]])
    """
    steps: list[Integers] = []
    while 0 < 4 * len(faces) <= limit:
        sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        pairs, number = np.unique(sides, axis=0, return_inverse=True)
        middle = (count + number.reshape(-1, 3)).astype(np.int64)
        (a, b, c), (ab, bc, ca) = faces.T, middle.T
        corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = np.concatenate([np.stack(corner, axis=1) for corner in corners])
        steps.append(pairs)
        count += len(pairs)
    return faces, steps


def with_middles(values: Array, steps: list[Integers]) -> Array:
    """Values (P, ...) at the points and at all the middles that `refined` made, linearly interpolated."""
    for pairs in steps:
        values = np.concatenate([values, 0.5 * (values[pairs[:, 0]] + values[pairs[:, 1]])])
    return values
