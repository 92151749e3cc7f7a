"""The whole model: the batch in portions, results with the batch first, the flag of the range, and the facts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.export.onnx.graph import IR_VERSION, OPSET, Graph, Value, library
from romflow.export.onnx.loops import loop, tensor_info
from romflow.export.onnx.marching import add_nodes
from romflow.export.onnx.operations import Scope
from romflow.export.program.program import MU, March, Program
from romflow.export.program.shapes import march_shapes, shapes

__all__ = ["model_of", "portion"]

# Numbers of the largest value of a portion, so that it stays in the second-level cache; and how long a portion is.
_NUMBERS, _SHORTEST, _LONGEST = 250_000, 32, 512


def portion(program: Program) -> int:
    """How many parameters are worked on at a time: as many as a processor's cache holds."""
    return max(_SHORTEST, min(_LONGEST, _NUMBERS // _largest(program, shapes(program))))


def model_of(program: Program) -> Any:
    """The model (an ``onnx.ModelProto``) of a program.

    Input "mu" (b, p); outputs the results of the program (b, ...), and "inside" (b,): whether mu is within the space.

    Raises
    ------
    NotSupported
        onnx is not installed.
    """
    onnx, graph, facts = library(), Graph(), program.facts
    double, boolean = onnx.TensorProto.DOUBLE, onnx.TensorProto.BOOL
    rows, portions, length = _portions(graph, program)
    body, known = graph.child(), shapes(program)
    step, part = body.name(), body.name()
    body.add("Gather", (rows, step), (part,), axis=0)
    scope = Scope(body, length)
    scope.constants(program.constants)
    scope.values[MU] = Value(body.node("Transpose", part, perm=[1, 0]), (program.size,), True)
    add_nodes(scope, program.nodes)
    stacked = [_batch_first(scope, scope.values[value]) for value in program.results.values()]
    kinds = [(double, [None, *known[value]]) for value in program.results.values()]
    found = loop(graph, body, "portion", portions, [], list(zip(stacked, kinds, strict=True)), step)[1]
    outputs = []
    for name, (value, tensor) in zip(program.results, zip(program.results.values(), found, strict=True), strict=True):
        _joined(graph, tensor, known[value], name)
        outputs.append(tensor_info(name, (double, ["b", *known[value]])))
    if facts is not None:
        _inside(graph, facts.low, facts.high)
        outputs.append(tensor_info("inside", (boolean, ["b"])))
    inputs = [tensor_info(MU, (double, ["b", program.size]))]
    whole = onnx.helper.make_graph(graph.nodes, "reduced_model", inputs, outputs, graph.initializers())
    model = onnx.helper.make_model(whole, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                   producer_name="romflow")
    if facts is not None:
        _describe(model, facts.plain())
    return model


def _largest(program: Program, known: dict[str, tuple[int, ...]]) -> int:
    """Numbers of the largest value that depends on the parameter."""
    found = 1
    for node in program.nodes:
        made = march_shapes(node, known) if node.op == "march" else {node.name: node.shape}
        found = max(found, *(math.prod(shape) for shape in made.values()))
        if node.op == "march":
            march = March(**node.attributes)
            found = max(found, *(math.prod(inner.shape) for inner in march.body.nodes))
    return found


def _portions(graph: Graph, program: Program) -> tuple[str, str, str]:
    """mu in equal portions (n, c, p), their number n () and their length c (1,).

    The last one is filled up by parameters amid the space, whose answers are cut off.
    """
    batch = graph.node("Shape", MU, start=0, end=1)
    count = _quotient(graph, batch, graph.integers(portion(program)))
    length = _quotient(graph, batch, count)
    more = graph.node("Sub", graph.node("Mul", count, length), batch)
    facts = program.facts
    centre = np.zeros(program.size) if facts is None else _centre(facts.low, facts.high)
    shape = graph.node("Concat", more, graph.integers(program.size), axis=0)
    filled = graph.node("Concat", MU, graph.node("Expand", graph.constant(centre[None]), shape), axis=0)
    parts = graph.node("Concat", count, length, graph.integers(program.size), axis=0)
    return graph.node("Reshape", filled, parts), graph.node("Squeeze", count, graph.integers(0)), length


def _quotient(graph: Graph, number: str, by: str) -> str:
    """The quotient of positive integers, rounded up; at least one."""
    one = graph.integers(1)
    return graph.node("Max", graph.node("Div", graph.node("Sub", graph.node("Add", number, by), one), by), one)


def _centre(low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    a, b = np.nan_to_num(np.array(low), neginf=-1.0), np.nan_to_num(np.array(high), posinf=1.0)
    return np.asarray(np.clip((a + b) / 2, np.array(low), np.array(high)))


def _batch_first(scope: Scope, value: Value) -> str:
    size = len(value.shape)
    tensor = scope.widened(value)
    return scope.graph.node("Transpose", tensor, perm=[size, *range(size)]) if size else tensor


def _joined(graph: Graph, tensor: str, shape: tuple[int, ...], name: str) -> None:
    """(n, c, ...) as (b, ...)."""
    counts = graph.node("Shape", tensor, start=0, end=2)
    whole = graph.node("ReduceProd", counts, graph.integers(0), keepdims=1)
    target = graph.node("Concat", whole, graph.integers(*shape), axis=0) if shape else whole
    rows = graph.node("Reshape", tensor, target, allowzero=1)
    batch = graph.node("Shape", MU, start=0, end=1)
    graph.add("Slice", (rows, graph.integers(0), batch, graph.integers(0)), (name,))


def _inside(graph: Graph, low: Sequence[float], high: Sequence[float]) -> None:
    most = np.finfo(float).max  # infinity is in no space
    above = graph.node("GreaterOrEqual", MU, graph.constant(np.clip(low, -most, most)))
    below = graph.node("LessOrEqual", MU, graph.constant(np.clip(high, -most, most)))
    both = graph.node("Cast", graph.node("And", above, below), to=library().TensorProto.INT64)
    all_of = graph.node("ReduceMin", both, graph.integers(1), keepdims=0)
    graph.add("Cast", (all_of,), ("inside",), to=library().TensorProto.BOOL)


def _describe(model: Any, facts: dict[str, Any]) -> None:
    """The facts as JSON in the model's properties, and a text for people."""
    library().helper.set_model_props(model, {"romflow": json.dumps(facts, sort_keys=True, allow_nan=False)})
    model.producer_version = str(facts["version"])
    model.domain = "romflow"
    outputs, columns = ", ".join(facts["outputs"]), ", ".join(facts["columns"])
    article = "an" if facts["error_kind"] == "indicator" else "a"
    model.doc_string = (
        f"Reduced model {facts['name']}: mu (b, p) with the columns {columns}; output (b, o): {outputs}; error (b,) is "
        f"{article} {facts['error_kind']} in the norm {facts['norm']}; inside (b,) tells whether mu is within the "
        "parameter space. The property \"romflow\" holds all facts as JSON.")
