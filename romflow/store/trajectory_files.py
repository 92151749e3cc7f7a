"""The pieces of trajectories in a folder: checked once, linked into one solve's chain, removed together."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from romflow.store.seal import Damaged
from romflow.store.snapshot_file import signature
from romflow.store.trajectory_piece import PieceHeader, read_piece_header

__all__ = ["TRAJECTORY", "TrajectoryFiles", "pieces_folder", "pieces_of"]

#: Under this word, the info of a snapshot names the pieces of its trajectory.
TRAJECTORY = "trajectory"
FORMAT = "romflow-trajectory"
_UNFINISHED = 30 * 86400.0  # seconds that a trajectory which was interrupted is kept for going on


def pieces_folder(file: Path) -> Path:
    """Folder of the pieces beside the file of a snapshot."""
    return file.with_suffix(".pieces")


def pieces_of(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries ("file", "sha256", "start", "stop") of a trajectory's pieces; none of what is no trajectory.

    Examples
    --------
    >>> pieces_of({"seconds": 1.0})
    []
    """
    about = info.get(TRAJECTORY)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        return []
    return [dict(entry) for entry in about["pieces"]]


class TrajectoryFiles:
    """Files ``<key>.pieces/piece-0003.<token>.h5`` beside the file of each trajectory's snapshot.

    The token is one for each writer, so that a solve which is repeated does not touch the pieces of the first.
    """

    #: Of pieces that this process has checked or written itself; any change to a file changes its signature.
    _signatures: ClassVar[dict[tuple[Path, str], tuple[int, ...]]] = {}

    def written(self, place: Path, digest: str) -> None:
        """Take a piece that was just written from memory as checked."""
        with contextlib.suppress(OSError):
            self._signatures[place.resolve(), digest] = signature(place.stat())

    def check(self, file: Path, entries: Iterable[Mapping[str, Any]]) -> None:
        """Check pieces: in full once a process, then for changes.

        Raises
        ------
        Damaged
            One is missing, altered or another.
        """
        for entry in entries:
            place = pieces_folder(file) / str(entry["file"])
            known = self._signatures.get((place.resolve(), entry["sha256"]))
            try:
                if known is not None and signature(place.stat()) == known:
                    continue
                header = read_piece_header(place)
            except FileNotFoundError:
                raise Damaged(f"its piece {place.name} is missing") from None
            except Damaged as error:
                raise Damaged(f"of its piece {place.name}: {error}") from None
            if header.digest != entry["sha256"]:
                raise Damaged(f"its piece {place.name} belongs to another solve")
            self._signatures[place.resolve(), entry["sha256"]] = header.signature

    def chain(self, file: Path, fingerprint: str, key: str) -> tuple[list[PieceHeader], list[tuple[Path, str]]]:
        """The pieces of the solve that has come farthest, in order, and those that do not hold with the reason."""
        good: list[PieceHeader] = []
        bad: list[tuple[Path, str]] = []
        for place in sorted(pieces_folder(file).glob("piece-*.h5")):
            try:
                header = read_piece_header(place)
            except FileNotFoundError:
                continue
            except Damaged as error:
                bad.append((place, str(error)))
                continue
            if (header.fingerprint, header.key) == (fingerprint, key):
                good.append(header)
            else:
                bad.append((place, "it is a piece of another model or parameter"))
        return _longest(good), bad

    def remove(self, file: Path, kept: Sequence[str] = ()) -> None:
        """Remove the pieces beside a snapshot's file, but for those of these names."""
        folder = pieces_folder(file)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for place in folder.glob("piece-*"):
            if place.name not in kept:
                with contextlib.suppress(OSError):
                    place.unlink()

    def remove_these(self, file: Path, names: Iterable[str]) -> None:
        """Remove pieces by their names, and the folder if it is empty then."""
        for name in names:
            with contextlib.suppress(OSError):
                (pieces_folder(file) / name).unlink()
        with contextlib.suppress(OSError):
            pieces_folder(file).rmdir()

    def remove_stale(self, base: Path) -> None:
        """Remove the pieces of trajectories that were interrupted more than 30 days ago."""
        for folder in base.glob("??/*.pieces"):
            if os.path.exists(folder.with_suffix(".h5")):
                continue
            with contextlib.suppress(OSError):
                if time.time() - max(place.stat().st_mtime for place in [folder, *folder.iterdir()]) > _UNFINISHED:
                    shutil.rmtree(folder, ignore_errors=True)


def _longest(headers: Sequence[PieceHeader]) -> list[PieceHeader]:
    """The chain of pieces that reaches the latest time, each beginning where that before it ends."""
    after: dict[str, list[PieceHeader]] = defaultdict(list)
    for header in headers:
        after[header.previous].append(header)

    def next_ones(digest: str, stop: int) -> list[PieceHeader]:
        return [header for header in after[digest] if header.start == stop]

    reach: dict[str, int] = {}
    for header in sorted(headers, key=lambda header: -header.start):
        reach[header.digest] = max([header.stop, *(reach[one.digest] for one in next_ones(header.digest, header.stop))])
    chain: list[PieceHeader] = []
    while ahead := next_ones(*((chain[-1].digest, chain[-1].stop) if chain else ("", 0))):
        chain.append(max(ahead, key=lambda header: reach[header.digest]))
    return chain
