"""Supports: displacements that are prescribed at places, zero or a product of place and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.places import Places, at_place
from romflow.parameters.expressions import Theta, check_text
from romflow.parameters.loading import Loading

__all__ = ["Supports", "make_supports", "rigid_motions"]

Array = NDArray[np.float64]
_KEYS = ("on", "components", "symmetric", "value", "shape")
_AXES = "xyz"
# Share of the mean square of a rigid motion that supports must hold at their dofs.
_HELD = 1e-10
# Deviation from 1 of a component of a normal up to which a place counts as a plane.
_FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class Supports:
    """u = modes theta(rows) at the supported dofs.

    Attributes
    ----------
    constrained : (k,) int
        Supported dofs, rising.
    modes : (n, L)
        Zero at all other dofs; no column where all prescribed displacements are zero.
    theta : Theta
        L coefficients in the columns of the loading.
    """

    constrained: NDArray[np.int64]
    modes: Array
    theta: Theta

    def __post_init__(self) -> None:
        if self.modes.ndim != 2 or self.modes.shape[1] != len(self.theta):
            raise ShapeError(f"modes have shape {self.modes.shape}; {len(self.theta)} coefficients need (n, L).")

    @property
    def free(self) -> NDArray[np.bool_]:
        """Dofs (n,) that are not supported."""
        marks = np.ones(len(self.modes), dtype=bool)
        marks[self.constrained] = False
        return marks

    def values(self, rows: Array) -> Array:
        """Prescribed displacements (n,) at one row (1, c) of the columns; zero at free dofs."""
        return np.asarray(self.modes @ self.theta(rows)[0])


def make_supports(tables: Sequence[Mapping[str, Any]], places: Places, loading: Loading,
                  alone: bool = True) -> Supports:
    """The supports that the tables of a study describe.

    Parameters
    ----------
    tables : sequence of mapping
        ``on`` is a place; ``components`` a list of "x", "y", "z" (default: all), or ``symmetric = true`` for the one
        across a plane; ``value`` a number or text in the columns of the loading, or one for each component (default
        0); ``shape`` a text in x, y, z that multiplies it (default 1).
    places : Places
    loading : Loading
    alone : bool
        Whether nothing else holds the body.

    Raises
    ------
    ConfigError
        A key or a place is wrong, two supports prescribe a dof differently, or the body can move as a whole.

    Examples
    --------
    >>> from romflow.fom.mechanics.shapes.box import box
    >>> places = Places(box((1, 1), element="quad4"))
    >>> tables = [{"on": "x = 0"}, {"on": "x = max", "components": ["x"], "value": "0.1 * t"}]
    >>> make_supports(tables, places, Loading(())).values(np.array([[2.0]]))
    array([0. , 0. , 0. , 0. , 0.2, 0. , 0.2, 0. ])
    """
    if isinstance(tables, Mapping | str) or not isinstance(tables, Sequence):
        raise ConfigError(f"supports = {shown(tables)} is no list of tables; write [[model.supports]] with on")
    nodes, d = places.solid.nodes, places.d
    # Number of its text for each dof, 0 where held at zero, -1 where free; and what multiplies the text.
    owner, factor = np.full(nodes.size, -1), np.zeros(nodes.size)
    texts: list[str] = []
    for number, table in enumerate(tables, 1):
        held = _nodes(table, number, places)
        components = _components(table, number, places)
        shape = at_place(table.get("shape", 1.0), nodes[held])
        for component, value in zip(components, _values(table, number, len(components)), strict=True):
            check_text(f"support {number} has value = ", value, loading.columns)
            dofs, term = held * d + component, _term(texts, value)
            new = shape if term else np.zeros(held.size)
            clash = (owner[dofs] >= 0) & ((owner[dofs] != term) | (factor[dofs] != new))
            if clash.any():
                node = int(held[np.argmax(clash)])
                raise ConfigError(f"support {number} prescribes component {_AXES[component]} of {clash.sum()} nodes "
                                  f"otherwise than one before it, such as of node {node} at {nodes[node].tolist()}; "
                                  "give each displacement once")
            owner[dofs], factor[dofs] = term, new
    constrained = np.flatnonzero(owner >= 0)
    if alone:
        _check_rigid(nodes, constrained)
    modes = np.zeros((nodes.size, len(texts)))
    moved = np.flatnonzero(owner > 0)
    modes[moved, owner[moved] - 1] = factor[moved]
    return Supports(constrained, modes, Theta(texts, loading.columns))


def _nodes(table: Any, number: int, places: Places) -> NDArray[np.int64]:
    if not isinstance(table, Mapping) or "on" not in table:
        raise ConfigError(f"support {number} is {shown(table)}; write a table with on, the place that it holds")
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"support {number} has no key {shown(key)}{nearest(str(key), _KEYS)}")
    return places.nodes(table["on"])


def _components(table: Mapping[str, Any], number: int, places: Places) -> list[int]:
    axes = _AXES[:places.d]
    symmetric = table.get("symmetric", False)
    if not isinstance(symmetric, bool):
        raise ConfigError(f"support {number} has symmetric = {shown(symmetric)}; the rule is true or false")
    if symmetric:
        if "components" in table or "value" in table:
            raise ConfigError(f"support {number} is symmetric and has components or a value; give one or the other")
        return [_normal_axis(table["on"], number, places)]
    names = table.get("components", list(axes))
    if not isinstance(names, Sequence) or not names or any(name not in list(axes) for name in names):
        raise ConfigError(f"support {number} has components = {shown(names)}; the rule is a list of "
                          f"{', '.join(axes)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"support {number} names a component twice in {shown(names)}; give each once")
    return [axes.index(name) for name in names]


def _normal_axis(place: Any, number: int, places: Places) -> int:
    normals = np.abs(places.facets(place).normals.reshape(-1, places.d))
    axis = int(normals.mean(axis=0).argmax())
    if normals[:, axis].min() < 1.0 - _FLAT:
        raise ConfigError(f"support {number} is symmetric on {shown(place)}, which is no plane across an axis; use "
                          "components there, or turn the mesh")
    return axis


def _values(table: Mapping[str, Any], number: int, count: int) -> list[str | float]:
    value = table.get("value", 0.0)
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count or any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in values):
        raise ConfigError(f"support {number} has value = {shown(value)}; the rule is a number or text, or a list of "
                          f"{count} of them, one for each component")
    return values


def _term(texts: list[str], value: str | float) -> int:
    """0 for zero, else the number from 1 of a text, which is added where it is new."""
    text = value.strip() if isinstance(value, str) else repr(float(value))
    if text in ("0", "0.0", "-0.0"):
        return 0
    if text not in texts:
        texts.append(text)
    return texts.index(text) + 1


def _check_rigid(nodes: Array, constrained: NDArray[np.int64]) -> None:
    """Raise ConfigError where the body can move as a whole."""
    motions, names = rigid_motions(nodes)
    held = motions[constrained].T @ motions[constrained]
    values, vectors = np.linalg.eigh(held)
    if values[0] > _HELD * len(constrained) / len(motions):
        return
    # Turning about a held point is moving and turning about the centre: the turn comes later and is named.
    share = np.abs(vectors[:, 0])
    worst = names[int(np.flatnonzero(share > 0.3 * share.max())[-1])]
    raise ConfigError(f"the supports leave the body free to {worst}; hold it there, for static equilibrium has no "
                      "single solution otherwise")


def rigid_motions(nodes: Array) -> tuple[Array, list[str]]:
    """Orthonormal rigid motions (n, 3 or 6) of nodes (N, d) about their centre, and what each is, for messages."""
    d = nodes.shape[1]
    x = nodes - nodes.mean(axis=0)
    columns = [np.tile(np.eye(d)[i], len(nodes)) for i in range(d)]
    names = [f"move along {axis}" for axis in _AXES[:d]]
    for i, j in ((0, 1), (1, 2), (0, 2))[:1 if d == 2 else 3]:
        turn = np.zeros_like(x)
        turn[:, i], turn[:, j] = -x[:, j], x[:, i]
        columns.append(turn.ravel())
        names.append(f"turn in the plane of {_AXES[i]} and {_AXES[j]}")
    motions = np.stack(columns, axis=1)
    return motions / np.linalg.norm(motions, axis=0), names
