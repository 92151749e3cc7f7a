"""Orders of parameters in which neighbours come one after the other, in as many groups as there are workers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ShapeError

__all__ = ["neighbour_groups"]


def neighbour_groups(mu: NDArray[np.float64], groups: int) -> list[NDArray[np.intp]]:
    """Rows of `mu` in `groups` groups of near-equal size; in each, neighbours come one after the other.

    Coordinates are replaced by their ranks, so that neither units nor logarithms matter. The set is halved across the
    coordinate whose ranks spread most, again and again; the order is that of the leaves of this k-d tree.
    Cost: p k log k.

    Parameters
    ----------
    mu : (k, p)
        Finite.
    groups : int
        At least 1; groups beyond k are empty.

    Returns
    -------
    list of (k_i,) int
        Each row of mu exactly once.

    Raises
    ------
    ShapeError, InputError
        mu is not a matrix of finite numbers, or groups < 1.

    Examples
    --------
    >>> [part.tolist() for part in neighbour_groups(np.array([[0.1], [9.0], [0.2], [8.0]]), 2)]
    [[0, 2], [3, 1]]
    """
    mu = np.asarray(mu, dtype=np.float64)
    if mu.ndim != 2:
        raise ShapeError(f"mu has shape {mu.shape}; the rule is (k, p)")
    if groups < 1 or not np.isfinite(mu).all():
        raise InputError(f"groups = {groups} and mu must be at least 1 and finite")
    ranks = np.argsort(np.argsort(mu, axis=0, kind="stable"), axis=0, kind="stable")
    order = np.array(_leaves(ranks, np.arange(len(mu))), dtype=np.intp)
    return [np.asarray(part) for part in np.array_split(order, groups)]


def _leaves(ranks: NDArray[np.intp], rows: NDArray[np.intp]) -> list[int]:
    if rows.size <= 1:
        return [int(row) for row in rows]
    chosen = ranks[rows]
    axis = int(np.argmax(np.ptp(chosen, axis=0)))
    ordered = rows[np.argsort(chosen[:, axis], kind="stable")]
    half = (rows.size + 1) // 2
    return [*_leaves(ranks, ordered[:half]), *_leaves(ranks, ordered[half:])]
