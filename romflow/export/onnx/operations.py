"""Each operation of the language as nodes of ONNX; the batch is the last axis of every tensor.

So NumPy's broadcasting from the right stays as it is, and products with constants are products of a matrix by as many
columns as the batch has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.onnx.blocks import blocked_solution, looped_least_squares
from romflow.export.onnx.einsum import einsum
from romflow.export.onnx.graph import Graph, Value
from romflow.export.onnx.solving import (
    constant_solution,
    definite_solution,
    least_squares_solution,
    pivoted_solution,
)
from romflow.export.onnx.theta import theta
from romflow.export.program.program import Node

__all__ = ["Scope"]

_UNARY = {"negative": "Neg", "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp"}
_BROADCAST = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "minimum": "Min", "maximum": "Max",
              "power": "Pow"}
_REDUCTIONS = {"sum": "ReduceSum", "min": "ReduceMin", "max": "ReduceMax"}
# Unknowns up to which elimination row by row is faster than in a Loop, and its graph not too large.
_DEFINITE, _PIVOTED, _LEAST_SQUARES = 40, 24, 48


@dataclass
class Scope:
    """The values known in a graph, by their names in the program.

    Attributes
    ----------
    graph : Graph
    batch : str
        The tensor (1,) that holds the length of the batch.
    values : dict of str to Value
    """

    graph: Graph
    batch: str
    values: dict[str, Value] = field(default_factory=dict)

    def constants(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Constants of the program."""
        for name, array in arrays.items():
            self.values[name] = self.constant(array)

    def constant(self, array: np.ndarray) -> Value:
        """A value that is the same for the whole batch."""
        # An array without entries is never looked at, and onnxruntime need not see it.
        name = self.graph.constant(array[..., None]) if array.size else ""
        return Value(name, array.shape, False, array)

    def widened(self, value: Value) -> str:
        """The tensor of a value, as long as the batch."""
        if value.wide:
            return value.name
        tensor = value.name or self.graph.constant(np.zeros((*value.shape, 1)))
        if not value.shape:
            return self.graph.node("Expand", tensor, self.batch)
        shape = self.graph.node("Concat", self.graph.integers(*value.shape), self.batch, axis=0)
        return self.graph.node("Expand", tensor, shape)

    def add(self, node: Node) -> None:
        """The value of a node, from values that are known."""
        inputs = [self.values[name] for name in node.inputs]
        if 0 in node.shape:
            self.values[node.name] = self.constant(np.zeros(node.shape))
        elif node.op in ("sum", "einsum") and any(0 in value.shape for value in inputs):
            self.values[node.name] = self.constant(np.zeros(node.shape))
        elif node.op not in _PRINTERS:
            raise NotSupported(f"onnx knows no operation {node.op}, which this model needs; use format = \"npz\"")
        else:
            self.values[node.name] = _PRINTERS[node.op](self, inputs, node)


def _theta(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    return theta(scope.graph, inputs, node.attributes["programs"], node.shape, scope.widened)


def _einsum(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    return einsum(scope.graph, inputs[0], inputs[1], node.attributes["spec"])


def _broadcast(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    tensor = scope.graph.node(_BROADCAST[node.op], *(value.name for value in inputs))
    return Value(tensor, node.shape, any(value.wide for value in inputs))


def _unary(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,) = inputs
    return Value(scope.graph.node(_UNARY[node.op], value.name), node.shape, value.wide)


def _square(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,) = inputs
    return Value(scope.graph.node("Mul", value.name, value.name), node.shape, value.wide)


def _reduced(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,), axis = inputs, node.attributes["axis"]
    axes = range(len(value.shape)) if axis is None else [axis]
    if not value.shape:
        return value
    tensor = scope.graph.node(_REDUCTIONS[node.op], value.name, scope.graph.integers(*axes), keepdims=0)
    return Value(tensor, node.shape, value.wide)


def _select(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    condition, *sides = inputs
    positive = scope.graph.node("Greater", condition.name, scope.graph.number(0.0))
    tensor = scope.graph.node("Where", positive, *(side.name for side in sides))
    return Value(tensor, node.shape, any(value.wide for value in inputs))


def _solve(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (A, f), graph = inputs, scope.graph
    r, k = A.shape[0], math.prod(f.shape[1:])
    if A.constant is not None:
        x = constant_solution(graph, A.constant, graph.reshape(f.name, (r,)) if len(f.shape) > 1 else f.name)
        return Value(graph.reshape(x, node.shape) if len(f.shape) > 1 else x, node.shape, f.wide)
    wide = A.wide or f.wide
    matrix, right = (scope.widened(A), scope.widened(f)) if wide else (A.name, f.name)
    right = right if len(f.shape) > 1 else graph.node("Unsqueeze", right, graph.integers(1))
    definite = bool(node.attributes.get("definite"))
    if r > (_DEFINITE if definite else _PIVOTED):
        x = blocked_solution(graph, matrix, right, r, k, definite)
    else:
        x = (definite_solution if definite else pivoted_solution)(graph, matrix, right, r, k)
    return Value(x if len(f.shape) > 1 else graph.node("Squeeze", x, graph.integers(1)), node.shape, wide)


def _least_squares(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    A, f = inputs
    wide = A.wide or f.wide
    names = (scope.widened(A), scope.widened(f)) if wide else (A.name, f.name)
    method = looped_least_squares if A.shape[1] > _LEAST_SQUARES else least_squares_solution
    return Value(method(scope.graph, *names, A.shape[1]), node.shape, wide)


def _concatenate(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    parts = [value for value in inputs if 0 not in value.shape]
    wide = any(value.wide for value in parts)
    names = [scope.widened(value) if wide else value.name for value in parts]
    return Value(scope.graph.node("Concat", *names, axis=node.attributes["axis"]), node.shape, wide)


def _reshape(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,) = inputs
    return Value(scope.graph.reshape(value.name, node.shape), node.shape, value.wide)


def _slice(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,), at = inputs, node.attributes
    return Value(scope.graph.slice(value.name, (at["axis"], at["start"], at["stop"])), node.shape, value.wide)


def _take(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,), axis, indices = inputs, node.attributes["axis"], node.attributes["indices"]
    chosen = scope.graph.constant(np.array(indices, dtype=np.int64))
    return Value(scope.graph.node("Gather", value.name, chosen, axis=axis), node.shape, value.wide)


def _transpose(scope: Scope, inputs: Sequence[Value], node: Node) -> Value:
    (value,) = inputs
    axes = [*node.attributes["axes"], len(value.shape)]
    return Value(scope.graph.node("Transpose", value.name, perm=axes), node.shape, value.wide)


_PRINTERS: dict[str, Callable[[Scope, Sequence[Value], Node], Value]] = {
    "theta": _theta, "einsum": _einsum, **dict.fromkeys(_BROADCAST, _broadcast), **dict.fromkeys(_UNARY, _unary),
    "square": _square, **dict.fromkeys(_REDUCTIONS, _reduced), "select": _select, "solve": _solve,
    "least_squares": _least_squares, "concatenate": _concatenate, "reshape": _reshape, "slice": _slice, "take": _take,
    "transpose": _transpose}
