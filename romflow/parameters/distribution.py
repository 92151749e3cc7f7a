"""What every distribution of one parameter answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ParameterError
from romflow.core.names import shown
from romflow.core.parameter_rules import distribution_fault

__all__ = ["INSIDE", "Distribution"]

Array = NDArray[np.float64]

#: How far from 0 and 1 a probability is kept where the quantile there is infinite.
INSIDE = 2.0**-53


@dataclass(frozen=True)
class Distribution(ABC):
    """A distribution on an interval; its fields are its keys in the study file.

    Raises
    ------
    ParameterError
        On making one from numbers that break its rules.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise ParameterError(f"{self.kind}: {key} = {shown(value)} is not a number; give one.")
            object.__setattr__(self, key, float(value))
        fault = distribution_fault(self.kind, {key: float(value) for key, value in values.items()})
        if fault is not None:
            raise ParameterError(f"{self.kind}: {fault}")

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Smallest interval that holds all values; infinite where it has no end."""

    @property
    @abstractmethod
    def expectation(self) -> float:
        """Expected value of the parameter itself (the key `mean` of some kinds is that of another quantity)."""

    @property
    @abstractmethod
    def variance(self) -> float:
        """Variance of the parameter itself."""

    @abstractmethod
    def quantile(self, unit: Array) -> Array:
        """Inverse distribution function at `unit` in [0, 1], any shape, before round-off beyond the support is cut."""

    @abstractmethod
    def _cdf(self, x: Array) -> Array:
        """Distribution function at values within the support, which has a width."""

    @abstractmethod
    def _log_density(self, x: Array) -> Array:
        """Logarithm of the density at values within the support, which has a width."""

    @property
    def discrete(self) -> bool:
        """Whether single values have positive probability; `log_density` is then the logarithm of that."""
        low, high = self.support
        return low == high

    def ppf(self, unit: Array) -> Array:
        """Inverse distribution function: finite values of the support, for `unit` in [0, 1] of any shape.

        Where the support has no end, and at the zero of the log-normal, `unit` is kept 2^-53 away from 0 and 1.

        Examples
        --------
        >>> from romflow.parameters.distributions import Uniform
        >>> Uniform(0.1, 1.0).ppf(np.array([0.0, 0.5, 1.0]))
        array([0.1 , 0.55, 1.  ])
        """
        low, high = self.support
        lowest = 0.0 if np.isfinite(low) else INSIDE
        highest = 1.0 if np.isfinite(high) else 1.0 - INSIDE
        return np.clip(self.quantile(np.clip(unit, lowest, highest)), low, high)

    def cdf(self, x: ArrayLike) -> Array:
        """Distribution function P(X <= x), any shape; 0 below the support and 1 above.

        Raises
        ------
        ParameterError
            A value is NaN.

        Examples
        --------
        >>> from romflow.parameters.distributions import Uniform
        >>> Uniform(0.0, 2.0).cdf([-1.0, 0.5, 3.0])
        array([0.  , 0.25, 1.  ])
        """
        values = self._values(x)
        low, high = self.support
        if low == high:
            return np.where(values >= low, 1.0, 0.0)
        with np.errstate(over="ignore"):
            inner = np.clip(self._cdf(np.clip(values, *self._finite())), 0.0, 1.0)
        return np.where(values < low, 0.0, np.where(values >= high, 1.0, inner))

    def log_density(self, x: ArrayLike) -> Array:
        """Logarithm of the density, any shape; -inf outside the support.

        Where single values have positive probability (`discrete`), the logarithm of that probability.

        Raises
        ------
        ParameterError
            A value is NaN.

        Examples
        --------
        >>> from romflow.parameters.distributions import Uniform
        >>> Uniform(0.0, 0.5).log_density([0.5, 2.0])
        array([0.69314718,       -inf])
        """
        values = self._values(x)
        low, high = self.support
        if low == high:
            return np.where(values == low, 0.0, -np.inf)
        inside = (values >= low) & (values <= high) & np.isfinite(values)
        with np.errstate(over="ignore"):
            return np.where(inside, self._log_density(np.clip(values, *self._finite())), -np.inf)

    def spec(self) -> dict[str, Any]:
        """JSON form: {"distribution": kind, key: number ...}; `from_spec` of romflow.parameters.distributions reads it.
        """
        return {"distribution": self.kind, **{item.name: getattr(self, item.name) for item in fields(self)}}

    def _values(self, x: ArrayLike) -> Array:
        values = np.asarray(x, dtype=np.float64)
        if np.isnan(values).any():
            raise ParameterError(f"{self.kind}: a value is NaN; give numbers.")
        return values

    def _finite(self) -> tuple[float, float]:
        largest = float(np.finfo(np.float64).max)
        low, high = self.support
        return max(low, -largest), min(high, largest)
