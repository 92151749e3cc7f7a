"""The files of a split snapshot: one for each rank that solved, and one that shows them as a whole.

The file of a rank holds a dataset "part-0007" (n_c,) for each of its parts: the values on the part's closure, those of
the unknowns that it owns first. The file of the snapshot holds "mu", "key", "info", "outputs" as that of a snapshot in
one piece, "starts" (P + 1,), "files" (JSON text: name, SHA-256 and parts of each file of a rank), and "state" (n,), a
virtual dataset of the owned values. Any HDF5 reader shows it; a file that is missing then reads as NaN.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from romflow.core.files import plain
from romflow.core.fingerprint import canonical_json
from romflow.store.seal import Damaged, check_seal, seal_digest, sealed
from romflow.store.snapshot_file import Header, Layout, signature

__all__ = ["SPLIT_FORMAT", "SplitHeader", "check_rank_file", "part_name", "parts_folder", "rank_image", "read_part",
           "read_split_header", "split_image"]

SPLIT_FORMAT = "romflow-split-snapshot"
VERSION = 1


@dataclass(frozen=True)
class SplitHeader(Header):
    """All of a split snapshot but its values.

    Attributes
    ----------
    starts : (P + 1,) int64
        Part i owns the entries starts[i] .. starts[i + 1] - 1 of the state.
    files : list of dict
        "file" (name), "sha256" and "parts" (part as text -> length of its closure) of each file of a rank.
    """

    starts: NDArray[np.int64]
    files: list[dict[str, Any]]

    def file_of(self, part: int) -> dict[str, Any] | None:
        """The entry of `files` that holds a part."""
        return next((file for file in self.files if str(part) in file["parts"]), None)


def part_name(part: int) -> str:
    """Name of a part's dataset.

    Examples
    --------
    >>> part_name(7)
    'part-0007'
    """
    return f"part-{part:04d}"


def parts_folder(file: Path) -> Path:
    """Folder of the files of ranks beside the file of a snapshot."""
    return file.with_suffix(".parts")


def rank_image(fingerprint: str, key: str, values: Mapping[int, NDArray[np.float64]]) -> bytes:
    """Bytes of the sealed file of one rank: the closure values (n_c,) of each of its parts."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs.update({"format": f"{SPLIT_FORMAT}-rank", "version": VERSION})
        file.attrs.update({"fingerprint": fingerprint, "key": key})
        for part in sorted(values):
            file.create_dataset(part_name(part), data=np.asarray(values[part], dtype="<f8"), track_times=False)
    return sealed([buffer.getbuffer()])


def split_image(
    fingerprint: str,
    key: str,
    mu: NDArray[np.float64],
    outputs: NDArray[np.float64] | None,
    info: Mapping[str, Any],
    starts: NDArray[np.int64],
    files: Sequence[Mapping[str, Any]],
) -> bytes:
    """Bytes of the sealed file of a split snapshot; `files` as in `SplitHeader`."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs.update({"format": SPLIT_FORMAT, "version": VERSION, "fingerprint": fingerprint})
        texts = {"key": key.encode("ascii"), "info": canonical_json(plain(info)), "files": canonical_json(plain(files))}
        for name, text in texts.items():
            file.create_dataset(name, data=np.bytes_(text), track_times=False)
        file.create_dataset("mu", data=mu.astype("<f8"), track_times=False)
        file.create_dataset("starts", data=starts.astype("<i8"), track_times=False)
        if outputs is not None:
            file.create_dataset("outputs", data=outputs.astype("<f8"), track_times=False)
        layout = h5py.VirtualLayout((int(starts[-1]),), dtype="<f8")
        for entry in files:
            for text, length in entry["parts"].items():
                part = int(text)
                first, last = int(starts[part]), int(starts[part + 1])
                # Relative to the folder of this file, so that the store can be moved.
                source = h5py.VirtualSource(f"{key}.parts/{entry['file']}", part_name(part), (int(length),), "<f8")
                if last > first:
                    layout[first:last] = source[: last - first]
        file.create_virtual_dataset("state", layout, fillvalue=np.nan)
    return sealed([buffer.getbuffer()])


def read_split_header(path: Path) -> SplitHeader:
    """Check the seal of the file of a split snapshot and read all but its values.

    Raises
    ------
    Damaged
        The file is no split snapshot of this format version, or not as it was written.
    OSError
        The system refused to read it.
    """
    with open(path, "rb", buffering=0) as stream:
        check_seal(stream)
        status = os.fstat(stream.fileno())
    try:
        with h5py.File(path, "r", locking=False) as file:
            if (version := int(file.attrs["version"])) != VERSION:
                raise Damaged(f"it has format version {version}, and this romflow reads version {VERSION}")
            starts = np.asarray(file["starts"][()], dtype=np.int64)
            return SplitHeader(
                layout=Layout(str(file.attrs["fingerprint"]), int(starts[-1]), b"", {}),
                key=file["key"][()].decode("ascii", "replace"),
                mu=np.asarray(file["mu"][()], dtype=np.float64),
                outputs=np.asarray(file["outputs"][()], dtype=np.float64) if "outputs" in file else None,
                info=json.loads(file["info"][()]),
                signature=signature(status),
                starts=starts,
                files=json.loads(file["files"][()]),
            )
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        raise Damaged("it is not the HDF5 file of a split snapshot") from error


def check_rank_file(path: Path, entry: Mapping[str, Any]) -> tuple[int, ...]:
    """Check that the file of a rank is the one that the snapshot names; its signature.

    Raises
    ------
    Damaged
        It is missing, altered or another.
    """
    try:
        with open(path, "rb", buffering=0) as stream:
            check_seal(stream)
            if seal_digest(stream) != entry["sha256"]:
                raise Damaged(f"its file {path.name} belongs to another solve")
            return signature(os.fstat(stream.fileno()))
    except FileNotFoundError:
        raise Damaged(f"its file {path.name} is missing") from None
    except Damaged as error:
        text = str(error)
        raise Damaged(text if path.name in text else f"of its file {path.name}: {text}") from None


def read_part(path: Path, part: int, first: int, last: int) -> NDArray[np.float64]:
    """Values first .. last - 1 of a part's closure, from the file of a rank."""
    with h5py.File(path, "r", locking=False) as file:
        return np.asarray(file[part_name(part)][first:last], dtype=np.float64)
