"""Partitions of a mesh: METIS on the graph of neighbouring cells, or bisection of coordinates; no part stays empty."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest

__all__ = ["METHODS", "cell_graph", "partition_cells", "pieces", "split"]

METHODS = ("metis", "bisection")
_CHUNK = 100_000


def partition_cells(cells: np.ndarray, points: np.ndarray, parts: int, method: str = "metis") -> np.ndarray:
    """The part 0 .. parts - 1 of every cell; each part has at least one cell.

    Parameters
    ----------
    cells : (E, v) int
        Vertices of the cells.
    points : (P, d)
        Coordinates of the vertices.
    parts : int
    method : {"metis", "bisection"}
        Smallest interfaces (Karypis and Kumar 1998, k-way), or halves along the longest side of the bounding box.

    Returns
    -------
    (E,) int
        The same on every machine of one METIS release; a part may be disconnected (see `pieces`).

    Raises
    ------
    InputError
        More parts than cells.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> sorted(partition_cells(np.array([[0, 1, 2], [1, 2, 3]]), points, 2).tolist())
    [0, 1]
    """
    cells, points = np.asarray(cells), np.asarray(points, dtype=float)
    if cells.ndim != 2 or points.ndim != 2:
        raise ShapeError(f"cells have the shape (E, v) and points (P, d); these are {cells.shape} and {points.shape}")
    return split(cells, points[cells].mean(axis=1), parts, method)


def split(cells: np.ndarray, centroids: np.ndarray, parts: int, method: str = "metis",
          graph: sp.csr_array | None = None) -> np.ndarray:
    """As `partition_cells`, from the centroids (E, d) of the cells and, where it is at hand, their graph."""
    count = cells.shape[0]
    if method not in METHODS:
        raise ConfigError(f"no partition is called '{method}'" + nearest(method, list(METHODS)))
    if not 1 <= parts <= count:
        raise InputError(f"{parts} parts were asked for and the mesh has {count} cells; the rule is 1 <= parts <= "
                         "cells: lower [solver] parts and subdomains, or refine the mesh")
    if parts == 1:
        return np.zeros(count, dtype=np.int64)
    if method == "bisection":
        return _bisection(centroids, parts)
    graph = cell_graph(cells, centroids.shape[1]) if graph is None else graph
    return _mended(_metis(graph, parts), centroids, parts)


def cell_graph(cells: np.ndarray, dimension: int) -> sp.csr_array:
    """Cells that share at least `dimension` vertices (in space a facet, in the plane an edge): (E, E), no diagonal.

    Cost: one sort of the facets for simplices; else one sparse product by chunks of rows.
    """
    count, width = cells.shape
    number, vertices = np.unique(cells, return_inverse=True)
    vertices = vertices.reshape(cells.shape)
    if width == dimension + 1 and number.size < 2_000_000:
        return _by_facets(np.sort(vertices, axis=1), number.size)
    incidence = sp.csr_array((np.ones(cells.size, dtype=np.int8), vertices.reshape(-1).astype(np.int32),
                              np.arange(0, cells.size + 1, width)), shape=(count, number.size))
    transposed = sp.csr_array(incidence.T)
    rows = [_neighbours(incidence[start:start + _CHUNK], transposed, start, min(dimension, width - 1))
            for start in range(0, count, _CHUNK)]
    return sp.csr_array(sp.vstack(rows, format="csr"))


def _by_facets(vertices: np.ndarray, number: int) -> sp.csr_array:
    """Pairs of simplices with a common facet, from equal keys; the vertices (E, v) of each are rising."""
    count, width = vertices.shape
    keys = np.empty((width, count), dtype=np.int64)
    for left_out in range(width):
        keys[left_out] = 0
        for column in range(width):
            if column != left_out:
                keys[left_out] = keys[left_out] * number + vertices[:, column]
    order = np.argsort(keys.ravel(), kind="stable")
    ordered = keys.ravel()[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    one, other = order[same] % count, order[same + 1] % count
    ones = np.ones(2 * one.size, dtype=np.int8)
    return sp.csr_array((ones, (np.concatenate([one, other]), np.concatenate([other, one]))), shape=(count, count))


def _neighbours(some: sp.csr_array, transposed: sp.csr_array, start: int, least: int) -> sp.csr_array:
    shared = sp.coo_array(some @ transposed)
    keep = (shared.data >= least) & (shared.row + start != shared.col)
    return sp.csr_array((shared.data[keep], (shared.row[keep], shared.col[keep])), shape=shared.shape)


def pieces(graph: sp.csr_array, labels: np.ndarray) -> np.ndarray:
    """Number of connected pieces of each part (max(labels) + 1,), in the graph of neighbouring cells.

    Examples
    --------
    >>> graph = sp.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    >>> pieces(graph, np.array([0, 1, 0]))
    array([2, 1])
    """
    edges = sp.coo_array(graph)
    inside = labels[edges.row] == labels[edges.col]
    within = sp.csr_array((np.ones(int(inside.sum()), dtype=np.int8), (edges.row[inside], edges.col[inside])),
                          shape=graph.shape)
    count, component = connected_components(within, directed=False)
    part = np.zeros(count, dtype=np.int64)
    part[component] = labels
    return np.bincount(part, minlength=int(labels.max()) + 1)


def _metis(graph: sp.csr_array, parts: int) -> np.ndarray:
    import pymetis

    _, labels = pymetis.part_graph(parts, pymetis.CSRAdjacency(graph.indptr, graph.indices))
    return np.asarray(labels, dtype=np.int64)


def _mended(labels: np.ndarray, centroids: np.ndarray, parts: int) -> np.ndarray:
    """The labels with every empty part filled by half of the largest one."""
    counts = np.bincount(labels, minlength=parts)
    for empty in np.flatnonzero(counts == 0):
        large = int(np.argmax(counts))
        members = np.flatnonzero(labels == large)
        labels[members[_bisection(centroids[members], 2) == 1]] = empty
        counts = np.bincount(labels, minlength=parts)
    return labels


def _bisection(centroids: np.ndarray, parts: int) -> np.ndarray:
    labels = np.zeros(centroids.shape[0], dtype=np.int64)
    waiting = [(np.arange(centroids.shape[0]), 0, parts)]
    while waiting:
        members, first, number = waiting.pop()
        if number == 1:
            labels[members] = first
            continue
        left = number // 2
        here = centroids[members]
        axis = int(np.argmax(np.ptp(here, axis=0)))
        order = members[np.argsort(here[:, axis], kind="stable")]
        cut = max(left, min(members.size - (number - left), round(members.size * left / number)))
        waiting += [(order[:cut], first, left), (order[cut:], first + left, number - left)]
    return labels
