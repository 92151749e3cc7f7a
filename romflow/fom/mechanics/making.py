"""From the options of a study to a problem of mechanics, and to its JSON identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import nearest, one_line, shown
from romflow.fom.mechanics.loads import make_loads
from romflow.fom.mechanics.outputs import make_outputs
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.problem import MechanicsProblem
from romflow.fom.mechanics.random_temperature import random_temperature
from romflow.fom.mechanics.shapes.making import make_solid, mesh_spec
from romflow.fom.mechanics.solid import Solid
from romflow.fom.mechanics.supports import make_supports
from romflow.materials.making import law_identity, make_law
from romflow.materials.protocol import MaterialLaw
from romflow.parameters.loading import Amplitude, Loading
from romflow.parameters.space import ParameterSpace
from romflow.parameters.spatial_field import FieldTerm, SpatialField

__all__ = ["Description", "make_amplitudes", "make_temperature"]

Tables = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Description:
    """The options that describe a problem, whichever program solves it.

    Attributes
    ----------
    law : mapping
        Table of :func:`romflow.materials.making.make_law`.
    mesh : str or mapping, optional
        Table or file of :func:`romflow.fom.mechanics.shapes.making.make_solid`.
    element : str, optional
        A name of `romflow.fom.mechanics.elements.ELEMENTS`.
    supports, loads, outputs : list of mapping
        Tables of `make_supports`, `make_loads`, `make_outputs`.
    temperature : number, text, mapping or list of them, optional
        Terms of a :class:`romflow.parameters.spatial_field.SpatialField`, or {"file": .npy of (N,) numbers,
        "amplitude": text}, or a table of :func:`romflow.fom.mechanics.random_temperature.random_temperature`; the law's
        reference temperature where left out.
    amplitudes : mapping of name to table, or list of tables with names
        Tables of time with times, values and, if they repeat, period.
    reference_force : float
        What a residual is small against where nothing acts.
    """

    law: Mapping[str, Any]
    mesh: str | Mapping[str, Any] | None = None
    element: str | None = None
    supports: Tables = ()
    loads: Tables = ()
    temperature: Any = None
    amplitudes: Mapping[str, Any] | Tables = ()
    outputs: Tables = ()
    reference_force: float = 0.0

    def solid(self, base: str | Path = ".") -> Solid:
        """The body.

        Raises
        ------
        ConfigError, InputError
            There is no mesh, or it cannot be made.
        """
        if self.mesh is None:
            raise ConfigError("the model needs a mesh: mesh = \"file\", or a table with shape, such as mesh = {shape = "
                              "\"plate-with-hole\"}")
        return make_solid(self.mesh, base, self.element)

    def problem(self, parameters: ParameterSpace, solid: Solid, base: str | Path = ".") -> MechanicsProblem:
        """The problem on a body.

        Raises
        ------
        ConfigError, InputError, ShapeError
            An option is wrong; the message says which.
        """
        force = self.reference_force
        if isinstance(force, bool) or not isinstance(force, int | float) or not 0.0 <= force < np.inf:
            raise ConfigError(f"reference_force = {shown(force)}; the rule is a number from 0")
        if not isinstance(self.law, Mapping):
            raise ConfigError(f"law = {shown(self.law)} is no table; write [model.law] with kind and the law's options")
        loading = Loading(parameters.columns, make_amplitudes(self.amplitudes))
        law = make_law(self.law, loading.columns, base)
        space, places = solid.space(self.element), Places(solid)
        supports = make_supports(self.supports, places, loading)
        return MechanicsProblem(
            space, law, loading, make_temperature(self.temperature, law, loading, space.nodes, base), supports,
            make_loads(self.loads, places, space, loading),
            make_outputs(self.outputs, places, space, supports, law), float(force))

    def spec(self, law: MaterialLaw, base: str | Path = ".") -> dict[str, Any]:
        """JSON identity of all that changes the displacements, files by their SHA-256."""
        heat = [{**term, "file": file_fingerprint(Path(base, term["file"]))}
                if isinstance(term, Mapping) and "file" in term else term for term in _terms(self.temperature)]
        return {"mesh": None if self.mesh is None else mesh_spec(self.mesh, base), "element": self.element,
                "law": law_identity(law), "supports": [dict(table) for table in self.supports],
                "loads": [dict(table) for table in self.loads], "temperature": heat,
                "amplitudes": [amplitude.to_spec() for amplitude in make_amplitudes(self.amplitudes)],
                "outputs": [dict(table) for table in self.outputs], "reference_force": self.reference_force}

    def files(self, base: str | Path = ".") -> tuple[Path, ...]:
        """Files that the problem is made from."""
        found = [Path(base, term["file"]) for term in _terms(self.temperature)
                 if isinstance(term, Mapping) and "file" in term]
        return (*found, Path(base, self.mesh)) if isinstance(self.mesh, str) else tuple(found)


def make_amplitudes(tables: Mapping[str, Any] | Tables) -> tuple[Amplitude, ...]:
    """Amplitudes from a table of tables by their names, or from a list of tables with names.

    Raises
    ------
    ConfigError
        A table is wrong.

    Examples
    --------
    >>> make_amplitudes({"cycle": {"times": [0, 1], "values": [0, 2]}})[0].at(0.5)
    np.float64(1.0)
    """
    if isinstance(tables, Mapping):
        wrong = [name for name, table in tables.items() if not isinstance(table, Mapping)]
        if wrong:
            raise ConfigError(f"the amplitude {wrong[0]!r} is no table; give times and values")
        tables = [{"name": name, **table} for name, table in tables.items()]
    if isinstance(tables, str) or not isinstance(tables, Sequence) or any(not isinstance(t, Mapping) for t in tables):
        raise ConfigError(f"amplitudes = {shown(tables)}; write [model.amplitudes.NAME] with times and values")
    return tuple(Amplitude.from_spec(table) for table in tables)


def make_temperature(given: Any, law: MaterialLaw, loading: Loading, nodes: np.ndarray,
                     base: str | Path = ".") -> SpatialField:
    """The temperature field of a body with nodes (N, d).

    Raises
    ------
    ConfigError, InputError
        A term is wrong, or a file cannot be read.
    ShapeError
        Nodal numbers do not fit the mesh.
    """
    terms = [_made(term, loading, nodes, base) for term in _terms(given)]
    if not terms:
        reference = law.to_spec().get("reference_temperature", 0.0)
        terms = [reference if isinstance(reference, int | float | str) else 0.0]
    field = SpatialField(terms, loading.columns)
    for term in field.terms:
        if isinstance(term, FieldTerm) and term.numbers is not None and term.numbers.size != len(nodes):
            raise ShapeError(f"the temperature has {term.numbers.size} nodal values and the mesh {len(nodes)} nodes; "
                             "give one a node of this mesh")
    return field


def _terms(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _made(term: Any, loading: Loading, nodes: np.ndarray, base: str | Path) -> Any:
    if isinstance(term, Mapping) and "file" in term:
        return _from_file(term, base)
    if isinstance(term, Mapping) and "covariance" in term:
        return random_temperature(term, loading.columns, nodes)
    return term


def _from_file(term: Mapping[str, Any], base: str | Path) -> dict[str, Any]:
    keys = ("file", "amplitude")
    for key in term:
        if key not in keys:
            raise ConfigError(f"a term of the temperature has no key {shown(key)}{nearest(str(key), keys)}")
    path = Path(base, str(term["file"]))
    try:
        numbers = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the nodal temperatures {path} cannot be read ({one_line(str(error), 120)}); write one "
                         "number a node with numpy.save") from None
    return {"values": numbers, "amplitude": term.get("amplitude", "1")}
