"""The a-priori criterion in sentences that an engineer reads in the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from romflow.reduction.dictionary.assessment import Assessment, Row

__all__ = ["reasons"]

# Ratio of errors below which an angle would gain if that were not chance.
_SCATTER = 0.9


def reasons(found: Assessment) -> Iterator[str]:
    """What is recommended and why, one sentence after the other."""
    facts, chosen = found.facts, found.row(found.clusters)
    yield (f"Projection errors are means over {facts['samples']} cheap samples, each held out once in {facts['folds']} "
           f"folds, with {_many(facts['compared_at'], 'mode')} and at most {facts['budget']} full-order runs in all.")
    yield _single(found) if found.clusters == 1 else _several(chosen)
    yield from _tolerance(found, chosen)
    if found.clusters > 1 and chosen.break_even_accuracy is not None:
        yield _accuracy(chosen)
    yield from _queries(found, chosen)
    yield _size(found, chosen)
    yield from (f"{row.clusters} clusters are out of the question: {row.refused}." for row in found.rows if row.refused)
    yield from _angle(facts["angle"], found.clusters)


def _single(found: Assessment) -> str:
    tried = [row for row in found.rows if row.clusters > 1 and row.refused is None]
    if len(found.rows) == 1:
        return "One global model: no other number of clusters was tried."
    if not tried:
        return "Do not cluster: no clustering could be fed with full-order runs."
    if not found.row(1).right_error:
        return "Do not cluster: one global model spans all samples."
    best = max(tried, key=lambda row: row.expected_gain or 0.0)
    low, high = best.gain_interval or [0.0, 0.0]
    told = (f"the best dictionary, of {best.clusters} models, would have {_factor(best.expected_gain)} of the error of "
            f"one global model ({_share(best.expected_error)} against {_share(best.global_error)})")
    if found.facts["how"] == "queries":
        return (f"Do not cluster: one global model meets the tolerance too, and a dictionary would not pay for itself "
                f"within the planned queries; {told}.")
    if low <= 1.0:
        return (f"Do not cluster: {told}, and over the folds its gain lies between {_number(low)} and {_number(high)}, "
                "which proves none.")
    return f"Do not cluster: {told}, which is not worth more than one model."


def _several(row: Row) -> str:
    low, high = row.gain_interval or [0.0, 0.0]
    return (f"Build {row.clusters} local models: with a recommender that is right in {_percent(row.accuracy)} of the "
            f"cases the error is {_share(row.expected_error)}, against {_share(row.global_error)} of one global model "
            f"of the same size; the gain of {_number(row.expected_gain)} lies between {_number(low)} and "
            f"{_number(high)} over the folds.")


def _tolerance(found: Assessment, row: Row) -> Iterator[str]:
    tolerance, single = found.facts["tolerance"], found.row(1)
    if tolerance is None:
        return
    if row.modes_needed is None:
        yield (f"The tolerance {tolerance:.3g} is not met by the full-order runs that the budget allows; more runs are "
               f"needed than {row.runs}.")
        return
    beside = "" if row.clusters == 1 else (
        "; one global model does not meet it with this budget" if single.modes_needed is None else
        f"; one global model needs {single.modes_needed}")
    yield f"The tolerance {tolerance:.3g} is met with {_many(row.modes_needed, 'mode')} a model{beside}."


def _accuracy(row: Row) -> str:
    a, needed = row.accuracy or 0.0, row.break_even_accuracy or 0.0
    told = f"The right model has an error of {_share(row.right_error)} and a wrong one {_share(row.wrong_error)}"
    if needed <= 0.0:
        return f"{told}, which is no worse than one global model; the recommender is right in {_percent(a)} of all."
    return (f"{told}, so that the recommender must be right in more than {_percent(needed)} of the cases; it is in "
            f"{_percent(a)}.")


def _queries(found: Assessment, row: Row) -> Iterator[str]:
    if found.clusters == 1 or row.offline_seconds is None:
        return
    planned, many = found.facts["queries"], row.break_even_queries
    if many is None:
        yield ("Online the dictionary is not faster than one global model of the size that was compared: it pays by "
               "its error, not by its time.")
        return
    beside = "" if planned is None else f", and {planned} are planned"
    yield f"Its offline part has paid for itself after {many:.0f} queries{beside}."


def _size(found: Assessment, row: Row) -> str:
    if found.clusters == 1:
        return f"The model is made of {_many(found.snapshots, 'full-order run')} and has {_many(found.modes, 'mode')}."
    fewer = "" if found.snapshots >= row.snapshots else f"; the {row.snapshots} that the budget gives are no better"
    return (f"Each model has {_many(found.modes, 'mode')} and is made of at most "
            f"{_many(found.snapshots, 'full-order run')}{fewer}.")


def _angle(angle: dict[str, Any], clusters: int) -> Iterator[str]:
    """Whether it was worth while to cluster by the angle."""
    if not angle:
        return
    K = str(clusters) if str(clusters) in angle else min(angle, key=lambda key: angle[key]["ratio"])
    row = angle[K]
    told = f"right-cluster error {_share(row['angle_error'])} against {_share(row['euclidean_error'])} for {K} clusters"
    if not row["gains"] and row["ratio"] < _SCATTER:
        yield f"What the angle gains over the Euclidean distance is within the scatter over the folds: {told}."
    elif not row["gains"]:
        yield f"The angle gains nothing over the Euclidean distance here: {told}."
    elif clusters > 1:
        yield f"Clusters by angle beat those by the Euclidean distance: {told}."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _factor(gain: float | None) -> str:
    if not gain:
        return "none"
    return f"{100 / gain:.0f} %" if gain > 0.1 else f"{1.0 / gain:.3g} times"
