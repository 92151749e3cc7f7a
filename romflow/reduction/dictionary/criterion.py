"""How many local models, from how many runs and with how many modes, before any of them is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.clustering.medoids import checked_dissimilarities
from romflow.reduction.dictionary import choice
from romflow.reduction.dictionary.assessment import Assessment, Costs, Row
from romflow.reduction.dictionary.choice import Trial
from romflow.reduction.dictionary.correlations import Correlations
from romflow.reduction.dictionary.held_out import Recommended, held_out_errors, log_ratio, splits
from romflow.reduction.dictionary.reasons import reasons

__all__ = ["Accuracy", "assess", "priced"]

#: share of right answers; (K, K) counts, a row a right cluster; or the answers (N,) to the samples when held out
Accuracy = float | np.ndarray

#: modes at which errors are compared where nothing says how many, and the most that are tried
MODES, MOST = 10, 40
#: gain over one global model below which a dictionary is not worth its trouble
WORTH = 1.05


def assess(features: Correlations, dissimilarities: np.ndarray, clusterings: Mapping[int, np.ndarray], *,
           accuracy: Mapping[int, Accuracy] | Callable[[np.ndarray], Accuracy], budget: int,
           snapshots: int | Literal["auto"] = "auto", tolerance: float | None = None, modes: int | None = None,
           costs: Costs | None = None, queries: int | None = None, folds: int = 10, seed: int = 0,
           euclidean: Mapping[int, np.ndarray] | None = None) -> Assessment:
    """Whether a dictionary pays, and which: projection errors of held-out cheap samples against the accuracy.

    For each K, the samples of each fold are projected on n POD modes of the runs that would be made: of the medoid and
    the farthest members among the other folds, as many as the budget allows. With the mean relative errors e_global
    (one model from the whole budget), e_right (own cluster) and e_wrong (the others) and the accuracy a

        e = a e_right + (1 - a) e_wrong,         a* = (e_wrong - e_global) / (e_wrong - e_right),
        gain = e_global / e_right,               N* = (C_off,K - C_off,1) / (c_1 - c_K).

    where e is the mean error of the answers themselves if those are given (:class:`Recommended`). A dictionary is
    recommended only if e is below e_global beyond the scatter over the folds (corrected for their
    overlap and for the number of K that are tried) and by at least 5 %. Among those: with a tolerance that some of them
    meet, the cheapest for the planned queries, else with the fewest modes; without, the fewest clusters within one
    standard error of the smallest e. Cost: F sum_K K eigenproblems of the size of one local basis.

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
        What cross-validation says of the recommender, best first: its answer to each sample when held out (N,), its
        (K, K) confusion counts, or its accuracy 0 <= a <= 1. Not asked for K = 1 and for clusterings that are refused.
    budget : int
        Full-order runs in all. From N on, whole clusters are run.
    snapshots : int or "auto"
        Full-order runs a cluster. One global model always has the whole budget.
    tolerance : float, optional
        Relative error that the right local model is to meet.
    modes : int, optional
        Number of modes at which errors are compared (and the largest with a tolerance).
    costs : Costs, optional
        Measured seconds; without it offline costs and break-even queries stay None.
    queries : int, optional
        Evaluations that are planned (draws of an uncertainty study).
    folds, seed : int
        Of the held-out samples; the same for every K.
    euclidean : {K: labels (N,)}, optional
        Clusterings by the Euclidean distance, to say whether the angle gains anything.

    Raises
    ------
    InputError, ShapeError
        Labels that are no clustering, K > N, D not (N, N) or not finite, an accuracy outside [0, 1], a budget below 1.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 30)
    >>> U = np.zeros((20, 60))
    >>> U[:3, :30], U[3:6, 30:] = rng.normal(size=(3, 30)), rng.normal(size=(3, 30))
    >>> from romflow.linalg.dissimilarity.fields import sine
    >>> features = Correlations(U.T @ U, np.ones(60, int))
    >>> found = assess(features, sine(U, U), {2: labels}, accuracy={2: 0.98}, budget=16, modes=3)
    >>> found.clusters, found.row(2).right_error < 1e-6
    (2, True)
    """
    labels = _checked(features, dissimilarities, clusterings, budget, folds, modes)
    D = checked_dissimilarities(dissimilarities)
    _check_wishes(snapshots, tolerance, queries)
    held_out = splits(features.samples, folds, seed)
    most = modes or MOST

    def errors(labels: np.ndarray, runs: int) -> np.ndarray:
        return held_out_errors(features, D, labels, runs, most, held_out)

    offers = {K: _offer(K, labels[K], budget, None if snapshots == "auto" else snapshots) for K in sorted(labels)}
    told = {K: errors(labels[K], offers[K].snapshots) for K in offers if offers[K].refused is None}
    answers = {K: Recommended(labels[K], _accuracy(accuracy, K, labels[K])) for K in told}
    n = _compared_at(told, answers, tolerance, modes)
    trials = {K: _trial(offers[K], told[K], answers[K], n, tolerance) for K in told}
    trials = _judged(trials, held_out, costs, n)
    chosen, how = _choose(trials, held_out, tolerance, queries)
    angle = _angle(told, labels, euclidean or {}, offers, errors, held_out, n)
    facts = {"samples": features.samples, "folds": len(held_out), "budget": budget, "tolerance": tolerance,
             "compared_at": n, "queries": queries, "how": how, "angle": angle}
    row, size = chosen.row, _size(chosen.row, tolerance, modes)
    runs = row.snapshots
    if snapshots == "auto" and budget < features.samples:
        mine = answers[row.clusters]
        runs = _fewest(row, lambda m: mine.expected(errors(mine.labels, m))[:, size - 1].mean())
    rows = tuple(trials[K].row if K in trials else offers[K] for K in offers)
    found = Assessment(rows, row.clusters, runs, size, (), facts)
    return replace(found, why=tuple(reasons(found)))


def priced(found: Assessment, costs: Costs) -> Assessment:
    """The same assessment with the seconds of what it chose from, which are known later and change no choice."""
    offered = {row.clusters: row for row in found.rows if row.refused is None}
    timed = choice.with_seconds(offered, costs, found.facts["compared_at"])
    told = replace(found, rows=tuple(timed.get(row.clusters, row) for row in found.rows))
    return replace(told, why=tuple(reasons(told)))


def _checked(features: Correlations, D: np.ndarray, clusterings: Mapping[int, np.ndarray], budget: int, folds: int,
             modes: int | None) -> dict[int, np.ndarray]:
    N = features.samples
    if np.shape(D) != (N, N):
        raise ShapeError(f"the dissimilarities have shape {np.shape(D)} for {N} samples; give one (N, N) matrix")
    for name, value, least in (("budget", budget, 1), ("folds", folds, 2), ("modes", 1 if modes is None else modes, 1)):
        _check_whole(name, value, least)
    if N < 2:
        raise InputError(f"the criterion got {N} sample; nothing can be held out: give at least 2")
    found = {1: np.zeros(N, dtype=np.int64)}
    for K, labels in clusterings.items():
        labels = np.asarray(labels)
        if K > N or labels.shape != (N,) or not np.array_equal(np.unique(labels), np.arange(K)):
            raise InputError(f"the clustering for K = {K} has labels of shape {labels.shape}, {np.unique(labels).size} "
                             f"different ones, for {N} samples; the rule is 0 .. {K - 1}, each at least once")
        found[K] = labels.astype(np.int64)
    return found


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"the criterion got {name} = {value!r}; the rule is a whole number, at least {least}")


def _check_wishes(snapshots: int | str, tolerance: float | None, queries: int | None) -> None:
    if snapshots != "auto":
        _check_whole("snapshots", snapshots, 1)
    if queries is not None:
        _check_whole("queries", queries, 0)
    if tolerance is not None and not 0.0 < tolerance < 1.0:
        raise InputError(f"the criterion got tolerance = {tolerance}; the rule is a relative error between 0 and 1")


def _accuracy(accuracy: Mapping[int, Accuracy] | Callable[[np.ndarray], Accuracy], K: int,
              labels: np.ndarray) -> Accuracy:
    if K == 1:
        return 1.0
    if not callable(accuracy) and K not in accuracy:
        raise InputError(f"no accuracy is given for K = {K}; give the recommender's, or 1.0 to ask for the break-even")
    a: Any = accuracy(labels) if callable(accuracy) else accuracy[K]
    known = np.asarray(a, dtype=np.float64)
    if not (np.isfinite(known).all() and _fits(known, K, labels.size)):
        raise InputError(f"the accuracy for K = {K} is {a}; the rule is one number in [0, 1], ({K}, {K}) counts, or "
                         f"{labels.size} labels from 0 to {K - 1}")
    return known.astype(np.int64) if known.ndim == 1 else known if known.ndim else float(known)


def _fits(known: np.ndarray, K: int, samples: int) -> bool:
    if known.ndim == 0:
        return bool(0.0 <= known <= 1.0)
    if known.ndim == 1:
        return known.size == samples and bool(np.isin(known, np.arange(K)).all())
    return known.shape == (K, K) and bool(known.min() >= 0.0 and known.sum() > 0.0)


def _offer(K: int, labels: np.ndarray, budget: int, wanted: int | None) -> Row:
    """What the budget gives to K clusters, or why it gives nothing."""
    sizes = np.bincount(labels, minlength=K)
    refused = choice.starved(sizes, budget, wanted)
    each = choice.share_out(sizes, budget) if wanted is None or K == 1 else wanted
    return Row(K, sizes.tolist(), refused, each, int(np.minimum(sizes, each).sum()))


def _compared_at(told: dict[int, np.ndarray], answers: dict[int, Recommended], tolerance: float | None,
                 modes: int | None) -> int:
    """The number of modes at which errors are compared: given, or the fewest that meet the tolerance somewhere."""
    if modes is not None:
        return modes
    curves = [answers[K].right(E).mean(axis=0) for K, E in told.items()]
    needed = [choice.first_below(curve, tolerance) for curve in curves]
    return min((n for n in needed if n is not None), default=MODES)


def _trial(offer: Row, E: np.ndarray, answers: Recommended, n: int, tolerance: float | None) -> Trial:
    right, wrong, expected, K = answers.right(E), answers.wrong(E), answers.expected(E), offer.clusters
    row = replace(offer, right_error=float(right[:, n - 1].mean()), expected_error=float(expected[:, n - 1].mean()),
                  accuracy=answers.accuracy if K > 1 else None,
                  wrong_error=float(wrong[:, n - 1].mean()) if K > 1 else None,
                  modes_needed=choice.first_below(right.mean(axis=0), tolerance),
                  expected_curve=expected.mean(axis=0).tolist(), right_curve=right.mean(axis=0).tolist())
    return Trial(row, expected[:, n - 1])


def _judged(trials: dict[int, Trial], held_out: list[np.ndarray], costs: Costs | None, n: int) -> dict[int, Trial]:
    """The rows beside that of one global model."""
    single, rows = trials[1], {}
    for K, trial in trials.items():
        row = replace(trial.row, global_error=single.row.right_error)
        rows[K] = row if K == 1 else _beside(row, trial, single, held_out, len(trials) - 1)
    if costs is not None:
        rows = choice.with_seconds(rows, costs, n)
    return {K: Trial(rows[K], trial.expected) for K, trial in trials.items()}


def _beside(row: Row, trial: Trial, single: Trial, held_out: list[np.ndarray], tried: int) -> Row:
    ratio, tiny = choice.alone(trial, single, held_out, tried), np.finfo(float).tiny
    e, right, wrong = float(single.row.right_error or 0.0), float(row.right_error or 0.0), float(row.wrong_error or 0.0)
    needed = (wrong - e) / (wrong - right) if wrong > right else None
    return replace(row, gain=e / max(right, tiny), expected_gain=e / max(float(row.expected_error or 0.0), tiny),
                   gain_interval=ratio.interval, break_even_accuracy=None if needed is None else max(needed, 0.0))


def _choose(trials: dict[int, Trial], held_out: list[np.ndarray], tolerance: float | None,
            queries: int | None) -> tuple[Trial, str]:
    """The trial, and by which rule: "single", "tolerance", "queries" or "error"."""
    single = trials[1]
    winners = [t for K, t in trials.items() if K > 1 and (t.row.gain_interval or [0.0])[0] > 1.0
               and (t.row.expected_gain or 0.0) >= WORTH]
    if not winners:
        return single, "single"
    meeting = [t for t in winners if t.row.modes_needed is not None]
    if tolerance is None or not meeting:
        return choice.simplest(winners, held_out), "error"
    best = choice.cheapest(meeting, queries)
    slow = single.row.modes_needed
    if slow is None:
        return best, "tolerance"
    late = queries is not None and best.row.offline_seconds is not None and (
        best.row.break_even_queries is None or best.row.break_even_queries > queries)
    if slow <= (best.row.modes_needed or 0) or late:
        return single, "queries"
    return best, "tolerance"


def _size(row: Row, tolerance: float | None, modes: int | None) -> int:
    if row.modes_needed is not None:
        return row.modes_needed
    return modes or choice.enough(list(enumerate(row.expected_curve, start=1)))


def _fewest(row: Row, error: Callable[[int], float]) -> int:
    """The fewest runs a cluster that are as good as all that the budget gives."""
    top = row.snapshots
    ladder = sorted({m for m in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96) if m < top} | {top})
    return choice.enough([(m, float(error(m))) for m in ladder])


def _angle(told: dict[int, np.ndarray], labels: dict[int, np.ndarray], euclidean: Mapping[int, np.ndarray],
           offers: dict[int, Row], errors: Callable[[np.ndarray, int], np.ndarray], held_out: list[np.ndarray],
           n: int) -> dict[str, Any]:
    """Right-cluster errors by the dissimilarity's clusters over those by the Euclidean ones, for each K."""
    found: dict[str, Any] = {}
    for K in sorted(set(told) & set(euclidean) - {1}):
        theirs = np.asarray(euclidean[K], dtype=np.int64)
        ours = told[K][np.arange(theirs.size), labels[K], n - 1]
        other = errors(theirs, offers[K].snapshots)[np.arange(theirs.size), theirs, n - 1]
        ratio = log_ratio(ours, other, held_out, 0.05)
        found[str(K)] = {"angle_error": float(ours.mean()), "euclidean_error": float(other.mean()),
                         "ratio": float(np.exp(ratio.mean)), "interval": ratio.interval,
                         "gains": bool(ratio.interval[1] < 1.0 and np.exp(-ratio.mean) >= WORTH)}
    return found
