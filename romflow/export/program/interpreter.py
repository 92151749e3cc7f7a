"""Programs run by NumPy, whole batches at once: the reference that every printed language must agree with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ShapeError
from romflow.export.program.program import MU, Array, March, Node, Program
from romflow.export.program.shapes import march_shapes, shapes
from romflow.parameters.language import run as run_postfix

__all__ = ["batch_size", "evaluate", "is_matrix_product", "run"]

# Numbers of the largest value of a chunk of parameters: 8 MB, and the most parameters at once.
_NUMBERS, _MOST = 1_000_000, 2000

# The value and whether it has a batch axis.
Operand = tuple[Any, bool]


def run(program: Program, mu: Any) -> dict[str, Array]:
    """All results at mu (b, p): name -> (b, ...), without a loop over b.

    Raises
    ------
    ShapeError
        mu is not (b, p).
    numpy.linalg.LinAlgError
        A system is singular.

    Examples
    --------
    >>> from romflow.export.program.builder import Builder
    >>> builder = Builder(["a", "b"])
    >>> run(builder.finish({"total": builder.mu.sum()}), [[1.0, 2.0]])
    {'total': array([3.])}
    """
    rows = np.asarray(mu, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != program.size:
        raise ShapeError(f"mu has shape {rows.shape}; the rule is (b, {program.size})")
    size = batch_size(program)
    parts = [_results(program, {MU: (rows[i:i + size], True)}) for i in range(0, max(len(rows), 1), size)]
    return {name: np.concatenate([part[name][0] for part in parts]) for name in program.results}


def batch_size(program: Program) -> int:
    """How many parameters at once keep the values small."""
    largest = max((math.prod(shape) for shape in _all_shapes(program)), default=1)
    return max(1, min(_MOST, _NUMBERS // max(1, largest)))


def evaluate(node: Node, operands: Sequence[Operand]) -> Array:
    """The value of one node, which is no march; with a batch axis if an operand has one."""
    return np.asarray(_KERNELS[node.op](node, operands))


def _all_shapes(program: Program) -> list[tuple[int, ...]]:
    known = shapes(program)
    found: list[tuple[int, ...]] = []
    for node in program.nodes:
        if node.op == "march":
            found += march_shapes(node, known).values()
            found += [inner.shape for inner in March(**node.attributes).body.nodes]
        else:
            found.append(node.shape)
    return found


def _results(program: Program, inputs: Mapping[str, Operand]) -> dict[str, Operand]:
    values: dict[str, Operand] = dict(inputs)
    values |= {name: (value, False) for name, value in program.constants.items()}
    with np.errstate(all="ignore"):
        for node in program.nodes:
            operands = [values[name] for name in node.inputs]
            if node.op == "march":
                values |= _march(March(**node.attributes), operands)
            else:
                values[node.name] = evaluate(node, operands), True
    return {name: values[value] for name, value in program.results.items()}


def _march(march: March, operands: Sequence[Operand]) -> dict[str, Operand]:
    b = next(len(value) for value, batched in operands if batched)
    count, cut = len(march.states), len(march.states) + len(march.steps)
    states = {name: (value if batched else np.broadcast_to(value, (b, *value.shape)), True)
              for name, (value, batched) in zip(march.states, operands, strict=False)}
    fixed = dict(zip(march.fixed, operands[cut:], strict=True))
    stacked: dict[str, list[Array]] = {name: [] for name in march.stacked}
    for k in range(march.count):
        slices = {name: (value[:, k] if batched else value[k], batched)
                  for name, (value, batched) in zip(march.steps, operands[count:cut], strict=True)}
        found = _results(march.body, states | slices | fixed)
        for name, result in march.stacked.items():
            stacked[name].append(found[result][0])
        states = {name: found[name] for name in march.states}
    ended = {name: states[state] for name, state in march.final.items()}
    return {name: (np.stack(rows, axis=1), True) for name, rows in stacked.items()} | ended


def _padded(node: Node, operands: Sequence[Operand]) -> list[Array]:
    """Operands of a broadcast: those with a batch axis get ones behind it up to the rank of the value."""
    found = []
    for value, batched in operands:
        ones = (1,) * (len(node.shape) - value.ndim + 1) if batched else ()
        found.append(value.reshape(value.shape[0], *ones, *value.shape[1:]) if ones else value)
    return found


def _broadcast(function: Callable[[Any, Any], Any]) -> Callable[[Node, Sequence[Operand]], Array]:
    return lambda node, operands: function(*_padded(node, operands))


def _unary(function: Callable[[Any], Any]) -> Callable[[Node, Sequence[Operand]], Array]:
    return lambda node, operands: function(operands[0][0])


def _reduction(function: Callable[..., Any]) -> Callable[[Node, Sequence[Operand]], Array]:
    def reduced(node: Node, operands: Sequence[Operand]) -> Array:
        (value, batched), axis = operands[0], node.attributes["axis"]
        if axis is None:
            return np.asarray(function(value, axis=tuple(range(int(batched), value.ndim))))
        return np.asarray(function(value, axis=axis + batched))

    return reduced


def _theta(node: Node, operands: Sequence[Operand]) -> Array:
    wide = len(node.shape) == 2
    columns = {j: value[:, None] if wide and batched and value.ndim == 1 else value
               for j, (value, batched) in enumerate(operands)}
    batch = [len(value) for value, batched in operands if batched][:1]
    shape = (*batch, *node.shape[1:])
    rows = [np.broadcast_to(run_postfix(program, columns), shape) for program in node.attributes["programs"]]
    return np.stack(rows, axis=len(batch)) if rows else np.empty((*batch, *node.shape))


def _einsum(node: Node, operands: Sequence[Operand]) -> Array:
    left, right, result = node.attributes["spec"].replace("->", ",").split(",")
    letters = ["Z" * batched + text for text, (_, batched) in zip((left, right), operands, strict=True)]
    total = "Z" * any(batched for _, batched in operands) + result
    return np.asarray(np.einsum(f"{letters[0]},{letters[1]}->{total}", *(value for value, _ in operands),
                                optimize=is_matrix_product(*letters)))


def is_matrix_product(left: str, right: str) -> bool:
    """Whether both operands of an einsum have letters of their own, so that BLAS multiplies them as matrices.

    Examples
    --------
    >>> is_matrix_product("Zq", "qij"), is_matrix_product("Zij", "Zj")
    (True, False)
    """
    return bool(set(left) - set(right)) and bool(set(right) - set(left))


def _solve(node: Node, operands: Sequence[Operand]) -> Array:
    (A, _), (f, batched) = operands
    if len(node.shape) == 2:
        return np.linalg.solve(A, f)
    return np.linalg.solve(A, f[..., None])[..., 0]


def _least_squares(node: Node, operands: Sequence[Operand]) -> Array:
    (A, _), (f, _) = operands
    Q, R = np.linalg.qr(A)
    return np.linalg.solve(R, Q.swapaxes(-1, -2) @ f[..., None])[..., 0]


def _concatenate(node: Node, operands: Sequence[Operand]) -> Array:
    batch = next((value.shape[:1] for value, batched in operands if batched), ())
    whole = [value if batched else np.broadcast_to(value, (*batch, *value.shape)) for value, batched in operands]
    return np.concatenate(whole, axis=node.attributes["axis"] + len(batch))


def _reshape(node: Node, operands: Sequence[Operand]) -> Any:
    value, batched = operands[0]
    return value.reshape(*(value.shape[:1] if batched else ()), *node.shape)


def _slice(node: Node, operands: Sequence[Operand]) -> Any:
    value, batched = operands[0]
    place = slice(node.attributes["start"], node.attributes["stop"])
    return value[(slice(None),) * (node.attributes["axis"] + batched) + (place,)]


def _take(node: Node, operands: Sequence[Operand]) -> Array:
    value, batched = operands[0]
    indices = node.attributes["indices"]
    place = indices if isinstance(indices, int) else list(indices)
    return np.take(value, place, axis=node.attributes["axis"] + batched)


def _transpose(node: Node, operands: Sequence[Operand]) -> Any:
    value, batched = operands[0]
    axes = [axis + batched for axis in node.attributes["axes"]]
    return value.transpose([0, *axes] if batched else axes)


def _select(node: Node, operands: Sequence[Operand]) -> Array:
    condition, yes, no = _padded(node, operands)
    return np.where(condition > 0.0, yes, no)


_KERNELS: dict[str, Callable[[Node, Sequence[Operand]], Any]] = {
    "theta": _theta, "einsum": _einsum, "select": _select, "solve": _solve, "least_squares": _least_squares,
    "concatenate": _concatenate, "reshape": _reshape, "slice": _slice, "take": _take, "transpose": _transpose,
    **{name: _broadcast(getattr(np, name)) for name in
       ("add", "subtract", "multiply", "divide", "minimum", "maximum", "power")},
    **{name: _unary(getattr(np, name)) for name in ("negative", "abs", "sqrt", "exp", "square")},
    **{name: _reduction(getattr(np, name)) for name in ("sum", "min", "max")}}
