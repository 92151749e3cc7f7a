"""Which number of clusters, how many runs for each and how many modes: the rules, on numbers that were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from romflow.reduction.dictionary.assessment import Costs, Row
from romflow.reduction.dictionary.held_out import LogRatio, log_ratio

__all__ = ["Trial", "alone", "cheapest", "enough", "first_below", "offline_seconds", "online_seconds", "pays_after",
           "share_out", "simplest", "starved", "with_seconds"]

#: a cluster below is not a regime but some odd samples
LEAST_MEMBERS = 3
#: full-order runs below which a local basis is not one
LEAST_RUNS = 2
#: what is within this factor of the best counts as good as the best
AS_GOOD = 1.05


@dataclass(frozen=True)
class Trial:
    """One number of clusters with the error of every sample, expected over the answers of the recommender (N,)."""

    row: Row
    expected: np.ndarray


def share_out(sizes: np.ndarray, budget: int) -> int:
    """The most runs a cluster with sum_k min(size_k, runs) <= budget; a small cluster leaves its share to the others.

    Examples
    --------
    >>> share_out(np.array([30, 6, 5, 4]), 24), share_out(np.array([30, 6, 5, 4]), 45)
    (9, 30)
    """
    counts = np.arange(1, int(sizes.max()) + 1)
    within = np.minimum(sizes[:, None], counts).sum(axis=0) <= budget
    return int(counts[within][-1]) if within.any() else 0


def starved(sizes: np.ndarray, budget: int, wanted: int | None) -> str | None:
    """Why this clustering is out of the question, or None."""
    K, small = sizes.size, int(sizes.argmin())
    if K == 1:
        return None
    if sizes[small] < LEAST_MEMBERS:
        return (f"cluster {small} has {sizes[small]} of the {sizes.sum()} samples, which is not a regime (at least "
                f"{LEAST_MEMBERS} are)")
    runs = None if wanted is None else int(np.minimum(sizes, wanted).sum())
    if runs is not None and runs > budget:
        return f"{K} clusters with {wanted} full-order runs each need {runs}, and the budget is {budget}"
    if (wanted or LEAST_RUNS) < LEAST_RUNS or LEAST_RUNS * K > budget:
        each = wanted or budget / K
        return f"each cluster would get {each:.3g} full-order runs, and a local model needs at least {LEAST_RUNS}"
    return None


def first_below(curve: np.ndarray, tolerance: float | None) -> int | None:
    """The smallest n with curve[n - 1] <= tolerance."""
    below = np.flatnonzero(curve <= tolerance) if tolerance is not None else np.zeros(0, dtype=int)
    return int(below[0]) + 1 if below.size else None


def enough(errors: list[tuple[int, float]]) -> int:
    """The first number whose error is within 5 % of the best one."""
    best = min(error for _, error in errors)
    return next(number for number, error in errors if error <= AS_GOOD * best)


def alone(trial: Trial, single: Trial, held_out: list[np.ndarray], tried: int) -> LogRatio:
    """Error of one global model by that of the dictionary, with an interval that holds for all numbers tried at once.

    The one-sided level .05 is divided by the number of comparisons (Bonferroni).
    """
    return log_ratio(single.expected, trial.expected, held_out, 0.05 / max(tried, 1))


def simplest(trials: list[Trial], held_out: list[np.ndarray]) -> Trial:
    """The fewest clusters whose expected error is within one standard error of the smallest (Breiman et al. 1984)."""
    best = min(trials, key=lambda trial: trial.expected.mean())
    for trial in sorted(trials, key=lambda trial: trial.row.clusters):
        ratio = log_ratio(trial.expected, best.expected, held_out)
        if trial is best or ratio.mean <= min(ratio.error, np.log(1.25)):
            return trial
    return best


def cheapest(trials: list[Trial], queries: int | None) -> Trial:
    """Of those that meet the tolerance: the least seconds for the planned queries, else the fewest modes."""
    def price(trial: Trial) -> tuple[float, int, int]:
        row, seconds = trial.row, 0.0
        if queries is not None and row.offline_seconds is not None and row.online_seconds is not None:
            seconds = row.offline_seconds + queries * row.online_seconds
        return seconds, row.modes_needed or 0, row.clusters

    return min(trials, key=price)


def with_seconds(rows: Mapping[int, Row], costs: Costs, modes: int) -> dict[int, Row]:
    """Rows by their number of clusters, K = 1 among them, with what they cost and when each has paid for itself.

    Parameters
    ----------
    rows : {K: Row}
    costs : Costs
    modes : int
        Of an online solve where no tolerance says how many are needed.
    """
    timed = {K: replace(row, offline_seconds=offline_seconds(costs, K, row.runs, sum(row.sizes)),
                        online_seconds=online_seconds(costs, K, row.modes_needed or modes)) for K, row in rows.items()}
    return {K: replace(row, break_even_queries=pays_after(row, timed[1])) if K > 1 else row
            for K, row in timed.items()}


def offline_seconds(costs: Costs, clusters: int, runs: int, samples: int) -> float:
    """Full-order runs, and for a dictionary the cheap solves, all pairs and the training of the recommender."""
    pairs = samples * (samples - 1) / 2
    extra = samples * costs.cheap + pairs * costs.pair + costs.training if clusters > 1 else 0.0
    return runs * costs.full_order + extra


def online_seconds(costs: Costs, clusters: int, modes: int) -> float:
    """One reduced solve, and for a dictionary the recommendation."""
    return costs.online(modes) + (costs.recommend if clusters > 1 else 0.0)


def pays_after(row: Row, single: Row) -> float | None:
    """N* = (C_off,dictionary - C_off,global) / (c_global - c_dictionary); None where it is no faster online."""
    if row.offline_seconds is None or single.offline_seconds is None:
        return None
    saved = (single.online_seconds or 0.0) - (row.online_seconds or 0.0)
    return max(0.0, row.offline_seconds - single.offline_seconds) / saved if saved > 0.0 else None
