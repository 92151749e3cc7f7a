"""The steps of a history one after another, handed on in pieces; the same in one process and on several ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.fom.mechanics.between import Inner
from romflow.fom.mechanics.equilibrium import Equilibrium
from romflow.fom.mechanics.problem import Point
from romflow.fom.protocol import short

__all__ = ["Basket", "marched"]


Handed = TypeVar("Handed", covariant=True)


class Basket(Protocol[Handed]):
    """Points that are handed on together."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def add(self, point: Point, inner: Inner = ()) -> None:
        """Take one more, and what lies between it and the one before."""
        ...

    def full(self) -> bool:
        """Whether it is time to hand them on."""
        ...

    def piece(self) -> Handed:
        """All of them, and what the history goes on from; the basket is empty then."""
        ...


def marched(equilibrium: Equilibrium, times: np.ndarray, row: np.ndarray, start: int, point: Point,
            basket: Basket[Handed]) -> Iterator[Handed]:
    """Pieces of the history at row (p,) from time number `start` on; `point` is the one before, or at 0 the first.

    Raises
    ------
    SolveFailed
        A step has no equilibrium; the pieces before it were given, and the report says that the history is resumable.
    """
    failure: SolveFailed | None = None
    if start == 0:
        basket.add(point)
    for t in times[max(start, 1):].tolist():
        try:
            point, report = equilibrium.step(point, t, row)
        except SolveFailed as error:
            failure = error
            break
        basket.add(point, report.inner)
        if basket.full():
            yield basket.piece()
    if basket.count:
        yield basket.piece()
    if failure is not None:
        raise SolveFailed(f"the history at mu = {short(row)} ends at t = {point.time:.6g}: {failure}",
                          {"mu": row.tolist(), "resumable": True, **failure.report}) from failure
