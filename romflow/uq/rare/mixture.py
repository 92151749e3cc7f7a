"""Mixtures of normal densities as proposals: drawn by strata, fitted to weighted draws, weighed for several events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture", "best_weights", "fitted", "standard"]

Array = NDArray[np.float64]

_SWEEPS = 8
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_WEIGHT_STEPS = 100


@dataclass(frozen=True)
class Mixture:
    """sum_j weights_j N(means_j, L_j L_j^T).

    Attributes
    ----------
    weights : (J,)
    means : (J, p)
    factors : (J, p, p)
        L_j, lower triangular.
    """

    weights: Array
    means: Array
    factors: Array

    def log_densities(self, z: Array) -> Array:
        """Logarithms of the component densities (J, n) at z (n, p)."""
        found = np.empty((len(self.means), len(z)))
        for j, (mean, inverse) in enumerate(zip(self.means, np.linalg.inv(self.factors), strict=True)):
            whitened = (z - mean) @ inverse.T
            found[j] = -0.5 * np.einsum("np,np->n", whitened, whitened)
        logarithms = np.log(np.einsum("jpp->jp", self.factors)).sum(axis=1)
        return found - logarithms[:, None] - z.shape[1] * _HALF_LOG_2PI

    def ratios(self, z: Array) -> Array:
        """Component densities (J, n) at z (n, p) over the standard normal one, within exp(+-700)."""
        return np.exp(np.clip(self.log_densities(z) - standard(z.shape[1]).log_densities(z), -700.0, 700.0))

    def draw(self, counts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """`counts` (J,) draws of each component: z (n, p) and the components they are of (n,)."""
        labels = np.repeat(np.arange(len(counts)), counts)
        z = rng.standard_normal((len(labels), self.means.shape[1]))
        for j, stop in enumerate(np.cumsum(counts)):
            own = slice(int(stop - counts[j]), int(stop))
            z[own] = self.means[j] + z[own] @ self.factors[j].T
        return z, labels

    def with_weights(self, weights: Array, least: float = 0.0) -> Mixture:
        """Other weights; components below `least` are left out, but for the first."""
        kept = weights >= least
        kept[0] = True
        return Mixture(weights[kept] / weights[kept].sum(), self.means[kept], self.factors[kept])

    def joined(self, other: Mixture) -> Mixture:
        """The components of both, with equal weights."""
        count = len(self.weights) + len(other.weights)
        return Mixture(np.full(count, 1.0 / count), np.concatenate([self.means, other.means]),
                       np.concatenate([self.factors, other.factors]))


def standard(p: int) -> Mixture:
    """The standard normal density alone."""
    return Mixture(np.ones(1), np.zeros((1, p)), np.eye(p)[None])


def fitted(z: Array, weights: Array, count: int) -> Mixture:
    """At most `count` normal components fitted to weighted points by expectation maximisation.

    Covariances are shrunk towards the unit matrix by p + 2 points' worth, so that a few points in many dimensions give
    no narrow component; components with less than two points' weight are left out.

    Parameters
    ----------
    z : (n, p)
    weights : (n,)
        Not negative, not all zero.
    count : int
    """
    used = weights > 0.0
    z, weights = z[used], weights[used] / weights[used].sum()
    effective = 1.0 / np.sum(weights**2)
    count = int(max(1, min(count, effective // 4)))
    responsible = _nearest(z, _centres(z, weights, count))
    mixture = _maximised(z, weights, responsible, effective)
    for _ in range(_SWEEPS if count > 1 else 0):
        joint = np.log(np.maximum(mixture.weights, 1e-300))[:, None] + mixture.log_densities(z)
        joint -= joint.max(axis=0)
        responsible = np.exp(joint)
        responsible /= responsible.sum(axis=0)
        mixture = _maximised(z, weights, responsible, effective)
    kept = mixture.weights * effective >= min(2.0, 0.5 * effective)
    return Mixture(mixture.weights[kept] / mixture.weights[kept].sum(), mixture.means[kept], mixture.factors[kept])


def _centres(z: Array, weights: Array, count: int) -> Array:
    """The point nearest to the origin, then the heaviest and farthest ones."""
    chosen = [int(np.argmin(np.einsum("np,np->n", z, z)))]
    distance = ((z - z[chosen[0]])**2).sum(axis=1)
    for _ in range(count - 1):
        chosen.append(int(np.argmax(distance * np.sqrt(weights))))
        distance = np.minimum(distance, ((z - z[chosen[-1]])**2).sum(axis=1))
    return z[chosen]


def _nearest(z: Array, centres: Array) -> Array:
    distance = ((z[None] - centres[:, None])**2).sum(axis=2)
    return np.asarray(np.eye(len(centres))[distance.argmin(axis=0)].T)


def _maximised(z: Array, weights: Array, responsible: Array, effective: float) -> Mixture:
    p = z.shape[1]
    means, factors, masses = [], [], []
    for share in responsible * weights:
        mass = share.sum()
        mean = share @ z / max(mass, 1e-300)
        spread = (z - mean).T @ ((z - mean) * share[:, None]) * effective
        prior = p + 2.0
        factors.append(np.linalg.cholesky((spread + prior * np.eye(p)) / (mass * effective + prior)))
        means.append(mean)
        masses.append(mass)
    return Mixture(np.array(masses), np.array(means), np.array(factors))


def best_weights(densities: Array, integrands: Array, least: float) -> Array:
    """Weights (J,) of components that minimise the largest of several variances, the first at least `least`.

    min_a max_e sum_i F_ei / sum_j a_j D_ji: convex in a (He and Owen 2014, theorem 1). Multiplicative steps in a, and
    in the weights of the events, which grow where the variance is large.

    Parameters
    ----------
    densities : (J, n)
        D, densities of the components at n points.
    integrands : (E, n)
        F >= 0: squared integrand over the density of the points, scaled so that the E sums are comparable.
    """
    J = len(densities)
    a = np.full(J, 1.0 / J)
    events = np.full(len(integrands), 1.0 / max(len(integrands), 1))
    total = np.zeros(J)
    for step in range(_WEIGHT_STEPS):
        mixed = a @ densities
        values = integrands @ (1.0 / mixed)
        events = events * np.sqrt(values / max(values.max(), 1e-300))
        events = np.maximum(events / max(events.sum(), 1e-300), 1e-12)
        gain = densities @ ((events @ integrands) / mixed**2)
        a = a * np.sqrt(np.maximum(gain, 1e-300))
        a = _at_least(a / a.sum(), least)
        total += a * (step >= _WEIGHT_STEPS // 2)
    return total / total.sum()


def _at_least(a: Array, least: float) -> Array:
    if a[0] >= least:
        return a
    rest = a[1:].sum()
    return np.append(least, a[1:] * ((1.0 - least) / rest if rest > 0.0 else 0.0))
