"""One round of importance sampling: stratified draws of a mixture whose components are control variates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.uq.rare.mixture import Mixture

__all__ = ["FOLDS", "Round", "counts_of", "estimated"]

Array = NDArray[np.float64]

#: Parts of the draws whose coefficients come from the other parts.
FOLDS = 5


@dataclass(frozen=True)
class Round:
    """Draws z (n, p) of a mixture, and what is known there.

    Attributes
    ----------
    mixture : Mixture
        Its weights are exactly the shares of the draws.
    z : (n, p)
    labels : (n,)
        Component of each draw.
    densities : (J, n)
        Of the components, each divided by the standard normal density.
    output, error : (o, n)
        Outputs, and what the model says of its error (zero where it says nothing); NaN outputs are failures.
    """

    mixture: Mixture
    z: Array
    labels: Array
    densities: Array
    output: Array
    error: Array

    @property
    def ratio(self) -> Array:
        """Standard normal density over that of the mixture (n,)."""
        return 1.0 / (self.mixture.weights @ self.densities)


def counts_of(mixture: Mixture, size: int) -> tuple[Array, Mixture]:
    """Draws of each component, multiples of the folds that sum to about `size`, and the weights that these are.

    So each fold holds the components in the same shares, and the control variates have mean 0 in each.
    """
    counts = FOLDS * np.maximum(np.round(mixture.weights * size / FOLDS).astype(np.int64), 1)
    counts[0] = max(FOLDS, counts[0] + (size - counts.sum()) // FOLDS * FOLDS)
    return counts, Mixture(counts / counts.sum(), mixture.means, mixture.factors)


def estimated(found: Round, integrands: Array) -> tuple[Array, Array]:
    """Expectations (E,) under the standard normal density of integrands (E, n) at the draws, and their variances.

    mean of f phi / q - beta^T (q_j / q - 1) with q the mixture, q_j its components (Owen and Zhou 2000, eq. (9)). The
    coefficients beta of each fold are regressed on the others, which keeps it unbiased; the variance is that within
    the components.
    """
    ratio = found.ratio
    controls = (found.densities * ratio - 1.0).T
    values = (integrands * ratio).T
    left = np.empty_like(values)
    fold = _folds(found.labels)
    for f in range(FOLDS):
        own = fold == f
        beta = _coefficients(controls[~own], values[~own])
        left[own] = values[own] - controls[own] @ beta
    n = len(left)
    variance = np.zeros(values.shape[1])
    for j in range(len(found.mixture.weights)):
        part = left[found.labels == j]
        variance += len(part) / n**2 * part.var(axis=0, ddof=1)
    return left.mean(axis=0), variance


def _folds(labels: Array) -> Array:
    """Draws are sorted by components, whose numbers are multiples of the folds."""
    return np.arange(len(labels)) % FOLDS


def _coefficients(controls: Array, values: Array) -> Array:
    if controls.shape[1] == 1:
        return np.zeros((1, values.shape[1]))
    centred = values - values.mean(axis=0)
    return np.asarray(np.linalg.lstsq(controls - controls.mean(axis=0), centred, rcond=1e-8)[0])
