"""Tables of a study of uncertainty: every number with its statistical interval and the model's own error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from romflow.report.tables import Block, Table
from romflow.report.words import MISSING, number

__all__ = ["HEAD", "NUMERIC", "answer_table", "estimate_row", "index_table"]

_STATISTICS = {"mean": "mean", "std": "standard deviation", "variance": "variance", "skewness": "skewness",
               "kurtosis": "kurtosis"}
#: Columns of a table of estimates, and those of numbers.
HEAD = ("", "Value", "Low", "High", "Error of the model", "Its kind")
NUMERIC = frozenset({1, 2, 3, 4})


def answer_table(name: str, found: Mapping[str, Any], confidence: float) -> Table:
    """Statistics, quantiles and exceedance probabilities of an output."""
    return Table(list(_rows(found)), HEAD, f"Answers for {name}",
                 f"Low and high: {number(100 * confidence)} % interval from the number of draws. The error of the "
                 "model is what the reduced model may add to it, kept apart.", NUMERIC, wide=False)


def _rows(found: Mapping[str, Any]) -> Iterator[list[str | Block]]:
    for key, words in _STATISTICS.items():
        if found.get(key):
            yield estimate_row(words, found[key])
    for quantile in found.get("quantiles") or []:
        yield estimate_row(f"{number(100 * quantile['level'])} % quantile", quantile)
    for event in found.get("exceedance") or []:
        yield estimate_row(f"P(> {number(event['threshold'])})", event)


def index_table(name: str, found: Mapping[str, Any]) -> Table | None:
    """First and total Sobol' indices of an output."""
    rows = [estimate_row(f"{words} {key}", value) for kind, words in (("first_order", "first"), ("total", "total"))
            for key, value in (found.get(kind) or {}).items()]
    if not rows:
        return None
    return Table(rows, HEAD, f"Sobol' indices of {name}", numeric=NUMERIC, wide=False)


def estimate_row(words: str, found: Mapping[str, Any]) -> list[str | Block]:
    """One number as a row: value, interval, the model's error and its kind."""
    return [words, number(found["value"], 5), number(found.get("low"), 5), number(found.get("high"), 5),
            number(found.get("model_error")), str(found.get("model_kind") or MISSING)]
