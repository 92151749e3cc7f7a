"""Each operation of the language as C statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from romflow.export.compiled.einsum import Product, packed, product_of
from romflow.export.compiled.expressions import expression
from romflow.export.compiled.memory import Place
from romflow.export.compiled.text import loops, number, strides
from romflow.export.program.program import Node, Shape

if TYPE_CHECKING:
    from romflow.export.compiled.printer import Printer

__all__ = ["RULES"]

_FORMS = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
          "minimum": "rf_min({0}, {1})", "maximum": "rf_max({0}, {1})", "power": "pow({0}, {1})",
          "select": "{0} > 0.0 ? {1} : {2}", "negative": "-{0}", "abs": "fabs({0})", "sqrt": "sqrt({0})",
          "exp": "exp({0})", "square": "rf_square({0})"}
_NEEDS = {"minimum": "rf_min", "maximum": "rf_max", "square": "rf_square", "min": "rf_min", "max": "rf_max"}
_INNER = "abcdefgh"


def _own(shape: Shape) -> list[int]:
    return [math.prod(shape[k + 1:]) for k in range(len(shape))]


def _sum(*parts: str) -> str:
    return " + ".join(part for part in parts if part)


def _elementwise(printer: Printer, node: Node) -> None:
    constants = [printer.constant(name) for name in node.inputs]
    single = [value is not None and value.size == 1 for value in constants]
    operands = [None if alone else printer.place(name) for name, alone in zip(node.inputs, single, strict=True)]
    literals = [number(float(value.ravel()[0])) if value is not None and alone else ""
                for value, alone in zip(constants, single, strict=True)]
    new = printer.new(node)
    steps = [strides(printer.shape(name), node.shape) for name in (node.name, *node.inputs)]
    if node.op in _NEEDS:
        printer.kernels.add(_NEEDS[node.op])

    def body(at: Sequence[str]) -> list[str]:
        given = [literal if place is None else place.at(own)
                 for place, literal, own in zip(operands, literals, at[1:], strict=True)]
        return [f"{new.at(at[0])} = {_FORMS[node.op].format(*given)};"]

    printer.say(*loops(node.shape, steps, body))


def _theta(printer: Printer, node: Node) -> None:
    columns = [printer.place(name) for name in node.inputs]
    new, many = printer.new(node), len(node.shape) == 2

    def column(j: int) -> str:
        return columns[j].at("k" if columns[j].shape else "")

    lines = []
    for q, program in enumerate(node.attributes["programs"]):
        text, used = expression(program, column)
        printer.kernels |= used
        lines.append(f"{new.view((), q * node.shape[1]).at('k') if many else new.at(q)} = {text};")
    if many:
        lines = [f"for (int k = 0; k < {node.shape[1]}; k++) {{", *(f"    {line}" for line in lines), "}"]
    printer.say(*lines)


# --- products ---------------------------------------------------------------------------------------------------------


def _einsum(printer: Printer, node: Node) -> None:
    constants = [printer.constant(name) for name in node.inputs]
    product = product_of(node.attributes["spec"], [printer.shape(name) for name in node.inputs],
                         [value is not None for value in constants])
    if product is None or 0 in (product.rows, product.batch):
        _plain_einsum(printer, node)
        return
    matrix, own = constants[product.matrix], tuple(range(len(product.axes)))
    name = node.inputs[product.matrix]
    if matrix is not None:
        _by_constant(printer, node, product, name, matrix)
    elif product.axes == own:
        _product(printer, node, product, "rf_vecmat", printer.place(name).pointer)
    elif product.across == own:
        _product(printer, node, product, "rf_matvec", printer.place(name).pointer)
    else:
        _plain_einsum(printer, node)


def _by_constant(printer: Printer, node: Node, product: Product, name: str, values: NDArray[np.float64]) -> None:
    """The constant's axes are put in order here, and zeros at the ends of its rows left out."""
    own = "c" if product.axes == tuple(range(values.ndim)) else f"c{''.join(map(str, product.axes))}"
    table = np.ascontiguousarray(values.transpose(product.axes))
    less = packed(table.reshape(product.rows, product.columns)) if product.batch == 1 else None
    if less is None:
        _product(printer, node, product, "rf_vecmat", printer.table(f"{own}_{name}", table))
        return
    ends = printer.table(f"{own}e{product.rows}_{name}", less[0], "int")
    numbers = printer.table(f"{own}p{product.rows}_{name}", less[1])
    x, new = printer.place(node.inputs[product.vector]), printer.new(node)
    printer.kernels.add("rf_vecmat_packed")
    printer.say(f"rf_vecmat_packed({product.rows}, {product.columns}, {x.pointer}, {ends}, {numbers}, {new.pointer});")


def _product(printer: Printer, node: Node, product: Product, kernel: str, matrix: str) -> None:
    x, new = printer.place(node.inputs[product.vector]), printer.new(node)
    printer.kernels.add(kernel)
    rows, columns, batch = product.rows, product.columns, product.batch
    each = [matrix, x.pointer, new.pointer]
    if batch > 1:
        each = [f"{pointer} + {size} * k"
                for pointer, size in zip(each, (rows * columns, rows, columns), strict=True)]
    call = (f"rf_vecmat({rows}, {columns}, {each[1]}, {each[0]}, {each[2]});" if kernel == "rf_vecmat" else
            f"rf_matvec({columns}, {rows}, {each[0]}, {each[1]}, {each[2]});")
    printer.say(call if batch == 1 else f"for (int k = 0; k < {batch}; k++) {call}")


def _plain_einsum(printer: Printer, node: Node) -> None:
    left, _, out = node.attributes["spec"].partition("->")
    letters = left.split(",")
    operands = [printer.place(name) for name in node.inputs]
    sizes = {letter: size for own, place in zip(letters, operands, strict=True)
             for letter, size in zip(own, place.shape, strict=True)}
    summed = "".join(sorted(set("".join(letters)) - set(out)))
    new = printer.new(node)

    def steps(own: str, order: str) -> list[int]:
        each = _own(tuple(sizes[letter] for letter in own))
        return [sum(step for step, other in zip(each, own, strict=True) if other == letter) for letter in order]

    inner = [sizes[letter] for letter in summed]

    def body(at: Sequence[str]) -> list[str]:
        def term(more: Sequence[str]) -> list[str]:
            one, two = (place.at(_sum(outer, own)) for place, outer, own in zip(operands, at[1:], more, strict=True))
            return [f"sum += {one} * {two};"]
        lines = loops(inner, [steps(own, summed) for own in letters], term, _INNER) if 0 not in inner else []
        return ["double sum = 0.0;", *lines, f"{new.at(at[0])} = sum;"]

    _block(printer, loops(node.shape, [steps(own, out) for own in (out, *letters)], body))


def _block(printer: Printer, lines: Sequence[str]) -> None:
    printer.say("{", *(f"    {line}" for line in lines), "}")


# --- systems ----------------------------------------------------------------------------------------------------------


def _solve(printer: Printer, node: Node) -> None:
    matrix, right = (printer.place(name) for name in node.inputs)
    new, scratch = printer.new(node), printer.memory.allocate(matrix.shape)
    printer.copy(scratch, matrix)
    printer.copy(new, right)
    columns = node.shape[1] if len(node.shape) == 2 else 1
    kernel = "rf_solve_definite" if node.attributes.get("definite") else "rf_solve"
    printer.kernels.add(kernel)
    printer.say(f"{kernel}({matrix.shape[0]}, {columns}, {scratch.pointer}, {new.pointer});")
    printer.memory.release(scratch)


def _least_squares(printer: Printer, node: Node) -> None:
    matrix, right = (printer.place(name) for name in node.inputs)
    new = printer.new(node)
    scratch = [printer.memory.allocate(shape) for shape in (matrix.shape, right.shape, node.shape)]
    printer.copy(scratch[0], matrix)
    printer.copy(scratch[1], right)
    printer.kernels.add("rf_least_squares")
    pointers = ", ".join(place.pointer for place in (scratch[0], scratch[1], new, scratch[2]))
    printer.say(f"rf_least_squares({matrix.shape[0]}, {matrix.shape[1]}, {pointers});")
    for place in scratch:
        printer.memory.release(place)


# --- reductions and moves ---------------------------------------------------------------------------------------------


def _reduced(printer: Printer, node: Node) -> None:
    source, axis = printer.place(node.inputs[0]), node.attributes["axis"]
    shape = source.shape
    before, count, after = ((1, source.count, 1) if axis is None else
                            (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])))
    new = printer.new(node)
    form = "{0} + {1}"
    if node.op != "sum":
        form = f"rf_{node.op}({{0}}, {{1}})"
        printer.kernels.add(_NEEDS[node.op])

    def body(at: Sequence[str]) -> list[str]:
        if not count:
            return [f"{new.at(at[0])} = 0.0;"]
        step = "k" if after == 1 else f"{after} * k"
        more = form.format("found", source.at(_sum(at[1], step)))
        return [f"double found = {source.at(at[1])};", f"for (int k = 1; k < {count}; k++) found = {more};",
                f"{new.at(at[0])} = found;"]

    _block(printer, loops((before, after), [[after, 1], [count * after, 1]], body))


def _concatenate(printer: Printer, node: Node) -> None:
    axis, new, start = node.attributes["axis"], printer.new(node), 0
    own = _own(node.shape)
    for name in node.inputs:
        part = printer.place(name)
        printer.copy(new.view(part.shape, start * own[axis]), part, [own, _own(part.shape)])
        start += part.shape[axis]


def _reshape(printer: Printer, node: Node) -> None:
    printer.alias(node, printer.place(node.inputs[0]).view(node.shape))


def _slice(printer: Printer, node: Node) -> None:
    source, axis = printer.place(node.inputs[0]), node.attributes["axis"]
    own = _own(source.shape)
    part = source.view(node.shape, node.attributes["start"] * own[axis])
    if math.prod(source.shape[:axis]) == 1:
        printer.alias(node, part)
    else:
        printer.copy(printer.new(node), part, [_own(node.shape), own])


def _take(printer: Printer, node: Node) -> None:
    source, axis, indices = printer.place(node.inputs[0]), node.attributes["axis"], node.attributes["indices"]
    own = _own(source.shape)
    before, after = math.prod(source.shape[:axis]), own[axis]
    if isinstance(indices, int):
        part = source.view(node.shape, indices * after)
        if before == 1:
            printer.alias(node, part)
        else:
            printer.copy(printer.new(node), part, [_own(node.shape), [*own[:axis], *own[axis + 1:]]])
        return
    table = printer.table(f"rows_{node.name}", np.array(indices, dtype=np.int64) * after, "int")
    new = printer.new(node)
    steps = [[len(indices) * after, after, 1], [source.shape[axis] * after, 0, 1], [0, 1, 0]]

    def body(at: Sequence[str]) -> list[str]:
        return [f"{new.at(at[0])} = {source.at(_sum(at[1], f'{table}[{at[2] or 0}]'))};"]

    printer.say(*loops((before, len(indices), after), steps, body))


def _transpose(printer: Printer, node: Node) -> None:
    source = printer.place(node.inputs[0])
    own = _own(source.shape)
    moved = Place(source.array, node.shape, source.base, source.step)
    printer.copy(printer.new(node), moved, [_own(node.shape), [own[axis] for axis in node.attributes["axes"]]])


Rule = Callable[["Printer", Node], None]

RULES: dict[str, Rule] = {
    **dict.fromkeys(_FORMS, _elementwise), "theta": _theta, "einsum": _einsum, "solve": _solve,
    "least_squares": _least_squares, **dict.fromkeys(("sum", "min", "max"), _reduced), "concatenate": _concatenate,
    "reshape": _reshape, "slice": _slice, "take": _take, "transpose": _transpose}
