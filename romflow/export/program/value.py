"""Values of a program that is being made: arithmetic on them adds operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from romflow.export.program.program import Array, Shape

if TYPE_CHECKING:
    from romflow.export.program.builder import Builder

__all__ = ["Value"]

# A value, an array or a number.
Number = Any


class Value:
    """A value of a program that is being made; arithmetic on it adds nodes, shapes are per sample.

    Attributes
    ----------
    name : str
    shape : tuple of int
    constant : array or None
        What it is, if it does not depend on the parameter.
    """

    # NumPy arrays leave arithmetic with values to them.
    __array_ufunc__ = None

    def __init__(self, builder: Builder, name: str, shape: Shape, constant: Array | None = None) -> None:
        self._builder, self.name, self.shape, self.constant = builder, name, shape, constant

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.shape})"

    def __add__(self, other: Number) -> Value:
        return self._builder.op("add", self, other)

    def __radd__(self, other: Number) -> Value:
        return self._builder.op("add", other, self)

    def __sub__(self, other: Number) -> Value:
        return self._builder.op("subtract", self, other)

    def __rsub__(self, other: Number) -> Value:
        return self._builder.op("subtract", other, self)

    def __mul__(self, other: Number) -> Value:
        return self._builder.op("multiply", self, other)

    def __rmul__(self, other: Number) -> Value:
        return self._builder.op("multiply", other, self)

    def __truediv__(self, other: Number) -> Value:
        return self._builder.op("divide", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._builder.op("divide", other, self)

    def __neg__(self) -> Value:
        return self._builder.op("negative", self)

    def __pow__(self, other: Number) -> Value:
        return self._builder.op("power", self, other)

    def abs(self) -> Value:
        """|a|."""
        return self._builder.op("abs", self)

    def named(self, name: str) -> Value:
        """The value itself; it gets this name, if it is the one made last and has none of its own."""
        return self._builder.named(self, name)

    def sqrt(self) -> Value:
        """The square root."""
        return self._builder.op("sqrt", self)

    def square(self) -> Value:
        """a^2."""
        return self._builder.op("square", self)

    def exp(self) -> Value:
        """e^a."""
        return self._builder.op("exp", self)

    def sum(self, axis: int | None = None) -> Value:
        """Sum over an axis, or all."""
        return self._builder.op("sum", self, axis=axis)

    def min(self, axis: int | None = None) -> Value:
        """The smallest entry, NaN where there is one."""
        return self._builder.op("min", self, axis=axis)

    def max(self, axis: int | None = None) -> Value:
        """The largest entry, NaN where there is one."""
        return self._builder.op("max", self, axis=axis)

    def reshape(self, *shape: int) -> Value:
        """The same numbers, row-major."""
        return self if shape == self.shape else self._builder.op("reshape", self, shape=shape)

    def transpose(self, *axes: int) -> Value:
        """The axes in another order."""
        return self._builder.op("transpose", self, axes=axes)

    def take(self, indices: int | Sequence[int], axis: int = 0) -> Value:
        """Entries of an axis; one number takes the axis away."""
        chosen = indices if isinstance(indices, int) else tuple(int(index) for index in indices)
        return self._builder.op("take", self, axis=axis, indices=chosen)

    def cut(self, start: int, stop: int, axis: int = 0) -> Value:
        """Entries start .. stop - 1 of an axis."""
        return self._builder.op("slice", self, axis=axis, start=start, stop=stop)
