"""Isotropic hardening R(p): a text with its exact derivative, or a table; what p does not touch is worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.materials.shared_programs import SharedPrograms
from romflow.parameters.calculus import derivative, substituted
from romflow.parameters.expressions import Theta
from romflow.parameters.language import Program, Step, written

__all__ = ["Isotropic", "TableHardening", "TextHardening", "isotropic_hardening"]

Array = NDArray[np.float64]
# Far below any p that Newton's method ends at, and large enough for it to start from the slope there.
_FLOOR = 1e-24


class Isotropic(Protocol):
    """R(p) and dR/dp at points, from rows of constants that its `texts` give there.

    Attributes
    ----------
    texts : tuple of str or float
        Constants that do not depend on p, in T and the other columns.
    first : str or float
        R at p = 0, in these columns.
    """

    texts: tuple[str | float, ...]
    first: str | float

    def both(self, p: Array, rows: Array) -> tuple[Any, Any]:
        """R and dR/dp (P,) at p (P,), with the constants' values as rows (k, P)."""
        ...


def isotropic_hardening(wish: Any, columns: Sequence[str]) -> Isotropic:
    """The hardening behind a text, a number or a table [[p, R], ...].

    Raises
    ------
    ConfigError
        It is none of these, the text is wrong, or the table's p do not start at 0 and increase.

    Examples
    --------
    >>> law = isotropic_hardening("200 + H * p", ["H"])
    >>> law.texts, [float(value) for value in law.both(np.array(0.1), np.array([1000.0]))]
    (('H',), [300.0, 1000.0])
    """
    if isinstance(wish, list | tuple):
        return TableHardening(wish)
    if "p" in columns:
        raise ConfigError("a parameter is called 'p', which is the accumulated plastic strain in the law's isotropic; "
                          "rename the parameter.")
    return TextHardening(wish, columns)


class TextHardening:
    """R(p) from one text in p, T and the columns.

    The parts of R and dR/dp that do not hold p become texts of their own, so that a Newton iteration evaluates only
    what changes with p. Powers, roots and quotients of p, whose slope at p = 0 may be infinite, are constant below
    p = 1e-24.
    """

    def __init__(self, text: str | float, columns: Sequence[str]) -> None:
        names = ("p", "T", *(name for name in columns if name != "T"))
        try:
            theta = Theta([text], names)
        except ConfigError as error:
            raise ConfigError(f"the law's isotropic: {str(error).removeprefix('theta = ')}") from error
        self.first: str | float = substituted(theta, {"p": 0.0}).expressions[0]
        taken: dict[str, int] = {}
        radius = _without_constants(theta.programs[0], names, taken)
        slope = _without_constants(derivative(theta, "p").programs[0], names, taken)
        self._both = SharedPrograms([radius, slope])
        self._floored = any(kind == "binary" and value in ("/", "**") for kind, value in slope)
        self.texts: tuple[str | float, ...] = tuple(taken)

    def both(self, p: Array, rows: Array) -> tuple[Any, Any]:
        """R and dR/dp (P,)."""
        radius, slope = self._both([np.maximum(p, _FLOOR) if self._floored else p, *rows])
        return radius, slope


class TableHardening:
    """R(p) by straight lines between the entries [[p, R], ...], constant past the last; R may be texts in T."""

    def __init__(self, table: Sequence[Any]) -> None:
        if len(table) < 2 or any(not isinstance(row, list | tuple) or len(row) != 2 for row in table):
            raise ConfigError(f"the law's isotropic = {shown(table)} is no table; write [[0, R], [p, R], ...] with at "
                              "least two rows.")
        numbers = [row[0] for row in table]
        if any(isinstance(p, bool) or not isinstance(p, int | float) for p in numbers):
            raise ConfigError("the law's isotropic table has an entry p that is no number; write [[0, R], [p, R], ...]")
        self._p = np.array(numbers, dtype=np.float64)
        if self._p[0] != 0.0 or not (np.diff(self._p) > 0.0).all() or not np.isfinite(self._p).all():
            raise ConfigError(f"the law's isotropic table has p = {shown(self._p.tolist())}; it must start at 0 and "
                              "increase.")
        self.texts: tuple[str | float, ...] = tuple(row[1] for row in table)
        self.first = self.texts[0]
        self._lengths = np.diff(self._p)

    def both(self, p: Array, rows: Array) -> tuple[Array, Array]:
        """R and dR/dp (P,), of the line to the right at a corner."""
        place = np.clip(np.searchsorted(self._p, p, side="right") - 1, 0, self._lengths.size - 1)
        points, start = np.arange(p.size), self._p[place]
        lower = rows[place, points]
        slope = (rows[place + 1, points] - lower) / self._lengths[place]
        beyond = p >= self._p[-1]
        radius = lower + slope * np.where(beyond, self._lengths[place], p - start)
        return radius, np.where(beyond, 0.0, slope)


def _without_constants(program: Program, names: Sequence[str], taken: dict[str, int]) -> list[Step]:
    """The program over p (column 0) and the texts `taken` (columns 1, 2, ...), which it adds to."""
    stack: list[tuple[bool, list[Step]]] = []

    def outside(part: tuple[bool, list[Step]]) -> list[Step]:
        touched, steps = part
        if touched or (len(steps) == 1 and steps[0][0] == "number"):
            return steps
        text = written(steps, names.__getitem__)
        return [("column", 1 + taken.setdefault(text, len(taken)))]

    for step in program:
        kind, value = step
        count = 0 if kind in ("column", "number") else 1 if kind in ("call", "negative") else 2
        parts = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        touched = any(part[0] for part in parts) or (kind == "column" and value == 0)
        bodies = [outside(part) if touched else part[1] for part in parts]
        stack.append((touched, [entry for body in bodies for entry in body] + [step]))
    return outside(stack[0])
