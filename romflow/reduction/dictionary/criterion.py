"""How many local models, from how many runs and with how many modes, before any of them is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from romflow.reduction.dictionary.assessment import Assessment, Costs
from romflow.reduction.dictionary.correlations import Correlations

__all__ = ["Accuracy", "assess"]

#: share of right answers, or the (K, K) matrix of counts: rows are the right cluster, columns what was answered
Accuracy = float | np.ndarray


def assess(features: Correlations, dissimilarities: np.ndarray, clusterings: Mapping[int, np.ndarray], *,
           accuracy: Mapping[int, Accuracy] | Callable[[np.ndarray], Accuracy], budget: int,
           snapshots: int | Literal["auto"] = "auto", tolerance: float | None = None, modes: int | None = None,
           costs: Costs | None = None, queries: int | None = None, folds: int = 5, seed: int = 0,
           euclidean: Mapping[int, np.ndarray] | None = None) -> Assessment:
    """Whether a dictionary pays, and which: projection errors of held-out cheap samples against the accuracy.

    Parameters
    ----------
    features : Correlations
        Gram matrix of the cheap fields or trajectories (columns with their true size, not orthonormal ones), by
        :func:`romflow.reduction.dictionary.correlations.correlations`.
    dissimilarities : (N, N)
        D; chooses the runs of a cluster: its medoid, then farthest first.
    clusterings : {K: labels (N,)}
        Labels 0 .. K - 1 for each K that is tried; K = 1 is added where it is left out.
    accuracy : {K: a} or callable labels (N,) -> a
        Cross-validated accuracy of the recommender (0 <= a <= 1), or its (K, K) confusion counts. Not asked for K = 1.
    budget : int
        Full-order runs in all.
    snapshots : int or "auto"
        Full-order runs a cluster. One global model always has the whole budget.
    tolerance : float, optional
        Relative error that the dictionary is to meet.
    modes : int, optional
        Number of modes at which errors are compared (and the largest with a tolerance).
    costs : Costs, optional
        Measured seconds; without it offline costs and break-even queries stay None.
    queries : int, optional
        Evaluations that are planned (draws of an uncertainty study).
    euclidean : {K: labels (N,)}, optional
        Clusterings by the Euclidean distance, to say whether the angle gains anything.
    """
    raise NotImplementedError

