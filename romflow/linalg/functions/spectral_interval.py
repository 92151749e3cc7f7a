"""An interval that holds a spectrum, and how fast the series of 1/x and log x converge on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError, ShapeError


@dataclass(frozen=True)
class SpectralInterval:
    """Spectra in [low, high] make I - alpha A a contraction of norm rho < 1 if and only if low > 0.

    Examples
    --------
    >>> interval = SpectralInterval(1.0, 3.0)
    >>> interval.alpha, interval.rho
    (0.5, 0.5)
    >>> SpectralInterval(0.0, 3.0).rho
    1.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high and self.high > 0.0):
            raise InputError(f"the spectral interval is [{self.low}, {self.high}]; the rule is finite ends with low <= "
                             "high and high > 0")

    @classmethod
    def from_coefficients(cls, theta: np.ndarray, reference: np.ndarray) -> SpectralInterval:
        """Spectrum of A_0^{-1} A(theta), A_0 = A(reference): [min theta_q / reference_q, max theta_q / reference_q].

        Assumes that every term A_q is symmetric positive semidefinite (norm equivalence by the min-theta rule).

        Parameters
        ----------
        theta : (k, Q)
        reference : (Q,)
            Positive.

        Examples
        --------
        >>> SpectralInterval.from_coefficients(np.array([[1.0, 0.5], [1.0, 2.0]]), np.array([1.0, 1.0]))
        SpectralInterval(low=0.5, high=2.0)
        """
        theta, reference = np.asarray(theta, dtype=float), np.asarray(reference, dtype=float)
        if theta.ndim != 2 or reference.shape != theta.shape[1:]:
            raise ShapeError(f"theta has shape {theta.shape} and the reference {reference.shape}; the rule is (k, Q) "
                             "and (Q,)")
        if not (reference > 0.0).all():
            raise InputError(f"the reference coefficients are {reference.tolist()}; the rule is positive ones")
        ratio = theta / reference
        return cls(float(ratio.min()), float(ratio.max()))

    @property
    def alpha(self) -> float:
        """2 / (low + high)."""
        return 2.0 / (self.low + self.high) if self.low + self.high > 0.0 else np.inf

    @property
    def rho(self) -> float:
        """(high - low) / (high + low), the norm of I - alpha A; infinite where no alpha > 0 is best."""
        return (self.high - self.low) / (self.high + self.low) if self.low + self.high > 0.0 else np.inf

    @property
    def rate(self) -> float:
        """(sqrt(high) - sqrt(low)) / (sqrt(high) + sqrt(low)), the rate of Chebyshev series; 1 where low <= 0."""
        low, high = np.sqrt(max(self.low, 0.0)), np.sqrt(self.high)
        return float((high - low) / (high + low))

    def inverse_series(self, m: int, series: str = "chebyshev") -> tuple[np.ndarray, float]:
        """Sizes a_k (m + 1,) of the terms of the series of 1/x on the interval, and the bound of what it leaves.

        "neumann": a_k = alpha rho^k. "chebyshev": a_0 = 1/g, a_k = 2 z^k / g with z = `rate` and g = sqrt(low high).
        """
        k = np.arange(m + 1)
        if self._diverges(series):
            return np.full(m + 1, np.inf), np.inf
        if series == "neumann":
            return self.alpha * self.rho**k, self.alpha * self.rho ** (m + 1) / (1.0 - self.rho)
        mean, z = np.sqrt(self.low * self.high), self.rate
        return np.where(k > 0, 2.0, 1.0) * z**k / mean, float(2.0 * z ** (m + 1) / ((1.0 - z) * mean))

    def log_series(self, m: int, series: str = "chebyshev") -> tuple[np.ndarray, float]:
        """As `inverse_series` for log x: rho^k / k, and 2 z^k / k; constants are left out (the weights sum to 1)."""
        k = np.arange(1, m + 2)
        if self._diverges(series):
            return np.full(m + 1, np.inf), np.inf
        size, rate = (1.0, self.rho) if series == "neumann" else (2.0, self.rate)
        terms = size * rate**k / k
        return np.concatenate([[0.0], terms[:-1]]), float(terms[-1] / (1.0 - rate))

    def _diverges(self, series: str) -> bool:
        if series not in ("chebyshev", "neumann"):
            raise InputError(f"no series is called '{series}'; known: chebyshev, neumann")
        return self.low <= 0.0
