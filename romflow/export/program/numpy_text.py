"""Programs printed as Python source that needs NumPy alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from romflow.export.program.interpreter import is_matrix_product
from romflow.export.program.program import MU, March, Node, Program, Shape
from romflow.export.program.shapes import BROADCAST, REDUCTIONS, body_inputs, march_shapes
from romflow.parameters.language import written

__all__ = ["HELPER", "numpy_source"]

_WIDTH = 96
_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_NAMES = {"min": "minimum", "max": "maximum"}
_NUMBER = re.compile(r"-?[0-9.]+(e[-+]?[0-9]+)?")

#: The function that the printed text calls for coefficients.
HELPER = '''\
def _table(shape, *rows):
    return np.stack([np.broadcast_to(np.asarray(row, dtype=float), shape) for row in rows], axis=1)
'''


def numpy_source(program: Program, constant: Callable[[str], str], indent: str = "    ") -> str:
    """Lines that make the results of a program from an array ``mu`` (b, p), with ``b = len(mu)`` before them.

    Parameters
    ----------
    program : Program
    constant : callable
        Name of a constant -> the text that stands for its array.
    indent : str
        Before each line.

    Returns
    -------
    str
        The last line returns a dictionary of the results, each with the batch axis first.

    Examples
    --------
    >>> from romflow.export.program.builder import Builder
    >>> builder = Builder(["a", "b"])
    >>> program = builder.finish({"length": builder.mu.square().sum().sqrt()})
    >>> print(numpy_source(program, repr))
        return {"length": np.sqrt(np.sum(np.square(mu), axis=1))}
    """
    printer = _Printer(constant)
    printer.begin({MU: (program.size,)})
    printer.program(program, indent)
    results = ", ".join(f'"{name}": {printer.text(value)}' for name, value in program.results.items())
    if len(results) > _WIDTH:
        results = f"\n{indent}    " + results.replace(", \"", f",\n{indent}    \"")
    return "\n".join([*printer.lines, f"{indent}return {{{results}}}"])


class _Printer:
    """The text, shape and batch axis of each value, and the lines so far."""

    def __init__(self, constant: Callable[[str], str]) -> None:
        self._constant = constant
        self.lines: list[str] = []
        self._texts: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {}
        self._same: set[str] = set()

    def begin(self, inputs: Mapping[str, Shape]) -> None:
        self._shapes |= inputs
        self._texts |= {name: name for name in inputs}

    def text(self, name: str) -> str:
        """The text of a value as an operand of anything."""
        return self._texts[name]

    def program(self, program: Program, indent: str) -> None:
        """The lines of all nodes."""
        for name, value in program.constants.items():
            self._shapes[name] = value.shape
            self._same.add(name)
            self._texts[name] = _number(value) if value.ndim == 0 else self._constant(name)
        counts = Counter(name for node in program.nodes for name in node.inputs)
        counts.update(program.results.values())
        for node in program.nodes:  # what a march uses again and again is made before it
            counts.update(node.inputs if node.op == "march" else ())
        for node in program.nodes:
            if node.op == "march":
                self._march(node, indent)
            else:
                self._plain(node, indent, counts[node.name])

    def _plain(self, node: Node, indent: str, uses: int) -> None:
        self._shapes[node.name] = node.shape
        text = self._expression(node, indent)
        short = node.op == "take" and node.inputs[0] == MU
        if short or (uses == 1 and node.op not in ("theta", "solve", "least_squares") and len(text) < _WIDTH):
            self._texts[node.name] = text
            return
        self.lines.append(f"{indent}{node.name} = {_bare(text)}")
        self._texts[node.name] = node.name

    def _expression(self, node: Node, indent: str) -> str:
        if node.op in BROADCAST:
            left, right = (self._padded(name, node.shape) for name in node.inputs)
            sign = _SIGNS.get(node.op)
            return f"np.{node.op}({_bare(left)}, {_bare(right)})" if sign is None else f"({left} {sign} {right})"
        if node.op in REDUCTIONS:
            return self._reduction(node)
        special = getattr(self, f"_{node.op}", None)
        if special is not None:
            return str(special(node, indent))
        return f"np.{node.op}({_bare(self._texts[node.inputs[0]])})"

    def _padded(self, name: str, shape: Shape) -> str:
        """A value with as many axes behind that of the batch as `shape` has."""
        missing = len(shape) - len(self._shapes[name])
        if name in self._same or not missing:
            return self._texts[name]
        return f"{self._texts[name]}[:, {', '.join(['None'] * missing)}]"

    def _reduction(self, node: Node) -> str:
        (name,), axis = node.inputs, node.attributes["axis"]
        rank = len(self._shapes[name])
        axes = axis + 1 if axis is not None else tuple(range(1, rank + 1)) if rank > 1 else 1
        return self._texts[name] if not rank else f"np.{node.op}({_bare(self._texts[name])}, axis={axes})"

    def _theta(self, node: Node, indent: str) -> str:
        wide = len(node.shape) == 2
        columns = [self._padded(name, (1,) if wide else ()) for name in node.inputs]
        rows = [written(program, lambda j: columns[j], lambda name: f"np.{_NAMES.get(name, name)}")
                for program in node.attributes["programs"]]
        shape = f"(b, {node.shape[1]})" if wide else "b"
        return f"_table({_listed([shape, *rows], indent)})"

    def _einsum(self, node: Node, indent: str) -> str:
        left, right, result = node.attributes["spec"].replace("->", ",").split(",")
        letters = ["" if name in self._same else "Z" for name in node.inputs]
        left, right = letters[0] + left, letters[1] + right
        blas = ", optimize=True" if is_matrix_product(left, right) else ""
        operands = ", ".join(_bare(self._texts[name]) for name in node.inputs)
        return f"np.einsum(\"{left},{right}->Z{result}\", {operands}{blas})"

    def _select(self, node: Node, indent: str) -> str:
        condition, yes, no = (_bare(self._padded(name, node.shape)) for name in node.inputs)
        return f"np.where({condition} > 0, {yes}, {no})"

    def _solve(self, node: Node, indent: str) -> str:
        matrix, right = (_bare(self._texts[name]) for name in node.inputs)
        if len(node.shape) == 2:
            return f"np.linalg.solve({matrix}, {right})"
        return f"np.linalg.solve({matrix}, {self._texts[node.inputs[1]]}[..., None])[..., 0]"

    def _least_squares(self, node: Node, indent: str) -> str:
        matrix, right = (self._texts[name] for name in node.inputs)
        self.lines.append(f"{indent}Q, R = np.linalg.qr({_bare(matrix)})")
        return f"np.linalg.solve(R, Q.swapaxes(1, 2) @ {right}[..., None])[..., 0]"

    def _concatenate(self, node: Node, indent: str) -> str:
        axis = node.attributes["axis"] + 1
        parts = [self._whole(name) for name in node.inputs]
        return f"np.concatenate([{', '.join(parts)}], axis={axis})"

    def _whole(self, name: str) -> str:
        """The value with the axis of the batch, whether it has it or not."""
        text = _bare(self._texts[name])
        if name not in self._same:
            return text
        shape = ", ".join(["b", *map(str, self._shapes[name])]) + "," * (not self._shapes[name])
        return f"np.broadcast_to({text}, ({shape}))"

    def _reshape(self, node: Node, indent: str) -> str:
        return f"{self._texts[node.inputs[0]]}.reshape({', '.join(['b', *map(str, node.shape)])})"

    def _slice(self, node: Node, indent: str) -> str:
        place = [":"] * (node.attributes["axis"] + 1) + [f"{node.attributes['start']}:{node.attributes['stop']}"]
        return f"{self._texts[node.inputs[0]]}[{', '.join(place)}]"

    def _take(self, node: Node, indent: str) -> str:
        indices = node.attributes["indices"]
        if isinstance(indices, int):
            place = [":"] * (node.attributes["axis"] + 1) + [str(indices)]
            return f"{self._texts[node.inputs[0]]}[{', '.join(place)}]"
        chosen = f"[{_listed(map(str, indices), indent)}]"
        return f"np.take({_bare(self._texts[node.inputs[0]])}, {chosen}, axis={node.attributes['axis'] + 1})"

    def _transpose(self, node: Node, indent: str) -> str:
        axes = ", ".join(str(axis + 1) for axis in node.attributes["axes"])
        return f"{self._texts[node.inputs[0]]}.transpose(0, {axes})"

    def _march(self, node: Node, indent: str) -> None:
        march = March(**node.attributes)
        count, cut = len(march.states), len(march.states) + len(march.steps)
        inner = body_inputs(node, self._shapes)
        self._shapes |= inner | march_shapes(node, self._shapes)
        for state, start in zip(march.states, node.inputs, strict=False):
            self.lines.append(f"{indent}{state} = {self._whole(start)}")
            self._texts[state] = state
        for name, fixed in zip(march.fixed, node.inputs[cut:], strict=True):
            self._texts[name] = self._texts[fixed]
        for name, rows in zip(march.steps, node.inputs[count:cut], strict=True):
            same = rows in self._same
            self._same |= {name} if same else set()
            self._texts[name] = f"{self._texts[rows]}[{'k' if same else ':, k'}]"
        names = ", ".join(march.stacked)
        self.lines.append(f"{indent}{names} = {', '.join(['[]'] * len(march.stacked))}")
        self.lines.append(f"{indent}for k in range({march.count}):")
        self.program(march.body, indent + "    ")
        for name, result in march.stacked.items():
            self.lines.append(f"{indent}    {name}.append({_bare(self._texts[march.body.results[result]])})")
        states = ", ".join(march.states)
        following = ", ".join(_bare(self._texts[march.body.results[state]]) for state in march.states)
        self.lines.append(f"{indent}    {states} = {following}")
        stacks = ", ".join(f"np.stack({name}, axis=1)" for name in march.stacked)
        self.lines.append(f"{indent}{names} = {stacks}")
        self._texts |= {name: name for name in march.stacked} | dict(march.final)


def _number(value: Any) -> str:
    number = float(value)
    if math.isnan(number):
        return "np.nan"
    if math.isinf(number):
        return "np.inf" if number > 0 else "-np.inf"
    return repr(number) if np.copysign(1.0, number) > 0 else f"({number!r})"


def _bare(text: str) -> str:
    """The text without parentheses around the whole of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return text[1:-1] if place == len(text) - 1 else text
    return text


def _listed(items: Iterable[str], indent: str) -> str:
    """Items separated by commas, on several lines where they are many."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > _WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    return f"\n{indent}    ".join([*lines, line.rstrip()]).removesuffix(",")
