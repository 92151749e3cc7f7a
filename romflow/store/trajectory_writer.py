"""The writer of one trajectory: piece by piece as the march goes, complete only when it is finished."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError, StoreError
from romflow.core.files import write_atomic
from romflow.core.snapshot import Snapshot
from romflow.store.seal import image_digest
from romflow.store.snapshot_files import SnapshotFiles, make_folder
from romflow.store.trajectory_files import FORMAT, TRAJECTORY, pieces_folder
from romflow.store.trajectory_piece import PieceHeader, piece_image, read_checkpoint, read_small, read_states

__all__ = ["PIECE_BYTES", "PIECE_SECONDS", "TrajectoryWriter"]

#: Bytes of states at which a piece is written; a single larger one is written as it is.
PIECE_BYTES = 32 << 20
#: Seconds after which what has gathered is written though it is smaller: so much of a march is lost by a kill.
PIECE_SECONDS = 10.0


class TrajectoryWriter:
    """Writes one trajectory; there is no snapshot of its parameter before `finish` returns.

    What is appended is gathered to pieces of about 32 MB, or of 10 seconds if that is less. A process that is killed
    leaves its pieces, and the next writer of the same parameter goes on behind the last one that holds.

    Parameters
    ----------
    files : SnapshotFiles
    key : str
    mu : (p,) array

    Attributes
    ----------
    stop : int
        Times that were appended or found.
    seconds : float
        Processor seconds that they took.
    """

    def __init__(self, files: SnapshotFiles, key: str, mu: NDArray[np.float64]) -> None:
        self._files, self._key, self._mu = files, key, mu
        self._token = secrets.token_hex(6)
        self._entries: list[dict[str, Any]] = []
        self._gathered: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]] = []
        self._checkpoint: Mapping[str, NDArray[Any]] = {}
        self._gathered_seconds, self._bytes, self._written = 0.0, 0, time.monotonic()
        self._last: tuple[float, NDArray[np.float64], NDArray[np.float64] | None] | None = None
        self.stop, self.seconds = 0, 0.0

    def resume(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """Index of the next time and the checkpoint of the last good piece; None to begin at time 0.

        Pieces that do not hold are moved to ``damaged/`` with the reason, and those behind them are not used.

        Raises
        ------
        StoreError
            The system refuses to read or to move a piece.
        InputError
            Something was appended already.
        """
        if self.stop:
            raise InputError(f"the trajectory at mu = {self._mu.tolist()} has {self.stop} times already; ask where to "
                             "go on before the first is appended.")
        chain = self._files.chain_of(self._key)
        while chain and not chain[-1].resumable:
            chain.pop()
        if not chain:
            return None
        self._take(chain)
        return self.stop, read_checkpoint(chain[-1].path)

    def _take(self, chain: list[PieceHeader]) -> None:
        self._entries = [_entry(header.path.name, header.digest, header.start, header.stop) for header in chain]
        self.stop, self.seconds = chain[-1].stop, sum(header.seconds for header in chain)
        last = chain[-1]
        count, state = last.stop - last.start, np.empty((1, last.n))
        read_states(last.path, slice(count - 1, count), slice(None), state)
        times, series = read_small(last.path)
        self._last = (float(times[-1]), state[0], None if series is None else series[-1])

    def append(self, start: int, times: ArrayLike, states: ArrayLike, series: ArrayLike | None = None,
               checkpoint: Mapping[str, ArrayLike] | None = None, seconds: float = 0.0) -> None:
        """Add the next stored times; they are written now or with some of those that follow.

        Parameters
        ----------
        start : int
            Index of the first.
        times : (c,) array
            Strictly increasing.
        states : (n, c) array
        series : (o, c) array, optional
        checkpoint : mapping of str to array, optional
            Numbers from which the march goes on behind these times.
        seconds : float
            Processor seconds that they took.

        Raises
        ------
        InputError
            They are not the next, a shape is wrong, or a number is not finite.
        StoreError
            The disk is full or refuses; what was written before remains.
        """
        when, columns, outputs = self._checked(start, times, states, series)
        memory = {name: np.array(values) for name, values in (checkpoint or {}).items()}
        for name, values in memory.items():
            if values.dtype.kind not in "biufc" or not name or "/" in name:
                raise InputError(f"the checkpoint at mu = {self._mu.tolist()} has {name!r} of type {values.dtype}; "
                                 "store numbers, under words without '/'.")
        if self._gathered and self._bytes + columns.nbytes > PIECE_BYTES:
            self.flush()
        self._gathered.append((when, columns, outputs))
        self._checkpoint = memory
        self._last = (float(when[-1]), columns[-1], None if outputs is None else outputs[-1])
        self._bytes, self._gathered_seconds = self._bytes + columns.nbytes, self._gathered_seconds + seconds
        self.stop, self.seconds = self.stop + len(when), self.seconds + seconds
        if self._bytes >= PIECE_BYTES or time.monotonic() - self._written > PIECE_SECONDS:
            self.flush()

    def _checked(self, start: int, times: ArrayLike, states: ArrayLike, series: ArrayLike | None
                 ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """Times (c,), states (c, n) and series (c, o) of the next piece."""
        # Copies: the march may use its arrays again.
        when, columns = np.array(times, dtype=np.float64), np.array(np.transpose(states), dtype=np.float64, order="C")
        outputs = None if series is None else np.array(np.transpose(series), dtype=np.float64, order="C")
        who = f"the trajectory at mu = {self._mu.tolist()}"
        if start != self.stop or when.ndim != 1 or not len(when):
            raise InputError(f"{who} was given times {when.shape} from index {start}; the next has index {self.stop}.")
        for what, values, known in (("states", columns, None if self._last is None else self._last[1]),
                                    ("series", outputs, None if self._last is None else self._last[2])):
            if values is None:
                continue
            if values.ndim != 2 or len(values) != len(when) or (known is not None and known.shape != values.shape[1:]):
                raise ShapeError(f"{who} was given {what} of shape {values.T.shape} for {len(when)} times; the rule is "
                                 "a column a time, as long as those before.")
            if not np.isfinite(values).all():
                raise InputError(f"{who} was given {what} that are not finite; store finite numbers.")
        if not columns.shape[1] or (self._last is not None and (self._last[2] is None) != (outputs is None)):
            raise ShapeError(f"{who} has states without entries, or outputs at some times only.")
        before = when if self._last is None else np.concatenate([[self._last[0]], when])
        if not np.isfinite(when).all() or np.any(np.diff(before) <= 0.0):
            raise InputError(f"{who} has times that do not increase from index {start} on; give each later time once.")
        return when, columns, outputs

    def flush(self) -> None:
        """Write what has gathered as one piece.

        Raises
        ------
        StoreError
            The disk is full or refuses; call again, or `drop`.
        """
        if not self._gathered:
            return
        start, stop = self.stop - sum(len(when) for when, _, _ in self._gathered), self.stop
        previous = self._entries[-1]["sha256"] if self._entries else ""
        attributes = {"fingerprint": self._files.fingerprint, "key": self._key, "previous": previous, "start": start,
                      "seconds": self._gathered_seconds}
        times, states, series = (_joined([one[place] for one in self._gathered]) for place in range(3))
        image = piece_image(attributes, times, states, series, self._checkpoint)
        folder = pieces_folder(self._files.path(self._key))
        name = f"piece-{len(self._entries):04d}.{self._token}.h5"
        make_folder(folder)
        write_atomic(folder / name, image)
        digest = image_digest(image)
        self._files.trajectories.written(folder / name, digest)
        self._entries.append(_entry(name, digest, start, stop))
        self._gathered, self._bytes, self._gathered_seconds, self._written = [], 0, 0.0, time.monotonic()

    def finish(self, outputs: ArrayLike | None = None, info: Mapping[str, Any] | None = None) -> str:
        """Complete the snapshot: its state is the last one, and it names the pieces.

        Parameters
        ----------
        outputs : (o,) array, optional
            Final outputs; the last of the series where none are given.
        info : mapping, optional
            JSON values; "seconds" is the sum over the pieces unless it is given.

        Returns
        -------
        str
            Its key.

        Raises
        ------
        InputError
            Nothing was appended, or an output is not finite.
        StoreError
            The disk is full or refuses, or another process removed a piece.
        """
        if self._last is None:
            raise InputError(f"the trajectory at mu = {self._mu.tolist()} has no times; append them first.")
        self.flush()
        _, state, last = self._last
        given = last if outputs is None else np.asarray(outputs, dtype=np.float64)
        if given is not None and not np.isfinite(given).all():
            raise InputError(f"the outputs at mu = {self._mu.tolist()} are {given.tolist()}; store finite numbers.")
        snapshot = Snapshot(np.array(state), given, {"seconds": self.seconds, **(info or {})})
        snapshot = replace(snapshot, info={**snapshot.info, TRAJECTORY: {
            "format": FORMAT, "times": self.stop, "pieces": self._entries}})
        folder = pieces_folder(self._files.path(self._key))
        gone = [entry["file"] for entry in self._entries if not (folder / entry["file"]).exists()]
        if not gone:
            self._files.write_trajectory(self._key, self._mu, snapshot, [entry["file"] for entry in self._entries])
        elif self._files.checked(self._key) is not None:  # another process was faster with the same parameter
            self.drop()
        else:
            raise StoreError(f"{folder / gone[0]} was removed while its trajectory was written; run the study again.")
        return self._key

    def drop(self) -> None:
        """Remove the pieces of this trajectory, found or written, that no snapshot names."""
        self._files.drop_pieces(self._key, [entry["file"] for entry in self._entries])
        self._entries, self._gathered, self._last, self._bytes = [], [], None, 0
        self._gathered_seconds, self.stop, self.seconds = 0.0, 0, 0.0


def _joined(blocks: list[Any]) -> Any:
    if blocks[0] is None:
        return None
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _entry(name: str, digest: str, start: int, stop: int) -> dict[str, Any]:
    return {"file": name, "sha256": digest, "start": start, "stop": stop}
