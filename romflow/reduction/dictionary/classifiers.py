"""Classifiers trained by scikit-learn and kept as arrays: logistic, nearest neighbours, perceptrons, their stack."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from romflow.rom.dictionary.classifiers import (
    Classifier,
    ConstantClassifier,
    LinearClassifier,
    NearestClassifier,
    NetworkClassifier,
    StackedClassifier,
)

__all__ = ["CLASSIFIERS", "Setting", "fit", "folds_of", "settings_of"]

CLASSIFIERS = ("logistic", "nearest", "mlp", "stack")

# Score of a cluster of which a training set has no member.
_NEVER = -30.0
_LAYERS = ((16,), (32,), (64,), (16, 16), (32, 16), (32, 32))
_INNER_FOLDS = 3
# From version 1.8 on, l1_ratio alone says which penalty it is.
_NAMED = tuple(int(number) for number in sklearn.__version__.split(".")[:2]) < (1, 8)


@dataclass(frozen=True)
class Setting:
    """What is free in a classifier, chosen by cross-validation.

    Attributes
    ----------
    kind : str
    strength : float
        Of the regularisation: C of a logistic regression, alpha of a perceptron.
    lasso : float
        Share of the absolute values in the elastic net.
    neighbours : int
    """

    kind: str
    strength: float = 1.0
    lasso: float = 0.0
    neighbours: int = 5

    def plain(self) -> dict[str, float | int | str]:
        """JSON for reports."""
        if self.kind == "nearest":
            return {"neighbours": self.neighbours}
        return {"strength": self.strength} | ({"lasso": self.lasso} if self.kind == "logistic" else {})


def settings_of(kind: str) -> tuple[Setting, ...]:
    """What cross-validation chooses from, the smoothest first."""
    if kind == "logistic":
        return (*(Setting(kind, c) for c in (0.003, 0.03, 0.3, 3.0)), Setting(kind, 1.0, 0.5))
    return (Setting(kind),)


def fit(setting: Setting, Z: np.ndarray, labels: np.ndarray, clusters: int,
        parents: np.ndarray | None = None, seed: int = 0) -> Classifier:
    """The classifier of K = `clusters` clusters for scaled features Z (N, f) and labels (N,), rare ones counting more.

    Parameters
    ----------
    setting : Setting
    Z : (N, f)
    labels : (N,) int
        Some of 0 .. K - 1.
    clusters : int
    parents : (N, o) bool, optional
        Of which of the first o rows, the original samples, each row is made; all rows are original where left out.
    seed : int
    """
    present = np.unique(labels)
    if len(present) == 1:
        return ConstantClassifier() if clusters == 1 else _lone(int(present[0]), Z.shape[1], clusters)
    if setting.kind == "nearest":
        counts = np.bincount(labels, minlength=clusters)
        weights = counts.max() / np.maximum(counts, 1)
        return NearestClassifier(Z, labels, weights, min(setting.neighbours, len(Z)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if setting.kind == "logistic":
            return _logistic(setting, Z, labels, clusters, seed)
        if setting.kind == "mlp":
            return _network((32,), setting, Z, labels, clusters, seed)
        return _stack(setting, Z, labels, clusters, parents, seed)


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold (N,) of each sample: each cluster is dealt out evenly.

    Examples
    --------
    >>> found = folds_of(np.array([0, 0, 0, 0, 1, 1]), 2, 0)
    >>> np.bincount(found[:4]).tolist(), np.bincount(found[4:]).tolist()
    ([2, 2], [1, 1])
    """
    rng, found, next_fold = np.random.default_rng(seed), np.empty(len(labels), dtype=np.int64), 0
    for cluster in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == cluster))
        found[members] = (next_fold + np.arange(len(members))) % folds
        next_fold = (next_fold + len(members)) % folds
    return found


def _lone(cluster: int, features: int, clusters: int) -> LinearClassifier:
    return _spread(np.zeros((features, 1)), np.zeros(1), np.array([cluster]), clusters)


def _spread(weights: np.ndarray, bias: np.ndarray, present: np.ndarray, clusters: int) -> LinearClassifier:
    """Columns for all clusters; those without a member never win."""
    if weights.shape[1] == 1 and len(present) == 2:
        weights, bias = np.hstack([np.zeros_like(weights), weights]), np.append(0.0, bias)
    W, c = np.zeros((len(weights), clusters)), np.full(clusters, _NEVER)
    W[:, present], c[present] = weights, bias
    return LinearClassifier(W, c)


def _logistic(setting: Setting, Z: np.ndarray, labels: np.ndarray, clusters: int, seed: int) -> LinearClassifier:
    options: Mapping[str, object] = {"max_iter": 300}
    if setting.lasso:
        options = {"solver": "saga", "l1_ratio": setting.lasso, "tol": 1e-3, "max_iter": 100,
                   "random_state": seed}
        options = {**options, "penalty": "elasticnet"} if _NAMED else options
    model = LogisticRegression(C=setting.strength, class_weight="balanced", **options).fit(Z, labels)
    return _spread(model.coef_.T, model.intercept_, model.classes_, clusters)


def _network(layers: tuple[int, ...], setting: Setting, Z: np.ndarray, labels: np.ndarray, clusters: int,
             seed: int) -> NetworkClassifier:
    rows = _evened(labels)
    model = MLPClassifier(layers, solver="lbfgs", alpha=setting.strength, max_iter=200, random_state=seed)
    model.fit(Z[rows], labels[rows])
    last = _spread(model.coefs_[-1], model.intercepts_[-1], model.classes_, clusters)
    hidden = tuple(zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True))
    return NetworkClassifier((*hidden, (last.weights, last.bias)))


def _stack(setting: Setting, Z: np.ndarray, labels: np.ndarray, clusters: int, parents: np.ndarray | None,
           seed: int) -> StackedClassifier:
    """Six perceptrons, and a logistic regression that learns what they say of original samples unseen by them."""
    made_of = np.eye(len(Z), dtype=bool) if parents is None else parents
    count = made_of.shape[1]
    fold = folds_of(labels[:count], _INNER_FOLDS, seed)
    unseen = np.zeros((count, len(_LAYERS) * clusters))
    for k in range(_INNER_FOLDS):
        inside = ~made_of[:, fold == k].any(axis=1)
        unseen[fold == k] = _said(_members(setting, Z[inside], labels[inside], clusters, seed), Z[:count][fold == k])
    members = _members(setting, Z, labels, clusters, seed)
    return StackedClassifier(members, _logistic(Setting("logistic", 1.0), unseen, labels[:count], clusters, seed))


def _members(setting: Setting, Z: np.ndarray, labels: np.ndarray, clusters: int,
             seed: int) -> tuple[NetworkClassifier, ...]:
    if len(np.unique(labels)) == 1:
        only = _lone(int(labels[0]), Z.shape[1], clusters)
        return (NetworkClassifier(((only.weights, only.bias),)),) * len(_LAYERS)
    return tuple(_network(layers, setting, Z, labels, clusters, seed + i) for i, layers in enumerate(_LAYERS))


def _said(members: tuple[NetworkClassifier, ...], Z: np.ndarray) -> np.ndarray:
    return np.concatenate([np.exp(member.scores(Z)) for member in members], axis=1)


def _evened(labels: np.ndarray) -> np.ndarray:
    """Rows in which each cluster appears as often as the largest."""
    largest = np.bincount(labels).max()
    return np.concatenate([np.resize(np.flatnonzero(labels == cluster), largest) for cluster in np.unique(labels)])
