"""Parameters from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import shown
from romflow.parameters.sampling.fixed import FixedDesign
from romflow.parameters.space import ParameterSpace
from romflow.parameters.tables import read_table

__all__ = ["FromFile"]


class FromFile(FixedDesign):
    """The rows of a table, read and checked once: a `.csv` whose header names the columns, or a `.npy` array (k, p).

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Not used; every sampler takes one.
    path : str
        The table, relative to `base`.
    base : path
        Folder of the study file.

    Raises
    ------
    InputError
        The file is missing, is not such a table, has no rows, or holds parameters outside the space.
    """

    def __init__(self, space: ParameterSpace, seed: int = 0, *, path: str, base: str | Path = ".") -> None:
        super().__init__(space, seed)
        if not isinstance(path, str | Path) or not str(path):
            raise ConfigError(f"[sampling] path = {shown(path)} is not a file name; write one in quotes.")
        file = Path(base, path)
        try:
            self._mu = space.validate(read_table(file, space.columns))
        except InputError as error:
            raise error if str(error).startswith(str(file)) else type(error)(f"{file}: {error}") from error
        if not len(self._mu):
            raise InputError(f"{file}: the table has no rows; give at least one parameter.")

    @property
    def solves(self) -> int:
        return len(self._mu)

    def design(self) -> NDArray[np.float64]:
        return self._mu.copy()
