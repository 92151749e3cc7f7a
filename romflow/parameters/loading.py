"""What drives a model in time: tables of amplitudes, which may repeat, beside the parameters and the time itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import shown
from romflow.parameters.generated import GeneratedColumns

__all__ = ["Amplitude", "Loading"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Amplitude:
    """A piecewise linear function of time, constant beyond its ends, or repeated with its period.

    Parameters
    ----------
    name : str
        The word by which texts name it.
    times, values : (k,) array
        Rising times and the values there, finite.
    period : float, optional
        The table is repeated with it; the times then lie in [0, period].

    Raises
    ------
    ConfigError
        The name is no word, the times do not rise, lengths differ, numbers are not finite or outside the period.

    Examples
    --------
    >>> Amplitude("a", [0.0, 1.0, 2.0], [0.0, 3.0, 0.0], period=2.0).at([0.5, 2.5, 5.0])
    array([1.5, 1.5, 3. ])
    """

    name: str
    times: Array
    values: Array
    period: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name == "t":
            raise ConfigError(f"an amplitude is called {shown(self.name)}; give a word of letters, digits and "
                              "underscores other than t, which is the time")
        times, values = (_numbers(self.name, word, given) for word, given in
                         (("times", self.times), ("values", self.values)))
        if times.size != values.size or not times.size or np.any(np.diff(times) <= 0.0):
            raise ConfigError(f"the amplitude {self.name!r} has {times.size} times and {values.size} values; the rule "
                              "is one value for each of the rising times")
        period = self.period
        if period is not None:
            if isinstance(period, bool) or not isinstance(period, int | float) or not 0.0 < period < np.inf:
                raise ConfigError(f"the amplitude {self.name!r} has period = {shown(period)}; the rule is a number "
                                  "above 0")
            if times[0] < 0.0 or times[-1] > period:
                raise ConfigError(f"the amplitude {self.name!r} has times from {times[0]:g} to {times[-1]:g} outside "
                                  f"0 .. period = {period:g}")
            object.__setattr__(self, "period", float(period))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def at(self, t: ArrayLike) -> Any:
        """Values at the times t, of the same shape."""
        when = np.asarray(t, dtype=np.float64)
        if self.period is not None:
            # The end of a period belongs to it, so that a table may jump there.
            when = np.where(when > 0.0, self.period - np.mod(-when, self.period), when)
        return np.interp(when, self.times, self.values)

    def to_spec(self) -> dict[str, Any]:
        """JSON that `from_spec` reads."""
        return {"name": self.name, "times": self.times.tolist(), "values": self.values.tolist(), "period": self.period}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Amplitude:
        """The amplitude of a table with name, times, values and, if wished, period.

        Raises
        ------
        ConfigError
            A key is missing or unknown, or as for the class.
        """
        unknown = [key for key in spec if key not in ("name", "times", "values", "period")]
        missing = [key for key in ("name", "times", "values") if key not in spec]
        if unknown or missing:
            fault = f"has no key {shown(unknown[0])}" if unknown else f"needs the key {missing[0]!r}"
            raise ConfigError(f"an amplitude {fault}; give name, times, values and, if it repeats, period")
        return cls(spec["name"], spec["times"], spec["values"], spec.get("period"))


@dataclass(frozen=True, eq=False)
class Loading:
    """The columns that texts of a model in time may name: parameters, amplitudes, generated functions, and t.

    Parameters
    ----------
    parameters : sequence of p str
        Columns of the parameters.
    amplitudes : sequence of Amplitude
    generated : GeneratedColumns, optional
        Functions of time that all p parameters drive together.

    Raises
    ------
    ConfigError
        A name is used twice.

    Examples
    --------
    >>> loading = Loading(("p",), [Amplitude("a", [0.0, 1.0], [0.0, 10.0])])
    >>> loading.columns, loading.rows(np.array([[7.0]]), 0.5)
    (('p', 'a', 't'), array([[7. , 5. , 0.5]]))
    """

    parameters: tuple[str, ...]
    amplitudes: tuple[Amplitude, ...] = ()
    generated: GeneratedColumns | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "amplitudes", tuple(self.amplitudes))
        names = self.columns
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"the name {name!r} means two things in the loading; parameters and amplitudes need "
                                  "names of their own, and t is the time")

    @property
    def columns(self) -> tuple[str, ...]:
        """(*parameters, *names of the amplitudes, *names of the generated ones, "t")."""
        generated = () if self.generated is None else self.generated.names
        return (*self.parameters, *(amplitude.name for amplitude in self.amplitudes), *generated, "t")

    def rows(self, mu: ArrayLike, t: float) -> Array:
        """Values (b, c) of the columns for parameters mu (b, p) at one time.

        Raises
        ------
        ShapeError
            mu does not have p columns.
        ParameterError
            Generated columns are not known there.
        """
        given = np.atleast_2d(np.asarray(mu, dtype=np.float64))
        p = len(self.parameters)
        if given.ndim != 2 or given.shape[1] != p:
            raise ShapeError(f"mu has shape {np.shape(mu)}; this loading needs (b, {p})")
        rows = np.empty((len(given), len(self.columns)))
        rows[:, :p] = given
        for j, amplitude in enumerate(self.amplitudes):
            rows[:, p + j] = amplitude.at(t)
        if self.generated is not None:
            rows[:, p + len(self.amplitudes):-1] = self.generated.at(given, t)
        rows[:, -1] = t
        return rows

    def to_spec(self) -> dict[str, Any]:
        """JSON that `from_spec` reads."""
        spec = {"parameters": list(self.parameters), "amplitudes": [a.to_spec() for a in self.amplitudes]}
        return spec if self.generated is None else {**spec, "generated": self.generated.to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Loading:
        """The loading whose `to_spec` gave `spec`."""
        generated = spec.get("generated")
        return cls(tuple(spec["parameters"]), tuple(Amplitude.from_spec(a) for a in spec["amplitudes"]),
                   None if generated is None else GeneratedColumns.from_spec(generated))


def _numbers(name: str, word: str, given: Sequence[float] | ArrayLike) -> Array:
    try:
        numbers = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"the amplitude {name!r} has {word} that are not numbers; give a list of numbers") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ConfigError(f"the amplitude {name!r} has {word} that are not a list of finite numbers; give one")
    return numbers
