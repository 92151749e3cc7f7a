"""Values at Gauss points from CalculiX's printed file (.dat), in the order of the points of a space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.fom.mechanics.space import StrainSpace

__all__ = ["PointResults", "read_points"]

Array = NDArray[np.float64]
_TABLES = {"stresses": ("stress", 6), "equivalent plastic strain": ("accumulated_plastic_strain", 1),
           "global coordinates": ("points", 3)}
# The file has xx yy zz xy xz yz.
_VOIGT = [0, 1, 2, 3, 5, 4]
# Share of the size of the mesh within which a printed place is a Gauss point.
_NEAR = 1e-5


@dataclass(frozen=True, eq=False)
class PointResults:
    """Stress (K, 6, G) and accumulated plastic strain (K, G) at the times (K,); None where the file has none."""

    times: Array
    stress: Array | None
    accumulated_plastic_strain: Array | None


def read_points(path: str | Path, space: StrainSpace) -> PointResults:
    """What ``*EL PRINT`` with S, PEEQ and COORD wrote of all elements; element c + 1 is cell c of the space.

    CalculiX has an order of points of its own: they are told apart by their coordinates. It gives plane elements a
    thickness with several points, of which one is taken.

    Raises
    ------
    InputError
        The file cannot be read, has no coordinates or another number of points, or they are not those of the space.
    """
    tables = _read(Path(path))
    if not tables.get("points"):
        raise InputError(f"{path} has no coordinates of Gauss points; print COORD beside S and PEEQ")
    order = _order(tables["points"][0][1], space, Path(path))
    times = np.array([time for time, _ in next(iter(tables.values()))])
    stress, plastic = (_stacked(tables, name, order) for name in ("stress", "accumulated_plastic_strain"))
    return PointResults(times, None if stress is None else stress[:, :, _VOIGT].transpose(0, 2, 1),
                        None if plastic is None else plastic[:, :, 0])


def _stacked(tables: dict[str, list[tuple[float, Array]]], name: str, order: NDArray[np.int64]) -> Array | None:
    if not tables.get(name):
        return None
    return np.stack([rows[order, 2:] for _, rows in tables[name]])


def _read(path: Path) -> dict[str, list[tuple[float, Array]]]:
    """Name -> (time, rows of element, point, values), in the order of the file."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"the file {path} cannot be read ({error.strerror}); check the path") from error
    heads = [i for i, line in enumerate(lines) if " time " in line and line.strip()[:1].isalpha()]
    tables: dict[str, list[tuple[float, Array]]] = {}
    for i, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        found = next((entry for key, entry in _TABLES.items() if lines[i].strip().startswith(key)), None)
        if found is not None:
            name, c = found
            values = np.array(" ".join(lines[i + 1:end]).split(), dtype=np.float64)
            tables.setdefault(name, []).append((float(lines[i].split()[-1]), values.reshape(-1, c + 2)))
    return tables


def _order(rows: Array, space: StrainSpace, path: Path) -> NDArray[np.int64]:
    """Row (G,) of each Gauss point: the nearest of its cell."""
    q = space.element.q
    if len(rows) % len(space.cells) or len(rows) < space.G:
        raise InputError(f"{path} has {len(rows)} Gauss points; the mesh with {space.element.name} has {space.G}")
    rows_of_cells = np.argsort(rows[:, 0], kind="stable").reshape(len(space.cells), -1)
    theirs = rows[rows_of_cells][:, :, 2:2 + space.d]
    ours = space.points.T.reshape(-1, q, space.d)
    distance = np.linalg.norm(ours[:, :, None] - theirs[:, None], axis=3)
    if distance.min(axis=2).max() > _NEAR * np.ptp(space.nodes, axis=0).max():
        raise InputError(f"{path} has Gauss points that are not those of the mesh; the elements are of another type, "
                         "or numbered otherwise")
    return np.take_along_axis(rows_of_cells, distance.argmin(axis=2), axis=1).ravel()
