"""The files of snapshots in a folder: written whole, checked before use, set aside when they do not hold."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import refused, write_atomic, write_json
from romflow.core.fingerprint import snapshot_key
from romflow.core.snapshot import Snapshot
from romflow.store.seal import Damaged
from romflow.store.snapshot_file import (
    Header,
    Layout,
    OtherFormat,
    read_header,
    read_rows,
    signature,
    snapshot_image,
)
from romflow.store.split_file import SPLIT_FORMAT, SplitHeader, parts_folder, read_split_header, split_image
from romflow.store.split_files import SplitFiles
from romflow.store.trajectory_files import TrajectoryFiles, pieces_folder, pieces_of
from romflow.store.trajectory_piece import PieceHeader

__all__ = ["SnapshotFiles", "is_key", "make_folder"]

_KEY = re.compile("[0-9a-f]{64}")
_STALE = 3600.0  # seconds after which a `.part` file has no living writer
_FRESH = 100_000_000  # nanoseconds within which a later change may leave a file's times as they are


def is_key(text: str) -> bool:
    """Whether a text has the form of a snapshot's key."""
    return _KEY.fullmatch(text) is not None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused("make", folder, error) from error


class SnapshotFiles:
    """Files ``snapshots/<first 2 digits>/<key>.h5`` of one model within a folder, and ``damaged/`` beside them.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    fingerprint : str
        Fingerprint of the model's specification.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.damaged: list[tuple[Path, str]] = []
        self._base = str(folder / "snapshots")
        self._headers: dict[str, Header] = {}
        self._layout: Layout | None = None
        self.splits = SplitFiles()
        self.trajectories = TrajectoryFiles()

    def path(self, key: str) -> Path:
        """File of a key, which may not exist."""
        return Path(f"{self._base}/{key[:2]}/{key}.h5")

    def exists(self, key: str) -> bool:
        """Whether there is a file of a key."""
        return os.path.exists(f"{self._base}/{key[:2]}/{key}.h5")

    def keys(self) -> list[str]:
        """Keys of all files, sorted; their content is not looked at."""
        return sorted(file.stem for file in self.folder.glob("snapshots/??/*.h5") if is_key(file.stem))

    def remove_stale(self) -> None:
        """Remove what killed writers left aside more than an hour ago."""
        for part in self.folder.rglob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > _STALE:
                    part.unlink()
        self.splits.remove_stale(Path(self._base))
        self.trajectories.remove_stale(Path(self._base))

    def write(self, key: str, mu: NDArray[np.float64], snapshot: Snapshot) -> None:
        """Write the file of a key, replacing an older one."""
        file = self.path(key)
        self._replace(file, snapshot_image(self.fingerprint, key, mu, snapshot))
        self.splits.remove(file)
        self.trajectories.remove(file)

    def write_trajectory(self, key: str, mu: NDArray[np.float64], last: Snapshot, pieces: list[str]) -> None:
        """Write the file of a trajectory whose pieces are written, replacing an older one."""
        self._replace(self.path(key), snapshot_image(self.fingerprint, key, mu, last))
        self.trajectories.remove(self.path(key), pieces)

    def chain_of(self, key: str) -> list[PieceHeader]:
        """The pieces of a trajectory from which it goes on; those that do not hold are set aside."""
        file = self.path(key)
        try:
            chain, bad = self.trajectories.chain(file, self.fingerprint, key)
        except OSError as error:
            raise refused("read", pieces_folder(file), error) from error
        for place, reason in bad:
            self._move_aside(place, f"{key}.{place.stem}", key, reason)
        return chain

    def drop_pieces(self, key: str, names: list[str]) -> None:
        """Remove pieces of a trajectory but for those that its snapshot names."""
        header = self.checked(key)
        kept = set() if header is None else {entry["file"] for entry in pieces_of(header.info)}
        self.trajectories.remove_these(self.path(key), [name for name in names if name not in kept])

    def write_split(self, key: str, mu: NDArray[np.float64], outputs: NDArray[np.float64] | None, info: dict[str, Any],
                    starts: NDArray[np.int64], files: list[dict[str, Any]]) -> None:
        """Write the file of a split snapshot whose files of ranks are written, replacing an older one."""
        file = self.path(key)
        try:
            old = read_split_header(file)
        except (OSError, Damaged):
            old = None
        self._replace(file, split_image(self.fingerprint, key, mu, outputs, info, starts, files))
        self.splits.remove_replaced(file, old, files)

    def _replace(self, file: Path, image: bytes) -> None:
        try:
            write_atomic(file, image)
        except StoreError as error:
            if error.errno != errno.ENOENT:
                raise
            make_folder(file.parent)
            write_atomic(file, image)

    def remove(self, key: str) -> None:
        """Remove the file of a key, if there is one."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            raise refused("remove", self.path(key), error) from error
        self.splits.remove(self.path(key))
        self.trajectories.remove(self.path(key))
        self._headers.pop(key, None)

    def checked(self, key: str) -> Header | None:
        """The header of a snapshot whose seal and identity hold; None if there is none, or none any more."""
        return self._checked(key, None)

    def _checked(self, key: str, part: int | None) -> Header | None:
        """As :meth:`checked`; of a split snapshot check the file that holds one part only, if a part is given."""
        file = self.path(key)
        known = self._headers.get(key)
        try:
            fresh = known is None or signature(file.stat()) != known.signature
            header = self._read_header(file, key) if known is None or fresh else known
            if isinstance(header, SplitHeader):
                self.splits.check(file, header, part)
            self.trajectories.check(file, pieces_of(header.info))
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._set_aside(key, str(error))
            return None
        except OSError as error:
            raise refused("read", file, error) from error
        if not isinstance(header, SplitHeader):
            self._layout = header.layout
        if fresh and time.time_ns() - header.signature[2] > _FRESH:
            self._headers[key] = header
        return header

    def _read_header(self, file: Path, key: str) -> Header:
        try:
            header = read_header(file, self._layout)
        except OtherFormat as error:
            if error.format != SPLIT_FORMAT:
                raise
            header = read_split_header(file)
        self._check_identity(header, key)
        return header

    def _check_identity(self, header: Header, key: str) -> None:
        if header.layout.fingerprint != self.fingerprint:
            raise Damaged("it is a snapshot of another model")
        if header.key != key or snapshot_key(self.fingerprint, header.mu) != key:
            raise Damaged(f"it is the snapshot of another parameter, whose key is {header.key}")

    def set_aside(self, key: str, reason: str) -> None:
        """Move a snapshot's file, and all beside it that belongs to it, to ``damaged/``."""
        pieces, before = pieces_folder(self.path(key)), len(self.damaged)
        self._set_aside(key, reason)
        if len(self.damaged) > before and pieces.exists():
            with contextlib.suppress(OSError):
                os.replace(pieces, pieces_folder(self.damaged[-1][0]))

    def _set_aside(self, key: str, reason: str) -> None:
        """Move a snapshot's file to ``damaged/`` under a free name, and note the reason beside it."""
        file = self.path(key)
        place = self._move_aside(file, key, key, reason)
        self._headers.pop(key, None)
        if place is None:
            return
        with contextlib.suppress(OSError):
            if parts_folder(file).exists():
                os.replace(parts_folder(file), parts_folder(place))

    def _move_aside(self, file: Path, stem: str, key: str, reason: str) -> Path | None:
        """Move a file to ``damaged/``; None if another process did it."""
        folder, number = self.folder / "damaged", 0
        make_folder(folder)
        while (place := folder / (f"{stem}.{number}.h5" if number else f"{stem}.h5")).exists():
            number += 1
        try:
            os.replace(file, place)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused("set aside", file, error) from error
        self.damaged.append((place, reason))
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(place.with_suffix(".json"), {"file": place.name, "key": key, "reason": reason, "when": when})
        return place

    def needed(self, key: str, part: int | None = None) -> Header:
        """As :meth:`checked` (of one part's file only, if a part is given), but absence is an error."""
        before = len(self.damaged)
        header = self._checked(key, part)
        if header is not None:
            return header
        if len(self.damaged) > before:
            place, reason = self.damaged[-1]
            raise StoreError(f"snapshot {self.path(key)} is damaged: {reason}; it is now {place}: run the study again.")
        raise StoreError(f"{self.folder} holds no snapshot with the key {key}; solve its parameter first.")

    def read(self, key: str, start: int, out: NDArray[np.float64]) -> Header:
        """Read rows of one state into `out`, checking the file anew if another process replaced it."""
        file = self.path(key)
        for _ in range(10):
            header = self.needed(key)
            if (n := header.layout.n) < start + len(out):
                raise StoreError(f"{file} holds {n} entries, fewer than {start + len(out)}; remove the file.")
            try:
                if isinstance(header, SplitHeader):
                    whole = self.splits.read_rows(file, header, start, out)
                else:
                    whole = read_rows(file, header, start, out)
            except OSError as error:
                raise refused("read", file, error) from error
            if whole:
                return header
        raise self._restless(file)

    def part_of(self, key: str, part: int) -> NDArray[np.float64]:
        """Values (n_c,) of a split snapshot on the closure of a part."""
        file = self.path(key)
        for _ in range(10):
            header = self.needed(key, part)
            if not isinstance(header, SplitHeader):
                raise StoreError(f"snapshot {file} is in one piece and has no parts; it was not written by MPI ranks.")
            try:
                values = self.splits.read_part(file, header, part)
            except OSError as error:
                raise refused("read", file, error) from error
            if values is not None:
                return values
        raise self._restless(file)

    @staticmethod
    def _restless(file: Path) -> StoreError:
        return StoreError(f"{file} changes all the time; end the other processes that write to this store.")
