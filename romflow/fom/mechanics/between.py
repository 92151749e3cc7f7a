"""Points of a history between its stored times, where smaller steps of the law had to stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

__all__ = ["Between", "Inner", "inner_of"]

#: (time, displacement (n,)) on the way to a stored time from the one before.
Inner = Sequence[tuple[float, np.ndarray]]
_TIMES, _STATES = "between_times", "between_displacements"


class Between:
    """Displacements between the stored times of one history, kept in its checkpoints: none in most histories.

    Each checkpoint holds all of them so far, so that the last one of a trajectory has them all and an interrupted
    history loses none.

    Parameters
    ----------
    checkpoint : mapping, optional
        What the history goes on from.

    Examples
    --------
    >>> some = Between()
    >>> some.add([(0.5, np.array([1.0, 2.0]))])
    >>> sorted(some.arrays()), Between(some.arrays()).arrays()["between_displacements"].tolist()
    (['between_displacements', 'between_times'], [[1.0, 2.0]])
    """

    def __init__(self, checkpoint: Mapping[str, np.ndarray] | None = None) -> None:
        kept = checkpoint or {}
        self._points = list(zip(kept[_TIMES].tolist(), kept[_STATES], strict=True)) if _TIMES in kept else []

    def add(self, inner: Inner) -> None:
        """Take those of one more step."""
        self._points += [(float(t), np.asarray(u)) for t, u in inner]

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint: times (i,) and displacements (i, n); nothing where there are none."""
        if not self._points:
            return {}
        return {_TIMES: np.array([t for t, _ in self._points]), _STATES: np.stack([u for _, u in self._points])}


class _Stored(Protocol):
    @property
    def times(self) -> np.ndarray: ...

    def remembered(self, names: Sequence[str]) -> dict[str, Any]: ...


def inner_of(trajectory: _Stored) -> dict[int, Inner]:
    """What lies between the times of a stored trajectory, by the index of the time it leads to; for `replay`."""
    kept = trajectory.remembered((_TIMES, _STATES))
    found: dict[int, list[tuple[float, np.ndarray]]] = {}
    if _TIMES in kept:
        places = np.searchsorted(trajectory.times, kept[_TIMES], side="left")
        for k, t, u in zip(places.tolist(), kept[_TIMES].tolist(), kept[_STATES], strict=True):
            found.setdefault(k, []).append((t, u))
    return dict(found)
