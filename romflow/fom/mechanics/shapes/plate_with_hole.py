"""A quarter of a square plate with a round hole, in quadrilaterals that get finer towards the hole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.gallery.grids import counts
from romflow.fom.mechanics.solid import Solid

__all__ = ["plate_with_hole"]


def plate_with_hole(cells: int | Sequence[int] = (24, 32), length: float = 3.0, radius: float = 1.0,
                    grading: float = 1.5) -> Solid:
    """The quarter x, y > 0 of a plate with its hole around the origin.

    Boundaries: "hole", "left" (x = 0), "bottom" (y = 0), "right", "top".

    Parameters
    ----------
    cells : int or list of 2 int
        From the hole outwards, and around it; the second even, so that the corner of the plate is a node.
    length, radius : float
        Half the side of the plate, and radius of the hole.
    grading : float
        Layer i of m begins at the share (i / m)^grading of the way from the hole to the edge.

    Raises
    ------
    ConfigError
        A size is not positive, the hole is not inside the plate, or the number of cells around it is odd.

    Examples
    --------
    >>> plate = plate_with_hole()
    >>> plate.nodes.size, plate.space().G
    (1650, 3072)
    """
    across, around = counts(cells, 2, "cells")
    if not all(math.isfinite(size) and size > 0 for size in (length, radius, grading)) or radius >= length:
        raise ConfigError(f"length = {shown(length)}, radius = {shown(radius)} and grading = {shown(grading)} must be "
                          "positive, and the radius less than the length")
    if around % 2:
        raise ConfigError(f"cells = {shown(cells)} has an odd number around the hole; take an even one")
    angles = np.linspace(0.0, 0.5 * np.pi, around + 1)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    directions[0, 1] = directions[-1, 0] = 0.0
    edge = directions * (length / directions.max(axis=1, keepdims=True))
    share = (np.arange(across + 1) / across)[:, None, None] ** grading
    nodes = radius * directions + share * (edge - radius * directions)
    numbers = np.arange(nodes.shape[0] * nodes.shape[1]).reshape(nodes.shape[:2])
    corners = [numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]]
    middle = around // 2
    lines = {"hole": numbers[0], "left": numbers[:, -1], "bottom": numbers[:, 0], "right": numbers[-1, :middle + 1],
             "top": numbers[-1, middle:]}
    return Solid(nodes.reshape(-1, 2), np.stack([corner.ravel() for corner in corners], axis=1), "quad",
                 {name: np.column_stack([line[:-1], line[1:]]) for name, line in lines.items()})
