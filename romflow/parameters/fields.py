"""Coefficients that depend on place and parameters: g(x; mu), evaluated at many points and many parameters at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.core.names import shown
from romflow.parameters.calculus import substituted
from romflow.parameters.expressions import Theta

__all__ = ["COORDINATES", "FieldSample", "ParametricField"]

Array = NDArray[np.float64]

COORDINATES = ("x", "y", "z")


class ParametricField:
    """g(x; mu) with C components from texts in x, y, z and the parameters, without a loop over points or parameters.

    Parameters
    ----------
    expressions : sequence of C texts
    dimension : int
        Coordinates d, 1 to 3.
    columns : sequence of str
        Names of the p parameters; x, y and z mean coordinates and name no parameter.

    Raises
    ------
    ConfigError
        A text is no arithmetic of these names; a parameter has the name of a coordinate.

    Examples
    --------
    >>> field = ParametricField(["1 + a * x"], 2, ["a"])
    >>> field.values(np.array([[0.5, 0.0], [1.0, 0.0]]), np.array([[2.0], [4.0]]))
    array([[[2., 3.],
            [3., 5.]]])
    >>> field.at(np.array([0.5, 0.0]))
    '1.0 + a * 0.5'
    """

    def __init__(self, expressions: Sequence[str | float], dimension: int, columns: Sequence[str]) -> None:
        taken = [name for name in columns if name in COORDINATES]
        if taken:
            raise ConfigError(f"the parameter {shown(taken[0])} has the name of a coordinate; rename the parameter")
        self.dimension, self.columns = dimension, tuple(columns)
        names = (*COORDINATES[:dimension], *self.columns)
        self._components = [Theta([text], names) for text in expressions]

    @property
    def expressions(self) -> tuple[str, ...]:
        """The C texts."""
        return tuple(component.expressions[0] for component in self._components)

    @property
    def size(self) -> int:
        """Components C."""
        return len(self._components)

    @property
    def varies_in_space(self) -> bool:
        """Whether a text names a coordinate."""
        return any(place < self.dimension for component in self._components for place in component.used)

    @property
    def varies_with_parameters(self) -> bool:
        """Whether a text names a parameter."""
        return any(place >= self.dimension for component in self._components for place in component.used)

    def values(self, points: Array, mu: Array) -> Array:
        """g (C, P, b) at points (P, d) and parameters mu (b, p).

        Raises
        ------
        ShapeError
            Points or parameters do not have d and p columns.
        ParameterError
            A value is not finite.
        """
        found = np.stack([self.component(c, points, mu) for c in range(self.size)])
        if not np.isfinite(found).all():
            c, k, j = (int(place) for place in np.argwhere(~np.isfinite(found))[0])
            raise ParameterError(f"{shown(self.expressions[c])} is {found[c, k, j]} at the point "
                                 f"{points[k].round(6).tolist()} for mu = {mu[j].tolist()}; it must be finite on the "
                                 "whole domain and parameter space: change the text, or narrow the ranges")
        return found

    def component(self, c: int, points: Array, mu: Array) -> Array:
        """g_c (P, b), whether finite or not."""
        self._check(points, mu)
        columns = {name: points[:, i:i + 1] for i, name in enumerate(COORDINATES[:self.dimension])}
        columns |= {name: mu[:, j] for j, name in enumerate(self.columns)}
        value = self._components[c].broadcast(columns)[0]
        return np.array(np.broadcast_to(value, (len(points), len(mu))), dtype=np.float64)

    def at(self, point: Array, c: int = 0) -> str:
        """The text of g_c at one point (d,): arithmetic of the parameters alone.

        Raises
        ------
        ConfigError
            It has no finite value there.
        """
        place = {name: float(value) for name, value in zip(COORDINATES[:self.dimension], point, strict=True)}
        return str(substituted(self._components[c], place).expressions[0])

    def to_spec(self) -> dict[str, Any]:
        """JSON from which `from_spec` makes the field again."""
        return {"expressions": list(self.expressions), "dimension": self.dimension, "columns": list(self.columns)}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> ParametricField:
        """The field that `to_spec` described."""
        return cls(spec["expressions"], spec["dimension"], spec["columns"])

    def _check(self, points: Array, mu: Array) -> None:
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise ShapeError(f"the points have shape {points.shape}; the rule is (P, {self.dimension})")
        if mu.ndim != 2 or mu.shape[1] != len(self.columns):
            raise ShapeError(f"mu has shape {mu.shape}; the rule is (b, {len(self.columns)})")


@dataclass(frozen=True, eq=False)
class FieldSample:
    """Some values of a field: component `components[k]` at `points[k]`.

    Attributes
    ----------
    field : ParametricField
    points : (K, d)
    components : (K,) int

    Examples
    --------
    >>> field = ParametricField(["a * x", "a"], 1, ["a"])
    >>> FieldSample(field, np.array([[2.0], [0.0]]), np.array([0, 1])).values(np.array([[3.0]]))
    array([[6.],
           [3.]])
    """

    field: ParametricField
    points: Array
    components: NDArray[np.int64]

    def values(self, mu: Array) -> Array:
        """Values (K, b) at mu (b, p), whether finite or not: one evaluation a component."""
        if self.field.size == 1:
            return self.field.component(0, self.points, mu)
        values = np.empty((len(self.points), len(mu)))
        for c in range(self.field.size):
            rows = self.components == c
            values[rows] = self.field.component(c, self.points[rows], mu)
        return values

    def texts(self) -> list[str]:
        """The K values as texts in the parameters."""
        return [self.field.at(point, int(c)) for point, c in zip(self.points, self.components, strict=True)]

    def to_arrays(self, prefix: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, their names led by `prefix`, and JSON metadata."""
        return {f"{prefix}/points": self.points, f"{prefix}/components": self.components}, self.field.to_spec()

    @classmethod
    def from_arrays(cls, prefix: str, arrays: dict[str, NDArray[Any]], spec: dict[str, Any]) -> FieldSample:
        """The sample that `to_arrays` described."""
        return cls(_from_spec(spec), arrays[f"{prefix}/points"],
                   arrays[f"{prefix}/components"].astype(np.int64))


def _from_spec(spec: dict[str, Any]) -> Any:
    """The field of texts or of modes that its `to_spec` described."""
    if "transform" not in spec:
        return ParametricField.from_spec(spec)
    from romflow.parameters.modal_field import ModalField

    return ModalField.from_spec(spec)
