"""Tables F (n, k) that are read by blocks of rows, and the remainder R of an elimination, in memory or in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.source import SnapshotSource

__all__ = ["ArrayRows", "Remainder", "RowBlocks", "SourceRows"]

# Numbers of a part of R that stays in the processor's cache between the operations on it.
_CACHED = 1 << 15


class RowBlocks(Protocol):
    """A table (n, k) that can be read again and again, by ascending blocks of rows that cover it."""

    shape: tuple[int, int]

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]: ...


class ArrayRows:
    """A table in memory, as one block.

    Parameters
    ----------
    values : (n, k) array

    Raises
    ------
    ShapeError
        No matrix, or an empty one.

    Examples
    --------
    >>> [(rows, block.shape) for rows, block in ArrayRows(np.eye(3)).blocks()]
    [(slice(0, 3, None), (3, 3))]
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = np.asarray(values, dtype=float)
        if self._values.ndim != 2 or self._values.size == 0:
            raise ShapeError(f"the table has shape {self._values.shape}; the rule is (n, k) with n and k from 1: "
                             "a row for a point, a column for a function")
        self.shape = (int(self._values.shape[0]), int(self._values.shape[1]))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The whole table."""
        yield slice(0, self.shape[0]), self._values


class SourceRows:
    """The rows of a source of snapshots (an array, a file, a store) in blocks of at most so many bytes.

    Parameters
    ----------
    source : SnapshotSource
        Of `romflow.linalg.compression.source`.
    memory : int
        Bytes of a block.

    Raises
    ------
    ShapeError
        The source is empty.

    Examples
    --------
    >>> from romflow.linalg.compression.source import ArraySource
    >>> [rows for rows, _ in SourceRows(ArraySource(np.eye(3)), memory=48).blocks()]
    [slice(0, 2, None), slice(2, 3, None)]
    """

    def __init__(self, source: SnapshotSource, memory: int = 64 << 20) -> None:
        if not source.n or not source.k:
            raise ShapeError(f"the snapshots have the shape ({source.n}, {source.k}); give at least one snapshot")
        self.shape = (source.n, source.k)
        self._source, self._height = source, max(1, memory // (8 * source.k))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of rows, the first rows first."""
        for start in range(0, self.shape[0], self._height):
            rows = slice(start, min(start + self._height, self.shape[0]))
            yield rows, self._source.rows(rows)


class Remainder:
    """R (n, k), first a copy of F, from which products q r^T are subtracted one after the other.

    The entries are the same to the bit for every division of F into blocks, in memory and in a file.

    Parameters
    ----------
    table : RowBlocks
        F; NaN and infinity are refused.
    weights : (n,) array or None
        Weights from 0 on of the rows in the search for the largest entry.
    folder : path or None
        Where a temporary folder with the work file of 8 n k bytes is made; None keeps R in memory.

    Examples
    --------
    >>> with Remainder(ArrayRows(np.array([[1.0, 2.0], [3.0, 6.0]]))) as R:
    ...     R.largest
    ...     R.subtract(np.array([1 / 3, 1.0]), 1)
    ...     R.largest
    (6.0, 1, 1)
    (0.0, 0, 0)
    """

    def __init__(self, table: RowBlocks, weights: np.ndarray | None = None,
                 folder: str | Path | None = None) -> None:
        self.n, self.k = table.shape
        self._weights = weights
        self._height = max(1, _CACHED // self.k)
        self._buffer = np.empty((min(self._height, self.n), self.k))
        self._folder = None if folder is None else tempfile.TemporaryDirectory(prefix="interpolation-", dir=folder)
        try:
            self._rows: np.ndarray | _FileRows = (np.empty((self.n, self.k)) if self._folder is None
                                                  else _FileRows(Path(self._folder.name) / "R.npy", self.n, self.k))
            self.largest = self._filled(table)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Remainder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the work file."""
        if self._folder is not None:
            self._folder.cleanup()

    def row(self, i: int) -> np.ndarray:
        """A copy of R[i] (k,)."""
        return np.array(self._rows[i:i + 1][0])

    def column(self, j: int) -> np.ndarray:
        """A copy of R[:, j] (n,)."""
        column = np.empty(self.n)
        for rows in self._strips():
            column[rows] = self._rows[rows][:, j]
        return column

    def subtract(self, q: np.ndarray, j: int, i: int | None = None) -> None:
        """R <- R - q R[i], where q[i] = 1 and q is the multiple of R[:, j]; column j and row i become exactly zero.

        Without `i`, it is the row of the largest entry. Cost: 2 n k flops and one search.
        """
        pivot = self.row(self.largest[1] if i is None else i)
        best = (-1.0, 0, 0)
        for rows in self._strips():
            strip = self._rows[rows]
            for part in self._parts(strip.shape[0]):
                R, work = strip[part], self._buffer[:part.stop - part.start]
                here = slice(rows.start + part.start, rows.start + part.stop)
                np.multiply(q[here, None], pivot, out=work)
                R -= work
                R[:, j] = 0.0
                best = self._larger(best, R, here, work)
        self.largest = best

    def _filled(self, table: RowBlocks) -> tuple[float, int, int]:
        best, done = (-1.0, 0, 0), 0
        for rows, block in table.blocks():
            if rows.start != done or block.shape != (rows.stop - rows.start, self.k):
                raise ShapeError(f"the table gave rows {rows.start} to {rows.stop} with shape {block.shape} after "
                                 f"{done} rows; the rule is ascending blocks without gaps, each (rows, {self.k})")
            target = self._rows[rows]
            target[:] = block
            for part in self._parts(len(block)):
                here = slice(rows.start + part.start, rows.start + part.stop)
                best = self._larger(best, target[part], here, self._buffer[:part.stop - part.start])
            done = rows.stop
        if done != self.n:
            raise ShapeError(f"the blocks of the table end at row {done} of {self.n}; they must cover it")
        return best

    def _larger(self, best: tuple[float, int, int], R: np.ndarray, rows: slice,
                work: np.ndarray) -> tuple[float, int, int]:
        np.abs(R, out=work)
        if self._weights is not None:
            work *= self._weights[rows, None]
        at = int(np.argmax(work))
        value = float(work.flat[at])
        if not np.isfinite(value):
            i, j = divmod(at, self.k)
            raise InputError(f"the table has the value {R[i, j]} at point {rows.start + i} of function {j}, or its "
                             "weight makes it so; the rule is finite numbers: leave that function out")
        return (value, rows.start + at // self.k, at % self.k) if value > best[0] else best

    def _strips(self) -> list[slice]:
        height = self.n if isinstance(self._rows, np.ndarray) else max(1, self._rows.memory // (8 * self.k))
        return [slice(start, min(start + height, self.n)) for start in range(0, self.n, height)]

    def _parts(self, height: int) -> list[slice]:
        return [slice(start, min(start + self._height, height)) for start in range(0, height, self._height)]


class _FileRows:
    """Rows of an .npy file, each slice mapped for as long as it is used, so that memory stays bounded."""

    memory = 64 << 20

    def __init__(self, path: Path, n: int, k: int) -> None:
        whole = np.lib.format.open_memmap(path, mode="w+", dtype=float, shape=(n, k))
        self._path, self._shape, self._offset = path, (n, k), int(whole.offset)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self._shape[0])
        return np.memmap(self._path, dtype=float, mode="r+", offset=self._offset + 8 * start * self._shape[1],
                         shape=(stop - start, self._shape[1]))
