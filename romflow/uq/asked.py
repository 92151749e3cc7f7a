"""What paired runs of several models are asked for, and the features of draws that answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, SolveFailed
from romflow.core.names import nearest, shown
from romflow.uq.evaluation import Evaluate

__all__ = ["Asked", "asked", "evaluated", "thresholds_of"]

Array = NDArray[np.float64]

@dataclass(frozen=True)
class Asked:
    """Outputs by name, thresholds as pairs (index of the output, threshold), level of the intervals."""

    outputs: tuple[str, ...]
    thresholds: tuple[tuple[int, float], ...]
    confidence: float

    def features(self, values: Array, centres: Array, thresholds: Array) -> tuple[Array, Array]:
        """Powers (o, 2 k, n) and indicators (t, k, n) of outputs (k, o, n) of k models.

        The powers of one output are d_1, d_1^2, d_2, d_2^2 ... with d_i = output of model i minus its centre (k, o);
        model i exceeds where it is beyond its own threshold (k, t).
        """
        k, o, n = values.shape
        deviations = values - centres[:, :, None]
        powers = np.stack([deviations, deviations**2], axis=1).transpose(2, 0, 1, 3).reshape(o, 2 * k, n)
        exceeding = [values[:, o] > thresholds[:, j, None] for j, (o, _) in enumerate(self.thresholds)]
        return powers, np.array(exceeding, dtype=float).reshape(len(self.thresholds), k, n)


def asked(outputs: Sequence[str], exceedance: Mapping[str, Sequence[float]] | None, confidence: float) -> Asked:
    """The wishes, checked.

    Raises
    ------
    InputError
        No output, one twice, a threshold of an unknown output or one that is not finite, a level outside (0, 1).
    """
    names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise InputError(f"outputs = {shown(list(names))}; the rule is at least one name, none twice")
    if isinstance(confidence, bool) or not 0.0 < confidence < 1.0:
        raise InputError(f"confidence = {shown(confidence)}; the rule is between 0 and 1, such as 0.95")
    return Asked(names, thresholds_of(names, exceedance), float(confidence))


def thresholds_of(names: Sequence[str], exceedance: Mapping[str, Sequence[float]] | None) -> tuple[
        tuple[int, float], ...]:
    """Pairs (index of the output, threshold), in the order of the mapping.

    Raises
    ------
    InputError
        An output that there is not, or a threshold that is not finite.
    """
    pairs = []
    for name, values in (exceedance or {}).items():
        if name not in names:
            raise InputError(f"no output is called {shown(name)}{nearest(str(name), names)}")
        for value in np.atleast_1d(np.asarray(values, dtype=float)):
            if not np.isfinite(value):
                raise InputError(f"a threshold of output {shown(name)} is {value}; the rule is a finite number")
            pairs.append((list(names).index(name), float(value)))
    return tuple(pairs)


def evaluated(evaluate: Evaluate, mu: Array, names: Sequence[str], who: str) -> Array:
    """Outputs (o, b); columns with a value that is not finite become NaN as a whole.

    Raises
    ------
    InputError
        The model has another number of outputs, or of columns.
    """
    output = np.asarray(evaluate(mu).output, dtype=float)
    if output.shape != (len(names), mu.shape[0]):
        raise InputError(f"{who} answers outputs of shape {output.shape} at {mu.shape[0]} parameters; the rule is "
                         f"({len(names)}, {mu.shape[0]}), one row for each of {', '.join(names)}")
    return np.where(np.isfinite(output).all(axis=0), output, np.nan)


def all_failed(who: str, count: int) -> SolveFailed:
    """The error where nothing is left to estimate from."""
    return SolveFailed(f"{who} has no finite answer at (nearly) all of {count} parameters; look at its failures, or at "
                       "the range of the inputs")
