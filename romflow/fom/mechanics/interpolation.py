"""Values of nodal fields at any points of a mesh, by the shape functions of the cells that they lie in."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from romflow.core.errors import InputError
from romflow.fom.mechanics.elements import cell_corners, shapes_at
from romflow.fom.mechanics.space import StrainSpace

__all__ = ["interpolation"]

Array = NDArray[np.float64]
# Cells whose centres are nearest to a point and that are tried for it.
_TRIED = 24
_ITERATIONS = 12
# How far out of its cell, in reference coordinates, a point may lie: on an edge that a finer mesh rounds better.
_OUTSIDE = 0.1
_WITHIN = 1e-9


def interpolation(space: StrainSpace, points: ArrayLike) -> sp.csr_array:
    """P (k, N) with P u the values at k points of a nodal field u (N,) of the mesh.

    The reference coordinates xi solve x(xi) = sum_v N_v(xi) x_v = x by Newton's method, all points at once, in the
    cells with the nearest centres; a point is given to the cell that it lies in, or lies out of least.

    Parameters
    ----------
    space : StrainSpace
    points : (k, d)

    Raises
    ------
    InputError
        Points are not (k, d) finite numbers, or lie outside the mesh by more than a tenth of a cell.

    Examples
    --------
    >>> space = StrainSpace([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2, 3]], "quad4")
    >>> interpolation(space, [[0.5, 0.25]]).toarray()
    array([[0.375, 0.375, 0.125, 0.125]])
    """
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != space.d or not np.isfinite(x).all():
        raise InputError(f"the points to interpolate at have shape {x.shape} or are not finite; the rule is "
                         f"(k, {space.d}) finite coordinates")
    tried = min(_TRIED, len(space.cells))
    centres = space.nodes[space.cells].mean(axis=1)
    candidates = np.asarray(cKDTree(centres).query(x, k=tried)[1]).reshape(len(x), tried)
    best = np.full(len(x), np.inf)
    cells, local = np.zeros(len(x), dtype=np.int64), np.zeros_like(x)
    for rank in range(tried):
        left = np.flatnonzero(best > _WITHIN)
        if not left.size:
            break
        there = candidates[left, rank]
        xi = _inverted(space, there, x[left])
        outside = _outside(space, xi)
        better = outside < best[left]
        rows = left[better]
        best[rows], cells[rows], local[rows] = outside[better], there[better], xi[better]
    worst = int(best.argmax()) if len(best) else 0
    if len(best) and not best[worst] <= _OUTSIDE:
        raise InputError(f"{int((best > _OUTSIDE).sum())} of {len(x)} points lie outside the mesh, such as "
                         f"{x[worst].round(6).tolist()}; give points of the body that the mesh fills")
    shape = shapes_at(space.element.cell, local.T)[0]
    rows = np.broadcast_to(np.arange(len(x))[:, None], shape.shape)
    return sp.csr_array((shape.ravel(), (rows.ravel(), space.cells[cells].ravel())), shape=(len(x), len(space.nodes)))


def _inverted(space: StrainSpace, cells: NDArray[np.int64], x: Array) -> Array:
    """Reference coordinates (k, d) of points (k, d), each in its cell; not finite where Newton's method fails."""
    nodes = space.nodes[space.cells[cells]]
    middle = 0.5 if cell_corners(space.element.cell) in ("quad", "hexahedron") else 1.0 / (space.d + 1)
    xi = np.full_like(x, middle)
    with np.errstate(all="ignore"):
        for _ in range(_ITERATIONS):
            shape, gradients = shapes_at(space.element.cell, xi.T)
            gap = x - np.einsum("kv,kvx->kx", shape, nodes)
            jacobian = np.einsum("kvx,kvd->kxd", nodes, gradients)
            singular = ~(np.abs(np.linalg.det(jacobian)) > 0.0)
            jacobian[singular], gap[singular] = np.eye(space.d), np.nan
            # Steps of more than a cell lead astray; far points are not of this cell.
            xi = xi + np.clip(np.linalg.solve(jacobian, gap[..., None])[..., 0], -1.0, 1.0)
    return xi


def _outside(space: StrainSpace, xi: Array) -> Array:
    """How far (k,) reference coordinates lie out of the reference cell, 0 inside."""
    above = xi.max(axis=1) if cell_corners(space.element.cell) in ("quad", "hexahedron") else xi.sum(axis=1)
    out = np.maximum(np.maximum(-xi.min(axis=1), above - 1.0), 0.0)
    return np.where(np.isfinite(out), out, np.inf)
