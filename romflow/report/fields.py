"""Pictures of states: basis modes, and a truth beside its reduced solution; on the mesh, or as curves without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from romflow.core.mesh import Mesh
from romflow.report.data import FieldComparison
from romflow.report.frames import WIDTH, add_bar, body_words, draw, frames_of, mappable_of, maps_of, spread
from romflow.report.scene import Scene
from romflow.report.style import ESTIMATE, FIELD_MAP, SIGNED_MAP, TRUTH, Picture, canvas, raster, vector
from romflow.report.words import number

Array = NDArray[np.float64]

MAX_MODES = 6
_CURVE_LIMIT = 800  # blocks of a curve, each drawn by its least and largest value


def basis_modes(basis: Array, mesh: Mesh | None, scene: Scene | None) -> Picture | None:
    """The first columns of the basis (n, r), each scaled to the largest magnitude 1; None for an empty basis."""
    count = min(MAX_MODES, basis.shape[1])
    if not count:
        return None
    shown = np.asarray(basis[:, :count], dtype=np.float64)
    title = "First basis modes" if count > 1 else "First basis mode"
    if mesh is None or scene is None:
        return _curves(title, mesh, shown, [f"mode {i + 1}" for i in range(count)], count)
    nodal = scene.values(mesh.nodal(shown))
    values = nodal[:, 0] if mesh.components == 1 else np.linalg.norm(nodal, axis=1)
    largest = np.abs(values).max(axis=0)
    values = values / np.where(largest > 0, largest, 1.0)
    signed = mesh.components == 1
    norm = Normalize(-1.0, 1.0) if signed else Normalize(0.0, 1.0)
    across = min(count, 3 if count != 4 else 4)
    figure, frames = frames_of(scene, count, across)
    for i, (frame, mappable) in enumerate(zip(frames, [mappable_of(norm, signed)] * count, strict=True)):
        draw(figure, frame, scene, values[:, i], mappable, f"mode {i + 1}")
        add_bar(figure, frame, mappable)
    what = "value" if signed else f"magnitude of the {mesh.components} components"
    alt = f"The first {count} of {basis.shape[1]} basis modes over the mesh, coloured by {what}."
    maps = maps_of(scene, SIGNED_MAP if signed else FIELD_MAP)
    return raster(figure, title, alt, f"Coloured by {what}, each scaled to 1.{body_words(scene)}", maps)


def field_comparison(field: FieldComparison, columns: Sequence[str], mesh: Mesh | None, scene: Scene | None,
                     title: str = "Full-order and reduced solution") -> Picture:
    """Truth, reduced solution and their difference at one parameter."""
    largest = float(np.abs(field.truth - field.reduced).max(initial=0.0))
    scale = float(np.abs(field.truth).max(initial=0.0))
    where = ", ".join(f"{name} = {number(value)}" for name, value in zip(columns, field.mu, strict=False))
    caption = f"At {where}. Largest difference {number(largest)}, largest value {number(scale)}."
    if mesh is None or scene is None or mesh.n != len(field.truth):
        return _comparison_curves(title, field, mesh, caption)
    nodal = scene.values(mesh.nodal(np.stack([field.truth, field.reduced, field.truth - field.reduced], axis=1)))
    single = mesh.components == 1
    values = nodal[:, 0] if single else np.linalg.norm(nodal, axis=1)
    both, apart = values[:, :2], values[:, 2]
    reach = float(np.abs(apart).max(initial=0.0)) or 1.0
    state = mappable_of(spread(float(both.min()), float(both.max())), signed=False)
    error = mappable_of(Normalize(-reach, reach) if single else Normalize(0.0, reach), signed=single)
    figure, frames = frames_of(scene, 3, 3)
    names = ("full-order solution", "reduced solution", "difference" if single else "magnitude of the difference")
    for frame, column, mappable, name in zip(frames, values.T, (state, state, error), names, strict=True):
        draw(figure, frame, scene, column, mappable, name)
        add_bar(figure, frame, mappable)
    what = "" if single else f" Coloured by the magnitude of the {mesh.components} components."
    alt = f"Full-order solution, reduced solution and their difference. {caption}"
    maps = maps_of(scene, *sorted({FIELD_MAP, SIGNED_MAP if single else FIELD_MAP}))
    return raster(figure, title, alt, caption + what + body_words(scene), maps)


def _curves(title: str, mesh: Mesh | None, states: Array, names: list[str], count: int) -> Picture:
    across = min(count, 3)
    down = -(-count // across)
    figure = canvas(WIDTH, 0.4 + 1.9 * down)
    panels = figure.subplots(down, across, squeeze=False, sharex=True)
    for axes, state, name in zip(panels.flat, states.T, names, strict=False):
        _plot_state(axes, mesh, state, TRUTH, "-", None)
        axes.set_title(name)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes in panels[-1]:
        axes.set_xlabel(_axis(mesh))
    return vector(figure, title, f"The first {count} basis modes as curves.", "", wide=True)


def _comparison_curves(title: str, field: FieldComparison, mesh: Mesh | None, caption: str) -> Picture:
    if mesh is not None and mesh.n != len(field.truth):
        mesh = None
    figure = canvas(WIDTH, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _plot_state(above, mesh, field.truth, TRUTH, "-", "full-order solution")
    _plot_state(above, mesh, field.reduced, ESTIMATE, "--", "reduced solution")
    above.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    above.set_ylabel("state")
    _plot_state(below, mesh, field.truth - field.reduced, TRUTH, "-", None)
    below.set(xlabel=_axis(mesh), ylabel="difference")
    return vector(figure, title, f"Full-order and reduced solution as curves. {caption}", caption, wide=True)


def _axis(mesh: Mesh | None) -> str:
    return "x" if _straight(mesh) else "entry of the state"


def _straight(mesh: Mesh | None) -> bool:
    return mesh is not None and mesh.cell_type == "line" and mesh.points.shape[1] == 1


def _plot_state(axes: Axes, mesh: Mesh | None, state: Array, colour: str, line: str, label: str | None) -> None:
    if mesh is not None and _straight(mesh):
        order = np.argsort(mesh.points[:, 0], kind="stable")
        place = mesh.points[order, 0]
        for c, column in enumerate(mesh.nodal(state)[order, :, 0].T):
            axes.plot(*envelope(place, column), line, color=colour, linewidth=1.3, label=label if c == 0 else None)
        return
    axes.plot(*envelope(np.arange(len(state), dtype=np.float64), state), line, color=colour, linewidth=1.3, label=label)


def envelope(place: Array, values: Array, limit: int = _CURVE_LIMIT) -> tuple[Array, Array]:
    """A curve of at most 2 `limit` points that keeps the least and the largest value of each block.

    Examples
    --------
    >>> envelope(np.arange(6.0), np.array([0.0, 5.0, 1.0, 2.0, -1.0, 0.0]), 2)[1].tolist()
    [0.0, 5.0, 2.0, -1.0]
    """
    if len(values) <= 2 * limit:
        return place, values
    chosen: list[int] = []
    for block in np.array_split(np.arange(len(values)), limit):
        ends = {int(block[values[block].argmin()]), int(block[values[block].argmax()])}
        chosen.extend(sorted(ends))
    return place[chosen], values[chosen]
