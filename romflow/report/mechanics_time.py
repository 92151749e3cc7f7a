"""Curves of mechanics: errors and indicator over time, the calibration of the indicator, adaptive runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from romflow.materials.protocol import PLASTIC
from romflow.report.data import EvolutionComparison
from romflow.report.evolution import outputs_over_time
from romflow.report.mechanics_data import FIELDS, AdaptiveRuns, AdaptiveSteps, MechanicsHistory
from romflow.report.style import (
    ESTIMATE,
    GREEN,
    GREY,
    LIMIT,
    MANY_POINTS,
    ORANGE,
    PURPLE,
    SKY,
    TRUTH,
    Picture,
    label_decades,
    plot,
    vector,
)
from romflow.report.words import field_words, number, plural
from romflow.rom.mechanics.calibration import Calibration

Array = NDArray[np.float64]

MAX_RUNS = 6
_STYLES = {"displacement": (GREEN, "-."), "mises": (PURPLE, "--"), "plastic": (TRUTH, "-")}


def history_lead(run: MechanicsHistory, columns: Sequence[str]) -> str:
    """Which run is shown, and what was trained of it."""
    where = ", ".join(f"{name} = {number(value)}" for name, value in zip(columns, run.mu, strict=True))
    where = where or "the only parameter"
    known = any(run.relative(field) is not None for field in FIELDS)
    words = (f"The validation run with the largest error, at {where}." if known
             else f"The reduced model's run at {where}, the centre of the parameter space; its truth was not solved.")
    if run.trained_until is None:
        return words
    return words + (f" Snapshots end at t = {number(float(run.trained_until[0]))}; what follows is beyond the training,"
                    f" up to t = {number(float(run.times[-1]))}.")


def errors_over_time(run: MechanicsHistory) -> Picture | None:
    """True errors of the fields, each relative to the largest norm of its true field in the run."""
    curves = {field: run.relative(field, whole=True) for field in FIELDS}
    shown = {field: _positive(curve) for field, curve in curves.items() if curve is not None}
    shown = {field: curve for field, curve in shown.items() if np.isfinite(curve).any()}
    if not shown:
        return None
    figure, axes = plot(5.2, 4.0)
    for field, curve in shown.items():
        colour, line = _STYLES[field]
        axes.semilogy(run.times, curve, line, color=colour, linewidth=1.3, label=field_words(field))
    _end_of_training(axes, run)
    axes.set(xlabel="time t", ylabel="relative true error")
    label_decades(axes.yaxis)
    axes.legend(loc="best")
    largest = "; ".join(f"{field_words(field)} {number(float(np.nanmax(curve)))}" for field, curve in shown.items())
    text = f"Largest: {largest}."
    return vector(figure, "True errors over time", text,
                  text + " L2 over the body, relative to the largest norm of the field in the run.")


def indicator_over_time(run: MechanicsHistory, measured: str) -> Picture | None:
    """Indicator, residual and the true error that the indicator is of, each relative to its own time."""
    residual = _positive(run.residual)
    # Where there is no residual the indicator is but its floor.
    indicator = None if run.indicator is None else np.where(np.isfinite(residual), _positive(run.indicator), np.nan)
    truth = run.relative("plastic" if measured == PLASTIC else "mises")
    truth = None if truth is None else _positive(truth)
    if not np.isfinite(residual).any() and (indicator is None or not np.isfinite(indicator).any()):
        return None
    figure, axes = plot(5.2, 4.0)
    if truth is not None:
        axes.semilogy(run.times, truth, "-", color=TRUTH, label="true error")
    if indicator is not None:
        axes.semilogy(run.times, indicator, "--", color=ESTIMATE, label="indicator")
    axes.semilogy(run.times, residual, ":", color=GREY, linewidth=1.2, label="residual of the gappy fit")
    _end_of_training(axes, run)
    axes.set(xlabel="time t", ylabel=f"relative, {field_words(measured)}")
    label_decades(axes.yaxis)
    axes.legend(loc="best")
    text = _indicated(indicator, truth)
    return vector(figure, "Indicator over time", text,
                  text + f" Relative to the {field_words(measured)} of the same time, where there is some.")


def outputs_in_time(run: MechanicsHistory, names: Sequence[str]) -> Picture | None:
    """Outputs of truth and reduced model over time."""
    if run.outputs_reduced is None:
        return None
    series = EvolutionComparison(run.mu, run.times, np.full(len(run.times), np.nan), outputs_true=run.outputs_true,
                                 outputs_reduced=run.outputs_reduced)
    end = None if run.trained_until is None else float(run.trained_until[0])
    return outputs_over_time(series, names, None, end)


def calibration_picture(calibration: Calibration, measured: str) -> Picture:
    """The pairs of residual and error of degraded models, the line through them, and the indicator above it."""
    figure, axes = plot(5.2, 4.0)
    many = len(calibration.pairs) > MANY_POINTS
    axes.loglog(*calibration.pairs.T, "o", color=SKY, markersize=3, alpha=0.6, markeredgewidth=0, rasterized=many,
                label="degraded models, one point a time")
    if len(calibration.observed):
        axes.loglog(*calibration.observed.T, "D", color=ORANGE, markersize=5, label="seen in full-order steps")
    both = np.concatenate([calibration.pairs, calibration.observed])[:, 0]
    r = np.geomspace(float(both.min()), 3.0 * float(both.max()), 60)
    a, c, s = calibration.line
    axes.loglog(r, 10**a * r**c, "-", color=TRUTH, linewidth=1.2, label="line")
    axes.loglog(r, calibration.indicator(r), "--", color=ESTIMATE,
                label=f"indicator: {plural(calibration.margin, 'standard deviation')} above")
    axes.set(xlabel="residual of the gappy fit", ylabel=f"relative error, {field_words(measured)}")
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    axes.legend(loc="best")
    above = float(np.mean(calibration.pairs[:, 1] <= calibration.indicator(calibration.pairs[:, 0])))
    text = (f"The line is {number(10**a)} r^{number(c)} for a residual r, with a standard deviation of a factor "
            f"{number(10**s)}; {number(100 * above)} % of {plural(len(calibration.pairs), 'pair')} lie below the "
            "indicator.")
    return vector(figure, "Calibration of the indicator", text, text)


def adaptive_picture(runs: AdaptiveRuns, columns: Sequence[str]) -> Picture | None:
    """Indicator and residual of each of at most six runs, with the full-order steps; those with the most first."""
    steps = [runs.of(number_) for number_ in range(len(runs.mu))]
    filled = [j for j, one in enumerate(steps) if len(one.time)]
    if not filled:
        return None
    ranked = sorted(filled, key=lambda j: (-steps[j].full_order_steps, j))
    chosen = sorted(ranked[:MAX_RUNS])
    across = 1 if len(chosen) == 1 else 2
    down = -(-len(chosen) // across)
    height = 0.35 + 2.3 * down
    figure = Figure(figsize=(10.6, height), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, j in zip(grid.flat, chosen, strict=False):
        _draw_adaptive(axes, steps[j], float(runs.tolerance[0]))
        axes.set_title(_named(runs.mu[j], columns))
    for axes in grid.flat[len(chosen):]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(chosen) - across):len(chosen)]:
        axes.set_xlabel("time t")
        axes.xaxis.set_tick_params(labelbottom=True)
    label_decades(grid[0, 0].yaxis)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    taken = sum(one.full_order_steps for one in steps)
    text = f"{plural(len(filled), 'adaptive run')} with {plural(taken, 'full-order step')} in all."
    if len(chosen) < len(filled):
        text += f" The {len(chosen)} with the most full-order steps are shown."
    again = any((one.turn > 0).any() for one in steps)
    turns = " Pale: the run again from the start with the enriched model." if again else ""
    return vector(figure, "Adaptive runs", text, text + " Indicator of each reduced step." + turns, wide=True)


def _draw_adaptive(axes: Axes, one: AdaptiveSteps, tolerance: float) -> None:
    # One curve a label, whatever a run has, so that the legend of the first panel serves all.
    for turn, alpha in ((0, 1.0), (1, 0.45)):
        own = one.turn == turn
        first = turn == 0
        axes.semilogy(one.time[own], _positive(one.residual[own]), ":", color=GREY, linewidth=1.1, alpha=alpha,
                      label="residual of the gappy fit" if first else None)
        axes.semilogy(one.time[own], _positive(one.indicator[own]), "--", color=ESTIMATE, linewidth=1.3, alpha=alpha,
                      label="indicator" if first else None)
        taken = own & (one.triggered > 0)
        place = np.where(np.isfinite(one.indicator[taken]), one.indicator[taken], tolerance)
        axes.semilogy(one.time[taken], place, "o", color=TRUTH, markersize=5, alpha=alpha,
                      label="full-order step" if first else None)
    axes.axhline(tolerance, color=LIMIT, linewidth=1.0, linestyle="-.", label=f"tolerance {number(tolerance)}")


def _named(mu: Array, columns: Sequence[str]) -> str:
    names = ", ".join(f"{name} = {number(value)}" for name, value in list(zip(columns, mu, strict=True))[:3])
    return names + (", ..." if len(mu) > 3 else "")


def _indicated(indicator: Array | None, truth: Array | None) -> str:
    if indicator is None or not np.isfinite(indicator).any():
        return "The model has no calibrated indicator."
    last = np.flatnonzero(np.isfinite(indicator))[-1]
    text = f"The indicator ends at {number(float(indicator[last]))}"
    if truth is None or not np.isfinite(truth[last]):
        return text + "."
    known = np.isfinite(indicator) & np.isfinite(truth)
    below = int(np.sum(indicator[known] < truth[known]))
    return (text + f", the true error at {number(float(truth[last]))}; the indicator was below the true error at "
            f"{below} of {plural(int(known.sum()), 'time')}.")


def _end_of_training(axes: Axes, run: MechanicsHistory) -> None:
    apart = 0.03 * float(np.ptp(run.times))
    axes.set_xlim(float(run.times[0]) - apart, float(run.times[-1]) + apart)
    if run.trained_until is not None:
        axes.axvline(float(run.trained_until[0]), color=LIMIT, linewidth=1.0, linestyle="-.", label="end of training")


def _positive(values: Array) -> Array:
    """For a logarithmic axis: what is rounding beside the largest is left out, as at a start from rest."""
    usable = np.isfinite(values) & (values > 0)
    floor = _ROUNDING * float(values[usable].max(initial=0.0))
    return np.where(usable & (values > floor), values, np.nan)


_ROUNDING = 1e-8
