"""Structured meshes of the gallery: rectangles and boxes, cut in triangles and tetrahedra where these are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import skfem

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown

#: Name in a study -> what it is.
PLANE_ELEMENTS = {"Q1": "bilinear quadrilaterals", "P1": "linear triangles, four to a square (criss-cross)"}
SOLID_ELEMENTS = {"hex": "trilinear hexahedra", "tet": "linear tetrahedra"}
FLAT_ELEMENTS = {"quad": "bilinear quadrilaterals", "tri": "linear triangles, four to a square (criss-cross)"}

_TYPES = {"MeshQuad1": "quad", "MeshTri1": "triangle", "MeshHex1": "hexahedron", "MeshTet1": "tetra"}
_SIMPLICES = ("P1", "tet", "tri")


def counts(value: Any, dimension: int, key: str, least: int = 1) -> tuple[int, ...]:
    """A number of cells (blocks ...) in each direction, from one whole number or a list of `dimension` of them.

    Raises
    ------
    ConfigError
        Another type, another length, or a number below `least`.

    Examples
    --------
    >>> counts(4, 2, "cells"), counts([4, 6], 2, "cells")
    ((4, 4), (4, 6))
    """
    numbers = list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * dimension
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers)
    if not whole or len(numbers) != dimension or min(numbers) < least:
        raise ConfigError(f"{key} = {shown(value)} is not a whole number from {least} or a list of {dimension} of them")
    return tuple(int(number) for number in numbers)


def directions(value: Any, default: int) -> int:
    """How many directions a list of counts names, 2 or 3; `default` for one number or a list of another length.

    Examples
    --------
    >>> directions([4, 4, 4], 2), directions(4, 2)
    (3, 2)
    """
    length = len(value) if isinstance(value, list | tuple | np.ndarray) else default
    return length if length in (2, 3) else default


def check_element(element: Any, known: dict[str, str]) -> None:
    """Raise ConfigError unless `element` is a known name."""
    if element not in known:
        raise ConfigError(f"no element is called {shown(element)}{nearest(str(element), known)}")


def grid(element: str, lengths: Sequence[float], cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray, str]:
    """Points (P, d), cells (E, v) in the order of scikit-fem, and their type, on [0, lengths[0]] x ...

    In the plane rectangles ("Q1", "quad"), each cut in four triangles by its diagonals ("P1", "tri"); in space boxes
    ("Q1", "hex"), each cut in six tetrahedra ("P1", "tet").
    """
    axes = [np.linspace(0.0, length, count + 1) for length, count in zip(lengths, cells, strict=True)]
    simplices = element in _SIMPLICES
    if len(axes) == 3:
        mesh = (skfem.MeshTet if simplices else skfem.MeshHex).init_tensor(*axes)
    else:
        mesh = skfem.MeshQuad.init_tensor(*axes)
    points, corners = mesh.p, mesh.t
    if len(axes) == 2 and simplices:
        centres = points.shape[1] + np.arange(corners.shape[1])
        points = np.hstack([points, points[:, corners].mean(axis=1)])
        corners = np.sort(np.hstack([np.vstack([corners[i], corners[(i + 1) % 4], centres]) for i in range(4)]), axis=0)
        return np.ascontiguousarray(points.T), np.ascontiguousarray(corners.T), "triangle"
    return np.ascontiguousarray(points.T), np.ascontiguousarray(corners.T), _TYPES[type(mesh).__name__]


def on_box(points: np.ndarray, lengths: Sequence[float]) -> np.ndarray:
    """Points (P,) bool on the boundary of the box [0, lengths[0]] x ..., to the bit as `grid` puts them there."""
    return np.asarray(((points == 0.0) | (points == np.asarray(lengths))).any(axis=1))
