"""The file `store.json`: which model the snapshots of a folder belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from romflow.core.errors import StoreError
from romflow.core.files import read_json, write_json
from romflow.core.fingerprint import fingerprint
from romflow.core.names import one_line, shown

__all__ = ["difference", "read_identity", "write_identity"]

FORMAT = "romflow-store"
VERSION = 1
_ABSENT = object()


def write_identity(file: Path, spec: dict[str, Any], columns: Sequence[str]) -> None:
    """Write `store.json`."""
    content = {"format": FORMAT, "version": VERSION, "spec": spec, "fingerprint": fingerprint(spec)}
    write_json(file, {**content, "columns": list(columns)}, sync=True)


def read_identity(file: Path) -> tuple[dict[str, Any], list[str]]:
    """Specification and columns that `store.json` holds.

    Raises
    ------
    StoreError
        The file is missing, is not romflow's, has another format version, or was edited.
    """
    content = read_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreError(f"{file} is not the description of a romflow store; choose another folder.")
    if content.get("version") != VERSION:
        written = shown(content.get("version"))
        raise StoreError(
            f"{file} was written in format version {written}; this romflow reads version {VERSION}: update romflow."
        )
    spec, columns = content.get("spec"), content.get("columns")
    if not isinstance(spec, dict) or not isinstance(columns, list) or fingerprint(spec) != content.get("fingerprint"):
        raise StoreError(f"{file} is damaged: its specification was altered; remove it, and it is written again.")
    return spec, columns


def difference(there: Any, here: Any, path: str = "") -> str:
    """The first place at which two JSON values differ, as a clause.

    Parameters
    ----------
    there, here : JSON values
        Stored and wanted; not equal.
    path : str
        Where both are found within a larger value.

    Examples
    --------
    >>> difference({"cells": [9, 9]}, {"cells": [9, 8]})
    "differs in key 'cells[1]': 9 there, 8 here"
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            left, right = there.get(key, _ABSENT), here.get(key, _ABSENT)
            if left is _ABSENT or right is _ABSENT or fingerprint(left) != fingerprint(right):
                return difference(left, right, f"{path}.{key}" if path else key)
    if isinstance(there, list | tuple) and isinstance(here, list | tuple) and len(there) == len(here):
        for index, (left, right) in enumerate(zip(there, here, strict=True)):
            if fingerprint(left) != fingerprint(right):
                return difference(left, right, f"{path}[{index}]")
    return one_line(f"differs in key {path!r}: {_text(there)} there, {_text(here)} here")


def _text(value: Any) -> str:
    return "absent" if value is _ABSENT else shown(value)
