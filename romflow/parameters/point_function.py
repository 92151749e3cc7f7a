"""Functions of what a state is at a point: g(w; data, mu, t) and its derivatives, from texts, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import shown
from romflow.parameters.calculus import derivative, traced
from romflow.parameters.expressions import Theta

__all__ = ["PointFunction"]


class PointFunction:
    """c values at each point from a values of the state there, data of the point, parameters and time.

    Parameters
    ----------
    expressions : sequence of c str, or callable
        In the language of `Theta`; or a Python function of the inputs, the data and the columns, in this order, written
        with NumPy (see `romflow.parameters.calculus.traced`).
    inputs : sequence of a str
        Names of the values of the state, such as ("u", "u_x", "u_y").
    data : sequence of str
        Names of what belongs to the point, such as ("x", "y").
    columns : sequence of str
        Names of the parameters; "t" after them is the time.

    Raises
    ------
    ConfigError
        A name is used twice or unknown, or a text is not arithmetic.
    InputError
        The function cannot be followed.

    Examples
    --------
    >>> g = PointFunction(["exp(a * u)"], ["u"], [], ["a"])
    >>> u, mu = np.array([[[0.0], [1.0]]]), np.array([[2.0]])
    >>> g.values(u, np.empty((0, 2)), mu)[0, :, 0].round(3)
    array([1.   , 7.389])
    >>> g.derivatives(u, np.empty((0, 2)), mu)[0, 0][:, 0].round(3)
    array([ 2.   , 14.778])
    """

    def __init__(self, expressions: Sequence[str] | Callable[..., Any], inputs: Sequence[str],
                 data: Sequence[str], columns: Sequence[str]) -> None:
        self.inputs, self.data, self.columns = tuple(inputs), tuple(data), tuple(columns)
        names = (*self.inputs, *self.data, *self.columns)
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"the name {shown(name)} means two things in a function of points; the rule is one "
                                  "each for values of the state, data of the points, parameters and the time t")
        self.theta = Theta(traced(expressions, names) if callable(expressions) else expressions, names)

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def expressions(self) -> tuple[str, ...]:
        """The c texts."""
        return self.theta.expressions

    def values(self, w: np.ndarray, data: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """g (c, P, b) of the state's values w (a, P, b), data (d, P) and parameters mu (b, p) at time t.

        Raises
        ------
        ShapeError
            Shapes do not fit the names, or the time is missing.
        """
        return self._on(self.theta, w, data, mu, t)

    def derivatives(self, w: np.ndarray, data: np.ndarray, mu: np.ndarray,
                    t: float | None = None) -> dict[tuple[int, int], np.ndarray]:
        """d g_i / d w_j (P, b) for the pairs (i, j) where it is not identically zero."""
        columns, shape = self._columns(w, data, mu, t), w.shape[1:]
        return {pair: np.broadcast_to(theta.broadcast(columns)[0], shape) for pair, theta in self._slopes.items()}

    def parameter_derivative(self, name: str, w: np.ndarray, data: np.ndarray, mu: np.ndarray,
                             t: float | None = None) -> np.ndarray:
        """d g / d name (c, P, b) for a parameter.

        Raises
        ------
        ConfigError
            There is no such parameter.
        """
        if name not in self._parameter_slopes:
            self._parameter_slopes[name] = derivative(self.theta, name)
        return self._on(self._parameter_slopes[name], w, data, mu, t)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs (i, j) for which d g_i / d w_j is not identically zero."""
        return tuple(self._slopes)

    def to_spec(self) -> dict[str, Any]:
        """JSON that `from_spec` reads."""
        return {"expressions": list(self.expressions), "inputs": list(self.inputs), "data": list(self.data),
                "columns": list(self.columns)}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> PointFunction:
        """The function whose `to_spec` gave `spec`."""
        return cls(spec["expressions"], spec["inputs"], spec["data"], spec["columns"])

    @cached_property
    def _slopes(self) -> dict[tuple[int, int], Theta]:
        found = {}
        for j, name in enumerate(self.inputs):
            for i, text in enumerate(derivative(self.theta, name).expressions):
                if text != "0.0":
                    found[i, j] = Theta([text], self.theta.columns)
        return found

    @cached_property
    def _parameter_slopes(self) -> dict[str, Theta]:
        return {}

    def _on(self, theta: Theta, w: np.ndarray, data: np.ndarray, mu: np.ndarray, t: float | None) -> np.ndarray:
        values = theta.broadcast(self._columns(w, data, mu, t))
        if len(values) == 1 and np.shape(values[0]) == w.shape[1:]:
            return np.asarray(values[0])[None]
        out = np.empty((len(theta), *w.shape[1:]))
        for i, value in enumerate(values):
            out[i] = value
        return out

    def _columns(self, w: np.ndarray, data: np.ndarray, mu: np.ndarray, t: float | None) -> dict[str, np.ndarray]:
        parameters = len(self.columns) - self._timed
        if (w.ndim != 3 or w.shape[0] != len(self.inputs) or data.shape != (len(self.data), w.shape[1])
                or mu.shape != (w.shape[2], parameters)):
            raise ShapeError(f"values of shape {w.shape}, data {data.shape} and parameters {mu.shape} were given; the "
                             f"rule is ({len(self.inputs)}, P, b), ({len(self.data)}, P) and (b, {parameters})")
        columns = dict(zip(self.inputs, w, strict=True))
        columns |= {name: row[:, None] for name, row in zip(self.data, data, strict=True)}
        columns |= {self.columns[j]: mu[:, j] for j in range(parameters)}
        if self._timed:
            if t is None:
                raise ShapeError("the function depends on the time t, and no time was given; give t")
            columns["t"] = np.float64(t)
        return columns

    @cached_property
    def _timed(self) -> bool:
        return bool(self.columns) and self.columns[-1] == "t"
