"""What is evaluated at random parameters: a reduced model, a full-order one, or a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import SolveFailed
from romflow.rom.halving import solved_parts
from romflow.rom.model import ReducedModel

__all__ = ["Evaluate", "Evaluated", "joined", "of_function", "of_reduced"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluated:
    """Outputs (o, b) at b parameters; NaN marks a column that has no answer (a failed solve).

    Attributes
    ----------
    output : (o, b)
    output_error : (o, b) or None
        What the model says of its own error, in absolute terms; zeros for a full-order model.
    kind : "bound", "indicator" or None
    """

    output: Array
    output_error: Array | None = None
    kind: str | None = None


#: mu (b, p) -> Evaluated; it does not check whether mu is within the range of the model.
Evaluate = Callable[[Array], Evaluated]


def of_reduced(rom: ReducedModel) -> Evaluate:
    """The reduced model's outputs with its own error of each; NaN where its system cannot be solved.

    Parameters beyond the range of the model may make a reduced system singular, which fails a whole batch: it is
    halved until the others have their answers.
    """

    def told(answer: Any) -> Evaluated:
        if answer is None:
            nothing = np.full((len(rom.output_names), 1), np.nan)
            return Evaluated(nothing, nothing, "bound")
        return Evaluated(answer.output, answer.output_error, None if answer.output_error is None else answer.kind)

    def evaluate(mu: Array) -> Evaluated:
        parts = solved_parts(lambda rows: rom.solve(rows, check=False), mu, (SolveFailed,))
        return reduce(joined, (told(answer) for _, answer in parts))

    return evaluate


def joined(first: Evaluated, second: Evaluated) -> Evaluated:
    """The columns of both; errors only where both have them."""
    output = np.concatenate([first.output, second.output], axis=1)
    if first.output_error is None or second.output_error is None:
        return Evaluated(output)
    kind = first.kind if first.kind == second.kind else "indicator"
    return Evaluated(output, np.concatenate([first.output_error, second.output_error], axis=1), kind)


def of_function(function: Callable[[Array], Any]) -> Evaluate:
    """A function mu (b, p) -> (b,) or (o, b) that is exact.

    Examples
    --------
    >>> of_function(lambda mu: mu.sum(axis=1))(np.ones((2, 3))).output
    array([[3., 3.]])
    """

    def evaluate(mu: Array) -> Evaluated:
        output = np.atleast_2d(np.asarray(function(mu), dtype=float))
        return Evaluated(output, np.zeros_like(output), "bound")

    return evaluate
