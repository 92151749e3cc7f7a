"""Snapshot matrices S (n, k) that are read in parts: by rows, by columns, from memory, a file or a store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import InputError, NotSupported, ShapeError, StoreError

__all__ = ["ArraySource", "ColumnSource", "FileSource", "SnapshotSource", "StoreSource", "as_source"]

Columns = Callable[[slice], np.ndarray]

# Parts of this size stay in the processor's cache between the products that are made with them.
_CACHED = 8 << 20
_READ = 1 << 30
_SECTOR = 64


class RowStore(Protocol):
    """What a store must answer: see :class:`romflow.store.snapshots.SnapshotStore`."""

    def matrix(self, mu: np.ndarray, rows: slice = ...) -> np.ndarray: ...


class SnapshotSource:
    """Snapshots as the columns of S (n, k), read in parts of at most so many bytes.

    Attributes
    ----------
    n, k : int
        Unknowns and snapshots.
    by_rows : bool
        Whether blocks of rows can be read.
    scattered : bool
        Whether reading rows in any order costs little and whole columns much: a file in C order.
    best : int
        Bytes of the parts that are read fastest.
    """

    n: int
    k: int
    by_rows = True
    scattered = False
    best = _CACHED

    def rows(self, part: slice) -> np.ndarray:
        """Rows S[part] (m, k); the array may be overwritten by the next call."""
        raise NotSupported(f"{type(self).__name__} gives whole snapshots only, no rows; use its columns")

    def columns(self, part: slice) -> np.ndarray:
        """Snapshots S[:, part] (n, j)."""
        raise NotSupported(f"{type(self).__name__} gives rows only, no whole snapshots; use its rows")

    def take(self, index: np.ndarray) -> np.ndarray:
        """Rows S[index] (m, k) of an ascending index."""
        runs = np.split(index, np.flatnonzero(np.diff(index) > _SECTOR) + 1)
        return np.concatenate([self.rows(slice(int(run[0]), int(run[-1]) + 1))[run - run[0]] for run in runs])


class ArraySource(SnapshotSource):
    """Snapshots in memory.

    Parameters
    ----------
    snapshots : (n, k) array

    Raises
    ------
    ShapeError
        It is no matrix.

    Examples
    --------
    >>> ArraySource(np.eye(3)).rows(slice(0, 2)).shape
    (2, 3)
    """

    def __init__(self, snapshots: np.ndarray) -> None:
        if snapshots.ndim != 2:
            raise ShapeError(f"pod needs a finite snapshot matrix (n, k); got shape {snapshots.shape}")
        self._S = snapshots
        self.n, self.k = snapshots.shape

    def rows(self, part: slice) -> np.ndarray:
        return np.asarray(self._S[part], dtype=float)

    def columns(self, part: slice) -> np.ndarray:
        return np.asarray(self._S[:, part], dtype=float)

    def take(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self._S[index], dtype=float)


class FileSource(SnapshotSource):
    """Snapshots in a file of float64 numbers, read through one buffer and never mapped into memory.

    Parameters
    ----------
    path : path
    n, k : int
    order : {"C", "F"}
        C: a row of all snapshots after the other; F: a snapshot after the other.
    offset : int
        Bytes before the first number.

    Raises
    ------
    StoreError
        The file is shorter than n k numbers, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     np.arange(6.0).tofile(file.name)
    ...     FileSource(file.name, 3, 2).rows(slice(1, 3))
    array([[2., 3.],
           [4., 5.]])
    """

    def __init__(self, path: str | Path, n: int, k: int, order: str = "C", offset: int = 0) -> None:
        if order not in ("C", "F"):
            raise InputError(f"a file of snapshots got order = {order!r}; the rule is \"C\" or \"F\"")
        self.path, self.n, self.k, self.order, self._offset = Path(path), n, k, order, offset
        self.scattered = order == "C"
        self._buffer = np.empty(0)
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}; check the path", error.errno) from error
        if size < offset + 8 * n * k:
            raise StoreError(f"{self.path} has {size} bytes, and {n} x {k} snapshots from byte {offset} on need "
                             f"{offset + 8 * n * k}; give the shape that was written")

    def rows(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.n)
        return self._long(start, stop, self.k) if self.order == "C" else self._strips(start, stop, self.k, self.n).T

    def columns(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.k)
        if self.order == "F":
            return self._long(start, stop, self.n).T
        found = np.empty((self.n, stop - start), order="F")
        height = max(1, _CACHED // (8 * self.k))
        for first in range(0, self.n, height):
            rows = slice(first, min(first + height, self.n))
            found[rows] = self.rows(rows)[:, start:stop]
        return found

    def _long(self, start: int, stop: int, length: int) -> np.ndarray:
        """Lines start .. stop of `length` numbers that follow each other."""
        out = self._room(stop - start, length)
        with open(self.path, "rb", buffering=0) as stream:
            _fill(stream.fileno(), out, self._offset + 8 * start * length, self.path)
        return out

    def _strips(self, start: int, stop: int, count: int, length: int) -> np.ndarray:
        """Numbers start .. stop of each of `count` lines of `length` numbers."""
        out = self._room(count, stop - start)
        with open(self.path, "rb", buffering=0) as stream:
            for line in range(count):
                _fill(stream.fileno(), out[line], self._offset + 8 * (line * length + start), self.path)
        return out

    def _room(self, height: int, width: int) -> np.ndarray:
        if self._buffer.size < height * width:
            self._buffer = np.empty(height * width)
        return self._buffer[: height * width].reshape(height, width)


class StoreSource(SnapshotSource):
    """The snapshots of a store at some parameters.

    Parameters
    ----------
    store : SnapshotStore
    mu : (k, p) array
    """

    # Each part opens every snapshot's file.
    best = 8 * _CACHED

    def __init__(self, store: RowStore, mu: np.ndarray) -> None:
        self._store, self._mu = store, mu
        self.k = len(mu)
        self.n = len(store.matrix(mu[:1])) if self.k else 0

    def rows(self, part: slice) -> np.ndarray:
        return self._store.matrix(self._mu, part)

    def columns(self, part: slice) -> np.ndarray:
        return self._store.matrix(self._mu[part])


class ColumnSource(SnapshotSource):
    """Snapshots that a function gives, some columns at a time.

    Parameters
    ----------
    columns : callable
        columns(slice) -> (n, j)
    k : int
    """

    by_rows = False
    best = 8 * _CACHED

    def __init__(self, columns: Columns, k: int) -> None:
        self._columns, self.k = columns, k
        self.n = int(np.shape(columns(slice(0, 1)))[0]) if k else 0

    def columns(self, part: slice) -> np.ndarray:
        return np.asarray(_real(self._columns(part)), dtype=float)


def as_source(snapshots: Any, size: int | None = None) -> SnapshotSource:
    """Snapshots in any of the accepted forms as a source.

    Parameters
    ----------
    snapshots : SnapshotSource, (n, k) array or np.memmap, or callable columns(slice) -> (n, j)
        A memory map of a whole file is read through a buffer, so that its pages do not count as memory.
    size : int, optional
        k of a callable.

    Raises
    ------
    InputError, ShapeError
        A callable without `size`; no matrix.

    Examples
    --------
    >>> as_source(np.zeros((4, 2))).k
    2
    """
    if isinstance(snapshots, SnapshotSource):
        return snapshots
    if callable(snapshots):
        if size is None:
            raise InputError("pod got snapshots as a callable without `size`, the number of snapshots; give it")
        return ColumnSource(snapshots, size)
    if isinstance(snapshots, np.memmap) and _whole(snapshots):
        order = "C" if snapshots.flags.c_contiguous else "F"
        snapshots.flush()
        return FileSource(str(snapshots.filename), *snapshots.shape, order=order, offset=snapshots.offset)
    try:
        S = np.asarray(_real(snapshots), dtype=float)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(f"pod needs a snapshot matrix (n, k) of numbers; got {type(snapshots).__name__}") from None
    return ArraySource(S)


def _real(S: np.ndarray) -> np.ndarray:
    if np.iscomplexobj(S):
        raise InputError("pod got complex snapshots; give real and imaginary parts as a state of twice the size")
    return S


def _whole(mapped: np.memmap) -> bool:
    """Whether the map is that of a file of float64 numbers, neither a part of it nor a private copy."""
    return (mapped.ndim == 2 and mapped.dtype == np.dtype("<f8") and mapped.filename is not None
            and not isinstance(mapped.base, np.ndarray) and mapped.mode != "c"
            and (mapped.flags.c_contiguous or mapped.flags.f_contiguous))


def _fill(descriptor: int, out: np.ndarray, place: int, path: Path) -> None:
    target = out.reshape(-1).view(np.uint8).data
    while len(target):
        count = os.preadv(descriptor, [target[:_READ]], place)
        if not count:
            raise StoreError(f"{path} ends at byte {place}; it was made shorter while it was read")
        target, place = target[count:], place + count
