"""Answers of a reduced model as a CSV table."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from romflow.core.files import write_atomic
from romflow.rom.model import ReducedModel

_ROWS = 50_000


def write_answers(path: str | Path, rom: ReducedModel, mu: np.ndarray) -> None:
    """Write one row a parameter: parameters, outputs, their error estimates, state error and its kind.

    Parameters
    ----------
    path : path
    rom : ReducedModel
    mu : (b, p)
        Validated parameters; evaluated 50,000 rows at a time.
    """
    columns = [*rom.parameters.columns, *rom.output_names, *(f"{name}_error" for name in rom.output_names),
               "state_error", "error_kind"]
    text = io.StringIO()
    text.write(",".join(columns) + "\n")
    for start in range(0, len(mu), _ROWS):
        part = mu[start:start + _ROWS]
        answer = rom.solve(part, check=False)
        unknown = np.full_like(answer.output, np.nan)
        spread = unknown if answer.output_error is None else answer.output_error
        np.savetxt(text, np.column_stack([part, answer.output.T, spread.T, answer.error]), fmt="%.17g", delimiter=",",
                   newline=f",{answer.kind or ''}\n")
    write_atomic(path, text.getvalue().encode())
