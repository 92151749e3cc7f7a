"""Pictures of a dictionary of reduced models: angles between samples, errors by clusters, what is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from romflow.report.style import (
    BLUE,
    FIELD_MAP,
    GREEN,
    GREY,
    INK,
    LIGHT,
    LIMIT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    canvas,
    label_decades,
    plot,
    raster,
    vector,
)
from romflow.report.words import number, plural

__all__ = ["confusion_map", "dissimilarity_map", "entry_places", "error_by_clusters", "error_by_modes"]

Array = NDArray[np.float64]

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_MARKS = "osD^vP"
_MOST_SHOWN, _MOST_NUMBERED, _MOST_NODES = 300, 12, 4000


def dissimilarity_map(clustering: Mapping[str, Any]) -> Picture | None:
    """Dissimilarities of all pairs, sorted by cluster: blocks on the diagonal are clusters, dark is alike.

    Of many samples a share is drawn. None without a map, or where it is no square of numbers.
    """
    D = _square(clustering.get("map"))
    labels = np.asarray(clustering.get("map_labels") or [], dtype=np.int64)
    if D is None or len(labels) != len(D):
        return None
    shown = np.linspace(0, len(D) - 1, min(len(D), _MOST_SHOWN)).astype(int)
    D, labels = D[np.ix_(shown, shown)], labels[shown]
    figure = canvas(5.2, 4.2)
    axes = figure.add_subplot()
    axes.grid(visible=False)
    image = axes.imshow(D, cmap=FIELD_MAP, interpolation="nearest", vmin=0.0, vmax=float(D.max()) or 1.0)
    ends = np.flatnonzero(np.diff(labels)) + 0.5
    for end in ends:
        axes.axhline(end, color="white", linewidth=1.2)
        axes.axvline(end, color="white", linewidth=1.2)
    edges = [-0.5, *ends, len(labels) - 0.5]
    names = [str(label) for label in labels[[int(edge + 0.5) for edge in edges[:-1]]]]
    middles = [(low + high) / 2 for low, high in zip(edges[:-1], edges[1:], strict=True)]
    axes.set_xticks(middles, names)
    axes.set_yticks(middles, names)
    axes.set(xlabel="sample, by cluster", ylabel="sample, by cluster")
    name = str(clustering.get("dissimilarity") or "dissimilarity")
    figure.colorbar(image, ax=axes, shrink=0.9).set_label(name)
    inside, between = _means(D, labels)
    words = f"Mean between members of one cluster {number(inside)}, of different clusters {number(between)}."
    drawn = f" {number(len(D))} of {number(len(clustering.get('labels') or labels))} samples."
    picture = raster(figure, "Dissimilarities of the cheap simulations", words,
                     f"{words}{drawn} Dark blocks on the diagonal are simulations that one small space can hold.",
                     maps=(FIELD_MAP,))
    return replace(picture, wide=False)


def error_by_clusters(assessment: Mapping[str, Any]) -> Picture | None:
    """Held-out errors of each number of clusters beside one global model of the same size; None where none is above 0.

    Of samples that are all alike nothing is left.
    """
    rows = [row for row in assessment.get("rows") or [] if row.get("expected_error") is not None]
    K = [row["clusters"] for row in rows]
    curves = (("global_error", "one global model", GREY, "--", "s"),
              ("right_error", "right local model", GREEN, "-", "^"),
              ("expected_error", "with the recommender's accuracy", BLUE, "-", "o"),
              ("wrong_error", "wrong local model", VERMILLION, ":", "v"))
    if not any((row.get(key) or 0.0) > 0.0 for row in rows for key, *_ in curves):
        return None
    figure, axes = plot()
    for key, label, colour, line, mark in curves:
        values = [(k, row[key]) for k, row in zip(K, rows, strict=True) if (row.get(key) or 0.0) > 0.0]
        if values:
            axes.semilogy(*zip(*values, strict=True), line, marker=mark, color=colour, label=label)
    chosen = assessment.get("clusters")
    if chosen is not None and chosen in K:
        axes.axvline(chosen, color=INK, linewidth=1.0, linestyle="-.", label=f"recommended: {chosen}")
    axes.set(xlabel="number of clusters", ylabel="relative projection error, held out")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_decades(axes.yaxis)
    axes.legend()
    words = "; ".join(f"{plural(row['clusters'], 'cluster')}: {number(row['expected_error'])}" for row in rows)
    return vector(figure, "Error by number of clusters", f"Expected errors. {words}.",
                  "All with the same number of modes, at samples that no space was made from.")


def error_by_modes(assessment: Mapping[str, Any]) -> Picture | None:
    """Expected held-out error over the modes of each local model, a curve a number of clusters."""
    curves = {row["clusters"]: _positive(row.get("expected_curve") or []) for row in assessment.get("rows") or []}
    curves = {K: curve for K, curve in curves.items() if np.isfinite(curve).any()}
    if not curves:
        return None
    figure, axes = plot()
    for (K, curve), colour, mark in zip(curves.items(), _COLOURS, _MARKS, strict=False):
        axes.semilogy(np.arange(1, len(curve) + 1), curve, marker=mark, color=colour, markersize=3.0,
                      label=plural(K, "model"))
    tolerance = (assessment.get("facts") or {}).get("tolerance")
    if tolerance:
        axes.axhline(tolerance, color=LIMIT, linestyle="--", linewidth=1.0, label="tolerance")
    axes.set(xlabel="modes of each local model", ylabel="expected relative error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_decades(axes.yaxis)
    axes.legend()
    last = "; ".join(f"{plural(K, 'model')}: {number(np.nanmin(curve))}" for K, curve in curves.items())
    return vector(figure, "Error by modes", f"Least errors. {last}.",
                  "Expected with the accuracy of the recommender; a curve ends with the snapshots of its models.")


def confusion_map(recommender: Mapping[str, Any]) -> Picture | None:
    """Which model was recommended to samples that the recommender had not seen; None for one cluster."""
    counts = _square(recommender.get("confusion"))
    if counts is None or len(counts) < 2:
        return None
    K = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure = canvas(5.2, 3.8)
    axes = figure.add_subplot()
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    if K <= _MOST_NUMBERED:
        for (i, j), count in np.ndenumerate(counts):
            axes.text(j, i, number(count), ha="center", va="center", color="white" if shares[i, j] > 0.6 else INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="recommended cluster", ylabel="own cluster")
    right = float(np.trace(counts) / max(counts.sum(), 1.0))
    words = f"{number(100 * right)} % of {plural(counts.sum(), 'held-out sample')} were sent to their own cluster."
    return vector(figure, "What is recommended", words, f"{words} The diagonal is right; colour is the share of a row.")


def entry_places(points: Array, numbers: Sequence[int], size: int) -> Picture | None:
    """Nodes that the recommender looks at, among those of the mesh; None where its input is no field on them.

    Parameters
    ----------
    points : (nodes, d)
    numbers : sequence of int
        Of the nodes that are looked at.
    size : int
        Of the whole input field.
    """
    chosen = np.asarray(numbers, dtype=np.int64)
    if points.ndim != 2 or points.shape[1] < 2 or size != len(points) or not 0 < len(chosen) < size:
        return None
    wide = np.sort(np.argsort(np.ptp(points, axis=0), kind="stable")[-2:])
    shown = np.linspace(0, size - 1, min(size, _MOST_NODES)).astype(int)
    figure = canvas(5.2, 4.0)
    axes = figure.add_subplot()
    axes.grid(visible=False)
    (x, y), (u, v) = points[np.ix_(shown, wide)].T, points[np.ix_(chosen, wide)].T
    axes.scatter(x, y, s=3.0, color=LIGHT, rasterized=True, label="nodes of the mesh")
    axes.scatter(u, v, s=22.0, color=VERMILLION, marker="D", label="looked at")
    axes.set(xlabel="xyz"[wide[0]], ylabel="xyz"[wide[1]])
    axes.set_aspect("equal", adjustable="datalim")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    words = f"{number(len(chosen))} of {number(size)} nodes, {number(100 * len(chosen) / size, 2)} %, are looked at."
    view = "" if points.shape[1] == 2 else f" Seen along {'xyz'[({0, 1, 2} - set(wide.tolist())).pop()]}."
    return vector(figure, "Nodes that choose the model", words, words + view)


def _positive(values: Sequence[float | None]) -> Array:
    """Values of a logarithmic axis; NaN where there is none."""
    found = np.array(values, dtype=np.float64)
    return np.where(found > 0.0, found, np.nan)


def _square(given: Any) -> Array | None:
    found = np.asarray(given if given is not None else [], dtype=np.float64)
    square = found.ndim == 2 and found.shape[0] == found.shape[1] > 0 and bool(np.isfinite(found).all())
    return found if square else None


def _means(D: Array, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Mean over pairs of one cluster, and of different ones; NaN where there are no such pairs."""
    same = labels[:, None] == labels[None]
    other, inside = ~same, same & ~np.eye(len(D), dtype=bool)
    return (float(D[inside].mean()) if inside.any() else np.nan, float(D[other].mean()) if other.any() else np.nan)
