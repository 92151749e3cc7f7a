"""Places of a body by name, plane, inequality or coordinates: their nodes, facets with quadrature, and cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.gallery.mesh_files import plane_points
from romflow.fom.mechanics.elements import cell_facet, make_rule
from romflow.fom.mechanics.solid import Solid
from romflow.parameters.spatial_field import SpatialField

__all__ = ["FacetPoints", "Places", "at_place"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
_COMPARISON = re.compile(r"(<=|>=|<|>)")
_COMPARE = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal}
# Order of the quadrature of loads on facets.
_ORDER = 4


@dataclass(frozen=True, eq=False)
class FacetPoints:
    """Quadrature on facets of the boundary.

    Attributes
    ----------
    nodes : (F, f) int
        Nodes of each facet.
    shape : (k, f)
        Shape functions at the k points of a facet.
    weights : (F, k)
        Their sum is the area (length in the plane).
    points : (F, k, d)
    normals : (F, k, d)
        Unit vectors outwards.
    """

    nodes: Numbers
    shape: Array
    weights: Array
    points: Array
    normals: Array

    def loads(self, tractions: Array, count: int) -> Array:
        """Nodal forces (count, d) of tractions (F, k, d)."""
        local = np.einsum("ek,kf,ekx->efx", self.weights, self.shape, tractions, optimize=True)
        out = np.zeros((count, local.shape[2]))
        np.add.at(out, self.nodes.ravel(), local.reshape(-1, local.shape[2]))
        return out


class Places:
    """Finds what texts of a study name.

    A place is the name of a part of the boundary, of a set of nodes or of a region, "boundary" (all of it), a plane
    such as "x = 0" or "z = max", inequalities in x, y, z joined by "and" ("0 < x <= 1 and x**2 + y**2 > 4"), or a list
    of d coordinates, which stands for the node nearest to them.

    Parameters
    ----------
    solid : Solid

    Examples
    --------
    >>> from romflow.fom.mechanics.shapes.plate_with_hole import plate_with_hole
    >>> places = Places(plate_with_hole((4, 4)))
    >>> places.nodes("hole").size, places.nodes("x**2 + y**2 < 1.01").size, places.nodes([1.0, 0.0]).tolist()
    (5, 5, [0])
    """

    def __init__(self, solid: Solid) -> None:
        self.solid = solid

    @property
    def d(self) -> int:
        """Number of directions."""
        return int(self.solid.nodes.shape[1])

    def nodes(self, place: Any) -> Numbers:
        """Nodes (k,), rising, of a place.

        Raises
        ------
        ConfigError
            The place is unknown or holds no node.
        """
        solid = self.solid
        if isinstance(place, Sequence) and not isinstance(place, str):
            return np.array([np.linalg.norm(solid.nodes - self._coordinates(place), axis=1).argmin()])
        if place == "boundary":
            return np.unique(solid.outside[0])
        if place in solid.boundaries:
            return np.unique(solid.boundaries[place])
        if place in solid.node_sets:
            return np.unique(solid.node_sets[place])
        if place in solid.regions:
            return np.unique(solid.cells[solid.regions[place]])
        return self._some(np.flatnonzero(self._within(place, solid.nodes)), place, "node")

    def facets(self, place: Any) -> FacetPoints:
        """Facets of the boundary at a place: all their nodes lie in it.

        Raises
        ------
        ConfigError
            The place is unknown, or holds no facet of the boundary, or facets inside the body.
        """
        return self._quadrature(self.facet_numbers(place))

    def facet_numbers(self, place: Any) -> Numbers:
        """Rows (F,) of `solid.outside` that lie in a place; errors as for `facets`."""
        facets = self.solid.outside[0]
        if place == "boundary":
            return np.arange(len(facets))
        if isinstance(place, str) and place in self.solid.boundaries:
            return self._outside(np.asarray(self.solid.boundaries[place]), place)
        inside = np.zeros(len(self.solid.nodes), dtype=bool)
        inside[self.nodes(place)] = True
        return self._some(np.flatnonzero(inside[facets].all(axis=1)), place, "facet of the boundary")

    def cells(self, place: Any) -> Numbers:
        """Cells (c,) of a region, or those with a centre that the inequalities hold for.

        Raises
        ------
        ConfigError
            The place is unknown or holds no cell.
        """
        if isinstance(place, str) and place in self.solid.regions:
            return np.asarray(self.solid.regions[place])
        if isinstance(place, str) and place in self.names:
            raise ConfigError(f"the place {shown(place)} is a part of the boundary or a set of nodes and holds no "
                              "cell; name a region of the mesh, or write an inequality such as \"x**2 + y**2 < 2\"")
        centres = self.solid.nodes[self.solid.cells].mean(axis=1)
        return self._some(np.flatnonzero(self._within(place, centres)), place, "cell")

    def nearest_point(self, coordinates: Sequence[float], points: Array) -> int:
        """Number of the point (of points (d, G)) nearest to the coordinates; the first of several."""
        return int(((points - self._coordinates(coordinates)[:, None]) ** 2).sum(axis=0).argmin())

    @property
    def names(self) -> list[str]:
        """Names that may stand for a place."""
        return ["boundary", *self.solid.boundaries, *self.solid.node_sets, *self.solid.regions]

    def _coordinates(self, place: Sequence[Any]) -> Array:
        numbers = [value for value in place if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) != len(place) or len(place) != self.d or not np.isfinite(numbers).all():
            raise ConfigError(f"the place {shown(list(place))} is no list of {self.d} finite coordinates")
        return np.array(numbers, dtype=np.float64)

    def _within(self, place: Any, points: Array) -> NDArray[np.bool_]:
        marks = plane_points(points, place)
        if marks is not None:
            return marks
        if not isinstance(place, str) or not _COMPARISON.search(place):
            known = [*self.names, "x = 0"]
            raise ConfigError(f"the mesh has no place {shown(place)}{nearest(str(place), known)} Planes such as "
                              "\"z = max\" and inequalities such as \"x + y > 1\" are places too")
        return _holds(place, points)

    def _some(self, numbers: Numbers, place: Any, what: str) -> Numbers:
        if numbers.size == 0:
            low, high = self.solid.nodes.min(axis=0), self.solid.nodes.max(axis=0)
            size = ", ".join(f"{axis} = {a:.6g} .. {b:.6g}" for axis, a, b in zip("xyz", low, high, strict=False))
            raise ConfigError(f"the place {shown(place)} holds no {what} of the mesh, which spans {size}; check the "
                              "name or the coordinates")
        return numbers

    def _outside(self, facets: Numbers, place: str) -> Numbers:
        rows, found = self._facet_keys, _facet_keys(facets, self._corners)
        both, places = np.unique(np.concatenate([rows, found]), axis=0, return_inverse=True)
        where = np.full(len(both), -1)
        where[places[:len(rows)]] = np.arange(len(rows))
        numbers = where[places[len(rows):]]
        if numbers.size == 0 or numbers.min() < 0:
            raise ConfigError(f"the place {shown(place)} holds {int((numbers < 0).sum())} facets that are not on the "
                              "boundary of the body; loads need facets of the boundary")
        return numbers

    @property
    def _corners(self) -> int:
        return {"line": 2, "line3": 2, "triangle": 3, "triangle6": 3, "quad": 4}[cell_facet(self.solid.cell)]

    @cached_property
    def _facet_keys(self) -> Numbers:
        return _facet_keys(self.solid.outside[0], self._corners)

    def _quadrature(self, numbers: Numbers) -> FacetPoints:
        nodes = self.solid.outside[0][numbers]
        rule = make_rule(cell_facet(self.solid.cell), _ORDER)
        points, jacobians, measures = rule.mapped(self.solid.nodes[nodes])
        first = jacobians[..., 0]
        if self.d == 2:
            normals = np.stack([first[..., 1], -first[..., 0]], axis=-1)
        else:
            normals = np.cross(first, jacobians[..., 1])
        return FacetPoints(nodes, rule.shape, measures * rule.weights, points, normals / measures[..., None])


def at_place(text: str | float, points: Array) -> Array:
    """Values (P,) of a text in x, y and z at points (P, d).

    Raises
    ------
    ConfigError, ParameterError
        The text is no arithmetic of x, y and z; it is not finite somewhere.

    Examples
    --------
    >>> at_place("2 * x", np.array([[1.0, 0.0], [3.0, 0.0]]))
    array([2., 6.])
    """
    return SpatialField([text], ()).values(points.T, np.zeros((1, 0)))[:, 0]


def _holds(text: str, points: Array) -> NDArray[np.bool_]:
    """Where (P,) all inequalities of a text hold."""
    marks = np.ones(len(points), dtype=bool)
    for part in re.split(r"\band\b", text):
        pieces = _COMPARISON.split(part)
        if len(pieces) < 3 or not all(piece.strip() for piece in pieces):
            raise ConfigError(f"the place {shown(text)} is no inequality; write such as \"0 < x <= 1 and y > 2\"")
        sides = [at_place(piece.strip(), points) for piece in pieces[::2]]
        for k, sign in enumerate(pieces[1::2]):
            marks &= _COMPARE[sign](sides[k], sides[k + 1])
    return marks


def _facet_keys(facets: Numbers, corners: int) -> Numbers:
    return np.sort(facets[:, :corners], axis=1)
