"""The file of one piece of a trajectory: consecutive stored times, and what the march goes on from behind them.

Datasets: "times" (c,), "states" (c, n), a row a time, last in the file; "series" (c, o) if the model gives outputs;
"checkpoint/<name>" of any shapes. Attributes of the root: format, version, fingerprint, key, start (index of the first
time), seconds, and previous: the SHA-256 of the piece before, so that pieces of two solves are never mixed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.store.seal import Damaged, check_seal, seal_digest, sealed
from romflow.store.snapshot_file import add_contiguous, place_of, signature

__all__ = ["PieceHeader", "piece_image", "read_checkpoint", "read_piece_header", "read_small", "read_states"]

FORMAT = "romflow-trajectory-piece"
VERSION = 1


@dataclass(frozen=True)
class PieceHeader:
    """What a piece is, without its numbers.

    Attributes
    ----------
    path : Path
    fingerprint, key : str
        The model and the parameter.
    previous, digest : str
        SHA-256 of the piece before ("" for the first), and of this one.
    start, stop : int
        It holds the times start .. stop - 1.
    n : int
        Length of its states.
    seconds : float
        Processor seconds of these times.
    resumable : bool
        It has a checkpoint.
    signature : tuple of int
        Of the file that was checked.
    """

    path: Path
    fingerprint: str
    key: str
    previous: str
    digest: str
    start: int
    stop: int
    n: int
    seconds: float
    resumable: bool
    signature: tuple[int, ...]


def piece_image(attributes: Mapping[str, Any], times: NDArray[np.float64], states: NDArray[np.float64],
                series: NDArray[np.float64] | None, checkpoint: Mapping[str, NDArray[Any]]) -> bytes:
    """Bytes of the sealed file of a piece.

    Parameters
    ----------
    attributes : mapping
        "fingerprint", "key", "previous", "start" and "seconds".
    times : (c,) array
    states : (c, n) array
        Row by row; beside it its bytes are held once more.
    series : (c, o) array or None
    checkpoint : mapping of str to array
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, **attributes})
        file.create_dataset("times", data=times.astype("<f8"), track_times=False)
        if series is not None:
            file.create_dataset("series", data=series.astype("<f8"), track_times=False)
        group = file.create_group("checkpoint")
        for name in sorted(checkpoint):
            group.create_dataset(name, data=checkpoint[name], track_times=False)
        add_contiguous(file, "states", states.shape, "<f8")
    with h5py.File(buffer, "r+", libver="v110") as file:
        file["states"][0, 0] = 0.0  # its place is given now, behind all others
        end = place_of(file["states"]).start
    if not 0 < end <= len(buffer.getbuffer()) <= end + 8:
        raise NotSupported(f"HDF5 {h5py.version.hdf5_version} puts states elsewhere than last; install another h5py.")
    rows = np.ascontiguousarray(states, dtype="<f8")
    return sealed([buffer.getbuffer()[:end], rows.reshape(-1).view(np.uint8).data])


def read_piece_header(path: Path) -> PieceHeader:
    """Check the seal of a piece and read what it is.

    Raises
    ------
    Damaged
        The file is no piece of this format version, or not as it was written.
    OSError
        The system refused to read it.
    """
    with open(path, "rb", buffering=0) as stream:
        check_seal(stream)
        digest, seen = seal_digest(stream), signature(os.fstat(stream.fileno()))
    try:
        with h5py.File(path, "r", locking=False) as file:
            if str(file.attrs["format"]) != FORMAT or int(file.attrs["version"]) != VERSION:
                raise Damaged("it is no piece of a trajectory of this format version")
            start, (count, n) = int(file.attrs["start"]), file["states"].shape
            return PieceHeader(path, str(file.attrs["fingerprint"]), str(file.attrs["key"]),
                               str(file.attrs["previous"]), digest, start, start + int(count), int(n),
                               float(file.attrs["seconds"]), bool(len(file["checkpoint"])), seen)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise Damaged("it is not the HDF5 file of a piece of a trajectory") from error


def read_states(path: Path, columns: slice, rows: slice, out: NDArray[np.float64]) -> None:
    """Read states of a checked piece into `out` (columns, rows): only these rows of these times.

    Parameters
    ----------
    path : Path
    columns, rows : slice
        Times within the piece and entries of the states, with step 1.
    out : (c, rows) array
        Row by row; overwritten.
    """
    with h5py.File(path, "r", locking=False) as file:
        if out.size:
            file["states"].read_direct(out, np.s_[columns, rows])


def read_small(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Times (c,) and series (c, o) of a checked piece."""
    with h5py.File(path, "r", locking=False) as file:
        series = np.asarray(file["series"][()], dtype=np.float64) if "series" in file else None
        return np.asarray(file["times"][()], dtype=np.float64), series


def read_checkpoint(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a checked piece from which the march goes on; of these names only, where they are given."""
    with h5py.File(path, "r", locking=False) as file:
        return {str(name): np.asarray(node[()]) for name, node in file["checkpoint"].items()
                if names is None or name in names}
