"""Training of a recommender: which entries of the input field to look at, a classifier on them, and how good it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender

__all__ = ["Trained", "train"]


@dataclass(frozen=True, eq=False)
class Trained:
    """A recommender and what is known of it.

    Attributes
    ----------
    recommender : Recommender
    field : InputField
        Restricted to what the recommender looks at: `recommender.recommend(field.values(mu))`.
    accuracy : float
        Share of the original samples that are recommended rightly when held out (cross-validation).
    accuracy_scatter : float
        Its standard deviation over the folds.
    per_class : (K,)
        The same share among the members of each cluster.
    predicted : (N,) int
        What was recommended to each sample when it was held out.
    facts : dict
        JSON: numbers of entries, of synthetic samples, what the checks said.
    """

    recommender: Recommender
    field: InputField
    accuracy: float
    accuracy_scatter: float
    per_class: np.ndarray
    predicted: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """JSON for reports."""
        return {}


def train(field: InputField, values: ArrayLike, labels: ArrayLike, points: ArrayLike | None = None, *,
          classifier: str = "logistic", share: float = 0.02, augment: bool = True, abstain: float = 0.5, seed: int = 0,
          verify: Callable[[np.ndarray], np.ndarray] | None = None) -> Trained:
    """The recommender for clusters of the samples with input fields `values`.

    Parameters
    ----------
    field : InputField
        The whole field, of F entries.
    values : (N, F)
        Of the samples.
    labels : (N,) int
        Clusters 0 .. K - 1, each with a member.
    points : (F, d), optional
        Coordinates of the entries, by which redundancy is modelled; those of `field` where left out.
    classifier : {"logistic", "nearest", "mlp", "stack"}
    share : float
        Of the entries, at most, that are looked at (one at least; all parameters where the field is the parameters).
    augment : bool
        Add synthetic samples inside pure sets.
    abstain : float
        Least probability.
    seed : int
    verify : callable, optional
        Fields (k, F) to labels (k,) by simulation; synthetic samples with another label are left out.
    """
    raise NotImplementedError
