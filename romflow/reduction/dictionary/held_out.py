"""Projection errors of samples that no basis has seen, for each cluster and each number of modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from romflow.linalg.clustering.medoids import farthest_first
from romflow.reduction.dictionary.correlations import Correlations

__all__ = ["LogRatio", "held_out_errors", "log_ratio", "runs_of", "splits", "weights_of_answers"]

#: eigenvalues of a Gram matrix below this share of the largest one are rounding
ROUNDING = 1e-13


def splits(samples: int, folds: int, seed: int) -> list[np.ndarray]:
    """Numbers of the held-out samples of each fold, drawn once; at most one fold a sample."""
    order = np.random.default_rng(seed).permutation(samples)
    return [np.sort(part) for part in np.array_split(order, min(folds, samples))]


def runs_of(D: np.ndarray, members: np.ndarray, count: int) -> np.ndarray:
    """The samples of a cluster that are run in full: its medoid, then always the farthest one; at most all members."""
    inside = D[np.ix_(members, members)]
    medoid = int(np.argmin(inside.sum(axis=0)))
    return members[farthest_first(inside, np.arange(members.size), medoid, min(count, members.size))]


def held_out_errors(features: Correlations, D: np.ndarray, labels: np.ndarray, runs: int, modes: int,
                    held_out: list[np.ndarray]) -> np.ndarray:
    """E[i, k, n - 1] = ||U_i - P U_i||_X / ||U_i||_X with P on n POD modes of the runs of cluster k, i not among them.

    All of it from the Gram matrix: with G_SS = W diag(lambda) W^T for the columns S of the runs, the modes are
    U_S W diag(lambda)^{-1/2} and ||P u||^2 the sum of squares of diag(lambda)^{-1/2} W^T G_S,u (method of snapshots,
    Sirovich 1987); so the floor is about 1e-7. A basis that has fewer modes uses those it has; a sample that is zero
    has error 0, a cluster without training members error 1.

    Parameters
    ----------
    features : Correlations
    D : (N, N)
        Dissimilarities, for the choice of the runs.
    labels : (N,)
    runs : int
        Full-order runs a cluster.
    modes : int
    held_out : list of arrays
        Samples of each fold.

    Returns
    -------
    (N, K, modes)
    """
    K, everyone = int(labels.max()) + 1, np.arange(labels.size)
    E = np.ones((labels.size, K, modes))
    for test in held_out:
        known = np.setdiff1d(everyone, test)
        for k in range(K):
            members = known[labels[known] == k]
            if members.size:
                E[test, k] = _errors(features, runs_of(D, members, runs), test, modes)
    return E


def _errors(features: Correlations, basis: np.ndarray, test: np.ndarray, modes: int) -> np.ndarray:
    """Relative errors (t, modes) of the samples `test` on the leading modes of the samples `basis`."""
    S, T = features.columns(basis), features.columns(test)
    values, W = np.linalg.eigh(features.gram[np.ix_(S, S)])
    kept = np.flatnonzero(values > ROUNDING * max(values[-1], 0.0))[::-1][:modes]
    inside = ((W[:, kept] / np.sqrt(values[kept])).T @ features.gram[np.ix_(S, T)]) ** 2
    starts = np.concatenate([[0], np.cumsum(features.sizes[test])[:-1]])
    spanned = np.zeros((modes, test.size))
    spanned[:kept.size] = np.add.reduceat(inside, starts, axis=1)
    energy = features.energy[test]
    left = np.maximum(energy - np.cumsum(spanned, axis=0), 0.0)
    return np.sqrt(np.divide(left, energy, out=np.zeros_like(left), where=energy > 0.0)).T


def weights_of_answers(accuracy: float | np.ndarray, clusters: int) -> tuple[float, np.ndarray]:
    """The accuracy a and how a wrong answer is shared out: (K, K), rows sum to 1, zero diagonal.

    Without confusion counts a wrong answer is any other cluster with equal chance.
    """
    wrong = np.full((clusters, clusters), 1.0 / max(clusters - 1, 1))
    np.fill_diagonal(wrong, 0.0)
    if np.ndim(accuracy) == 0:
        return float(accuracy), wrong
    counts = np.asarray(accuracy, dtype=np.float64)
    missed = counts - np.diag(counts.diagonal())
    told = missed.sum(axis=1) > 0
    wrong[told] = missed[told] / missed[told].sum(axis=1, keepdims=True)
    return float(counts.trace() / counts.sum()), wrong


@dataclass(frozen=True)
class LogRatio:
    """Mean of log(a / b) over the folds, its standard error, and the quantile of the interval around it."""

    mean: float
    error: float
    quantile: float

    @property
    def interval(self) -> list[float]:
        """Of the ratio a / b."""
        return [float(np.exp(self.mean + sign * self.quantile * self.error)) for sign in (-1.0, 1.0)]


def log_ratio(a: np.ndarray, b: np.ndarray, held_out: list[np.ndarray], level: float = 0.05) -> LogRatio:
    """How the errors a (N,) compare with b (N,), from the means over each fold.

    The standard error is (1/F + t/(N - t))^{1/2} s with F folds of t samples and s the standard deviation over the
    folds, since training sets overlap (Nadeau and Bengio 2003, equation 9); one-sided level, Student's t with F - 1.
    """
    tiny, folds = 1e-12, len(held_out)
    d = np.array([np.log((a[test].mean() + tiny) / (b[test].mean() + tiny)) for test in held_out])
    if folds < 2:
        return LogRatio(float(d.mean()), np.inf, 1.0)
    share = 1.0 / folds + 1.0 / (folds - 1.0)
    return LogRatio(float(d.mean()), float(np.sqrt(share) * d.std(ddof=1)), float(stats.t.ppf(1.0 - level, folds - 1)))
