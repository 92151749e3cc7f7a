"""Matrices and vectors from files of others: Matrix Market (.mtx), SciPy (.npz) and NumPy (.npy), never pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse as sp

from romflow.core.errors import InputError
from romflow.core.names import one_line


def read_matrix(path: Path) -> sp.csr_array:
    """A real, finite matrix as CSR.

    Parameters
    ----------
    path : Path
        .mtx (coordinate or array, general or symmetric), .npz of ``scipy.sparse.save_npz``, or .npy (dense).

    Raises
    ------
    InputError
        The file is missing or of another kind, cannot be read, is not two-dimensional, not real or not finite.
    """
    content = _read(path)
    if content.ndim != 2:
        raise InputError(f"{path} holds an array of shape {content.shape}; the rule is a matrix (n, n)")
    _check_numbers(path, content.data if sp.issparse(content) else content)
    with _reading(path):
        matrix = sp.csr_array(content).astype(np.float64)
    matrix.sum_duplicates()
    return matrix


def read_vector(path: Path, n: int) -> np.ndarray:
    """A real, finite vector (n,), from an array of shape (n,), (n, 1) or (1, n); kinds of file as in `read_matrix`.

    Raises
    ------
    InputError
        As for `read_matrix`, or the shape is another.
    """
    content = _read(path)
    if content.shape not in ((n,), (n, 1), (1, n)):
        raise InputError(f"{path} holds an array of shape {content.shape}; the rule is a vector of {n} entries, "
                         "the size of the operator")
    dense = content.toarray() if sp.issparse(content) else np.asarray(content)
    _check_numbers(path, dense)
    return np.ascontiguousarray(dense.reshape(-1), dtype=np.float64)


def _read(path: Path) -> Any:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is of an unknown kind; the rule is {', '.join(_READERS)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist; check the name of the file")
    with _reading(path):
        return reader(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the readers of NumPy and SciPy promise no kinds of error for damaged files
        reason = one_line(str(error), 200) or type(error).__name__
        raise InputError(f"{path} cannot be read as {path.suffix} ({reason}); write the file again") from error


def _read_npy(path: Path) -> np.ndarray:
    with open(path, "rb") as stream:
        content = np.load(stream, allow_pickle=False)
        if not isinstance(content, np.ndarray):
            raise ValueError("it holds an archive of arrays")
        return content


def _read_npz(path: Path) -> Any:
    with open(path, "rb") as stream:
        matrix = sp.load_npz(stream)
    if hasattr(matrix, "check_format"):
        # Indices out of range would make compiled code read beyond its arrays.
        matrix.check_format(full_check=True)
    return matrix


_READERS: dict[str, Callable[[Path], Any]] = {".mtx": scipy.io.mmread, ".npz": _read_npz, ".npy": _read_npy}


def _check_numbers(path: Path, values: np.ndarray) -> None:
    if values.dtype.kind not in "iufb":
        raise InputError(f"{path} holds numbers of type {values.dtype}; the rule is real numbers")
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InputError(f"{path} has {bad} entries that are not finite (NaN or infinity); check how it was written")
