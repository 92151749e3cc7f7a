"""The model kind "mechanics": a nonlinear body under loads and heat in time, solved here."""

from __future__ import annotations

import copy
import threading
import time as clock
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, NotSupported
from romflow.core.names import shown
from romflow.core.snapshot import Snapshot
from romflow.fom.evolution.solvers import step_options
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.between import Between, Inner
from romflow.fom.mechanics.equilibrium import Equilibrium, NewtonOptions, StepReport
from romflow.fom.mechanics.linear import DirectTangents, FreePattern, KeptFactor, SharedFactor, Tangents
from romflow.fom.mechanics.making import Description, Tables
from romflow.fom.mechanics.marching import marched
from romflow.fom.mechanics.outputs import evaluate
from romflow.fom.mechanics.problem import MechanicsProblem, Point
from romflow.fom.protocol import Piece, Resume
from romflow.linalg.solvers.optional import EXTRAS, load
from romflow.parameters.space import ParameterSpace

__all__ = ["Mechanics", "QuasiStatic", "check_norm"]

_PIECE = 32 << 20
# States are handed on after so many seconds, where a checkpoint is at most so many times their size; in the end anyway.
_SECONDS, _CHECKPOINT, _LATEST = 4.0, 4, 60.0
# GMRES iterations that cost as much as a factorisation: about 20 at 7,000 dofs in space, 25 at 100,000.
_RENEWAL = 30.0
_NORMS = ("L2", "H1")
_POINT = ("displacement", "state", "stress", "rate")


class Mechanics:
    """Quasi-static small-strain mechanics with a nonlinear law: displacements (n,) over the times of [time].

    Parameters
    ----------
    parameters : ParameterSpace
    law : mapping
        [model.law]: kind and options of a material law; texts may name T, parameters, amplitudes and t.
    mesh, element, supports, loads, temperature, amplitudes, outputs, reference_force
        See `romflow.fom.mechanics.making.Description`.
    newton : mapping, optional
        Keys of `romflow.fom.mechanics.equilibrium.NewtonOptions`.
    norm : {"L2", "H1"}
        In which displacements are compared.
    base : path
        Folder that files are relative to.

    Attributes
    ----------
    needs_time : bool
        True; `evolving` gives the model that can be solved.
    mechanics : MechanicsProblem

    Raises
    ------
    ConfigError, InputError
        An option is wrong.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("pull", Uniform(0.0, 200.0))])
    >>> model = Mechanics(space, {"kind": "thermoelastic", "young": 1000.0, "poisson": 0.0},
    ...     mesh={"shape": "box", "cells": [2, 1, 1]}, element="hex8-bbar", supports=[{"on": "x = 0"}],
    ...     loads=[{"type": "traction", "on": "x = max", "value": [1, 0, 0], "amplitude": "pull * t"}],
    ...     outputs=[{"name": "end", "type": "displacement", "on": "x = max", "component": "x"}])
    >>> model.evolving(TimeGrid(1.0, 1)).solve(np.array([100.0])).outputs.round(9)
    array([0.1])
    """

    needs_time = True
    #: `romflow.fom.mechanics.ranks` marches the histories of this kind where a study gives ranks.
    on_ranks = "history"

    def __init__(self, parameters: ParameterSpace, law: Mapping[str, Any], mesh: str | Mapping[str, Any] | None = None,
                 element: str | None = None, supports: Tables = (), loads: Tables = (), temperature: Any = None,
                 amplitudes: Mapping[str, Any] | Tables = (), outputs: Tables = (), reference_force: float = 0.0,
                 newton: Mapping[str, Any] | None = None, norm: str = "L2", base: str | Path = ".") -> None:
        about = Description(law, mesh, element, supports, loads, temperature, amplitudes, outputs, reference_force)
        check_norm(norm)
        self.newton = NewtonOptions.from_table(newton)
        self.parameters, self.norm, self.files = parameters, norm, about.files(base)
        self.mechanics: MechanicsProblem = about.problem(parameters, about.solid(base), base)
        self.n, self.mesh, self.outputs = self.mechanics.n, self.mechanics.space.mesh, None
        self.spec: dict[str, Any] = {
            "kind": "mechanics", **about.spec(self.mechanics.law, base), "norm": norm,
            "newton": {"tolerance": self.newton.tolerance}}

    def evolving(self, time: TimeGrid) -> QuasiStatic:
        """The model on a grid of times; ConfigError for what only models with a mass have."""
        refuse = {"scheme": (time.scheme, "implicit-euler"), "tolerance": (time.tolerance, None),
                  "load": (time.load.strip(), "1"), "initial": (time.initial, None)}
        for key, (value, only) in refuse.items():
            if value != only:
                raise ConfigError(f"[time] {key} = {shown(value)} does not belong to mechanics, whose steps are those "
                                  "of the law, implicit in time, and whose loads have amplitudes of their own: leave "
                                  "it out")
        return QuasiStatic(self, time)

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Raise NotSupported: a history needs times."""
        raise NotSupported("mechanics moves in time; add the table [time] with end and steps, or call "
                           "evolving(TimeGrid(...))")


class QuasiStatic:
    """The history of a body over given times, one implicit step of the law from each to the next.

    Parameters
    ----------
    model : Mechanics
    time : TimeGrid

    Attributes
    ----------
    times : (K + 1,)
    mechanics : MechanicsProblem
    n : int
        Dofs, the supported ones too.
    inner_product : sparse (n, n)
    """

    def __init__(self, model: Mechanics, time: TimeGrid) -> None:
        self.parameters, self.mechanics, self.newton = model.parameters, model.mechanics, model.newton
        self.n, self.mesh, self.norm, self.files = model.n, model.mesh, model.norm, model.files
        self.outputs = None
        self.output_names = tuple(output.name for output in self.mechanics.outputs)
        space = self.mechanics.space
        self.inner_product = space.h1 if model.norm == "H1" else space.mass(space.nodes.shape[1])
        self.time = time
        self._about = model.spec
        self._options: dict[str, Any] | None = None
        self._backend = "auto"
        self._local = threading.local()

    @property
    def times(self) -> np.ndarray:
        """Stored times (K + 1,)."""
        return self.time.times

    @property
    def spec(self) -> dict[str, Any]:
        """JSON identity."""
        return {**self._about, "times": self.time.times.tolist()}

    def on(self, time: TimeGrid) -> QuasiStatic:
        """The same model on other times."""
        other = copy.copy(self)
        other.time, other._local = time, threading.local()
        return other

    def use_solver(self, options: Mapping[str, Any]) -> None:
        """Solve from now on as the keys of [solver] say: "auto" keeps factorisations, the others work for each tangent.

        Raises
        ------
        ConfigError
            A method for stationary or split models, an unknown name, or a package that is not installed.
        """
        self._local = threading.local()
        if options["method"] == "auto":
            if options["backend"] in EXTRAS:
                load(options["backend"])
            self._options, self._backend = None, options["backend"]
            return
        own = {"method": "direct", "backend": "superlu", "tolerance": options["tolerance"]}
        self._options = step_options(options) or own

    def solve(self, mu: np.ndarray) -> Snapshot:
        """State and outputs at the last time for mu (p,); the others are not kept.

        Raises
        ------
        ParameterError, SolveFailed
            As for `march`.
        """
        last = deque(self.march(mu), maxlen=1)[0]
        outputs = None if last.series is None else last.series[:, -1]
        return Snapshot(last.states[:, -1].copy(), outputs, {"steps": self.time.steps})

    def march(self, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece]:
        """Pieces of the history at mu (p,), in order, from the first time or from `resume` (next index, checkpoint) on.

        Raises
        ------
        ParameterError
            mu is outside the space, or a temperature outside the range of the law.
        InputError
            A prescribed displacement is not zero at the first time.
        SolveFailed
            A step has no equilibrium; the pieces before it were given.
        """
        row = self.parameters.one(mu, "one history")
        start = 0 if resume is None else int(resume[0])
        if start >= len(self.times):
            return
        equilibrium = self._equilibrium()
        point = self.mechanics.virgin(self.times[0])
        if resume is None:
            self.mechanics.check_start(row, float(self.times[0]))
        else:
            point = Point(float(self.times[start - 1]), *(np.asarray(resume[1][name]) for name in _POINT))
            equilibrium.tangents.restore(resume[1])
        between = Between(None if resume is None else resume[1])
        yield from marched(equilibrium, self.times, row, start, point,
                           _Basket(self, row, start, equilibrium.tangents, between))

    def step_from(self, previous: Point, t: float, mu: np.ndarray) -> tuple[Point, StepReport]:
        """One step from any equilibrium to the time t at mu (p,); nothing of earlier steps is used but `previous`.

        Raises
        ------
        ParameterError, SolveFailed
            As for `march`.
        """
        if not float(t) > previous.time:
            raise InputError(f"a step from t = {previous.time:.6g} to t = {float(t):.6g} does not go on in time")
        return self._equilibrium().step(previous, float(t), self.parameters.one(mu, "one history"))

    def _equilibrium(self) -> Equilibrium:
        return Equilibrium(self.mechanics, self._tangents(), self.newton)

    def _tangents(self) -> Tangents:
        """A solver for one history; the pattern and its analysis are one for all histories of a thread."""
        kept = vars(self._local)
        if "shared" not in kept:
            pattern = FreePattern(self.mechanics.space, self.mechanics.supports.free)
            kept["shared"] = SharedFactor(pattern, self._backend)
        shared: SharedFactor = kept["shared"]
        if self._options is not None:
            return DirectTangents(shared.pattern, self._options, self.mechanics.law.symmetric)
        return KeptFactor(shared, _RENEWAL)


def check_norm(norm: str) -> None:
    """Raise ConfigError unless displacements can be compared in this norm."""
    if norm not in _NORMS:
        raise ConfigError(f"norm = {shown(norm)}; the rule is \"L2\" or \"H1\"")


class _Basket:
    """Points that are handed on together."""

    def __init__(self, model: QuasiStatic, row: np.ndarray, start: int, tangents: Tangents, between: Between) -> None:
        self._model, self._row, self._start, self._tangents, self._between = model, row, start, tangents, between
        self._states: list[np.ndarray] = []
        self._series: list[np.ndarray] = []
        self._begun = clock.monotonic()
        self._last: Point | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._states)

    def add(self, point: Point, inner: Inner = ()) -> None:
        """Take one more, and what lies between it and the one before."""
        problem = self._model.mechanics
        self._between.add(inner)
        self._states.append(point.displacement)
        self._last = point
        if problem.outputs:
            self._series.append(evaluate(problem, point, problem.rows(self._row, point.time)))

    def full(self) -> bool:
        """Whether it is time to hand them on."""
        size, waited = 8 * self._model.n * len(self._states), clock.monotonic() - self._begun
        large = sum(value.nbytes for value in self._checkpoint().values())
        return size >= _PIECE or waited > _LATEST or (waited > _SECONDS and large <= _CHECKPOINT * size)

    def piece(self) -> Piece:
        """All of them, and what the history goes on from; the basket is empty then."""
        stop = self._start + len(self._states)
        series = np.stack(self._series, axis=1) if self._series else None
        made = Piece(self._start, self._model.times[self._start:stop], np.stack(self._states, axis=1), series,
                     self._checkpoint())
        self._start, self._states, self._series, self._begun = stop, [], [], clock.monotonic()
        return made

    def _checkpoint(self) -> dict[str, np.ndarray]:
        point = {} if self._last is None else {name: getattr(self._last, name) for name in _POINT}
        return {**point, **self._tangents.checkpoint(), **self._between.arrays()}
