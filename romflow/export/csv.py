"""A table of samples: parameters, outputs and their errors, in one CSV file that a spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, StoreError
from romflow.core.names import one_line, shown
from romflow.export.facts import write_facts
from romflow.parameters.tables import read_table
from romflow.rom.model import ReducedModel
from romflow.rom.tables import write_answers


class Csv:
    """Samples of the reduced model as CSV: parameters, outputs and errors, a row a parameter, as ``romflow eval`` does.

    Beside it ``<stem>_facts.json`` tells units, ranges, training range, errors and the fingerprint of the study.

    Parameters
    ----------
    samples : int
        Random parameters, drawn from the distributions of the space.
    seed : int
        Of these random parameters.
    input : str or path, optional
        A table of parameters (CSV with their names as header, or .npy) to use instead.
    base : path
        Folder that a relative `input` starts from.

    Raises
    ------
    ConfigError
        `samples` or `seed` is not a whole number from 1 or 0, or `input` is no path.

    Examples
    --------
    >>> Csv(samples=10).suffix
    '.csv'
    """

    suffix = ".csv"

    def __init__(
        self, samples: int = 1000, seed: int = 0, input: str | Path | None = None, base: str | Path = "."
    ) -> None:
        for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"csv: {name} = {shown(value)} is not a whole number from {least}; give one.")
        if input is not None and not isinstance(input, str | Path):
            raise ConfigError(f"csv: input = {shown(input)} is not the path of a table; give one.")
        self.samples, self.seed = samples, seed
        self.input = None if input is None else Path(base) / input

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write the table of `rom` to `path`; the same model and options give the same bytes.

        Raises
        ------
        InputError
            The `input` table is not there or not within the parameter space.
        StoreError
            The file cannot be written.
        """
        space = rom.parameters
        if self.input is None:
            mu = space.sample(self.samples, np.random.default_rng(self.seed))
        else:
            mu = space.validate(read_table(self.input, space.columns))
        write_answers(path, rom, mu)
        return [Path(path), write_facts(rom, path)]

    def given(self, path: Path, columns: Sequence[str]) -> NDArray[np.float64]:
        """The parameters (b, p) of the table, which begins with the p columns of these names.

        Raises
        ------
        StoreError
            The file is no such table.
        """
        header, rows = _read(Path(path))
        if header[:len(columns)] != list(columns):
            raise StoreError(f"{path} begins with the columns {', '.join(map(shown, header[:len(columns)]))} and the "
                             f"model has {', '.join(map(shown, columns))}; the file is damaged, or of another model")
        return rows[:, :len(columns)]

    def answers(self, path: Path, mu: Any) -> dict[str, NDArray[np.float64]]:
        """The outputs and their errors in the table, which holds answers at those of `given` alone.

        Raises
        ------
        StoreError
            The file is no such table.
        """
        header, rows = _read(Path(path))
        if not np.array_equal(rows[:, :np.shape(mu)[1]], mu):
            raise StoreError(f"{path}: this table holds answers at its own parameters; ask for those of given()")
        columns = rows[:, np.shape(mu)[1]:]
        outputs = (columns.shape[1] - 1) // 2
        return {"output": columns[:, :outputs], "output_error": columns[:, outputs:-1], "error": columns[:, -1]}


def _read(file: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Names of the columns of numbers, and their rows."""
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        numbers = header.index("error_kind") if "error_kind" in header else len(header) - 1  # then words
        return header[:numbers], np.array([row[:numbers] for row in rows], dtype=np.float64).reshape(len(rows), numbers)
    except (ValueError, OSError) as error:
        raise StoreError(f"{file}: no table of answers ({one_line(str(error), 99)}); export it again") from error
