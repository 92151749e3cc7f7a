"""Meshes from files that meshio reads: regions by the tags of cells, boundaries by tags or by coordinates."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import nearest, one_line, shown
from romflow.fom.cell_model import HEXAHEDRON
from romflow.fom.cells import CellMesh

_FACE_TYPES = {"triangle": ("line", 2), "quad": ("line", 2), "tetra": ("triangle", 3), "hexahedron": ("quad", 3)}
_FACES = {"triangle": [[0, 1], [1, 2], [2, 0]], "quad": [[0, 1], [1, 2], [2, 3], [3, 0]],
          "tetra": [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]],
          "hexahedron": [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]}
_TAGS = ("gmsh:physical", "medit:ref", "cell_tags", "region", "material")
_PLACE = re.compile(r"\s*([xyz])\s*=\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|min|max)\s*")
# Share of the size of the mesh within which a point lies on a plane.
_NEAR = 1e-8


class MeshFile:
    """Triangles, quadrilaterals, tetrahedra or hexahedra of first order from a file (.msh, .mesh, .vtu, .xdmf ...).

    The cells of the highest dimension are the mesh, all of one type. Their tags ("gmsh:physical", "medit:ref" ...) in
    rising order are the regions 0, 1 ...; without tags there is one region. The file is read at the first use.

    Parameters
    ----------
    mesh : str
        Path of the file.
    base : path
        Folder that it is relative to.

    Attributes
    ----------
    path : Path
    spec : dict
        JSON identity: the SHA-256 of the file.

    Raises
    ------
    ConfigError, InputError
        `mesh` is no text; the file does not exist.
    """

    def __init__(self, mesh: str, base: str | Path = ".") -> None:
        if not isinstance(mesh, str | Path) or not str(mesh):
            raise ConfigError(f"mesh = {shown(mesh)} is not a text; name the file of the mesh")
        self.path = Path(base, mesh)
        if not self.path.is_file():
            raise InputError(f"the mesh {self.path} does not exist; check the path")
        self.spec = {"mesh": file_fingerprint(self.path)}

    def cells(self, fixed: Sequence[str | int], components: int, dimension: int | None = None,
              regions: int | None = None) -> CellMesh:
        """The mesh, with the values of the named boundaries fixed.

        Parameters
        ----------
        fixed : list of str or int
            "boundary" (all of it), a name or number of a group of facets in the file, or a plane such as "x = 0" or
            "z = max".
        components : int
            Values a point; all of them are fixed.
        dimension : int, optional
            Dimension that the model needs.
        regions : int, optional
            Number of regions that the model has parameters for.

        Raises
        ------
        InputError
            The file cannot be read, holds no such cells, or cells of several types.
        ConfigError
            A boundary is unknown or holds no point; another dimension or number of regions.
        """
        content = self._content
        if dimension is not None and content.points.shape[1] != dimension:
            raise ConfigError(f"the mesh {self.path} has dimension {content.points.shape[1]}; the model with these "
                              f"parameters needs {dimension}")
        if regions is not None and len(content.names) != regions:
            raise ConfigError(f"the mesh {self.path} has {len(content.names)} regions ({', '.join(content.names)}), "
                              f"and the study gives {regions} parameters; give one parameter a region, in this order")
        marks = np.zeros(len(content.points), dtype=bool)
        for boundary in fixed:
            marks |= self._boundary(boundary, content)
        return CellMesh(content.points, content.cells, content.cell_type, content.region,
                        np.repeat(marks[:, None], components, axis=1))

    def _boundary(self, boundary: str | int, content: _Content) -> np.ndarray:
        """Points (P,) bool of one boundary."""
        marks = np.zeros(len(content.points), dtype=bool)
        plane = plane_points(content.points, boundary)
        if plane is not None:
            marks = plane
        elif boundary == "boundary":
            marks[content.outside()] = True
        elif boundary in content.groups:
            marks[content.groups[boundary]] = True
        else:
            known = ["boundary", *map(str, content.groups), "x = 0"]
            raise ConfigError(f"the mesh {self.path} has no boundary {shown(boundary)}{nearest(str(boundary), known)}")
        if not marks.any():
            raise ConfigError(f"the boundary {shown(boundary)} of the mesh {self.path} holds no point; check the tag "
                              "or the coordinate")
        return marks

    @cached_property
    def _content(self) -> _Content:
        import meshio

        try:
            # Some readers print what they skip, and exit the process on a file that they cannot read.
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                mesh = meshio.read(self.path)
        except (Exception, SystemExit) as error:
            reason = one_line(str(error), 200) or type(error).__name__
            raise InputError(f"the mesh {self.path} cannot be read ({reason}); write it in a format that meshio reads, "
                             "such as .msh") from error
        return _content(mesh, self.path)


@dataclass(frozen=True, eq=False)
class _Content:
    """What a mesh file holds: points in use, cells in scikit-fem's order, regions, groups of points on facets."""

    points: np.ndarray
    cells: np.ndarray
    cell_type: str
    region: np.ndarray
    names: list[str]
    groups: dict[str | int, np.ndarray]

    def outside(self) -> np.ndarray:
        """Points of the faces that belong to one cell only."""
        corners = self.cells[:, np.array(HEXAHEDRON)] if self.cell_type == "hexahedron" else self.cells
        faces = np.concatenate([corners[:, face] for face in _FACES[self.cell_type]])
        _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
        return np.unique(faces[first[count == 1]])


def _content(mesh: Any, path: Path) -> _Content:
    points = np.asarray(mesh.points, dtype=np.float64)
    kinds = {block.type for block in mesh.cells}
    solid = kinds & {"tetra", "hexahedron"} or kinds & {"triangle", "quad"}
    if len(solid) != 1:
        raise InputError(f"the mesh {path} holds cells of the types {', '.join(sorted(kinds)) or 'none'}; the rule is "
                         "one type of triangle, quad, tetra or hexahedron, of first order")
    cell_type = solid.pop()
    face_type, dimension = _FACE_TYPES[cell_type]
    cells, tags = _blocks(mesh, cell_type)
    used, cells = np.unique(cells, return_inverse=True)
    cells = cells.reshape(tags.size, -1)
    if not np.isfinite(points[used]).all():
        raise InputError(f"the mesh {path} has points that are not finite; check how it was written")
    if points.shape[1] > dimension and np.ptp(points[used, dimension:]) > 0.0:
        raise InputError(f"the mesh {path} has cells of type {cell_type} that do not lie in the plane z = constant; "
                         "flat meshes are solved in their plane")
    names = {int(tag): str(name) for name, (tag, size) in _fields(mesh) if size == dimension}
    values, region = np.unique(tags, return_inverse=True)
    if cell_type == "hexahedron":
        order = np.argsort(HEXAHEDRON)
        cells = cells[:, order]
    places = np.full(len(points), -1)
    places[used] = np.arange(used.size)
    return _Content(np.ascontiguousarray(points[used, :dimension]), cells, cell_type, region,
                    [names.get(int(value), f"tag {value}") for value in values],
                    _groups(mesh, face_type, dimension - 1, places))


def _groups(mesh: Any, face_type: str, dimension: int, places: np.ndarray) -> dict[str | int, np.ndarray]:
    """Points of each group of facets, by number and by name where it has one."""
    if face_type not in {block.type for block in mesh.cells}:
        return {}
    faces, tags = _blocks(mesh, face_type)
    groups: dict[str | int, np.ndarray] = {}
    for tag in np.unique(tags):
        members = places[np.unique(faces[tags == tag])]
        groups[int(tag)] = members[members >= 0]
    for name, (tag, size) in _fields(mesh):
        if size == dimension and int(tag) in groups:
            groups[str(name)] = groups[int(tag)]
    return groups


def _fields(mesh: Any) -> list[tuple[str, tuple[int, int]]]:
    return [(name, (int(value[0]), int(value[1]))) for name, value in mesh.field_data.items() if np.size(value) == 2]


def _blocks(mesh: Any, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """All cells of one type (E, v), and their tags (E,), 0 where the file has none."""
    chosen = [i for i, block in enumerate(mesh.cells) if block.type == kind]
    cells = np.concatenate([np.asarray(mesh.cells[i].data) for i in chosen])
    name = next((name for name in _TAGS if name in mesh.cell_data), None)
    if name is None:
        return cells, np.zeros(len(cells), dtype=int)
    return cells, np.concatenate([np.asarray(mesh.cell_data[name][i]).astype(int).ravel() for i in chosen])


def plane_points(points: np.ndarray, text: Any) -> np.ndarray | None:
    """Points (P,) bool on a plane such as "x = 0" or "z = max"; None where the text is not of this form.

    Examples
    --------
    >>> plane_points(np.array([[0.0, 0.0], [2.0, 1.0]]), "x = max")
    array([False,  True])
    """
    plane = _PLACE.fullmatch(text) if isinstance(text, str) else None
    return None if plane is None else _on_plane(points, plane[1], plane[2])


def _on_plane(points: np.ndarray, axis: str, place: str) -> np.ndarray:
    number = "xyz".index(axis)
    if number >= points.shape[1]:
        return np.zeros(len(points), dtype=bool)
    x = points[:, number]
    value = {"min": x.min(), "max": x.max()}.get(place)
    return np.asarray(np.abs(x - (float(place) if value is None else value)) <= _NEAR * np.ptp(points, axis=0).max())
