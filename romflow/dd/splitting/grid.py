"""Tensor grids with a nested coarse grid: lines of the coarse grid, cells between them, interpolation along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown

__all__ = ["TensorGrid"]

_NAMES = "xyz"


class TensorGrid:
    """Grid points x_i (y_j (z_k)) whose every `ratio`-th line belongs to the coarse grid; unknowns inside the boundary.

    Unknowns are numbered like the entries of a C-ordered array of shape `shape`: the last axis runs fastest.

    Parameters
    ----------
    axes : sequence of (cells + 1,)
        Coordinates along each of the two or three axes, boundary included, strictly increasing.
    ratio : int or sequence of int
        Fine cells a coarse cell along each axis, from 2; it divides the number of cells, at least two times.

    Raises
    ------
    ShapeError, InputError
        Not two or three axes; coordinates that do not increase; cells that the ratio does not divide (the message names
        the nearest numbers that fit).

    Examples
    --------
    >>> grid = TensorGrid([np.linspace(0.0, 1.0, 9), np.linspace(0.0, 2.0, 5)], (4, 2))
    >>> grid.shape, grid.n, grid.skeleton.size, grid.cells.shape
    ((7, 3), 21, 9, (4, 3))
    """

    def __init__(self, axes: Sequence[Any], ratio: int | Sequence[int]) -> None:
        if len(axes) not in (2, 3):
            raise ShapeError(f"a tensor grid has {len(axes)} axes; the rule is 2 or 3")
        self.axes = tuple(_axis(values, name) for values, name in zip(axes, _NAMES, strict=False))
        ratios = list(ratio) if isinstance(ratio, Sequence | np.ndarray) else [ratio] * len(axes)
        if len(ratios) != len(axes):
            raise ShapeError(f"ratio has {len(ratios)} numbers for {len(axes)} axes; give one, or one for each axis")
        self.ratio = tuple(_nested(values.size - 1, number, name)
                           for values, number, name in zip(self.axes, ratios, _NAMES, strict=False))
        self.shape = tuple(values.size - 2 for values in self.axes)
        self.coarse = tuple((count + 1) // number for count, number in zip(self.shape, self.ratio, strict=True))
        self.n = int(np.prod(self.shape))

    @property
    def points(self) -> np.ndarray:
        """Coordinates (n, d) of the unknowns."""
        inside = np.meshgrid(*(values[1:-1] for values in self.axes), indexing="ij")
        return np.stack([values.ravel() for values in inside], axis=1)

    def on_lines(self, axis: int) -> np.ndarray:
        """Unknowns (n,) bool on coarse lines (planes) across `axis`."""
        marks = (np.arange(1, self.shape[axis] + 1) % self.ratio[axis] == 0)
        spread = marks.reshape([-1 if other == axis else 1 for other in range(len(self.shape))])
        return np.broadcast_to(spread, self.shape).ravel()

    @cached_property
    def skeleton(self) -> np.ndarray:
        """Unknowns on any coarse line (plane), in rising order."""
        return np.flatnonzero(np.logical_or.reduce([self.on_lines(axis) for axis in range(len(self.shape))]))

    @cached_property
    def cells(self) -> np.ndarray:
        """Unknowns (coarse cells, unknowns inside one): each row is numbered alike."""
        number = np.full([count + 1 for count in self.shape], -1)
        number[(slice(1, None),) * len(self.shape)] = np.arange(self.n).reshape(self.shape)
        split = number.reshape([size for pair in zip(self.coarse, self.ratio, strict=True) for size in pair])
        inside = split[(slice(None), slice(1, None)) * len(self.shape)]
        d = len(self.shape)
        return inside.transpose([*range(0, 2 * d, 2), *range(1, 2 * d, 2)]).reshape(int(np.prod(self.coarse)), -1)

    def interpolation(self, axis: int) -> sp.csr_array:
        """Linear interpolation along one axis from its coarse lines (boundary: zero): csr (shape[axis], lines)."""
        x, r, m = self.axes[axis], self.ratio[axis], self.coarse[axis]
        node = np.arange(1, self.shape[axis] + 1)
        left = node // r
        share = (x[node] - x[left * r]) / (x[np.minimum(left + 1, m) * r] - x[left * r])
        rows, lines = np.tile(node - 1, 2), np.concatenate([left - 1, left])
        values = np.concatenate([1.0 - share, share])
        kept = (values != 0.0) & (lines >= 0) & (lines < m - 1)
        return sp.csr_array((values[kept], (rows[kept], lines[kept])), shape=(self.shape[axis], m - 1))

    def prolongation(self, coarse_axes: Sequence[int]) -> sp.csr_array:
        """From the submesh that is coarse along `coarse_axes` and fine along the others: csr (n, its unknowns)."""
        P = sp.csr_array(np.ones((1, 1)))
        for axis, count in enumerate(self.shape):
            along = self.interpolation(axis) if axis in coarse_axes else sp.eye_array(count, format="csr")
            P = sp.csr_array(sp.kron(P, along, format="csr"))
        return P


def _axis(values: Any, name: str) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or x.size < 2:
        raise ShapeError(f"axis {name} has the shape {x.shape}; the rule is one coordinate for each grid line, "
                         "boundary included")
    if not np.isfinite(x).all() or not (np.diff(x) > 0.0).all():
        raise InputError(f"the coordinates along {name} are not finite and strictly increasing; sort them and remove "
                         "duplicates")
    return x


def _nested(cells: int, ratio: Any, name: str) -> int:
    if isinstance(ratio, bool) or not isinstance(ratio, int | np.integer) or ratio < 2:
        raise InputError(f"ratio = {shown(ratio)} along {name} is not a whole number from 2; it is the number of fine "
                         "cells in a coarse one")
    if cells % ratio == 0 and cells // ratio >= 2:
        return int(ratio)
    low = max(cells // ratio, 2) * ratio
    numbers = f"{low} or {low + ratio} cells" if low < cells else f"{low} cells"
    fitting = [number for number in range(2, cells // 2 + 1) if cells % number == 0]
    near = ", ".join(map(str, sorted(sorted(fitting, key=lambda number: abs(number - ratio))[:4])))
    raise InputError(f"axis {name} has {cells} cells, which do not make two or more coarse cells of {ratio}; take "
                     f"{numbers}{f', or a ratio of {near}' if near else ''} (the grids must be nested)")
