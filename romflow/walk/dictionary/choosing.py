"""How many clusters a dictionary has and who recommends them: clusterings, recommenders, and the criterion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.dictionary_section import DictionaryConfig
from romflow.linalg.clustering.medoids import distinct, k_medoids
from romflow.linalg.clustering.result import Clustering
from romflow.linalg.clustering.subspaces import k_subspaces_of_gram
from romflow.reduction.dictionary.assessment import Assessment
from romflow.reduction.dictionary.correlations import correlations
from romflow.reduction.dictionary.criterion import assess
from romflow.reduction.dictionary.features import Features
from romflow.reduction.dictionary.training import Trained, train
from romflow.rom.dictionary.inputs import InputField

__all__ = ["Choice", "Sample", "choose", "latest_field"]

# Dimensions of the subspaces of k-subspaces.
_SUBSPACE = 5
_FEW = 16
# Accuracy by which nearest neighbours must be ahead, beside twice the scatter of a share: a logistic regression is
# smoother, and every format takes it.
_CLEARLY = 0.02


@dataclass(frozen=True, eq=False)
class Sample:
    """The cheap simulations of a design, and what they are compared by.

    Attributes
    ----------
    mu : (N, p)
    features : Features
    D, euclid : (N, N)
        Dissimilarities by the wish of the study, and Euclidean ones.
    field : InputField
    inputs : (N, F)
        Of the samples.
    """

    mu: np.ndarray
    features: Features
    D: np.ndarray
    euclid: np.ndarray
    field: InputField
    inputs: np.ndarray


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and what it was chosen from.

    Attributes
    ----------
    clustering : Clustering
    trained : Trained
        The recommender of these clusters.
    assessment : Assessment
    """

    clustering: Clustering
    trained: Trained
    assessment: Assessment

    @property
    def snapshots(self) -> int:
        """Full-order runs of each cluster; a smaller one gives all its members."""
        K = self.clustering.clusters
        own = self.assessment.snapshots if K == self.assessment.clusters else self.assessment.row(K).snapshots
        return max(1, own)


def choose(sample: Sample, wish: DictionaryConfig, told: Callable[[str], None], modes: int | None = None,
           queries: int | None = None) -> Choice:
    """Clusters for each number that is tried, their recommenders, and the number that the criterion recommends.

    Parameters
    ----------
    sample : Sample
    wish : DictionaryConfig
        With a number of clusters this is taken, whatever the criterion says of it.
    told : callable
        Takes what a user should read.
    modes : int, optional
        Most of a local model.
    queries : int, optional
        Evaluations that are planned; they decide nothing, but are told beside those from which a dictionary pays.
    """
    clusterings = {K: _clustering(sample, wish, K) for K in _tried(sample.D, wish)}
    trained: dict[int, Trained] = {}

    def recommender(K: int) -> Trained:
        if K not in trained:
            trained[K] = _recommender(sample, wish, clusterings[K].labels)
        return trained[K]

    numbers = {tuple(one.labels): K for K, one in clusterings.items()}
    euclidean = {} if wish.dissimilarity == "euclidean" else {
        K: k_medoids(sample.euclid, K, seed=wish.seed).labels for K in clusterings
        if 1 < K <= distinct(sample.euclid)}
    features = sample.features
    whole = correlations(features.matrix, features.sizes, features.product)
    runs = len(sample.mu) if wish.simplified is None else wish.full_order_runs(len(sample.mu))
    snapshots: Any = len(sample.mu) if wish.simplified is None and wish.snapshots == "auto" else wish.snapshots
    assessment = assess(whole, sample.D, {K: one.labels for K, one in clusterings.items()},
                        accuracy=lambda labels: recommender(numbers[tuple(labels)]).predicted, budget=runs,
                        snapshots=snapshots, modes=modes, queries=queries, seed=wish.seed, euclidean=euclidean)
    K = assessment.clusters if wish.clusters == "auto" else int(wish.clusters)
    refused = assessment.row(K).refused
    if refused is not None:
        told(f"[dictionary] clusters = {K} is kept as it was asked for, although {refused}")
    return Choice(clusterings[K], recommender(K), assessment)


def latest_field(fom: Any, kind: str, mu: np.ndarray) -> InputField:
    """The input field of a model: its parameters, or its nodal temperature when those of the draws differ most.

    Parameters
    ----------
    fom : FullOrderModel
    kind : {"parameters", "temperature"}
    mu : (N, p)
        Some draws.
    """
    if kind == "parameters":
        return InputField.parameters(mu.shape[1])
    problem, few = fom.mechanics, mu[:_FEW]
    times = np.asarray(fom.times, dtype=float)
    spread = [np.var([problem.nodal_temperature(problem.rows(row, float(t))) for row in few], axis=0).sum()
              for t in times]
    return InputField.temperature(problem.temperature, problem.loading, problem.space.nodes,
                                  float(times[int(np.argmax(spread))]))


def _recommender(sample: Sample, wish: DictionaryConfig, labels: np.ndarray) -> Trained:
    """The recommender of these clusters, by the classifier of the study or by the better of two."""
    about = wish.recommender
    names = ("logistic", "nearest") if about.classifier == "auto" and labels.max() > 0 else (about.classifier,)
    found = [train(sample.field, sample.inputs, labels, classifier="logistic" if name == "auto" else name,
                   share=about.share, augment=about.augment, abstain=about.abstain, seed=wish.seed) for name in names]
    first, last = found[0].accuracy, found[-1].accuracy
    scatter = np.sqrt(max(first * (1.0 - first), 0.0) / len(labels))
    return found[-1] if last > first + max(_CLEARLY, 2.0 * scatter) else found[0]


def _tried(D: np.ndarray, wish: DictionaryConfig) -> list[int]:
    if wish.clusters != "auto":
        return sorted({1, int(wish.clusters)})
    return list(range(1, min(wish.most, distinct(D)) + 1))


def _clustering(sample: Sample, wish: DictionaryConfig, K: int) -> Clustering:
    if wish.clustering == "k-subspaces" and K > 1:
        one = np.ones(len(sample.mu), dtype=int)
        G = correlations(lambda which: sample.features.fields(which), one, sample.features.product).gram
        return k_subspaces_of_gram(G, K, _SUBSPACE, seed=wish.seed)
    return k_medoids(sample.D, K, seed=wish.seed)
