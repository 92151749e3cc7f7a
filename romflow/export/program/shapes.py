"""What each operation of the language means, as the rule of its shape, and the check of whole programs.

=================================== ==================================================================================
op (inputs; attributes)             value
=================================== ==================================================================================
theta (columns; programs)           Q postfix programs of `romflow.parameters.language` over the inputs, which are ()
                                    or (K,): (Q,), or (Q, K) where one is (K,)
einsum (a, b; spec)                 NumPy's, explicit, without the letter of the batch: "q,qij->ij"
add subtract multiply divide (a, b) with NumPy's broadcasting; IEEE: x / 0 is infinite or NaN and no error
minimum maximum power (a, b)        NaN where an operand is NaN
negative abs sqrt exp square (a)
sum min max (a; axis)               over one axis, or all for None; the axis is not empty for min and max
select (c, a, b)                    a where c > 0, else b (also where c is NaN); with broadcasting
solve (A, b; definite)              x with A x = b; A (r, r), b (r,) or (r, k); definite: symmetric positive definite
least_squares (A, b)                argmin ||A x - b||_2; A (m, r) of full rank, b (m,)
concatenate (a, ...; axis)
reshape (a)                         to the shape of the node, row-major
slice (a; axis, start, stop)
take (a; axis, indices)             one index (the axis goes away) or a tuple of them
transpose (a; axes)
march (...; see `March`)
=================================== ==================================================================================

Every node has an input that depends on the parameter; operations on constants alone are done when a program is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ShapeError
from romflow.core.names import shown
from romflow.export.program.program import MU, March, Node, Program, Shape

__all__ = ["BROADCAST", "OPERATIONS", "REDUCTIONS", "UNARY", "check_program", "march_shapes", "shape_of", "shapes"]

UNARY = ("negative", "abs", "sqrt", "exp", "square")
BROADCAST = ("add", "subtract", "multiply", "divide", "minimum", "maximum", "power")
REDUCTIONS = ("sum", "min", "max")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SPEC = re.compile(r"([a-z]*),([a-z]*)->([a-z]*)", re.ASCII)

Rule = Callable[[Sequence[Shape], Mapping[str, Any]], Shape]


def shape_of(op: str, shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    """Shape of the value of an operation on values of these shapes.

    Raises
    ------
    ShapeError
        There is no such operation, or it does not take these.

    Examples
    --------
    >>> shape_of("einsum", [(3,), (3, 2, 2)], {"spec": "q,qij->ij"})
    (2, 2)
    """
    if op not in OPERATIONS:
        raise ShapeError(f"the operation {shown(op)} is none of {', '.join(OPERATIONS)}")
    try:
        return OPERATIONS[op](list(shapes), attributes)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ShapeError(f"{op} of {list(shapes)} with {shown(dict(attributes))}: {error!r}") from error


def shapes(program: Program, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
    """Shape of every value by name, `inputs` (of a body) and constants too; bodies are not entered."""
    found: dict[str, Shape] = dict(inputs) if inputs is not None else {MU: (program.size,)}
    found |= {name: value.shape for name, value in program.constants.items()}
    for node in program.nodes:
        found |= march_shapes(node, found) if node.op == "march" else {node.name: node.shape}
    return found


def march_shapes(node: Node, known: Mapping[str, Shape]) -> dict[str, Shape]:
    """Shapes of the values that a march gives."""
    march = March(**node.attributes)
    inner = shapes(march.body, body_inputs(node, known))
    found = {name: (march.count, *inner[march.body.results[result]]) for name, result in march.stacked.items()}
    return found | {name: inner[state] for name, state in march.final.items()}


def body_inputs(node: Node, known: Mapping[str, Shape]) -> dict[str, Shape]:
    """Shapes of the values that the body of a march begins with."""
    march = March(**node.attributes)
    found = {}
    for place, (name, outer) in enumerate(zip((*march.states, *march.steps, *march.fixed), node.inputs, strict=True)):
        cut = len(march.states) <= place < len(march.states) + len(march.steps)
        found[name] = known[outer][1:] if cut else known[outer]
    return found


def check_program(program: Program) -> None:
    """Look at the whole program: names, order, shapes, and that each node depends on the parameter.

    Raises
    ------
    ShapeError
        Saying which node.
    """
    _check(program, {MU: (program.size,)}, {MU}, {MU})


def _check(program: Program, inputs: dict[str, Shape], varying: set[str], taken: set[str]) -> dict[str, Shape]:
    known = dict(inputs)
    for name, value in program.constants.items():
        _new(name, taken)
        if not isinstance(value, np.ndarray) or value.dtype != np.float64:
            raise ShapeError(f"the constant {name} is no array of float64")
        known[name] = value.shape
    for node in program.nodes:
        absent = [name for name in node.inputs if name not in known]
        if absent:
            raise ShapeError(f"{node.op} {node.name} uses {absent[0]}, which is not made before")
        if not varying.intersection(node.inputs):
            raise ShapeError(f"{node.op} {node.name} does not depend on the parameter; make it a constant")
        made = _march(node, known, varying, taken) if node.op == "march" else _plain(node, known, taken)
        known |= made
        varying |= set(made)
    absent = [value for value in program.results.values() if value not in known]
    if absent:
        raise ShapeError(f"the result {absent[0]} is not made")
    return known


def _new(name: str, taken: set[str]) -> None:
    if not _NAME.fullmatch(name) or name in taken:
        raise ShapeError(f"the name {shown(name)} is no identifier, or taken")
    taken.add(name)


def _plain(node: Node, known: Mapping[str, Shape], taken: set[str]) -> dict[str, Shape]:
    _new(node.name, taken)
    shape = shape_of(node.op, [known[name] for name in node.inputs], {**node.attributes, "shape": node.shape})
    if shape != node.shape:
        raise ShapeError(f"{node.op} {node.name} has the shape {node.shape} and gives {shape}")
    return {node.name: shape}


def _march(node: Node, known: Mapping[str, Shape], varying: set[str], taken: set[str]) -> dict[str, Shape]:
    march = March(**node.attributes)
    names = (*march.states, *march.steps, *march.fixed)
    if len(names) != len(node.inputs) or march.count < 1:
        raise ShapeError(f"march {node.name} has {len(node.inputs)} inputs for {len(names)} names, {march.count} steps")
    cut = node.inputs[len(march.states):len(march.states) + len(march.steps)]
    if any(known[name][:1] != (march.count,) for name in cut):
        raise ShapeError(f"march {node.name}: what is cut into steps needs {march.count} rows")
    inputs = body_inputs(node, known)
    for name in names:
        _new(name, taken)
    # A state varies from its first step on, even where it begins as a constant.
    moving = set(march.states) | {name for name, outer in zip(names, node.inputs, strict=True) if outer in varying}
    inner = _check(march.body, inputs, moving, taken)
    for state in march.states:
        if inner[march.body.results[state]] != inputs[state]:
            raise ShapeError(f"march {node.name}: the state {state} changes its shape")
    for name in (*march.stacked, *march.final):
        _new(name, taken)
    return march_shapes(node, known)


def _theta(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    lengths = {shape for shape in shapes if shape}
    if len(lengths) > 1 or any(len(shape) > 1 for shape in lengths):
        raise ValueError("columns are () or all (K,)")
    programs = attributes["programs"]
    if any(kind == "column" and not 0 <= value < len(shapes) for program in programs for kind, value in program):
        raise ValueError("a program uses a column that is not there")
    return (len(programs), *(lengths.pop() if lengths else ()))


def _einsum(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    match = _SPEC.fullmatch(attributes["spec"])
    if match is None or len(shapes) != 2:
        raise ValueError("the spec is 'ab,bc->ac' with two operands")
    sizes: dict[str, int] = {}
    for letters, shape in zip(match.groups()[:2], shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"{letter} is {sizes[letter]} and {size}")
    return tuple(sizes[letter] for letter in match[3])


def _broadcast(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    return tuple(np.broadcast_shapes(*shapes))


def _same(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,) = shapes
    return shape


def _reduced(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,), axis = shapes, attributes["axis"]
    return () if axis is None else shape[:_axis(axis, shape)] + shape[axis + 1:]


def _solve(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    matrix, right = shapes
    if len(matrix) != 2 or matrix[0] != matrix[1] or right[:1] != matrix[:1] or len(right) > 2:
        raise ValueError("A is (r, r), b (r,) or (r, k)")
    return right


def _least_squares(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    matrix, right = shapes
    if len(matrix) != 2 or right != matrix[:1] or matrix[0] < matrix[1]:
        raise ValueError("A is (m, r) with m >= r, b (m,)")
    return matrix[1:]


def _concatenate(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    axis, first = attributes["axis"], shapes[0]
    _axis(axis, first)
    if any((*shape[:axis], *shape[axis + 1:]) != (*first[:axis], *first[axis + 1:]) for shape in shapes):
        raise ValueError("the other axes differ")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1:])


def _reshape(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,), wanted = shapes, tuple(attributes["shape"])
    if math.prod(shape) != math.prod(wanted):
        raise ValueError(f"it cannot have the shape {wanted}")
    return wanted


def _slice(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,), axis = shapes, attributes["axis"]
    start, stop = attributes["start"], attributes["stop"]
    if not 0 <= start <= stop <= shape[_axis(axis, shape)]:
        raise ValueError("start and stop are not within the axis")
    return (*shape[:axis], stop - start, *shape[axis + 1:])


def _take(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,), axis, indices = shapes, attributes["axis"], attributes["indices"]
    rows = (indices,) if isinstance(indices, int) else indices
    if any(not 0 <= index < shape[_axis(axis, shape)] for index in rows):
        raise ValueError("an index is not within the axis")
    return (*shape[:axis], *(() if isinstance(indices, int) else (len(rows),)), *shape[axis + 1:])


def _transpose(shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    (shape,), axes = shapes, attributes["axes"]
    if sorted(axes) != list(range(len(shape))):
        raise ValueError("the axes are no permutation")
    return tuple(shape[axis] for axis in axes)


def _axis(axis: int, shape: Shape) -> int:
    if not 0 <= axis < len(shape):
        raise ValueError(f"there is no axis {axis}")
    return axis


OPERATIONS: dict[str, Rule] = {
    "theta": _theta, "einsum": _einsum, **dict.fromkeys(BROADCAST, _broadcast), **dict.fromkeys(UNARY, _same),
    **dict.fromkeys(REDUCTIONS, _reduced), "select": _broadcast, "solve": _solve, "least_squares": _least_squares,
    "concatenate": _concatenate, "reshape": _reshape, "slice": _slice, "take": _take, "transpose": _transpose}
