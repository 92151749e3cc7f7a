"""Tables of a dictionary of reduced models: what each number of clusters gains, who recommends, the local models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from romflow.report.tables import Table, facts_table
from romflow.report.words import MISSING, number, seconds

__all__ = ["angle_table", "gain_table", "model_table", "recommender_table"]

_MOST_COLUMNS = 6


def gain_table(assessment: Mapping[str, Any]) -> Table | None:
    """Gain, break-even accuracy and break-even number of queries of each number of clusters."""
    chosen = assessment.get("clusters")
    rows = [_gain_row(row, row["clusters"] == chosen) for row in assessment.get("rows") or []]
    head = ("Clusters", "Full-order runs", "Error", "Gain", "90 % interval", "Accuracy", "Break-even accuracy",
            "Offline", "Online", "Break-even queries")
    refused = [f"{row['clusters']}: {row['refused']}" for row in assessment.get("rows") or [] if row.get("refused")]
    note = ("Error: expected with that accuracy of the recommender. Gain: that of one global model of the same size "
            "over it. A dictionary wins where the accuracy is above the break-even one, and has paid for itself after "
            "the break-even number of queries.")
    note += f" Out of the question: {'; '.join(refused)}." if refused else ""
    return Table(rows, head, "Which number of clusters", note, frozenset(range(1, 10))) if rows else None


def _gain_row(row: Mapping[str, Any], chosen: bool) -> list[str]:
    between = row.get("gain_interval")
    return [f"{row['clusters']}{' (recommended)' if chosen else ''}", number(row.get("runs")),
            number(row.get("expected_error")), number(row.get("expected_gain")),
            MISSING if not between else f"{number(between[0])} to {number(between[1])}", _percent(row.get("accuracy")),
            _percent(row.get("break_even_accuracy")), seconds(row.get("offline_seconds")),
            seconds(row.get("online_seconds")), number(row.get("break_even_queries"))]


def angle_table(assessment: Mapping[str, Any]) -> Table | None:
    """Right-cluster errors of clusters by angle and by Euclidean distance."""
    found = (assessment.get("facts") or {}).get("angle") or {}
    rows = [[str(K), number(one["angle_error"]), number(one["euclidean_error"]), number(one["ratio"]),
             f"{number(one['interval'][0])} to {number(one['interval'][1])}", "yes" if one["gains"] else "no"]
            for K, one in found.items()]
    head = ("Clusters", "By angle", "Euclidean", "Ratio", "90 % interval", "The angle gains")
    return Table(rows, head, "Angle against Euclidean distance",
                 "Held-out error of the right local model. Below 1 the angle is better; it gains where the whole "
                 "interval is.", frozenset(range(1, 5))) if rows else None


def recommender_table(recommender: Mapping[str, Any]) -> Table | None:
    """Accuracy on samples that were not seen, and what the recommender looks at."""
    if not recommender:
        return None
    share = recommender.get("share")
    looked = f"{number(recommender.get('entries'))} of {number(recommender.get('size'))}"
    facts = {"classifier": recommender.get("classifier"), "input": recommender.get("input"),
             "entries looked at": looked + (f" ({_percent(share)})" if share is not None else ""),
             "accuracy, held out": _scattered(recommender), "samples": recommender.get("samples"),
             "synthetic samples": recommender.get("synthetic"), "folds": recommender.get("folds")}
    each = recommender.get("per_class") or []
    facts |= {f"accuracy, cluster {k}": _percent(value) for k, value in enumerate(each) if len(each) > 1}
    return facts_table("Recommender", {key: value for key, value in facts.items() if value is not None})


def _scattered(recommender: Mapping[str, Any]) -> str | None:
    value, scatter = recommender.get("accuracy"), recommender.get("accuracy_scatter")
    if value is None:
        return None
    return _percent(value) + (f", scatter over the folds {_percent(scatter)}" if scatter else "")


def model_table(models: Sequence[Mapping[str, Any]], silhouette: Sequence[float], labels: Sequence[int],
                columns: Sequence[str] = ()) -> Table | None:
    """The local models: members, full-order runs, modes, training error, and the parameters of the medoid."""
    if not models:
        return None
    columns = columns if all(len(one.get("medoid") or []) == len(columns) for one in models) else ()
    columns = columns[:_MOST_COLUMNS]
    rows = [[str(one["cluster"]), number(one.get("members")), number(one.get("snapshots")), number(one.get("size")),
             number(one.get("error")), number(_mean(silhouette, labels, one["cluster"]), 2),
             *(number(value) for value in (one.get("medoid") or [])[:len(columns)])] for one in models]
    head = ("Cluster", "Samples", "Full-order runs", "Modes", "Training error", "Silhouette",
            *(f"medoid {name}" for name in columns))
    note = ("Medoid: the simulation that is nearest to all of its cluster. Silhouette: 1 where a cluster is apart from "
            "the others, 0 where it is not, in the mean over its samples.")
    return Table(rows, head, "Local models", note, frozenset(range(1, len(head))))


def _mean(silhouette: Sequence[float], labels: Sequence[int], cluster: int) -> float | None:
    own = [value for value, label in zip(silhouette, labels, strict=False) if label == cluster and value is not None]
    return sum(own) / len(own) if own else None


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{number(100 * value)} %"
