"""The domain of a model: a box of equal cells or a mesh file, with zero values on the boundaries that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.cells import CellMesh
from romflow.fom.gallery.grids import PLANE_ELEMENTS, check_element, counts, directions, grid, on_box
from romflow.fom.gallery.mesh_files import MeshFile, plane_points
from romflow.fom.gallery.rules import number

_SIDES = ("x = 0", "x = max", "y = 0", "y = max", "z = 0", "z = max")


@dataclass(frozen=True, eq=False)
class Domain:
    """Where a model lives, before its mesh is made.

    Parameters
    ----------
    cells : tuple of 2 or 3 int
    element : {"Q1", "P1"}
    lengths : tuple of float
        Sides of the box.
    fixed : tuple of str or int
        Boundaries with u = 0: "boundary" (all of it), a plane such as "x = 0" or "z = max"; of a mesh file also the
        names and numbers of its groups of facets.
    file : MeshFile or None
        In the place of the box.

    Examples
    --------
    >>> domain((4, 4), fixed=["x = 0"]).mesh().fixed.sum()
    np.int64(5)
    """

    cells: tuple[int, ...]
    element: str
    lengths: tuple[float, ...]
    fixed: tuple[str | int, ...]
    file: MeshFile | None = None

    @property
    def d(self) -> int:
        """Number of directions."""
        return len(self.cells) if self.file is None else int(self.mesh().points.shape[1])

    @property
    def spec(self) -> dict[str, Any]:
        """JSON identity."""
        own = ({"cells": list(self.cells), "element": self.element, "lengths": list(self.lengths)}
               if self.file is None else self.file.spec)
        return {**own, "fixed": list(self.fixed)}

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that the mesh is made from."""
        return () if self.file is None else (self.file.path,)

    def mesh(self) -> CellMesh:
        """The mesh, with one value a point, fixed on the boundaries that were named."""
        return self._mesh

    def points_on(self, boundaries: Sequence[str | int]) -> np.ndarray:
        """Points (P,) bool of the boundaries.

        Raises
        ------
        ConfigError
            A boundary is unknown or holds no point.
        """
        if self.file is not None:
            return np.asarray(self.file.cells(boundaries, 1).fixed[:, 0])
        return _named(self._box[0], self.lengths, boundaries)

    @cached_property
    def _box(self) -> tuple[np.ndarray, np.ndarray, str]:
        return grid(self.element, self.lengths, self.cells)

    @cached_property
    def _mesh(self) -> CellMesh:
        if self.file is not None:
            return self.file.cells(self.fixed, 1)
        points, cells, cell_type = self._box
        return CellMesh(points, cells, cell_type, np.zeros(len(cells), dtype=int), self.points_on(self.fixed)[:, None])


def domain(cells: int | Sequence[int], element: str = "Q1", lengths: Sequence[float] | None = None,
           fixed: Sequence[str | int] = ("boundary",), mesh: str | None = None, base: str | Path = ".",
           default: int = 2) -> Domain:
    """The domain that the options of a study name.

    Parameters
    ----------
    cells : int or list of 2 or 3 int
        A single number means `default` directions.
    element : {"Q1", "P1"}
    lengths : list of float, optional
        Sides of the box; 1 by default.
    fixed : list of str or int
    mesh : str, optional
        A file, in the place of cells, element and lengths.
    base : path
        Folder that `mesh` is relative to.
    default : int

    Raises
    ------
    ConfigError, InputError
        An option is wrong; the file does not exist.
    """
    if not isinstance(fixed, list | tuple) or not fixed:
        raise ConfigError(f"fixed = {shown(fixed)} names no boundary, and the solution is not unique without one; "
                          "write fixed = [\"boundary\"]")
    d = directions(cells, default)
    sizes = counts(cells, d, "cells", least=1 if element == "P1" and d == 2 else 2)
    check_element(element, PLANE_ELEMENTS)
    sides = [1.0] * d if lengths is None else lengths
    if not isinstance(sides, list | tuple) or len(sides) != d or min(number("lengths", side) for side in sides) <= 0.0:
        raise ConfigError(f"lengths = {shown(lengths)}; the rule is {d} positive numbers, one for each direction")
    file = None if mesh is None else MeshFile(mesh, base)
    return Domain(sizes, element, tuple(float(side) for side in sides), tuple(fixed), file)


def _named(points: np.ndarray, lengths: tuple[float, ...], boundaries: Sequence[str | int]) -> np.ndarray:
    marks = np.zeros(len(points), dtype=bool)
    for boundary in boundaries:
        found = on_box(points, lengths) if boundary == "boundary" else plane_points(points, boundary)
        if found is None or not found.any():
            known = ["boundary", *_SIDES[:2 * len(lengths)]]
            raise ConfigError(f"the box has no boundary {shown(boundary)}{nearest(str(boundary), known)}")
        marks |= found
    return marks
