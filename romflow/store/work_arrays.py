"""Arrays of parts that a reduction works with: plain .npy files without a seal, for they are made anew in every run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import refused, write_atomic
from romflow.store.part_arrays import read_part_arrays
from romflow.store.snapshot_files import make_folder

__all__ = ["read_values", "work_file", "write_work_array"]


def work_file(folder: str | Path, part: int) -> Path:
    """File of one part within a folder; it may not exist.

    Examples
    --------
    >>> work_file("range", 7).as_posix()
    'range/part-0007.npy'
    """
    return Path(folder) / f"part-{part:04d}.npy"


def write_work_array(folder: str | Path, part: int, values: NDArray[np.float64]) -> None:
    """Write an array of one part, replacing its file whole or not at all, without waiting for the disk.

    Raises
    ------
    StoreError
        The disk is full or refuses.
    """
    make_folder(Path(folder))
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values), allow_pickle=False)
    write_atomic(work_file(folder, part), buffer.getbuffer())  # type: ignore[arg-type]


def read_values(folder: str | Path, part: int) -> NDArray[np.float64]:
    """The array of one part, from a work file or from the array "values" of a sealed part file.

    Raises
    ------
    StoreError
        The file is missing or damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_work_array(folder, 0, np.eye(2))
    ...     read_values(folder, 0)
    array([[1., 0.],
           [0., 1.]])
    """
    file = work_file(folder, part)
    try:
        with open(file, "rb") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False), dtype=np.float64)
    except FileNotFoundError:
        return np.asarray(read_part_arrays(folder, part, ["values"])[0]["values"])
    except ValueError as error:
        raise StoreError(f"{file} is damaged ({error}); remove it and run the study again.") from error
    except OSError as error:
        raise refused("read", file, error) from error
