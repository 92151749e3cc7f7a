"""A zone of a body as a body of its own: its mesh, the nodes on its cut, and where its fields are in the whole one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import shown
from romflow.fom.mechanics.interpolation import interpolation
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.shapes.making import make_solid
from romflow.fom.mechanics.solid import Solid
from romflow.fom.mechanics.space import StrainSpace

__all__ = ["Zone", "zone_of_cells", "zone_of_mesh"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Zone:
    """A part of a body.

    Attributes
    ----------
    solid : Solid
    space : StrainSpace
        M nodes.
    cut : (c,) int
        Nodes on the boundary that the whole body goes on behind.
    values : sparse (M, N)
        Nodal values of the zone from those of the whole body.
    nodes : (M,) int or None
        Nodes of the whole body that those of the zone are, where it has the same cells.
    """

    solid: Solid
    space: StrainSpace
    cut: Numbers
    values: sp.csr_array
    nodes: Numbers | None = None


def zone_of_cells(solid: Solid, space: StrainSpace, place: Any) -> Zone:
    """The cells of a place as a body of their own; names of the whole body stay where they hold something.

    Raises
    ------
    ConfigError
        The place holds no cell or all, or no cell of it touches the rest.

    Examples
    --------
    >>> from romflow.fom.mechanics.shapes.box import box
    >>> solid = box((3, 1), element="quad4")
    >>> zone = zone_of_cells(solid, solid.space(), "x < 0.4")
    >>> zone.space.nodes[zone.cut].round(6).tolist()
    [[0.333333, 0.0], [0.333333, 1.0]]
    """
    cells = np.sort(Places(solid).cells(place))
    if len(cells) == len(solid.cells):
        raise ConfigError(f"zone = {shown(place)} is the whole body of {len(cells)} cells; a submodel needs a part of "
                          "it that is cut off from the rest")
    inside = np.zeros(len(solid.cells), dtype=bool)
    inside[cells] = True
    nodes = np.unique(solid.cells[cells])
    numbers = np.full(len(solid.nodes), -1)
    numbers[nodes] = np.arange(len(nodes))
    cut = numbers[np.intersect1d(nodes, solid.cells[~inside])]
    if not cut.size:
        raise ConfigError(f"zone = {shown(place)} touches no other cell of the body, so that nothing drives it; take a "
                          "part of a connected body")
    part = _part(solid, cells, nodes, numbers)
    values = sp.csr_array((np.ones(len(nodes)), (np.arange(len(nodes)), nodes)), shape=(len(nodes), len(solid.nodes)))
    return Zone(part, part.space(space.element.name), cut, values, nodes)


def _part(solid: Solid, cells: Numbers, nodes: Numbers, numbers: Numbers) -> Solid:
    """The cells with their nodes renumbered, and what they hold of the named parts."""
    own = solid.cells[cells]
    rank = np.full(len(solid.cells), -1)
    rank[cells] = np.arange(len(cells))
    boundaries = {name: kept for name, facets in solid.boundaries.items()
                  if len(kept := numbers[facets][(numbers[facets] >= 0).all(axis=1)])}
    part = Solid(solid.nodes[nodes], numbers[own], solid.cell)
    outer = {tuple(sorted(facet)) for facet in part.outside[0].tolist()}
    # Nodes of a facet may all be in the zone while its cell is not.
    boundaries = {name: facets[[tuple(sorted(facet)) in outer for facet in facets.tolist()]]
                  for name, facets in boundaries.items()}
    regions = {name: rank[held][rank[held] >= 0] for name, held in solid.regions.items()}
    sets = {name: numbers[held][numbers[held] >= 0] for name, held in solid.node_sets.items()}
    return Solid(part.nodes, part.cells, part.cell, _held(boundaries), _held(regions), _held(sets))


def _held(named: Mapping[str, Numbers]) -> dict[str, Numbers]:
    return {name: numbers for name, numbers in named.items() if len(numbers)}


def zone_of_mesh(space: StrainSpace, mesh: str | Mapping[str, Any], element: str | None, cut: Any,
                 base: str | Path = ".") -> Zone:
    """A zone with a mesh of its own; what is known on the whole body comes to its nodes by the shape functions there.

    Parameters
    ----------
    space : StrainSpace
        Of the whole body.
    mesh, element, base
        As of the kind "mechanics".
    cut : place or list of places
        Of the zone's boundary behind which the whole body goes on.

    Raises
    ------
    ConfigError, InputError
        The mesh, the element or a place is wrong, or nodes lie outside the whole body.
    """
    if cut is None:
        raise ConfigError("a submodel with a mesh of its own needs cut, the place or places of its boundary behind "
                          "which the whole body goes on, such as cut = [\"x = max\", \"y = max\"]")
    solid = make_solid(mesh, base, element)
    if solid.nodes.shape[1] != space.d:
        raise ConfigError(f"the mesh of the submodel has {solid.nodes.shape[1]} directions and the whole body "
                          f"{space.d}; take one of the same")
    places = Places(solid)
    listed = list(cut) if isinstance(cut, Sequence) and not isinstance(cut, str) else [cut]
    if not listed:
        raise ConfigError("cut is an empty list; name a place of the zone's boundary")
    nodes = np.unique(np.concatenate([places.nodes(place) for place in listed]))
    try:
        values = interpolation(space, solid.nodes)
    except InputError as error:
        raise InputError(f"the mesh of the submodel does not lie in the whole body: {error}") from error
    return Zone(solid, solid.space(element), nodes, values)
