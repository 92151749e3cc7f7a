"""Which nodes of a field tell the clusters apart: minimum redundancy, maximum relevance, redundancy by distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from sklearn.isotonic import IsotonicRegression

from romflow.core.errors import InputError, ShapeError

__all__ = ["DistanceModel", "Selection", "distance_model", "relevance_of", "select"]

Redundancy = Callable[[int], np.ndarray]

# Correlations nearer to 1 count as this one, so that information stays finite.
_LARGEST = 1.0 - 1e-6
_BINS, _SAMPLED = 24, 3000
_SMALLEST_SPREAD = 1e-2


@dataclass(frozen=True, eq=False)
class DistanceModel:
    """Redundancy of two nodes as a falling function of their distance.

    Attributes
    ----------
    distance : (k,)
        Rising.
    information : (k,)
        Mutual information there, in nats; linear between, constant beyond.
    points : (F, d)
    """

    distance: np.ndarray
    information: np.ndarray
    points: np.ndarray

    def __call__(self, j: int) -> np.ndarray:
        """Redundancy (F,) of all entries with entry j. Cost: 3 d F flops, whatever the number of samples."""
        far = np.sqrt(((self.points - self.points[j]) ** 2).sum(axis=1))
        return np.interp(far, self.distance, self.information)


@dataclass(frozen=True, eq=False)
class Selection:
    """The chosen entries.

    Attributes
    ----------
    numbers : (f,) int
        In the order in which they were chosen.
    relevance : (F,)
        Mutual information of each entry with the labels, in nats.
    score : (f,)
        Relevance less mean redundancy with the entries chosen before.
    model : DistanceModel or None
        None where redundancy was taken from the samples.
    """

    numbers: np.ndarray
    relevance: np.ndarray
    score: np.ndarray
    model: DistanceModel | None


def select(values: ArrayLike, labels: ArrayLike, count: int, points: ArrayLike | None = None, *, pairs: int = 100_000,
           seed: int = 0) -> Selection:
    """Entries chosen one after the other: argmax of I(x_i; label) - mean over the chosen j of I(x_i; x_j).

    I(x_i; label) = -log(1 - eta_i^2) / 2 with the correlation ratio eta^2 of the analysis of variance. I(x_i; x_j) =
    -log(1 - rho^2) / 2 as for normal variables; with `points` it is a function of the distance between the nodes,
    fitted to a sample of pairs, so that a choice costs F numbers in place of N F (or of F estimates of information).
    Entries that vary by less than a hundredth of the one that varies most are left out: in tails of a field the labels
    can be read off numbers that no measurement and no other mesh would have.

    Parameters
    ----------
    values : (N, F)
        Of the field.
    labels : (N,) int
    count : int
        f, at most F; fewer are chosen where fewer vary.
    points : (F, d), optional
        Where the entries are; without them redundancy is taken from the samples.
    pairs : int
        Size of the sample of pairs.
    seed : int
        Of that sample.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit, a number is not finite, or `count` is not from 1 to F.

    Notes
    -----
    Criterion: Peng, Long and Ding 2005 (IEEE Transactions on Pattern Analysis 27), equation (6). The redundancy by
    distance is after Daniel, Casenave, Akkari and Ryckelynck 2021 (Mathematical and Computational Applications 26),
    with a falling function through the means of distance classes in place of a variogram model.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 50)
    >>> mu = np.random.default_rng(0).uniform(size=(40, 2))
    >>> fields = mu[:, :1] * np.exp(-100 * (x - 0.2)**2) + mu[:, 1:] * np.exp(-100 * (x - 0.8)**2)
    >>> chosen = select(fields, (mu[:, 0] > mu[:, 1]).astype(int), 2, x[:, None])
    >>> sorted(int(i) // 25 for i in chosen.numbers)
    [0, 1]
    """
    x, y = check_samples(values, labels)
    if not 1 <= count <= x.shape[1]:
        raise InputError(f"a selection of {count} entries of {x.shape[1]} was asked for; the rule is from 1 to all")
    relevance = relevance_of(x, y)
    if count == x.shape[1]:
        return Selection(np.arange(count), relevance, relevance, None)
    model = None if points is None else distance_model(x, _places(points, x.shape[1]), pairs, seed)
    moving = varied(x)
    numbers, score = greedy(np.where(moving, relevance, -np.inf), _correlated(x) if model is None else model,
                            min(count, int(moving.sum())))
    return Selection(numbers, relevance, score, model)


def greedy(relevance: np.ndarray, redundancy: Redundancy, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The greedy choice for a relevance (F,) and a redundancy j -> (F,); the first of equal entries is taken."""
    total, free = np.zeros(relevance.size), np.ones(relevance.size, dtype=bool)
    numbers, scores = np.empty(count, dtype=np.int64), np.empty(count)
    for k in range(count):
        score = np.where(free, relevance - total / max(k, 1), -np.inf)
        numbers[k] = np.argmax(score)
        scores[k] = score[numbers[k]]
        free[numbers[k]] = False
        total += redundancy(int(numbers[k]))
    return numbers, scores


def relevance_of(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log(1 - eta^2) / 2 (F,) with eta^2 = spread of the class means by all spread; 0 where nothing varies.

    eta^2 is freed of what chance alone gives, (K - 1) / (N - 1) for N samples in K classes.

    Examples
    --------
    >>> relevance_of(np.array([[0.0, 1.0], [1.0, 1.0], [5.0, 1.0], [6.0, 1.0]]), np.array([0, 0, 1, 1])).round(2)
    array([1.43, 0.  ])
    """
    member = np.eye(int(labels.max()) + 1)[labels]
    sizes = member.sum(axis=0)
    member, sizes = member[:, sizes > 0], sizes[sizes > 0]
    centred = values - values.mean(axis=0)
    between = ((member.T @ centred) ** 2 / sizes[:, None]).sum(axis=0)
    whole = (centred**2).sum(axis=0)
    share = np.divide(between, whole, out=np.zeros(len(whole)), where=whole > 0.0)
    return information(share, len(sizes) - 1, len(values))


def information(share: np.ndarray, freedom: int, samples: int) -> np.ndarray:
    """-log(1 - s) / 2 with the share s of explained variance less what `freedom` numbers explain by chance."""
    chance = min(0.999, freedom / max(1, samples - 1))
    return -0.5 * np.log1p(-np.clip((share - chance) / (1.0 - chance), 0.0, _LARGEST))


def distance_model(values: np.ndarray, points: np.ndarray, pairs: int = 100_000, seed: int = 0) -> DistanceModel:
    """Redundancy by distance, from a sample of pairs of at most some thousand entries.

    Parameters
    ----------
    values : (N, F)
    points : (F, d)
    pairs : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(points), size=min(len(points), _SAMPLED), replace=False))
    places, standard = points[some], standardised(values[:, some])
    anchors = rng.choice(len(some), size=min(len(some), max(16, pairs // len(some))), replace=False)
    far = np.sqrt(cdist(places[anchors], places, "sqeuclidean"))
    found = information((standard[:, anchors].T @ standard) ** 2, 1, len(standard))
    apart = far > 0.0
    if not apart.any():
        return DistanceModel(np.zeros(1), np.full(1, found.mean()), points)
    far, found = far[apart], found[apart]
    # Classes of equal ratio: near pairs are few and tell most.
    edges = np.geomspace(far.min(), far.max(), _BINS + 1)
    number = np.clip(np.searchsorted(edges, far) - 1, 0, _BINS - 1)
    members = np.bincount(number, minlength=_BINS)
    full = members > 0
    distance = np.bincount(number, far, _BINS)[full] / members[full]
    mean = np.bincount(number, found, _BINS)[full] / members[full]
    falling = IsotonicRegression(increasing=False).fit_transform(distance, mean, sample_weight=members[full])
    return DistanceModel(distance, np.asarray(falling), points)


def standardised(values: np.ndarray) -> np.ndarray:
    """Columns (N, F) of mean 0 and length 1; where nothing varies, 0."""
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    still = length <= 1e-12 * np.sqrt(len(values)) * np.abs(values).max(axis=0)
    return np.where(still, 0.0, centred / np.where(still, 1.0, length))


def check_samples(values: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, F) and labels (N,), checked."""
    x, y = np.asarray(values, dtype=np.float64), np.asarray(labels)
    if x.ndim != 2 or not x.size or y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise ShapeError(f"values have shape {x.shape} and labels {y.shape} of {y.dtype}; the rule is (N, F) and a "
                         "whole number for each of the N samples")
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if wrong.size:
        raise InputError(f"the input field of sample {wrong[0]} is not finite ({wrong.size} such samples); leave these "
                         "samples out")
    if y.min() < 0:
        raise InputError(f"labels go down to {y.min()}; the rule is 0 .. K - 1")
    return x, y.astype(np.int64)


def varied(values: np.ndarray) -> np.ndarray:
    """Whether each entry (F,) varies by at least a hundredth of what the most varying one does."""
    spread = values.std(axis=0)
    return spread >= _SMALLEST_SPREAD * spread.max()


def _correlated(values: np.ndarray) -> Redundancy:
    """Redundancy from the samples: N F products for each choice."""
    standard = standardised(values)
    return lambda j: information((standard[:, j] @ standard) ** 2, 1, len(standard))


def _places(points: ArrayLike, entries: int) -> np.ndarray:
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or len(places) != entries or not np.isfinite(places).all():
        raise ShapeError(f"points of shape {places.shape} were given for a field of {entries} entries; the rule is "
                         f"({entries}, d), finite")
    return places
