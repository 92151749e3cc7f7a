"""A rectangle or a box of equal cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import HEXAHEDRON
from romflow.fom.gallery.grids import counts, directions, grid
from romflow.fom.gallery.rules import number
from romflow.fom.mechanics.elements import ELEMENTS, cell_corners, make_element, mirrored
from romflow.fom.mechanics.solid import Solid, with_middles

__all__ = ["box"]


def box(cells: int | Sequence[int] = (4, 4, 4), lengths: Sequence[float] | None = None,
        element: str = "hex8-bbar") -> Solid:
    """The box [0, lengths[0]] x ... in cells of the type that the element needs; sides by "x = 0", "x = max" ...

    Each rectangle is cut in four triangles, each box in six tetrahedra, where the element has these.

    Parameters
    ----------
    cells : int or list of 2 or 3 int
        Along each direction; a number stands for as many directions as the element has.
    lengths : list of float, optional
        1 each by default.
    element : str

    Raises
    ------
    ConfigError
        The element is unknown or has other directions than `cells`; a number is not positive.

    Examples
    --------
    >>> box((2, 1, 1), element="tet10").cells.shape
    (12, 10)
    """
    kind = make_element(element)
    if directions(cells, kind.d) != kind.d:
        raise ConfigError(f"cells = {shown(cells)} has another number of directions than the element {element}, which "
                          f"has {kind.d}")
    sizes = counts(cells, kind.d, "cells")
    sides = [1.0] * kind.d if lengths is None else list(lengths)
    if len(sides) != kind.d or min(number("lengths", side) for side in sides) <= 0.0:
        raise ConfigError(f"lengths = {shown(lengths)}; the rule is {kind.d} positive numbers, one for each direction")
    corner = cell_corners(ELEMENTS[element][0])
    names = {"quad": "quad", "triangle": "tri", "hexahedron": "hex", "tetra": "tet"}
    nodes, vertices, _ = grid(names[corner], sides, sizes)
    if corner == "hexahedron":
        vertices = vertices[:, np.array(HEXAHEDRON)]
    vertices = mirrored(nodes, vertices, corner)
    if kind.cell == corner:
        return Solid(nodes, vertices, corner)
    return Solid(*with_middles(nodes, vertices, corner))
