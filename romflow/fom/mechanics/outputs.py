"""Scalar outputs of a body: displacements and reactions at places, means and maxima of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.problem import FIELDS, MechanicsProblem, Output, Point
from romflow.fom.mechanics.space import StrainSpace
from romflow.fom.mechanics.supports import Supports
from romflow.materials.protocol import MaterialLaw, rows_of
from romflow.materials.tensors import mises

__all__ = ["evaluate", "field_of", "make_outputs"]

_KEYS = {"displacement": ("on", "component"), "reaction": ("on", "component"),
         "field": ("field", "on", "at", "measure")}
_COMMON = ("name", "type")


def make_outputs(tables: Sequence[Mapping[str, Any]], places: Places, space: StrainSpace, supports: Supports,
                 law: MaterialLaw) -> tuple[Output, ...]:
    """The outputs that the tables of a study describe.

    Parameters
    ----------
    tables : sequence of mapping
        ``name``, and by their ``type``: "displacement" (``on`` a place, ``component``: the mean over its facets, or
        over its nodes where it has none); "reaction" (``on``, ``component``: sum over its nodes, all of which are
        supported); "field" (``field``: "mises", "stress_xx" ..., or a variable of the law such as
        "accumulated_plastic_strain"; ``measure`` "max" or "mean" over ``on``, a region, all where left out; or ``at``
        coordinates: the Gauss point nearest to them).

    Raises
    ------
    ConfigError
        A key, place, field or name is wrong, or a name is used twice.
    """
    if isinstance(tables, Mapping | str) or not isinstance(tables, Sequence):
        raise ConfigError(f"outputs = {shown(tables)} is no list of tables; write [[model.outputs]] with name and type")
    found = tuple(_output(table, number, places, space, supports, law) for number, table in enumerate(tables, 1))
    names = [output.name for output in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two outputs are called {name!r}; give each its own name")
    return found


def field_of(law: MaterialLaw, name: str, stress: np.ndarray, state: np.ndarray) -> np.ndarray:
    """The scalar field (G,) of this name out of stress (6, G) and state (s, G).

    Examples
    --------
    >>> from romflow.materials.making import make_law
    >>> law = make_law({"kind": "thermoelastic", "young": 2e5, "poisson": 0.3})
    >>> field_of(law, "mises", np.array([[3.0], [0], [0], [0], [0], [0]]), np.zeros((0, 1)))
    array([3.])
    """
    if name == "mises":
        return np.asarray(mises(stress))
    if name in FIELDS:
        return np.asarray(stress[FIELDS.index(name) - 1])
    return np.asarray(state[rows_of(law, name)][0])


def evaluate(problem: MechanicsProblem, point: Point, rows: np.ndarray) -> np.ndarray:
    """The problem's outputs (o,) at a point of the history, for rows (1, c) of the columns."""
    stress = np.zeros((6, problem.space.weights.size)) if point.stress is None else point.stress
    imbalance: np.ndarray | None = None
    values = []
    for output in problem.outputs:
        if output.kind == "field":
            field = field_of(problem.law, str(output.field), stress, point.state)[output.points]
            values.append(field.max() if output.measure == "max" else output.weights @ field)
        elif output.kind == "reaction":
            if imbalance is None:
                imbalance = problem.space.forces(stress) - problem.external(rows)
            values.append(output.functional @ imbalance)
        else:
            values.append(output.functional @ point.displacement)
    return np.array(values, dtype=np.float64)


def _output(table: Any, number: int, places: Places, space: StrainSpace, supports: Supports,
            law: MaterialLaw) -> Output:
    kind = table.get("type") if isinstance(table, Mapping) else None
    if kind not in _KEYS:
        raise ConfigError(f"output {number} has type = {shown(kind)}{nearest(str(kind), _KEYS)}")
    for key in table:
        if key not in (*_COMMON, *_KEYS[kind]):
            raise ConfigError(f"output {number} ({kind}) has no key {shown(key)}{nearest(str(key), _KEYS[kind])}")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"output {number} ({kind}) has name = {shown(name)}; give it a name of its own")
    if kind == "field":
        return _field(table, name, places, space, law)
    component = _component(table, name, places.d)
    if "on" not in table:
        raise ConfigError(f"output {name!r} needs on, the place that it is of")
    nodes = places.nodes(table["on"])
    functional = np.zeros(space.n)
    if kind == "reaction":
        dofs = nodes * places.d + component
        loose = int(np.count_nonzero(supports.free[dofs]))
        if loose:
            raise ConfigError(f"output {name!r} is the reaction at {len(dofs)} nodes, {loose} of which are not "
                              "supported in that direction; take a place that a support holds")
        functional[dofs] = 1.0
    else:
        functional[component::places.d] = _mean_weights(table["on"], nodes, places, len(space.nodes))
    return Output(name, kind, functional=functional)


def _mean_weights(place: Any, nodes: np.ndarray, places: Places, count: int) -> np.ndarray:
    """Weights (N,) of the mean over the facets of a place, or of its nodes where it has none."""
    try:
        if isinstance(place, str):
            facets = places.facets(place)
            weights = facets.loads(np.ones((*facets.weights.shape, 1)), count)[:, 0]
            return np.asarray(weights / weights.sum())
    except ConfigError:
        pass
    weights = np.zeros(count)
    weights[nodes] = 1.0 / len(nodes)
    return weights


def _component(table: Mapping[str, Any], name: str, d: int) -> int:
    axis = table.get("component")
    if not isinstance(axis, str) or axis not in list("xyz"[:d]):
        raise ConfigError(f"output {name!r} has component = {shown(axis)}; the rule is one of {', '.join('xyz'[:d])}")
    return "xyz".index(axis)


def _field(table: Mapping[str, Any], name: str, places: Places, space: StrainSpace, law: MaterialLaw) -> Output:
    known = [*FIELDS, *(word for word, size in law.variables.items() if size == 1)]
    field = table.get("field")
    if field not in known:
        raise ConfigError(f"output {name!r} has field = {shown(field)}{nearest(str(field), known)}")
    if "at" in table:
        if "on" in table or "measure" in table:
            raise ConfigError(f"output {name!r} has at beside on or measure; a point is neither a region nor a mean")
        point = places.nearest_point(table["at"], space.points)
        return Output(name, "field", field=field, points=np.array([point]), weights=np.ones(1))
    measure = table.get("measure", "max")
    if measure not in ("mean", "max"):
        raise ConfigError(f"output {name!r} has measure = {shown(measure)}; the rule is \"mean\" or \"max\"")
    q = len(space.shape)
    cells = places.cells(table["on"]) if "on" in table else np.arange(len(space.cells))
    points = (q * cells[:, None] + np.arange(q)).ravel()
    weights = space.weights[points] / space.weights[points].sum()
    return Output(name, "field", field=field, measure=measure, points=points, weights=weights)
