"""The mesh of an input file as a body of this package, with the numbers of its nodes in the file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.fom.mechanics.calculix.inp import ELEMENT_TYPES, InputFile
from romflow.fom.mechanics.elements import ELEMENTS, mirrored
from romflow.fom.mechanics.solid import Solid

__all__ = ["body_of", "element_of"]

_CELLS = {("C", 4): "tetra", ("C", 10): "tetra10", ("C", 8): "hexahedron", ("P", 3): "triangle", ("P", 6): "triangle6",
          ("P", 4): "quad"}


def body_of(file: InputFile) -> tuple[Solid, NDArray[np.int64]]:
    """The body, and the number (N,) that each of its nodes has in the file; nodes of no element are left out.

    Node sets, element sets and surfaces keep the names as they were first written.

    Raises
    ------
    InputError
        Elements of several types, or of one that has no cells here (shells, plane stress, 20 nodes ...).
    """
    nodes, cells, kind = file.mesh()
    cell = _CELLS.get(("P" if kind.startswith("CPE") else kind[0], cells.shape[1]))
    if cell is None or kind.startswith(("CPS", "CAX")):
        raise InputError(f"{file.path} has elements of the type {kind}; the displacements of those are not known here: "
                         f"take one of {', '.join(name for name, (_, own) in ELEMENT_TYPES.items() if own)}")
    used, local = np.unique(cells, return_inverse=True)
    local = local.reshape(cells.shape)
    places = np.full(len(nodes), -1)
    places[used] = np.arange(used.size)
    number = {int(value): row for row, value in enumerate(file.blocks[0].numbers)}
    node_sets = {file.names[name]: places[members] for name, members in file.node_sets.items()}
    regions = {file.names[name]: np.array([number[int(value)] for value in members if int(value) in number], np.int64)
               for name, members in file.element_sets.items()}
    surfaces = {file.names[name]: places[rows] for name, rows in file.surfaces.items() if rows.size}
    nodes = np.ascontiguousarray(nodes[used])
    solid = Solid(nodes, mirrored(nodes, local, cell), cell, surfaces, regions,
                  {name: members[members >= 0] for name, members in node_sets.items()})
    return solid, file.numbers[used]


def element_of(file: InputFile) -> str | None:
    """Name of the element with the same strains, or None where there is none (C3D8I, C3D8R ...).

    Examples
    --------
    >>> from romflow.fom.mechanics.calculix.inp import ElementBlock
    >>> block = ElementBlock("C3D10", np.array([1]), np.zeros((1, 10), int))
    >>> element_of(InputFile("a.inp", np.arange(10), np.zeros((10, 3)), (block,), {}, {}, {}, {}, ()))
    'tet10'
    """
    found = ELEMENT_TYPES[file.mesh()[2]][1]
    return found if found in ELEMENTS else None
