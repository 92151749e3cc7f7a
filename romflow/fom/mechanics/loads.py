"""Loads: nodal forces as a sum of given forces times texts in the columns of the loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.elements import make_rule
from romflow.fom.mechanics.places import Places, at_place
from romflow.fom.mechanics.space import StrainSpace
from romflow.parameters.expressions import Theta, check_text
from romflow.parameters.loading import Loading

__all__ = ["Loads", "body_force", "make_loads"]

Array = NDArray[np.float64]
# Order of the quadrature of forces a volume.
_ORDER = 4


@dataclass(frozen=True, eq=False)
class Loads:
    """f_ext = forces theta(rows).

    Attributes
    ----------
    forces : (n, Q)
    theta : Theta
        Q coefficients in the columns of the loading.
    names : tuple of Q str
        What each is, for messages and pictures.
    """

    forces: Array
    theta: Theta
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.forces.ndim != 2 or not self.forces.shape[1] == len(self.theta) == len(self.names):
            raise ShapeError(f"forces have shape {self.forces.shape}; {len(self.theta)} coefficients and "
                             f"{len(self.names)} names need (n, Q).")

    def values(self, rows: Array) -> Array:
        """Nodal forces (n,) at one row (1, c) of the columns."""
        return np.asarray(self.forces @ self.theta(rows)[0])


def make_loads(tables: Sequence[Mapping[str, Any]], places: Places, space: StrainSpace, loading: Loading) -> Loads:
    """The loads that the tables of a study describe; every one has an ``amplitude``, a text in the loading's columns.

    Parameters
    ----------
    tables : sequence of mapping
        By their ``type``: "traction" (``on`` a place, ``value`` a list of d texts in x, y, z: force an area);
        "pressure" (``on``, ``value`` a text in x, y, z, default 1: against the outward normal); "centrifugal"
        (``density``, ``axis``, default the last axis in space, ``origin``, default 0; the amplitude is the square of
        the angular velocity); "gravity" (``density``, ``value`` a list of d numbers: acceleration); "force" (``on``,
        ``value`` a list of d numbers: their sum over the place, spread evenly over its facets, or on one node where
        the place is a list of coordinates). Centrifugal and gravity take ``on`` too, a region.
    places : Places
    space : StrainSpace
    loading : Loading

    Raises
    ------
    ConfigError
        A type, key, place or value is wrong, or a load acts nowhere.

    Notes
    -----
    Facets and cells have a quadrature of order 4. Geometry is that of the undeformed body.

    Examples
    --------
    >>> from romflow.fom.mechanics.shapes.box import box
    >>> solid = box((1, 1), element="quad4")
    >>> table = {"type": "traction", "on": "x = max", "value": [2, "y"], "amplitude": "p"}
    >>> make_loads([table], Places(solid), solid.space(), Loading(("p",))).forces.reshape(4, 2).sum(axis=0)
    array([2. , 0.5])
    """
    if isinstance(tables, Mapping | str) or not isinstance(tables, Sequence):
        raise ConfigError(f"loads = {shown(tables)} is no list of tables; write [[model.loads]] with type")
    forces, texts, names = [], [], []
    for number, table in enumerate(tables, 1):
        kind = table.get("type") if isinstance(table, Mapping) else None
        if kind not in _TYPES:
            raise ConfigError(f"load {number} has type = {shown(kind)}{nearest(str(kind), _TYPES)}")
        make, keys = _TYPES[kind]
        for key in table:
            if key not in (*keys, "type", "amplitude"):
                raise ConfigError(f"load {number} ({kind}) has no key {shown(key)}{nearest(str(key), keys)}")
        made = make(_Table(f"load {number} ({kind})", table), places, space)
        if not made.any():
            raise ConfigError(f"load {number} ({kind}) is zero everywhere; check its value and its place")
        forces.append(made.ravel())
        texts.append(table.get("amplitude", "1"))
        check_text(f"load {number} ({kind}) has amplitude = ", texts[-1], loading.columns)
        names.append(f"{kind} on {table['on']}" if "on" in table else str(kind))
    columns = np.stack(forces, axis=1) if forces else np.zeros((space.n, 0))
    return Loads(columns, Theta(texts, loading.columns), tuple(names))


def body_force(space: StrainSpace, density: Array, cells: NDArray[np.int64] | None = None) -> Array:
    """Nodal forces (N, d) of a force a volume that is nodal density (N, d) between the nodes; over some cells or all.

    Exact where the edges are straight.
    """
    numbers = space.cells if cells is None else space.cells[cells]
    rule = make_rule(space.element.cell, _ORDER)
    measures = rule.mapped(space.nodes[numbers])[2] * rule.weights
    local = np.einsum("ek,kv,kw,ewx->evx", measures, rule.shape, rule.shape, density[numbers], optimize=True)
    columns = [np.bincount(numbers.ravel(), local[:, :, i].ravel(), len(space.nodes)) for i in range(space.d)]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class _Table:
    """One table with checked access, and its name for messages."""

    name: str
    values: Mapping[str, Any]

    def place(self) -> Any:
        if "on" not in self.values:
            raise ConfigError(f"{self.name} needs on, the place where it acts")
        return self.values["on"]

    def cells(self, places: Places) -> NDArray[np.int64] | None:
        return places.cells(self.values["on"]) if "on" in self.values else None

    def positive(self, key: str) -> float:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < np.inf:
            raise ConfigError(f"{self.name} has {key} = {shown(value)}; the rule is a number above 0")
        return float(value)

    def vector(self, key: str, d: int, default: Sequence[float] | None = None) -> Array:
        value = self.values.get(key, default)
        if not isinstance(value, list | tuple) or len(value) != d or not all(
                isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in value):
            raise ConfigError(f"{self.name} has {key} = {shown(value)}; the rule is a list of {d} finite numbers")
        return np.array(value, dtype=np.float64)

    def texts(self, d: int) -> list[str | float]:
        value = self.values.get("value")
        if not isinstance(value, list | tuple) or len(value) != d or not all(
                isinstance(v, str | int | float) and not isinstance(v, bool) for v in value):
            raise ConfigError(f"{self.name} has value = {shown(value)}; the rule is a list of {d} numbers or texts in "
                              "x, y and z")
        return list(value)


def _traction(table: _Table, places: Places, space: StrainSpace) -> Array:
    facets = places.facets(table.place())
    points = facets.points.reshape(-1, space.d)
    components = [at_place(text, points) for text in table.texts(space.d)]
    return facets.loads(np.stack(components, axis=1).reshape(facets.points.shape), len(space.nodes))


def _pressure(table: _Table, places: Places, space: StrainSpace) -> Array:
    facets = places.facets(table.place())
    value = table.values.get("value", 1.0)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{table.name} has value = {shown(value)}; the rule is a number or text in x, y and z")
    size = at_place(value, facets.points.reshape(-1, space.d)).reshape(facets.weights.shape)
    return facets.loads(-size[..., None] * facets.normals, len(space.nodes))


def _centrifugal(table: _Table, places: Places, space: StrainSpace) -> Array:
    d = space.d
    origin = table.vector("origin", d, [0.0] * d)
    arms = space.nodes - origin
    if d == 3:
        axis = table.vector("axis", 3, [0.0, 0.0, 1.0])
        length = np.linalg.norm(axis)
        if length == 0.0:
            raise ConfigError(f"{table.name} has an axis of length 0; give its direction")
        arms -= np.outer(arms @ axis, axis) / length**2
    elif "axis" in table.values:
        raise ConfigError(f"{table.name} has an axis; in the plane the body turns about the origin that is given")
    return body_force(space, table.positive("density") * arms, table.cells(places))


def _gravity(table: _Table, places: Places, space: StrainSpace) -> Array:
    density = table.positive("density") * table.vector("value", space.d)
    return body_force(space, np.tile(density, (len(space.nodes), 1)), table.cells(places))


def _force(table: _Table, places: Places, space: StrainSpace) -> Array:
    place, total = table.place(), table.vector("value", space.d)
    if not isinstance(place, str):
        force = np.zeros((len(space.nodes), space.d))
        force[places.nodes(place)] = total
        return force
    facets = places.facets(place)
    even = np.broadcast_to(total / facets.weights.sum(), facets.points.shape)
    return facets.loads(even, len(space.nodes))


_Maker = Callable[[_Table, Places, StrainSpace], Array]
_TYPES: dict[str, tuple[_Maker, tuple[str, ...]]] = {
    "traction": (_traction, ("on", "value")),
    "pressure": (_pressure, ("on", "value")),
    "centrifugal": (_centrifugal, ("on", "density", "axis", "origin")),
    "gravity": (_gravity, ("on", "density", "value")),
    "force": (_force, ("on", "value")),
}
