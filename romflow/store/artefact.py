"""Files of reduced models: named arrays and JSON metadata in one sealed HDF5 file, which h5py alone opens."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, StoreError
from romflow.core.files import plain, refused, write_atomic
from romflow.core.fingerprint import canonical_json
from romflow.core.names import one_line
from romflow.store.seal import Damaged, check_seal, sealed

__all__ = ["read_artefact", "write_artefact"]

FORMAT = "romflow-model"
VERSION = 1
_KINDS = "biufcS"  # booleans, numbers and byte strings: never objects


def write_artefact(
    path: str | Path, kind: str, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any],
    add: Callable[[h5py.File], None] | None = None,
) -> None:
    """Write arrays and metadata; the same content gives the same bytes.

    The root's attributes are "format", "version", "kind" and "metadata" (JSON text); each array is one dataset, stored
    little-endian and row by row, "/" in a name making groups. A seal over all bytes is the file's end.

    Parameters
    ----------
    path : path
        Target; replaced whole or not at all, and on the disk when this returns.
    kind : str
        What the arrays are ("affine", "regression" ...).
    arrays : mapping of str to array
        Booleans, integers, floats, complex numbers or byte strings, of any shape.
    metadata : mapping
        JSON values after :func:`romflow.core.files.plain` (NaN becomes null).
    add : callable, optional
        Adds what is no array to the open file.

    Raises
    ------
    InputError
        An array has a type that cannot be stored, or a name is empty or also a group.
    StoreError
        The disk is full or refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_artefact(Path(folder) / "model.h5", "affine", {"V": np.eye(2)}, {"name": "a"})
    ...     read_artefact(Path(folder) / "model.h5")
    ('affine', {'V': array([[1., 0.],
           [0., 1.]])}, {'name': 'a'})
    """
    _check_names(arrays)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs["format"] = FORMAT
        file.attrs["kind"] = kind
        file.attrs["metadata"] = canonical_json(plain(metadata)).decode("ascii")
        file.attrs["version"] = VERSION
        for name in sorted(arrays):
            file.create_dataset(name, data=_storable(name, arrays[name]), track_times=False)
        if add is not None:
            add(file)
    write_atomic(path, sealed([buffer.getbuffer()]), sync=True)


def _check_names(arrays: Mapping[str, NDArray[Any]]) -> None:
    for name in arrays:
        words = name.split("/")
        if not all(words) or "." in words or ".." in words:
            raise InputError(f"an array is called {name!r}; use words, joined by '/' for groups.")
        for count in range(1, len(words)):
            if (group := "/".join(words[:count])) in arrays:
                raise InputError(f"an array is called {group!r} and another {name!r}; a name is an array or a group.")


def _storable(name: str, values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in _KINDS:
        raise InputError(f"array {name!r} has type {array.dtype}; booleans, numbers and byte strings are stored.")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def read_artefact(
    path: str | Path, names: Sequence[str] | None = None
) -> tuple[str, dict[str, NDArray[Any]], dict[str, Any]]:
    """Kind, arrays and metadata of a file written by :func:`write_artefact`.

    Parameters
    ----------
    path : path
        The file.
    names : sequence of str, optional
        Read these arrays only.

    Raises
    ------
    StoreError
        The file is missing, damaged, of another format version, or not romflow's, or it lacks one of `names`.
    """
    source = Path(path)
    try:
        with open(source, "rb", buffering=0) as stream:
            check_seal(stream)
    except Damaged as error:
        raise _diagnosis(source, str(error)) from error
    except OSError as error:
        raise refused("read", source, error) from error
    try:
        return _load(source, names)
    except StoreError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _diagnosis(source, "it is not the HDF5 file of a model") from error


def _load(
    source: Path, names: Sequence[str] | None
) -> tuple[str, dict[str, NDArray[Any]], dict[str, Any]]:
    from romflow.store.split_model import virtual_rows

    with h5py.File(source, "r", locking=False) as file:
        _check_format(source, file)
        arrays: dict[str, Any] = {}

        def take(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset) and (names is None or name in names):
                arrays[name] = virtual_rows(source, node) if node.is_virtual else np.array(node[()], dtype=node.dtype)

        file.visititems(take)
        absent = [name for name in names or () if name not in arrays]
        if absent:
            raise StoreError(f"{source} holds no array {absent[0]!r}; it was written for another purpose.")
        return str(file.attrs["kind"]), arrays, dict(json.loads(file.attrs["metadata"]))


def _check_format(source: Path, file: h5py.File) -> None:
    if str(file.attrs.get("format")) != FORMAT:
        raise StoreError(f"{source} is an HDF5 file, but not a romflow model; give the model.h5 of a run folder.")
    version = int(file.attrs["version"])
    if version != VERSION:
        raise StoreError(
            f"{source} was written in format version {version}; this romflow reads version {VERSION}: update romflow."
        )


def _diagnosis(source: Path, reason: str) -> StoreError:
    """Why a file cannot be read: foreign, of another version, or damaged."""
    try:
        with h5py.File(source, "r", locking=False) as file:
            _check_format(source, file)
    except StoreError as error:
        return error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError):
        pass
    return StoreError(one_line(f"{source} is damaged: {reason}; export or build it again."))
