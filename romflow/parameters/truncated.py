"""Normal and log-normal distributions restricted to an interval, accurate in the tails too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from romflow.parameters.distribution import INSIDE, Distribution

__all__ = ["TruncatedLogNormal", "TruncatedNormal"]

Array = NDArray[np.float64]

_LOG_ROOT = 0.5 * np.log(2.0 * np.pi)
_NODES = 400


@dataclass(frozen=True)
class _Interval:
    """The standard normal restricted to [alpha, beta], taken at the mirrored interval if it lies above 0."""

    alpha: float
    beta: float

    @property
    def mirrored(self) -> bool:
        return self.alpha + self.beta > 0.0

    @property
    def ends(self) -> tuple[float, float]:
        return (-self.beta, -self.alpha) if self.mirrored else (self.alpha, self.beta)

    def quantile(self, unit: Array) -> Array:
        """``z`` with ``log Phi(z) = log((1 - u) Phi(alpha) + u Phi(beta))``."""
        alpha, beta = self.ends
        unit = 1.0 - unit if self.mirrored else unit
        with np.errstate(divide="ignore"):
            log_left = np.log1p(-unit) + special.log_ndtr(alpha)
            log_right = np.log(unit) + special.log_ndtr(beta)
        standard = special.ndtri_exp(np.minimum(np.logaddexp(log_left, log_right), 0.0))
        return np.asarray(-standard if self.mirrored else standard)

    def cdf(self, z: Array) -> Array:
        """``(Phi(z) - Phi(alpha)) / (Phi(beta) - Phi(alpha))`` from logarithms of Phi."""
        alpha, beta = self.ends
        left, right = special.log_ndtr(alpha), special.log_ndtr(beta)
        here = special.log_ndtr(np.clip(-z if self.mirrored else z, alpha, beta))
        with np.errstate(invalid="ignore"):
            share = np.exp(here - right) * -np.expm1(left - here) / -np.expm1(left - right)
        share = np.where(here == -np.inf, 0.0, share)
        return np.asarray(1.0 - share if self.mirrored else share)

    def log_mass(self) -> float:
        """``log(Phi(beta) - Phi(alpha))``."""
        alpha, beta = self.ends
        left, right = special.log_ndtr(alpha), special.log_ndtr(beta)
        return float(right + np.log(-np.expm1(left - right)))

    def moments(self, function: Callable[[Array], Array]) -> tuple[float, float]:
        """Mean and variance of `function` of it: Gauss-Legendre over the part of the interval that holds its mass."""
        low, high = (float(end) for end in self.quantile(np.array([INSIDE, 1.0 - INSIDE])))
        more = 0.1 * (high - low)
        low, high = max(low - more, self.alpha), min(high + more, self.beta)
        points, weights = _gauss()
        z = low + (high - low) * points
        density = weights * np.exp(-0.5 * (z - np.clip(0.0, low, high)) * (z + np.clip(0.0, low, high)))
        density /= density.sum()
        values = function(z)
        mean = float(density @ values)
        return mean, float(density @ (values - mean) ** 2)


@cache
def _gauss() -> tuple[Array, Array]:
    points, weights = special.roots_legendre(_NODES)
    return 0.5 * (points + 1.0), 0.5 * weights


@dataclass(frozen=True)
class _Truncated(Distribution):
    """What distributions share that are functions of a normal number cut at both ends."""

    mean: float
    std: float
    low: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def expectation(self) -> float:
        if self.low == self.high:
            return self.low
        return min(max(self._interval().moments(self._at)[0], self.low), self.high)

    @property
    def variance(self) -> float:
        return 0.0 if self.low == self.high else self._interval().moments(self._at)[1]

    def _interval(self) -> _Interval:
        raise NotImplementedError

    def _at(self, z: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class TruncatedNormal(_Truncated, Distribution):
    """Normal (mean and std before truncation) restricted to [low, high], accurate in the tails too.

    ``x = mean + std z`` with ``log Phi(z) = log((1 - u) Phi(alpha) + u Phi(beta))``, taken at the mirrored interval if
    it lies above the mean, where Phi would round to 1.
    """

    kind: ClassVar[str] = "truncated-normal"

    def quantile(self, unit: Array) -> Array:
        return self._at(self._interval().quantile(unit))

    def _cdf(self, x: Array) -> Array:
        return self._interval().cdf((x - self.mean) / self.std)

    def _log_density(self, x: Array) -> Array:
        z = (x - self.mean) / self.std
        return np.asarray(-0.5 * z * z - _LOG_ROOT - np.log(self.std) - self._interval().log_mass())

    def _at(self, z: Array) -> Array:
        return np.asarray(self.mean + self.std * z)

    def _interval(self) -> _Interval:
        return _Interval((self.low - self.mean) / self.std, (self.high - self.mean) / self.std)


@dataclass(frozen=True)
class TruncatedLogNormal(_Truncated, Distribution):
    """The natural logarithm is normal (mean and std before truncation); the value is restricted to [low, high].

    `low` may be 0: then only the upper tail is cut.
    """

    kind: ClassVar[str] = "truncated-log-normal"

    def quantile(self, unit: Array) -> Array:
        return self._at(self._interval().quantile(np.maximum(unit, INSIDE) if self.low == 0.0 else unit))

    def _cdf(self, x: Array) -> Array:
        return self._interval().cdf(self._standard(x))

    def _log_density(self, x: Array) -> Array:
        z = self._standard(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = -0.5 * z * z - _LOG_ROOT - np.log(self.std) - np.log(x) - self._interval().log_mass()
        return np.where(x > 0.0, inner, -np.inf)

    def _at(self, z: Array) -> Array:
        return np.asarray(np.exp(self.mean + self.std * z))

    def _standard(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray((np.log(x) - self.mean) / self.std)

    def _interval(self) -> _Interval:
        alpha, beta = self._standard(np.array([self.low, self.high]))
        return _Interval(float(alpha), float(beta))
