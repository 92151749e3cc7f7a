"""Columns of a loading that random coefficients make: functions of time, all driven by the same few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.core.names import shown
from romflow.parameters.coefficients import Coefficients, coefficients_from_spec

__all__ = ["GeneratedColumns"]

Array = NDArray[np.float64]
# Of the length of the times: what still counts as the last one.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class GeneratedColumns:
    """D functions of time q(t) = q_0(t) + sum_k Q_k(t) c_k(z), linear between the times; constant before the first.

    Attributes
    ----------
    names : tuple of D str
        Words by which texts name them.
    times : (K + 1,)
        Rising. Beyond the last one nothing is known, and the columns refuse.
    mean : (K + 1, D)
        q_0.
    modes : (K + 1, D, m)
        Q_k.
    coefficients : Coefficients
        c (m,) as a function of z (p,).

    Raises
    ------
    InputError, ShapeError
        Times do not rise, shapes do not fit, a number is not finite, a name is no word.

    Examples
    --------
    >>> from romflow.parameters.coefficients import NormalCoefficients
    >>> ramp = GeneratedColumns(("a",), [0.0, 2.0], [[0.0], [1.0]], [[[0.0]], [[0.5]]], NormalCoefficients(1))
    >>> ramp.at([[0.0], [2.0]], 1.0)
    array([[0.5],
           [1. ]])
    """

    names: tuple[str, ...]
    times: Array
    mean: Array
    modes: Array
    coefficients: Coefficients

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for word in ("times", "mean", "modes"):
            object.__setattr__(self, word, np.ascontiguousarray(getattr(self, word), dtype=np.float64))
        count = self.times.size, len(self.names)
        if self.mean.shape != count or self.modes.shape != (*count, self.coefficients.count):
            raise ShapeError(f"generated columns have a mean {self.mean.shape} and modes {self.modes.shape}; the rule "
                             f"is {count} and {(*count, self.coefficients.count)}")
        if self.times.ndim != 1 or self.times.size < 2 or np.any(np.diff(self.times) <= 0.0):
            raise InputError(f"the {self.times.size} times of generated columns do not rise; give two at least")
        if not all(np.isfinite(values).all() for values in (self.times, self.mean, self.modes)):
            raise InputError("generated columns have numbers that are not finite")
        for name in self.names:
            if not isinstance(name, str) or not name.isidentifier() or name == "t":
                raise InputError(f"a generated column is called {shown(name)}; give a word other than t")

    def at(self, z: ArrayLike, t: float) -> Array:
        """Values (b, D) for z (b, p) at the time t.

        Raises
        ------
        ShapeError, ParameterError
            z has another shape, or is far outside; t is not finite or beyond the last time.
        """
        first, last = float(self.times[0]), float(self.times[-1])
        if not t <= last + _ROUNDING * (last - first):
            raise ParameterError(f"the generated columns {', '.join(self.names[:3])} ... end at t = {last:g} and were "
                                 f"asked for at t = {t:g}; the rule is a time of the runs that they were made from")
        k = min(max(int(np.searchsorted(self.times, t, side="right")) - 1, 0), self.times.size - 2)
        share = min(max((t - self.times[k]) / (self.times[k + 1] - self.times[k]), 0.0), 1.0)
        mean = (1.0 - share) * self.mean[k] + share * self.mean[k + 1]
        modes = (1.0 - share) * self.modes[k] + share * self.modes[k + 1]
        return np.asarray(mean + self.coefficients(z) @ modes.T)

    def to_spec(self) -> dict[str, Any]:
        """JSON that `from_spec` reads."""
        return {"names": list(self.names), "times": self.times.tolist(), "mean": self.mean.tolist(),
                "modes": self.modes.tolist(), "coefficients": self.coefficients.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> GeneratedColumns:
        """The columns whose `to_spec` gave `spec`."""
        return cls(tuple(spec["names"]), spec["times"], spec["mean"], spec["modes"],
                   coefficients_from_spec(spec["coefficients"]))
