"""From input features to the local model that should answer: a trained classifier with its doubts, by NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.core.errors import InputError, ShapeError
from romflow.rom.dictionary.classifiers import (
    Classifier,
    ConstantClassifier,
    blocks,
    classifier_from_arrays,
    distances,
)

__all__ = ["Recommendation", "Recommender"]


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Which of K clusters, for b draws.

    Attributes
    ----------
    label : (b,) int
        The most probable cluster, the lower number where two are equal.
    second : (b,) int
        The next one; -1 where K = 1.
    probability : (b, K)
        Calibrated; rows sum to 1.
    abstained : (b,) bool
        The largest probability is below `abstain`, or novelty above `limit`.
    novelty : (b,)
        Distance to the nearest training sample by twice that which 95 per cent of the training samples keep to their
        own nearest one (see `reach_of`), or how far a feature is outside of its range in training, by that range,
        if this is more: above 1 far outside of what the classifier has seen.
    """

    label: np.ndarray
    second: np.ndarray
    probability: np.ndarray
    abstained: np.ndarray
    novelty: np.ndarray


@dataclass(frozen=True, eq=False)
class Recommender:
    """Calibrated probabilities softmax(sharpness * scores((x - mean) / scale)) of K clusters, and how new x is.

    Made by `romflow.reduction.dictionary.training.train`.

    Attributes
    ----------
    clusters : int
        K.
    size : int
        F, the entries of the whole field.
    numbers : (f,) int
        The entries of it that are looked at.
    mean, scale : (f,)
        Of the training.
    classifier : Classifier
    training : (N, f)
        Scaled features of the training samples, without synthetic ones.
    reach : float
        Distance to the nearest of them at which novelty is 1.
    sharpness : float
        Inverse temperature of the calibration (Guo, Pleiss, Sun and Weinberger 2017, section 4.2).
    abstain : float
        Least probability that is trusted.
    limit : float
        Largest novelty that is trusted.
    metadata : dict
        JSON facts of the training.

    Examples
    --------
    >>> lone = Recommender.constant(np.array([[0.0], [1.0], [2.0]]))
    >>> found = lone.recommend(np.array([[0.5], [50.0]]))
    >>> found.label.tolist(), found.second.tolist(), found.abstained.tolist(), found.novelty.round(2).tolist()
    ([0, 0], [-1, -1], [False, True], [0.25, 48.0])
    """

    clusters: int
    size: int
    numbers: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    classifier: Classifier
    training: np.ndarray
    reach: float
    sharpness: float = 1.0
    abstain: float = 0.5
    limit: float = 1.0
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def constant(cls, values: ArrayLike, *, limit: float = 1.0) -> Recommender:
        """Of one cluster: label 0 for all, and novelty by the training values (N, F)."""
        given = _finite(values, "training values")
        mean, scale = scaling(given)
        training = (given - mean) / scale
        return cls(1, given.shape[1], np.arange(given.shape[1]), mean, scale, ConstantClassifier(), training,
                   reach_of(training), limit=limit)

    def recommend(self, features: ArrayLike) -> Recommendation:
        """Clusters for features (b, f), the entries `numbers` of the fields.

        Parameters
        ----------
        features : (b, f)

        Raises
        ------
        ShapeError
            There are other than f features.
        InputError
            A feature is not finite.
        """
        x = _finite(features, "features of a recommender")
        if x.shape[1] != self.numbers.size:
            raise ShapeError(f"a recommender was given {x.shape[1]} features; it reads {self.numbers.size}: give the "
                             "field restricted to its numbers, or use recommend_fields for whole fields")
        Z = (x - self.mean) / self.scale
        # Farther away nothing changes but that exponents overflow.
        logits = self.sharpness * self.classifier.scores(np.clip(Z, -_FAR, _FAR))
        probability = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
        order = np.argsort(-probability, axis=1, kind="stable")
        second = order[:, 1] if self.clusters > 1 else np.full(len(x), -1)
        novelty = self.novelty(Z)
        doubtful = (probability.max(axis=1) < self.abstain) | (novelty > self.limit)
        return Recommendation(order[:, 0], second, probability, doubtful, novelty)

    def recommend_fields(self, values: ArrayLike) -> Recommendation:
        """Clusters for whole fields (b, F).

        Raises
        ------
        ShapeError
            The fields have another size, so that they are of another mesh.
        InputError
            A value that is looked at is not finite.
        """
        x = np.atleast_2d(np.asarray(values, dtype=np.float64))
        if x.ndim != 2 or x.shape[1] != self.size:
            raise ShapeError(f"fields of shape {np.shape(values)} were given to a recommender for fields of "
                             f"{self.size} numbers; the rule is (b, {self.size}): they are of another mesh")
        return self.recommend(x[:, self.numbers])

    def novelty(self, Z: np.ndarray) -> np.ndarray:
        """How far scaled features Z (b, f) are from the training, (b,); see `Recommendation`. Cost: 3 b N f flops.

        Among many features one that lies far off changes the distance little: hence the second measure.
        """
        found = np.empty(len(Z))
        for rows in blocks(len(Z), len(self.training)):
            found[rows] = np.sqrt(distances(Z[rows], self.training).min(axis=1))
        return np.maximum(found / self.reach, (np.abs(Z) / self.ends).max(axis=1) - 1.0)

    @cached_property
    def ends(self) -> np.ndarray:
        """The largest scaled features (f,) of the training, without their signs."""
        return np.maximum(np.abs(self.training).max(axis=0), _TINY)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata: all that the recommender is."""
        arrays = {name: np.asarray(getattr(self, name)) for name in ("numbers", "mean", "scale", "training")}
        arrays |= {f"classifier/{name}": value for name, value in self.classifier.to_arrays().items()}
        about = {name: getattr(self, name) for name in _NUMBERS}
        return arrays, {**about, "classifier": self.classifier.kind, "about": dict(self.metadata)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> Recommender:
        """The recommender whose `to_arrays` gave these."""
        prefix = "classifier/"
        own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        return cls(numbers=np.asarray(arrays["numbers"], dtype=np.int64), mean=np.asarray(arrays["mean"]),
                   scale=np.asarray(arrays["scale"]), training=np.asarray(arrays["training"]),
                   classifier=classifier_from_arrays(metadata["classifier"], own), metadata=dict(metadata["about"]),
                   **{name: metadata[name] for name in _NUMBERS})


_NUMBERS = ("clusters", "size", "reach", "sharpness", "abstain", "limit")


def scaling(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (f,) of values (N, f); where nothing varies, the size of the value (or 1).

    Examples
    --------
    >>> scaling(np.array([[0.0, 5.0], [2.0, 5.0]]))
    (array([1., 5.]), array([1., 5.]))
    """
    mean, spread = values.mean(axis=0), values.std(axis=0)
    size = np.abs(values).max(axis=0)
    still = spread <= 1e-12 * size
    return mean, np.where(still, np.where(size > 0.0, size, 1.0), spread)


def reach_of(training: np.ndarray) -> float:
    """Twice the distance to the nearest other sample that 95 per cent of the training (N, f) keep, sqrt(f) at least.

    sqrt(f) is one standard deviation in each of the scaled features: where samples lie close together a draw from the
    tails of the same distribution is not yet far away. Of one sample, or where all are the same, the reach is tiny:
    then only what equals the training is not new.

    Examples
    --------
    >>> round(reach_of(np.array([[0.0], [3.0], [6.0]])), 6), reach_of(np.array([[-1.0], [-1.0], [1.0], [1.0]]))
    (6.0, 1.0)
    """
    if not np.ptp(training, axis=0).any():
        return _TINY
    table = distances(training, training)
    np.fill_diagonal(table, np.inf)
    return max(float(np.sqrt(training.shape[1])), 2.0 * float(np.quantile(np.sqrt(table.min(axis=1)), 0.95)))


_TINY, _FAR = 1e-9, 1e6


def _finite(values: ArrayLike, what: str) -> np.ndarray:
    found = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if found.ndim != 2 or not found.size:
        raise ShapeError(f"{what} have shape {np.shape(values)}; the rule is a row for each draw and at least one "
                         "number in it")
    wrong = ~np.isfinite(found)
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(f"{what}[{row}, {column}] = {found[row, column]} is not finite ({int(wrong.sum())} such "
                         "entries); give finite numbers")
    return found
