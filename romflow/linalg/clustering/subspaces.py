"""K-subspaces: clusters around the best subspaces instead of around members; the competitor of k-medoids."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.clustering.medoids import silhouette
from romflow.linalg.clustering.result import Clustering, ordered
from romflow.linalg.inner_product import InnerProduct

__all__ = ["k_subspaces", "k_subspaces_of_gram"]

_ITERATIONS = 200


def k_subspaces(U: np.ndarray, clusters: int, modes: int, product: InnerProduct | None = None, starts: int = 10,
                seed: int = 0) -> Clustering:
    """K subspaces of at most `modes` dimensions, and every field in the cluster of the one that represents it best.

    Fields are assigned and subspaces fitted in turns until nothing changes (Bradley and Mangasarian 2000; Tseng 2000),
    with fields of length 1, so that their amplitude does not matter. The medoid of a cluster is the member that its
    subspace represents best. Cost: 2 n N^2 flops for the Gram matrix, then O(N^3) a turn, without n.

    Parameters
    ----------
    U : (n, N)
        Fields; one that is zero is represented by every subspace.
    clusters : int
        K <= N.
    modes : int
        From 1.
    product : InnerProduct, optional
        X; Euclidean where left out.
    starts : int
        Random starts, of which the best is taken.
    seed : int

    Returns
    -------
    Clustering
        `cost` is the sum of the relative projection errors; the silhouette is that of the angles' sines.

    Raises
    ------
    ShapeError, InputError
        No matrix, fields that are not finite, or a number out of range.

    Examples
    --------
    >>> U = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]])
    >>> k_subspaces(U, 2, 1).labels
    array([0, 0, 1, 1])
    """
    U = np.asarray(U, dtype=np.float64)
    if U.ndim != 2:
        raise ShapeError(f"U has shape {U.shape}; the rule is fields as columns (n, N)")
    if not np.isfinite(U).all():
        number = int(np.flatnonzero(~np.isfinite(U).all(axis=0))[0])
        raise InputError(f"field {number} has entries that are NaN or infinite; leave out the solves that failed")
    peaks = np.abs(U).max(axis=0, initial=0.0)
    scaled = U / np.where(peaks > 0.0, peaks, 1.0)
    return k_subspaces_of_gram((product or InnerProduct(None)).gram(scaled, scaled), clusters, modes, starts, seed)


def k_subspaces_of_gram(G: np.ndarray, clusters: int, modes: int, starts: int = 10, seed: int = 0) -> Clustering:
    """The same from the Gram matrix G = U^T X U (N, N) alone; projection errors below 1e-8 are rounding.

    Examples
    --------
    >>> k_subspaces_of_gram(np.diag([1.0, 4.0, 9.0]), 3, 1).sizes
    array([1, 1, 1])
    """
    G = _checked(G, clusters, modes, starts)
    rng = np.random.default_rng(seed)
    found = [_descend(G, clusters, modes, rng.permutation(len(G)) % clusters) for _ in range(starts)]
    losses = np.array([errors[np.arange(len(G)), labels].sum() for labels, errors in found])
    labels, errors = found[int(np.argmin(losses))]
    own = np.where(labels[:, None] == np.arange(clusters), errors, np.inf)
    labels, medoids = ordered(labels, own.argmin(axis=0))
    D = np.sqrt(np.maximum(1.0 - G**2, 0.0)) * (1.0 - np.eye(len(G)))
    return Clustering(labels, medoids, float(losses.min()), losses, silhouette(D, labels))


def _descend(G: np.ndarray, clusters: int, modes: int, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) at which neither step changes anything, and the error (N, K) of each field in each subspace."""
    errors = _errors(G, clusters, modes, labels)
    for _ in range(_ITERATIONS):
        fresh = _filled(np.argmin(errors, axis=1), errors)
        if np.array_equal(fresh, labels):
            break
        labels, errors = fresh, _errors(G, clusters, modes, fresh)
    return labels, errors


def _errors(G: np.ndarray, clusters: int, modes: int, labels: np.ndarray) -> np.ndarray:
    left = np.empty((len(G), clusters))
    for cluster in range(clusters):
        inside = labels == cluster
        values, vectors = np.linalg.eigh(G[np.ix_(inside, inside)])
        kept = slice(max(0, values.size - modes), None)
        scale = np.where(values[kept] > 1e-14 * max(values[-1], 1e-300), values[kept], np.inf)
        coordinates = G[:, inside] @ (vectors[:, kept] / np.sqrt(scale))
        left[:, cluster] = G.diagonal() - np.sum(coordinates**2, axis=1)
    return np.sqrt(np.maximum(left, 0.0))


def _filled(labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Labels without empty clusters: one that is empty takes the field that is represented worst."""
    labels, own = labels.copy(), errors[np.arange(len(labels)), labels]
    for cluster in range(errors.shape[1]):
        if np.any(labels == cluster):
            continue
        alone = np.bincount(labels, minlength=errors.shape[1])[labels] == 1
        worst = int(np.argmax(np.where(alone, -1.0, own)))
        labels[worst], own[worst] = cluster, 0.0
    return labels


def _checked(G: np.ndarray, clusters: int, modes: int, starts: int) -> np.ndarray:
    """The Gram matrix of the fields, each divided by its norm."""
    G = np.asarray(G, dtype=np.float64)
    if G.ndim != 2 or G.shape[0] != G.shape[1] or not len(G) or not np.isfinite(G).all():
        raise ShapeError(f"a Gram matrix of shape {G.shape} was given; the rule is (N, N) finite numbers, N >= 1")
    for name, value, most in (("clusters", clusters, len(G)), ("modes", modes, None), ("starts", starts, None)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 1 or (most is not None and value > most):
            rule = "a whole number from 1" + ("" if most is None else f" to {most}, the number of samples")
            raise InputError(f"k-subspaces got {name} = {value!r}; the rule is {rule}")
    norms = np.sqrt(np.maximum(G.diagonal(), 0.0))
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0.0)
    return np.asarray(0.5 * (G + G.T) * inverse[:, None] * inverse)
