"""Derivatives, substitution and tracing of theta expressions: from texts or Python functions to texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest, one_line, shown
from romflow.parameters.expressions import Theta
from romflow.parameters.language import Program, Step, written

__all__ = ["derivative", "substituted", "traced"]

# A node of an expression: ("column", name), ("number", value), (operation, symbol, operands ...).
_Node = tuple[Any, ...]

_ZERO, _ONE, _TWO = ("number", 0.0), ("number", 1.0), ("number", 2.0)
# Below this the logarithm in d(u ** v)/dv is cut off, so that 0 ** v has the derivative 0 and not NaN.
_TINY = 1e-300


def derivative(theta: Theta, name: str) -> Theta:
    """d/d name of each expression, as expressions of the same columns.

    The rules of calculus on the expression's tree; abs, min and max have the derivative sign, and the mean of both
    sides where they bend.

    Raises
    ------
    ConfigError
        No column has this name.

    Examples
    --------
    >>> derivative(Theta(["a * exp(2 * b)", "max(a, 3)", "b"], ["a", "b"]), "a").expressions
    ('exp(2.0 * b)', '0.5 * (1.0 + sign(a - 3.0))', '0.0')
    """
    if name not in theta.columns:
        raise ConfigError(f"there is no column {shown(name)} to differentiate by{nearest(name, theta.columns)}")
    return Theta([_text(_slope(program, theta.columns, name)) for program in theta.programs], theta.columns)


def substituted(theta: Theta, values: Mapping[str, float]) -> Theta:
    """The expressions with numbers in the place of some columns, which are gone.

    Raises
    ------
    ConfigError
        A name is no column, a number is not finite, or an expression has no finite value with it.

    Examples
    --------
    >>> substituted(Theta(["x * a + 2"], ["a", "x"]), {"x": 0.5})
    Theta(['0.5 * a + 2.0'], ['a'])
    """
    for name, value in values.items():
        if name not in theta.columns:
            raise ConfigError(f"there is no column {shown(name)} to substitute{nearest(name, theta.columns)}")
        if not math.isfinite(value):
            raise ConfigError(f"{name} = {value} is substituted; the rule is a finite number")
    left = [name for name in theta.columns if name not in values]

    def step(kind: str, value: Any) -> Step:
        if kind != "column":
            return kind, value
        name = theta.columns[value]
        return ("number", float(values[name])) if name in values else ("column", name)

    texts = [written([step(*entry) for entry in program], str) for program in theta.programs]
    return Theta(texts, left)


def traced(function: Callable[..., Any], names: Sequence[str]) -> list[str]:
    """Texts of what a Python function does to arguments of these names: one for each value that it returns.

    The function is called once with stand-ins that write down what NumPy functions and operators do to them.

    Parameters
    ----------
    function : callable
        ``function(*names)``, written with arithmetic and sqrt, exp, log, sin, cos, tan, tanh, abs, sign, square,
        minimum, maximum, comparisons (joined by &, | and ~) and where of NumPy; it returns one value or a sequence of
        values. Both sides of a where must be finite everywhere.
    names : sequence of str

    Raises
    ------
    InputError
        The function does something else with an argument (a branch, a lookup, another function); the message says what.

    Examples
    --------
    >>> traced(lambda x, a: 1 + np.exp(-(x - a) ** 2), ["x", "a"])
    ['1.0 + exp(-(x - a) ** 2.0)']
    >>> traced(lambda x, a: np.where(x < a, 2.0, x), ["x", "a"])
    ['max(0.0, sign(a - x)) * 2.0 + (1.0 - max(0.0, sign(a - x))) * x']
    """
    label = getattr(function, "__name__", "the function")
    try:
        answer = function(*(_Traced(("column", name)) for name in names))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{label} cannot be followed from {', '.join(names)}: {one_line(str(error))}; write it with "
                         "arithmetic and NumPy's sqrt, exp, log, sin, cos, tan, tanh, abs, sign, minimum, maximum, "
                         "where, or give it as a text") from error
    values = answer if isinstance(answer, list | tuple) else [answer]
    return [_text(_node(value)) for value in values]


# --- trees ------------------------------------------------------------------------------------------------------------


def _text(tree: _Node) -> str:
    steps: list[Step] = []
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            steps.append(node[0])
        elif node[0] in ("column", "number"):
            steps.append(node)
        else:
            waiting.append([(node[0], node[1])])
            waiting.extend(reversed(node[2:]))
    return written(steps, str)


def _slope(program: Program, columns: Sequence[str], name: str) -> _Node:
    """The derivative of a program, run on pairs of a tree and its slope."""
    stack: list[tuple[_Node, _Node]] = []
    for kind, what in program:
        if kind == "column":
            stack.append((("column", columns[what]), _ONE if columns[what] == name else _ZERO))
        elif kind == "number":
            stack.append(((kind, what), _ZERO))
        elif kind in ("call", "negative"):
            a, da = stack.pop()
            slope = _negative(da) if kind == "negative" else _times(_CALLS[what](a), da)
            stack.append(((kind, what, a), slope))
        else:
            (b, db), (a, da) = stack.pop(), stack.pop()
            stack.append(((kind, what, a, b), _slope_of_pair(kind, what, a, b, da, db)))
    return stack[0][1]


def _slope_of_pair(kind: str, what: str, a: _Node, b: _Node, da: _Node, db: _Node) -> _Node:
    if da == _ZERO and db == _ZERO:
        return _ZERO
    return _extreme(what, a, b, da, db) if kind == "extreme" else _RULES[what](a, b, da, db)


def _call(name: str, operand: _Node) -> _Node:
    return ("call", name, operand)


def _is(node: _Node, value: float) -> bool:
    return bool(node[0] == "number" and node[1] == value)


def _negative(a: _Node) -> _Node:
    return ("number", -a[1]) if a[0] == "number" else ("negative", "-", a)


def _plus(a: _Node, b: _Node) -> _Node:
    if _is(a, 0.0):
        return b
    return a if _is(b, 0.0) else ("binary", "+", a, b)


def _minus(a: _Node, b: _Node) -> _Node:
    if _is(a, 0.0):
        return _negative(b)
    return a if _is(b, 0.0) else ("binary", "-", a, b)


def _times(a: _Node, b: _Node) -> _Node:
    if _is(a, 0.0) or _is(b, 0.0):
        return _ZERO
    if _is(a, 1.0):
        return b
    return a if _is(b, 1.0) else ("binary", "*", a, b)


def _over(a: _Node, b: _Node) -> _Node:
    if _is(a, 0.0):
        return _ZERO
    return a if _is(b, 1.0) else ("binary", "/", a, b)


def _power(a: _Node, b: _Node) -> _Node:
    if _is(b, 0.0):
        return _ONE
    return a if _is(b, 1.0) else ("binary", "**", a, b)


_CALLS: dict[str, Callable[[_Node], _Node]] = {
    "sqrt": lambda a: _over(("number", 0.5), _call("sqrt", a)),
    "exp": lambda a: _call("exp", a),
    "log": lambda a: _over(_ONE, a),
    "sin": lambda a: _call("cos", a),
    "cos": lambda a: _negative(_call("sin", a)),
    "tan": lambda a: _plus(_ONE, _power(_call("tan", a), _TWO)),
    "tanh": lambda a: _minus(_ONE, _power(_call("tanh", a), _TWO)),
    "abs": lambda a: _call("sign", a),
    "sign": lambda a: _ZERO,
}


def _slope_of_power(a: _Node, b: _Node, da: _Node, db: _Node) -> _Node:
    less = ("number", b[1] - 1.0) if b[0] == "number" else _minus(b, _ONE)
    base = _times(_times(b, _power(a, less)), da)
    log = _call("log", ("extreme", "max", a, ("number", _TINY)))
    return _plus(base, _times(_times(_power(a, b), log), db))


_RULES: dict[str, Callable[[_Node, _Node, _Node, _Node], _Node]] = {
    "+": lambda a, b, da, db: _plus(da, db),
    "-": lambda a, b, da, db: _minus(da, db),
    "*": lambda a, b, da, db: _plus(_times(da, b), _times(a, db)),
    "/": lambda a, b, da, db: _minus(_over(da, b), _over(_times(a, db), _power(b, _TWO))),
    "**": _slope_of_power,
}


def _extreme(which: str, a: _Node, b: _Node, da: _Node, db: _Node) -> _Node:
    side = _call("sign", _minus(a, b) if which == "max" else _minus(b, a))
    half = ("number", 0.5)
    first, second = (_times(_times(half, (*("binary", sign), _ONE, side)), slope) for sign, slope in
                     (("+", da), ("-", db)))
    return _plus(first, second)


# --- tracing ----------------------------------------------------------------------------------------------------------

_UFUNCS: dict[Any, Callable[..., _Node]] = {
    np.add: lambda a, b: ("binary", "+", a, b), np.subtract: lambda a, b: ("binary", "-", a, b),
    np.multiply: lambda a, b: ("binary", "*", a, b), np.true_divide: lambda a, b: ("binary", "/", a, b),
    np.power: lambda a, b: ("binary", "**", a, b), np.float_power: lambda a, b: ("binary", "**", a, b),
    np.minimum: lambda a, b: ("extreme", "min", a, b), np.maximum: lambda a, b: ("extreme", "max", a, b),
    np.negative: _negative, np.positive: lambda a: a, np.absolute: lambda a: _call("abs", a),
    np.fabs: lambda a: _call("abs", a), np.square: lambda a: ("binary", "**", a, _TWO),
    np.reciprocal: lambda a: ("binary", "/", _ONE, a)}
_UFUNCS |= {getattr(np, name): (lambda a, name=name: _call(name, a)) for name in _CALLS if name != "abs"}


def _positive(a: _Node) -> _Node:
    """1 where a > 0, else 0."""
    return ("extreme", "max", _ZERO, _call("sign", a))


def _not(a: _Node) -> _Node:
    return ("binary", "-", _ONE, a)


# What gives a condition: of numbers, and of conditions.
_COMPARISONS: dict[Any, Callable[[_Node, _Node], _Node]] = {
    np.less: lambda a, b: _positive(_minus(b, a)), np.greater: lambda a, b: _positive(_minus(a, b)),
    np.less_equal: lambda a, b: _not(_positive(_minus(a, b))),
    np.greater_equal: lambda a, b: _not(_positive(_minus(b, a)))}
_JOINED: dict[Any, Callable[..., _Node]] = {
    np.bitwise_and: _times, np.logical_and: _times, np.invert: _not, np.logical_not: _not,
    np.bitwise_or: lambda a, b: ("extreme", "max", a, b), np.logical_or: lambda a, b: ("extreme", "max", a, b)}


class _Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A stand-in for an array, which writes down what is done to it."""

    def __init__(self, node: _Node, condition: bool = False) -> None:
        self.node, self.condition = node, condition

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> _Traced:
        joined = ufunc in _JOINED and all(getattr(value, "condition", False) for value in inputs)
        rule = _JOINED[ufunc] if joined else _UFUNCS.get(ufunc) or _COMPARISONS.get(ufunc)
        if method != "__call__" or options or rule is None:
            raise _unknown(ufunc)
        return _Traced(rule(*(_node(value) for value in inputs)), joined or ufunc in _COMPARISONS)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> _Traced:
        if function is not np.where or options or len(inputs) != 3 or not getattr(inputs[0], "condition", False):
            raise _unknown(function)
        where, one, other = (_node(value) for value in inputs)
        return _Traced(_plus(_times(where, one), _times(_not(where), other)))

    def __bool__(self) -> bool:
        raise InputError("the function branches on the value of an argument, which cannot be followed; write the "
                         "branch with where, minimum, maximum, sign or abs")


def _unknown(function: Any) -> InputError:
    return InputError(f"NumPy's {function.__name__} cannot be followed here; use arithmetic and sqrt, exp, log, sin, "
                      "cos, tan, tanh, abs, sign, minimum, maximum, where, or give the function as a text")


def _node(value: Any) -> _Node:
    if isinstance(value, _Traced):
        return value.node
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "iuf" or not np.isfinite(number):
        raise ShapeError(f"the function works with {shown(value)}; the rule is finite real numbers and its arguments")
    return ("number", float(number))
