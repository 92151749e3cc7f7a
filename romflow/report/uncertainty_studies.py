"""Further parts of a study of uncertainty: budgets of several models, rare events, split errors, posteriors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    canvas,
    label_decades,
    plot,
    vector,
)
from romflow.report.tables import Block, Table
from romflow.report.uncertainty_tables import HEAD, NUMERIC, error_note, estimate_row, likeness, with_interval
from romflow.report.words import MISSING, number, seconds

__all__ = ["budget_picture", "budget_table", "control_table", "distance_table",
           "levels_picture", "levels_table", "rare_table"]

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)


def budget_picture(found: Mapping[str, Any]) -> Picture | None:
    """Shares of the models in time and in what is left of the variance."""
    budget: Mapping[str, Any] = found.get("budget") or {}
    if not budget:
        return None
    figure = canvas(5.2, 2.6)
    axes = figure.add_subplot()
    left = np.zeros(2)
    for i, (name, share) in enumerate(budget.items()):
        widths = np.array([share["share_of_seconds"], share["share_of_variance"]], dtype=float)
        axes.barh([0, 1], widths, left=left, height=0.55, color=_COLOURS[i % len(_COLOURS)], label=name)
        left += widths
    axes.set_yticks([0, 1], ["time", "variance"])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("share")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    text = "; ".join(f"{name}: {number(share['evaluations'])} evaluations in {seconds(share['seconds'])}"
                     for name, share in budget.items())
    return vector(figure, "How the budget was spent", text,
                  f"{text}. The share in the variance is what more evaluations of that model would lower.")


def budget_table(found: Mapping[str, Any]) -> Table | None:
    """Evaluations, seconds and correlation of each model."""
    budget: Mapping[str, Any] = found.get("budget") or {}
    rows: list[list[str | Block]] = [
        [name, number(share["evaluations"]), number(share["failed"]), seconds(share["seconds"]),
         _correlations(found, name)]
        for name, share in budget.items()]
    head = ("Model", "Evaluations", "Failed", "Time", "Correlation with the full order")
    return Table(rows, head, "Models", " ".join(found.get("notes") or []), frozenset({1, 2, 3}),
                 wide=False) if rows else None


def distance_table(found: Mapping[str, Any]) -> Table | None:
    """How far the reduced model's outputs are from having the full-order model's distribution."""
    rows: list[list[str | Block]] = [
        [name, number(one["relative"], 2), *with_interval(one["distance"]), number(one["p_value"], 2)]
        for name, one in (found.get("energy_distance") or {}).items()]
    head = ("Output", "Relative", "Distance", "Low", "High", "p-value")
    note = ("Energy distance of full-order and reduced outputs at the same draws: 0 where their distributions are one. "
            "Relative: at most 1. p-value: how likely such a distance is if they were one.")
    return Table(rows, head, "Distributions of the two models", note, frozenset({1, 2, 3, 4, 5}),
                 wide=False) if rows else None


def _correlations(found: Mapping[str, Any], model: str) -> str:
    outputs: Mapping[str, float] = (found.get("correlation") or {}).get(model) or {}
    return ", ".join(f"{name} {likeness(value)}" for name, value in outputs.items())


def control_table(found: Mapping[str, Any]) -> Table | None:
    """Statistics of the full-order outputs, which no error of the reduced model is part of, and what they gained."""
    rows: list[list[str | Block]] = []
    for name, one in (found.get("outputs") or {}).items():
        gain = one.get("gain") or {}
        for key, words in (("mean", "mean"), ("variance", "variance"), ("std", "standard deviation")):
            rows.append([f"{name}: {words}", *with_interval(one[key]), _gain(gain.get(key))])
        gains = gain.get("exceedance") or []
        for i, event in enumerate(one.get("exceedance") or []):
            rows.append([f"{name}: P(> {number(event['threshold'])})", *with_interval(event),
                         _gain(gains[i] if i < len(gains) else None)])
    note = ("Free of the reduced model's error. Gain: variance of plain Monte Carlo with the full-order model at equal "
            "cost, over that of this value.")
    return Table(rows, ("", "Value", "Low", "High", "Gain"), "Answers of the full-order model", note,
                 frozenset({1, 2, 3, 4}), wide=False) if rows else None


def _gain(value: float | None) -> str:
    return MISSING if value is None else number(value)


def rare_table(found: Mapping[str, Any]) -> Table | None:
    """Exceedance probabilities by importance sampling."""
    events = [(name, event) for name, one in (found.get("outputs") or {}).items() for event in one["exceedance"]]
    rows = [[*estimate_row(f"P({name} > {number(event['threshold'])})", event), number(event.get("seen")),
             number(event.get("effective"))] for name, event in events]
    words = {"tolerance": "the tolerance was reached", "size": "all draws were used"}
    note = (f"{number(found.get('evaluations'))} draws in {number(len(found.get('rounds') or []))} rounds; "
            f"{words.get(str(found.get('stopped')), 'stopped')}. {error_note(event for _, event in events)} "
            f"{' '.join(found.get('notes') or [])}").strip()
    head = (*HEAD, "Draws beyond", "Effective draws")
    return Table(rows, head, "Rare events by importance sampling", note, NUMERIC | {5, 6}) if rows else None


def levels_table(found: Mapping[str, Any]) -> Table | None:
    """The mean and its three errors, an output after the other."""
    rows: list[list[str | Block]] = []
    for name, one in (found.get("outputs") or {}).items():
        rows += [[f"{name}: {words}", *with_interval(one[key])] for key, words in _PARTS.items()]
        rates = [f"truncation falls like s^-{number(one['truncation_rate'])}" if one.get("truncation_rate") else "",
                 f"the mesh like h^{number(one['order'])}" if one.get("order") else ""]
        if any(rates):
            rows.append([f"{name}: measured rates", ", ".join(filter(None, rates)), "", ""])
    if not rows:
        return None
    s, h = found["dimensions"], found["cells"]
    note = (f"{number(s[1])} of {number(s[2])} inputs, meshes of {number(h[0])}, {number(h[1])} and {number(h[2])} "
            f"cells, {number(found['points'])} points with {number(found['repetitions'])} random shifts, "
            f"{number(found['evaluations'])} solves, {number(found['failed'])} of them failed. Estimates, no bounds.")
    return Table(rows, ("", "Value", "Low", "High"), "The error of the mean, split", note, frozenset({1, 2, 3}))


_PARTS = {"mean": "mean", "truncation": "dimension truncation", "discretisation": "finite elements",
          "cubature": "cubature (standard error)", "total": "all three"}


def levels_picture(name: str, found: Mapping[str, Any]) -> Picture | None:
    """The error of the cubature against the number of points, beside the other two."""
    steps = [step for step in found.get("convergence") or [] if step["error"]]
    if len(steps) < 2:
        return None
    figure, axes = plot(5.2, 3.4)
    axes.loglog([step["points"] for step in steps], [step["error"] for step in steps], "o-", color=BLUE,
                label="cubature")
    for key, colour, line in (("truncation", ORANGE, "--"), ("discretisation", VERMILLION, ":")):
        size = abs(found[key]["value"] or 0.0)
        if size > 0.0:
            axes.axhline(size, color=colour, linestyle=line, label=_PARTS[key])
    axes.set(xlabel="points of each shifted rule", ylabel=f"error of the mean of {name}")
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    axes.legend()
    text = (f"{name}: truncation {number(found['truncation']['value'])}, finite elements "
            f"{number(found['discretisation']['value'])}, cubature {number(found['cubature']['value'])}.")
    return vector(figure, f"Three errors of the mean of {name}", text, text)
