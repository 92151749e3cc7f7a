"""Gauss point fields at nodes as CalculiX writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.fom.mechanics.elements import ELEMENTS, cell_edges, make_rule
from romflow.fom.mechanics.space import StrainSpace

__all__ = ["nodal_values"]


def nodal_values(space: StrainSpace, field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (c, N) at the nodes of a field (c, G): extrapolated in each element, then the mean over the elements.

    In an element the values at the corners are those of the function that is (multi)linear and passes through the
    points, or comes closest to them; a node in the middle of an edge has the mean of its ends. Unlike the weighted
    averages of `StrainSpace.extrapolate` the result may leave the range of the field, as CalculiX's does: it serves to
    compare with its files, not to look at.

    Cost: 2 c q v C flops.

    Examples
    --------
    >>> from romflow.fom.mechanics.shapes.box import box
    >>> space = box([2, 1, 1], element="hex8").space("hex8")
    >>> bool(np.allclose(nodal_values(space, space.points)[0], space.nodes[:, 0]))
    True
    """
    local = _extrapolation(space)
    c = len(field)
    values = field.reshape(c, -1, space.element.q) @ local.T
    count = np.bincount(space.cells.ravel(), minlength=len(space.nodes))
    sums = [np.bincount(space.cells.ravel(), weights=row.ravel(), minlength=len(space.nodes)) for row in values]
    return np.asarray(np.stack(sums) / np.maximum(count, 1))


def _extrapolation(space: StrainSpace) -> NDArray[np.float64]:
    """(v, q): values at the nodes of an element from those at its points."""
    element = space.element
    if element.q == 1:
        return np.ones((element.v, 1))
    linear = make_rule(element.corner_cell, ELEMENTS[element.name][1]).shape
    corners = np.linalg.pinv(linear)
    if element.v == element.corners:
        return corners
    return np.concatenate([corners, corners[np.array(cell_edges(element.cell))].mean(axis=1)])

