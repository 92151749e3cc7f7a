"""Sums of products in ONNX: MatMul where it pays, products and sums of rows otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from romflow.export.onnx.graph import Graph, Value

__all__ = ["einsum"]

# Products from which on a matrix that a loop does not change is given to MatMul, with the batch as its first axis.
_LARGE = 1000


def einsum(graph: Graph, left: Value, right: Value, spec: str) -> Value:
    """The value of NumPy's einsum of two operands, whose letters leave the batch out."""
    operands, out = spec.split("->")
    first, second = operands.split(",")
    if left.constant is not None:
        return _by_matrix(graph, left.constant, first, right, second, out)
    if right.constant is not None:
        return _by_matrix(graph, right.constant, second, left, first, out)
    x, first = _alone(graph, left, first, second + out)
    y, second = _alone(graph, right, second, first + out)
    method = _by_batches if _pays(graph, (x, first), (y, second), out) else _by_rows
    return method(graph, (x, first), (y, second), out)


def _by_matrix(graph: Graph, C: np.ndarray, letters: str, x: Value, others: str, out: str) -> Value:
    sizes = dict(zip(letters, C.shape, strict=True)) | dict(zip(others, x.shape, strict=True))
    kept = [letter for letter in out if letter in letters and letter in others]
    summed = [letter for letter in letters if letter in others and letter not in out]
    ours = [letter for letter in out if letter in letters and letter not in others]
    theirs = [letter for letter in out if letter in others and letter not in letters]
    C = _summed(C, letters, [*kept, *ours, *summed])
    x, others = _alone(graph, x, others, letters + out)
    if not summed:
        return _by_rows(graph, (_value(graph, C), "".join([*kept, *ours])), (x, others), out)
    tensor = _transposed(graph, x.name, others, [*kept, *summed, *theirs])
    counts = [math.prod(sizes[letter] for letter in group) for group in (kept, ours, summed)]
    matrix = C.reshape(counts if kept else counts[1:])
    columns = graph.reshape(tensor, counts[::2] if kept else counts[2:])
    product = graph.node("MatMul", graph.constant(matrix), columns)
    made = [*kept, *ours, *theirs]
    shape = [sizes[letter] for letter in made]
    tensor = product if len(made) == len(ours) == 1 else graph.reshape(product, shape)
    return Value(_transposed(graph, tensor, "".join(made), out), tuple(sizes[letter] for letter in out), x.wide)


def _by_rows(graph: Graph, left: tuple[Value, str], right: tuple[Value, str], out: str) -> Value:
    sizes = _sizes(left, right)
    summed = [letter for letter in sizes if letter not in out]
    order = [*out, *summed]
    names = [_aligned(graph, value, letters, order) for value, letters in (left, right)]
    tensor = graph.node("Mul", *names)
    if summed:
        tensor = graph.sum(tensor, *range(len(out), len(order)))
    return Value(tensor, tuple(sizes[letter] for letter in out), left[0].wide or right[0].wide)


def _pays(graph: Graph, left: tuple[Value, str], right: tuple[Value, str], out: str) -> bool:
    """Whether MatMul over the batch is faster than rows, though it wants the batch first."""
    sizes = _sizes(left, right)
    summed = [letter for letter in sizes if letter not in out]
    alone = [any(letter not in other for letter in letters) for letters, other in ((left[1], right[1]),
                                                                                 (right[1], left[1]))]
    steady = graph.outer(left[0].name) or graph.outer(right[0].name)
    return bool(summed) and math.prod(sizes.values()) >= _LARGE and (all(alone) or steady)


def _by_batches(graph: Graph, left: tuple[Value, str], right: tuple[Value, str], out: str) -> Value:
    sizes, first, second = _sizes(left, right), left[1], right[1]
    kept = [letter for letter in out if letter in first and letter in second]
    summed = [letter for letter in first if letter not in out]
    ours = [letter for letter in out if letter not in second]
    theirs = [letter for letter in out if letter not in first]
    product = graph.node("MatMul", _batch_first(graph, left, (kept, ours, summed), sizes),
                         _batch_first(graph, right, (kept, summed, theirs), sizes))
    made = [*kept, *ours, *theirs]
    tensor = graph.node("Reshape", product, graph.integers(-1, *(sizes[letter] for letter in made)))
    tensor = graph.node("Transpose", tensor, perm=[*(made.index(letter) + 1 for letter in out), 0]) if made else tensor
    return Value(tensor, tuple(sizes[letter] for letter in out), left[0].wide or right[0].wide)


def _batch_first(graph: Graph, operand: tuple[Value, str], groups: Sequence[Sequence[str]],
                 sizes: dict[str, int]) -> str:
    """The tensor with the batch and then an axis for each group of letters."""
    value, letters = operand
    order = [letters.index(letter) for group in groups for letter in group]
    tensor = graph.node("Transpose", value.name, perm=[len(letters), *order])
    return graph.node("Reshape", tensor, graph.integers(-1, *(math.prod(sizes[letter] for letter in group)
                                                              for group in groups)))


def _sizes(left: tuple[Value, str], right: tuple[Value, str]) -> dict[str, int]:
    """Length of each letter."""
    sizes: dict[str, int] = {}
    for value, letters in (left, right):
        sizes |= zip(letters, value.shape, strict=True)
    return sizes


def _summed(C: np.ndarray, letters: str, wanted: Sequence[str]) -> np.ndarray:
    """The array with its axes in this order, summed over all others."""
    return np.array(np.einsum(f"{letters}->{''.join(wanted)}", C), order="C")


def _alone(graph: Graph, x: Value, letters: str, needed: str) -> tuple[Value, str]:
    """`x` summed over the letters that only it has."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in needed]
    if not axes:
        return x, letters
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    left = "".join(letter for letter in letters if letter in needed)
    return Value(graph.sum(x.name, *axes), shape, x.wide), left


def _value(graph: Graph, C: np.ndarray) -> Value:
    return Value(graph.constant(C[..., None]), C.shape, False, C)


def _transposed(graph: Graph, tensor: str, letters: str, wanted: Sequence[str]) -> str:
    order = [letters.index(letter) for letter in wanted]
    if order == list(range(len(order))):
        return tensor
    return graph.node("Transpose", tensor, perm=[*order, len(order)])


def _aligned(graph: Graph, value: Value, letters: str, order: Sequence[str]) -> str:
    """The tensor with an axis for each letter of the order, of length 1 where it has not the letter."""
    here = [letter for letter in order if letter in letters]
    tensor = _transposed(graph, value.name, letters, here)
    absent = [axis for axis, letter in enumerate(order) if letter not in letters]
    return graph.node("Unsqueeze", tensor, graph.integers(*absent)) if absent else tensor
