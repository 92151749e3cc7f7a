"""A matrix whose rows lie in part files: it has a shape, gives its columns and its blocks of rows, and is not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, NotSupported, ShapeError
from romflow.store.work_arrays import read_values

__all__ = ["SplitArray"]

#: Bytes up to which the matrix is read as a whole where somebody wants an array.
LIMIT = 2 << 30


@dataclass(frozen=True, eq=False)
class SplitArray:
    """V (n, r): row blocks in parts, each part with the array "values" (at least its own rows, r') of every folder.

    Parameters
    ----------
    blocks : tuple of (folder, width)
        Folders whose first `width` columns stand side by side.
    owned : (P,) array of int
        Rows of V that each part has, in the order of the parts; they come first in its arrays.

    Examples
    --------
    >>> import tempfile
    >>> from romflow.store.part_arrays import write_part_arrays
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in range(2):
    ...         _ = write_part_arrays(folder, part, {"values": np.full((3, 2), part + 1.0)})
    ...     V = SplitArray(((Path(folder), 2),), np.array([1, 2]))
    ...     V.shape, V[:, :1].shape, V @ np.ones((2, 1))
    ((3, 2), (3, 1), array([[2.],
           [4.],
           [4.]]))
    """

    blocks: tuple[tuple[Path, int], ...]
    owned: NDArray[np.int64]

    dtype = np.dtype(np.float64)
    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """(n, r)."""
        return int(np.sum(self.owned)), sum(width for _, width in self.blocks)

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.owned)

    @property
    def starts(self) -> NDArray[np.int64]:
        """First row (P,) of each part."""
        return np.cumsum(self.owned) - self.owned

    def part(self, number: int) -> NDArray[np.float64]:
        """The rows (m, r) of one part.

        Raises
        ------
        StoreError
            A file is missing, damaged or foreign.
        """
        rows = int(self.owned[number])
        found = np.empty((rows, self.shape[1]))
        start = 0
        for folder, width in self.blocks:
            values = read_values(folder, number)
            found[:, start:start + width] = values[:rows, :width]
            start += width
        return found

    def row_blocks(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Pairs of a slice and the rows (m, r) of a part, in their order."""
        for number, start in enumerate(self.starts):
            yield slice(int(start), int(start + self.owned[number])), self.part(number)

    def columns(self, count: int) -> SplitArray:
        """The first columns."""
        kept: list[tuple[Path, int]] = []
        for folder, width in self.blocks:
            width = min(width, count - sum(taken for _, taken in kept))
            if width > 0:
                kept.append((folder, width))
        return SplitArray(tuple(kept), self.owned)

    def __getitem__(self, key: Any) -> Any:
        """The first columns ``[:, :r]`` as they lie, or one column ``[:, i]`` as an array (n,)."""
        if not isinstance(key, tuple) or len(key) != 2 or key[0] != slice(None):
            raise InputError("a matrix in part files gives whole columns, V[:, :r] or V[:, i]; take rows of a part by "
                             "its method `part`")
        r = self.shape[1]
        if isinstance(key[1], slice):
            start, stop, step = key[1].indices(r)
            if (start, step) != (0, 1):
                raise InputError("a matrix in part files gives its first columns, V[:, :r]")
            return self.columns(stop)
        index = range(r)[int(key[1])]
        return np.concatenate([rows[:, index] for _, rows in self.row_blocks()])

    def __matmul__(self, other: ArrayLike) -> NDArray[np.float64]:
        """V x (n, b) for x (r, b), a part at a time."""
        x = np.asarray(other, dtype=np.float64)
        n, r = self.shape
        if x.ndim != 2 or len(x) != r:
            raise ShapeError(f"a matrix of shape {(n, r)} is multiplied by an array of shape {x.shape}; the rule is "
                             f"({r}, b)")
        product = np.empty((n, x.shape[1]))
        for rows, block in self.row_blocks():
            product[rows] = block @ x
        return product

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, where that is at most 2 GiB."""
        n, r = self.shape
        if 8 * n * r > LIMIT:
            raise NotSupported(f"the basis of {n} x {r} numbers lies in part files and is too large to be read as a "
                               "whole; leave it out (fields = false), or read the parts")
        return np.asarray(self @ np.eye(r), dtype=dtype)

    def __len__(self) -> int:
        return self.shape[0]
