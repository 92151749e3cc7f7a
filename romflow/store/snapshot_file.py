"""The file of one snapshot: an HDF5 image made by copying bytes into a layout, and reads of its rows.

Datasets: "state" (n,) last, "outputs" (o,) if there are any, "mu" (p,), "key" and "info" (JSON text); attributes of the
root: format, version and fingerprint. All datasets are contiguous, so that their places in the file depend on the
shapes only: h5py makes and reads the file of each shape once (some ms); the others are copied into and out of its bytes
(0.1 ms), where forty calls of the HDF5 library would take 3 ms each time.
"""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.core.files import plain
from romflow.core.fingerprint import canonical_json
from romflow.core.snapshot import Snapshot
from romflow.store.seal import SEAL_LENGTH, Damaged, check_seal, sealed

__all__ = ["Header", "Layout", "OtherFormat", "add_contiguous", "place_of", "read_header", "read_rows", "signature",
           "snapshot_image"]

FORMAT = "romflow-snapshot"
VERSION = 1
_SLOT = 256  # bytes of the info text come in multiples of this
_READ = 1 << 30  # the kernel reads at most 2 GiB in one call


@dataclass(frozen=True)
class Layout:
    """First bytes of the snapshot files of one model and one set of shapes, with holes for what differs.

    Attributes
    ----------
    fingerprint : str
        Fingerprint of the model.
    n : int
        Length of the state, which begins where `start` ends.
    start : bytes
        Bytes before the state.
    holes : dict of str to slice
        Places of "key", "info", "mu" and perhaps "outputs" within `start`.
    """

    fingerprint: str
    n: int
    start: bytes
    holes: dict[str, slice]

    @property
    def size(self) -> int:
        """Length of such a file."""
        return len(self.start) + 8 * self.n + SEAL_LENGTH

    def fill(self, contents: Mapping[str, bytes]) -> bytes:
        """`start` with its holes filled; a content shorter than its hole is followed by zeros."""
        head = bytearray(self.start)
        for name, hole in self.holes.items():
            head[hole] = contents[name].ljust(hole.stop - hole.start, b"\0")
        return bytes(head)

    def contents(self, head: bytes) -> dict[str, bytes] | None:
        """What fills the holes in the first bytes of a file; None if the bytes around them are others."""
        found = {name: head[hole] for name, hole in self.holes.items()}
        return found if self.fill(found) == head else None


@dataclass(frozen=True)
class Header:
    """All of a snapshot file but the state, which stays on the disk.

    Attributes
    ----------
    layout : Layout
        With the model's fingerprint, the length n of the state and its place.
    key : str
        Identity of the snapshot.
    mu : (p,) array
        Parameter.
    outputs : (o,) array or None
    info : dict
    signature : tuple of int
        Inode, size and times of the file that was checked.
    """

    layout: Layout
    key: str
    mu: NDArray[np.float64]
    outputs: NDArray[np.float64] | None
    info: dict[str, Any]
    signature: tuple[int, ...]


class OtherFormat(Damaged):
    """The file is no snapshot in one piece; `format` is what its writer called it.

    Parameters
    ----------
    format : str
    """

    def __init__(self, format: str) -> None:
        super().__init__("it is not the HDF5 file of a snapshot")
        self.format = format


def signature(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced or written to: inode, size, time of change of content and of entry."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def snapshot_image(fingerprint: str, key: str, mu: NDArray[np.float64], snapshot: Snapshot) -> bytes:
    """Bytes of the sealed HDF5 file of a snapshot.

    Parameters
    ----------
    fingerprint, key : str
        64 hexadecimal digits each.
    mu : (p,) array
        Parameter.
    snapshot : Snapshot
        State (n,) with n >= 1, outputs (o,) or None, info (JSON after :func:`romflow.core.files.plain`).
    """
    info = canonical_json(plain(snapshot.info))
    contents = {"key": key.encode("ascii"), "info": info, "mu": mu.astype("<f8").tobytes()}
    o = None
    if snapshot.outputs is not None:
        o = snapshot.outputs.size
        contents["outputs"] = snapshot.outputs.astype("<f8").tobytes()
    slot = -(-len(info) // _SLOT) * _SLOT
    layout = _layout(fingerprint, snapshot.state.size, o, mu.size, slot)
    state = np.ascontiguousarray(snapshot.state, dtype="<f8")
    return sealed([layout.fill(contents), state.view(np.uint8).data])


@functools.lru_cache(maxsize=16)
def _layout(fingerprint: str, n: int, o: int | None, p: int, slot: int) -> Layout:
    """The layout for states (n,), outputs (o,), parameters (p,) and info texts of at most `slot` bytes.

    Space is given to the datasets in a second opening, the state's last: then all metadata lie before the state, and of
    the state itself only its first number is ever held, whatever n is.
    """
    shapes: dict[str, tuple[tuple[int, ...], str]] = {"mu": ((p,), "<f8"), "key": ((), "S64"), "info": ((), f"S{slot}")}
    if o is not None:
        shapes["outputs"] = ((o,), "<f8")
    shapes["state"] = ((n,), "<f8")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "fingerprint": fingerprint})
        for name, (shape, kind) in shapes.items():
            add_contiguous(file, name, shape, kind)
    holes = {}
    with h5py.File(buffer, "r+", libver="v110") as file:
        for name, (shape, _) in shapes.items():
            dataset = file[name]
            if shape == ():
                dataset[()] = b"0"
            elif shape[0]:
                dataset[0] = 0.0
            holes[name] = place_of(dataset)
    end = holes.pop("state").start
    if not 0 < end <= len(buffer.getbuffer()) <= end + 8:
        raise NotSupported(f"HDF5 {h5py.version.hdf5_version} puts a state elsewhere than last; install another h5py.")
    return Layout(fingerprint, n, buffer.getvalue()[:end].ljust(end, b"\0"), holes)


def add_contiguous(file: h5py.File, name: str, shape: tuple[int, ...], kind: str) -> None:
    """A dataset that gets its place when it is first written to, and whose space is not filled."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(kind), logical=True), space, creation)


def read_header(path: Path, like: Layout | None = None) -> Header:
    """Check the seal of a snapshot file and read all but its state.

    Parameters
    ----------
    path : Path
        The file.
    like : Layout, optional
        Layout that the file probably has; only speed depends on it.

    Raises
    ------
    Damaged
        The file is no snapshot of this format version, or not as it was written.
    OSError
        The system refused to read it.
    """
    with open(path, "rb", buffering=0) as stream:
        check_seal(stream)
        status = os.fstat(stream.fileno())
        contents = None if like is None else like.contents(os.pread(stream.fileno(), len(like.start), 0))
        if like is None or contents is None or status.st_size != like.size:
            like = _read_layout(path, stream.fileno())
            contents = like.contents(like.start)
    if contents is None or status.st_size != like.size:
        raise Damaged("its HDF5 datasets do not lie where romflow puts them")
    return Header(
        layout=like,
        key=contents["key"].decode("ascii", "replace"),
        mu=np.frombuffer(contents["mu"], dtype="<f8"),
        outputs=np.frombuffer(contents["outputs"], dtype="<f8") if "outputs" in contents else None,
        info=json.loads(contents["info"].rstrip(b"\0")),
        signature=signature(status),
    )


def _read_layout(path: Path, descriptor: int) -> Layout:
    """The layout of a snapshot file as HDF5 reads it, whichever version of HDF5 wrote it."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") != FORMAT:
                raise OtherFormat(str(file.attrs.get("format")))
            if (version := int(file.attrs["version"])) != VERSION:
                raise Damaged(f"it has format version {version}, and this romflow reads version {VERSION}")
            holes = {name: place_of(dataset) for name, dataset in file.items()}
            n, fingerprint = int(file["state"].size), str(file.attrs["fingerprint"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise Damaged("it is not the HDF5 file of a snapshot") from error
    start = os.pread(descriptor, holes.pop("state").start, 0)
    return Layout(fingerprint, n, start, holes)


def place_of(dataset: h5py.Dataset) -> slice:
    """The bytes of a contiguous dataset within its file."""
    place = int(dataset.id.get_offset() or 0)
    return slice(place, place + int(dataset.nbytes))


def read_rows(path: Path, header: Header, start: int, out: NDArray[np.float64]) -> bool:
    """Read entries start .. start + len(out) - 1 of a checked file's state, and nothing else, into `out`.

    Parameters
    ----------
    path : Path
        The file that `header` was read from.
    header : Header
    start : int
        First row.
    out : (rows,) array of little-endian float64
        Contiguous; overwritten.

    Returns
    -------
    bool
        False if the file is not the one that was checked any more; `out` then holds nothing useful.
    """
    target = out.view(np.uint8).data
    with open(path, "rb", buffering=0) as stream:
        if signature(os.fstat(stream.fileno())) != header.signature:
            return False
        place = len(header.layout.start) + 8 * start
        while len(target):
            count = os.preadv(stream.fileno(), [target[:_READ]], place)
            if not count:
                return False
            place += count
            target = target[count:]
    return True
