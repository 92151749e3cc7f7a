"""Theta expressions: arithmetic on parameters, evaluated on whole batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.core.names import one_line, shown
from romflow.core.parameter_rules import RESERVED
from romflow.parameters.language import Program, Step, program_of, run, written

__all__ = ["Theta", "check_text"]

Array = NDArray[np.float64]

_NUMPY_NAMES = {"min": "minimum", "max": "maximum"}


class Theta:
    """Coefficients theta(mu) (b, Q) of an affine decomposition, from texts such as ``"1 + 0.5 * sin(pi * a)"``.

    The language: numbers, column names, ``+ - * / **``, parentheses, ``sqrt exp log sin cos tan tanh abs sign``,
    ``min`` and ``max`` of two or more, ``pi``. All arithmetic is float64.

    Parameters
    ----------
    expressions : sequence of str or number
        Q expressions.
    columns : sequence of str
        Names of the p columns of mu, in order.

    Raises
    ------
    ConfigError
        A text is not such arithmetic, is too long or nested too deeply, names an unknown column, or holds a constant
        part that is not finite.

    Examples
    --------
    >>> theta = Theta(["a", "min(a, 2 * b)", 1], ["a", "b"])
    >>> theta(np.array([[1.0, 3.0], [4.0, 1.0]]))
    array([[1., 1., 1.],
           [4., 2., 1.]])
    >>> theta.numpy_source(1)
    'np.minimum(mu[:, 0], 2.0 * mu[:, 1])'
    """

    expressions: tuple[str, ...]
    columns: tuple[str, ...]

    def __init__(self, expressions: Sequence[str | float], columns: Sequence[str]) -> None:
        if isinstance(expressions, str):
            raise ConfigError(f"theta = {shown(expressions)} is one text; give a list of expressions.")
        self.columns = tuple(columns)
        index = {name: number for number, name in enumerate(self.columns)}
        for name in self.columns:
            if name in RESERVED:
                raise ConfigError(f"the column {name!r} is a word of the theta language; rename the parameter.")
        self.expressions = tuple(_text_of(expression) for expression in expressions)
        self._programs = [program_of(text, index) for text in self.expressions]
        self._copied = _runs_of_columns(self._programs)
        self._worked = [q for q, program in enumerate(self._programs) if _column_of(program) is None]
        self._used = {value for q in self._worked for kind, value in self._programs[q] if kind == "column"}

    def __len__(self) -> int:
        return len(self.expressions)

    def __repr__(self) -> str:
        return f"Theta({list(self.expressions)!r}, {list(self.columns)!r})"

    def __call__(self, mu: ArrayLike) -> Array:
        """Coefficients (b, Q) at mu (b, p), without a loop over b; one row (p,) counts as b = 1.

        Raises
        ------
        ShapeError
            mu does not have p columns.
        ParameterError
            An expression is not finite at a row of mu.
        """
        rows = np.asarray(mu, dtype=np.float64)
        if rows.ndim == 1:
            rows = rows[np.newaxis]
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise ShapeError(f"mu has shape {np.shape(mu)}; theta needs (b, {len(self.columns)}).")
        values = np.empty((len(rows), len(self.expressions)))
        for first, column, length in self._copied:
            values[:, first : first + length] = rows[:, column : column + length]
        if self._worked:
            columns = {column: np.ascontiguousarray(rows[:, column]) for column in self._used}
            with np.errstate(all="ignore"):
                for q in self._worked:
                    values[:, q] = run(self._programs[q], columns)
        if not np.isfinite(values).all():
            self._raise_not_finite(values, rows)
        return values

    def _raise_not_finite(self, values: Array, rows: Array) -> None:
        bad = np.argwhere(~np.isfinite(values))
        row, q = int(bad[0, 0]), int(bad[0, 1])
        point = ", ".join(shown(number) for number in rows[row].tolist())
        raise ParameterError(
            f"theta = {shown(self.expressions[q])} is {shown(float(values[row, q]))} at mu[{row}] = "
            f"[{one_line(point, 200)}] ({len(bad)} such values); it must be finite on the whole space."
        )

    def broadcast(self, columns: Mapping[str, ArrayLike]) -> list[Any]:
        """The Q values, by NumPy's broadcasting over columns of any shapes; whether they are finite is not looked at.

        Raises
        ------
        ShapeError
            A column that an expression uses is not given.

        Examples
        --------
        >>> Theta(["a + 10 * b"], ["a", "b"]).broadcast({"a": [[1.0], [2.0]], "b": [0.0, 1.0]})[0]
        array([[ 1., 11.],
               [ 2., 12.]])
        """
        names = [self.columns[j] for j in self.used]
        absent = [name for name in names if name not in columns]
        if absent:
            raise ShapeError(f"the column {absent[0]!r} is used and not given; give all of {', '.join(names)}.")
        arrays = {j: np.asarray(columns[self.columns[j]], dtype=np.float64) for j in self.used}
        with np.errstate(all="ignore"):
            return [run(program, arrays) for program in self._programs]

    @property
    def programs(self) -> list[list[Step]]:
        """The postfix programs of the Q expressions; a column is known by its number."""
        return self._programs

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Numbers of the columns that any expression depends on, in their order."""
        return tuple(sorted({value for program in self._programs for kind, value in program if kind == "column"}))

    def numpy_source(self, index: int) -> str:
        """NumPy source text of expression `index` for an array ``mu`` (b, p); a constant one is a plain number.

        The same operations in the same order as :meth:`__call__`, so that both give the same bits.
        """
        return written(self._programs[index], "mu[:, {}]".format, _numpy_name)


def _column_of(program: Program) -> int | None:
    """The column that a program copies, or None if it does more."""
    return int(program[0][1]) if len(program) == 1 and program[0][0] == "column" else None


def _runs_of_columns(programs: Sequence[Program]) -> list[tuple[int, int, int]]:
    """(first expression, first column, length) of the runs of expressions that copy neighbouring columns."""
    runs: list[tuple[int, int, int]] = []
    for q, program in enumerate(programs):
        column = _column_of(program)
        if column is None:
            continue
        if runs and (q, column) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((q, column, 1))
    return runs


def _text_of(expression: object) -> str:
    if isinstance(expression, str):
        return expression
    if isinstance(expression, bool) or not isinstance(expression, int | float | np.integer | np.floating):
        raise ConfigError(
            f"theta = {shown(expression)} is neither a text nor a number; write arithmetic on parameters."
        )
    try:
        number = float(expression)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"theta = {shown(expression)} is not finite; write a finite number.")
    return repr(int(expression)) if isinstance(expression, int | np.integer) else repr(number)


def _numpy_name(name: str) -> str:
    return f"np.{_NUMPY_NAMES.get(name, name)}"


def check_text(who: str, text: str | float, columns: Sequence[str]) -> None:
    """Refuse a text that is no arithmetic of the columns, in words that begin with `who`.

    Raises
    ------
    ConfigError

    Examples
    --------
    >>> check_text("the load is ", "2 * tt", ["t"])
    Traceback (most recent call last):
        ...
    romflow.core.errors.ConfigError: the load is '2 * tt': no parameter is called 'tt'; known: t. Did you mean 't'?
    """
    try:
        Theta([text], columns)
    except ConfigError as error:
        raise ConfigError(f"{who}{str(error).removeprefix('theta = ')}") from error
