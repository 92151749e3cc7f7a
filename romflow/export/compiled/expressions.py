"""Theta expressions as C text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from romflow.export.compiled.text import number

__all__ = ["expression"]

_CALLS = {"abs": "fabs", "sign": "rf_sign"}


def expression(program: Sequence[tuple[str, object]], column: Callable[[int], str]) -> tuple[str, set[str]]:
    """A postfix program as a C expression, and the names of the functions of `kernels` in it.

    Examples
    --------
    >>> expression([("column", 0), ("number", 2.0), ("binary", "**")], lambda j: "a")
    ('rf_square(a)', {'rf_square'})
    """
    stack: list[tuple[str, bool]] = []  # text, whether it needs no parentheses
    used: set[str] = set()

    def call(name: str, *operands: str) -> tuple[str, bool]:
        if name.startswith("rf_"):
            used.add(name)
        return f"{name}({', '.join(operands)})", True

    for kind, value in program:
        if kind == "column":
            stack.append((column(int(str(value))), True))
        elif kind == "number":
            text = number(float(str(value)))
            stack.append((text, not text.startswith("-")))
        elif kind == "call":
            stack.append(call(_CALLS.get(str(value), str(value)), stack.pop()[0]))
        elif kind == "negative":
            stack.append((f"-{_enclosed(stack.pop())}", False))
        else:
            right, left = stack.pop(), stack.pop()
            if kind == "extreme":
                stack.append(call(f"rf_{value}", left[0], right[0]))
            elif value == "**":
                square = right[0] == "2.0"
                stack.append(call("rf_square", left[0]) if square else call("pow", left[0], right[0]))
            else:
                stack.append((f"{_enclosed(left)} {value} {_enclosed(right)}", False))
    return stack[0][0], used


def _enclosed(operand: tuple[str, bool]) -> str:
    text, plain = operand
    return text if plain else f"({text})"
