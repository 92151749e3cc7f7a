"""The protocol of material laws: strain, temperature and state in, stress, state and consistent tangent out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, ParameterError
from romflow.core.names import nearest, shown

__all__ = ["PLASTIC", "LawAnswer", "MaterialLaw", "PointData", "check_temperature", "prepared", "rows_of", "state_size",
           "step_of"]

Array = NDArray[np.float64]

#: Values at the points by name: "T" and whatever parameters and amplitudes the law reads; one number or one a point.
PointData = Mapping[str, Any]

#: Variable (1) by which reduced models know plastic flow, in laws that have one.
PLASTIC = "accumulated_plastic_strain"

# Lies between the coldest temperature in degrees Celsius and what the same value would be in kelvin.
_KELVIN = 273.15


class LawAnswer:
    """What a law answers at P points: stress, new state, tangent where it was asked for, and where it converged.

    Parameters
    ----------
    stress : (6, P) array
        xx yy zz xy yz xz.
    state : (s, P) array
        At the end of the step.
    tangent : (6, 6, P) array, None, or a function without arguments that gives the array
        d stress / d strain of this very step; columns belong to engineering shear strains. A function is called when
        the tangent is first read, which the last of Newton's iterations never does.
    converged : (P,) bool array
        Where False, the other entries of the point mean nothing: the step must be smaller.
    """

    __slots__ = ("_tangent", "converged", "state", "stress")

    def __init__(self, stress: Array, state: Array, tangent: Array | Callable[[], Array] | None,
                 converged: NDArray[np.bool_]) -> None:
        self.stress, self.state, self.converged = stress, state, converged
        self._tangent = tangent

    @property
    def tangent(self) -> Array | None:
        """(6, 6, P), or None where it was not asked for."""
        if callable(self._tangent):
            self._tangent = self._tangent()
        return self._tangent


@runtime_checkable
class MaterialLaw(Protocol):
    """A law of a material, total in the strain and implicit in time, vectorised over points (the last axis).

    Attributes
    ----------
    variables : dict
        Name of each state variable -> its number of components, in the order of the state's rows; the sum is s.
        "accumulated_plastic_strain" (1) is the name by which reduced models know plastic flow.
    symmetric : bool
        Whether every tangent is symmetric.
    temperature_range : (low, high) or None
        Where the law was identified.
    reads : tuple of str
        Names that the law reads from `data` beside "T".
    """

    variables: dict[str, int]
    symmetric: bool
    temperature_range: tuple[float, float] | None
    reads: tuple[str, ...]

    def initial(self, points: int) -> Array:
        """State (s, points) of the material before anything happened."""
        ...

    def integrate(self, strain: Array, data: PointData, dt: float, state: Array, tangent: bool = True) -> LawAnswer:
        """One step of length `dt` to the total strain (6, P), from the last converged state (s, P).

        `state` is never changed in place. Values of `data` hold at the end of the step.
        """
        ...

    def to_spec(self) -> dict[str, Any]:
        """JSON-able description from which `from_spec` of the same class builds an equal law."""
        ...


def state_size(law: MaterialLaw) -> int:
    """The number s of state variables' components of a law."""
    return sum(law.variables.values())


def rows_of(law: MaterialLaw, name: str) -> slice:
    """Rows of the state (s, P) that hold a variable.

    Raises
    ------
    ConfigError
        The law has no such variable.

    Examples
    --------
    >>> from romflow.materials.making import make_law
    >>> from romflow.materials.reference import REFERENCE
    >>> rows_of(make_law(REFERENCE), "accumulated_plastic_strain")
    slice(6, 7, None)
    """
    start = 0
    for word, size in law.variables.items():
        if word == name:
            return slice(start, start + size)
        start += size
    raise ConfigError(f"the law has no state variable {shown(name)}{nearest(name, law.variables)}")


def prepared(law: MaterialLaw, data: PointData, points: int) -> PointData:
    """Data from which `integrate` gives the same answer, with all that follows from data alone worked out once.

    A law may have a method `prepared(data, points)` for that. The last axis of each array in what it gives is that of
    the points, so that the data of some of them are cut out of it; without the method, data are as they were.
    """
    method = getattr(law, "prepared", None)
    return data if method is None else dict(method(data, points))


def step_of(law: MaterialLaw, data: PointData, dt: float, state: Array) -> Callable[[Array, bool], LawAnswer]:
    """What answers for one step at several strains, one after the other: called with (strain, tangent).

    A law may have a method `step(data, dt, state)` that gives it, which knows what strains do not change and where its
    last answer ended; without the method each strain is integrated on its own.
    """
    method = getattr(law, "step", None)
    if method is not None:
        found: Callable[[Array, bool], LawAnswer] = method(data, dt, state)
        return found
    return lambda strain, tangent: law.integrate(strain, data, dt, state, tangent)


def check_temperature(law: MaterialLaw, values: ArrayLike, who: str = "the temperature") -> None:
    """Refuse temperatures that are not finite or lie outside the range of a law.

    Parameters
    ----------
    law : MaterialLaw
    values : array
        Temperatures of any shape.
    who : str
        What has these values, for the message.

    Raises
    ------
    ParameterError
        The message says which unit was probably meant.

    Examples
    --------
    >>> from romflow.materials.making import make_law
    >>> law = make_law({"kind": "thermoelastic", "young": 2e5, "poisson": 0.3, "temperature_range": [0, 900]})
    >>> check_temperature(law, [300.0, 1173.0])
    Traceback (most recent call last):
        ...
    romflow.core.errors.ParameterError: the temperature reaches 1173, outside the law's temperature_range [0, 900]; \
is it in kelvin where the law's is in degrees Celsius? Change one of them.
    """
    found = np.asarray(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ParameterError(f"{who} is not finite at {int((~np.isfinite(found)).sum())} places; give finite values.")
    if law.temperature_range is None or found.size == 0:
        return
    low, high = law.temperature_range
    least, most = float(found.min()), float(found.max())
    if low <= least and most <= high:
        return
    worst = most if most > high else least
    raise ParameterError(f"{who} reaches {shown(round(worst, 6))}, outside the law's temperature_range "
                         f"[{shown(low)}, {shown(high)}]; {_remedy(least, most, low, high)}")


def _remedy(least: float, most: float, low: float, high: float) -> str:
    """Which unit was probably meant, from which shift would bring the values into the range."""
    if low <= least - _KELVIN and most - _KELVIN <= high:
        return "is it in kelvin where the law's is in degrees Celsius? Change one of them."
    if low <= least + _KELVIN and most + _KELVIN <= high:
        return "is it in degrees Celsius where the law's is in kelvin? Change one of them."
    return "check its unit (kelvin or degrees Celsius), or widen the range if the law holds there."
