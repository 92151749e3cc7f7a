"""A turbine blade: a twisted aerofoil with cooling holes on a root block, meshed by gmsh."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, NotSupported, SolveFailed
from romflow.core.names import shown
from romflow.fom.mechanics.elements import mirrored
from romflow.fom.mechanics.solid import Solid, with_middles

__all__ = ["blade"]

Array = NDArray[np.float64]
# gmsh has one model for all threads.
_LOCK = threading.Lock()
# Four-digit aerofoil: share of the chord of the thickness, camber and where the camber is largest.
_THICKNESS, _CAMBER, _CREST = 0.2, 0.1, 0.4
# Where the blade is held, in the chord from the nose: the twist turns about it.
_STACK = 0.4
# The chord at the tip, as a share of that at the root; where it ends before its sharp edge.
_TAPER, _END = 0.85, 0.93
_BLOCK = (1.25, 0.7, 0.3)
# Edges at the trailing edge, in chords; distance in edges within which they grow to their full size.
_EDGE, _REACH = 0.08, 2.5


@dataclass(frozen=True)
class _Shape:
    chord: float
    span: float
    twist: float
    holes: int

    def place(self, along: float, across: Any, height: float) -> Array:
        """Points (k, 3) at a share of the chord along, `across` (in chords) from its line, at a share of the span."""
        angle = math.radians(self.twist) * height
        size = self.chord * (1.0 + (_TAPER - 1.0) * height)
        x, y = np.broadcast_arrays(np.atleast_1d(along) - _STACK, np.atleast_1d(across) - _camber(_STACK))
        turned = [math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y]
        return np.column_stack([size * turned[0], size * turned[1], np.full(x.shape, self.span * height)])


def blade(size: float = 4.8, chord: float = 40.0, span: float = 80.0, twist: float = 20.0, holes: int = 3,
          order: int = 2) -> Solid:
    """A blade along z in tetrahedra: root block below z = 0, aerofoil from z = 0 to `span`, holes through both.

    Boundaries: "root" (bottom of the block), "holes", "pressure_side", "suction_side" (with the blunt trailing edge),
    "tip" (top), "block" (the rest of the block). Lengths are in the unit of the study, such as mm.

    Parameters
    ----------
    size : float
        Length of the edges of tetrahedra; a quarter of it around the holes. The number of nodes
        grows with its -3rd power.
    chord, span : float
    twist : float
        Angle in degrees between root and tip.
    holes : int
        Spanwise cooling holes, 1 to 6.
    order : {1, 2}
        Nodes at the corners alone, or in the (straight) edges too.

    Raises
    ------
    ConfigError
        An option is out of its range.
    NotSupported
        gmsh is not installed.
    SolveFailed
        gmsh made no mesh.

    Notes
    -----
    The same options give the same mesh with the same version of gmsh: it runs in one thread and with its fixed seed.
    """
    numbers = {"size": size, "chord": chord, "span": span}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
            raise ConfigError(f"{name} = {shown(value)} of the blade; the rule is a number above 0")
    if not isinstance(twist, int | float) or not abs(twist) <= 45.0:
        raise ConfigError(f"twist = {shown(twist)} of the blade; the rule is an angle from -45 to 45 degrees")
    if holes not in range(1, 7) or order not in (1, 2):
        raise ConfigError(f"holes = {shown(holes)} and order = {shown(order)} of the blade; the rule is 1 to 6 holes, "
                          "and 1 or 2")
    linear = _meshed(_Shape(float(chord), float(span), float(twist), int(holes)), float(size))
    if order == 1:
        return linear
    nodes, cells, cell = with_middles(linear.nodes, linear.cells, "tetra")
    return Solid(nodes, cells, cell, linear.boundaries, linear.regions)


@cache
def _meshed(shape: _Shape, size: float) -> Solid:
    with _LOCK, _session() as gmsh:
        try:
            surfaces = _geometry(gmsh, shape)
            _set_sizes(gmsh, shape, size)
            gmsh.model.mesh.generate(3)
            gmsh.model.mesh.optimize("Netgen")
            return _solid(gmsh, surfaces)
        # gmsh raises Exception itself.
        except Exception as error:
            raise SolveFailed(f"gmsh made no mesh of the blade with size = {size:g} ({error}); take "
                              "another size") from error


@contextmanager
def _session() -> Iterator[Any]:
    try:
        import gmsh
    except (ImportError, OSError) as error:
        raise NotSupported(f"the shape blade needs gmsh, which cannot be loaded ({error}); install it, or give the "
                           "file of a mesh") from error
    # Another user of gmsh in this process keeps its session.
    own = not gmsh.isInitialized()
    if own:
        gmsh.initialize(["-noenv"], readConfigFiles=False, interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.model.add("blade")
    try:
        yield gmsh
    finally:
        gmsh.model.remove()
        if own:
            gmsh.finalize()


def _geometry(gmsh: Any, shape: _Shape) -> dict[str, list[int]]:
    """The blade as one volume; the tags of the surfaces of each part of its boundary."""
    occ = gmsh.model.occ
    wires = [_section(occ, shape, height) for height in (-0.02, 0.25, 0.5, 0.75, 1.0)]
    aerofoil = occ.addThruSections(wires, makeSolid=True, makeRuled=False)
    x, y, z = (share * shape.chord for share in _BLOCK)
    block = occ.addBox(-_STACK * x, -0.5 * y, -z, x, y, z)
    body, _ = occ.fuse([(3, block)], aerofoil)
    occ.cut(body, [(3, _hole(occ, shape, k)) for k in range(shape.holes)])
    occ.synchronize()
    volumes = gmsh.model.getEntities(3)
    if len(volumes) != 1:
        raise RuntimeError(f"the parts make {len(volumes)} volumes")
    parts: dict[str, list[int]] = {name: [] for name in
                                   ("root", "holes", "pressure_side", "suction_side", "tip", "block")}
    for _, tag in gmsh.model.getBoundary(volumes, oriented=False):
        parts[_part(gmsh, shape, tag)].append(tag)
    empty = [name for name, tags in parts.items() if not tags]
    if empty:
        raise RuntimeError(f"no surface of the part {empty[0]} was found")
    return parts


def _section(occ: Any, shape: _Shape, height: float) -> int:
    """Closed wire of the aerofoil at a share of the span: two splines and the blunt trailing edge."""
    along = _END * 0.5 * (1.0 - np.cos(np.linspace(0.0, np.pi, 25)))
    half = _half_thickness(along)
    upper, lower = (_points(occ, shape, along, _camber(along) + sign * half, height) for sign in (1.0, -1.0))
    lower[0] = upper[0]
    lines = [occ.addSpline(upper), occ.addLine(upper[-1], lower[-1]), occ.addSpline(lower[::-1])]
    return int(occ.addWire(lines))


def _points(occ: Any, shape: _Shape, along: Array, across: Array, height: float) -> list[int]:
    return [int(occ.addPoint(*shape.place(x, y, height)[0])) for x, y in zip(along, across, strict=True)]


def _hole(occ: Any, shape: _Shape, number: int) -> int:
    """A cylinder along the line of camber from below the block to above the tip."""
    low, step = _axis(shape, _along(shape, number))
    start, length = low - 0.5 * shape.chord * step, 1.5 * shape.chord + shape.span
    return int(occ.addCylinder(*start, *(length * step), _radius(shape)))


def _along(shape: _Shape, number: int) -> float:
    return 0.4 if shape.holes == 1 else 0.18 + 0.42 * number / (shape.holes - 1)


def _radius(shape: _Shape) -> float:
    return shape.chord * (0.03 if shape.holes <= 3 else 0.02)


def _axis(shape: _Shape, along: float) -> tuple[Array, Array]:
    """Point (3,) at z = 0 and unit vector of the straight line that follows the camber at a share of the chord."""
    low, high = (shape.place(along, _camber(along), height)[0] for height in (0.0, 1.0))
    return low, (high - low) / np.linalg.norm(high - low)


def _part(gmsh: Any, shape: _Shape, surface: int) -> str:
    """Name of the part of the boundary that a surface belongs to."""
    kind = gmsh.model.getType(2, surface)
    x, y, z = gmsh.model.occ.getCenterOfMass(2, surface)
    low, high = gmsh.model.getBoundingBox(2, surface)[2::3]
    bottom, near = -_BLOCK[2] * shape.chord, 1e-3 * shape.chord
    if kind == "Cylinder":
        return "holes"
    if high < bottom + near:
        return "root"
    if low > shape.span - near:
        return "tip"
    if high < near:
        return "block"
    height = z / shape.span
    angle = math.radians(shape.twist) * height
    size = shape.chord * (1.0 + (_TAPER - 1.0) * height)
    along = (math.cos(angle) * x + math.sin(angle) * y) / size + _STACK
    across = (math.cos(angle) * y - math.sin(angle) * x) / size + _camber(_STACK)
    return "pressure_side" if across < _camber(along) and along < 0.9 * _END else "suction_side"


def _set_sizes(gmsh: Any, shape: _Shape, size: float) -> None:
    """Edges of `size`, a quarter of it at the holes, and a few times its thickness at the trailing edge."""
    radius = _radius(shape)
    # A hole of fewer than four edges around would not be one.
    fine = min(0.25 * size, 1.6 * radius)
    lines = [(*_axis(shape, _along(shape, k)), radius, fine) for k in range(shape.holes)]
    lines.append((*_axis(shape, _END), 0.0, min(size, _EDGE * shape.chord)))
    flat = [(*start.tolist(), *step.tolist(), radius, least) for start, step, radius, least in lines]

    # gmsh asks point by point.
    def edge(_dim: int, _tag: int, x: float, y: float, z: float, _size: float) -> float:
        found = size
        for x0, y0, z0, a, b, c, radius, least in flat:
            u, v, w = x - x0, y - y0, z - z0
            away = math.hypot(v * c - w * b, w * a - u * c, u * b - v * a) - radius
            found = min(found, least + (size - least) * max(away, 0.0) / (_REACH * size))
        return found

    gmsh.model.mesh.setSizeCallback(edge)
    options = {"MeshSizeExtendFromBoundary": 0, "MeshSizeFromPoints": 0, "MeshSizeFromCurvature": 0, "Algorithm": 6,
               "Algorithm3D": 1, "RandomSeed": 1, "Optimize": 1, "MaxNumThreads3D": 1}
    for name, value in options.items():
        gmsh.option.setNumber(f"Mesh.{name}", value)
    gmsh.option.setNumber("General.NumThreads", 1)


def _solid(gmsh: Any, surfaces: dict[str, list[int]]) -> Solid:
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    cells = gmsh.model.mesh.getElementsByType(4)[1].astype(np.int64).reshape(-1, 4)
    used = np.unique(cells)
    number = np.full(int(tags.max()) + 1, -1)
    number[used] = np.arange(used.size)
    order = np.argsort(tags)
    nodes = coordinates.reshape(-1, 3)[order][np.isin(tags[order], used)]
    boundaries = {}
    for name, members in surfaces.items():
        facets = [gmsh.model.mesh.getElementsByType(2, tag)[1].astype(np.int64).reshape(-1, 3) for tag in members]
        boundaries[name] = number[np.concatenate(facets)]
    return Solid(nodes, mirrored(nodes, number[cells], "tetra"), "tetra", boundaries)


def _half_thickness(along: Array) -> Array:
    """Of the four-digit aerofoils (Abbott and von Doenhoff, Theory of Wing Sections, eq. 6.2), in chords."""
    x = np.asarray(along)
    return 5.0 * _THICKNESS * (0.2969 * np.sqrt(x) - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1015 * x**4)


def _camber(along: Any) -> Any:
    """Of the four-digit aerofoils (eq. 6.4), in chords."""
    x = np.asarray(along, dtype=np.float64)
    front = _CAMBER / _CREST**2 * (2.0 * _CREST * x - x**2)
    back = _CAMBER / (1.0 - _CREST) ** 2 * (1.0 - 2.0 * _CREST + 2.0 * _CREST * x - x**2)
    return np.where(x < _CREST, front, back)
