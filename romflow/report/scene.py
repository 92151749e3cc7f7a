"""A mesh as the reader sees it: points on the paper, faces from back to front, and how values get there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray

from romflow.core.mesh import Mesh
from romflow.report.surface import averaged, boundary_faces, coarsened, normals, refined, triangles, used, with_middles

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_PLANE_LIMIT, _SOLID_LIMIT = 400_000, 40_000  # triangles; more cannot be told apart in a picture of this size
_SMOOTH = 16_000  # triangles up to which the faces of a body are halved, so that their colours blend
_ELEVATION, _AZIMUTH = np.radians(24.0), np.radians(-58.0)
_DARKEST = 0.72


@dataclass(frozen=True)
class Scene:
    """The visible part of a mesh.

    Parameters
    ----------
    place : (P', 2) array
        Points on the paper.
    faces : (F, 3) array
        Triangles, the farthest first.
    kept, label, steps
        Points of the mesh that are used, their new numbers after coarsening, and the refinement.
    shade : (F,) array, optional
        Brightness of each face of a spatial mesh, in (0, 1].
    body : bool
        The faces bound a solid.
    """

    place: Array
    faces: Integers
    kept: Integers
    label: Integers
    steps: list[Integers] = field(default_factory=list)
    shade: Array | None = None
    body: bool = False

    def values(self, nodal: Array) -> Array:
        """Values (P', ...) at the scene's points of nodal values (P, ...) of the mesh."""
        return with_middles(averaged(nodal[self.kept], self.label), self.steps)

    @property
    def aspect(self) -> float:
        """Height over width of a picture."""
        width, height = np.ptp(self.place[np.unique(self.faces)], axis=0)
        return float(np.clip(height / width if width > 0 else 1.0, 0.2, 1.3))

    def draw(self, axes: Axes, values: Array, mappable: ScalarMappable) -> None:
        """Colour the faces by values (P',): smoothly in the plane, shaded by the light on a spatial mesh."""
        if self.shade is None:
            colour: Any = axes.tripcolor  # its type hints know no triangles beside x and y
            colour(*self.place.T, self.faces, values, shading="gouraud", cmap=mappable.cmap, norm=mappable.norm)
        else:
            colours = mappable.to_rgba(values[self.faces].mean(axis=1))
            colours[:, :3] *= self.shade[:, None]
            corners: Any = self.place[self.faces]
            axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.35))
            axes.autoscale_view()
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.margins(0)


def scene_of(mesh: Mesh | None) -> Scene | None:
    """What a picture shows of the mesh; None where it has no faces (no mesh, or lines)."""
    if mesh is None or mesh.cell_type == "line" or not len(mesh.cells):
        return None
    points, flat = mesh.points, mesh.cell_type in ("triangle", "quad")
    if points.shape[1] == 3 and flat and np.ptp(points[:, 2]) == 0:
        points = points[:, :2]
    if points.shape[1] == 2:
        kept, faces, label, points = _limited(points, triangles(mesh.cells), _PLANE_LIMIT)
        return Scene(points, faces, kept, label)
    faces = mesh.cells if flat else boundary_faces(points, mesh.cells, mesh.cell_type)
    return _spatial(points, triangles(faces), body=not flat)


def on_paper(points: Array) -> Array:
    """Where points (P, 2 or 3) are drawn, (P, 2): as they are, or seen as a spatial mesh is."""
    if points.shape[1] == 2:
        return points
    right, up, _ = _view()
    return np.stack([points @ right, points @ up], axis=1)


def _limited(points: Array, faces: Integers, limit: int) -> tuple[Integers, Integers, Integers, Array]:
    kept, faces = used(points, faces)
    coarse, faces, label = coarsened(points[kept], faces, limit)
    return kept, faces, label, coarse


def _spatial(points: Array, faces: Integers, body: bool) -> Scene:
    """Orthographic view; faces from back to front, those of a solid that look away left out, small ones halved."""
    whole = len(faces) <= _SOLID_LIMIT
    kept, faces, label, points = _limited(points, faces, _SOLID_LIMIT)
    eye = _view()[2]
    if body and whole:
        faces = faces[normals(points, faces) @ eye > 0]
    faces, steps = refined(faces, len(points), _SMOOTH)
    points = with_middles(points, steps)
    faces = faces[np.argsort(points[faces].mean(axis=1) @ eye, kind="stable")]
    normal = normals(points, faces)
    facing = np.abs(normal @ _light(eye)) / np.maximum(np.linalg.norm(normal, axis=1), 1e-300)
    return Scene(on_paper(points), faces, kept, label, steps, _DARKEST + (1 - _DARKEST) * facing, body)


def _view() -> tuple[Array, Array, Array]:
    """Unit vectors to the right and up on the paper, and towards the eye."""
    eye = np.array([np.cos(_ELEVATION) * np.cos(_AZIMUTH), np.cos(_ELEVATION) * np.sin(_AZIMUTH), np.sin(_ELEVATION)])
    right = np.array([-np.sin(_AZIMUTH), np.cos(_AZIMUTH), 0.0])
    return right, np.cross(eye, right), eye


def _light(eye: Array) -> Array:
    """Unit vector to the light: above the reader's left shoulder."""
    direction = eye + np.array([-0.25, -0.1, 0.9])
    return np.asarray(direction / np.linalg.norm(direction))
