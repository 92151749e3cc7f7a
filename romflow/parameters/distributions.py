"""Distributions of one parameter: support, inverse distribution function, JSON form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from romflow.core.errors import ParameterError
from romflow.core.names import shown
from romflow.core.parameter_rules import distribution_fault, keys_fault

__all__ = [
    "Beta",
    "Distribution",
    "LogNormal",
    "LogUniform",
    "Normal",
    "TruncatedNormal",
    "Uniform",
    "from_spec",
]

Array = NDArray[np.float64]

_INSIDE = 2.0**-53


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

    @abstractmethod
    def quantile(self, unit: Array) -> Array:
        """Inverse distribution function at `unit` in [0, 1], any shape, before round-off beyond the support is cut."""

    def ppf(self, unit: Array) -> Array:
        """Inverse distribution function: finite values of the support, for `unit` in [0, 1] of any shape.

        Where the support has no end, and at the zero of the log-normal, `unit` is kept 2^-53 away from 0 and 1.

        Examples
        --------
        >>> Uniform(0.1, 1.0).ppf(np.array([0.0, 0.5, 1.0]))
        array([0.1 , 0.55, 1.  ])
        """
        low, high = self.support
        lowest = 0.0 if np.isfinite(low) else _INSIDE
        highest = 1.0 if np.isfinite(high) else 1.0 - _INSIDE
        return np.clip(self.quantile(np.clip(unit, lowest, highest)), low, high)

    def spec(self) -> dict[str, Any]:
        """JSON form: {"distribution": kind, key: number ...}; :func:`from_spec` reads it."""
        return {"distribution": self.kind, **{item.name: getattr(self, item.name) for item in fields(self)}}


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform on [low, high]: ``low + (high - low) u``."""

    kind: ClassVar[str] = "uniform"
    low: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, unit: Array) -> Array:
        return self.low + (self.high - self.low) * unit


@dataclass(frozen=True)
class LogUniform(Distribution):
    """The logarithm is uniform on [log low, log high], 0 < low: ``low (high / low)^u``."""

    kind: ClassVar[str] = "log-uniform"
    low: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, unit: Array) -> Array:
        start = np.log(self.low)
        return np.asarray(np.exp(start + (np.log(self.high) - start) * unit))


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal with mean and standard deviation: ``mean + std Phi^-1(u)``."""

    kind: ClassVar[str] = "normal"
    mean: float
    std: float

    @property
    def support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def quantile(self, unit: Array) -> Array:
        return np.asarray(self.mean + self.std * special.ndtri(unit))


@dataclass(frozen=True)
class TruncatedNormal(Distribution):
    """Normal (mean and std before truncation) restricted to [low, high], accurate in the tails too.

    ``x = mean + std z`` with ``log Phi(z) = log((1 - u) Phi(alpha) + u Phi(beta))``, taken at the mirrored interval if
    it lies above the mean, where Phi would round to 1.
    """

    kind: ClassVar[str] = "truncated-normal"
    mean: float
    std: float
    low: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, unit: Array) -> Array:
        alpha, beta = (self.low - self.mean) / self.std, (self.high - self.mean) / self.std
        mirrored = alpha + beta > 0.0
        if mirrored:
            alpha, beta, unit = -beta, -alpha, 1.0 - unit
        with np.errstate(divide="ignore"):
            log_left = np.log1p(-unit) + special.log_ndtr(alpha)
            log_right = np.log(unit) + special.log_ndtr(beta)
        standard = special.ndtri_exp(np.minimum(np.logaddexp(log_left, log_right), 0.0))
        return np.asarray(self.mean + self.std * (-standard if mirrored else standard))


@dataclass(frozen=True)
class LogNormal(Distribution):
    """The natural logarithm is normal with this mean and standard deviation: ``exp(mean + std Phi^-1(u))``."""

    kind: ClassVar[str] = "log-normal"
    mean: float
    std: float

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, np.inf

    def quantile(self, unit: Array) -> Array:
        return np.asarray(np.exp(self.mean + self.std * special.ndtri(np.maximum(unit, _INSIDE))))


@dataclass(frozen=True)
class Beta(Distribution):
    """Beta with exponents a, b > 0, stretched to [low, high]: ``low + (high - low) I^-1(a, b; u)``."""

    kind: ClassVar[str] = "beta"
    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, unit: Array) -> Array:
        return np.asarray(self.low + (self.high - self.low) * special.betaincinv(self.a, self.b, unit))


_KINDS: dict[str, type[Distribution]] = {
    cls.kind: cls for cls in (Uniform, LogUniform, Normal, TruncatedNormal, LogNormal, Beta)
}


def from_spec(spec: Mapping[str, Any]) -> Distribution:
    """The distribution whose :meth:`Distribution.spec` is `spec`.

    Raises
    ------
    ParameterError
        Unknown kind, unknown or missing key, numbers that break the rules.

    Examples
    --------
    >>> from_spec({"distribution": "normal", "mean": 0.0, "std": 2.0})
    Normal(mean=0.0, std=2.0)
    """
    kind = str(spec.get("distribution", "uniform"))
    values = {str(key): value for key, value in spec.items() if key != "distribution"}
    fault = keys_fault(kind, values)
    if fault is not None:
        raise ParameterError(fault)
    return _KINDS[kind](**values)
