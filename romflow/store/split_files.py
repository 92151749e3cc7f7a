"""The files of ranks of split snapshots in a folder: checked once, read by rows or by parts, removed together."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import refused, write_atomic
from romflow.store.seal import image_digest
from romflow.store.snapshot_file import signature
from romflow.store.split_file import SplitHeader, check_rank_file, parts_folder, rank_image, read_part

__all__ = ["SplitFiles"]

_STALE = 3600.0  # seconds after which a file that no snapshot names has no living writer


class SplitFiles:
    """Files ``<key>.parts/rank-0003.<token>.h5`` beside the file of each split snapshot.

    The token is one for all ranks of a solve, so that a solve that is repeated does not touch the files of the first.
    """

    def __init__(self) -> None:
        self._signatures: dict[Path, tuple[int, ...]] = {}

    def write(self, file: Path, fingerprint: str, key: str, rank: int, token: str,
              values: Mapping[int, NDArray[np.float64]]) -> dict[str, Any]:
        """Write the file of one rank; its entry for the snapshot's file."""
        folder = parts_folder(file)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused("make", folder, error) from error
        image = rank_image(fingerprint, key, values)
        name = f"rank-{rank:04d}.{token}.h5"
        write_atomic(folder / name, image)
        return {"file": name, "sha256": image_digest(image),
                "parts": {str(part): int(values[part].size) for part in sorted(values)}}

    def check(self, file: Path, header: SplitHeader, part: int | None = None) -> None:
        """Check all files of ranks, or the one that holds a part: in full once a process, then for changes.

        Raises
        ------
        Damaged
            A file is missing, altered or another.
        StoreError
            There is no such part.
        """
        for entry in header.files if part is None else [self._entry(header, part)]:
            place = parts_folder(file) / entry["file"]
            known = self._signatures.get(place)
            with contextlib.suppress(FileNotFoundError):
                if known is not None and signature(place.stat()) == known:
                    continue
            self._signatures[place] = check_rank_file(place, entry)

    def read_rows(self, file: Path, header: SplitHeader, start: int, out: NDArray[np.float64]) -> bool:
        """Read entries start .. start + len(out) - 1 of the state into `out`; False if a file is gone meanwhile."""
        stop = start + len(out)
        first = int(np.searchsorted(header.starts, start, side="right")) - 1
        for part in range(max(first, 0), len(header.starts) - 1):
            low, high = int(header.starts[part]), int(header.starts[part + 1])
            if low >= stop:
                break
            if high > low:
                values = self.read_part(file, header, part, max(start, low) - low, min(stop, high) - low)
                if values is None:
                    return False
                out[max(start, low) - start:min(stop, high) - start] = values
        return True

    def read_part(self, file: Path, header: SplitHeader, part: int, first: int = 0,
                  last: int | None = None) -> NDArray[np.float64] | None:
        """Values first .. last - 1 on the closure of a part; None if the file is gone meanwhile."""
        entry = self._entry(header, part)
        try:
            return read_part(parts_folder(file) / entry["file"], part, first,
                             entry["parts"][str(part)] if last is None else last)
        except FileNotFoundError:
            return None

    def remove(self, file: Path) -> None:
        """Remove the files of ranks of a snapshot whose own file is gone or in one piece."""
        folder = parts_folder(file)
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    def remove_token(self, file: Path, token: str) -> None:
        """Remove what the ranks of one solve have written."""
        folder = parts_folder(file)
        for place in folder.glob(f"rank-*.{token}.h5*"):
            with contextlib.suppress(OSError):
                place.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()

    def remove_replaced(self, file: Path, old: SplitHeader | None, new: list[dict[str, Any]]) -> None:
        """Remove files of ranks that an older file of the snapshot named, and what killed writers have left."""
        kept = {entry["file"] for entry in new}
        named = set() if old is None else {entry["file"] for entry in old.files}
        for place in parts_folder(file).glob("rank-*"):
            with contextlib.suppress(OSError):
                if place.name not in kept and (place.name in named or time.time() - place.stat().st_mtime > _STALE):
                    place.unlink()

    def remove_stale(self, base: Path) -> None:
        """Remove files of ranks older than an hour whose snapshot was never completed."""
        for folder in base.glob("??/*.parts"):
            if os.path.exists(folder.with_suffix(".h5")):
                continue
            with contextlib.suppress(OSError):
                if time.time() - max(place.stat().st_mtime for place in [folder, *folder.iterdir()]) > _STALE:
                    shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _entry(header: SplitHeader, part: int) -> dict[str, Any]:
        entry = header.file_of(part)
        if entry is None:
            raise StoreError(f"the snapshot {header.key} has {len(header.starts) - 1} parts and none is {part}; the "
                             "rule is parts from 0")
        return entry
