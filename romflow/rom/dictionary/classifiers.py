"""Trained classifiers as arrays: scores of K clusters for a batch of scaled features, by NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.spatial.distance import cdist

from romflow.core.errors import StoreError

__all__ = ["Classifier", "ConstantClassifier", "LinearClassifier", "NearestClassifier", "NetworkClassifier",
           "StackedClassifier", "classifier_from_arrays", "log_softmax"]

# Numbers of a table of distances that are held at once.
_BLOCK_NUMBERS = 4_000_000


class Classifier(Protocol):
    """What the recommender asks of a trained classifier."""

    kind: str

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Logarithms of probabilities (b, K) for scaled features Z (b, f)."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that it is."""


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """log of exp(s_k) / sum_j exp(s_j) for rows (b, K), without overflow.

    Examples
    --------
    >>> np.exp(log_softmax(np.array([[1000.0, 1000.0]])))
    array([[0.5, 0.5]])
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def distances(Z: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Squared distances (b, N) of rows Z (b, f) and points (N, f), as sums of squares: no digits cancel where near."""
    return np.asarray(cdist(Z, points, "sqeuclidean"))


def blocks(rows: int, columns: int) -> list[slice]:
    """Slices of rows of which a table with so many columns stays small."""
    step = max(1, _BLOCK_NUMBERS // max(1, columns))
    return [slice(first, first + step) for first in range(0, rows, step)]


@dataclass(frozen=True, eq=False)
class ConstantClassifier:
    """One cluster: always that one, with probability 1."""

    kind = "constant"

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Zeros (b, 1)."""
        return np.zeros((len(Z), 1))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Multinomial logistic regression: log softmax(Z W + c).

    Attributes
    ----------
    weights : (f, K)
        W.
    bias : (K,)
        c.
    """

    weights: np.ndarray
    bias: np.ndarray
    kind = "logistic"

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Logarithms of probabilities (b, K). Cost: 2 b f K flops."""
        return log_softmax(Z @ self.weights + self.bias)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """`weights` and `bias`."""
        return {"weights": self.weights, "bias": self.bias}


@dataclass(frozen=True, eq=False)
class NearestClassifier:
    """Shares of the k nearest training samples, each sample counting by the weight of its cluster.

    p_j = (sum of w over those of the k nearest in cluster j + w0) / (sum over all clusters), w0 = 1 / K: no cluster has
    probability 0.

    Attributes
    ----------
    points : (N, f)
    labels : (N,) int
    weights : (K,)
        Of a sample of each cluster.
    neighbours : int
        k.
    """

    points: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    neighbours: int
    kind = "nearest"

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Logarithms of probabilities (b, K). Cost: 3 b N f flops and a partial sort."""
        member = np.eye(len(self.weights))[self.labels] * self.weights
        found = np.empty((len(Z), len(self.weights)))
        for rows in blocks(len(Z), len(self.points)):
            nearest = np.argsort(distances(Z[rows], self.points), axis=1, kind="stable")[:, :self.neighbours]
            found[rows] = member[nearest].sum(axis=1)
        found += 1.0 / len(self.weights)
        return np.asarray(np.log(found / found.sum(axis=1, keepdims=True)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """`points`, `labels`, `weights` and `neighbours`."""
        return {"points": self.points, "labels": self.labels, "weights": self.weights,
                "neighbours": np.array(self.neighbours)}


@dataclass(frozen=True, eq=False)
class NetworkClassifier:
    """A perceptron with rectified hidden layers: log softmax of the last one.

    Attributes
    ----------
    layers : tuple of ((i, j), (j,))
        Weights and biases.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    kind = "mlp"

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Logarithms of probabilities (b, K)."""
        *hidden, (weights, bias) = self.layers
        for matrix, shift in hidden:
            Z = np.maximum(Z @ matrix + shift, 0.0)
        return log_softmax(Z @ weights + bias)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """`0/weights`, `0/bias`, `1/weights` and so on."""
        return {f"{i}/{name}": value for i, layer in enumerate(self.layers)
                for name, value in zip(("weights", "bias"), layer, strict=True)}


@dataclass(frozen=True, eq=False)
class StackedClassifier:
    """Networks side by side, and a logistic regression that reads the probabilities of all of them.

    Attributes
    ----------
    members : tuple of NetworkClassifier
    final : LinearClassifier
        Of the joined log-probabilities (members times K).
    """

    members: tuple[NetworkClassifier, ...]
    final: LinearClassifier
    kind = "stack"

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Logarithms of probabilities (b, K)."""
        return self.final.scores(np.concatenate([np.exp(member.scores(Z)) for member in self.members], axis=1))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Those of the members under `members/0/...`, and of `final/...`."""
        found = {f"final/{name}": value for name, value in self.final.to_arrays().items()}
        for i, member in enumerate(self.members):
            found |= {f"members/{i}/{name}": value for name, value in member.to_arrays().items()}
        return found


def classifier_from_arrays(kind: str, arrays: Mapping[str, np.ndarray]) -> Classifier:
    """The classifier of that kind whose `to_arrays` gave these.

    Raises
    ------
    StoreError
        The kind is unknown or an array is missing.

    Examples
    --------
    >>> classifier_from_arrays("logistic", {"weights": np.eye(2), "bias": np.zeros(2)}).scores(np.zeros((1, 2))).shape
    (1, 2)
    """
    if kind not in _MAKERS:
        raise StoreError(f"a recommender has a classifier of kind {kind!r}; known: {', '.join(_MAKERS)}. The file is "
                         "of a newer version or damaged")
    try:
        return _MAKERS[kind](arrays)
    except KeyError as missing:
        raise StoreError(f"the recommender's classifier {kind!r} lacks the array {missing}; the file is damaged: write "
                         "it again") from None


def _linear(arrays: Mapping[str, np.ndarray]) -> LinearClassifier:
    return LinearClassifier(np.asarray(arrays["weights"]), np.asarray(arrays["bias"]))


def _nearest(arrays: Mapping[str, np.ndarray]) -> NearestClassifier:
    return NearestClassifier(np.asarray(arrays["points"]), np.asarray(arrays["labels"]), np.asarray(arrays["weights"]),
                             int(arrays["neighbours"]))


def _network(arrays: Mapping[str, np.ndarray]) -> NetworkClassifier:
    count = len({name.split("/")[0] for name in arrays})
    return NetworkClassifier(tuple((np.asarray(arrays[f"{i}/weights"]), np.asarray(arrays[f"{i}/bias"]))
                                   for i in range(max(1, count))))


def _stacked(arrays: Mapping[str, np.ndarray]) -> StackedClassifier:
    count = len({name.split("/")[1] for name in arrays if name.startswith("members/")})
    members = tuple(_network(_group(arrays, f"members/{i}/")) for i in range(count))
    return StackedClassifier(members, _linear(_group(arrays, "final/")))


def _group(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


_MAKERS: Mapping[str, Any] = {"constant": lambda arrays: ConstantClassifier(), "logistic": _linear,
                              "nearest": _nearest, "mlp": _network, "stack": _stacked}
