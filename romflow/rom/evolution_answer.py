"""What a reduced evolution model answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from romflow.rom.model import Answer

__all__ = ["EvolutionAnswer"]


@dataclass(frozen=True)
class EvolutionAnswer(Answer):
    """Answer of a reduced evolution model for b parameters; output and coefficients are those of the last time.

    `error` and `norm` are those of the whole trajectory, in L2(0, T; X): (sum_k dt_k ||.(t_k)||_X^2)^{1/2}.

    Attributes
    ----------
    times : (K + 1,)
    trajectory : (K + 1, r, b)
        Coefficients at the times.
    series : (o, K + 1, b)
        Outputs at the times.
    error_series : (K + 1, b)
        Bound or indicator of the error up to each time.
    series_error : (o, K + 1, b)
        The same kind of statement for each output at each time.
    converged : (b,) bool
        False where a step failed: outputs are then NaN and errors infinite.
    """

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    trajectory: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    series: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    error_series: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    series_error: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    converged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
