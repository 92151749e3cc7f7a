"""Orthonormal polynomials of several independent parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.polynomials.marginals import Marginal, marginal
from romflow.parameters.polynomials.multi_indices import multi_indices
from romflow.parameters.polynomials.recurrence import Recurrence
from romflow.parameters.space import ParameterSpace

__all__ = ["PolynomialBasis", "marginals_of", "polynomial_basis"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PolynomialBasis:
    """Products phi_j(mu) = prod_i phi_(d_ji)(g_i) of orthonormal polynomials of the germs of the parameters.

    Attributes
    ----------
    degrees : (m, p) int
        d_ji; the first row is 0, which is the constant 1.
    logarithm : (p,) of 0 and 1
    shift, scale : (p,)
        Germ g = (x - shift) / scale, where logarithm is 1 with log x for x.
    a, b : (p, K)
        Recurrences, see :class:`~romflow.parameters.polynomials.recurrence.Recurrence`.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> basis = polynomial_basis(ParameterSpace([Parameter("a", Uniform(0.0, 2.0))]), 1)
    >>> basis.values(np.array([[2.0]])) ** 2
    array([[1., 3.]])
    """

    degrees: NDArray[np.int64]
    logarithm: Array
    shift: Array
    scale: Array
    a: Array
    b: Array

    @property
    def size(self) -> int:
        """Number of polynomials m."""
        return len(self.degrees)

    def germs(self, mu: Array) -> Array:
        """Germs (k, p) of parameters (k, p)."""
        x = np.array(mu, dtype=np.float64)
        for j in np.flatnonzero(self.logarithm):
            x[:, j] = np.log(x[:, j])
        return (x - self.shift) / self.scale

    def values(self, mu: Array) -> Array:
        """phi_j at parameters (k, p): (k, m)."""
        return self.of_germs(self.germs(mu))

    def of_germs(self, germs: Array) -> Array:
        """phi_j at germs (k, p): (k, m)."""
        found = np.ones((len(germs), self.size))
        for j, top in enumerate(self.degrees.max(axis=0)):
            if top:
                found *= Recurrence(self.a[j, :top], self.b[j, :top]).values(germs[:, j])[:, self.degrees[:, j]]
        return found

    def weights(self, mu: Array) -> Array:
        """Weights w(mu) = m / sum_j phi_j(mu)^2 (k,) of optimal designs (Cohen and Migliorati 2017, eq. 2.7)."""
        return np.asarray(self.size / np.sum(self.values(mu) ** 2, axis=1))

    def select(self, terms: NDArray[np.int64]) -> PolynomialBasis:
        """Some of the polynomials."""
        return replace(self, degrees=self.degrees[terms])


def polynomial_basis(space: ParameterSpace, degree: int, kind: str = "total") -> PolynomialBasis:
    """The polynomials up to `degree` that are orthonormal for the distributions of a space.

    Parameters
    ----------
    space : ParameterSpace
    degree : int
    kind : {"total", "hyperbolic"}
        See :func:`~romflow.parameters.polynomials.multi_indices.multi_indices`.

    Raises
    ------
    InputError
        As for `multi_indices`.
    """
    multi_indices(1, degree, kind)
    parts = marginals_of(space, degree)
    degrees = multi_indices(space.size, degree, kind, [part.recurrence.degree for part in parts])
    rows = [(_padded(part.recurrence.a, degree), _padded(part.recurrence.b, degree)) for part in parts]
    return PolynomialBasis(degrees, np.array([float(part.logarithm) for part in parts]),
                           np.array([part.shift for part in parts]), np.array([part.scale for part in parts]),
                           np.array([a for a, _ in rows]), np.array([b for _, b in rows]))


def marginals_of(space: ParameterSpace, degree: int) -> list[Marginal]:
    """The germ of each column of a space."""
    found = []
    for table in space.tables:
        found += [marginal(table.distribution, degree)] * table.size
    return found


def _padded(values: Array, length: int) -> Array:
    return np.concatenate([values, np.ones(length - len(values))])
