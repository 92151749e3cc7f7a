"""Whether Markov chains have mixed: split R-hat and effective sample sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from romflow.core.errors import InputError, ShapeError

__all__ = ["effective_size", "split_r_hat"]

Array = NDArray[np.float64]


def split_r_hat(chains: ArrayLike) -> float:
    """Rank-normalised split R-hat of n steps of c chains (n, c): 1 where they agree, above 1.01 where they do not.

    Each chain is cut in two halves; values become normal scores of their ranks; with the variance W within and B
    between, ``R = sqrt(((n - 1) / n W + B / n) / W)`` (Vehtari et al. 2021, eqs. 1 to 4 and 14); the larger one of the
    values and of their distances from the median. Infinite where nothing moved in any chain but these differ, 1 where
    all values are equal.

    Raises
    ------
    ShapeError, InputError
        Not (n, c) with n >= 4, or not finite.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(500, 4))
    >>> split_r_hat(draws) < 1.01 < split_r_hat(draws + np.arange(4))
    True
    """
    halves = _halves(chains)
    folded = np.abs(halves - np.median(halves))
    return max(_r_hat(_scores(halves)), _r_hat(_scores(folded)))


def effective_size(chains: ArrayLike) -> float:
    """Number of independent draws with the same variance of the mean as n steps of c chains (n, c).

    ``c n / tau``, tau = 1 + 2 sum of the autocorrelations over all split chains, up to the first pair with a negative
    sum, made decreasing (Geyer 1992; Vehtari et al. 2021, eqs. 10 and 11). At most c n log10(c n); 1 where nothing
    moves.

    Raises
    ------
    ShapeError, InputError
        As for :func:`split_r_hat`.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=(500, 4))
    >>> 1500.0 < effective_size(draws) < 3000.0
    True
    """
    halves = _halves(chains)
    n, c = halves.shape
    covariance = _autocovariance(halves)
    within = covariance[0].mean() * n / (n - 1.0)
    total = within * (n - 1.0) / n + (halves.mean(axis=0).var(ddof=1) if c > 1 else 0.0)
    if total <= 0.0 or within <= 0.0:
        return 1.0
    correlation = 1.0 - (within - covariance.mean(axis=1) * n / (n - 1.0)) / total
    correlation[0] = 1.0
    return float(min(n * c / _time(correlation), n * c * np.log10(n * c)))


def _time(correlation: Array) -> float:
    """Integrated autocorrelation time by Geyer's initial monotone sequence."""
    pairs = correlation[0 : 2 * (len(correlation) // 2)].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0.0)
    kept = np.minimum.accumulate(pairs[: negative[0]] if len(negative) else pairs)
    return float(max(2.0 * kept.sum() - 1.0, 1.0 / np.log10(max(len(correlation), 11))))


def _autocovariance(halves: Array) -> Array:
    """Autocovariances (n, c) by FFT, all divided by n."""
    n = len(halves)
    centred = halves - halves.mean(axis=0)
    spectrum = np.fft.rfft(centred, 2 * n, axis=0)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=0)[:n] / n)


def _r_hat(halves: Array) -> float:
    n = len(halves)
    within = float(halves.var(axis=0, ddof=1).mean())
    between = float(halves.mean(axis=0).var(ddof=1))
    if within == 0.0:
        return 1.0 if between == 0.0 else np.inf
    return float(np.sqrt((n - 1.0) / n + between / within))


def _scores(values: Array) -> Array:
    ranks = stats.rankdata(values, method="average").reshape(values.shape)
    return np.asarray(special.ndtri((ranks - 0.375) / (values.size + 0.25)))


def _halves(chains: ArrayLike) -> Array:
    draws = np.asarray(chains, dtype=np.float64)
    if draws.ndim != 2 or draws.shape[0] < 4 or not draws.shape[1]:
        raise ShapeError(f"chains have shape {draws.shape}; it must be (n, c) with at least 4 steps and one chain.")
    if not np.isfinite(draws).all():
        raise InputError("chains hold a value that is not finite; leave those chains out.")
    half = len(draws) // 2
    return np.concatenate([draws[:half], draws[len(draws) - half :]], axis=1)
