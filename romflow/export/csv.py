"""A table of samples: parameters, outputs and their errors, in one CSV file that a spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.files import write_atomic
from romflow.core.names import shown
from romflow.parameters.tables import read_table
from romflow.rom.model import ReducedModel

Array = NDArray[np.float64]

_BLOCK = 4096


class Csv:
    """Samples of the reduced model as CSV: one row a parameter, numbers that read back to the same bits.

    The columns are the parameters, the outputs, the error of the state and that of each output; an error's column ends
    in ``_bound`` or ``_indicator``, whichever it is.

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
        `samples` or `seed` is not a whole number from 1 and 0.

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
        if self.input is None:
            mu = rom.parameters.sample(self.samples, np.random.default_rng(self.seed))
        else:
            mu = rom.parameters.validate(read_table(self.input, rom.parameters.columns))
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(header(rom))
        for start in range(0, len(mu), _BLOCK):
            table.writerows(_rows(rom, mu[start : start + _BLOCK]))
        write_atomic(Path(path), text.getvalue().encode("utf-8"))
        return [Path(path)]


def header(rom: ReducedModel) -> list[str]:
    """Names of the columns."""
    kind = rom.error_kind
    errors = [] if kind is None else [f"error_{kind}", *(f"{name}_error_{kind}" for name in rom.output_names)]
    return [*rom.parameters.columns, *rom.output_names, *errors]


def _rows(rom: ReducedModel, mu: Array) -> Iterator[list[str]]:
    answer = rom.solve(mu)
    parts = [mu.T, answer.output]
    if rom.error_kind is not None:
        missing = np.full_like(answer.output, np.nan)
        parts += [answer.error[None], missing if answer.output_error is None else answer.output_error]
    for row in np.concatenate(parts).T.tolist():
        yield ["" if np.isnan(value) else repr(value) for value in row]
