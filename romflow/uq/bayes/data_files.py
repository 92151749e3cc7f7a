"""Files of measured outputs: CSV with the columns output, value, std and perhaps time."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from romflow.core.errors import InputError, ParameterError
from romflow.core.names import nearest, one_line, shown

__all__ = ["read_measurements"]

_NEEDED = ("output", "value", "std")
_TIME = "time"


def read_measurements(path: str | Path) -> dict[str, list[Any]]:
    """Column -> its entries: names of outputs, and numbers.

    Raises
    ------
    InputError
        The file is missing or unreadable; ParameterError: it is no such table.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("output,value,std\\nmean,1.5,0.1\\n")
    ...     read_measurements(Path(folder, "a.csv"))
    {'output': ['mean'], 'value': [1.5], 'std': [0.1]}
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({(error.strerror or str(error)).lower()}); check it.") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"{file}: this is not UTF-8 text; save the table as CSV in UTF-8.") from error
    try:
        rows = [(line, row) for line, row in enumerate(csv.reader(text.splitlines()), 1) if any(map(str.strip, row))]
    except csv.Error as error:
        raise ParameterError(f"{file}: this is not CSV ({one_line(str(error), 100)}); save it as CSV.") from error
    header = [name.strip() for name in rows[0][1]] if rows else []
    _check_header(file, header)
    content: dict[str, list[Any]] = {name: [] for name in header}
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ParameterError(f"{file}: line {line} has {len(row)} values; the first line names {len(header)}.")
        for name, text in zip(header, row, strict=True):
            content[name].append(text.strip() if name == "output" else _number(file, line, name, text))
    return content


def _check_header(file: Path, header: list[str]) -> None:
    for name in header:
        if name not in (*_NEEDED, _TIME):
            known = nearest(name, (*_NEEDED, _TIME))
            raise ParameterError(f"{file}: measurements have no column {shown(name)} (first line){known}")
        if header.count(name) > 1:
            raise ParameterError(f"{file}: the column {name!r} is there twice; remove one.")
    for name in _NEEDED:
        if name not in header:
            raise ParameterError(f"{file}: the column {name!r} is missing; the first line must be output,value,std.")


def _number(file: Path, line: int, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ParameterError(f"{file}: line {line}: {name} = {shown(text)} is not a number; write one.") from error
