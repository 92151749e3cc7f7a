"""Orthonormal polynomials of one variable by their three-term recurrence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from romflow.core.errors import InputError

__all__ = ["Recurrence", "hermite", "jacobi", "legendre", "of_measure"]

Array = NDArray[np.float64]

# A polynomial whose norm is below this share of the one before lives on fewer points than its degree needs.
_VANISHED = 1e-12


@dataclass(frozen=True)
class Recurrence:
    """x phi_k = b_(k+1) phi_(k+1) + a_k phi_k + b_k phi_(k-1), phi_0 = 1, for a probability measure.

    Attributes
    ----------
    a : (K,)
        a_0 .. a_(K-1).
    b : (K,)
        b_1 .. b_K, all positive; K is the largest degree.

    Examples
    --------
    >>> legendre(2).values(np.array([1.0]))[0] ** 2
    array([1., 3., 5.])
    """

    a: Array
    b: Array

    @property
    def degree(self) -> int:
        """Largest degree K."""
        return len(self.b)

    def values(self, x: Array) -> Array:
        """phi_0 .. phi_K at x of any shape (..., K + 1)."""
        found = np.empty((*np.shape(x), self.degree + 1))
        found[..., 0] = 1.0
        for k in range(self.degree):
            before = self.b[k - 1] * found[..., k - 1] if k else 0.0
            found[..., k + 1] = ((x - self.a[k]) * found[..., k] - before) / self.b[k]
        return found

    def gauss(self, m: int) -> tuple[Array, Array]:
        """Nodes (m,), ascending, and weights (m,) that integrate polynomials of degree 2 m - 1 (Golub and Welsch 1969).

        Raises
        ------
        InputError
            m is not within 1 .. K.
        """
        if not 1 <= m <= self.degree:
            raise InputError(f"a Gauss rule of {m} nodes is asked of polynomials up to degree {self.degree}; the rule "
                             f"is 1 to {self.degree} nodes.")
        nodes, vectors = eigh_tridiagonal(self.a[:m], self.b[:m - 1])
        return np.asarray(nodes, dtype=np.float64), np.asarray(vectors[0] ** 2, dtype=np.float64)


def legendre(degree: int) -> Recurrence:
    """Of the uniform distribution on [-1, 1]: b_k = k / sqrt(4 k^2 - 1)."""
    k = np.arange(1.0, degree + 1.0)
    return Recurrence(np.zeros(degree), k / np.sqrt(4.0 * k**2 - 1.0))


def hermite(degree: int) -> Recurrence:
    """Of the standard normal distribution: b_k = sqrt(k)."""
    return Recurrence(np.zeros(degree), np.sqrt(np.arange(1.0, degree + 1.0)))


def jacobi(degree: int, left: float, right: float) -> Recurrence:
    """Of the density c (1 + x)^(left - 1) (1 - x)^(right - 1) on [-1, 1], left, right > 0: a beta distribution.

    Gautschi, Orthogonal Polynomials (2004), table 1.1, with alpha = right - 1 and beta = left - 1.
    """
    alpha, beta = right - 1.0, left - 1.0
    k = np.arange(1.0, degree + 1.0)
    s = 2.0 * k + alpha + beta
    a = np.empty(degree)
    a[:1] = (beta - alpha) / (alpha + beta + 2.0)
    a[1:] = (beta - alpha) * (beta + alpha) / (s[:-1] * (s[:-1] + 2.0))
    squared = np.empty(degree)
    squared[:1] = 4.0 * (1.0 + alpha) * (1.0 + beta) / ((2.0 + alpha + beta) ** 2 * (3.0 + alpha + beta))
    k, s = k[1:], s[1:]
    squared[1:] = 4.0 * k * (k + alpha) * (k + beta) * (k + alpha + beta) / (s**2 * (s + 1.0) * (s - 1.0))
    return Recurrence(a, np.sqrt(squared))


def of_measure(nodes: Array, weights: Array, degree: int) -> Recurrence:
    """Of the discrete measure with these nodes and weights, up to `degree` or as far as it has polynomials.

    Stieltjes' procedure (Gautschi 2004, section 2.2.3) with each polynomial made orthogonal to all before it twice.
    """
    root = np.sqrt(weights / weights.sum())
    vectors = [root]
    a: list[float] = []
    b: list[float] = []
    for k in range(degree):
        step = nodes * vectors[k]
        size = float(np.linalg.norm(step - (vectors[k] @ step) * vectors[k]))
        a.append(float(vectors[k] @ step))
        for _ in range(2):
            for vector in vectors:
                step = step - (vector @ step) * vector
        left = float(np.linalg.norm(step))
        if left <= _VANISHED * max(size, float(np.abs(nodes).max())):
            return Recurrence(np.array(a[:-1]), np.array(b))
        b.append(left)
        vectors.append(step / left)
    return Recurrence(np.array(a), np.array(b))
