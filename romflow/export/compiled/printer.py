"""A program as C statements: where its values lie and when they are dead, and its loops in time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.export.compiled.memory import Memory, Place
from romflow.export.compiled.operations import RULES
from romflow.export.compiled.text import array, loops, strides
from romflow.export.program.program import MU, March, Node, Program, Shape
from romflow.export.program.shapes import march_shapes

__all__ = ["Printer"]


class Printer:
    """Statements of a program; afterwards `lines`, `tables`, `kernels`, `memory.peak` and `places` are filled.

    Parameters
    ----------
    program : Program
        As `romflow.export.program.shapes.check_program` lets pass.

    Attributes
    ----------
    lines : list of str
        Of the function; the parameter is "mu", the work array "w".
    tables : list of str
        Definitions of constants.
    kernels : set of str
    memory : Memory
    places : dict of str to Place
        Of the values; those of the results are still whole at the end.

    Raises
    ------
    NotSupported
        The program has an operation that has no C text.
    """

    def __init__(self, program: Program) -> None:
        self.lines: list[str] = []
        self.tables: list[str] = []
        self.kernels: set[str] = set()
        self.memory = Memory()
        self.places: dict[str, Place] = {MU: Place("mu", (program.size,))}
        self._constants: dict[str, NDArray[np.float64]] = {}
        self._written: set[str] = set()
        self._depth = 0
        self._run(program)

    # --- what operations use ------------------------------------------------------------------------------------------

    def say(self, *lines: str) -> None:
        """Add statements."""
        self.lines += [f"{'    ' * (self._depth + 1)}{line}" for line in lines]

    def constant(self, name: str) -> NDArray[np.float64] | None:
        """The numbers of a constant, None for a value that is computed."""
        return None if name in self.places else self._constants[name]

    def shape(self, name: str) -> Shape:
        """Of a value or constant."""
        return self.places[name].shape if name in self.places else self._constants[name].shape

    def place(self, name: str) -> Place:
        """Of a value; a constant gets its table."""
        if name in self.places:
            return self.places[name]
        value = self._constants[name]
        return Place(self.table(f"c_{name}", value), value.shape)

    def table(self, name: str, values: NDArray[np.float64] | NDArray[np.int64], kind: str = "double") -> str:
        """The C name of a table of constants, which is written once."""
        if name not in self._written:
            self._written.add(name)
            self.tables.append(array(name, values, kind))
        return name

    def new(self, node: Node) -> Place:
        """The place of the value of a node."""
        return self._allocate(node.name, node.shape)

    def alias(self, node: Node, place: Place) -> None:
        """Let the value of a node be a part of another value."""
        self.memory.hold(place)
        self.places[node.name] = place

    def copy(self, target: Place, source: Place, steps: Sequence[Sequence[int]] | None = None) -> None:
        """Copy numbers; `steps` are the strides of target and source for an index of the shape of the source."""
        own = steps or [strides(source.shape, source.shape)] * 2
        if source.count:
            self.say(*loops(source.shape, own, lambda at: [f"{target.at(at[0])} = {source.at(at[1])};"]))

    # --- the order of things ------------------------------------------------------------------------------------------

    def _allocate(self, name: str, shape: Shape) -> Place:
        self.places[name] = self.memory.allocate(shape)
        return self.places[name]

    def _run(self, program: Program) -> None:
        """Statements of all nodes; the values that are results stay."""
        self._constants |= {name: np.asarray(value) for name, value in program.constants.items()}
        left: dict[str, int] = {}
        for name in [*(name for node in program.nodes for name in node.inputs), *program.results.values()]:
            left[name] = left.get(name, 0) + 1
        for node in program.nodes:
            made = self._march(node) if node.op == "march" else self._node(node)
            for name in made:
                if name not in left:
                    self.memory.release(self.places[name])
            for name in dict.fromkeys(node.inputs):
                left[name] -= node.inputs.count(name)
                if not left[name] and name in self.places:
                    self.memory.release(self.places[name])

    def _node(self, node: Node) -> list[str]:
        if node.op not in RULES:
            raise NotSupported(f"C has no text for the operation '{node.op}'; use format = \"npz\"")
        before = len(self.lines)
        if math.prod(node.shape) == 0:
            self.new(node)
        else:
            RULES[node.op](self, node)
        if len(self.lines) > before:
            self.lines.insert(before, f"{'    ' * (self._depth + 1)}/* {node.name} {list(node.shape)}: {node.op} */")
        return [node.name]

    def _march(self, node: Node) -> list[str]:
        march = March(**node.attributes)
        known = march_shapes(node, {name: self.shape(name) for name in node.inputs})
        counter = f"s{self._depth}"
        self.say(f"/* {node.name}: {march.count} steps */")
        states = self._entered(march, node.inputs, counter)
        for name in march.stacked:
            self._allocate(name, known[name])
        self.say(f"for (int {counter} = 0; {counter} < {march.count}; {counter}++) {{")
        self._depth += 1
        self._run(march.body)
        for name, result in march.stacked.items():
            source = self.place(march.body.results[result])
            self.copy(self.places[name].view(source.shape, 0, f"{counter} * {source.count}"), source)
        self._advance(march.body.results, states)
        self._depth -= 1
        self.say("}")
        for name, state in march.final.items():
            self._allocate(name, known[name])
            self.copy(self.places[name], states[state])
        for place in states.values():
            self.memory.release(place)
        return [*march.stacked, *march.final]

    def _entered(self, march: March, inputs: Sequence[str], counter: str) -> dict[str, Place]:
        """Give the inputs of the body their places; the places of the states."""
        outer = [self.place(name) for name in inputs]
        first, second = len(march.states), len(march.states) + len(march.steps)
        states = {}
        for name, start in zip(march.states, outer[:first], strict=True):
            states[name] = self._allocate(name, start.shape)
            self.copy(states[name], start)
            self.memory.hold(states[name])
        for name, place in zip(march.steps, outer[first:second], strict=True):
            inner = place.shape[1:]
            self.places[name] = place.view(inner, 0, f"{counter} * {math.prod(inner)}")
            self.memory.hold(place)
        for name, place in zip(march.fixed, outer[second:], strict=True):
            self.places[name] = place
            self.memory.hold(place)
        return states

    def _advance(self, results: Mapping[str, str], states: Mapping[str, Place]) -> None:
        """Put what the body gave in the place of the states, by a detour where one state becomes another."""
        owners = {place.owner for place in states.values()}
        sources = {name: self.place(results[name]) for name in states}
        detour = any(place.owner in owners for place in sources.values())
        scratch = {}
        for name, source in sources.items():
            scratch[name] = self.memory.allocate(source.shape) if detour else source
            if detour:
                self.copy(scratch[name], source)
        for name, place in states.items():
            self.copy(place, scratch[name])
            if detour:
                self.memory.release(scratch[name])
