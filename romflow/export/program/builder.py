"""Programs made by arithmetic on values: shapes are found and checked, constants folded, equal operations shared."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from romflow.core.errors import ShapeError
from romflow.core.names import shown
from romflow.export.program.interpreter import evaluate
from romflow.export.program.program import MU, Facts, March, Node, Program
from romflow.export.program.shapes import march_shapes, shape_of
from romflow.export.program.value import Value
from romflow.parameters.expressions import Theta

__all__ = ["Builder", "Value"]

# Words of the languages that programs are printed in.
_RESERVED = {MU, *keyword.kwlist, "b", "k", "np", "data", "Q", "R", "double", "float", "int", "const", "static", "exp",
             "sqrt", "abs", "pow", "sin", "cos", "tan", "tanh", "log", "index", "error"}

# What changes nothing as the second operand.
_NEUTRAL = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "divide": 1.0, "power": 1.0}


@dataclass
class _Names:
    """Names that are taken, in a program and in the bodies of its marches."""

    taken: set[str] = field(default_factory=lambda: set(_RESERVED))

    def new(self, wish: str) -> str:
        wish = re.sub(r"[^A-Za-z0-9_]", "_", wish)
        name, number = wish, 1
        while name in self.taken:
            number += 1
            name = f"{wish}_{number}"
        self.taken.add(name)
        return name


class Builder:
    """Makes a program.

    Parameters
    ----------
    columns : sequence of str
        Names of the p entries of "mu".

    Attributes
    ----------
    mu : Value
        The parameter (p,).

    Examples
    --------
    >>> from romflow.export.program.interpreter import run
    >>> builder = Builder(["a", "b"])
    >>> theta = builder.theta(Theta(["a * b", "2"], ["a", "b"]))
    >>> A = builder.einsum("q,qij->ij", theta, np.array([np.eye(2), np.ones((2, 2))]))
    >>> program = builder.finish({"x": builder.solve(A, np.ones(2), definite=True)})
    >>> run(program, [[1.0, 4.0]])["x"]
    array([[0.125, 0.125]])
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._names = _Names()
        self._start()
        self.mu = Value(self, MU, (len(self.columns),))
        self._values[MU] = self.mu

    def _start(self) -> None:
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}
        self._known: dict[Any, Value] = {}

    def constant(self, value: Any, name: str = "c") -> Value:
        """A constant array; equal ones are one."""
        array = np.array(value, dtype=np.float64, order="C")
        key = array.shape, array.tobytes()
        if key not in self._known:
            made = Value(self, self._names.new(name), array.shape, array)
            self._known[key] = self._values[made.name] = made
        return self._known[key]

    def op(self, op: str, *operands: Any, name: str = "v", **attributes: Any) -> Value:
        """The value of an operation on values, arrays and numbers; of constants alone it is a constant."""
        values = [operand if isinstance(operand, Value) else self.constant(operand) for operand in operands]
        for value in values:
            if self._values.get(value.name) is not value:
                raise ShapeError(f"{op}: the value {value.name} belongs to another program")
        shape = shape_of(op, [value.shape for value in values], attributes)
        kept = {key: entry for key, entry in attributes.items() if op != "reshape"}
        node = Node("", op, tuple(value.name for value in values), kept, shape)
        if not any(self._varies(value) for value in values):
            return self._folded(node, values, name)
        if op in _NEUTRAL and values[1].shape == () and values[1].constant is not None:
            if float(values[1].constant) == _NEUTRAL[op]:
                return values[0]
        key = op, node.inputs, repr(sorted(kept.items())), shape
        if key not in self._known:
            made = Value(self, self._names.new(name), shape)
            self._nodes.append(Node(made.name, op, node.inputs, kept, shape))
            self._known[key] = self._values[made.name] = made
        return self._known[key]

    def named(self, value: Value, name: str) -> Value:
        """Give a name to the value that was made last."""
        if self._nodes and self._nodes[-1].name == value.name and value.name.partition("_")[0] == "v":
            del self._values[value.name]
            value.name = self._names.new(name)
            self._nodes[-1] = replace(self._nodes[-1], name=value.name)
            self._values[value.name] = value
        return value

    def einsum(self, spec: str, left: Any, right: Any, name: str = "v") -> Value:
        """A sum of products of two, as `numpy.einsum` writes it."""
        return self.op("einsum", left, right, spec=spec, name=name)

    def minimum(self, left: Any, right: Any) -> Value:
        """The smaller one, entry by entry."""
        return self.op("minimum", left, right)

    def maximum(self, left: Any, right: Any) -> Value:
        """The larger one, entry by entry."""
        return self.op("maximum", left, right)

    def select(self, condition: Any, yes: Any, no: Any, name: str = "v") -> Value:
        """`yes` where the condition is positive, else `no`."""
        return self.op("select", condition, yes, no, name=name)

    def solve(self, matrix: Any, right: Any, definite: bool = False, name: str = "x") -> Value:
        """The solution of a system."""
        return self.op("solve", matrix, right, definite=definite, name=name)

    def concatenate(self, parts: Sequence[Any], axis: int = 0) -> Value:
        """The parts one behind the other; those without entries are left out."""
        values = [part if isinstance(part, Value) else self.constant(part) for part in parts]
        full = [value for value in values if value.shape[axis]] or values[:1]
        return full[0] if len(full) == 1 else self.op("concatenate", *full, axis=axis)

    def theta(self, theta: Theta, columns: Mapping[str, Any] | None = None, name: str = "theta") -> Value:
        """Coefficients (Q,) of the parameter, or (Q, K) where a column in `columns` is (K,); else columns are mu's."""
        given = {} if columns is None else columns
        inputs: list[Any] = []
        for j in theta.used:
            column = theta.columns[j]
            inputs.append(given[column] if column in given else self.mu.take(self.columns.index(column)))
        place = {j: number for number, j in enumerate(theta.used)}
        programs = tuple(tuple((kind, place[value] if kind == "column" else value) for kind, value in program)
                         for program in theta.programs)
        return self.op("theta", *inputs, programs=programs, name=name)

    def body(self) -> Body:
        """The body of a march, to be filled and given to `march`."""
        return Body(self)

    def march(self, body: Body, stacked: Mapping[str, Value], following: Mapping[str, Value],
              final: Iterable[str] = ()) -> dict[str, Value]:
        """Run a body as often as what is cut into steps has rows.

        Parameters
        ----------
        body : Body
        stacked : dict
            Name of a result -> value of the body.
        following : dict
            State of the body -> its value at the end of a step.
        final : names of states whose last values are wanted

        Returns
        -------
        dict
            Name of a result -> (K, ...), and name of a state -> its last value.
        """
        counts = {value.shape[0] for value in body.steps.values()}
        if len(counts) != 1 or set(following) != set(body.called):
            raise ShapeError(f"a march has steps of {sorted(counts)} rows, states {sorted(body.called)} and what "
                             f"follows for {sorted(following)}; they must agree")
        outside = {name: self._names.new(name) for name in (*stacked, *(f"last_{state}" for state in final))}
        results = {outside[name]: body.varying(value).name for name, value in stacked.items()}
        inside = body.program(results | {body.called[state]: body.varying(value).name
                                         for state, value in following.items()})
        used = {name for node in inside.nodes for name in node.inputs} | set(inside.results.values())
        steps, fixed = ({name: value for name, value in kind.items() if name in used}
                        for kind in (body.steps, body.fixed))
        outer = (*body.states.values(), *steps.values(), *fixed.values())
        march = March(inside, counts.pop(), tuple(body.states), tuple(steps), tuple(fixed),
                      {outside[name]: outside[name] for name in stacked},
                      {outside[f"last_{state}"]: body.called[state] for state in final})
        node = Node(self._names.new("march"), "march", tuple(value.name for value in outer), dict(vars(march)))
        self._nodes.append(node)
        found = march_shapes(node, {name: value.shape for name, value in self._values.items()})
        self._values |= {name: Value(self, name, shape) for name, shape in found.items()}
        return ({name: self._values[outside[name]] for name in stacked}
                | {state: self._values[outside[f"last_{state}"]] for state in final})

    def varying(self, value: Value) -> Value:
        """The value itself, or a constant as a value that has a batch axis."""
        if self._varies(value):
            return value
        return value + self._anything() * 0.0

    def finish(self, results: Mapping[str, Value], facts: Facts | None = None) -> Program:
        """The program that gives these results, without what they do not need."""
        return self.program({name: self.varying(value).name for name, value in results.items()}, facts)

    def program(self, results: Mapping[str, str], facts: Facts | None = None) -> Program:
        """The program with results by the names of their values."""
        needed, nodes = set(results.values()), []
        for node in reversed(self._nodes):
            made = {node.name} if node.op != "march" else {*node.attributes["stacked"], *node.attributes["final"]}
            if needed & made:
                needed.update(node.inputs)
                nodes.append(node)
        constants = {name: value.constant for name, value in self._values.items()
                     if name in needed and value.constant is not None}
        return Program(self.columns, constants, tuple(reversed(nodes)), dict(results), facts)

    def _varies(self, value: Value) -> bool:
        return value.constant is None

    def _anything(self) -> Value:
        return self.mu.take(0)

    def _folded(self, node: Node, values: Sequence[Value], name: str) -> Value:
        with np.errstate(all="ignore"):
            return self.constant(evaluate(node, [(value.constant, False) for value in values]), name)


class Body(Builder):
    """The inside of a march: its values begin with `state`, `step` and `fix`.

    Examples
    --------
    >>> from romflow.export.program.interpreter import run
    >>> builder = Builder(["a"])
    >>> body = builder.body()
    >>> x, dt = body.state("x", builder.mu.take(0)), body.step("dt", np.array([0.5, 0.25]))
    >>> after = x - dt * x
    >>> found = builder.march(body, {"series": after}, {"x": after}, final=["x"])
    >>> run(builder.finish(found), [[8.0]])
    {'series': array([[4., 3.]]), 'x': array([3.])}
    """

    def __init__(self, outer: Builder) -> None:
        self.columns = ()
        self._outer, self._names = outer, outer._names
        self._start()
        self.called: dict[str, str] = {}
        self.states: dict[str, Value] = {}
        self.steps: dict[str, Value] = {}
        self.fixed: dict[str, Value] = {}
        self._same: set[str] = set()

    def state(self, name: str, start: Any) -> Value:
        """What a step begins with; `start` is a value outside, or a constant."""
        if name in self.called:
            raise ShapeError(f"the state {shown(name)} is there already; give it another name")
        found = self._input(self.states, name, start, 0)
        self.called[name] = found.name
        return found

    def step(self, name: str, rows: Any) -> Value:
        """One row of `rows` (K, ...), a value outside or a constant, in each step."""
        return self._input(self.steps, name, rows, 1)

    def fix(self, value: Value) -> Value:
        """A value of the outside, the same in each step."""
        if value.constant is not None:
            return self.constant(value.constant, value.name)
        for name, outer in self.fixed.items():
            if outer is value:
                return self._values[name]
        return self._input(self.fixed, value.name, value, 0)

    def _input(self, kind: dict[str, Value], wish: str, outer: Any, cut: int) -> Value:
        value = outer if isinstance(outer, Value) else self._outer.constant(outer, f"{wish}_rows")
        name = self._names.new(wish)
        kind[name] = value
        self._values[name] = Value(self, name, value.shape[cut:])
        if kind is self.steps and value.constant is not None:
            self._same.add(name)
        return self._values[name]

    def _varies(self, value: Value) -> bool:
        return value.constant is None and value.name not in self._same

    def _folded(self, node: Node, values: Sequence[Value], name: str) -> Value:
        """Of constants a constant; of rows that are the same for all parameters such rows."""
        cut = {value.name: self.steps[value.name].constant for value in values if value.name in self._same}
        if not cut:
            return super()._folded(node, values, name)
        key = node.op, node.inputs, repr(sorted(node.attributes.items())), node.shape
        if key not in self._known:
            count = next(rows.shape[0] for rows in cut.values() if rows is not None)
            operands = [[(self._row(value, k), False) for value in values] for k in range(count)]
            with np.errstate(all="ignore"):
                self._known[key] = self.step(name, np.stack([evaluate(node, row) for row in operands]))
        return self._known[key]

    def _anything(self) -> Value:
        found = next(value for value in self._values.values() if self._varies(value))
        return found.sum() if found.shape else found

    def _row(self, value: Value, k: int) -> Any:
        outer = self.steps[value.name].constant if value.name in self._same else None
        return value.constant if outer is None else outer[k]
