"""The checked march: whatever a model gives, pieces of a trajectory or a failed solve that names the time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from romflow.core.errors import RomflowError, SolveFailed
from romflow.fom.protocol import Piece, Resume, SupportsTime, crashed, short

__all__ = ["checked_march"]


def checked_march(fom: SupportsTime, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece]:
    """The pieces of a march, each of finite float64 numbers and the next in order, with its processor seconds.

    These are this process's and, where a program was run for it, those that the model says itself.

    Parameters
    ----------
    fom : SupportsTime
    mu : (p,)
        One parameter.
    resume : (int, mapping), optional
        Index of the next stored time, and the checkpoint of the piece before it.

    Yields
    ------
    Piece
        They are the times from index 0, or from that of `resume`, to K without gaps.

    Raises
    ------
    SolveFailed
        The march raised an error of its own, or a piece has the wrong times, shape or type, or a number that is not
        finite; `report` has "mu", "time" (the first that is wrong, or the last that was right) and what was found.
        Errors of romflow pass through.

    Examples
    --------
    >>> class Growth:
    ...     times, n = np.array([0.0, 0.5, 1.0]), 2
    ...     def march(self, mu, resume=None):
    ...         for k in range(0 if resume is None else resume[0], 3):
    ...             yield Piece(k, self.times[[k]], np.full((2, 1), np.exp(mu[0] * self.times[k])), None, {})
    >>> [piece.start for piece in checked_march(Growth(), [1.0])]
    [0, 1, 2]
    """
    mu = np.array(mu, dtype=np.float64)
    check = _Check(fom, mu, 0 if resume is None else int(resume[0]))
    pieces = _guarded(check, fom, mu, resume)
    begun = time.process_time()
    for piece in pieces:
        checked = check.piece(piece)
        now = time.process_time()
        yield dataclasses.replace(checked, seconds=checked.seconds + now - begun)
        begun = time.process_time()
    check.end()


def _guarded(check: _Check, fom: SupportsTime, mu: np.ndarray, resume: Resume | None) -> Iterator[Any]:
    """What the march gives; its own errors become failed solves."""
    try:
        yield from fom.march(mu, resume)
    except (RomflowError, GeneratorExit):
        raise
    except (Exception, SystemExit) as error:
        failure = crashed(check.name, mu, error)
        failure.report["time"] = check.reached
        raise failure from error


class _Check:
    """What the pieces of one march must be, and how far it has come."""

    def __init__(self, fom: Any, mu: np.ndarray, start: int) -> None:
        self.name, self.mu, self.n = type(fom).__name__, mu, getattr(fom, "n", None)
        self.times = np.asarray(fom.times, dtype=np.float64)
        self.next = start
        self.o: int | None = None
        self.fresh = True

    @property
    def reached(self) -> float | None:
        """The last time that was right."""
        return None if self.next == 0 else float(self.times[self.next - 1])

    def piece(self, piece: Any) -> Piece:
        """The piece as float64 arrays, if it is the next and all its numbers are finite."""
        if not isinstance(piece, Piece):
            raise self._failed(f"gave a {type(piece).__name__} where a Piece of its trajectory belongs", self.reached)
        start, count = self.next, np.size(piece.times)
        times = self.times[start:start + count]
        if piece.start != start or not count or not np.array_equal(np.ravel(piece.times), times):
            raise self._failed(f"gave {count} times from index {piece.start}; the rule is `times` in order, and the "
                               f"next has index {start} of {len(self.times)}", self.reached)
        states = self._numbers("states", piece.states, times, self.n)
        series = None if piece.series is None else self._numbers("series", piece.series, times, self.o)
        o = None if series is None else len(series)
        if not self.fresh and o != self.o:
            raise self._failed(f"gave a series of {o} outputs after one of {self.o}", float(times[0]))
        checkpoint = {str(name): np.asarray(values) for name, values in piece.checkpoint.items()}
        for name, values in checkpoint.items():
            if values.dtype.kind not in "biufc":
                raise self._failed(f"gave a checkpoint whose {name!r} has type {values.dtype}; the rule is numbers",
                                   float(times[-1]))
        self.n, self.o, self.fresh, self.next = len(states), o, False, start + count
        return Piece(piece.start, times, states, series, checkpoint, max(0.0, float(piece.seconds)))

    def end(self) -> None:
        """Raise unless the last time was given."""
        if self.next != len(self.times):
            raise self._failed(f"gave {self.next} of {len(self.times)} stored times", self.reached)

    def _numbers(self, what: str, values: Any, times: np.ndarray, rows: int | None) -> np.ndarray:
        found = np.asarray(values)
        wanted = (len(found) if rows is None and found.ndim else rows, len(times))
        if found.dtype.kind not in "iuf" or found.shape != wanted or not found.size:
            raise self._failed(f"gave {what} of shape {found.shape} and type {found.dtype}; the rule is real numbers "
                               f"({'n' if what == 'states' else 'o'}, {len(times)}), the same rows each time",
                               float(times[0]))
        array = found.astype(np.float64, copy=False)
        wrong = np.count_nonzero(~np.isfinite(array), axis=0)
        if wrong.any():
            first = int(np.argmax(wrong > 0))
            raise self._failed(f"gave {what} with {wrong[first]} values that are not finite", float(times[first]),
                               not_finite=int(wrong[first]), index=self.next + first)
        return array

    def _failed(self, what: str, when: float | None, **facts: Any) -> SolveFailed:
        text = "" if when is None else f" at the time t = {when:.6g}"
        return SolveFailed(f"{self.name} {what}{text} for mu = {short(self.mu)}; the march did not converge, or the "
                           "parameter is outside the model's validity",
                           {"mu": self.mu.tolist(), "time": when, **facts})
