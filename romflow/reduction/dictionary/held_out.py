"""Projection errors of samples that no basis has seen, for each cluster and each number of modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.linalg import eigh

from romflow.linalg.clustering.medoids import farthest_first
from romflow.reduction.dictionary.correlations import Correlations

__all__ = ["LogRatio", "Recommended", "held_out_errors", "log_ratio", "runs_of", "splits"]

#: eigenvalues of a Gram matrix below this share of the largest one are rounding
ROUNDING = 1e-13


def splits(samples: int, folds: int, seed: int) -> list[np.ndarray]:
    """Numbers of the held-out samples of each fold, drawn once; at most one fold a sample."""
    order = np.random.default_rng(seed).permutation(samples)
    return [np.sort(part) for part in np.array_split(order, min(folds, samples))]


def runs_of(D: np.ndarray, members: np.ndarray, count: int) -> np.ndarray:
    """The samples of a cluster that are run in full: its medoid, then always the farthest one; or all members."""
    if count >= members.size:
        return members
    inside = D[np.ix_(members, members)]
    medoid = int(np.argmin(inside.sum(axis=0)))
    return np.asarray(members[farthest_first(inside, np.arange(members.size), medoid, count)])


def held_out_errors(features: Correlations, D: np.ndarray, labels: np.ndarray, runs: int, modes: int,
                    held_out: list[np.ndarray]) -> np.ndarray:
    """E[i, k, n - 1] = ||U_i - P U_i||_X / ||U_i||_X with P on n POD modes of the runs of cluster k, i not among them.

    All of it in coordinates Z with Z^T Z = U^T X U, whose number is the rank of all samples and not n: the modes are
    the leading left singular vectors of Z_S for the columns S of the runs (Sirovich 1987), by the smaller of its two
    Gram matrices; so the floor is about 1e-6. A basis that has fewer modes uses those it has; a sample that is zero
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
    Z = features.coordinates
    V, T = _modes(Z[:, features.columns(basis)], modes), features.columns(test)
    starts = np.concatenate([[0], np.cumsum(features.sizes[test])[:-1]])
    spanned = np.zeros((modes, test.size))
    spanned[:V.shape[1]] = np.add.reduceat((V.T @ Z[:, T]) ** 2, starts, axis=1)
    energy = np.add.reduceat((Z[:, T] ** 2).sum(axis=0), starts)
    left = np.maximum(energy - np.cumsum(spanned, axis=0), 0.0)
    return np.asarray(np.sqrt(np.divide(left, energy, out=np.zeros_like(left), where=energy > 0.0)).T)


def _modes(S: np.ndarray, modes: int) -> np.ndarray:
    """The leading left singular vectors (R, at most `modes`) of S (R, s)."""
    if not S.any():
        return np.zeros((len(S), 0))
    flat = len(S) <= S.shape[1]
    G = S @ S.T if flat else S.T @ S
    values, W = eigh(G, subset_by_index=(max(0, len(G) - modes), len(G) - 1))
    kept = np.flatnonzero(values > ROUNDING * values[-1])[::-1]
    return np.asarray(W[:, kept] if flat else S @ (W[:, kept] / np.sqrt(values[kept])))


@dataclass(frozen=True)
class Recommended:
    """What a recommender answers, as far as it is known.

    Parameters
    ----------
    labels : (N,)
        The right clusters, 0 .. K - 1.
    known : float, (K, K) counts or (N,) labels
        Its accuracy; or how often (row: right cluster) it answered (column); or its answer to every sample, held out.
    """

    labels: np.ndarray
    known: float | np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(K, K) counts or shares; a wrong answer of unknown kind is any other cluster with equal chance."""
        K = int(self.labels.max()) + 1
        if np.ndim(self.known) == 2:
            return np.asarray(self.known, dtype=np.float64)
        counts = np.zeros((K, K))
        if np.ndim(self.known) == 1:
            np.add.at(counts, (self.labels, np.asarray(self.known)), 1.0)
            return counts
        counts[:] = (1.0 - float(self.known)) / max(K - 1, 1)
        np.fill_diagonal(counts, float(self.known))
        return counts

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.counts.trace() / self.counts.sum())

    def right(self, E: np.ndarray) -> np.ndarray:
        """Errors (N, modes) in the right cluster, of E (N, K, modes)."""
        return np.asarray(E[np.arange(self.labels.size), self.labels])

    def wrong(self, E: np.ndarray) -> np.ndarray:
        """Errors (N, modes) in the mean over wrong clusters, as often as each is answered."""
        K = E.shape[1]
        if K == 1:
            return self.right(E)
        missed = self.counts * (1.0 - np.eye(K))
        missed += (missed.sum(axis=1) == 0.0)[:, None] * (1.0 - np.eye(K))
        share = missed / missed.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("ik,ikn->in", share[self.labels], E))

    def expected(self, E: np.ndarray) -> np.ndarray:
        """Errors (N, modes) with what is answered: that of the answer itself where it is known for each sample.

        Samples that are mistaken lie between clusters, where the wrong one is not that bad: the error with a mere
        accuracy, a e_right + (1 - a) e_wrong, is too pessimistic.
        """
        if np.ndim(self.known) == 1:
            return np.asarray(E[np.arange(self.labels.size), np.asarray(self.known)])
        return self.accuracy * self.right(E) + (1.0 - self.accuracy) * self.wrong(E)


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
