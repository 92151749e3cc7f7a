"""One look for all figures: colours that colour-blind readers tell apart, pictures as data URIs with texts."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from romflow.report.words import power

# Okabe and Ito, "Color Universal Design" (2008); with every colour comes another marker or line style
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY, LIGHT = "#1f2933", "#7b8794", "#e4e7eb"
TRUTH, ESTIMATE, LIMIT = BLUE, VERMILLION, GREY
FIELD_MAP, SIGNED_MAP = "viridis", "RdBu_r"

MANY_POINTS = 2000  # more than these are drawn as pixels inside the vector figure, which keeps the page small

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "romflow",
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Picture:
    """A figure as it stands in the page: `uri` is a data URI, `alt` says in words what it shows."""

    title: str
    alt: str
    caption: str
    uri: str
    wide: bool = False


def styled() -> AbstractContextManager[None]:
    """The style of the report, for the length of a with statement; no global setting is left changed."""
    return matplotlib.rc_context(_STYLE)  # type: ignore[arg-type]


def canvas(width: float = 5.2, height: float = 3.4) -> Figure:
    """An empty figure of that size in inches that keeps labels apart; no window system and no pyplot state."""
    return Figure(figsize=(width, height), layout="constrained")


def plot(width: float = 5.2, height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure with one pair of axes and margins of fixed width, which are drawn faster than fitted ones."""
    figure = Figure(figsize=(width, height))
    left, bottom, right, top = 0.68, 0.5, 0.12, 0.12
    position = left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height
    axes = figure.add_axes(position)
    axes.yaxis.set_label_coords(-(left - 0.2) / (width - left - right), 0.5)
    return figure, axes


def panels(down: int, across: int, height: float, width: float = 10.6) -> tuple[Figure, list[Axes]]:
    """A grid of axes with a common vertical scale, each row `height` inches, row by row; margins of fixed width."""
    left, bottom, right, top, apart, below = 0.78, 0.5, 0.12, 0.1, 0.2, 0.5
    total = down * height + (down - 1) * below + bottom + top
    figure = Figure(figsize=(width, total))
    each = (width - left - right - (across - 1) * apart) / across
    grid = figure.subplots(
        down,
        across,
        sharey=True,
        squeeze=False,
        gridspec_kw={
            "left": left / width,
            "right": 1 - right / width,
            "bottom": bottom / total,
            "top": 1 - top / total,
            "wspace": apart / each,
            "hspace": below / height,
        },
    )
    return figure, list(grid.flat)


def bins_of(count: int) -> int:
    """Number of bars of a histogram of so many values."""
    return min(max(5, round(2 * math.sqrt(count))), 24)


def label_decades(axis: Axis) -> None:
    """Ticks of a logarithmic axis, to be called when everything is drawn: decades, and more where these are too few."""
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if 0 < low < high else 1.0
    if decades < 0.5:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 1.8 else (1.0, 2.0, 5.0), numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_formatter(NullFormatter())


def vector(figure: Figure, title: str, alt: str, caption: str = "", wide: bool = False) -> Picture:
    """The figure as SVG: for curves and points."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=160, metadata={"Date": None, "Creator": None})
    return Picture(title, alt, caption, _data_uri("image/svg+xml", buffer.getvalue()), wide)


def raster(figure: Figure, title: str, alt: str, caption: str = "", maps: Sequence[str] = ()) -> Picture:
    """The figure as PNG: for fields on a mesh, so that the size does not depend on the mesh.

    `maps` names the colour maps if all colours but greys come from them: 256 colours are then enough. Without them
    each of red, green and blue has 64 levels, which the eye does not tell from 256 and which take half the bytes.
    """
    figure.set_dpi(160)
    drawing: Any = FigureCanvasAgg(figure)
    drawing.draw()
    pixels = np.ascontiguousarray(np.asarray(drawing.buffer_rgba())[:, :, :3])
    image = Image.fromarray(pixels if maps else _LEVELS[pixels])
    if maps:
        image = image.quantize(palette=_palette(maps), dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return Picture(title, alt, caption, _data_uri("image/png", buffer.getvalue()), wide=True)


_LEVELS = np.minimum(4 * np.round(np.arange(256) / 4), 255).astype(np.uint8)


def _palette(maps: Sequence[str]) -> Image.Image:
    """An image whose palette holds 16 greys and equally many colours of each map."""
    levels = np.linspace(0.0, 1.0, 240 // len(maps))
    colours = [np.repeat(np.linspace(0.0, 1.0, 16)[:, None], 3, axis=1)]
    colours += [matplotlib.colormaps[name](levels)[:, :3] for name in maps]
    image = Image.new("P", (1, 1))
    image.putpalette(np.round(255 * np.concatenate(colours)).astype(np.uint8).tobytes())
    return image


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
