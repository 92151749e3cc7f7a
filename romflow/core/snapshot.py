"""A snapshot: the state of a full-order model at one parameter, its outputs, and facts about the solve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ShapeError

__all__ = ["Snapshot"]


@dataclass
class Snapshot:
    """Result of one full-order solve, stored as float64 vectors.

    Parameters
    ----------
    state : (n,) array
        The solution.
    outputs : (o,) array, optional
        Outputs that the model gives itself.
    info : dict, optional
        JSON-able facts (seconds, iterations, host ...).

    Raises
    ------
    ShapeError
        `state` or `outputs` is not a vector of real numbers.

    Examples
    --------
    >>> Snapshot([1, 2]).state
    array([1., 2.])
    """

    state: NDArray[np.float64]
    outputs: NDArray[np.float64] | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = _vector(self.state, "state", "(n,)")
        if self.outputs is not None:
            self.outputs = _vector(self.outputs, "outputs", "(o,)")


def _vector(values: Any, name: str, shape: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ShapeError(f"the snapshot's {name} has type {array.dtype}; it must be a vector {shape} of real numbers.")
    if array.ndim != 1:
        raise ShapeError(f"the snapshot's {name} has shape {array.shape}; it must be a vector {shape}.")
    return np.ascontiguousarray(array, dtype=np.float64)
