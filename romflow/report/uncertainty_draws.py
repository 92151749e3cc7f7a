"""Tables of what became of the draws, of resampled intervals, and of the reduced model's bias on few solves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from romflow.report.tables import Table
from romflow.report.uncertainty_tables import with_interval
from romflow.report.words import number, plural, seconds

__all__ = ["bias_table", "bootstrap_table", "chain_table"]

_ENDS = ("", "Value", "Low", "High")
_NUMERIC = frozenset({1, 2, 3})
_CHAIN = {"recommended": "the recommended model", "second": "the model of the second cluster",
          "enriched": "enriched by full-order steps", "refused": "refused"}


def chain_table(answers: Mapping[str, Any]) -> Table | None:
    """Shares of the draws by who answered them; nothing where one model answers all."""
    found = answers.get("draws") or {}
    if not found or found["recommended"] == 1.0:
        return None
    rows = [[words, f"{number(100 * found[key])} %", number(round(found[key] * found["draws"]))]
            for key, words in _CHAIN.items()]
    steps = found["full_order_steps"]
    note = f"{plural(steps, 'full-order step')} in all. " if steps else ""
    return Table(rows, ("", "Share", "Draws"), "Who answered the draws",
                 f"{note}{seconds(found['processor_seconds'])} of processor time. Refused draws are left out of all "
                 "statistics.", frozenset({1, 2}), wide=False)


def bootstrap_table(answers: Mapping[str, Any], name: str) -> Table | None:
    """Intervals of resampled draws of one output."""
    found = answers.get("bootstrap") or {}
    one = (found.get("outputs") or {}).get(name)
    if one is None:
        return None
    rows = [["mean", *with_interval(one["mean"])], ["standard deviation", *with_interval(one["std"])]]
    rows += [[f"{number(100 * found['level'])} % quantile", *with_interval(found)] for found in one["quantiles"]]
    rows += [[f"P(> {number(found['threshold'])})", *with_interval(found)] for found in one["exceedance"]]
    return Table(rows, _ENDS, f"Bootstrap of {name}",
                 f"{number(100 * found['confidence'])} % interval from {number(found['resamples'])} resamples of "
                 f"{number(one['size'])} draws. The error of the reduced model is not in it.", _NUMERIC, wide=False)


def bias_table(control: Mapping[str, Any]) -> Table | None:
    """The reduced model's bias on the full-order solves, and what the draws give without it."""
    found = control.get("bias") or {}
    outputs = found.get("outputs") or {}
    if not outputs:
        return None
    rows = [[f"{name}: {words}", *with_interval(one[key])] for name, one in outputs.items()
            for key, words in _BIAS.items() if one.get(key) is not None]
    pairs = next(iter(outputs.values()))["size"]
    corrected = any(one.get("corrected_mean") for one in outputs.values())
    note = (f"Full-order output less that of the reduced model, on {plural(pairs, 'full-order solve')}; "
            f"{number(100 * found['confidence'])} % interval from {number(found['resamples'])} resamples.")
    note += " Without bias: the study's draws, corrected by it." if corrected else ""
    return Table(rows, _ENDS, "Bias of the reduced model", note, _NUMERIC, wide=False)


_BIAS = {"mean": "bias of the mean", "std": "bias of the standard deviation", "corrected_mean": "mean without bias",
         "corrected_std": "standard deviation without bias"}
