"""Bodies from mesh files that meshio reads: cells of first or second order, named parts of volume and boundary."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import one_line
from romflow.fom.mechanics.calculix.body import body_of
from romflow.fom.mechanics.calculix.inp import read_input
from romflow.fom.mechanics.elements import cell_facet, mirrored
from romflow.fom.mechanics.solid import Solid

__all__ = ["read_solid", "solid_of_meshio"]

Numbers = NDArray[np.int64]
_SPACE = ("tetra10", "tetra", "hexahedron")
_PLANE = ("triangle6", "triangle", "quad")
_TAGS = ("gmsh:physical", "medit:ref", "cell_tags", "region", "material")
# Beginnings of meshio's names of cells of any order.
_SOLIDS, _PLATES = ("tetra", "hexa", "wedge", "pyramid"), ("triangle", "quad")


def read_solid(path: str | Path) -> Solid:
    """The body in a mesh file: its cells of the highest dimension, all of one type.

    Groups of facets become parts of the boundary, groups of cells regions, by their names and, where tagged by number,
    as "tag 3"; sets and surfaces of input files of Abaqus and CalculiX keep their names. Nodes of no cell are
    left out; cells that are mirrored are turned.

    Raises
    ------
    InputError
        The file does not exist, cannot be read, or holds no such cells or cells of several types.
    """
    import meshio

    if not Path(path).is_file():
        raise InputError(f"the mesh {path} does not exist; check the path")
    if Path(path).suffix.lower() == ".inp":
        return body_of(read_input(path))[0]
    try:
        # Some readers print what they skip, and exit the process on a file that they cannot read.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            mesh = meshio.read(path)
    except (Exception, SystemExit) as error:
        reason = one_line(str(error), 200) or type(error).__name__
        raise InputError(f"the mesh {path} cannot be read ({reason}); write it in a format that meshio reads, such as "
                         ".msh, .inp or .vtu") from error
    return solid_of_meshio(mesh, str(path))


def solid_of_meshio(mesh: Any, name: str = "mesh") -> Solid:
    """The body in a mesh of meshio; see `read_solid`.

    Examples
    --------
    >>> import meshio
    >>> points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> solid_of_meshio(meshio.Mesh(points, [("triangle", np.array([[0, 2, 1]]))])).cells
    array([[0, 1, 2]])
    """
    kind = _kind(mesh, name)
    d = 3 if kind in _SPACE else 2
    points = np.asarray(mesh.points, dtype=np.float64)
    blocks = [i for i, block in enumerate(mesh.cells) if block.type == kind]
    cells = np.concatenate([np.asarray(mesh.cells[i].data) for i in blocks])
    used, cells = np.unique(cells, return_inverse=True)
    cells = cells.reshape(-1, mesh.cells[blocks[0]].data.shape[1])
    nodes = points[used]
    if not np.isfinite(nodes).all():
        raise InputError(f"the mesh {name} has points that are not finite; check how it was written")
    if points.shape[1] > d and np.ptp(nodes[:, d:]) > 0.0:
        raise InputError(f"the mesh {name} has cells of type {kind} that do not lie in a plane z = constant, and "
                         "no solid ones; flat meshes are solved in their plane, shells are not known here (gmsh "
                         "leaves out the cells of a volume that is in no physical group, where others are)")
    nodes = np.ascontiguousarray(nodes[:, :d])
    plain = Solid(nodes, mirrored(nodes, cells, kind), kind)
    places = np.full(len(points), -1)
    places[used] = np.arange(used.size)
    boundaries = {}
    facets = [i for i, block in enumerate(mesh.cells) if block.type == cell_facet(kind)]
    for group, members in _groups(mesh, facets, d - 1).items():
        boundaries[group] = places[np.concatenate([mesh.cells[i].data for i in facets])[members]]
    boundaries = {group: rows for group, rows in boundaries.items() if rows.size and rows.min() >= 0}
    return Solid(plain.nodes, plain.cells, kind, boundaries, _groups(mesh, blocks, d), _node_sets(mesh, places))


def _kind(mesh: Any, name: str) -> str:
    kinds = {block.type for block in mesh.cells}
    solid = {kind for kind in kinds if kind.startswith(_SOLIDS)} or {k for k in kinds if k.startswith(_PLATES)}
    if len(solid) != 1 or not solid & {*_SPACE, *_PLANE}:
        raise InputError(f"the mesh {name} holds cells of the types {', '.join(sorted(kinds)) or 'none'}; the rule is "
                         f"one type of {', '.join(_SPACE)} in space or {', '.join(_PLANE)} in the plane")
    return str(solid.pop())


def _groups(mesh: Any, blocks: list[int], dimension: int) -> dict[str, Numbers]:
    """Members of each group among the cells of the blocks, by name, or "tag k"."""
    sizes = [len(mesh.cells[i].data) for i in blocks]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    groups: dict[str, Numbers] = {}
    tag = next((word for word in _TAGS if word in mesh.cell_data), None)
    if tag is not None and blocks:
        numbers = np.concatenate([np.asarray(mesh.cell_data[tag][i]).astype(int).ravel() for i in blocks])
        names = {int(value[0]): str(word) for word, value in mesh.field_data.items()
                 if np.size(value) == 2 and int(value[1]) == dimension}
        for number in np.unique(numbers):
            groups[names.get(int(number), f"tag {number}")] = np.flatnonzero(numbers == number)
    for word, sets in (mesh.cell_sets or {}).items():
        parts = [starts[k] + np.asarray(sets[i], dtype=int) for k, i in enumerate(blocks) if sets[i] is not None]
        members = np.concatenate(parts) if parts else np.zeros(0, dtype=int)
        if members.size and not str(word).startswith("gmsh:"):
            groups[str(word)] = members
    return groups


def _node_sets(mesh: Any, places: Numbers) -> dict[str, Numbers]:
    found = {str(word): places[np.asarray(members, dtype=int)] for word, members in (mesh.point_sets or {}).items()}
    return {word: members[members >= 0] for word, members in found.items() if (members >= 0).any()}
