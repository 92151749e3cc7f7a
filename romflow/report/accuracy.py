"""Figures of the validation: true error against estimate, effectivities, and the error over the parameter space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from romflow.report.data import ErrorTable
from romflow.report.style import (
    ESTIMATE,
    FIELD_MAP,
    GREY,
    INK,
    LIGHT,
    MANY_POINTS,
    SKY,
    TRUTH,
    VERMILLION,
    Picture,
    bins_of,
    canvas,
    label_decades,
    panels,
    plot,
    vector,
)
from romflow.report.words import estimate_noun, number

Array = NDArray[np.float64]

MAX_PANELS = 12


def error_against_estimate(table: ErrorTable, kind: str | None) -> Picture | None:
    """Each validated parameter as a point, with the diagonal on which estimate and true error agree."""
    relative = np.isfinite(table.relative_error).any()
    truth = table.relative_error if relative else table.true_error
    estimate = table.relative_estimate if relative else table.estimate
    if estimate is None:
        return None
    usable = np.isfinite(truth) & np.isfinite(estimate) & (truth > 0) & (estimate > 0)
    if not usable.any():
        return None
    truth, estimate = truth[usable], estimate[usable]
    noun = estimate_noun(kind)
    figure, axes = plot(5.2, 4.0)
    low, high = min(truth.min(), estimate.min()) / 1.5, max(truth.max(), estimate.max()) * 1.5
    axes.fill_between([low, high], [low, high], low, color=LIGHT, alpha=0.6, linewidth=0)
    axes.plot([low, high], [low, high], color=GREY, linewidth=1.0, label=f"{noun} = true error")
    axes.plot(
        truth,
        estimate,
        "o",
        color=TRUTH,
        alpha=0.75,
        markeredgewidth=0,
        label="validation parameter",
        rasterized=len(truth) > MANY_POINTS,
    )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(
        xlabel="relative true error" if relative else "true error", ylabel=f"relative {noun}" if relative else noun
    )
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    axes.legend(loc="upper left")
    below = int(np.sum(estimate < truth))
    where = f"{number(len(truth) - below)} of {number(len(truth))} points lie on or above the diagonal"
    meaning = "the bound holds there" if kind == "bound" else "the true error is not underestimated there"
    return vector(
        figure, f"True error and {noun}", f"{where}: {meaning}.", f"{where}; {meaning}. Shaded: {noun} too small."
    )


def effectivity_histogram(table: ErrorTable, kind: str | None) -> Picture | None:
    """How far the estimate is above the true error."""
    values = table.effectivity[np.isfinite(table.effectivity) & (table.effectivity > 0)]
    if not len(values):
        return None
    noun = estimate_noun(kind)
    low, high = float(values.min()), float(values.max())
    wide = high > 30 * low
    first, last = min(low, 1.0), max(high, 1.0)
    span = np.geomspace if wide else np.linspace
    figure, axes = plot(5.2, 4.0)
    axes.hist(
        values,
        bins=span(first, last * (1 + 1e-9) + (first == last), 1 + bins_of(len(values))).tolist(),
        color=SKY,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.axvline(1.0, color=VERMILLION, linewidth=1.4, label="1: exactly the true error")
    median = float(np.median(values))
    axes.axvline(median, color=INK, linewidth=1.2, linestyle="--", label=f"median {number(median)}")
    if wide:
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set(xlabel=f"effectivity = {noun} / true error", ylabel="validation parameters")
    axes.legend()
    text = f"Effectivities lie between {number(low)} and {number(high)}, with median {number(median)}."
    return vector(figure, "Effectivity", text, text + " 1 is ideal, larger is cautious, below 1 underestimates.")


def error_over_space(
    table: ErrorTable,
    columns: Sequence[str],
    kind: str | None,
    taken: Array | None = None,
    logarithmic: Sequence[str] = (),
) -> Picture | None:
    """The error over the parameter space: a curve (p = 1), a map (p = 2), or one panel a parameter (p > 2).

    Parameters
    ----------
    table : ErrorTable
    columns : p names
    kind : "bound", "indicator" or None
    taken : (k, p) array, optional
        Parameters of the snapshots, drawn as ticks or crosses.
    logarithmic : names
        Parameters with a logarithmic axis.
    """
    relative = np.isfinite(table.relative_error).any()
    error = table.relative_error if relative else table.true_error
    usable = np.isfinite(error) & (error > 0)
    if not usable.any() or table.mu.shape[1] == 0:
        return None
    label = "relative true error" if relative else "true error"
    estimate = table.relative_estimate if relative else table.estimate
    draw: Callable[..., Picture] = {1: _curve, 2: _map}.get(table.mu.shape[1], _panels)
    return draw(
        table.mu, np.where(usable, error, np.nan), estimate, list(columns), kind, taken, set(logarithmic), label
    )


def _curve(
    mu: Array,
    error: Array,
    estimate: Array | None,
    columns: list[str],
    kind: str | None,
    taken: Array | None,
    logarithmic: set[str],
    label: str,
) -> Picture:
    order = np.argsort(mu[:, 0])
    figure = canvas(10.6, 3.4)
    axes = figure.add_subplot()
    axes.semilogy(mu[order, 0], error[order], "o-", markersize=3.5, color=TRUTH, label="true error")
    if estimate is not None and np.any(estimate > 0):
        above = np.where(np.isfinite(estimate) & (estimate > 0), estimate, np.nan)
        axes.semilogy(mu[order, 0], above[order], "s--", markersize=3, color=ESTIMATE, label=estimate_noun(kind))
    if taken is not None and len(taken):
        axes.plot(
            taken[:, 0],
            np.zeros(len(taken)),
            "|",
            markersize=14,
            color=INK,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label="snapshot",
        )
    _scale(axes, columns[0], logarithmic)
    axes.set(xlabel=columns[0], ylabel=label.replace("true ", ""))
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return vector(
        figure,
        "Error over the parameter space",
        _worst(mu, error, columns),
        "True error at the validation parameters.",
        wide=True,
    )


def _map(
    mu: Array,
    error: Array,
    estimate: Array | None,
    columns: list[str],
    kind: str | None,
    taken: Array | None,
    logarithmic: set[str],
    label: str,
) -> Picture:
    order = np.argsort(np.nan_to_num(error))
    low, high = float(np.nanmin(error)), float(np.nanmax(error))
    figure = canvas(10.6, 4.6)
    axes = figure.add_subplot()
    points = axes.scatter(
        mu[order, 0],
        mu[order, 1],
        c=error[order],
        s=46,
        cmap=FIELD_MAP,
        edgecolor="white",
        linewidth=0.4,
        norm=LogNorm(low, high if high > low else 10 * low),
        rasterized=len(error) > MANY_POINTS,
    )
    if taken is not None and len(taken):
        axes.plot(
            taken[:, 0], taken[:, 1], "x", color=INK, markersize=6, markeredgewidth=1.3, label="snapshot", clip_on=False
        )
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    if columns[1] in logarithmic:
        axes.set_yscale("log")
    _scale(axes, columns[0], logarithmic)
    axes.set(xlabel=columns[0], ylabel=columns[1])
    bar = figure.colorbar(points, ax=axes, label=label, pad=0.015)
    label_decades(bar.ax.yaxis)
    return vector(
        figure,
        "Error over the parameter space",
        _worst(mu, error, columns),
        "True error at the validation parameters, one point each.",
        wide=True,
    )


def _panels(
    mu: Array,
    error: Array,
    estimate: Array | None,
    columns: list[str],
    kind: str | None,
    taken: Array | None,
    logarithmic: set[str],
    label: str,
) -> Picture:
    shown = np.arange(mu.shape[1])
    caption = "True error at the validation parameters against each parameter in turn."
    if len(shown) > MAX_PANELS:
        shown = np.sort(np.argsort(-_correlation(mu, error), kind="stable")[:MAX_PANELS])
        caption += f" Of {mu.shape[1]} parameters the {MAX_PANELS} with the strongest rank correlation are shown."
    across = min(len(shown), min((4, 3), key=lambda width: -len(shown) % width))
    down = -(-len(shown) // across)
    figure, grid = panels(down, across, 1.75)
    for axes, j in zip(grid, shown, strict=False):
        axes.semilogy(
            mu[:, j],
            error,
            "o",
            markersize=3.4,
            color=TRUTH,
            alpha=0.7,
            markeredgewidth=0,
            rasterized=len(error) * len(shown) > MANY_POINTS,
        )
        if taken is not None and len(taken):
            axes.plot(
                taken[:, j],
                np.zeros(len(taken)),
                "|",
                markersize=9,
                color=INK,
                alpha=0.8,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
        _scale(axes, columns[j], logarithmic)
        axes.set_xlabel(columns[j])
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    figure.supylabel(label, fontsize=9, x=0.008)
    if taken is not None and len(taken):
        caption += " Ticks on the axis: snapshots."
    return vector(figure, "Error over the parameter space", _worst(mu, error, columns), caption, wide=True)


def _correlation(mu: Array, error: Array) -> Array:
    """Absolute Spearman rank correlation of the error with each parameter, (p,)."""
    keep = np.isfinite(error)
    ranks = np.argsort(np.argsort(mu[keep], axis=0), axis=0).astype(np.float64)
    rank = np.argsort(np.argsort(error[keep])).astype(np.float64)
    ranks -= ranks.mean(axis=0)
    rank -= rank.mean()
    return np.abs(rank @ ranks)


def _scale(axes: Axes, column: str, logarithmic: set[str]) -> None:
    if column in logarithmic:
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    if axes.get_yscale() == "log":
        label_decades(axes.yaxis)


def _worst(mu: Array, error: Array, columns: Sequence[str]) -> str:
    at = int(np.nanargmax(error))
    names = list(zip(columns, mu[at], strict=True))
    where = ", ".join(f"{name} = {number(value)}" for name, value in names[:MAX_PANELS]) + (
        ", ..." if len(names) > MAX_PANELS else ""
    )
    return f"The largest error, {number(float(error[at]))}, is at {where}."
