"""Training of a recommender: which entries of the input field to look at, a classifier on them, and how good it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.reduction.dictionary.augmentation import Synthetic, augment
from romflow.reduction.dictionary.classifiers import CLASSIFIERS, Setting, fit, folds_of, settings_of
from romflow.reduction.dictionary.selection import Selection, check_samples, select, varied
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender, reach_of, scaling

__all__ = ["Trained", "Verify", "train"]

Verify = Callable[[np.ndarray], np.ndarray]

_FOLDS = 5
_MOST_ENTRIES = 64
_MOST_SYNTHETIC = 2000
_PER_SAMPLE, _PER_SAMPLE_VERIFIED = 8, 2


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
        return {"accuracy": self.accuracy, "accuracy_scatter": self.accuracy_scatter,
                "per_class": self.per_class.tolist(), "predicted": self.predicted.tolist(), **self.facts}


@dataclass(frozen=True)
class _Recipe:
    """What is the same in all folds."""

    clusters: int
    count: int
    points: np.ndarray | None
    synthetic: int
    seed: int


def train(field: InputField, values: ArrayLike, labels: ArrayLike, points: ArrayLike | None = None, *,
          classifier: str = "logistic", share: float = 0.02, augment: bool = True, abstain: float = 0.5, seed: int = 0,
          verify: Verify | None = None) -> Trained:
    """The recommender for clusters of the samples with input fields `values`, judged on samples that it has not seen.

    Entries are chosen by `selection.select`, synthetic samples made by `augmentation.augment`, the free numbers of the
    classifier taken from the smallest cross-validated -mean log p(label), and probabilities sharpened or flattened by
    one number s (softmax of s times the scores) that makes that loss smallest. Folds hold out original samples; entries
    and synthetic samples are chosen anew inside each.

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
        Of the entries, at most, that are looked at (at least K, at most 64; all where the field is the parameters).
    augment : bool
        Add synthetic samples inside pure sets: eight for each sample, two where `verify` simulates them. A logistic
        regression is given none: it is linear, so that what it says rightly of samples it says rightly of their convex
        combinations, and these only draw its attention away from the borders.
    abstain : float
        Least probability.
    seed : int
    verify : callable, optional
        Fields (k, F) to labels (k,) by simulation; synthetic samples with another label are left out.

    Raises
    ------
    ShapeError, InputError, ConfigError
        Shapes do not fit, numbers are not finite, each cluster has one member, or nothing varies; an option is unknown
        or out of range.

    Examples
    --------
    >>> mu = np.random.default_rng(0).uniform(size=(60, 2))
    >>> trained = train(InputField.parameters(2), mu, (mu[:, 0] > 0.5).astype(int))
    >>> found = trained.recommender.recommend(trained.field.values([[0.1, 0.5], [0.9, 0.5], [9.0, 9.0]]))
    >>> found.label.tolist(), found.abstained.tolist()
    ([0, 1, 1], [False, False, True])
    """
    x, y, K = _checked(field, values, labels, classifier, share, abstain)
    if K == 1:
        return _lone(field, x, share, abstain)
    places = field.nodes if points is None else np.asarray(points, dtype=np.float64)
    each = 0 if not augment or classifier == "logistic" else _PER_SAMPLE if verify is None else _PER_SAMPLE_VERIFIED
    recipe = _Recipe(K, _entries(field, share, K), places, min(_MOST_SYNTHETIC, each * len(x)), seed)
    setting, scores, fold = _chosen(classifier, x, y, recipe)
    sharpness = _sharpness(scores, y)
    selection, mean, scale, Z = _features(x, y, recipe)
    made, right = _verified(_synthetic(Z, y, recipe), x, verify)
    fitted = _fit(setting, Z, y, made, recipe)
    hit = scores.argmax(axis=1) == y
    facts = {"classifier": classifier, "setting": setting.plain(), "clusters": K, "samples": len(x),
             "entries": int(selection.numbers.size), "size": field.size,
             "share": float(selection.numbers.size / field.size), "numbers": selection.numbers.tolist(),
             "synthetic": len(made.labels), "synthetic_refused": made.refused, "synthetic_right": right,
             "sharpness": sharpness, "folds": int(fold.max()) + 1, "confusion": _confusion(y, scores.argmax(axis=1), K)}
    recommender = Recommender(K, field.size, selection.numbers, mean, scale, fitted, Z, reach_of(Z), sharpness,
                              float(abstain))
    scatter = np.std([hit[fold == k].mean() for k in range(int(fold.max()) + 1)])
    return Trained(recommender, field.restrict(selection.numbers), float(hit.mean()), float(scatter),
                   np.array([hit[y == k].mean() for k in range(K)]), scores.argmax(axis=1), facts)


def _chosen(kind: str, x: np.ndarray, y: np.ndarray, recipe: _Recipe) -> tuple[Setting, np.ndarray, np.ndarray]:
    """The setting of smallest held-out loss, its held-out scores (N, K), and the fold (N,) of each sample."""
    settings = settings_of(kind)
    fold = folds_of(y, min(_FOLDS, len(y)), recipe.seed)
    scores = np.empty((len(settings), len(y), recipe.clusters))
    for k in range(int(fold.max()) + 1):
        inside, outside = fold != k, fold == k
        selection, mean, scale, Z = _features(x[inside], y[inside], recipe)
        made = _synthetic(Z, y[inside], recipe)
        held = (x[outside][:, selection.numbers] - mean) / scale
        for i, setting in enumerate(settings):
            scores[i, outside] = _fit(setting, Z, y[inside], made, recipe).scores(held)
    best = int(np.argmin([_loss(_sharpness(found, y), found, y) for found in scores]))
    return settings[best], scores[best], fold


def _features(x: np.ndarray, y: np.ndarray, recipe: _Recipe) -> tuple[Selection, np.ndarray, np.ndarray, np.ndarray]:
    """The chosen entries, their mean and scale (f,), and scaled features (N, f)."""
    selection = select(x, y, recipe.count, recipe.points, seed=recipe.seed)
    looked = x[:, selection.numbers]
    mean, scale = scaling(looked)
    return selection, mean, scale, (looked - mean) / scale


def _synthetic(Z: np.ndarray, y: np.ndarray, recipe: _Recipe) -> Synthetic:
    return augment(Z, y, recipe.synthetic, recipe.seed)


def _fit(setting: Setting, Z: np.ndarray, y: np.ndarray, made: Synthetic, recipe: _Recipe) -> Any:
    joined, labels = np.concatenate([Z, made.weights @ Z]), np.concatenate([y, made.labels])
    parents = np.concatenate([np.eye(len(Z), dtype=bool), made.weights > 0.0])
    return fit(setting, joined, labels, recipe.clusters, parents, recipe.seed)


def _verified(made: Synthetic, x: np.ndarray, verify: Verify | None) -> tuple[Synthetic, float | None]:
    """The synthetic samples whose labels simulation confirms, and the share that it confirms."""
    if verify is None or not len(made.labels):
        return made, None
    found = np.asarray(verify(made.weights @ x))
    if found.shape != made.labels.shape:
        raise ShapeError(f"verify gave labels of shape {found.shape} for {len(made.labels)} fields; the rule is one "
                         "label for each")
    right = found == made.labels
    return made.chosen(right), float(right.mean())


def _sharpness(scores: np.ndarray, y: np.ndarray) -> float:
    """s in [0.1, 10] of smallest loss."""
    found = minimize_scalar(lambda a: _loss(np.exp(a), scores, y), bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))


def _loss(sharpness: float, scores: np.ndarray, y: np.ndarray) -> float:
    """-mean of log p with one part in N + K spread over all clusters, so that no sample is certain (Platt 1999)."""
    logits = sharpness * scores
    logits = logits - logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    N, K = scores.shape
    own = log_p[np.arange(N), y].mean()
    return float(-(N * own + K * log_p.mean()) / (N + K))


def _entries(field: InputField, share: float, clusters: int) -> int:
    if field.kind == "parameters":
        return field.size
    return min(field.size, _MOST_ENTRIES, max(clusters, int(share * field.size)))


def _lone(field: InputField, x: np.ndarray, share: float, abstain: float) -> Trained:
    """One cluster: entries that vary, spread over the field by number, for novelty alone."""
    numbers = np.arange(field.size)
    if field.kind != "parameters":
        moving = np.flatnonzero(varied(x))
        numbers = moving[np.unique(np.linspace(0, len(moving) - 1, _entries(field, share, 8)).astype(np.int64))]
    lone = Recommender.constant(x[:, numbers])
    own = Recommender(1, field.size, numbers, lone.mean, lone.scale, lone.classifier, lone.training, lone.reach, 1.0,
                      float(abstain))
    facts = {"classifier": "constant", "setting": {}, "clusters": 1, "samples": len(x), "entries": len(numbers),
             "size": field.size, "share": len(numbers) / field.size, "numbers": numbers.tolist(), "synthetic": 0,
             "synthetic_refused": 0, "synthetic_right": None, "sharpness": 1.0, "folds": 0, "confusion": [[len(x)]]}
    return Trained(own, field.restrict(numbers), 1.0, 0.0, np.ones(1), np.zeros(len(x), dtype=np.int64), facts)


def _confusion(y: np.ndarray, predicted: np.ndarray, clusters: int) -> list[list[int]]:
    """Rows: true cluster; columns: recommended when held out."""
    return np.bincount(y * clusters + predicted, minlength=clusters**2).reshape(clusters, clusters).tolist()


def _checked(field: InputField, values: ArrayLike, labels: ArrayLike, classifier: str, share: float,
             abstain: float) -> tuple[np.ndarray, np.ndarray, int]:
    x, y = check_samples(values, labels)
    if classifier not in CLASSIFIERS:
        raise ConfigError(f"no classifier is called {classifier!r}; known: {', '.join(CLASSIFIERS)}")
    if not 0.0 < share <= 1.0 or not 0.0 <= abstain < 1.0:
        raise ConfigError(f"share = {share} and abstain = {abstain} were given to a recommender; the rule is 0 < share "
                          "<= 1 and 0 <= abstain < 1")
    if x.shape[1] != field.size:
        raise ShapeError(f"the samples have {x.shape[1]} values each and the input field has {field.size} entries; "
                         "they are of another mesh: give values of the same field")
    sizes = np.bincount(y)
    if (sizes == 0).any():
        raise InputError(f"cluster {int(np.argmin(sizes))} of {len(sizes)} has no member; number them 0 .. K - 1")
    if len(sizes) > 1 and sizes.max() == 1:
        raise InputError(f"each of {len(sizes)} clusters has one sample, from which nothing can be learnt about the "
                         "others; give fewer clusters or more draws")
    if len(sizes) > 1 and not np.ptp(x, axis=0).any():
        raise InputError(f"the input fields of all {len(x)} samples are the same, so that they cannot tell "
                         f"{len(sizes)} clusters apart; choose another input")
    return x, y, len(sizes)
