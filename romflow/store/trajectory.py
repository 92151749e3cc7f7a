"""A stored trajectory, read by times, by entries or piece by piece: never all of it unless that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, StoreError
from romflow.core.files import refused
from romflow.store.seal import Damaged
from romflow.store.snapshot_files import SnapshotFiles
from romflow.store.trajectory_files import pieces_folder
from romflow.store.trajectory_piece import read_checkpoint, read_small, read_states

__all__ = ["Trajectory"]


class Trajectory:
    """States u(t_0) ... u(t_K) of one parameter on the disk; each read opens the pieces that it needs and no others.

    Parameters
    ----------
    files : SnapshotFiles
    key : str
    n : int
    entries : sequence of dict
        "file", "sha256", "start" and "stop" of each piece, in order.

    Attributes
    ----------
    key : str
    n : int
        Length of a state.
    """

    def __init__(self, files: SnapshotFiles, key: str, n: int, entries: Sequence[Mapping[str, Any]]) -> None:
        self._files, self._entries = files, list(entries)
        self._file = files.path(key)
        self.key, self.n = key, n

    def __len__(self) -> int:
        return int(self._entries[-1]["stop"])

    @property
    def shape(self) -> tuple[int, int]:
        """(n, K + 1)."""
        return self.n, len(self)

    @property
    def times(self) -> NDArray[np.float64]:
        """Stored times (K + 1,)."""
        return self._small[0].copy()

    @property
    def series(self) -> NDArray[np.float64] | None:
        """Outputs (o, K + 1) at the stored times that the model gave itself; None if it gave none."""
        return None if self._small[1] is None else self._small[1].copy()

    @cached_property
    def _small(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        found = [self._opened(entry, read_small) for entry in self._entries]
        times = np.concatenate([times for times, _ in found])
        series = [values for _, values in found if values is not None]
        return times, np.ascontiguousarray(np.concatenate(series).T) if series else None

    def remembered(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Those arrays of the last checkpoint of its march that have these names.

        Raises
        ------
        StoreError
            As for `state`.
        """
        found: dict[str, NDArray[Any]] = self._opened(self._entries[-1], lambda place: read_checkpoint(place, names))
        return found

    def state(self, k: int) -> NDArray[np.float64]:
        """State (n,) at the time of index k; -1 is the last.

        Raises
        ------
        InputError
            There is no such time.
        StoreError
            A piece is damaged, or the trajectory was replaced meanwhile.
        """
        if not -len(self) <= k < len(self):
            raise InputError(f"k = {k}; the trajectory has {len(self)} stored times, from 0.")
        return self._block(slice(None), k % len(self), k % len(self) + 1)[:, 0]

    def columns(self, which: slice = slice(None)) -> NDArray[np.float64]:
        """States (n, c) at the times of a slice with step 1, in Fortran order; beside it nothing of its size is held.

        Raises
        ------
        InputError
            The slice has another step.
        StoreError
            As for `state`.
        """
        return self._block(slice(None), *_range("columns", which, len(self)))

    def rows(self, which: slice = slice(None)) -> NDArray[np.float64]:
        """Entries (rows, K + 1) of all states, for a slice with step 1, in Fortran order; reads these entries only.

        Raises
        ------
        InputError
            The slice has another step.
        StoreError
            As for `state`.
        """
        start, stop = _range("rows", which, self.n)
        return self._block(slice(start, stop), 0, len(self))

    def pieces(self, block: int | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """The trajectory by its pieces, about 32 MB each: pairs of a slice of time indices and states (n, c).

        Parameters
        ----------
        block : int, optional
            Instead of its own pieces: so many times in each (the last may have fewer).
        """
        if block is not None and block < 1:
            raise InputError(f"block = {block}; a piece of a trajectory has at least 1 time.")
        edges = [int(entry["start"]) for entry in self._entries] if block is None else list(range(0, len(self), block))
        for start, stop in zip(edges, [*edges[1:], len(self)], strict=True):
            yield slice(start, stop), self._block(slice(None), start, stop)

    def _block(self, rows: slice, start: int, stop: int) -> NDArray[np.float64]:
        """Entries `rows` at the times start .. stop - 1: (rows, c)."""
        low, high, _ = rows.indices(self.n)
        out = np.empty((stop - start, high - low))
        for entry in self._entries:
            first, last = max(start, int(entry["start"])), min(stop, int(entry["stop"]))
            if first < last:
                inside = slice(first - int(entry["start"]), last - int(entry["start"]))
                part = out[first - start:last - start]
                self._opened(entry, lambda place, inside=inside, part=part: read_states(  # type: ignore[misc]
                    place, inside, slice(low, high), part))
        return out.T

    def _opened(self, entry: Mapping[str, Any], read: Callable[[Path], Any]) -> Any:
        """What `read` says of a piece that still is the one which was checked."""
        place = pieces_folder(self._file) / str(entry["file"])
        try:
            self._files.trajectories.check(self._file, [entry])
            return read(place)
        except Damaged as error:
            raise StoreError(f"the trajectory {self._file} was replaced or damaged meanwhile ({error}); run the study "
                             "again.") from error
        except OSError as error:
            raise refused("read", place, error) from error


def _range(what: str, which: slice, length: int) -> tuple[int, int]:
    start, stop, step = which.indices(length)
    if step != 1:
        raise InputError(f"{what} has step {step}; a trajectory is read with step 1.")
    return start, max(start, stop)
