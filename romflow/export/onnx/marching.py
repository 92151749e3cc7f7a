"""Programs node by node; a march becomes a Loop, whose body is a graph of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.export.onnx.graph import Graph, Value, library
from romflow.export.onnx.operations import Scope
from romflow.export.program.program import March, Node

__all__ = ["add_nodes", "loop", "tensor_info"]


def add_nodes(scope: Scope, nodes: Sequence[Node]) -> None:
    """The values of all nodes, in their order."""
    for node in nodes:
        if node.op == "march":
            _march(scope, node)
        else:
            scope.add(node)


def loop(graph: Graph, body: Graph, name: str, trips: str, carried: Sequence[tuple[str, Any, str, str]],
         stacked: Sequence[tuple[str, Any]], step: str) -> tuple[list[str], list[str]]:
    """A Loop that makes `trips` steps.

    Parameters
    ----------
    graph, body : Graph
        The scope of the loop, and its body, complete but for its ends.
    name : str
        Of the body.
    trips : str
        The tensor () that holds the number of steps.
    carried : sequence of (initial, kind, name in the body, name after a step)
        `kind` are a type and axes, as `tensor_info` takes them.
    stacked : sequence of (name in the body, kind)
    step : str
        Name in the body of the number of the step ().

    Returns
    -------
    list of str, list of str
        What is carried after the last step; what is stacked (steps, ...).
    """
    onnx = library()
    go, on, kept = body.name(), body.name(), (onnx.TensorProto.BOOL, [])
    inputs = [tensor_info(step, (onnx.TensorProto.INT64, [])), tensor_info(go, kept)]
    inputs += [tensor_info(inner, kind) for _, kind, inner, _ in carried]
    body.add("Identity", (go,), (on,))
    # An output of a body must be made in it, and be no other output's name.
    ends = [*(after for _, _, _, after in carried), *(inner for inner, _ in stacked)]
    kinds = [*(kind for _, kind, _, _ in carried), *(kind for _, kind in stacked)]
    made = [body.name() for _ in ends]
    for end, own in zip(ends, made, strict=True):
        body.add("Identity", (end,), (own,))
    outputs = [tensor_info(on, kept), *(tensor_info(own, kind) for own, kind in zip(made, kinds, strict=True))]
    results = [graph.name() for _ in made]
    graph.add("Loop", (trips, "", *(initial for initial, _, _, _ in carried)), results,
              body=onnx.helper.make_graph(body.nodes, name, inputs, outputs))
    return results[:len(carried)], results[len(carried):]


def tensor_info(name: str, kind: tuple[int, Sequence[int | str | None]]) -> Any:
    """The declaration of a tensor with this type and these axes."""
    return library().helper.make_tensor_value_info(name, kind[0], list(kind[1]))


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
