"""Coefficients of the parameter in ONNX, printed from their postfix programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from romflow.export.onnx.graph import Graph, Value

__all__ = ["theta"]

_CALLS = {"sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "abs": "Abs",
          "sign": "Sign"}
_BINARY = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Pow"}
_EXTREMA = {"min": "Min", "max": "Max"}


def theta(graph: Graph, inputs: Sequence[Value], programs: Sequence[Any], shape: tuple[int, ...],
          widened: Callable[[Value], str]) -> Value:
    """The values (Q,), or (Q, K), of Q programs over columns () or (K,)."""
    rows = [_row(graph, inputs, program, shape[1:]) for program in programs]
    wide = any(row.wide for row in rows)
    names = [graph.node("Unsqueeze", widened(row) if wide else row.name, graph.integers(0)) for row in rows]
    return Value(graph.node("Concat", *names, axis=0), shape, wide)


def _row(graph: Graph, inputs: Sequence[Value], program: Any, shape: tuple[int, ...]) -> Value:
    used = [inputs[value] for kind, value in program if kind == "column"]
    wide = any(value.wide for value in used)
    stack: list[str] = []
    for kind, value in program:
        _step(graph, inputs, stack, kind, value)
    if used and any(value.shape == shape for value in used):
        return Value(stack[0], shape, wide)
    # Nothing in it is as long as the row is.
    spread = graph.node("Add", stack[0], graph.constant(np.zeros((*shape, 1))))
    return Value(spread, shape, wide)


def _step(graph: Graph, inputs: Sequence[Value], stack: list[str], kind: str, value: Any) -> None:
    if kind == "column":
        stack.append(inputs[value].name)
    elif kind == "number":
        stack.append(graph.number(value))
    elif kind == "negative":
        stack.append(graph.node("Neg", stack.pop()))
    elif kind == "call":
        stack.append(_called(graph, value, stack.pop()))
    else:
        right, left = stack.pop(), stack.pop()
        stack.append(graph.node(_EXTREMA[value] if kind == "extreme" else _BINARY[value], left, right))


def _called(graph: Graph, name: str, x: str) -> str:
    if name == "tan":  # onnxruntime has none in double precision
        return graph.node("Div", graph.node("Sin", x), graph.node("Cos", x))
    return graph.node(_CALLS[name], x)
