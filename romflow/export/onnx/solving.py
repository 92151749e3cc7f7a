"""Small dense systems in ONNX, which has no operator for them: elimination over the whole batch at once.

The batch is the last axis of all tensors, so that each step is a product of long rows. Cost of a system of r equations:
r^3 / 3 products where it is definite, 2 r^3 / 3 with pivots, 2 m r^2 for least squares; 6 to 40 nodes a row.
"""

from __future__ import annotations

import numpy as np

from romflow.export.onnx.graph import Graph

__all__ = ["constant_solution", "definite_solution", "least_squares_solution", "orthogonal_step",
           "pivoted_solution"]

# Rows that a panel of the symmetric elimination has at least, and panels that there are at most: half the work of a
# full elimination is saved by panels of one row, and as many nodes as there are pairs of rows come with them.
_PANEL, _PANELS = 5, 6
_END = np.iinfo(np.int64).max


def definite_solution(graph: Graph, A: str, f: str, r: int, k: int) -> str:
    """x (r, k, c) with A x = f by elimination without pivots; NaN where a pivot is not positive.

    Parameters
    ----------
    A : name of a tensor (r, r, c), of which only the upper triangle is read
    f : name of a tensor (r, k, c)
    """
    width = max(_PANEL, -(-r // _PANELS))
    # A panel holds some rows of what is left, from the column of its first row on, and their right-hand sides.
    panels = {start: _joined(graph, A, f, start, min(start + width, r), r) for start in range(0, r, width)}
    rows, pivots = [], []
    for step in range(r):
        start = step - step % width
        M = panels[start]
        pivot, tail = _split(graph, M, r - step, k)
        row = graph.node("Div", tail, pivot)
        pivots.append(pivot)
        rows.append(row)
        end = min(start + width, r)
        if step + 1 < end:
            rest = graph.slice(M, (0, 1, end - step), (1, 1, r - step + k))
            panels[start] = _less(graph, rest, _column(graph, tail, 0, end - step - 1), row)
        for below in range(end, r, width):
            first = below - step - 1
            column = _column(graph, tail, first, min(below + width, r) - step - 1)
            part = graph.slice(row, (1, first, r - step - 1 + k))
            panels[below] = _less(graph, panels[below], column, part)
    x = _back(graph, rows, r, k)
    least = graph.node("ReduceMin", graph.node("Concat", *pivots, axis=0), graph.integers(0), keepdims=1)
    return graph.node("Where", graph.node("Greater", least, graph.number(0.0)), x, graph.number(np.nan))


def pivoted_solution(graph: Graph, A: str, f: str, r: int, k: int) -> str:
    """x (r, k, c) with A x = f by elimination with the largest pivot of each column; not finite where A is singular."""
    M, rows = graph.node("Concat", A, f, axis=1), []
    for n in range(r, 0, -1):
        if n > 1:
            M, chosen = _exchanged(graph, M, n, k)
        else:
            chosen = M
        pivot, tail = _split(graph, chosen, n, k)
        rows.append(graph.node("Div", tail, pivot))
        if n > 1:
            column, rest = graph.slice(M, (1, 0, 1)), graph.slice(M, (1, 1, n + k))
            M = _less(graph, rest, column, rows[-1])
    return _back(graph, rows, r, k)


def least_squares_solution(graph: Graph, A: str, f: str, r: int) -> str:
    """x (r, c) with the least ||A x - f||, by the modified Gram-Schmidt process of (A, f).

    With f as one more column it is as stable as Householder's (Bjorck 1967); the condition number is not squared.

    Parameters
    ----------
    A : name of a tensor (m, r, c)
    f : name of a tensor (m, c)
    """
    M, rows = graph.node("Concat", A, graph.node("Unsqueeze", f, graph.integers(1)), axis=1), []
    for _ in range(r):
        row, M = orthogonal_step(graph, M)
        rows.append(row)
    return graph.reshape(_back(graph, rows, r, 1), (r,))


def orthogonal_step(graph: Graph, M: str) -> tuple[str, str]:
    """A row (1, n - 1, c) of the triangular factor by its diagonal entry, and the other columns without the first."""
    column, rest = graph.slice(M, (1, 0, 1)), graph.slice(M, (1, 1, _END))
    length = graph.node("Sqrt", graph.node("ReduceSumSquare", column, graph.integers(0), keepdims=1))
    direction = graph.node("Div", column, length)
    share = graph.sum(graph.node("Mul", direction, rest), 0, keep=True)
    return graph.node("Div", share, length), _less(graph, rest, direction, share)


def constant_solution(graph: Graph, A: np.ndarray, f: str) -> str:
    """x (r, k c) with A x = f (r, k c) for one matrix of numbers: its inverse and one step of refinement.

    Parameters
    ----------
    A : (r, r)
    f : name of a matrix
    """
    inverse, matrix = graph.constant(np.linalg.inv(A)), graph.constant(A)
    first = graph.node("MatMul", inverse, f)
    left = graph.node("Sub", f, graph.node("MatMul", matrix, first))
    return graph.node("Add", first, graph.node("MatMul", inverse, left))


def _joined(graph: Graph, A: str, f: str, start: int, stop: int, r: int) -> str:
    rows = graph.slice(A, (0, start, stop), (1, start, r))
    return graph.node("Concat", rows, graph.slice(f, (0, start, stop)), axis=1)


def _split(graph: Graph, M: str, n: int, k: int) -> tuple[str, str]:
    """The pivot (1, 1, c) and the rest (1, n - 1 + k, c) of the first row."""
    return graph.slice(M, (0, 0, 1), (1, 0, 1)), graph.slice(M, (0, 0, 1), (1, 1, n + k))


def _column(graph: Graph, tail: str, start: int, stop: int) -> str:
    """By symmetry, the entries below the pivot (stop - start, 1, c)."""
    return graph.reshape(graph.slice(tail, (1, start, stop)), (stop - start, 1))


def _less(graph: Graph, M: str, column: str, row: str) -> str:
    return graph.node("Sub", M, graph.node("Mul", column, row))


def _exchanged(graph: Graph, M: str, n: int, k: int) -> tuple[str, str]:
    """The other rows (n - 1, n + k, c), the first one in the place of the pivot's, and the pivot's (1, n + k, c)."""
    size = graph.node("Abs", graph.slice(M, (1, 0, 1)))
    place = graph.node("ArgMax", size, axis=0, keepdims=1)
    first, rest = graph.slice(M, (0, 0, 1)), graph.slice(M, (0, 1, n))
    shape = graph.node("Shape", first)
    chosen = graph.node("GatherElements", M, graph.node("Expand", place, shape), axis=0)
    here = graph.node("Equal", graph.constant(np.arange(1, n, dtype=np.int64)[:, None, None]), place)
    return graph.node("Where", here, first, rest), chosen


def _back(graph: Graph, rows: list[str], r: int, k: int) -> str:
    """Back substitution: row j is (1, r - 1 - j + k, c), its diagonal entry one."""
    x = rows[-1]
    for n, row in enumerate(reversed(rows[:-1]), start=1):
        factors = graph.reshape(graph.slice(row, (1, 0, n)), (n, 1))
        known = graph.sum(graph.node("Mul", factors, x), 0, keep=True)
        x = graph.node("Concat", graph.node("Sub", graph.slice(row, (1, n, n + k)), known), x, axis=0)
    return x
