"""The history of a body on several ranks: the same steps as in one process, displacements gathered on rank 0."""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.work_sections import SolverConfig
from romflow.dd.communicator import agreed, gathered, spread
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.between import Between, Inner
from romflow.fom.mechanics.equilibrium import Equilibrium, NewtonOptions
from romflow.fom.mechanics.linear import KeptFactor
from romflow.fom.mechanics.making import Description
from romflow.fom.mechanics.marching import marched
from romflow.fom.mechanics.problem import MechanicsProblem, Point
from romflow.fom.mechanics.ranks.body import RankBody
from romflow.fom.mechanics.ranks.factor import SplitFactor
from romflow.fom.mechanics.ranks.outputs import RankOutputs
from romflow.fom.mechanics.solid import Solid
from romflow.fom.protocol import Piece, Resume
from romflow.parameters.space import ParameterSpace

__all__ = ["RankHistory", "check_ranks"]

# Bytes of displacements and seconds after which they are handed on, with all that the history goes on from.
_PIECE, _SECONDS = 32 << 20, 20.0
# GMRES iterations that cost as much as local factors and coarse operator.
_RENEWAL = 40.0
_DOFS, _POINTS = ("displacement", "rate"), ("state", "stress")


class RankHistory:
    """A model of kind "mechanics" on the ranks of a communicator; every method is called on all ranks together.

    Newton's method, its halvings and the rule for new factors are those of the model in one process, with sums over the
    parts of the mesh: every number of ranks takes the same steps, and the displacements of one process come out as far
    as Newton's tolerance determines them.

    Parameters
    ----------
    comm : communicator
    request : mapping
        As for `romflow.fom.build.build_model`, with "time".

    Attributes
    ----------
    body : RankBody
    times : (K + 1,)

    Raises
    ------
    RomflowError
        The model cannot be made; on all ranks.
    """

    def __init__(self, comm: Any, request: Mapping[str, Any]) -> None:
        self.comm = comm
        self._solver = _solver_options(request)
        with agreed(comm, "reading the model"):
            self.parameters = ParameterSpace.from_spec(request["parameters"])
            self.newton = NewtonOptions.from_table(request["options"].get("newton"))
            self.times = TimeGrid(**request["time"]).times
        whole = _whole(comm, request, self.parameters)
        self.body = RankBody(comm, whole, self._solver)
        self._outputs = RankOutputs(self.body, whole.outputs)
        self._factor = SplitFactor(self.body, self._solver, self._elastic)

    def march(self, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece | None]:
        """Pieces of the history at mu (p,) on rank 0, None on the others; see `QuasiStatic.march`.

        `resume` is looked at on rank 0. A checkpoint is that of the whole body, so that any number of ranks and a
        single process go on from it.

        Raises
        ------
        RomflowError
            As there; on all ranks.
        """
        with agreed(self.comm, "reading the parameter"):
            row = self.parameters.validate(mu)[0]
        start, kept = self._resumed(resume)
        if start >= len(self.times):
            return
        equilibrium, point = self._equilibrium(), self.body.problem.virgin(self.times[0])
        if start:
            point = self._point(float(self.times[start - 1]), kept)
            equilibrium.tangents.restore(self._local_factor(kept))
        else:
            with agreed(self.comm, "looking at the supports"):
                self.body.problem.check_start(row, float(self.times[0]))
        basket = _Basket(self, row, start, equilibrium, Between(kept))
        yield from marched(equilibrium, self.times, row, start, point, basket)

    def step(self, previous: Point, t: float, mu: np.ndarray) -> Point:
        """The equilibrium at time t after `previous`, both of this rank's part; see `QuasiStatic.step_from`."""
        with agreed(self.comm, "reading the parameter"):
            row = self.parameters.validate(mu)[0]
        return self._equilibrium().step(previous, t, row)[0]

    def _equilibrium(self) -> Equilibrium:
        return Equilibrium(self.body.problem, KeptFactor(self._factor, _RENEWAL), self.newton, self.body.sums)

    def _elastic(self) -> np.ndarray:
        """Tangent (6, 6, G_l) of the undeformed body at the first time, at the centre of the parameters."""
        problem, t = self.body.problem, float(self.times[0])
        data = problem.data(problem.rows(self.parameters.centre(), t))
        rest = np.zeros((6, problem.space.G))
        answer = problem.law.integrate(rest, data, float(self.times[1] - t), problem.virgin(t).state, True)
        tangent = np.asarray(answer.tangent)
        return np.asarray(0.5 * (tangent + tangent.transpose(1, 0, 2)))

    def _resumed(self, resume: Resume | None) -> tuple[int, dict[str, np.ndarray]]:
        """Index of the next time, and the checkpoint before it, on every rank."""
        told: dict[str, np.ndarray] = {}
        if resume is not None:
            told = {"start": np.array([resume[0]]), **{key: np.asarray(values) for key, values in resume[1].items()}}
        told = spread(self.comm, told)
        return int(told.pop("start", np.zeros(1))[0]), told

    def _point(self, t: float, kept: Mapping[str, np.ndarray]) -> Point:
        body = self.body
        return Point(t, **{name: kept[name][body.dofs] for name in _DOFS},
                     **{name: np.ascontiguousarray(kept[name][:, body.points]) for name in _POINTS})

    def _local_factor(self, kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        numbers = {name: values for name, values in kept.items() if name.startswith("factor_")}
        if "factor_tangent" in numbers:
            numbers["factor_tangent"] = np.ascontiguousarray(numbers["factor_tangent"][:, self.body.points])
        return numbers

    def checkpoint(self, point: Point, tangents: Any) -> dict[str, np.ndarray]:
        """Of the whole body on rank 0, {} on the others."""
        body = self.body
        found = {name: body.gather(getattr(point, name)) for name in _DOFS}
        found |= {name: body.gather_points(getattr(point, name)) for name in _POINTS}
        numbers = tangents.checkpoint()
        if "factor_tangent" in numbers:
            found["factor_tangent"] = body.gather_points(numbers["factor_tangent"])
            found["factor_counts"] = numbers["factor_counts"]
        return {name: values for name, values in found.items() if values is not None and self.comm.rank == 0}


class _Basket:
    """Displacements of some times on rank 0, and what all ranks need to hand them on together."""

    def __init__(self, owner: RankHistory, row: np.ndarray, start: int, equilibrium: Equilibrium,
                 between: Between) -> None:
        self._owner, self._row, self._start, self._equilibrium = owner, row, start, equilibrium
        self._between = between
        self.count = 0
        self._clear()

    def _clear(self) -> None:
        self._states: list[np.ndarray] = []
        self._series: list[np.ndarray] = []
        self._start, self.count, self._begun = self._start + self.count, 0, clock.monotonic()

    def add(self, point: Point, inner: Inner = ()) -> None:
        """Take one more, and what lies between it and the one before; collective."""
        owner = self._owner
        self._between.add([(t, u) for t, part in inner if (u := owner.body.gather(part)) is not None])
        state = owner.body.gather(point.displacement)
        self._series.append(owner._outputs.values(point, self._row))
        self._last, self.count = point, self.count + 1
        if state is not None:
            self._states.append(state)

    def full(self) -> bool:
        """Whether it is time to hand them on, by the clock of rank 0; collective."""
        late = clock.monotonic() - self._begun > _SECONDS or 8 * self._owner.body.n * self.count >= _PIECE
        return bool(gathered(self._owner.comm, np.array([late]))[0][0])

    def piece(self) -> Piece | None:
        """All of them on rank 0; collective."""
        owner = self._owner
        checkpoint = {**owner.checkpoint(self._last, self._equilibrium.tangents), **self._between.arrays()}
        made: Piece | None = None
        if self._states:
            series = np.stack(self._series, axis=1)
            made = Piece(self._start, owner.times[self._start:self._start + self.count],
                         np.stack(self._states, axis=1), series if len(series) else None, checkpoint)
        self._clear()
        return made


def check_ranks(solver: Mapping[str, Any] | None) -> None:
    """Raise ConfigError for keys of [solver] that histories on ranks cannot have."""
    if (solver or {}).get("method", "auto") not in ("auto", "schwarz"):
        raise ConfigError(f"[solver] method = \"{(solver or {})['method']}\" does not solve the changing tangents of "
                          "mechanics on ranks; write \"auto\" or \"schwarz\", or leave it out")


def _solver_options(request: Mapping[str, Any]) -> dict[str, Any]:
    check_ranks(request.get("solver"))
    return {**SolverConfig(method="auto").wishes(), **(request.get("solver") or {})}


def _whole(comm: Any, request: Mapping[str, Any], parameters: ParameterSpace) -> MechanicsProblem:
    """The whole problem on each rank, of a mesh that rank 0 has read or made."""
    known = {field.name for field in fields(Description)}
    solid: Solid | None = None
    with agreed(comm, "making the mesh"):
        about = Description(**{key: value for key, value in request["options"].items() if key in known})
        if comm.rank == 0:
            solid = about.solid(request["base"])
    solid = _shared(comm, solid)
    with agreed(comm, "making the model"):
        return about.problem(parameters, solid, Path(request["base"]))


def _shared(comm: Any, solid: Solid | None) -> Solid:
    """The body that rank 0 has, on every rank."""
    arrays: dict[str, np.ndarray] = {}
    if solid is not None:
        arrays = {"nodes": solid.nodes, "cells": solid.cells,
                  "cell": np.frombuffer(solid.cell.encode(), dtype=np.uint8)}
        for group in _GROUPS:
            arrays |= {f"{group}/{name}": np.asarray(numbers) for name, numbers in getattr(solid, group).items()}
    told = spread(comm, arrays)
    groups = {group: {key.partition("/")[2]: numbers for key, numbers in told.items() if key.startswith(f"{group}/")}
              for group in _GROUPS}
    return Solid(told["nodes"], told["cells"], told["cell"].tobytes().decode(), **groups)


_GROUPS = ("boundaries", "regions", "node_sets")
