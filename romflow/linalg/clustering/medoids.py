"""k-medoids of a matrix of dissimilarities by FasterPAM, and members far from each other."""

from __future__ import annotations

import kmedoids
import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.clustering.result import Clustering, ordered

__all__ = ["checked_dissimilarities", "distinct", "farthest_first", "k_medoids", "silhouette"]

# Entries of D and of its transpose may differ by this share of the largest.
_SYMMETRIC = 1e-10
_ITERATIONS = 1000


def k_medoids(D: np.ndarray, clusters: int, starts: int = 10, seed: int = 0) -> Clustering:
    """K samples as medoids, and every sample in the cluster of the nearest: sum_i min_k D[i, m_k] is small.

    FasterPAM (Schubert and Rousseeuw 2021) from the medoids of BUILD (Kaufman and Rousseeuw 1990) and from `starts`
    random ones; the best of all. The same arguments give the same clusters on every machine with the same package.

    Cost: O(N^2) a pass over the swaps and a start.

    Parameters
    ----------
    D : (N, N)
        Symmetric dissimilarities, zero on the diagonal.
    clusters : int
        K, from 1 to the number of distinct samples.
    starts : int
        Random starts beside BUILD.
    seed : int

    Raises
    ------
    ShapeError, InputError
        D is no such matrix; K is out of range; samples are too few that differ.

    Examples
    --------
    >>> x = np.array([0.0, 0.1, 0.2, 5.0, 5.1])
    >>> found = k_medoids(np.abs(x[:, None] - x), 2)
    >>> found.labels, found.medoids
    (array([0, 0, 0, 1, 1]), array([1, 3]))
    """
    D = checked_dissimilarities(D)
    K = _checked_clusters(D, clusters)
    if isinstance(starts, bool) or not isinstance(starts, int | np.integer) or starts < 0:
        raise InputError(f"k-medoids got starts = {starts!r}; the rule is a whole number from 0")
    if K == 1:
        medoid = int(np.argmin(D.sum(axis=0)))
        cost = float(D[medoid].sum())
        return Clustering(np.zeros(len(D), dtype=int), np.array([medoid]), cost, np.array([cost]), np.zeros(len(D)))
    found = [_pam(D, start) for start in _starts(D, K, starts, seed)]
    losses = np.array([D[:, medoids].min(axis=1).sum() for medoids in found])
    medoids = found[int(np.argmin(losses))]
    labels, medoids = ordered(_nearest(D, medoids), medoids)
    return Clustering(labels, medoids, float(losses.min()), losses, silhouette(D, labels))


def farthest_first(D: np.ndarray, members: np.ndarray, medoid: int, count: int) -> np.ndarray:
    """The medoid, then again and again the member that is farthest from all those before it (Gonzalez 1985).

    Of equally far members the first. The first `count` of more are these.

    Parameters
    ----------
    D : (N, N)
    members : (j,) int
        Samples to choose from, the medoid among them.
    medoid : int
    count : int
        1 <= count <= j.

    Returns
    -------
    (count,) int

    Raises
    ------
    ShapeError, InputError
        D is no matrix of dissimilarities, the medoid is no member, or more are asked for than there are.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0, 5.0])
    >>> farthest_first(np.abs(x[:, None] - x), np.arange(4), 1, 3)
    array([1, 3, 0])
    """
    D = checked_dissimilarities(D)
    members = np.asarray(members)
    if members.ndim != 1 or not np.issubdtype(members.dtype, np.integer) or np.unique(members).size < members.size:
        raise InputError(f"members = {members.tolist()}; the rule is numbers of samples, each once")
    if members.size and not 0 <= members.min() <= members.max() < len(D):
        raise InputError(f"members = {members.tolist()}; the rule is numbers from 0 to {len(D) - 1}")
    if medoid not in members:
        raise InputError(f"medoid = {medoid} is no member of its cluster {members.tolist()}; give the cluster's medoid")
    if not 1 <= count <= members.size:
        raise InputError(f"{count} members were asked for and the cluster has {members.size}; the rule is from 1 to "
                         "all of them: ask for fewer snapshots a cluster, or for fewer clusters")
    chosen = [int(medoid)]
    for _ in range(count - 1):
        gaps = D[np.ix_(members, chosen)].min(axis=1)
        gaps[np.isin(members, chosen)] = -1.0
        chosen.append(int(members[np.argmax(gaps)]))
    return np.array(chosen)


def distinct(D: np.ndarray) -> int:
    """How many samples differ from all before them: the largest number of clusters that makes sense.

    Examples
    --------
    >>> distinct(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))
    2
    """
    return int(len(D) - np.count_nonzero(np.any(np.tril(D == 0.0, -1), axis=1)))


def silhouette(D: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouette (N,) of every sample, see :class:`Clustering`; 0 where all dissimilarities are."""
    if np.unique(labels).size < 2:
        return np.zeros(len(D))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = kmedoids.silhouette(D, labels.astype(np.int64), samples=True, n_cpu=1)[1]
    return np.nan_to_num(np.asarray(values, dtype=float))


def checked_dissimilarities(D: np.ndarray) -> np.ndarray:
    """D (N, N) as float64, exactly symmetric.

    Raises
    ------
    ShapeError, InputError
        It is no square matrix of finite numbers from 0 on, not symmetric, or not zero on its diagonal.
    """
    D = np.ascontiguousarray(D, dtype=np.float64)
    if D.ndim != 2 or D.shape[0] != D.shape[1] or not len(D):
        raise ShapeError(f"the dissimilarities have shape {D.shape}; the rule is (N, N) with N >= 1")
    if not np.isfinite(D).all():
        i, j = np.argwhere(~np.isfinite(D))[0]
        raise InputError(f"the dissimilarity of samples {i} and {j} is {D[i, j]}; dissimilarities are finite: leave "
                         "out the samples whose solves failed")
    if D.min() < 0.0:
        i, j = np.unravel_index(np.argmin(D), D.shape)
        raise InputError(f"the dissimilarity of samples {i} and {j} is {D[i, j]:.3g}; the rule is D >= 0")
    gap = float(np.abs(D - D.T).max())
    if gap > _SYMMETRIC * D.max():
        raise InputError(f"the dissimilarities are not symmetric: |D - D^T| = {gap:.3g} with |D| = {D.max():.3g}; give "
                         "D[i, j] = D[j, i]")
    if D.diagonal().max() > _SYMMETRIC * D.max():
        i = int(np.argmax(D.diagonal()))
        raise InputError(f"the dissimilarity of sample {i} to itself is {D[i, i]:.3g}; the rule is 0")
    D = 0.5 * (D + D.T)
    np.fill_diagonal(D, 0.0)
    return D


def _checked_clusters(D: np.ndarray, clusters: int) -> int:
    if isinstance(clusters, bool) or not isinstance(clusters, int | np.integer) or clusters < 1:
        raise InputError(f"clusters = {clusters!r}; the rule is a whole number from 1")
    if clusters > len(D):
        raise InputError(f"{clusters} clusters were asked for and there are {len(D)} samples; the rule is at most one "
                         "for each sample: raise [sampling] size, or lower [dictionary] clusters")
    if clusters == 1:
        return 1
    different = distinct(D)
    if different == 1:
        raise InputError(f"all {len(D)} samples are identical (every dissimilarity is 0), so that there is nothing to "
                         "cluster; use clusters = 1, or check that the parameters change the solution")
    if clusters > different:
        raise InputError(f"{clusters} clusters were asked for and of the {len(D)} samples only {different} differ; the "
                         f"rule is at most one cluster for each that differs: lower clusters to {different} or less")
    return int(clusters)


def _starts(D: np.ndarray, K: int, starts: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    # BUILD stops as soon as nothing is left to gain.
    build = np.asarray(kmedoids.pam_build(D, K).medoids, dtype=int)
    build = np.append(build, np.setdiff1d(np.arange(len(D)), build)[:K - build.size])
    return [build, *(rng.choice(len(D), size=K, replace=False) for _ in range(starts))]


def _pam(D: np.ndarray, start: np.ndarray) -> np.ndarray:
    found = kmedoids.fasterpam(D, start.astype(np.uint64), max_iter=_ITERATIONS, n_cpu=1)
    return np.sort(np.asarray(found.medoids, dtype=int))


def _nearest(D: np.ndarray, medoids: np.ndarray) -> np.ndarray:
    """Cluster of each sample; a medoid is in its own also where another is at distance 0."""
    labels = np.argmin(D[:, medoids], axis=1)
    labels[medoids] = np.arange(len(medoids))
    return labels
