"""Loops of ONNX: what is carried from step to step, and what is stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.export.onnx.graph import Graph, library

__all__ = ["Kind", "loop", "tensor_info"]

# The type of a tensor and its axes: lengths, names, or None.
Kind = tuple[int, Sequence[int | str | None]]


def loop(graph: Graph, body: Graph, name: str, trips: str, carried: Sequence[tuple[str, Kind, str, str]],
         stacked: Sequence[tuple[str, Kind]], step: str) -> tuple[list[str], list[str]]:
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
    go, on = body.name(), body.name()
    kept: Kind = onnx.TensorProto.BOOL, []
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
    graph.add("Loop", (trips, graph.constant(np.array(True)), *(initial for initial, _, _, _ in carried)), results,
              body=onnx.helper.make_graph(body.nodes, name, inputs, outputs))
    return results[:len(carried)], results[len(carried):]


def tensor_info(name: str, kind: Kind) -> Any:
    """The declaration of a tensor with this type and these axes."""
    return library().helper.make_tensor_value_info(name, kind[0], list(kind[1]))
