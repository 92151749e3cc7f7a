"""Synthetic samples for a classifier: convex combinations inside sets whose hull holds one cluster only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.distance import cdist

__all__ = ["Synthetic", "augment", "pure_sets"]

# Of a hull's radius: how far outside of it a point still counts as inside.
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Samples w Z (k, f) made of the samples Z (N, f).

    Attributes
    ----------
    weights : (k, N)
        Rows are not negative and sum to 1.
    labels : (k,) int
    refused : int
        Candidates whose label the neighbours doubted.
    """

    weights: np.ndarray
    labels: np.ndarray
    refused: int

    def chosen(self, keep: np.ndarray) -> Synthetic:
        """Those with `keep` (k,) true."""
        return Synthetic(self.weights[keep], self.labels[keep], self.refused)


def pure_sets(Z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """P (N, N) bool, row i: samples of i's cluster, i among them, whose convex hull holds no sample of another cluster.

    The whole cluster where its hull is free of others; else as many of the nearest to i as keep theirs free.

    Parameters
    ----------
    Z : (N, f)
    labels : (N,) int

    Examples
    --------
    >>> pure_sets(np.array([[0.0], [1.0], [2.5], [4.0], [5.0]]), np.array([0, 0, 1, 0, 0])).astype(int)
    array([[1, 1, 0, 0, 0],
           [1, 1, 0, 0, 0],
           [0, 0, 1, 0, 0],
           [0, 0, 0, 1, 1],
           [0, 0, 0, 1, 1]])
    """
    found = labels[:, None] == labels
    for cluster in np.unique(labels):
        members = np.flatnonzero(labels == cluster)
        inside = in_hull(Z[labels != cluster], Z[members])
        if inside.any():
            others = Z[labels != cluster][inside]
            found[np.ix_(members, members)] = [_free_of(others, Z[members], i) for i in range(len(members))]
    return found


def in_hull(X: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether points X (k, f) lie in the convex hull of the corners (c, f), up to a twentieth of its radius.

    min || sum_j w_j z_j - x || over w >= 0 with sum 1, by non-negative least squares; points that the direction from
    the middle to them parts from all corners are outside at once.

    Examples
    --------
    >>> in_hull(np.array([[0.2, 0.2], [0.8, 0.8]]), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    array([ True, False])
    """
    middle = corners.mean(axis=0)
    local, hull = X - middle, corners - middle
    radius = np.sqrt((hull**2).sum(axis=1).max())
    near = _NEAR * radius if radius > 0.0 else 1e-12
    length = np.sqrt((local**2).sum(axis=1))
    perhaps = length**2 <= (local @ hull.T).max(axis=1) + near * length
    # The sum of the weights is held to 1 by a row that outweighs the others.
    heavy = 1e3 * max(radius, near)
    matrix = np.vstack([hull.T, np.full(len(hull), heavy)])
    perhaps[perhaps] = [nnls(matrix, np.append(x, heavy))[1] <= near for x in local[perhaps]]
    return perhaps


def _free_of(others: np.ndarray, members: np.ndarray, i: int) -> np.ndarray:
    """The nearest members to member i, as many as hold none of the others in their hull, by bisection."""
    order = np.argsort(((members - members[i]) ** 2).sum(axis=1), kind="stable")
    order = np.concatenate([[i], order[order != i]])
    least, most = 1, len(members)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if in_hull(others, members[order[:middle]]).any() else (middle, most)
    free = np.zeros(len(members), dtype=bool)
    free[order[:least]] = True
    return free


def augment(Z: np.ndarray, labels: np.ndarray, count: int, seed: int = 0, members: int = 5) -> Synthetic:
    """Up to `count` convex combinations of a few samples each, drawn inside pure sets, rare clusters more often.

    A candidate starts at a sample whose pure set has others, and mixes it with up to `members` - 1 of them by uniform
    weights of the simplex. It is refused where the nearest sample, or the majority of the nearest three weighted by
    distance, is of another cluster.

    Parameters
    ----------
    Z : (N, f)
        Scaled features.
    labels : (N,) int
    count : int
    seed : int
    members : int
        Samples of a combination, at most.

    Notes
    -----
    Pure sets: Daniel, Casenave, Akkari and Ryckelynck 2021 (Mathematical and Computational Applications 26); how the
    sets are found is this project's. Combinations of few near samples alone make a classifier worse: they draw a
    cluster together where it is dense.

    Examples
    --------
    >>> made = augment(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([0, 0, 1, 1]), 20)
    >>> x = made.weights @ np.array([0.0, 1.0, 5.0, 6.0])
    >>> bool(np.all((x < 3) == (made.labels == 0)))
    True
    """
    sets = pure_sets(Z, labels)
    starts = np.flatnonzero(sets.sum(axis=1) > 1)
    if not starts.size or count < 1:
        return Synthetic(np.zeros((0, len(Z))), np.zeros(0, dtype=np.int64), 0)
    rng = np.random.default_rng(seed)
    share = 1.0 / np.bincount(labels[starts])[labels[starts]]
    first = rng.choice(starts, size=count, p=share / share.sum())
    # The start has the smallest key, then others of its set in a random order, then the rest at infinity.
    keys = np.where(sets[first], rng.random((count, len(Z))), np.inf)
    keys[np.arange(count), first] = -1.0
    chosen = np.argsort(keys, axis=1, kind="stable")[:, :members]
    there = np.isfinite(np.take_along_axis(keys, chosen, axis=1))
    amounts = np.where(there, rng.exponential(size=chosen.shape), 0.0)
    weights = np.zeros((count, len(Z)))
    np.put_along_axis(weights, chosen, amounts / amounts.sum(axis=1, keepdims=True), axis=1)
    found = Synthetic(weights, labels[first], 0)
    agreed = _agreed(weights @ Z, found.labels, Z, labels)
    return Synthetic(weights[agreed], found.labels[agreed], int(count - agreed.sum()))


def _agreed(made: np.ndarray, made_labels: np.ndarray, Z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the nearest sample, and the three nearest weighted by 1 / distance, give the label (k,)."""
    far = cdist(made, Z)
    order = np.argsort(far, axis=1, kind="stable")[:, :3]
    near = 1.0 / np.maximum(np.take_along_axis(far, order, axis=1), 1e-300)
    votes = np.where(labels[order] == made_labels[:, None], near, -near).sum(axis=1)
    return (labels[order[:, 0]] == made_labels) & (votes > 0.0)
