"""The section of a model that moves in time: errors and outputs over time, and phase and amplitude of the error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from romflow.report.data import EvolutionComparison
from romflow.report.style import ESTIMATE, LIMIT, SKY, TRUTH, Picture, label_decades, plot, vector
from romflow.report.tables import Table
from romflow.report.words import MISSING, estimate_noun, number, plural

Array = NDArray[np.float64]

MAX_OUTPUTS, MAX_ROWS = 4, 6
_ROUNDING, _LONG_LABEL = 1e-8, 16


def lead(found: EvolutionComparison, columns: Sequence[str], kind: str | None) -> str:
    """Which trajectory is shown, how far it is off at the end, and whether its estimate held at every time."""
    where = ", ".join(f"{name} = {number(value)}" for name, value in zip(columns, found.mu, strict=True))
    noun, relative = estimate_noun(kind), found.relative_error[-1]
    error = f"relative error {number(relative)}" if np.isfinite(relative) else f"error {number(found.true_error[-1])}"
    words = (f"The validation trajectory with the largest error, at {where or 'the only parameter'}: {error} over the "
             "whole time, in the norm of space and time.")
    if found.estimate is None:
        return words
    known = np.isfinite(found.true_error) & np.isfinite(found.estimate) & (found.true_error > 0)
    below = int(np.sum(found.estimate[known] < found.true_error[known]))
    if below:
        return words + f" The {noun} was below the true error at {below} of {plural(int(known.sum()), 'time')}."
    return words + (f" The {noun} was at least the true error at every time." if known.any() else "")


def error_over_time(found: EvolutionComparison, kind: str | None) -> Picture | None:
    """True error and estimate up to each time, over the norm of the whole trajectory where it is known."""
    relative = found.scale is not None
    truth = _above_rounding(found.relative_error if relative else found.true_error)
    estimate = None if found.estimate is None else _above_rounding(
        found.relative_estimate if relative else found.estimate)
    if not np.isfinite(truth).any():
        return None
    if estimate is not None:
        # At the start both are rounding, which would stretch the axis over many decades.
        estimate[:int(np.argmax(np.isfinite(truth)))] = np.nan
    noun = estimate_noun(kind)
    figure, axes = plot(5.2, 4.0)
    axes.semilogy(found.times, truth, "-", color=TRUTH, label="true error")
    if estimate is not None and np.isfinite(estimate).any():
        axes.semilogy(found.times, estimate, "--", color=ESTIMATE, label=noun)
    axes.set(xlabel="time t", ylabel="relative error up to t" if relative else "error up to t")
    label_decades(axes.yaxis)
    axes.legend(loc="lower right")
    last = np.flatnonzero(np.isfinite(truth))[-1]
    error = "relative true error" if relative else "true error"
    text = f"At t = {number(found.times[last])} the {error} is {number(truth[last])}"
    if estimate is not None and np.isfinite(estimate[last]):
        text += f", the {noun} {number(estimate[last])}"
    return vector(figure, "Error over time", text + ".", text + ". Both are norms over space and the time so far.")


def outputs_over_time(found: EvolutionComparison, names: Sequence[str], kind: str | None,
                      trained_until: float | None = None) -> Picture | None:
    """The outputs of the truth and of the reduced model over time, with the band that the estimate leaves to them.

    Where snapshots end before the run does, a line marks the time.
    """
    reduced = found.outputs_reduced
    if reduced is None or not len(reduced):
        return None
    chosen = _chosen(found)
    figure, grid = _stack(len(chosen))
    labels = names if len(names) == len(reduced) else [f"output {i}" for i in range(len(reduced))]
    for axes, i in zip(grid, chosen, strict=True):
        _draw_output(axes, found, i, estimate_noun(kind))
        axes.set_ylabel(_broken(labels[i]))
        if trained_until is not None:
            axes.axvline(trained_until, color=LIMIT, linewidth=1.0, linestyle="-.", label="end of training")
    grid[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    grid[-1].set_xlabel("time t")
    caption = f"{len(chosen)} of {plural(len(reduced), 'output')}, those that are furthest off." \
        if len(chosen) < len(reduced) else ""
    return vector(figure, "Outputs over time", _largest_gap(found, labels), caption)


def diagnosis_tables(found: EvolutionComparison) -> list[Table]:
    """How much of mean square errors at some times is a shift (phase) and how much a wrong strength (amplitude)."""
    reduced = _diagnosis(found.times, found.dispersion, found.dissipation, "Phase and amplitude of the error",
                         "Shares of the mean square error in space: phase (dispersion) is what a shift or a wrong "
                         "shape causes, amplitude (dissipation) a wrong mean or strength. They add up to all of it.")
    steps = _diagnosis(found.times, found.step_dispersion, found.step_dissipation,
                       "The same of the full-order model's time steps",
                       "The full-order model against itself with half the time steps: what its own scheme does to "
                       "phase and amplitude, beside which the reduced model's error stands.")
    return [table for table in (reduced, steps) if table is not None]


def _diagnosis(times: Array, dispersion: Array | None, dissipation: Array | None, title: str,
               note: str) -> Table | None:
    if dispersion is None or dissipation is None:
        return None
    total = dispersion + dissipation
    usable = np.flatnonzero(np.isfinite(total) & (total > 0))
    if not usable.size:
        return None
    shown = np.unique(usable[np.round(np.linspace(0, usable.size - 1, MAX_ROWS)).astype(int)])
    rows = [[number(times[k]), number(np.sqrt(total[k])), _percent(dispersion[k], total[k]),
             _percent(dissipation[k], total[k])] for k in shown]
    whole = total[usable].sum()
    rows.append(["all times", number(np.sqrt(whole / usable.size)), _percent(dispersion[usable].sum(), whole),
                 _percent(dissipation[usable].sum(), whole)])
    head = ("Time", "RMS error", "Phase", "Amplitude")
    return Table(rows, head, title, note, frozenset({0, 1, 2, 3}), wide=False)


def _draw_output(axes: Axes, found: EvolutionComparison, i: int, noun: str) -> None:
    if found.outputs_reduced is None:
        return
    reduced = found.outputs_reduced[i]
    if found.outputs_true is not None:
        axes.plot(found.times, found.outputs_true[i], "-", color=TRUTH, label="full-order model")
    axes.plot(found.times, reduced, "--", color=ESTIMATE, label="reduced model")
    low, high = axes.get_ylim()
    if found.output_estimate is None or not np.isfinite(found.output_estimate[i]).any():
        return
    half = np.where(np.isfinite(found.output_estimate[i]), found.output_estimate[i], np.nan)
    axes.fill_between(found.times, reduced - half, reduced + half, color=SKY, alpha=0.3, linewidth=0, label=noun)
    # A band much wider than the curves would flatten them.
    room = high - low
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))


def _chosen(found: EvolutionComparison) -> list[int]:
    """At most four outputs, in their order: those with the largest gap for their size."""
    reduced = found.outputs_reduced
    count = 0 if reduced is None else len(reduced)
    if count <= MAX_OUTPUTS or reduced is None or found.outputs_true is None:
        return list(range(min(count, MAX_OUTPUTS)))
    gaps = np.nan_to_num(np.abs(found.outputs_true - reduced)).max(axis=1)
    sizes = np.nan_to_num(np.abs(found.outputs_true)).max(axis=1)
    ranked = np.argsort(-gaps / np.where(sizes > 0, sizes, 1.0), kind="stable")
    return sorted(int(i) for i in ranked[:MAX_OUTPUTS])


def _stack(count: int) -> tuple[Figure, list[Axes]]:
    """Axes one below the other with one time axis."""
    height = max(4.0, 1.5 * count + 0.9)
    figure = Figure(figsize=(5.2, height))
    grid = figure.subplots(count, 1, sharex=True, squeeze=False,
                           gridspec_kw={"left": 0.15, "right": 0.97, "bottom": 0.5 / height, "top": 1 - 0.36 / height,
                                        "hspace": 0.18})
    return figure, list(grid[:, 0])


def _largest_gap(found: EvolutionComparison, labels: Sequence[str]) -> str:
    if found.outputs_true is None or found.outputs_reduced is None:
        return "Outputs of the reduced model over time."
    gaps = np.abs(found.outputs_true - found.outputs_reduced)
    if not np.isfinite(gaps).any():
        return "Outputs of the reduced model over time."
    i, k = np.unravel_index(int(np.nanargmax(gaps)), gaps.shape)
    return (f"The outputs differ by at most {number(float(gaps[i, k]))}, which {labels[int(i)]} does at "
            f"t = {number(found.times[k])}.")


def _broken(label: str) -> str:
    """A long name on two lines, broken at the underscore or space that is nearest to its middle."""
    breaks = [k for k, letter in enumerate(label) if letter in "_ "]
    if len(label) <= _LONG_LABEL or not breaks:
        return label
    at = min(breaks, key=lambda k: abs(k - len(label) // 2))
    return f"{label[:at + 1]}\n{label[at + 1:]}"


def _percent(part: float, whole: float) -> str:
    return f"{number(100 * part / whole)} %" if whole > 0 else MISSING


def _above_rounding(values: Array) -> Array:
    """Values for a logarithmic axis: a state at rest has an error of rounding, which would flatten all the others."""
    usable = np.isfinite(values) & (values > 0)
    return np.where(usable & (values > _ROUNDING * values[usable].max(initial=0.0)), values, np.nan)
