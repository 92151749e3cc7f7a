"""Named arrays of one part of a mesh: a sealed file a part, so that a task reads its part and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.store.artefact import read_artefact, write_artefact
from romflow.store.snapshot_files import make_folder

__all__ = ["part_file", "read_part_arrays", "write_part_arrays"]

_KIND = "part"


def part_file(folder: str | Path, part: int) -> Path:
    """File of one part within a folder; it may not exist.

    Examples
    --------
    >>> part_file("bases", 7).as_posix()
    'bases/part-0007.h5'
    """
    return Path(folder) / f"part-{part:04d}.h5"


def write_part_arrays(folder: str | Path, part: int, arrays: Mapping[str, NDArray[Any]],
                      metadata: Mapping[str, Any] | None = None) -> Path:
    """Write the arrays of one part, replacing its file whole or not at all.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    part : int
        Number of the part.
    arrays : mapping of str to array
        As for :func:`romflow.store.artefact.write_artefact`; beside them their bytes are held once more.
    metadata : mapping, optional
        JSON values.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        The disk is full or refuses.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_part_arrays(folder, 0, {"basis": np.ones((2, 1))}, {"scale": 2})
    ...     read_part_arrays(folder, 0, ["basis"])
    ({'basis': array([[1.],
           [1.]])}, {'scale': 2})
    """
    make_folder(Path(folder))
    file = part_file(folder, part)
    write_artefact(file, _KIND, arrays, {"part": part, "facts": dict(metadata or {})})
    return file


def read_part_arrays(folder: str | Path, part: int,
                     names: Sequence[str] | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and metadata of one part, after a check of the file's seal.

    Parameters
    ----------
    folder, part
        As for :func:`write_part_arrays`.
    names : sequence of str, optional
        The arrays that are needed; all of them where it is not given.

    Raises
    ------
    StoreError
        The file is missing, damaged, of another part, or lacks an array.
    """
    file = part_file(folder, part)
    if not file.is_file():
        raise StoreError(f"{file} is missing: part {part} was not written, or was removed; run the study again.")
    kind, arrays, metadata = read_artefact(file, names)
    if kind != _KIND or metadata.get("part") != part:
        raise StoreError(f"{file} is not the file of part {part}; it was moved or renamed: run the study again.")
    return arrays, dict(metadata["facts"])
