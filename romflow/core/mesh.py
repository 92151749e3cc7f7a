"""A mesh for pictures and field files: points, cells of one type, and where each entry of a state lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest, shown

__all__ = ["CELL_TYPES", "Mesh"]

#: Cell type -> (number of vertices, cell type number of VTK).
CELL_TYPES: dict[str, tuple[int, int]] = {
    "line": (2, 3),
    "triangle": (3, 5),
    "quad": (4, 9),
    "tetra": (4, 10),
    "hexahedron": (8, 12),
}


@dataclass(frozen=True, eq=False)
class Mesh:
    """Points, cells of one type, and the nodal value that each entry of a state is.

    Nodal value ``j * components + c`` is component c at point j; entry i of a state is nodal value ``dofs[i]``.
    Nodal values that no entry names (eliminated boundary values) are zero.

    Parameters
    ----------
    points : (P, d) array
        Coordinates, d = 1, 2 or 3.
    cells : (C, v) array of int
        Point numbers of each cell in VTK's order.
    cell_type : str
        "line", "triangle", "quad", "tetra" or "hexahedron".
    dofs : (n,) array of int
        Nodal value of each entry of a state; no two the same.
    components : int
        Components of the field at a point.

    Raises
    ------
    ShapeError, InputError, ConfigError
        Shapes do not fit each other, numbers are out of range or not finite, the cell type is unknown.

    Examples
    --------
    >>> mesh = Mesh([[0.0], [0.5], [1.0]], [[0, 1], [1, 2]], "line", [1])
    >>> mesh.nodal(np.array([[7.0]]))[:, 0, 0]
    array([0., 7., 0.])
    """

    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    cell_type: str
    dofs: NDArray[np.int64]
    components: int = 1

    def __post_init__(self) -> None:
        if self.cell_type not in CELL_TYPES:
            raise ConfigError(
                f"no cell type is called {shown(self.cell_type)}{nearest(str(self.cell_type), CELL_TYPES)}"
            )
        if (
            isinstance(self.components, bool)
            or not isinstance(self.components, int | np.integer)
            or self.components < 1
        ):
            raise InputError(f"components = {shown(self.components)} is not a whole number from 1; give one.")
        points = np.ascontiguousarray(self.points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] not in (1, 2, 3):
            raise ShapeError(f"points have shape {points.shape}; they must be (P, d) with d = 1, 2 or 3.")
        if not np.isfinite(points).all():
            raise InputError("points are not all finite; a mesh needs finite coordinates.")
        vertices = CELL_TYPES[self.cell_type][0]
        cells = _integers(self.cells, "cells", len(points), "points")
        if cells.ndim != 2 or cells.shape[1] != vertices:
            raise ShapeError(f"cells have shape {cells.shape}; cells of type {self.cell_type} must be (C, {vertices}).")
        dofs = _integers(self.dofs, "dofs", len(points) * int(self.components), "nodal values")
        if dofs.ndim != 1:
            raise ShapeError(f"dofs have shape {dofs.shape}; they must be (n,).")
        if len(np.unique(dofs)) != len(dofs):
            raise InputError("dofs name a nodal value twice; every entry of a state needs its own.")
        for name, value in {"points": points, "cells": cells, "dofs": dofs, "components": int(self.components)}.items():
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Number of entries of a state."""
        return len(self.dofs)

    def nodal(self, states: ArrayLike) -> NDArray[np.float64]:
        """Nodal values (P, components, b) of the states (n, b) or (n,), zero where no entry lives.

        Raises
        ------
        ShapeError
            `states` does not have n rows.
        """
        columns = np.asarray(states, dtype=np.float64)
        if columns.ndim not in (1, 2) or columns.shape[0] != self.n:
            raise ShapeError(f"states have shape {columns.shape}; this mesh needs ({self.n}, b).")
        columns = columns.reshape(self.n, -1)
        values = np.zeros((len(self.points) * self.components, columns.shape[1]))
        values[self.dofs] = columns
        return values.reshape(len(self.points), self.components, columns.shape[1])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays "points", "cells", "dofs", "components" (1,) and "cell_type" (1,), which is VTK's number."""
        return {
            "points": self.points,
            "cells": self.cells,
            "dofs": self.dofs,
            "components": np.array([self.components], dtype=np.int64),
            "cell_type": np.array([CELL_TYPES[self.cell_type][1]], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Mesh:
        """The mesh whose `to_arrays` gave `arrays`.

        Raises
        ------
        InputError
            An array is missing or the number of the cell type is unknown.
        """
        needed = ("points", "cells", "dofs", "components", "cell_type")
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise InputError(f"the mesh lacks the array {missing[0]!r}; it needs {', '.join(needed)}.")
        number = int(np.ravel(arrays["cell_type"])[0])
        names = [name for name, (_, code) in CELL_TYPES.items() if code == number]
        if not names:
            raise InputError(f"the mesh has cells of VTK type {number}; known are {_known_codes()}.")
        return cls(arrays["points"], arrays["cells"], names[0], arrays["dofs"], int(np.ravel(arrays["components"])[0]))


def _known_codes() -> str:
    return ", ".join(f"{code} ({name})" for name, (_, code) in CELL_TYPES.items())


def _integers(values: ArrayLike, name: str, limit: int, of: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{name} have type {array.dtype}; they must be whole numbers.")
    numbers = np.ascontiguousarray(array, dtype=np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= limit):
        worst = int(numbers.min()) if numbers.min() < 0 else int(numbers.max())
        raise InputError(f"{name} hold the number {worst}; there are {limit} {of}, numbered from 0.")
    return numbers
