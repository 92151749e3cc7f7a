"""How many solves go into one task: few enough to keep all workers busy, enough to make the scheduler cheap."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ParameterError, ShapeError

__all__ = ["Batches", "Pace", "checked_rows", "first_of_equal"]

_LONGEST = 0.5  # seconds that a task should last at most, so that progress is seen and a killed worker costs little
_SHORTEST = 0.2  # seconds that a task should last at least: it costs some ms of processor time itself
_NEWEST = 0.7  # weight of the last task in the seconds of a solve
_SHARE = 2  # a task takes at most 1 / (share * workers) of what is left


class Pace:
    """Wall-clock seconds of one solve, mostly those of the last task: the first solve of a process takes longer."""

    def __init__(self) -> None:
        self.seconds: float | None = None

    def add(self, solves: int, seconds: float) -> None:
        """So many solves took so many seconds on one worker."""
        if solves:
            mean = seconds / solves
            self.seconds = mean if self.seconds is None else self.seconds + _NEWEST * (mean - self.seconds)


class Batches:
    """Hands out the rows that are left, in tasks of a fitting number of rows.

    The first tasks hold one row each, to measure. With s seconds a solve, w workers and l rows left, a later one holds
    ceil(l / (2 w)) rows, but at most 0.5 / s and at least 0.2 / s: long tasks first, short ones at the end, so that the
    workers end together.

    Rows may come in groups, one for each worker, of solves that help each other: lane i is served from group i, and
    from the end of the longest group when its own is done.

    Parameters
    ----------
    rows : sequence of int
        Indices of the rows.
    pace : Pace
        What is known about the seconds of a solve; more may be added meanwhile.
    groups : sequence of sequences of int, optional
        The same rows in groups.
    longest : float
        Seconds that a task should last at most; with more than the default, the first tasks hold their whole group.

    Examples
    --------
    >>> pace = Pace()
    >>> batches = Batches(range(100), pace)
    >>> batches.take(2)
    ([0], False)
    >>> pace.add(1, 0.005)
    >>> [len(batches.take(2)[0]) for _ in range(4)]
    [40, 40, 19, 0]
    """

    def __init__(self, rows: Sequence[int], pace: Pace, groups: Sequence[Sequence[int]] = (),
                 longest: float = _LONGEST) -> None:
        self._left = [deque(group) for group in groups or [rows]]
        self._suspects: deque[int] = deque()
        self._pace = pace
        self._longest = longest

    def __len__(self) -> int:
        return self._remaining() + len(self._suspects)

    def put_back(self, rows: Sequence[int]) -> None:
        """Rows of a task whose workers died: one may be the cause, so each is handed out alone, before all others."""
        self._suspects.extend(rows)

    def again(self, rows: Sequence[int]) -> None:
        """Rows of a task whose workers died after other rows of it were done: they go on as before."""
        self._left[0].extendleft(reversed(rows))

    def take(self, workers: int, lane: int = 0) -> tuple[list[int], bool]:
        """Rows of the next task of a lane, none if nothing is left, and whether they are suspects."""
        if self._suspects:
            return [self._suspects.popleft()], True
        own = self._left[lane % len(self._left)]
        if own:
            return [own.popleft() for _ in range(min(len(own), self._size(workers)))], False
        longest = max(self._left, key=len)
        return [longest.pop() for _ in range(min(len(longest), self._size(workers)))], False

    def _remaining(self) -> int:
        return sum(map(len, self._left))

    def _size(self, workers: int) -> int:
        left = self._remaining()
        if self._longest > _LONGEST:
            return left if self._pace.seconds is None else max(1, int(self._longest / max(self._pace.seconds, 1e-6)))
        if self._pace.seconds is None:
            return min(1, left)
        seconds = max(self._pace.seconds, 1e-6)
        fair = math.ceil(left / (_SHARE * workers))
        size = int(min(max(fair, _SHORTEST / seconds), _LONGEST / seconds))
        return min(left, max(1, size))


def checked_rows(mu: ArrayLike, columns: Sequence[str]) -> NDArray[np.float64]:
    """The parameters (k, p) as finite float64 rows.

    Raises
    ------
    ShapeError, ParameterError
        Another shape than (k, number of columns), or a number that is not finite.
    """
    rows = np.array(mu, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ShapeError(f"mu has shape {rows.shape}; rows (k, {len(columns)}) are solved, one for each parameter.")
    if not np.isfinite(rows).all():
        i, j = np.argwhere(~np.isfinite(rows))[0]
        raise ParameterError(f"mu[{i}, {j}] ({columns[j]}) = {rows[i, j]} is not finite; give finite numbers.")
    return rows + 0.0


def first_of_equal(rows: NDArray[np.float64]) -> list[int]:
    """For each row, the index of the first row with the same bits.

    Examples
    --------
    >>> first_of_equal(np.array([[1.0], [2.0], [1.0]]))
    [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    return [first.setdefault(row.tobytes(), index) for index, row in enumerate(rows)]
