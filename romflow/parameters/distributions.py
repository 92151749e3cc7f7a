"""Distributions of one parameter: support, inverse distribution function, JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from romflow.core.errors import ParameterError
from romflow.core.parameter_rules import keys_fault
from romflow.parameters.distribution import INSIDE, Distribution
from romflow.parameters.empirical import Table
from romflow.parameters.truncated import TruncatedLogNormal, TruncatedNormal

__all__ = [
    "Beta",
    "Distribution",
    "LogNormal",
    "LogUniform",
    "Normal",
    "Table",
    "Triangular",
    "TruncatedLogNormal",
    "TruncatedNormal",
    "Uniform",
    "from_spec",
]

Array = NDArray[np.float64]

_LOG_ROOT = 0.5 * math.log(2.0 * math.pi)


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

    @property
    def expectation(self) -> float:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> float:
        return (self.high - self.low) ** 2 / 12.0

    def _cdf(self, x: Array) -> Array:
        return np.asarray((x - self.low) / (self.high - self.low))

    def _log_density(self, x: Array) -> Array:
        return np.full(x.shape, -math.log(self.high - self.low))


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

    @property
    def expectation(self) -> float:
        width = self._width
        if width < 1.0:
            return self.low if width == 0.0 else self.low * math.expm1(width) / width
        return (self.high - self.low) / width

    @property
    def variance(self) -> float:
        width = self._width
        square = self.low * self.high
        if width < 1e-2:
            return square * (width**2 / 12.0 + width**4 / 180.0)
        if width < 1.0:
            return square * (math.sinh(width) / width - (2.0 * math.sinh(0.5 * width) / width) ** 2)
        mean = self.expectation
        return (0.5 * (self.high + self.low) - mean) * mean

    def _cdf(self, x: Array) -> Array:
        return np.asarray((np.log(x) - math.log(self.low)) / self._width)

    def _log_density(self, x: Array) -> Array:
        return np.asarray(-np.log(x) - math.log(self._width))

    @property
    def _width(self) -> float:
        return math.log(self.high) - math.log(self.low)


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

    @property
    def expectation(self) -> float:
        return self.mean

    @property
    def variance(self) -> float:
        return self.std**2

    def _cdf(self, x: Array) -> Array:
        return np.asarray(special.ndtr((x - self.mean) / self.std))

    def _log_density(self, x: Array) -> Array:
        z = (x - self.mean) / self.std
        return np.asarray(-0.5 * z * z - _LOG_ROOT - math.log(self.std))


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
        return np.asarray(np.exp(self.mean + self.std * special.ndtri(np.maximum(unit, INSIDE))))

    @property
    def expectation(self) -> float:
        with np.errstate(over="ignore"):
            return float(np.exp(self.mean + 0.5 * self.std**2))

    @property
    def variance(self) -> float:
        """Infinite where float64 does not hold it."""
        with np.errstate(over="ignore"):
            return float(np.expm1(self.std**2) * np.exp(2.0 * self.mean + self.std**2))

    def _cdf(self, x: Array) -> Array:
        return np.asarray(special.ndtr(self._standard(x)))

    def _log_density(self, x: Array) -> Array:
        z = self._standard(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = -0.5 * z * z - _LOG_ROOT - math.log(self.std) - np.log(x)
        return np.where(x > 0.0, inner, -np.inf)

    def _standard(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray((np.log(x) - self.mean) / self.std)


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
        share = special.betaincinv(self.a, self.b, unit)
        lost = np.isnan(share)  # SciPy gives up on tiny probabilities, where u = x^a / (a B(a, b)) to round-off
        if lost.any():
            logs = np.log(np.where(lost, unit, 1.0)) + math.log(self.a) + special.betaln(self.a, self.b)
            share = np.where(lost, np.exp(np.minimum(logs / self.a, 0.0)), share)
        return np.asarray(self.low + (self.high - self.low) * share)

    @property
    def expectation(self) -> float:
        return self.low + (self.high - self.low) * self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        total = self.a + self.b
        return (self.high - self.low) ** 2 * (self.a / total) * (self.b / total) / (total + 1.0)

    def _cdf(self, x: Array) -> Array:
        return np.asarray(special.betainc(self.a, self.b, (x - self.low) / (self.high - self.low)))

    def _log_density(self, x: Array) -> Array:
        unit = (x - self.low) / (self.high - self.low)
        powers = special.xlogy(self.a - 1.0, unit) + special.xlog1py(self.b - 1.0, -unit)
        return np.asarray(powers - special.betaln(self.a, self.b) - math.log(self.high - self.low))


@dataclass(frozen=True)
class Triangular(Distribution):
    """Density rising linearly from `low` to `mode` and falling to `high`."""

    kind: ClassVar[str] = "triangular"
    low: float
    mode: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def expectation(self) -> float:
        return self.low / 3.0 + self.mode / 3.0 + self.high / 3.0

    @property
    def variance(self) -> float:
        left, right = self.mode - self.low, self.high - self.mode
        return (left**2 + left * right + right**2) / 18.0

    def quantile(self, unit: Array) -> Array:
        width, left = self.high - self.low, self.mode - self.low
        rising = self.low + np.sqrt(unit * width * left)
        falling = self.high - np.sqrt((1.0 - unit) * width * (self.high - self.mode))
        return np.where(unit * width <= left, rising, falling)

    def _cdf(self, x: Array) -> Array:
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        rising = (x - self.low) ** 2 / (width * left) if left > 0.0 else np.zeros(x.shape)
        falling = 1.0 - (self.high - x) ** 2 / (width * right) if right > 0.0 else np.ones(x.shape)
        return np.where(x <= self.mode, rising, falling)

    def _log_density(self, x: Array) -> Array:
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        rising = (x - self.low) / left if left > 0.0 else np.ones(x.shape)
        falling = (self.high - x) / right if right > 0.0 else np.ones(x.shape)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(2.0 / width * np.where(x <= self.mode, rising, falling)))


_KINDS: dict[str, type[Distribution]] = {
    cls.kind: cls
    for cls in (Uniform, LogUniform, Normal, TruncatedNormal, LogNormal, TruncatedLogNormal, Beta, Triangular, Table)
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
