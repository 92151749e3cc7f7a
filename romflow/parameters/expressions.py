"""Theta expressions: arithmetic on parameters, read from text by a whitelist and evaluated on whole batches.

An expression is cut into tokens of the language first (anything else is refused there), then read by ``ast.parse``,
whose tree may hold nothing but the nodes named here, then turned into a postfix program. Python never evaluates a text.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.core.names import nearest, one_line, shown
from romflow.core.parameter_rules import RESERVED

__all__ = ["Theta"]

Array = NDArray[np.float64]

MAX_LENGTH = 10_000
# Bounds that keep Python's own parser far from the end of its stack.
MAX_OPERATORS = 1000
MAX_NESTED = 100

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "abs": np.abs,
}
_EXTREMA: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}
_NUMPY_NAMES = {"min": "minimum", "max": "maximum"}
_CONSTANTS = {"pi": math.pi}

# Symbol, how strongly it binds, whether equal strength needs parentheses on the left or on the right.
_OPERATORS: dict[type[ast.AST], tuple[str, int, bool, bool]] = {
    ast.Add: ("+", 1, False, True),
    ast.Sub: ("-", 1, False, True),
    ast.Mult: ("*", 2, False, True),
    ast.Div: ("/", 2, False, True),
    ast.Pow: ("**", 4, True, False),
}
_LANGUAGE = "use numbers, parameter names, + - * / ** ( ), pi, sqrt, exp, log, sin, cos, tan, abs, min, max"
_UNARY_STRENGTH = 3
_ATOM = 9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol>\*\*|//|[-+*/(),]))",
    re.ASCII,
)

# A step of a program: ("column", j), ("number", value), ("unary", name), ("binary", symbol), ("extreme", name).
_Step = tuple[str, Any]


class Theta:
    """Coefficients theta(mu) (b, Q) of an affine decomposition, from texts such as ``"1 + 0.5 * sin(pi * a)"``.

    The language: numbers, column names, ``+ - * / **``, parentheses, ``sqrt exp log sin cos tan abs``, ``min`` and
    ``max`` of two or more, ``pi``. All arithmetic is float64.

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
        self._programs = [_program(text, index) for text in self.expressions]
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
                    values[:, q] = _run(self._programs[q], columns)
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

    def numpy_source(self, index: int) -> str:
        """NumPy source text of expression `index` for an array ``mu`` (b, p); a constant one is a plain number.

        The same operations in the same order as :meth:`__call__`, so that both give the same bits.
        """
        stack: list[tuple[str, int]] = []
        for kind, value in self._programs[index]:
            if kind == "column":
                stack.append((f"mu[:, {value}]", _ATOM))
            elif kind == "number":
                stack.append((repr(value), _ATOM if math.copysign(1.0, value) > 0 else _UNARY_STRENGTH))
            elif kind == "call":
                stack.append((f"np.{value}({stack.pop()[0]})", _ATOM))
            elif kind == "negative":
                text, strength = stack.pop()
                stack.append((f"-{_enclosed(text, strength < _UNARY_STRENGTH)}", _UNARY_STRENGTH))
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(_joined(kind, value, left, right))
        return stack[0][0]


def _column_of(program: Sequence[_Step]) -> int | None:
    """The column that a program copies, or None if it does more."""
    return int(program[0][1]) if len(program) == 1 and program[0][0] == "column" else None


def _runs_of_columns(programs: Sequence[Sequence[_Step]]) -> list[tuple[int, int, int]]:
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


def _joined(kind: str, value: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    if kind == "extreme":
        return f"np.{_NUMPY_NAMES[value]}({left[0]}, {right[0]})", _ATOM
    symbol, strength, tight_left, tight_right = next(row for row in _OPERATORS.values() if row[0] == value)
    left_text = _enclosed(left[0], left[1] < strength or (tight_left and left[1] == strength))
    right_text = _enclosed(right[0], right[1] < strength or (tight_right and right[1] == strength))
    return f"{left_text} {symbol} {right_text}", strength


def _enclosed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


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


def _program(text: str, index: dict[str, int]) -> list[_Step]:
    """The postfix program of an expression, its constant parts folded in float64."""
    _check_tokens(text)
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg.partition(";")[0] if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise _refusal(text, f"this is not arithmetic ({reason})") from error
    program: list[_Step] = []
    # Depth first with a stack of its own: the steps of a node wait until its operands have been written.
    waiting: list[ast.AST | list[_Step]] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            for step in item:
                _append(program, step, text)
        else:
            operands, steps = _opened(item, text, index)
            waiting.append(steps)
            waiting.extend(reversed(operands))
    return program


def _check_tokens(text: str) -> None:
    """Refuse everything that is not a number, a name or a symbol of the language, before Python's parser sees it."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"theta = {shown(text)} has {len(text)} characters; at most {MAX_LENGTH} are read, split it.")
    if not text.strip():
        raise _refusal(text, "it is empty")
    position, end, nested, operators, after_number = 0, len(text.rstrip()), 0, 0, False
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            raise _refusal(text, f"the character {text[position:].lstrip()[0]!r} has no place in it")
        name, symbol = token["name"], token["symbol"]
        if name is not None and after_number and token.start("name") == position:
            raise _refusal(text, f"{name!r} follows a number without an operator")
        after_number = token["number"] is not None
        if after_number and not math.isfinite(float(token["number"])):
            raise _refusal(text, "it holds a number beyond float64")
        nested += {"(": 1, ")": -1}.get(symbol, 0)
        operators += symbol not in (None, "(", ")")
        if nested > MAX_NESTED:
            raise _refusal(text, f"it is nested more than {MAX_NESTED} deep", "split it")
        if operators > MAX_OPERATORS:
            raise _refusal(text, f"it has more than {MAX_OPERATORS} operators", "split it")
        position = token.end()


def _refusal(text: str, reason: str, remedy: str = _LANGUAGE) -> ConfigError:
    return ConfigError(f"theta = {shown(text)}: {one_line(reason, 120)}; {remedy}.")


def _opened(node: ast.AST, text: str, index: dict[str, int]) -> tuple[Sequence[ast.AST], list[_Step]]:
    """Operands of a node, and the steps that follow them in the program."""
    if isinstance(node, ast.Constant):
        return (), [("number", _number(node.value, text))]
    if isinstance(node, ast.Name):
        return (), [_name(node.id, text, index)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return (node.operand,), [("negative", "-")] if isinstance(node.op, ast.USub) else []
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return (node.left, node.right), [("binary", _OPERATORS[type(node.op)][0])]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, text)
    raise _refusal(text, "it holds more than arithmetic")


def _number(value: object, text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(text, "it holds a constant that is no real number")
    return float(value)


def _name(name: str, text: str, index: dict[str, int]) -> _Step:
    if name in index:
        return "column", index[name]
    if name in _CONSTANTS:
        return "number", _CONSTANTS[name]
    if name in RESERVED:
        raise _refusal(text, f"the function {name!r} is not called")
    raise ConfigError(f"theta = {shown(text)}: no parameter is called {shown(name)}{nearest(name, index)}")


def _call(node: ast.Call, name: str, text: str) -> tuple[Sequence[ast.AST], list[_Step]]:
    if name not in _FUNCTIONS and name not in _EXTREMA:
        known = [*_FUNCTIONS, *_EXTREMA]
        raise ConfigError(f"theta = {shown(text)}: no function is called {shown(name)}{nearest(name, known)}")
    count = len(node.args)
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise _refusal(text, f"{name} takes plain arguments only")
    if name in _EXTREMA:
        if count < 2:
            raise _refusal(text, f"{name} needs two or more arguments and has {count}")
        if count > MAX_NESTED:
            raise _refusal(text, f"{name} takes at most {MAX_NESTED} arguments and has {count}")
        return node.args, [("extreme", name)] * (count - 1)
    if count != 1:
        raise _refusal(text, f"{name} takes one argument and has {count}")
    return node.args, [("call", name)]


def _append(program: list[_Step], step: _Step, text: str) -> None:
    """Add a step to a program; if all its operands are numbers, put its value in their place."""
    kind = step[0]
    operands = 0 if kind in ("column", "number") else 1 if kind in ("call", "negative") else 2
    last = program[len(program) - operands :]
    if operands == 0 or len(last) < operands or any(entry[0] != "number" for entry in last):
        program.append(step)
        return
    with np.errstate(all="ignore"):
        value = float(_run([*last, step], {}))
    if not math.isfinite(value):
        raise _refusal(text, f"a constant part of it is {shown(value)}, not a finite number")
    program[len(program) - operands :] = [("number", value)]


def _run(program: Sequence[_Step], columns: Mapping[int, Array]) -> Any:
    """Value of a postfix program: (b,), or a scalar if it names no column. Everything is float64."""
    stack: list[Any] = []
    for kind, value in program:
        if kind == "column":
            stack.append(columns[value])
        elif kind == "number":
            stack.append(np.float64(value))
        elif kind == "call":
            stack.append(_FUNCTIONS[value](stack.pop()))
        elif kind == "negative":
            stack.append(-stack.pop())
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_EXTREMA[value](left, right) if kind == "extreme" else _BINARY[value](left, right))
    return stack[0]


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "**": lambda left, right: left**right,
}
