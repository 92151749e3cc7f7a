"""Polynomials of the parameters that predict coefficients and outputs: a polynomial chaos expansion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from romflow.parameters.polynomials.basis import PolynomialBasis

__all__ = ["PolynomialRegression"]

_CHUNK_NUMBERS = 4e6


@dataclass(frozen=True)
class PolynomialRegression:
    """Weighted least-squares polynomials, orthonormal for the distributions of the parameters.

    mean(mu) = C phi(mu), std(mu) = spread (1 + |factor phi(mu)|^2)^{1/2}: the second part grows where the design says
    little about the polynomials.

    Attributes
    ----------
    degrees : (m, p) int
        Multi-indices, see :class:`~romflow.parameters.polynomials.basis.PolynomialBasis`.
    logarithm, shift, scale : (p,)
        Germs of the parameters.
    a, b : (p, K)
        Recurrences.
    coefficients : (t, m)
    factor : (m, m)
        R^{-T} with R^T R = sum_i w_i phi(mu_i) phi(mu_i)^T.
    spread : (t,)
        Root mean square of the leave-one-out errors over (1 + |factor phi|^2)^{1/2}.
    """

    degrees: np.ndarray
    logarithm: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    a: np.ndarray
    b: np.ndarray
    coefficients: np.ndarray
    factor: np.ndarray
    spread: np.ndarray
    name: str = "polynomial"
    interpolates = False  # a fit by least squares

    @property
    def basis(self) -> PolynomialBasis:
        """The polynomials."""
        return PolynomialBasis(self.degrees, self.logarithm, self.shift, self.scale, self.a, self.b)

    def predict(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and spreads (t, b) at parameters (b, p), which are not scaled."""
        t, b, m = self.spread.size, z.shape[0], len(self.degrees)
        mean, growth = np.empty((t, b)), np.empty(b)
        chunk, basis = max(1, int(_CHUNK_NUMBERS / m)), self.basis
        for start in range(0, b, chunk):
            part = slice(start, min(start + chunk, b))
            phi = basis.values(z[part])
            mean[:, part] = self.coefficients @ phi.T
            growth[part] = np.sqrt(1.0 + np.sum((phi @ self.factor.T) ** 2, axis=1))
        return mean, self.spread[:, None] * growth

    def sobol_indices(self) -> tuple[np.ndarray, np.ndarray]:
        """First-order and total Sobol' indices (t, p) of each target: exact sums of squared coefficients.

        ``first_i = sum over d with d_i > 0 alone of c_d^2 / V``, ``total_i = sum over d with d_i > 0 of c_d^2 / V``
        and V the sum over all d but 0 (Sudret, Reliab. Eng. Syst. Saf. 93, 2008, eq. 38 to 40), for independent
        parameters; 0 where V = 0.
        """
        active = self.degrees > 0
        squared = self.coefficients**2
        alone = active & (active.sum(axis=1) == 1)[:, None]
        variance = squared @ active.any(axis=1)
        share = np.where(variance > 0.0, 1.0 / np.where(variance > 0.0, variance, 1.0), 0.0)[:, None]
        return squared @ alone * share, squared @ active * share

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (t,) of each target over the parameters' distribution."""
        constant = ~(self.degrees > 0).any(axis=1)
        return self.coefficients @ constant, self.coefficients**2 @ ~constant

    def select(self, targets: np.ndarray) -> PolynomialRegression:
        """The polynomials of some targets alone."""
        return replace(self, coefficients=self.coefficients[targets], spread=self.spread[targets])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All the arrays, by attribute name."""
        return {key: getattr(self, key) for key in ("degrees", "logarithm", "shift", "scale", "a", "b", "coefficients",
                                                    "factor", "spread")}
