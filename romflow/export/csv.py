"""A table of samples: parameters, outputs and their errors, in one CSV file that a spreadsheet opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.parameters.tables import read_table
from romflow.rom.model import ReducedModel
from romflow.rom.tables import write_answers


class Csv:
    """Samples of the reduced model as CSV: parameters, outputs and errors, a row a parameter, as ``romflow eval`` does.

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
        return [Path(path)]
