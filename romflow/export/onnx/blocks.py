"""Larger dense systems in ONNX, whose graph has the same size for any number of equations: steps of a Loop.

Elimination goes by blocks of rows, with the batch as the first axis, as MatMul wants it.
"""

from __future__ import annotations

import numpy as np

from romflow.export.onnx.graph import Graph, library
from romflow.export.onnx.loops import Kind, loop
from romflow.export.onnx.solving import orthogonal_step

__all__ = ["blocked_solution", "looped_least_squares"]

# Rows of a block.
_WIDTH = 8
_END = np.iinfo(np.int64).max


def blocked_solution(graph: Graph, A: str, f: str, r: int, k: int, definite: bool) -> str:
    """x (r, k, c) with A x = f; not finite where A is singular, or not positive definite though it should be.

    Block LU factorisation; where A is not definite, the rows of a block are the pivots of its columns.

    Parameters
    ----------
    A : name of a tensor (r, r, c)
    f : name of a tensor (r, k, c)
    """
    count = -(-r // _WIDTH)
    size = count * _WIDTH
    more = size - r
    if more:
        # Equations x = 0 behind the others.
        unit = graph.constant(np.diag(np.repeat([0.0, 1.0], [r, more]))[:, :, None])
        A = graph.node("Add", graph.node("Pad", A, graph.integers(0, 0, 0, more, more, 0)), unit)
        f = graph.node("Pad", f, graph.integers(0, 0, 0, more, 0, 0))
    M = graph.node("Transpose", graph.node("Concat", A, f, axis=1), perm=[2, 0, 1])
    rows, least = _elimination(graph, M, count, size + k, definite)
    x = graph.node("Transpose", _substitution(graph, rows, f, count, _WIDTH, k), perm=[1, 2, 0])
    x = graph.slice(x, (0, 0, r)) if more else x
    if not definite:
        return x
    smallest = graph.node("ReduceMin", least, graph.integers(0), keepdims=0)
    return graph.node("Where", graph.node("Greater", smallest, graph.number(0.0)), x, graph.number(np.nan))


def looped_least_squares(graph: Graph, A: str, f: str, r: int) -> str:
    """x (r, c) with the least ||A x - f||, by the modified Gram-Schmidt process of (A, f) in a Loop over its columns.

    Parameters
    ----------
    A : name of a tensor (m, r, c)
    f : name of a tensor (m, c)
    """
    double, body = library().TensorProto.DOUBLE, graph.child()
    step, left = body.name(), body.name()
    row, after = orthogonal_step(body, left)
    done = body.node("Add", step, body.integers(1))
    whole = body.node("Pad", row, body.node("Concat", body.integers(0), done, body.integers(0, 0, 0, 0), axis=0))
    M = graph.node("Concat", A, graph.node("Unsqueeze", f, graph.integers(1)), axis=1)
    rows = loop(graph, body, graph.name(), graph.constant(np.array(r, dtype=np.int64)),
                [(M, (double, [None, None, None]), left, after)],
                [(body.node("Transpose", whole, perm=[2, 0, 1]), (double, [None, 1, r + 1]))], step)[1][0]
    like = graph.node("Transpose", graph.slice(A, (0, 0, 1)), perm=[1, 0, 2])
    x = _substitution(graph, rows, like, r, 1, 1)
    return graph.node("Transpose", graph.node("Squeeze", x, graph.integers(2)), perm=[1, 0])


def _elimination(graph: Graph, M: str, count: int, width: int, definite: bool) -> tuple[str, str]:
    """Rows (count, c, w, size + k) of the upper factor without its unit blocks; least pivots (count, 1, 1, c)."""
    double, body = library().TensorProto.DOUBLE, graph.child()
    step, left = body.name(), body.name()
    ordered = left if definite else _permuted(body, left)
    block = body.slice(ordered, (1, 0, _WIDTH), (2, 0, _WIDTH))
    inverse, least = _inverse(body, body.node("Transpose", block, perm=[1, 2, 0]))
    row = body.node("MatMul", body.node("Transpose", inverse, perm=[2, 0, 1]),
                    body.slice(ordered, (1, 0, _WIDTH), (2, _WIDTH, _END)))
    below = body.node("MatMul", body.slice(ordered, (1, _WIDTH, _END), (2, 0, _WIDTH)), row)
    after = body.node("Sub", body.slice(ordered, (1, _WIDTH, _END), (2, _WIDTH, _END)), below)
    done = body.node("Mul", body.node("Add", step, body.constant(np.int64(1))), body.integers(_WIDTH))
    whole = body.node("Pad", row, body.node("Concat", body.integers(0, 0), done, body.integers(0, 0, 0), axis=0))
    kinds: list[Kind] = [(double, axes) for axes in ([None, None, None], [None, _WIDTH, width], [1, 1, None])]
    trips = graph.constant(np.array(count, dtype=np.int64))
    rows, pivots = loop(graph, body, graph.name(), trips, [(M, kinds[0], left, after)],
                        [(whole, kinds[1]), (least, kinds[2])], step)[1]
    return rows, pivots


def _substitution(graph: Graph, rows: str, like: str, count: int, width: int, k: int) -> str:
    """x (c, size, k), block by block from the last one; `like` is any tensor (size, k, c)."""
    double, body, size = library().TensorProto.DOUBLE, graph.child(), count * width
    step, known = body.name(), body.name()
    place = body.node("Sub", body.constant(np.int64(count - 1)), step)
    row = body.node("Gather", rows, place, axis=0)
    found = body.node("Sub", body.slice(row, (2, size, size + k)),
                      body.node("MatMul", body.slice(row, (2, 0, size)), known))
    before = body.node("Mul", place, body.integers(width))
    behind = body.node("Sub", body.integers(size - width), before)
    pads = body.node("Concat", body.integers(0), before, body.integers(0, 0), behind, body.integers(0), axis=0)
    after = body.node("Add", known, body.node("Pad", found, pads))
    nothing = graph.node("Transpose", graph.node("Mul", like, graph.number(0.0)), perm=[2, 0, 1])
    trips = graph.constant(np.array(count, dtype=np.int64))
    kind: Kind = double, [None, size, k]
    return loop(graph, body, graph.name(), trips, [(nothing, kind, known, after)], [], step)[0][0]


def _inverse(graph: Graph, P: str) -> tuple[str, str]:
    """The inverse (w, w, c) by Gauss and Jordan without pivots, and the least pivot (1, 1, c).

    Each step takes the first row and column away and puts the row, divided by its pivot, behind the others.
    """
    unit = graph.node("Add", graph.node("Mul", P, graph.number(0.0)), graph.constant(np.eye(_WIDTH)[:, :, None]))
    M, pivots = graph.node("Concat", P, unit, axis=1), []
    for _ in range(_WIDTH):
        pivot = graph.slice(M, (0, 0, 1), (1, 0, 1))
        row = graph.node("Div", graph.slice(M, (0, 0, 1), (1, 1, _END)), pivot)
        others = graph.slice(M, (0, 1, _END), (1, 1, _END))
        others = graph.node("Sub", others, graph.node("Mul", graph.slice(M, (0, 1, _END), (1, 0, 1)), row))
        M = graph.node("Concat", others, row, axis=0)
        pivots.append(pivot)
    return M, graph.node("ReduceMin", graph.node("Concat", *pivots, axis=0), graph.integers(0), keepdims=1)


def _permuted(graph: Graph, M: str) -> str:
    """The rows of M (c, n, n + k), the pivots of the first columns before the others."""
    panel = graph.node("Transpose", graph.slice(M, (2, 0, _WIDTH)), perm=[1, 2, 0])
    number = graph.node("Squeeze", graph.node("Shape", panel, start=0, end=1), graph.integers(0))
    one, nought = graph.constant(np.int64(1)), graph.constant(np.int64(0))
    rows = graph.node("Unsqueeze", graph.node("Range", nought, number, one), graph.integers(1, 2))
    left = graph.node("Expand", rows, graph.node("Shape", graph.slice(panel, (1, 0, 1))))
    chosen = []
    for _ in range(_WIDTH):
        place = graph.node("ArgMax", graph.node("Abs", graph.slice(panel, (1, 0, 1))), axis=0, keepdims=1)
        first, rest = graph.slice(panel, (0, 0, 1)), graph.slice(panel, (0, 1, _END))
        here = graph.node("Equal", graph.slice(rows, (0, 1, _END)), place)
        pivots = graph.node("GatherElements", panel, graph.node("Expand", place, graph.node("Shape", first)), axis=0)
        chosen.append(graph.node("GatherElements", left, place, axis=0))
        left = graph.node("Where", here, graph.slice(left, (0, 0, 1)), graph.slice(left, (0, 1, _END)))
        rest = graph.node("Where", here, first, rest)
        row = graph.node("Div", graph.slice(pivots, (1, 1, _END)), graph.slice(pivots, (1, 0, 1)))
        panel = graph.node("Sub", graph.slice(rest, (1, 1, _END)),
                           graph.node("Mul", graph.slice(rest, (1, 0, 1)), row))
        rows = graph.slice(rows, (0, 0, -1))
    order = graph.node("Transpose", graph.node("Concat", *chosen, left, axis=0), perm=[2, 0, 1])
    return graph.node("GatherElements", M, graph.node("Expand", order, graph.node("Shape", M)), axis=1)
