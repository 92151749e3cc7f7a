"""Pictures of fields side by side: frames of one size, each with a title and a bar of its colours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from romflow.report.scene import Scene
from romflow.report.style import FIELD_MAP, SIGNED_MAP, canvas
from romflow.report.words import number

Array = NDArray[np.float64]
Frame = tuple[float, float, float, float]

WIDTH, _GAP, _TITLE, _BAR = 10.6, 0.3, 0.36, 0.52  # inches


def body_words(scene: Scene) -> str:
    """A sentence that says of a solid that only its boundary is seen."""
    return " The boundary of the body is shown." if scene.body else ""


def maps_of(scene: Scene, *names: str) -> tuple[str, ...]:
    """Colour maps that hold all the colours of a picture; none for bodies, which are shaded."""
    return names if scene.shade is None else ()


def spread(low: float, high: float) -> Normalize:
    """Colours from the lowest to the highest value, which may be the same."""
    return Normalize(low, high if high > low else low + (abs(low) or 1.0))


def mappable_of(norm: Normalize, signed: bool) -> ScalarMappable:
    """The colours of a field, or of a signed difference."""
    return ScalarMappable(norm, SIGNED_MAP if signed else FIELD_MAP)


def frames_of(scene: Scene, count: int, across: int) -> tuple[Figure, list[Frame]]:
    """A figure and the frames (left, bottom, width, height in inches) of its pictures, apart from bars and titles."""
    width = (WIDTH - _GAP * (across - 1)) / across
    drawn = min(width, 4.2)
    height = drawn * scene.aspect
    down = -(-count // across)
    total = down * (_TITLE + height + _BAR)
    figure = canvas(WIDTH, total)
    figure.set_layout_engine("none")
    frames = []
    for i in range(count):
        row, column = divmod(i, across)
        left = column * (width + _GAP) + (width - drawn) / 2
        frames.append((left, total - (row + 1) * (_TITLE + height + _BAR) + _BAR, drawn, height))
    return figure, frames


def _relative(figure: Figure, left: float, bottom: float, width: float, height: float) -> Frame:
    across, down = figure.get_size_inches()
    return left / across, bottom / down, width / across, height / down


def titled(figure: Figure, frame: Frame, title: str) -> Axes:
    """Axes in a frame, with a title above."""
    left, bottom, width, height = frame
    place = _relative(figure, left + width / 2, bottom + height + 0.12, 0, 0)[:2]
    figure.text(*place, title, ha="center", fontsize=9.5)
    return figure.add_axes(_relative(figure, *frame))


def draw(figure: Figure, frame: Frame, scene: Scene, values: Array, mappable: ScalarMappable, title: str) -> Axes:
    """The scene coloured by values (P',) at its points, in a frame with a title."""
    axes = titled(figure, frame, title)
    scene.draw(axes, values, mappable)
    return axes


def add_bar(figure: Figure, frame: Frame, mappable: ScalarMappable) -> None:
    """A bar of the colours below a frame, with three numbers."""
    left, bottom, width, _ = frame
    axes = figure.add_axes(_relative(figure, left + 0.14 * width, bottom - 0.2, 0.72 * width, 0.09))
    ends = mappable.get_clim()
    low, high = float(ends[0] or 0.0), float(ends[1] or 0.0)
    ticks = [low, (low + high) / 2, high]
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal", ticks=ticks)
    bar.set_ticklabels([number(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=8, length=2, pad=1.5)
    bar.outline.set_visible(False)
