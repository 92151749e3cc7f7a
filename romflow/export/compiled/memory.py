"""Where the values of a program lie: offsets in one array of doubles, which are given again when a value is dead."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from romflow.export.program.program import Shape

__all__ = ["Memory", "Place"]

_ALIGN = 4


@dataclass(frozen=True)
class Place:
    """A row-major value: `count` numbers from `array` + `base` + `step`.

    Attributes
    ----------
    array : str
        Name of a C array or pointer.
    shape : tuple of int
    base : int
    step : str
        Text that is added to the offset, "" for none.
    owner : int or None
        Block of the memory in which it lies.
    """

    array: str
    shape: Shape
    base: int = 0
    step: str = ""
    owner: int | None = None

    @property
    def count(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def pointer(self) -> str:
        """Where it begins."""
        return " + ".join(part for part in (self.array, str(self.base) if self.base else "", self.step) if part)

    def at(self, offset: str | int = "") -> str:
        """Its number at an offset."""
        fixed = self.base + offset if isinstance(offset, int) else self.base
        parts = (str(fixed) if fixed else "", self.step, offset if isinstance(offset, str) else "")
        return f"{self.array}[{' + '.join(part for part in parts if part) or '0'}]"

    def view(self, shape: Shape, shift: int = 0, step: str = "") -> Place:
        """The same numbers, or some in a row of them, as an array of another shape."""
        both = " + ".join(part for part in (self.step, step) if part)
        return replace(self, shape=shape, base=self.base + shift, step=both)


class Memory:
    """Blocks of an array "w", first fit; `peak` is its length.

    Examples
    --------
    >>> memory = Memory()
    >>> a, b = memory.allocate((5,)), memory.allocate((2, 2))
    >>> memory.release(a)
    >>> memory.allocate((3,)).base, b.pointer, memory.peak
    (0, 'w + 8', 12)
    """

    def __init__(self) -> None:
        self.peak = 1
        self._blocks: dict[int, tuple[int, int, int]] = {}  # number -> start, end, holders
        self._next = 0

    def allocate(self, shape: Shape) -> Place:
        """A new block for a value."""
        size = max(1, math.prod(shape))
        size += -size % _ALIGN
        start = 0
        for low, high, _ in sorted(self._blocks.values()):
            if low - start >= size:
                break
            start = max(start, high)
        self._next += 1
        self._blocks[self._next] = (start, start + size, 1)
        self.peak = max(self.peak, start + size)
        return Place("w", shape, start, owner=self._next)

    def hold(self, place: Place) -> None:
        """One name more uses the block of the place."""
        if place.owner in self._blocks and place.owner is not None:
            start, end, holders = self._blocks[place.owner]
            self._blocks[place.owner] = (start, end, holders + 1)

    def release(self, place: Place) -> None:
        """One name less uses it; a block that none uses is free."""
        if place.owner not in self._blocks or place.owner is None:
            return
        start, end, holders = self._blocks[place.owner]
        self._blocks[place.owner] = (start, end, holders - 1)
        if holders == 1:
            del self._blocks[place.owner]
