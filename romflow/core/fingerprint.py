"""Identities: canonical JSON, SHA-256 fingerprints of specifications and files, keys of snapshots."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.core.errors import ConfigError, ParameterError, ShapeError, StoreError
from romflow.core.names import one_line, shown

__all__ = ["canonical_json", "check_json", "file_fingerprint", "fingerprint", "snapshot_key"]

_MAX_DEPTH = 100
_BLOCK = 1 << 20


def check_json(obj: Any) -> None:
    """Raise unless `obj` is made of dicts with text keys, lists, texts, finite numbers, booleans and None.

    Raises
    ------
    ConfigError
        Naming the path within `obj` of the first value that JSON cannot hold.

    Examples
    --------
    >>> check_json({"cells": [9, 9], "name": "block"})
    """
    stack: list[tuple[Any, str, int]] = [(obj, "", 0)]
    while stack:
        value, path, depth = stack.pop()
        where = path or "the value"
        if depth > _MAX_DEPTH:
            raise ConfigError(f"{one_line(where, 60)} is nested more than {_MAX_DEPTH} deep; use a flatter structure.")
        if isinstance(value, dict):
            for key in reversed(value):
                if not isinstance(key, str):
                    raise ConfigError(f"{where} has the key {shown(key)}, and JSON keys are texts; use a text.")
                stack.append((value[key], f"{path}.{key}" if path else key, depth + 1))
        elif isinstance(value, list | tuple):
            for index in reversed(range(len(value))):
                stack.append((value[index], f"{path}[{index}]", depth + 1))
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ConfigError(f"{where} = {shown(value)} is not finite; JSON has finite numbers only.")
        elif value is not None and not isinstance(value, str | int):
            raise ConfigError(
                f"{where} is a {type(value).__name__}, which JSON cannot hold; "
                "use texts, numbers, booleans, lists and dictionaries."
            )


def canonical_json(obj: Any) -> bytes:
    """The one JSON text of `obj`: sorted keys, no spaces, ASCII, shortest numbers that read back the same.

    Parameters
    ----------
    obj : JSON-able
        Dicts with text keys, lists or tuples, texts, finite numbers, booleans, None.

    Raises
    ------
    ConfigError
        NaN, infinity or a type that JSON lacks, naming its path within `obj`.

    Examples
    --------
    >>> canonical_json({"b": [1, 2.5], "a": None})
    b'{"a":null,"b":[1,2.5]}'
    """
    check_json(obj)
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def fingerprint(obj: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of :func:`canonical_json`; equal for equal content, in any order of keys.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(obj)).hexdigest()


def file_fingerprint(path: str | Path) -> str:
    """SHA-256 (64 hexadecimal digits) of a file's bytes, read in blocks of 1 MiB.

    Raises
    ------
    StoreError
        The file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}.", error.errno) from error
    return digest.hexdigest()


def snapshot_key(spec_fingerprint: str, mu: ArrayLike) -> str:
    """Key of the snapshot of one model at one parameter: SHA-256 of the fingerprint and the bits of `mu`.

    The bits are those of ``mu + 0.0`` as little-endian float64, so that -0.0 and 0.0 have one key; nothing is rounded.

    Parameters
    ----------
    spec_fingerprint : str
        :func:`fingerprint` of the model's identity.
    mu : (p,) array
        One parameter.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ShapeError
        `mu` is not one row.
    ParameterError
        `mu` is not finite.

    Examples
    --------
    >>> snapshot_key("f", [0.0, 1.0]) == snapshot_key("f", [-0.0, 1.0])
    True
    """
    row = np.asarray(mu, dtype=np.float64)
    if row.ndim != 1:
        raise ShapeError(f"mu has shape {row.shape}; the key of a snapshot needs one row (p,).")
    if not np.isfinite(row).all():
        index = int(np.flatnonzero(~np.isfinite(row))[0])
        raise ParameterError(f"mu[{index}] = {shown(float(row[index]))} is not finite; parameters are finite numbers.")
    digest = hashlib.sha256(spec_fingerprint.encode("ascii"))
    digest.update((row + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()
