"""Answers of a reduced model as CSV tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import InputError, NotSupported
from romflow.core.files import write_atomic
from romflow.rom.dictionary.answer import STATUS, Chosen
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.model import ReducedModel

_ROWS = 50_000


def write_answers(path: str | Path, rom: ReducedModel, mu: np.ndarray) -> int:
    """Write one row a parameter: parameters, outputs, their error estimates, state error and its kind.

    Of dictionaries also which local model answered, and how it was chosen: "recommended", "second", "enriched", or
    "refused", where outputs are nan and errors inf.

    Parameters
    ----------
    path : path
    rom : ReducedModel
    mu : (b, p)
        Validated parameters; 50,000 states at a time.

    Returns
    -------
    int
        How many rows have no answer: a dictionary refused them, or there is no solution.
    """
    refused = 0
    columns = [*rom.parameters.columns, *rom.output_names, *(f"{name}_error" for name in rom.output_names),
               "state_error", "error_kind"]
    text = _table([*columns, "cluster", "status"] if isinstance(rom, RomDictionary) else columns)
    step = max(1, _ROWS // len(getattr(rom, "times", (0,))))
    for start in range(0, len(mu), step):
        part = mu[start:start + step]
        answer = rom.solve(part, check=False)
        unknown = np.full_like(answer.output, np.nan)
        spread = unknown if answer.output_error is None else answer.output_error
        rows = np.column_stack([part, answer.output.T, spread.T, answer.error])
        refused += int(np.count_nonzero(~np.asarray(getattr(answer, "converged", True))))
        if isinstance(answer, Chosen):
            _write_chosen(text, rows, answer)
        else:
            np.savetxt(text, rows, fmt="%.17g", delimiter=",", newline=f",{answer.kind or ''}\n")
    write_atomic(path, text.getvalue().encode())
    return refused


def _write_chosen(text: io.StringIO, rows: np.ndarray, answer: Any) -> None:
    """Rows of a dictionary's answer with the number of the model that gave each, and its status in words."""
    kind, status = np.full(len(rows), answer.kind or "", dtype=object), np.array(STATUS, dtype=object)[answer.status]
    np.savetxt(text, np.column_stack([rows.astype(object), kind, answer.chosen, status]), delimiter=",",
               fmt=[*["%.17g"] * rows.shape[1], "%s", "%d", "%s"])


def _table(columns: Sequence[str]) -> io.StringIO:
    """A table that has its header; names with commas or quotes are quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(columns)
    return text


def write_series(path: str | Path, rom: Any, mu: np.ndarray) -> int:
    """Write one row a parameter and time: row of mu (from 0), t, outputs, their errors, the state's error up to t.

    The last column is the kind of the errors. Where a trajectory failed, its outputs are nan and its errors inf.

    Parameters
    ----------
    path : path
    rom : EvolutionReducedModel
    mu : (b, p)
        Validated parameters; as many at a time as give 50,000 rows.

    Returns
    -------
    int
        Number of rows, b times the number of times.

    Raises
    ------
    NotSupported
        The model does not move in time.
    """
    times = check_moving(rom).times
    names = rom.output_names
    text = _table(["row", "t", *names, *(f"{name}_error" for name in names), "state_error", "error_kind"])
    step = max(1, _ROWS // len(times))
    for start in range(0, len(mu), step):
        answer = rom.solve(mu[start:start + step], check=False)
        b = answer.series.shape[2]
        columns = [np.repeat(np.arange(start, start + b), len(times)), np.tile(times, b),
                   *answer.series.transpose(0, 2, 1).reshape(len(names), -1),
                   *answer.series_error.transpose(0, 2, 1).reshape(len(names), -1), answer.error_series.T.ravel()]
        np.savetxt(text, np.column_stack(columns), fmt=["%d", *["%.17g"] * (len(columns) - 1)], delimiter=",",
                   newline=f",{answer.kind or ''}\n")
    write_atomic(path, text.getvalue().encode())
    return len(mu) * len(times)


def with_times(rom: Any, until: float | None, cycles: float | None) -> Any:
    """The model with times until another end or for a number of cycles; the model itself where neither is asked for.

    Raises
    ------
    InputError
        Both are asked for, or no number after the model's first time.
    NotSupported
        The model keeps to the times of its study, or its loading has no cycles.
    """
    if until is None and cycles is None:
        return rom
    if not hasattr(rom, "until"):
        raise NotSupported("other times than those of its study were asked of a reduced model; only models of "
                           "mechanics go on beyond them: leave out --until and --cycles")
    if until is not None and cycles is not None:
        raise InputError("--until and --cycles were given together; the rule is one of them")
    return rom.until(until, cycles)


def check_moving(rom: Any) -> Any:
    """The model itself where it moves in time.

    Raises
    ------
    NotSupported
        It does not.
    """
    if getattr(rom, "times", None) is None:
        raise NotSupported("a series over time was asked of a model that does not move in time; only models made from "
                           "a study with a table [time] have one")
    return rom
