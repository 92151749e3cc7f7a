"""Several expressions evaluated together: a part that occurs in more than one place is evaluated once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from romflow.parameters.language import Program

__all__ = ["SharedPrograms"]

_CALLS: dict[str, Callable[[Any], Any]] = {
    name: getattr(np, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "abs", "sign")}
_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "min": np.minimum, "max": np.maximum}
_LEAVES = ("column", "number")


class SharedPrograms:
    """The values of postfix programs (``Theta.programs``) at arrays, with each common part worked out once.

    Examples
    --------
    >>> from romflow.parameters.expressions import Theta
    >>> both = SharedPrograms(Theta(["2 * (T - 20) ** 2", "3 - (T - 20) ** 2"], ["T"]).programs)
    >>> both({0: np.array([21.0, 22.0])})
    [array([2., 8.]), array([ 2., -1.])]
    >>> both.operations
    4
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        # Values in one list: columns and numbers first, then what each operation gives.
        leaves = list(dict.fromkeys(step for program in programs for step in program if step[0] in _LEAVES))
        self._leaves = [value if kind == "number" else None for kind, value in leaves]
        self._columns = [(place, value) for place, (kind, value) in enumerate(leaves) if kind == "column"]
        # An operation of one value has no second place.
        self._operations: list[tuple[Callable[..., Any], int, int | None]] = []
        places: dict[tuple[Any, ...], int] = {leaf: place for place, leaf in enumerate(leaves)}
        self._ends = [self._added(program, places) for program in programs]

    @property
    def operations(self) -> int:
        """How many operations one evaluation takes."""
        return len(self._operations)

    def __call__(self, columns: Mapping[int, Any] | Sequence[Any]) -> list[Any]:
        """Values of the programs, by NumPy's broadcasting over the columns; they may be infinite or NaN."""
        values = self._leaves.copy()
        for place, column in self._columns:
            values[place] = columns[column]
        for function, first, second in self._operations:
            values.append(function(values[first]) if second is None else function(values[first], values[second]))
        return [values[place] for place in self._ends]

    def _added(self, program: Program, places: dict[tuple[Any, ...], int]) -> int:
        """Where the value of the program stands, after adding the operations that are not yet there."""
        stack: list[int] = []
        for kind, name in program:
            if kind in _LEAVES:
                stack.append(places[kind, name])
                continue
            count = 1 if kind in ("call", "negative") else 2
            operands = tuple(stack[-count:])
            del stack[-count:]
            key = (kind, name, operands)
            if key not in places:
                function = operator.neg if kind == "negative" else (_CALLS if count == 1 else _PAIRS)[name]
                places[key] = len(self._leaves) + len(self._operations)
                self._operations.append((function, operands[0], operands[1] if count == 2 else None))
            stack.append(places[key])
        return stack[0]
