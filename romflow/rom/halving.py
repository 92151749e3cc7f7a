"""Batches of which some rows have no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["solved_parts"]


def solved_parts(solve: Callable[[np.ndarray], Any], mu: np.ndarray,
                 failures: tuple[type[Exception], ...]) -> Iterator[tuple[slice, Any]]:
    """What `solve` gives for parts of the rows mu (b, p), in their order; a part that fails is halved.

    Yields
    ------
    (slice, answer)
        Rows of a part and its answer; None for a row that fails alone.

    Examples
    --------
    >>> def roots(mu):
    ...     if (mu < 0.0).any():
    ...         raise ArithmeticError
    ...     return np.sqrt(mu[:, 0]).tolist()
    >>> [answer for _, answer in solved_parts(roots, np.array([[4.0], [9.0], [-1.0], [1.0]]), (ArithmeticError,))]
    [[2.0, 3.0], None, [1.0]]
    """
    yield from _parts(solve, mu, slice(0, len(mu)), failures)


def _parts(solve: Callable[[np.ndarray], Any], mu: np.ndarray, rows: slice,
           failures: tuple[type[Exception], ...]) -> Iterator[tuple[slice, Any]]:
    try:
        answer = solve(mu[rows])
    except failures:
        middle = (rows.start + rows.stop) // 2
        if middle == rows.start:
            yield rows, None
            return
        yield from _parts(solve, mu, slice(rows.start, middle), failures)
        yield from _parts(solve, mu, slice(middle, rows.stop), failures)
        return
    yield rows, answer
