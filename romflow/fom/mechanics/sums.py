"""The sums that decide Newton's iteration: over a whole body here, or over its parts on several ranks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np

__all__ = ["Sums", "WholeSums"]


class Sums(Protocol):
    """Numbers of a whole body from arrays of what this process has of it; the same bits wherever they are asked for."""

    def free(self, r: np.ndarray) -> float:
        """Euclidean norm of values (f,) at the free dofs."""
        ...

    def dot(self, x: np.ndarray, y: np.ndarray) -> float:
        """x @ y of values at all dofs (n,) or nodes (N,)."""
        ...

    def points(self, values: np.ndarray) -> float:
        """Sum of values (G,) at the Gauss points."""
        ...

    def together(self, doing: str) -> AbstractContextManager[None]:
        """What fails within fails in every process that has a part of the body."""
        ...


class WholeSums:
    """A body that one process has as a whole.

    Examples
    --------
    >>> WholeSums().free(np.array([3.0, 4.0])), WholeSums().points(np.array([True, True]))
    (5.0, 2.0)
    """

    def free(self, r: np.ndarray) -> float:
        """See `Sums`."""
        return float(np.linalg.norm(r))

    def dot(self, x: np.ndarray, y: np.ndarray) -> float:
        """See `Sums`."""
        return float(x @ y)

    def points(self, values: np.ndarray) -> float:
        """See `Sums`."""
        return float(np.sum(values))

    def together(self, doing: str) -> AbstractContextManager[None]:
        """Nothing is to be agreed on."""
        return nullcontext()
