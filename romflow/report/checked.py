"""Arrays of a report, checked where they come in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ShapeError

Array = NDArray[np.float64]


def float_array(name: str, value: Any, ndim: int, length: int | None = None) -> Array:
    """`value` as an array of that many dimensions, its last axis of that length.

    Raises
    ------
    ShapeError
        It has another shape.

    Examples
    --------
    >>> float_array("times", [0, 1], 1, 2).tolist()
    [0.0, 1.0]
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != ndim:
        raise ShapeError(f"{name} has shape {array.shape}; it needs {ndim} dimension(s).")
    if length is not None and array.shape[-1] != length:
        raise ShapeError(
            f"{name} has shape {array.shape}; its last axis must have {length} entries, one a parameter row or time."
        )
    return array


def set_arrays(part: Any, names: Iterable[str], length: int | None = None, ndim: int = 1) -> None:
    """Check attributes of a frozen dataclass by `float_array` and set them; those that are None stay so."""
    for name in names:
        value = getattr(part, name)
        if value is not None:
            object.__setattr__(part, name, float_array(name, value, ndim, length))
