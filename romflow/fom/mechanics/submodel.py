"""The model kind "submodel": a zone of a body whose cut moves at random, as it did in runs of the whole body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.fingerprint import fingerprint
from romflow.core.names import nearest, shown
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.equilibrium import NewtonOptions
from romflow.fom.mechanics.loads import Loads, make_loads
from romflow.fom.mechanics.making import Tables
from romflow.fom.mechanics.model import Mechanics, QuasiStatic, check_norm
from romflow.fom.mechanics.outputs import make_outputs
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.problem import MechanicsProblem
from romflow.fom.mechanics.shapes.making import make_solid, mesh_spec
from romflow.fom.mechanics.submodel_generator import GENERATORS, make_coefficients
from romflow.fom.mechanics.submodel_modes import SpaceTimeModes, space_time_modes
from romflow.fom.mechanics.submodel_runs import WholeBody, histories_at, whole_body
from romflow.fom.mechanics.submodel_zone import Zone, zone_of_cells, zone_of_mesh
from romflow.fom.mechanics.supports import Supports, make_supports
from romflow.materials.making import make_law
from romflow.parameters.expressions import Theta
from romflow.parameters.generated import GeneratedColumns
from romflow.parameters.loading import Loading
from romflow.parameters.space import ParameterSpace
from romflow.parameters.spatial_field import FieldTerm, SpatialField

__all__ = ["Submodel"]

_MISSED = 0.01
_NORMAL = 0.05


class Submodel(Mechanics):
    """A zone of a body of kind "mechanics", driven by random displacements on its cut.

    Runs of the whole body at random parameters give displacements on the cut over time. Their space-time modes, with
    those of the temperature inside and of the parameters that loads and law read there, have random coefficients c;
    the parameters of this model are independent standard normal numbers z, and c(z) has the statistics of the runs.
    One z drives the cut, the temperature and the loads together, so that they stay as correlated as they were.

    Parameters
    ----------
    parameters : ParameterSpace
        z: "normal" or "truncated-normal" distributions of mean 0 and standard deviation 1.
    study : str
        Study file of the whole body.
    zone : str, optional
        Place of cells of the whole body; or give `mesh`.
    runs : str, optional
        Run folder of that study; runs/<name> beside it where left out.
    generator : {"normal", "copula", "network"}
        c = z; the runs' own distributions with a Gaussian copula; a generative network (needs PyTorch to be trained).
    modes : int, optional
        Number of coefficients; that of the parameters where left out, which the first two generators need.
    tolerance : float
        Share of the variance of the displacements on the cut, of the temperature and of each parameter that the modes
        may miss; more is refused.
    mesh, element : optional
        A mesh of its own, inside the whole body; displacements come to it by the whole body's shape functions.
    cut : place or list of places, optional
        Of that mesh: its boundary inside the whole body.
    supports, loads : list of mapping, optional
        Of that mesh, in the words of the whole body's study; on the whole body's cells they are its own.
    outputs : list of mapping
        As of the kind "mechanics", on the zone.
    network : mapping, optional
        "weights": file, "seed", "steps"; see `romflow.fom.mechanics.submodel_network.NetworkOptions`.
    newton, norm, base
        As of the kind "mechanics".

    Attributes
    ----------
    modes : SpaceTimeModes
        What was learnt, with the shares of the variance.
    zone : Zone

    Raises
    ------
    ConfigError, InputError, StoreError
        An option is wrong; the zone is empty, or the whole body; there are too few runs, or runs of another body; the
        modes miss more than the tolerance.

    Notes
    -----
    With z of a run's own coefficients and all modes, the zone moves as in that run: the same cells and times give the
    same discrete equations. Beyond the end of the runs nothing is known, and the model refuses. A temperature in its
    modes is not bounded by those of the runs; the range of the law is checked.
    """

    on_ranks = None

    def __init__(self, parameters: ParameterSpace, study: str, zone: str | None = None, runs: str | None = None,
                 generator: str = "normal", modes: int | None = None, tolerance: float = _MISSED,
                 mesh: str | Mapping[str, Any] | None = None, element: str | None = None, cut: Any = None,
                 supports: Tables | None = None, loads: Tables | None = None, outputs: Tables = (),
                 network: Mapping[str, Any] | None = None, newton: Mapping[str, Any] | None = None, norm: str = "L2",
                 base: str | Path = ".") -> None:
        check_norm(norm)
        _check_normal(parameters)
        if generator not in GENERATORS:
            raise ConfigError(f"generator = {shown(generator)}{nearest(str(generator), GENERATORS)}")
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0.0 <= tolerance < 1.0:
            raise ConfigError(f"tolerance = {shown(tolerance)}; the rule is 0 <= tolerance < 1, a share of the "
                              "variance")
        self.newton, self.parameters, self.norm = NewtonOptions.from_table(newton), parameters, norm
        whole = whole_body(study, runs, base)
        self.zone = _zone(whole, zone, mesh, element, cut, supports, loads, base)
        size = len(parameters.columns)
        count = _count(modes, size, generator)
        parts = _Parts(whole, self.zone, supports, loads)
        self.modes = space_time_modes(histories_at(whole, self.zone, parts.heat, parts.read), count)
        self._check_missed(float(tolerance), generator)
        coefficients = make_coefficients(generator, self.modes.samples, size, network, base)
        columns = GeneratedColumns(self.modes.names, whole.model.times, self.modes.mean, self.modes.modes, coefficients)
        loading = Loading(tuple(parameters.columns), whole.problem.loading.amplitudes, columns)
        self.mechanics: MechanicsProblem = parts.problem(loading, self.modes, outputs)
        self.n, self.mesh, self.outputs = self.mechanics.n, self.mechanics.space.mesh, None
        self._end = float(whole.model.times[-1])
        own = (Path(base, mesh),) if isinstance(mesh, str) else ()
        self.files = (whole.file, whole.store.folder / "store.json", *whole.model.files, *own)
        self.spec: dict[str, Any] = {
            "kind": "submodel", "whole": whole.model.spec, "zone": zone,
            "mesh": None if mesh is None else mesh_spec(mesh, base), "element": element, "cut": cut,
            "supports": supports, "loads": loads, "outputs": [dict(table) for table in outputs], "norm": norm,
            "columns": fingerprint(columns.to_spec()), "newton": {"tolerance": self.newton.tolerance}}

    @property
    def facts(self) -> dict[str, Any]:
        """How much of the runs the modes have, as JSON."""
        return {"runs": len(self.modes.samples), "modes": self.modes.samples.shape[1],
                "captured": dict(self.modes.captured), "shares": self.modes.shares.tolist()}

    def evolving(self, time: TimeGrid) -> QuasiStatic:
        """The model on a grid of times; ConfigError where it goes on after the runs of the whole body."""
        if time.times[-1] > self._end * (1.0 + 1e-9):
            raise ConfigError(f"[time] ends at {time.times[-1]:g} and the runs of the whole body at {self._end:g}; the "
                              "rule is an end within theirs, for later nothing is known of the cut")
        return super().evolving(time)

    def _check_missed(self, tolerance: float, generator: str) -> None:
        modes = self.modes
        if modes.missed <= tolerance + 1e-12:
            return
        worst = min(modes.captured, key=lambda name: modes.captured[name])
        left = 1.0 - np.cumsum(modes.shares)
        needed = min(int(np.count_nonzero(left > tolerance)) + 1, len(left))
        remedy = "raise modes" if generator == "network" else "raise the size of the parameters"
        raise ConfigError(f"{modes.samples.shape[1]} modes miss {modes.missed:.2g} of the variance of {worst}, and "
                          f"tolerance = {tolerance:g}; {remedy} (about {needed} of {len(left)} modes), or "
                          "the tolerance")


class _Parts:
    """What lies inside the zone, and what of it depends on the parameters of the whole body."""

    def __init__(self, whole: WholeBody, zone: Zone, supports: Tables | None, loads: Tables | None) -> None:
        self._whole, self._zone = whole, zone
        self._tables = supports or (), loads or ()
        problem = whole.problem
        self._parameters = set(problem.loading.parameters)
        self._old = problem.loading
        self.heat = bool(self._parameters.intersection(problem.temperature.used))
        self._supports, self._loads = self._held(problem.loading), self._acting(problem.loading)
        used = {*problem.law.reads, *_names(self._supports.theta), *_names(self._loads.theta)}
        self.read = tuple(name for name in problem.loading.parameters if name in used)

    def problem(self, loading: Loading, modes: SpaceTimeModes, outputs: Tables) -> MechanicsProblem:
        """The problem of the zone in the columns of its own loading."""
        zone, whole = self._zone, self._whole
        law = make_law(whole.options["law"], loading.columns, whole.base)
        supports = self._driven(loading, modes.shapes["trace"])
        loads = Loads(self._loads.forces, Theta(self._loads.theta.expressions, loading.columns), self._loads.names)
        return MechanicsProblem(
            zone.space, law, loading, self._temperature(loading, modes), supports, loads,
            make_outputs(outputs, Places(zone.solid), zone.space, supports, law), whole.problem.reference_force)

    def _held(self, loading: Loading) -> Supports:
        """Supports of the zone but for its cut."""
        zone, old = self._zone, self._whole.problem.supports
        if zone.nodes is None:
            return make_supports(self._tables[0], Places(zone.solid), loading, alone=False)
        dofs = _dofs(zone.nodes, zone.space.d)
        held = np.flatnonzero(~old.free[dofs])
        moves = old.modes[dofs]
        kept = np.flatnonzero(np.delete(moves, _dofs(zone.cut, zone.space.d), axis=0).any(axis=0))
        return Supports(held, moves[:, kept], _some(old.theta, kept))

    def _acting(self, loading: Loading) -> Loads:
        """Loads on the nodes that are not on the cut."""
        zone, old = self._zone, self._whole.problem.loads
        if zone.nodes is None:
            return make_loads(self._tables[1], Places(zone.solid), zone.space, loading)
        forces = old.forces[_dofs(zone.nodes, zone.space.d)].copy()
        forces[_dofs(zone.cut, zone.space.d)] = 0.0
        kept = np.flatnonzero(forces.any(axis=0))
        return Loads(forces[:, kept], _some(old.theta, kept), tuple(old.names[i] for i in kept))

    def _driven(self, loading: Loading, shapes: np.ndarray) -> Supports:
        """The supports of the zone, with the displacements on the cut before all others."""
        own, on_cut = self._supports, _dofs(self._zone.cut, self._zone.space.d)
        modes = np.zeros((self._zone.space.n, shapes.shape[1] + own.modes.shape[1]))
        modes[:, shapes.shape[1]:] = own.modes
        modes[on_cut] = 0.0
        modes[on_cut, :shapes.shape[1]] = shapes
        names = [f"trace_{i}" for i in range(shapes.shape[1])]
        return Supports(np.union1d(own.constrained, on_cut), modes,
                        Theta([*names, *own.theta.expressions], loading.columns))

    def _temperature(self, loading: Loading, modes: SpaceTimeModes) -> SpatialField:
        """The whole body's own field where the parameters do not change it, else its modes."""
        if self.heat:
            shapes = modes.shapes["temperature"]
            return SpatialField([FieldTerm(f"temperature_{i}", np.ascontiguousarray(shape))
                                 for i, shape in enumerate(shapes.T)], loading.columns)
        zone, old = self._zone, self._whole.problem.temperature
        return SpatialField([term if term.numbers is None else replace(term, numbers=zone.values @ term.numbers)
                             for term in old.terms], loading.columns)


def _zone(whole: WholeBody, zone: str | None, mesh: Any, element: str | None, cut: Any, supports: Tables | None,
          loads: Tables | None, base: str | Path) -> Zone:
    if (zone is None) == (mesh is None):
        raise ConfigError(f"zone = {shown(zone)} and mesh = {shown(mesh)}; the rule is one of both: a place of cells "
                          "of the whole body, or a mesh of its own inside it")
    if mesh is not None:
        if supports is None or loads is None:
            raise ConfigError("a submodel with a mesh of its own needs supports and loads, lists of tables of what "
                              "holds and loads it besides the cut; [] where nothing does")
        return zone_of_mesh(whole.problem.space, mesh, element, cut, base)
    for word, value in (("element", element), ("cut", cut), ("supports", supports), ("loads", loads)):
        if value is not None:
            raise ConfigError(f"{word} = {shown(value)} belongs to a submodel with a mesh of its own; a zone of the "
                              "whole body's cells has that body's: leave it out")
    solid = make_solid(whole.options["mesh"], whole.base, whole.options.get("element"))
    return zone_of_cells(solid, whole.problem.space, zone)


def _count(modes: int | None, size: int, generator: str) -> int:
    count = size if modes is None else modes
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"modes = {shown(modes)}; the rule is a whole number from 1")
    if generator != "network" and count != size:
        raise ConfigError(f"modes = {count} and the parameters have {size} columns; the generator {generator!r} needs "
                          "one parameter a mode: give them the same size, or leave modes out")
    return count


def _check_normal(parameters: ParameterSpace) -> None:
    for table in parameters.tables:
        law = table.distribution
        kind = law.kind in ("normal", "truncated-normal")
        if not kind or abs(law.expectation) > _NORMAL or abs(np.sqrt(law.variance) - 1.0) > _NORMAL:
            raise ConfigError(f"the parameter {table.name!r} of a submodel is {law.kind} with mean "
                              f"{law.expectation:.3g} and standard deviation {np.sqrt(law.variance):.3g}; the rule is "
                              "a normal or truncated-normal distribution of mean 0 and std 1")


def _dofs(nodes: np.ndarray, d: int) -> np.ndarray:
    return np.asarray((nodes[:, None] * d + np.arange(d)).ravel())


def _some(theta: Theta, kept: np.ndarray) -> Theta:
    return Theta([theta.expressions[i] for i in kept], theta.columns)


def _names(theta: Theta) -> set[str]:
    return {theta.columns[j] for j in theta.used}
