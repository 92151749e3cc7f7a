"""The language of theta expressions: text read by a whitelist into postfix programs, run on arrays, written again.

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
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, one_line, shown
from romflow.core.parameter_rules import RESERVED

__all__ = ["Program", "Step", "run", "program_of", "written"]

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
    "tanh": np.tanh,
    "abs": np.abs,
    "sign": np.sign,
}
_EXTREMA: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}
_CONSTANTS = {"pi": math.pi}

# Symbol, how strongly it binds, whether equal strength needs parentheses on the left or on the right.
_OPERATORS: dict[type[ast.AST], tuple[str, int, bool, bool]] = {
    ast.Add: ("+", 1, False, True),
    ast.Sub: ("-", 1, False, True),
    ast.Mult: ("*", 2, False, True),
    ast.Div: ("/", 2, False, True),
    ast.Pow: ("**", 4, True, False),
}
_LANGUAGE = "use numbers, parameter names, + - * / ** ( ), pi, sqrt, exp, log, sin, cos, tan, tanh, abs, sign, min, max"
_UNARY_STRENGTH = 3
_ATOM = 9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol>\*\*|//|[-+*/(),]))",
    re.ASCII,
)

# A step of a program: ("column", j), ("number", value), ("unary", name), ("binary", symbol), ("extreme", name).
Step = tuple[str, Any]
Program = Sequence[Step]


def written(program: Program, column: Callable[[Any], str], function: Callable[[str], str] = str) -> str:
    """The text of a postfix program: `column` names a column, `function` a function of the language."""
    stack: list[tuple[str, int]] = []
    for kind, value in program:
        if kind == "column":
            stack.append((column(value), _ATOM))
        elif kind == "number":
            stack.append((repr(value), _ATOM if math.copysign(1.0, value) > 0 else _UNARY_STRENGTH))
        elif kind == "call":
            stack.append((f"{function(value)}({stack.pop()[0]})", _ATOM))
        elif kind == "negative":
            text, strength = stack.pop()
            stack.append((f"-{_enclosed(text, strength < _UNARY_STRENGTH)}", _UNARY_STRENGTH))
        elif kind == "extreme":
            right, left = stack.pop(), stack.pop()
            stack.append((f"{function(value)}({left[0]}, {right[0]})", _ATOM))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_joined(value, left, right))
    return stack[0][0]


def _joined(value: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    symbol, strength, tight_left, tight_right = next(row for row in _OPERATORS.values() if row[0] == value)
    left_text = _enclosed(left[0], left[1] < strength or (tight_left and left[1] == strength))
    right_text = _enclosed(right[0], right[1] < strength or (tight_right and right[1] == strength))
    return f"{left_text} {symbol} {right_text}", strength


def _enclosed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def program_of(text: str, index: dict[str, int]) -> list[Step]:
    """The postfix program of an expression, its constant parts folded in float64."""
    _check_tokens(text)
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg.partition(";")[0] if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise _refusal(text, f"this is not arithmetic ({reason})") from error
    program: list[Step] = []
    # Depth first with a stack of its own: the steps of a node wait until its operands have been written.
    waiting: list[ast.AST | list[Step]] = [tree]
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


def _opened(node: ast.AST, text: str, index: dict[str, int]) -> tuple[Sequence[ast.AST], list[Step]]:
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


def _name(name: str, text: str, index: dict[str, int]) -> Step:
    if name in index:
        return "column", index[name]
    if name in _CONSTANTS:
        return "number", _CONSTANTS[name]
    if name in RESERVED:
        raise _refusal(text, f"the function {name!r} is not called")
    raise ConfigError(f"theta = {shown(text)}: no parameter is called {shown(name)}{nearest(name, index)}")


def _call(node: ast.Call, name: str, text: str) -> tuple[Sequence[ast.AST], list[Step]]:
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


def _append(program: list[Step], step: Step, text: str) -> None:
    """Add a step to a program; if all its operands are numbers, put its value in their place."""
    kind = step[0]
    operands = 0 if kind in ("column", "number") else 1 if kind in ("call", "negative") else 2
    last = program[len(program) - operands :]
    if operands == 0 or len(last) < operands or any(entry[0] != "number" for entry in last):
        program.append(step)
        return
    with np.errstate(all="ignore"):
        value = float(run([*last, step], {}))
    if not math.isfinite(value):
        raise _refusal(text, f"a constant part of it is {shown(value)}, not a finite number")
    program[len(program) - operands :] = [("number", value)]


def run(program: Sequence[Step], columns: Mapping[int, Array]) -> Any:
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
