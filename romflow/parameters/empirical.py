"""A distribution from a sample of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ParameterError
from romflow.core.parameter_rules import table_fault
from romflow.parameters.distribution import Distribution

__all__ = ["Table"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table(Distribution):
    """Values that were seen, with weights.

    Sorted, equal values put together: ``x_1 < ... < x_n`` with weights ``w_i``. Not discrete: the distribution function
    is linear between the values, with the probability ``(w_i + w_{i+1}) / 2`` (over the sum of these) from x_i to
    x_{i+1}; with equal weights its inverse is the usual quantile of a sample (type 7, Hyndman and Fan 1996). Discrete:
    x_i has the probability ``w_i / sum w``.

    Parameters
    ----------
    values : sequence of float
        In any order.
    weights : sequence of float, optional
        Not negative, not all 0; equal by default.
    discrete : bool

    Raises
    ------
    ParameterError
        No values; a value or a weight that is no finite number; a negative weight; not one weight a value.

    Examples
    --------
    >>> Table([3.0, 1.0, 2.0]).ppf(np.array([0.0, 0.25, 1.0]))
    array([1. , 1.5, 3. ])
    >>> Table([1.0, 2.0], weights=[3.0, 1.0], discrete=True).ppf(np.array([0.5, 0.9]))
    array([1., 2.])
    """

    kind: ClassVar[str] = "table"
    values: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    discrete: bool = False

    def __init__(self, values: Sequence[float], weights: Sequence[float] | None = None, discrete: bool = False) -> None:
        content = {"values": values, "weights": weights, "discrete": discrete}
        fault = table_fault({key: value for key, value in content.items() if value is not None})
        if fault is not None:
            raise ParameterError(f"table: {fault}")
        object.__setattr__(self, "values", tuple(float(value) for value in values))
        object.__setattr__(self, "weights", None if weights is None else tuple(float(weight) for weight in weights))
        object.__setattr__(self, "discrete", discrete)

    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"distribution": self.kind, "values": list(self.values)}
        if self.weights is not None:
            spec["weights"] = list(self.weights)
        return {**spec, "discrete": self.discrete}

    @property
    def support(self) -> tuple[float, float]:
        x, _ = self._points
        return float(x[0]), float(x[-1])

    @property
    def expectation(self) -> float:
        x, w = self._points
        if self.discrete or len(x) == 1:
            return float(w @ x)
        return float(self._parts @ (0.5 * (x[1:] + x[:-1])))

    @property
    def variance(self) -> float:
        x, w = self._points
        if self.discrete or len(x) == 1:
            return float(w @ (x - self.expectation) ** 2)
        middle = 0.5 * (x[1:] + x[:-1]) - self.expectation
        return float(self._parts @ (middle**2 + np.diff(x) ** 2 / 12.0))

    def quantile(self, unit: Array) -> Array:
        x, _ = self._points
        if len(x) == 1:
            return np.full(np.shape(unit), x[0])
        if self.discrete:
            return np.asarray(x[np.minimum(np.searchsorted(self._steps, unit, side="left"), len(x) - 1)])
        return np.asarray(np.interp(unit, self._steps, x))

    def _cdf(self, x: Array) -> Array:
        points, _ = self._points
        if self.discrete:
            below = np.searchsorted(points, x, side="right")
            return np.where(below == 0, 0.0, self._steps[np.maximum(below - 1, 0)])
        return np.asarray(np.interp(x, points, self._steps))

    def _log_density(self, x: Array) -> Array:
        points, w = self._points
        if self.discrete:
            place = np.minimum(np.searchsorted(points, x, side="left"), len(points) - 1)
            return np.where(points[place] == x, np.log(w[place]), -np.inf)
        part = np.clip(np.searchsorted(points, x, side="right") - 1, 0, len(points) - 2)
        return np.asarray(np.log(self._parts / np.diff(points))[part])

    @cached_property
    def _points(self) -> tuple[Array, Array]:
        """Distinct values with positive weight, increasing, and their weights, which sum to 1."""
        weights = np.ones(len(self.values)) if self.weights is None else np.array(self.weights)
        weights = weights / weights.max()
        x, which = np.unique(np.array(self.values), return_inverse=True)
        w = np.bincount(which, weights, minlength=len(x))
        kept = w > 0.0
        return x[kept], w[kept] / w.sum()

    @cached_property
    def _parts(self) -> Array:
        """Probabilities between neighbours (n - 1,)."""
        _, w = self._points
        parts: Array = 0.5 * (w[1:] + w[:-1])
        return np.asarray(parts / parts.sum())

    @cached_property
    def _steps(self) -> Array:
        """The distribution function at the values (n,)."""
        steps = np.cumsum(self._points[1]) if self.discrete else np.concatenate([[0.0], np.cumsum(self._parts)])
        steps[-1] = 1.0
        return np.asarray(steps)
