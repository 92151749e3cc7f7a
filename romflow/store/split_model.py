"""Model files whose basis lies in part files beside them; a virtual dataset shows it to h5py as one matrix."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from romflow.core.errors import StoreError
from romflow.core.files import refused
from romflow.store.artefact import write_artefact
from romflow.store.part_arrays import part_file, write_part_arrays
from romflow.store.seal import SEAL_LENGTH
from romflow.store.split_array import SplitArray

__all__ = ["virtual_rows", "write_model"]

_FOLDER = re.compile(r"(?P<stem>.+)-[0-9a-f]{8}\.parts")


def write_model(path: str | Path, kind: str, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write an artefact; matrices in part files become virtual datasets of copies beside it, a part at a time.

    For ``model.h5`` the copies are ``model-<8 digits>.parts/part-0000.h5 ...``, sealed, each with the part's own rows
    as its dataset "values"; the digits are from their content. The model's file names them relative to itself, holds
    their seals, and is written last: it shows the former matrix or the new one. Folders of former models go then.

    Parameters
    ----------
    path, kind, metadata
        As for :func:`romflow.store.artefact.write_artefact`.
    arrays : mapping of str to array or SplitArray

    Raises
    ------
    StoreError
        The disk is full or refuses, or a part file cannot be read.
    """
    target = Path(path)
    split = {name: values for name, values in arrays.items() if isinstance(values, SplitArray)}
    whole = {name: values for name, values in arrays.items() if name not in split}
    if not split:
        write_artefact(target, kind, whole, metadata)
        return
    copies = {name: _copied(target, values) for name, values in split.items()}

    def add(file: h5py.File) -> None:
        for name, values in split.items():
            _show(file, name, values, *copies[name])

    write_artefact(target, kind, whole, metadata, add)
    _remove_former(target, {folder.name for folder, _ in copies.values()})


def virtual_rows(source: Path, node: h5py.Dataset) -> SplitArray:
    """The matrix in part files that a virtual dataset of a model shows, after a look at the seals of the files.

    Raises
    ------
    StoreError
        A part file is missing, or is that of another model.
    """
    owned = np.asarray(node.attrs["owned"], dtype=np.int64)
    folder = source.parent / str(node.attrs["folder"])
    for part, seal in enumerate(node.attrs["seals"]):
        file = part_file(folder, part)
        if not file.is_file():
            raise StoreError(f"{file} is missing, which holds a part of the basis of {source}; copy the folder "
                             f"{folder.name} along with the model.")
        if _seal_of(file) != str(seal):
            raise StoreError(f"{file} is not the part that {source} was written with; restore it, or build the model "
                             "again.")
    return SplitArray(((folder, int(node.shape[1])),), owned)


def _copied(target: Path, matrix: SplitArray) -> tuple[Path, list[str]]:
    """A folder beside the target with the rows of each part, and their seals."""
    aside = target.with_name(f"{target.stem}-{secrets.token_hex(6)}.part")
    try:
        for part in range(matrix.parts):
            write_part_arrays(aside, part, {"values": matrix.part(part)})
        seals = [_seal_of(part_file(aside, part)) for part in range(matrix.parts)]
        digits = hashlib.sha256("".join(seals).encode()).hexdigest()[:8]
        folder = target.with_name(f"{target.stem}-{digits}.parts")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise error if isinstance(error, StoreError) else refused("write", aside, error) from error
    return folder, seals


def _show(file: h5py.File, name: str, matrix: SplitArray, folder: Path, seals: list[str]) -> None:
    n, r = matrix.shape
    layout = h5py.VirtualLayout(shape=(n, r), dtype="<f8")
    for part, (start, rows) in enumerate(zip(matrix.starts, matrix.owned, strict=True)):
        if rows:
            source = f"{folder.name}/{part_file('', part).name}"
            layout[start:start + rows] = h5py.VirtualSource(source, "values", shape=(int(rows), r), dtype="<f8")
    # A reader that does not find the parts shall see that numbers are missing.
    node = file.create_virtual_dataset(name, layout, fillvalue=np.nan)
    node.attrs["folder"], node.attrs["owned"], node.attrs["seals"] = folder.name, matrix.owned, seals


def _seal_of(file: Path) -> str:
    try:
        with open(file, "rb") as stream:
            stream.seek(max(stream.seek(0, os.SEEK_END) - SEAL_LENGTH, 0))
            return stream.read().decode("ascii", "replace").strip()
    except OSError as error:
        raise refused("read", file, error) from error


def _remove_former(target: Path, kept: set[str]) -> None:
    for folder in target.parent.glob(f"{target.stem}-*.parts"):
        match = _FOLDER.fullmatch(folder.name)
        if match is not None and match["stem"] == target.stem and folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)

