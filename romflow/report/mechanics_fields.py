"""Pictures of bodies: fields on the deformed mesh, truth beside reduced model, and the points where the law is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from romflow.core.mesh import Mesh
from romflow.report.frames import add_bar, body_words, draw, frames_of, mappable_of, maps_of, spread
from romflow.report.mechanics_data import BodyComparison, ReducedPoints
from romflow.report.scene import Scene, on_paper, scene_of
from romflow.report.style import BLUE, GREY, INK, VERMILLION, Picture, canvas, raster
from romflow.report.surface import outline
from romflow.report.words import field_words, number, plural

Array = NDArray[np.float64]

_SHOWN, _LEAST, _MOST = 0.06, 0.02, 0.15  # largest displacement on the paper, as a share of the body's size
_MESH_LIMIT = 20_000  # cells whose edges can be told apart
_PALE = "#eef1f4"


def body_pictures(body: BodyComparison, columns: Sequence[str], mesh: Mesh) -> list[Picture]:
    """A picture a field, on the mesh deformed by the displacements; none of a mesh that is not the body's.

    Without a truth one picture shows all fields.

    Parameters
    ----------
    body : BodyComparison
    columns : p names
    mesh : Mesh
        Undeformed.
    """
    count, d = mesh.points.shape
    if len(body.mises_reduced) != count or len(body.displacement_reduced) != count * d:
        return []
    factor = magnification(mesh, body)
    reduced = _deformed(mesh, body.displacement_reduced, factor)
    truth = reduced if body.displacement_true is None else _deformed(mesh, body.displacement_true, factor)
    if truth is None or reduced is None:
        return []
    if body.displacement_true is None:
        return [_alone(body, columns, mesh, factor, reduced)]
    return [_field_picture(name, body, columns, mesh, factor, truth, reduced) for name in body.fields]


def magnification(mesh: Mesh, body: BodyComparison) -> float:
    """By what displacements are multiplied in a picture: 1 where they are seen as they are, else 1, 2 or 5 times 10^k.

    Examples
    --------
    >>> mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0, 1, 2]], "triangle", range(6), 2)
    >>> [magnification(mesh, BodyComparison([], 0.0, np.full(6, u), np.zeros(3))) for u in (0.05, 1e-3, 0.5, 0.0)]
    [1.0, 50.0, 0.1, 1.0]
    """
    d = mesh.points.shape[1]
    known = [u for u in (body.displacement_true, body.displacement_reduced) if u is not None]
    largest = max(float(np.linalg.norm(u.reshape(-1, d), axis=1).max(initial=0.0)) for u in known)
    size = float(np.linalg.norm(np.ptp(mesh.points, axis=0)))
    if largest == 0.0 or _LEAST <= largest / size <= _MOST:
        return 1.0
    wanted = _SHOWN * size / largest
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= wanted * (1 + 1e-12)))


def points_picture(points: ReducedPoints, mesh: Mesh) -> Picture | None:
    """The points on the mesh, or in it: circles with an area that follows the weight, crosses for points without one.

    None where there are no points, or the mesh has no faces.
    """
    scene = scene_of(mesh)
    if scene is None or not len(points.weight) or points.place.shape[1] != mesh.points.shape[1]:
        return None
    ruled = points.weight > 0
    figure = canvas(10.6, float(np.clip(6.4 * scene.aspect, 3.2, 6.4)) + 0.4)
    axes = figure.add_subplot()
    _pale(axes, scene, mesh)
    x, y = on_paper(points.place).T
    share = points.weight[ruled] / points.weight.max()
    axes.scatter(x[ruled], y[ruled], s=8 + 190 * share, facecolor=BLUE, edgecolor="white", linewidth=0.6, alpha=0.8,
                 zorder=3, label=f"cubature point ({int(ruled.sum())}), area by weight")
    if not ruled.all():
        axes.scatter(x[~ruled], y[~ruled], s=26, marker="x", color=VERMILLION, linewidth=1.3, zorder=4,
                     label=f"point of the gappy fields alone ({int((~ruled).sum())})")
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    inside = " The body is pale, so that points inside it are seen." if scene.body else ""
    weights = points.weight[ruled]
    text = (f"{plural(int(ruled.sum()), 'cubature point')}, weights {number(float(weights.min()))} to "
            f"{number(float(weights.max()))}, and {plural(int((~ruled).sum()), 'point')} more for the gappy fields."
            ) if len(weights) else "No cubature points."
    return raster(figure, "Where the law is evaluated", text, text + inside)


def _deformed(mesh: Mesh, displacement: Array, factor: float) -> Scene | None:
    return scene_of(replace(mesh, points=mesh.points + factor * displacement.reshape(mesh.points.shape)))


def _field_picture(name: str, body: BodyComparison, columns: Sequence[str], mesh: Mesh, factor: float, truth: Scene,
                   reduced: Scene) -> Picture:
    """Truth, reduced model and difference; the reduced model alone where the truth of this field is not known."""
    words = field_words(name)
    true, found = body.fields[name]
    both = np.stack([found if true is None else true, found])
    state = mappable_of(spread(float(both.min()), float(both.max())), signed=False)
    panels = [_Panel(reduced, found, state, "reduced model")]
    size = f"Largest value {number(float(both[0].max()))}"
    if true is not None:
        apart = true - found
        reach = float(np.abs(apart).max(initial=0.0))
        signed = mappable_of(Normalize(-(reach or 1.0), reach or 1.0), signed=True)
        panels = [_Panel(truth, true, state, "full-order model"), *panels, _Panel(truth, apart, signed, "difference")]
        size += f", largest difference {number(reach)}; values are averaged to the nodes"
    return _row(f"{words[:1].upper()}{words[1:]}", panels, mesh, f"{_place(body, columns)} {size}.", factor)


def _alone(body: BodyComparison, columns: Sequence[str], mesh: Mesh, factor: float, reduced: Scene) -> Picture:
    """All fields of the reduced model, side by side."""
    panels = []
    for name, (_, values) in body.fields.items():
        colours = mappable_of(spread(float(values.min()), float(values.max())), signed=False)
        panels.append(_Panel(reduced, values, colours, field_words(name)))
    words = f"{_place(body, columns)} There is no truth to compare with."
    return _row("Fields of the reduced model", panels, mesh, words, factor)


@dataclass(frozen=True)
class _Panel:
    """One body: nodal values of the mesh and their colours."""

    scene: Scene
    nodal: Array
    colours: ScalarMappable
    title: str


def _row(title: str, panels: Sequence[_Panel], mesh: Mesh, words: str, factor: float) -> Picture:
    """Panels side by side, with the same part of the paper in each."""
    scene = panels[0].scene
    figure, frames = frames_of(scene, len(panels), max(2, len(panels)))
    drawn = []
    for frame, panel in zip(frames, panels, strict=True):
        drawn.append(draw(figure, frame, panel.scene, panel.scene.values(panel.nodal), panel.colours, panel.title))
        add_bar(figure, frame, panel.colours)
    _alike(drawn, mesh)
    words += " Displacements as they are." if factor == 1.0 else f" Displacements times {number(factor)}."
    if mesh.points.shape[1] == 2:
        words += " Grey: the undeformed rim."
    maps = maps_of(scene, *sorted({panel.colours.get_cmap().name for panel in panels}))
    return raster(figure, title, f"{title} on the deformed mesh. {words}", words + body_words(scene), maps)


def _place(body: BodyComparison, columns: Sequence[str]) -> str:
    where = [f"t = {number(float(body.time[0]))}"]
    where += [f"{column} = {number(value)}" for column, value in zip(columns, body.mu, strict=False)]
    return f"At {', '.join(where)}."


def _alike(drawn: Sequence[Axes], mesh: Mesh) -> None:
    """The same part of the paper in all axes, in the plane with the rim of the undeformed mesh."""
    rim = None
    if mesh.points.shape[1] == 2:
        rim = mesh.points[outline(mesh.cells)]
    low = np.min([(axes.get_xlim()[0], axes.get_ylim()[0]) for axes in drawn], axis=0)
    high = np.max([(axes.get_xlim()[1], axes.get_ylim()[1]) for axes in drawn], axis=0)
    if rim is not None:
        low, high = np.minimum(low, rim.min(axis=(0, 1))), np.maximum(high, rim.max(axis=(0, 1)))
    margin = 0.01 * (high - low)
    for axes in drawn:
        if rim is not None:
            axes.add_collection(LineCollection(list(rim), colors=GREY, linewidths=0.7, linestyles="solid", zorder=5))
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _pale(axes: Axes, scene: Scene, mesh: Mesh) -> None:
    """The mesh as a background: its cells in the plane, its boundary in space."""
    if scene.shade is None and mesh.points.shape[1] == 2:
        fine = len(mesh.cells) <= _MESH_LIMIT
        axes.add_collection(PolyCollection(list(mesh.points[mesh.cells]), facecolors=_PALE,
                                           edgecolors="#cfd6dd" if fine else _PALE, linewidths=0.4))
        axes.add_collection(LineCollection(list(mesh.points[outline(mesh.cells)]), colors=INK, linewidths=0.8))
    else:
        shade = np.ones(len(scene.faces)) if scene.shade is None else scene.shade
        grey = np.repeat((1.0 - 0.55 * (1.0 - shade))[:, None] * 0.96, 3, axis=1)
        axes.add_collection(PolyCollection(list(scene.place[scene.faces]), facecolors=grey, edgecolors=grey,
                                           linewidths=0.35))
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.set_axis_off()
