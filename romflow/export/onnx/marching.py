"""Programs node by node; a march becomes a Loop, whose body is a graph of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.export.onnx.graph import Value, library
from romflow.export.onnx.loops import loop
from romflow.export.onnx.operations import Scope
from romflow.export.program.program import March, Node

__all__ = ["add_nodes"]


def add_nodes(scope: Scope, nodes: Sequence[Node]) -> None:
    """The values of all nodes, in their order."""
    for node in nodes:
        if node.op == "march":
            _march(scope, node)
        else:
            scope.add(node)


def _march(scope: Scope, node: Node) -> None:
    march, body = March(**node.attributes), scope.graph.child()
    inner, step = Scope(body, scope.batch), body.name()
    inner.constants(march.body.constants)
    outer = [scope.values[name] for name in node.inputs]
    starts, rest = outer[:len(march.states)], outer[len(march.states):]
    states = {name: Value(body.name(), value.shape, True) if value.name else value
              for name, value in zip(march.states, starts, strict=True)}
    inner.values |= states
    for name, value in zip(march.steps, rest, strict=False):
        inner.values[name] = _slice(inner, value, step)
    inner.values |= zip(march.fixed, rest[len(march.steps):], strict=True)
    add_nodes(inner, march.body.nodes)

    def after(result: str) -> Value:
        return inner.values[march.body.results[result]]

    moving = [name for name in march.states if states[name].name]
    carried = [(scope.widened(start), _kind(start), states[name].name, inner.widened(after(name)))
               for name, start in zip(march.states, starts, strict=True) if states[name].name]
    found = {outside: after(result) for outside, result in march.stacked.items()}
    stacked = [(inner.widened(value), _kind(value)) for value in found.values() if 0 not in value.shape]
    trips = scope.graph.constant(np.array(march.count, dtype=np.int64))
    last, rows = loop(scope.graph, body, node.name, trips, carried, stacked, step)
    ends, tables = dict(zip(moving, last, strict=True)), iter(rows)
    for outside, value in found.items():
        shape = (march.count, *value.shape)
        empty = 0 in value.shape
        scope.values[outside] = scope.constant(np.zeros(shape)) if empty else Value(next(tables), shape, True)
    for outside, state in march.final.items():
        value = states[state]
        scope.values[outside] = Value(ends[state], value.shape, True) if state in ends else value


def _slice(scope: Scope, value: Value, step: str) -> Value:
    """What belongs to this step."""
    if 0 in value.shape:
        return scope.constant(np.zeros(value.shape[1:]))
    return Value(scope.graph.node("Gather", value.name, step, axis=0), value.shape[1:], value.wide)


def _kind(value: Value) -> tuple[int, list[int | str | None]]:
    return library().TensorProto.DOUBLE, [*value.shape, None]
