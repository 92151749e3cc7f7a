"""Tables of a study of uncertainty: every number with its statistical interval and the model's own error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from romflow.report.tables import Block, Table
from romflow.report.words import number, plural

__all__ = ["HEAD", "NUMERIC", "answer_table", "error_note", "estimate_row", "index_table", "likeness",
           "with_interval"]

_STATISTICS = {"mean": "mean", "std": "standard deviation", "variance": "variance", "skewness": "skewness",
               "kurtosis": "kurtosis"}
#: Columns of a table of estimates, and those of numbers.
HEAD = ("", "Value", "Low", "High", "Model's error")
NUMERIC = frozenset({1, 2, 3, 4})


def answer_table(name: str, found: Mapping[str, Any], confidence: float) -> Table:
    """Statistics, quantiles and exceedance probabilities of an output."""
    exact = found["mean"].get("model_error") == 0.0
    note = "No error of a reduced model is in these values." if exact else error_note([found["mean"]])
    return Table(list(_rows(found)), HEAD, f"Answers for {name}",
                 f"Low and high: {number(100 * confidence)} % interval from the number of draws. {note}", NUMERIC,
                 wide=False)


def error_note(estimates: Iterable[Mapping[str, Any]]) -> str:
    """What the column of the model's errors holds."""
    kinds = sorted({str(found["model_kind"]) for found in estimates if found.get("model_kind")})
    if not kinds:
        return "By how much the error of the reduced model changes these values is not known."
    return f"The model's error is apart from it: {_KINDS.get(kinds[-1], kinds[-1])}."


_KINDS = {"bound": "a bound on what the reduced model changes in the value",
          "indicator": "an indicator, no bound, of what the reduced model changes in the value"}


def _rows(found: Mapping[str, Any]) -> Iterator[list[str | Block]]:
    for key, words in _STATISTICS.items():
        if found.get(key):
            yield estimate_row(words, found[key])
    for quantile in found.get("quantiles") or []:
        yield estimate_row(f"{number(100 * quantile['level'])} % quantile", quantile)
    for event in found.get("exceedance") or []:
        yield estimate_row(f"P(> {number(event['threshold'])})", event)


def index_table(name: str, found: Mapping[str, Any]) -> Table | None:
    """First and total Sobol' indices of an output; many inputs side by side, the most important ones alone."""
    first, total = found.get("first_order") or {}, found.get("total") or {}
    columns = list({**first, **total})
    if not columns:
        return None
    note = "Inputs that depend on each other have one index together. " if any("," in key for key in columns) else ""
    title = f"Sobol' indices of {name}"
    if len(columns) <= _FEW:
        kinds = ((first, "first"), (total, "total"))
        rows = [estimate_row(f"{key}: {words}", kind[key]) for key in columns for kind, words in kinds if key in kind]
        return Table(rows, HEAD, title, note.strip(), NUMERIC, wide=False)
    columns.sort(key=lambda key: -float((total or first).get(key, {}).get("value") or 0.0))
    rows = [[*estimate_row(key, first.get(key, {})), *estimate_row(key, total.get(key, {}))[1:]]
            for key in columns[:_MOST_ROWS]]
    left = len(columns) - _MOST_ROWS
    note += f"{plural(left, 'input')} with smaller indices in uq.json." if left > 0 else ""
    head = ("", "First order", *HEAD[2:], "Total", *HEAD[2:])
    return Table(rows, head, title, note.strip(), frozenset(range(1, 9)))


_FEW, _MOST_ROWS = 6, 20


def estimate_row(words: str, found: Mapping[str, Any]) -> list[str | Block]:
    """One number as a row: value, interval and the model's error."""
    return [words, *with_interval(found), number(found.get("model_error"))]


def with_interval(found: Mapping[str, Any]) -> list[str | Block]:
    """Value, low and high with as many digits as tell them apart.

    Examples
    --------
    >>> with_interval({"value": 0.0719911, "low": 0.0719905, "high": 0.0719917})
    ['0.0719911', '0.0719905', '0.0719917']
    >>> with_interval({"value": 0.16734, "low": 0.1, "high": None})
    ['0.16734', '0.1', '–']
    """
    ends = [found.get(key) for key in ("value", "low", "high")]
    return [number(end, _digits(*ends)) for end in ends]


def _digits(value: float | None, low: float | None, high: float | None) -> int:
    if value is None or low is None or high is None or not high > low:
        return _DIGITS
    largest = max(abs(value), abs(low), abs(high))
    return min(max(math.ceil(math.log10(largest / (high - low))) + 2, _DIGITS - 2), _MOST_DIGITS)


_DIGITS, _MOST_DIGITS = 5, 12


def likeness(value: float | None) -> str:
    """A correlation, near 1 by what it lacks.

    Examples
    --------
    >>> likeness(0.98765), likeness(1.0 - 2e-11), likeness(1.0), likeness(None)
    ('0.988', '1 - 2·10⁻¹¹', '1', '–')
    """
    lacking = 0.0 if value is None else 1.0 - value
    return f"1 - {number(lacking, 1)}" if 0.0 < lacking < 1e-3 else number(value)
