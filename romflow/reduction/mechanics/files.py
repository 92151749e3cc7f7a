"""Arrays that a reduction of mechanics works with: files named by what they hold, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from romflow.core.errors import StoreError
from romflow.core.files import refused
from romflow.store.snapshot_files import make_folder
from romflow.store.work_arrays import work_file, write_work_array

__all__ = ["WorkFiles"]

#: Folder of a store in which reductions of mechanics work.
FOLDER = "reduction/mechanics"


class WorkFiles:
    """Arrays by name and part in the work folder of a store; a file that is there is complete.

    Parameters
    ----------
    store_folder : path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = WorkFiles(folder)
    ...     name = files.put(np.eye(2))
    ...     name == files.put(np.eye(2)), files.read(name).tolist()
    (True, [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(self, store_folder: str | Path) -> None:
        self.folder = Path(store_folder) / FOLDER

    def path(self, name: str, part: int = 0) -> Path:
        """File of an array; it may not exist."""
        return work_file(self.folder / name, part)

    def has(self, name: str, part: int = 0) -> bool:
        """Whether the array is there."""
        return self.path(name, part).exists()

    def put(self, values: np.ndarray) -> str:
        """Keep a small array; its name is made of its content."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        name = "a-" + hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:32]
        if not self.has(name):
            self.write(name, 0, values)
        return name

    def write(self, name: str, part: int, values: np.ndarray) -> None:
        """Keep an array under a name.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        """
        write_work_array(self.folder / name, part, values)

    @contextlib.contextmanager
    def growing(self, name: str, part: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """A new array on the disk to be filled, which gets its name when the block ends without an error.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        """
        place = self.path(name, part)
        make_folder(place.parent)
        aside = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        try:
            with open(aside, "wb") as stream:
                np.lib.format.write_array_header_1_0(
                    stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
                # Asked for at once: a full disk is an error here, and not a signal when the map is written.
                os.posix_fallocate(stream.fileno(), 0, max(stream.tell() + 8 * int(np.prod(shape)), 1))
            values = np.lib.format.open_memmap(aside, mode="r+")
            yield values
            values.flush()
            del values
            os.replace(aside, place)
        except OSError as error:
            raise error if isinstance(error, StoreError) else refused("write", place, error) from error
        finally:
            aside.unlink(missing_ok=True)

    def read(self, name: str, part: int = 0) -> np.ndarray:
        """The array, mapped from its file.

        Raises
        ------
        StoreError
            It is missing or damaged.
        """
        place = self.path(name, part)
        try:
            return np.asarray(np.load(place, mmap_mode="r", allow_pickle=False))
        except ValueError as error:
            raise StoreError(f"{place} is damaged ({error}); remove it and run the study again.") from error
        except OSError as error:
            raise refused("read", place, error) from error

    def clear(self, keep: tuple[str, ...] = ()) -> None:
        """Remove all arrays, but for those of some names."""
        for old in self.folder.iterdir() if self.folder.is_dir() else ():
            if old.name not in keep:
                shutil.rmtree(old, ignore_errors=True)
