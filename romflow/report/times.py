"""Figures of the times: stages of the run, and seconds of each full-order solve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from romflow.report.style import BLUE, SKY, Picture, bins_of, canvas, label_decades, plot, vector
from romflow.report.words import number, seconds


def stage_bars(stages: Mapping[str, float]) -> Picture | None:
    """One bar a stage, in the order in which they ran."""
    spent = {name: float(value) for name, value in stages.items() if value is not None and np.isfinite(value)}
    if not spent:
        return None
    figure = canvas(5.2, max(1.6, 0.7 + 0.34 * len(spent)))
    axes = figure.add_subplot()
    names, values = list(spent), np.array(list(spent.values()))
    bars = axes.barh(np.arange(len(names)), values, color=BLUE, height=0.62)
    axes.bar_label(bars, labels=[seconds(value) for value in values], padding=4, fontsize=8)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values.max() * 1.22, 1e-9))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("wall-clock seconds")
    total = seconds(float(values.sum()))
    slowest = names[int(values.argmax())]
    return vector(figure, "Stages of the run", f"{total} in all; the longest stage is {slowest}.", f"{total} in all.")


def solve_histogram(solve_seconds: NDArray[np.float64]) -> Picture | None:
    """Distribution of the seconds of the full-order solves; None for fewer than two."""
    values = np.asarray(solve_seconds, dtype=np.float64)
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) < 2:
        return None
    low, high, median = float(values.min()), float(values.max()), float(np.median(values))
    wide = high > 30 * low
    edges = 1 + bins_of(len(values))
    bins = np.geomspace(low, high, edges) if wide else np.linspace(low, max(high, low * 1.01), edges)
    figure, axes = plot(5.2, 2.6)
    axes.hist(values, bins=bins.tolist(), color=SKY, edgecolor="white", linewidth=0.6)
    axes.axvline(median, color=BLUE, linestyle="--", linewidth=1.2, label=f"median {seconds(median)}")
    if wide:
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set(xlabel="seconds of one full-order solve", ylabel="solves")
    axes.legend()
    text = (
        f"{number(len(values))} solves took between {seconds(low)} and {seconds(high)}, with median {seconds(median)}."
    )
    return vector(figure, "Full-order solves", text, text)
