"""A model at many parameters, a batch at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ShapeError
from romflow.uq.evaluation import Evaluate, Evaluated

__all__ = ["in_batches"]


def in_batches(evaluate: Evaluate, mu: NDArray[np.float64], batch: int) -> Evaluated:
    """Answers (o, k) at mu (k, p), from calls with at most `batch` rows; errors only where all calls give them.

    Raises
    ------
    ShapeError
        The model does not return (o, b), or errors of another shape.
    """
    parts = [_checked(evaluate(mu[start:start + batch]), len(mu[start:start + batch]))
             for start in range(0, len(mu), batch)]
    if len({len(part.output) for part in parts}) > 1:
        raise ShapeError("the model returns different numbers of outputs for different batches; it must return (o, b).")
    output = np.concatenate([part.output for part in parts], axis=1)
    errors = [part.output_error for part in parts if part.output_error is not None and part.kind is not None]
    if len(errors) < len(parts):
        return Evaluated(output)
    kind = "bound" if all(part.kind == "bound" for part in parts) else "indicator"
    return Evaluated(output, np.concatenate(errors, axis=1), kind)


def _checked(answer: Evaluated, rows: int) -> Evaluated:
    output = np.asarray(answer.output, dtype=np.float64)
    if output.ndim != 2 or output.shape[1] != rows or not len(output):
        raise ShapeError(f"the model returns outputs of shape {output.shape} for {rows} parameters; the rule is "
                         f"(o, {rows}).")
    error = None if answer.output_error is None else np.asarray(answer.output_error, dtype=np.float64)
    if error is not None and error.shape != output.shape:
        raise ShapeError(f"the model returns errors of shape {error.shape} for outputs of shape {output.shape}; the "
                         "rule is one for each.")
    return Evaluated(output, error, answer.kind)
