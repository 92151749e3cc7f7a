"""What a clustering found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Clustering", "ordered"]


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters 0 to K - 1, the largest first (of equal sizes that with the smaller medoid number).

    Attributes
    ----------
    labels : (N,) int
        Cluster of each sample; none is empty.
    medoids : (K,) int
        The sample that stands for each cluster, one of its members.
    cost : float
        Sum of what the members are away from their medoid (k-subspaces: from their subspace).
    losses : (starts,)
        Cost of every start.
    silhouette : (N,)
        (b - a) / max(a, b) with a the mean dissimilarity to the own cluster and b to the nearest other one; 0 for a
        sample alone in its cluster, and for K = 1 (Rousseeuw 1987).
    """

    labels: np.ndarray
    medoids: np.ndarray
    cost: float
    losses: np.ndarray
    silhouette: np.ndarray

    @property
    def clusters(self) -> int:
        """K."""
        return len(self.medoids)

    @property
    def sizes(self) -> np.ndarray:
        """Members (K,) of each cluster."""
        return np.bincount(self.labels, minlength=self.clusters)

    def members(self, cluster: int) -> np.ndarray:
        """Samples of a cluster, rising."""
        return np.flatnonzero(self.labels == cluster)


def ordered(labels: np.ndarray, medoids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and medoids, renumbered by falling size of the clusters, then by rising number of their medoids.

    Examples
    --------
    >>> ordered(np.array([0, 1, 1]), np.array([0, 2]))
    (array([1, 0, 0]), array([2, 0]))
    """
    order = np.lexsort((medoids, -np.bincount(labels, minlength=len(medoids))))
    return np.argsort(order)[labels], medoids[order]
