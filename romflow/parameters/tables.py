"""Tables of parameters: CSV with a header, or a NumPy array file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.core.names import nearest, one_line, shown

__all__ = ["read_table"]

# Column of an index of runs, which is a table of parameters as well.
_RUNS = "file"


def read_table(path: str | Path, columns: Sequence[str], *, others: bool = False) -> NDArray[np.float64]:
    """Rows (k, p) of a table, its columns put into the order of `columns`.

    Parameters
    ----------
    path : path
        `.npy`: real numbers (k, p), or (k,) if p = 1. Anything else: CSV in UTF-8, separated by commas, its first line
        the names of the columns in any order; empty lines are skipped.
    columns : sequence of str
        The p names; each must be there, and no other but "file", which names a run and is not read.
    others : bool
        Allow further columns, which are not read.

    Raises
    ------
    InputError
        The file is missing or unreadable; ShapeError, ParameterError: its content is not such a table. The values
        are not checked against a space: that is ``ParameterSpace.validate``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "mu.csv"
    ...     _ = file.write_text("b,a\\n1,2\\n3,4\\n")
    ...     read_table(file, ["a", "b"])
    array([[2., 1.],
           [4., 3.]])
    """
    file = Path(path)
    try:
        return _from_npy(file, columns) if file.suffix == ".npy" else _from_csv(file, columns, others)
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({(error.strerror or str(error)).lower()}); check it.") from error


def _from_npy(file: Path, columns: Sequence[str]) -> NDArray[np.float64]:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ParameterError(f"{file}: this is no array of numbers ({one_line(str(error), 100)}); save one.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise ParameterError(f"{file}: this is no array of real numbers; save one with numpy.save.")
    if array.ndim == 1 and len(columns) == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise ShapeError(f"{file}: the array has shape {array.shape}; it must be (k, {len(columns)}).")
    return np.ascontiguousarray(array, dtype=np.float64)


def _from_csv(file: Path, columns: Sequence[str], others: bool) -> NDArray[np.float64]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header, columns, others)
            rows = [_numbers(file, reader.line_num, header, row, columns) for row in reader if any(map(str.strip, row))]
    except UnicodeDecodeError as error:
        raise ParameterError(f"{file}: this is not UTF-8 text; save the table as CSV in UTF-8.") from error
    except csv.Error as error:
        raise ParameterError(
            f"{file}: this is not CSV ({one_line(str(error), 100)}); save the table as CSV."
        ) from error
    order = [header.index(column) for column in columns]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(header))[:, order].copy()


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str], others: bool) -> None:
    for name in header:
        if name not in columns and name != _RUNS and not others:
            raise ParameterError(f"{file}: no parameter is called {shown(name)} (first line){nearest(name, columns)}")
        if list(header).count(name) > 1 and (name in columns or not others):
            raise ParameterError(f"{file}: the column {name!r} is there twice; remove one.")
    missing = _first(name for name in columns if name not in header)
    if missing is not None:
        rule = f"must name all {len(columns)}"
        if others:
            rule = f"names {', '.join(filter(None, header[:20]))}" if any(header) else "is empty"
        raise ParameterError(f"{file}: the column {missing!r} is missing; the first line {rule}.")


def _first(names: Iterable[str]) -> str | None:
    return next(iter(names), None)


def _numbers(file: Path, line: int, header: Sequence[str], row: Sequence[str],
             columns: Sequence[str]) -> list[float]:
    if len(row) != len(header):
        raise ParameterError(f"{file}: line {line} has {len(row)} values; the first line names {len(header)} columns.")
    numbers = []
    for name, text in zip(header, row, strict=True):
        try:
            numbers.append(float(text) if name in columns else 0.0)
        except ValueError as error:
            raise ParameterError(f"{file}: line {line}: {name} = {shown(text)} is not a number; write one.") from error
    return numbers
