"""Pictures of a study of uncertainty: densities, sensitivities, convergence, each with its two errors apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from romflow.report.style import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    Picture,
    canvas,
    label_decades,
    plot,
    vector,
)
from romflow.report.words import number, plural

__all__ = ["convergence", "density", "sensitivity"]

Array = NDArray[np.float64]
Estimate = Mapping[str, Any]

#: Inputs of which indices are drawn; the others are in the table alone.
MAX_INPUTS = 12


def density(name: str, found: Mapping[str, Any]) -> Picture | None:
    """The density of an output with its confidence band, quantiles and thresholds."""
    curve = found.get("density")
    if not curve or len(curve["x"]) < 2:
        return None
    x = np.asarray(curve["x"], dtype=float)
    low, high = _numbers(curve["low"]), _numbers(curve["high"])
    figure, axes = plot(5.2, 3.4)
    axes.fill_between(x, low, high, color=SKY, alpha=0.5, linewidth=0, label="confidence band")
    axes.plot(x, _numbers(curve["density"]), "-", color=BLUE, label="density")
    quantiles = [one["value"] for one in found.get("quantiles") or [] if one["value"] is not None]
    for i, value in enumerate(quantiles):
        axes.axvline(value, color=GREY, linestyle="--", linewidth=0.9, label=None if i else "quantiles")
    far = 0.5 * (x[-1] - x[0])
    near = [event["threshold"] for event in found.get("exceedance") or []
            if x[0] - far <= event["threshold"] <= x[-1] + far]
    for i, threshold in enumerate(near):
        axes.axvline(threshold, color=VERMILLION, linestyle=":", linewidth=1.1, label=None if i else "thresholds")
    axes.set_ylim(bottom=0.0)
    axes.set(xlabel=name, ylabel="probability density")
    axes.legend()
    mean, std = found["mean"]["value"], found["std"]["value"]
    text = f"{name}: mean {number(mean)}, standard deviation {number(std)}."
    return vector(figure, f"Distribution of {name}", text, text)


def sensitivity(name: str, found: Mapping[str, Any]) -> Picture | None:
    """First and total Sobol' indices of an output, the most important input first."""
    total: Mapping[str, Estimate] = found.get("total") or {}
    first: Mapping[str, Estimate] = found.get("first_order") or {}
    names = sorted(total or first, key=lambda key: -_value((total or first)[key]))[:MAX_INPUTS]
    if not names:
        return None
    figure = canvas(5.2, 1.3 + 0.42 * len(names))
    axes = figure.add_subplot()
    rows = np.arange(len(names), dtype=float)
    _bars(axes, rows - 0.18, [first.get(key) for key in names], BLUE, "first order")
    _bars(axes, rows + 0.18, [total.get(key) for key in names], ORANGE, "total")
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.axvline(0.0, color=GREY, linewidth=0.7)
    axes.set_xlabel("share of the variance")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    share = number(_value((total or first)[names[0]]))
    text = f"{names[0]} has the largest share of the variance of {name}: index {share}."
    left = len(total or first) - len(names)
    more = any(_model_error(one) for one in (*first.values(), *total.values()))
    caption = f"{text} Thick lines: statistical interval" + ("; thin ones: with the error of the reduced model."
                                                            if more else ".")
    return vector(figure, f"What {name} depends on", text,
                  caption + (f" {plural(left, 'input')} with smaller indices left out." if left > 0 else ""))


def convergence(name: str, found: Mapping[str, Any], confidence: float) -> Picture | None:
    """Half-widths of the intervals of mean and standard deviation against the number of draws, and the model's part."""
    steps = [step for step in found.get("convergence") or [] if _half(step["mean"]) > 0.0]
    if len(steps) < 2:
        return None
    draws = np.array([step["draws"] for step in steps], dtype=float)
    figure, axes = plot(5.2, 3.4)
    for key, colour, mark in (("mean", BLUE, "o-"), ("std", ORANGE, "s--")):
        halves = [_half(step.get(key)) for step in steps]
        axes.loglog(draws, halves, mark, color=colour, label=f"interval of the {_WORDS[key]}")
        model = _model_error(steps[-1].get(key))
        if model is not None and model > 0.0:
            axes.axhline(model, color=colour, linestyle=":", linewidth=1.2, label=f"model's part of the {_WORDS[key]}")
    axes.set(xlabel="draws", ylabel=f"half-width ({number(100 * confidence)} %)")
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    axes.legend(loc="best")
    text = (f"With {number(draws[-1])} draws the mean of {name} is known to ±{number(_half(steps[-1]['mean']))} "
            "for the model that was evaluated.")
    return vector(figure, f"Convergence of {name}", text, text)


_WORDS = {"mean": "mean", "std": "standard deviation"}


def _bars(axes: Axes, rows: Array, estimates: Sequence[Estimate | None], colour: str, label: str) -> None:
    kept = [(row, found) for row, found in zip(rows, estimates, strict=True) if found is not None and _known(found)]
    for i, (row, found) in enumerate(kept):
        axes.plot([found["low"], found["high"]], [row, row], "-", color=colour, linewidth=4.0, alpha=0.45)
        more = found.get("model_error") or 0.0
        axes.plot([found["low"] - more, found["high"] + more], [row, row], "-", color=colour, linewidth=0.9)
        axes.plot(found["value"], row, "o", color=colour, label=None if i else label)


def _known(found: Estimate) -> bool:
    return all(found.get(key) is not None for key in ("value", "low", "high"))


def _numbers(values: Sequence[Any]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _value(found: Estimate) -> float:
    return float(found["value"]) if found.get("value") is not None else 0.0


def _half(found: Estimate | None) -> float:
    if found is None or found.get("high") is None or found.get("low") is None:
        return float("nan")
    return 0.5 * (float(found["high"]) - float(found["low"]))


def _model_error(found: Estimate | None) -> float | None:
    return None if found is None or found.get("model_error") is None else float(found["model_error"])
