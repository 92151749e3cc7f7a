"""The language: a program is a list of array operations on one parameter; whatever runs it runs a whole batch.

Values have names. The parameter is "mu" (p,); constants and nodes name the others. Shapes are per sample, the batch
axis is implicit, and everything is float64. What each operation means is told by `romflow.export.program.shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MU", "Array", "Facts", "March", "Node", "Program", "Shape"]

Array = NDArray[np.float64]
Shape = tuple[int, ...]

#: The name of the parameter.
MU = "mu"


@dataclass(frozen=True)
class Node:
    """One operation; its value has its name.

    Attributes
    ----------
    name : str
        An identifier of C; no other value has it.
    op : str
    inputs : tuple of str
        Values that were made before.
    attributes : dict
    shape : tuple of int
        Of the value, per sample.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape = ()


@dataclass(frozen=True)
class Facts:
    """What people must know of a model that has left the house; every export carries it.

    Attributes
    ----------
    name : str
        Of the study.
    columns, units : tuple of str
        Of the p parameters.
    low, high : tuple of float
        The parameter space, infinite where there is no end: outside it the answer is refused or flagged.
    training : {"low": (p,), "high": (p,), "size"} or None
        Smallest and largest values of the parameters that the model was trained at, where they are known.
    outputs : tuple of str
    error_kind : "bound" or "indicator"
        What "error" and "output_error" are.
    norm : str
        Of "error".
    validation : dict or None
        Errors found when the model was made: figures by name.
    times : tuple of float or None
        Of the series of a model that moves in time.
    fingerprint : str
        Of the study.
    version : str
        Of romflow.

    Examples
    --------
    >>> facts = Facts("block", ("a",), ("W",), (0.1,), (float("inf"),), ("mean",), "bound", "H1")
    >>> facts.plain()["high"]
    [None]
    """

    name: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    outputs: tuple[str, ...]
    error_kind: str
    norm: str
    training: dict[str, Any] | None = None
    validation: dict[str, Any] | None = None
    times: tuple[float, ...] | None = None
    fingerprint: str = ""
    version: str = ""

    def plain(self) -> dict[str, Any]:
        """JSON form, None for a number that is infinite or NaN."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they run, and the names of the results.

    Attributes
    ----------
    columns : tuple of str
        Names of the p entries of "mu"; none in the body of a march.
    constants : dict of str to float64 array
    nodes : tuple of Node
    results : dict of str to str
        Name of a result -> name of the value. "output" (o,), "output_error" (o,), "error" (); of a model that moves in
        time these are at the last time, and "series" (K + 1, o), "series_error" (K + 1, o), "error_series" (K + 1,)
        are at all times. In the body of a march: the next states under their own names, and what is stacked.
    facts : Facts or None
        None in the body of a march.
    """

    columns: tuple[str, ...]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    results: Mapping[str, str]
    facts: Facts | None = None

    @property
    def size(self) -> int:
        """Number of columns p."""
        return len(self.columns)


@dataclass(frozen=True)
class March:
    """The attributes of a node "march", which runs its body `count` times; made by ``March(**node.attributes)``.

    The inputs of the node are the initial states, then what is cut into steps, then what stays: as many as `states`,
    `steps` and `fixed` name. The values of the node are those in `stacked` and `final`; the node's own name is none.

    Attributes
    ----------
    body : Program
        Its values are `states`, `steps`, `fixed` and its own constants; no name of it occurs outside it.
    count : int
        K >= 1.
    states : tuple of str
        Names in the body; ``body.results[state]`` is the value with which the next step begins, of the same shape.
    steps : tuple of str
        Names in the body of the K slices of inputs (K, ...), which may be constants (then no batch axis).
    fixed : tuple of str
        Names in the body of inputs that do not change; never constants.
    stacked : dict of str to str
        Name of a value outside, (K, ...) -> name of a result of the body.
    final : dict of str to str
        Name of a value outside -> name of a state, as it is after the last step.
    """

    body: Program
    count: int
    states: tuple[str, ...]
    steps: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    stacked: Mapping[str, str] = field(default_factory=dict)
    final: Mapping[str, str] = field(default_factory=dict)


def _plain(value: Any) -> Any:
    """What JSON can hold of nested dictionaries, lists, arrays and numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
