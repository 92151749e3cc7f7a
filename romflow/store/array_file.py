"""Named arrays of an HDF5 file that somebody else wrote, read by slices along their first axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, one_line, shown

__all__ = ["ArrayFile"]


class ArrayFile:
    """The arrays of numbers in an HDF5 file by their paths; every read opens the file anew.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    path : Path
    shapes : dict
        Path of each array of numbers ("times", "run/displacement") -> its shape.

    Raises
    ------
    InputError
        The file cannot be opened as HDF5.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder, "a.h5"), "w") as file:
    ...         file["run/u"] = np.arange(6.0).reshape(3, 2)
    ...     found = ArrayFile(Path(folder, "a.h5"))
    ...     found.shapes, found.read("run/u", slice(1, 2))
    ({'run/u': (3, 2)}, array([[2., 3.]]))
    """

    shapes: dict[str, tuple[int, ...]]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.shapes = {}
        try:
            with h5py.File(self.path, "r") as file:
                file.visititems(self._note)
        except OSError as error:
            raise InputError(f"the file {self.path} cannot be read as HDF5 ({one_line(str(error), 120)}); check the "
                             "path and how it was written") from error

    def read(self, name: str, which: slice = slice(None)) -> NDArray[np.float64]:
        """The array of this name as float64, or a slice along its first axis.

        Raises
        ------
        InputError
            There is no such array of real numbers.
        """
        if name not in self.shapes:
            raise InputError(f"{self.path} has no array of numbers {shown(name)}{nearest(name, self.shapes)}")
        try:
            with h5py.File(self.path, "r") as file:
                return np.asarray(file[name][which], dtype=np.float64)
        except OSError as error:
            raise InputError(f"the array {shown(name)} of {self.path} cannot be read ({one_line(str(error), 120)}); "
                             "the file is damaged") from error

    def _note(self, name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and entry.dtype.kind in "iuf" and entry.ndim:
            self.shapes[name] = tuple(int(size) for size in entry.shape)
