"""Figures of the offline stage: singular values, and the error against the size of the basis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from romflow.report.style import ESTIMATE, GREEN, GREY, LIMIT, TRUTH, Picture, label_decades, plot, vector
from romflow.report.words import estimate_noun, number

Array = NDArray[np.float64]


def singular_value_decay(values: Array, size: int | None, tolerance: float | None = None) -> Picture | None:
    """Singular values and what the basis leaves out, both relative; None if there is nothing to draw.

    The part left out by r modes is (sum_{i>r} sigma_i^2 / sum_i sigma_i^2)^{1/2}, the relative error of the best
    r-dimensional approximation of the snapshots in the root mean square.
    """
    sigma = np.asarray(values, dtype=np.float64)
    sigma = sigma[np.isfinite(sigma) & (sigma > 0)]
    if not len(sigma):
        return None
    left_out = np.sqrt(np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0) / np.sum(sigma**2))
    figure, axes = plot()
    index = np.arange(1, len(sigma) + 1)
    axes.semilogy(index, sigma / sigma[0], marker="o", color=TRUTH, label="singular value σᵢ / σ₁")
    drawn = left_out[1:-1]
    if len(drawn):
        axes.semilogy(
            index[:-1], drawn, "--", marker="s", markersize=3.5, color=ESTIMATE, label="left out by the first i modes"
        )
    _limit(axes, tolerance)
    if size is not None and 0 < size <= len(sigma):
        axes.axvline(size, color=GREEN, linewidth=1.2, linestyle="-.", label=f"size of the basis: {size}")
    axes.set(xlabel="mode i", ylabel="relative size")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_decades(axes.yaxis)
    axes.legend()
    fall = number(float(sigma[-1] / sigma[0]))
    alt = f"Singular values fall from 1 to {fall} relative to the first over {len(sigma)} modes."
    return vector(figure, "Singular value decay", alt, "How fast the snapshots can be approximated at all.")


def error_against_size(
    history: Sequence[dict[str, Any]], kind: str | None, tolerance: float | None, validation_error: float | None
) -> Picture | None:
    """True error and estimate over the size of the basis, relative where the history has it; None without history.

    `validation_error` is the largest relative true error at the independent parameters, drawn at the final size.
    """
    size = _column(history, "size")
    estimate, truth, relative = _curves(history)
    usable = [curve for curve in (estimate, truth) if np.isfinite(curve).any()]
    if not usable or not np.isfinite(size).any():
        return None
    noun = estimate_noun(kind)
    figure, axes = plot()
    if np.isfinite(truth).any():
        axes.semilogy(size, _positive(truth), "o-", color=TRUTH, label="true error, largest in validation")
    if np.isfinite(estimate).any():
        axes.semilogy(
            size, _positive(estimate), "s--", markersize=3.8, color=ESTIMATE, label=f"{noun}, largest in training"
        )
    if relative:
        _limit(axes, tolerance)
        if validation_error is not None and validation_error > 0 and not np.isfinite(truth).any():
            axes.semilogy(
                [np.nanmax(size)],
                [validation_error],
                "D",
                markersize=7,
                markerfacecolor="none",
                color=GREEN,
                label="true error, largest in validation",
            )
    axes.set(xlabel="size of the basis", ylabel="relative error" if relative else "error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_decades(axes.yaxis)
    axes.legend()
    first, last = _ends(_positive(usable[0]))
    what = noun if usable[0] is estimate else "true error"
    reached = number(float(np.nanmax(size)))
    alt = f"The largest {what} goes from {number(first)} to {number(last)} while the basis grows to {reached}."
    over = " over the training parameters" if usable[0] is estimate else " over the validation parameters"
    caption = f"Largest {what}{over}"
    return vector(figure, "Error against the size of the basis", alt, caption + " at each size of the basis.")


def _curves(history: Sequence[dict[str, Any]]) -> tuple[Array, Array, bool]:
    """Estimate and true error of each row, and whether they are relative: all of one kind, never mixed."""
    relative = _column(history, "max_relative_estimate"), _column(history, "max_relative_true_error")
    absolute = _column(history, "max_estimate"), _column(history, "max_true_error")
    if any(np.isfinite(curve).any() for curve in relative):
        return *relative, True
    return *absolute, False


def _column(history: Sequence[dict[str, Any]], key: str) -> Array:
    return np.array([np.nan if row.get(key) is None else float(row[key]) for row in history], dtype=np.float64)


def _positive(values: Array) -> Array:
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _ends(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite[0]), float(finite[-1])) if len(finite) else (float("nan"), float("nan"))


def _limit(axes: Axes, tolerance: float | None) -> None:
    if tolerance is not None and tolerance > 0:
        axes.axhline(tolerance, color=LIMIT, linewidth=1.0, linestyle=":", label=f"tolerance {number(tolerance)}")
        axes.spines["left"].set_color(GREY)
