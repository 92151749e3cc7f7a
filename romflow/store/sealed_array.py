"""One array in a sealed .npy file that can be made again: damage is seen, and nothing waits for the disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import refused, write_atomic
from romflow.store.seal import Damaged, check_seal, sealed
from romflow.store.snapshot_files import make_folder

__all__ = ["holds_sealed_array", "read_sealed_array", "write_sealed_array"]


def write_sealed_array(path: str | Path, values: NDArray[np.float64]) -> None:
    """Write an array and the seal over it, replacing the file whole or not at all; folders above it are made.

    Whether it is on the disk after a power cut is left to the system; the seal tells.

    Raises
    ------
    StoreError
        The disk is full or refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "some" / "a.npy"
    ...     write_sealed_array(file, np.eye(2))
    ...     holds_sealed_array(file), read_sealed_array(file)
    (True, array([[1., 0.],
           [0., 1.]]))
    """
    make_folder(Path(path).parent)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values, dtype="<f8"), allow_pickle=False)
    write_atomic(path, sealed([buffer.getbuffer()]))


def holds_sealed_array(path: str | Path) -> bool:
    """Whether the file is there and its seal holds."""
    try:
        with open(path, "rb", buffering=0) as stream:
            check_seal(stream)
    except (FileNotFoundError, NotADirectoryError, Damaged):
        return False
    except OSError as error:
        raise refused("read", Path(path), error) from error
    return True


def read_sealed_array(path: str | Path) -> NDArray[np.float64]:
    """The array of a file whose seal holds.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    try:
        with open(path, "rb", buffering=0) as stream:
            check_seal(stream)
            stream.seek(0)
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False), dtype=np.float64)
    except (Damaged, ValueError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove it and run the study again.") from error
    except OSError as error:
        raise refused("read", Path(path), error) from error
