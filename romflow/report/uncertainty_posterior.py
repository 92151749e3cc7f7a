"""The posterior of calibrated inputs: its densities, its numbers, and how it fits the measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.report.style import BLUE, SKY, Picture, panels, vector
from romflow.report.tables import Block, Table
from romflow.report.uncertainty_tables import HEAD, NUMERIC, error_note, estimate_row
from romflow.report.words import MISSING, number, plural

__all__ = ["column_table", "fit_table", "posterior_picture"]

MAX_COLUMNS, _ACROSS = 8, 4


def posterior_picture(found: Mapping[str, Any]) -> Picture | None:
    """Histograms of the draws of each input, with mean and the outer quantiles."""
    columns = list((found.get("columns") or {}).items())[:MAX_COLUMNS]
    if not columns:
        return None
    across = min(_ACROSS, len(columns))
    figure, axes = panels(-(-len(columns) // across), across, 2.0)
    for place, (name, one) in zip(axes, columns, strict=False):
        x, heights = (np.asarray(one["density"][key], dtype=float) for key in ("x", "density"))
        heights = heights / max(heights.max(), np.finfo(float).tiny)
        place.fill_between(x, heights, step="mid", color=SKY, alpha=0.6, linewidth=0)
        place.axvline(one["mean"]["value"], color=BLUE)
        for quantile in (one["quantiles"] or [])[:1] + (one["quantiles"] or [])[1:][-1:]:
            place.axvline(quantile["value"], color=BLUE, linestyle="--", linewidth=0.9)
        place.set_xlabel(name)
    for place in axes[len(columns):]:
        place.set_axis_off()
    axes[0].set_ylabel("density / largest")
    text = "; ".join(f"{name} {number(one['mean']['value'])} ± {number(one['std']['value'])}" for name, one in columns)
    return vector(figure, "Posterior of the inputs", text,
                  f"{text} (mean and standard deviation). Dashed: outer quantiles.", wide=True)


def column_table(found: Mapping[str, Any]) -> Table | None:
    """Means, deviations and quantiles of the inputs, and whether the chains agree."""
    columns: Mapping[str, Any] = found.get("columns") or {}
    if not columns:
        return None
    rows: list[list[str | Block]] = []
    for name, one in columns.items():
        rows += [estimate_row(f"{name}: mean", one["mean"]), estimate_row(f"{name}: standard deviation", one["std"])]
        rows += [estimate_row(f"{name}: {number(100 * quantile['level'])} % quantile", quantile)
                 for quantile in one["quantiles"]]
    note = f"{_chains(found)} {error_note(one['mean'] for one in columns.values())}"
    return Table(rows, HEAD, "Posterior of the inputs", note, NUMERIC)


def _chains(found: Mapping[str, Any]) -> str:
    ones = list(found["columns"].values())
    worst = max((one["r_hat"] or np.nan for one in ones), default=np.nan)
    least = min((one["effective_size"] or 0.0 for one in ones), default=0.0)
    words = (f"{plural(found['size'], 'draw')} of {plural(found['chains'], 'chain')}; largest R-hat "
             f"{number(worst, 4)}, least effective size {number(least)}. ")
    words += "" if found.get("mixed") else "The chains do not agree yet: take more draws. "
    solves = found.get("full_order_solves")
    return (words + (f"The full-order model decided {plural(solves, 'time')}." if solves else "")).strip()


def fit_table(found: Mapping[str, Any]) -> Table | None:
    """Measurements beside what the posterior predicts for them."""
    rows: list[list[str | Block]] = [
        [str(one["output"]), MISSING if one["time"] is None else number(one["time"]), number(one["value"], 5),
         number(one["std"]), number(one["mean"], 5), number(one["low"], 5), number(one["high"], 5)]
        for one in found.get("fit") or []]
    head = ("Output", "Time", "Measured", "Its deviation", "Predicted", "Low", "High")
    return Table(rows, head, "Fit to the measurements", numeric=frozenset({1, 2, 3, 4, 5, 6})) if rows else None
