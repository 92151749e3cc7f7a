"""Reduced evolution models at the times of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.rom.model import ReducedModel
from romflow.uq.bayes.data import Data
from romflow.uq.evaluation import Evaluate, Evaluated

__all__ = ["of_reduced_in_time"]

Array = NDArray[np.float64]


def of_reduced_in_time(rom: ReducedModel, data: Data) -> Evaluate:
    """The reduced outputs (d, b) at the times of the data and their errors, one for each of the data.

    Between two times of the model, outputs and errors are interpolated linearly; the errors are those against the
    full-order model read in the same way.

    Raises
    ------
    NotSupported
        The model has no series of outputs.
    ParameterError
        On evaluation: the data have no times, or one that the model does not reach; an output is unknown.
    """
    if not hasattr(rom.solve(rom.parameters.centre()[np.newaxis], check=False), "series"):
        raise NotSupported(f"data with times need a model in time; {type(rom).__name__} answers for one state: leave "
                           "the times out.")

    def evaluate(mu: Array) -> Evaluated:
        answer: Any = rom.solve(mu, check=False)
        output = data.in_time(answer.series, answer.times, rom.output_names)
        if answer.series_error is None or not np.size(answer.series_error):
            return Evaluated(output)
        error = data.in_time(answer.series_error, answer.times, rom.output_names)
        return Evaluated(output, error, answer.kind)

    return evaluate
