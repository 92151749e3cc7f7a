"""Graphs under construction: nodes without repetition, and constants that all parts of a model share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported

__all__ = ["IR_VERSION", "OPSET", "Graph", "Value", "library"]

#: Of the operators; onnxruntime 1.14 (2023) and later know it.
OPSET, IR_VERSION = 18, 8


def library() -> Any:
    """The package onnx.

    Raises
    ------
    NotSupported
        It is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise NotSupported("the exporter onnx needs the package onnx, which is not installed here; "
                           "pip install \"romflow[onnx]\"") from error
    return onnx


@dataclass(frozen=True)
class Value:
    """A value of the program as a tensor: its axes, then the batch.

    Attributes
    ----------
    name : str
        Of the tensor (\\*shape, c), or (\\*shape, 1) where it is the same for the whole batch.
    shape : tuple of int
        Per sample.
    wide : bool
        Whether the last axis has the length of the batch.
    constant : array or None
        Its values, if they are known here.
    """

    name: str
    shape: tuple[int, ...]
    wide: bool
    constant: np.ndarray | None = None


@dataclass
class Graph:
    """Nodes of one scope; constants go to the outermost one.

    A node with the operator, inputs and attributes of an earlier one is that one; a node that needs nothing of this
    scope is made in the outer one, so that a loop does not repeat it.
    """

    parent: Graph | None = None
    nodes: list[Any] = field(default_factory=list)
    _made: dict[Any, str] = field(default_factory=dict)
    _constants: dict[Any, Any] = field(default_factory=dict)
    _own: set[str] = field(default_factory=set)
    _used: set[str] = field(default_factory=set)
    _count: list[int] = field(default_factory=lambda: [0])

    def child(self) -> Graph:
        """The scope of a loop's body, which sees all that has been made here."""
        return Graph(self, _constants=self._constants, _used=self._used, _count=self._count)

    def name(self) -> str:
        """A name that nothing has."""
        self._count[0] += 1
        name = f"v{self._count[0]}"
        self._own.add(name)
        return name

    def outer(self, tensor: str) -> bool:
        """Whether a tensor stays as it is while this scope, the body of a loop, is repeated."""
        return self.parent is not None and tensor not in self._own

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operator with one output."""
        if self.parent is not None and all(self.outer(name) for name in inputs):
            return self.parent.node(operator, *inputs, **attributes)
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            made = self.name()
            self.add(operator, inputs, (made,), **attributes)
            self._made[key] = made
        return self._made[key]

    def add(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """A node with outputs of these names."""
        self._used.update(inputs)
        self.nodes.append(library().helper.make_node(operator, list(inputs), list(outputs), **attributes))

    def constant(self, values: Any) -> str:
        """The name of an array of constants."""
        array = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = library().numpy_helper.from_array(array, f"c{len(self._constants)}")
        return str(self._constants[key].name)

    def integers(self, *numbers: int) -> str:
        """The name of a vector of integers: axes, ends, shapes."""
        return self.constant(np.array(numbers, dtype=np.int64))

    def number(self, value: float) -> str:
        """The name of a number (1,), which fits any tensor."""
        return self.constant(np.array([value], dtype=np.float64))

    def slice(self, tensor: str, *ranges: tuple[int, int, int]) -> str:
        """Ranges (axis, start, stop) of a tensor."""
        axes, starts, stops = zip(*ranges, strict=True)
        return self.node("Slice", tensor, self.integers(*starts), self.integers(*stops), self.integers(*axes))

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """The tensor (\\*shape, c)."""
        return self.node("Reshape", tensor, self.integers(*shape, -1))

    def sum(self, tensor: str, *axes: int, keep: bool = False) -> str:
        """Sums over axes."""
        return self.node("ReduceSum", tensor, self.integers(*axes), keepdims=int(keep))

    def initializers(self) -> list[Any]:
        """The constants that nodes use, as tensors."""
        return [tensor for tensor in self._constants.values() if tensor.name in self._used]
