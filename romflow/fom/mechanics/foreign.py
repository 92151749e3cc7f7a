"""Histories whose displacements another program found: stresses and variables rebuilt by the law, loads checked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, RomflowError, SolveFailed
from romflow.core.names import shown
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.calculix.nodal import nodal_values
from romflow.fom.mechanics.equilibrium import NewtonOptions
from romflow.fom.mechanics.field_files import FieldFile, placement
from romflow.fom.mechanics.making import Description
from romflow.fom.mechanics.model import Mechanics, QuasiStatic, check_norm
from romflow.fom.mechanics.outputs import evaluate
from romflow.fom.mechanics.problem import MechanicsProblem, Point
from romflow.fom.mechanics.replay import replay
from romflow.fom.mechanics.solid import Solid
from romflow.fom.protocol import Piece, Resume, short
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.parameters.space import ParameterSpace

__all__ = ["Comparison", "Foreign", "ForeignHistory", "MeshFields", "imbalance"]

Array = NDArray[np.float64]
_PIECE = 32 << 20
# Times in text files have six digits.
_NEAR = 2e-5
# Share of the forces of the cells themselves that counts as a force where none is left in sum: heat in a free body.
_SELF = 1e-2


@dataclass(frozen=True, eq=False)
class Comparison:
    """A history of another program against the law of the study.

    Attributes
    ----------
    times : (K + 1,)
    balance : (K + 1,)
        Forces that the described loading leaves unbalanced, as a share of the greatest forces so far.
    stress, accumulated_plastic_strain : (K + 1,) or None
        Largest difference at a node from what the program wrote, as a share of its largest value over all times; None
        where it wrote none.
    """

    times: Array
    balance: Array
    stress: Array | None
    accumulated_plastic_strain: Array | None


class MeshFields:
    """The fields of one run on the nodes of a mesh, by their times.

    Parameters
    ----------
    file : FieldFile
    nodes : (N, d)
    who : path
        The file, for messages.
    scale : float
        What displacements are multiplied with, to bring them to the mesh's unit of length.
    seconds : float
        Processor seconds that the program took, where it was run for them.

    Raises
    ------
    InputError
        The file was made on another mesh.
    """

    def __init__(self, file: FieldFile, nodes: Array, who: Path, scale: float = 1.0,
                 seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._file, self._who, self._d, self._scale = file, who, nodes.shape[1], scale
        self._rows = placement(nodes, file, who)

    def index(self, t: float) -> int | None:
        """Index of the file's time t, or None."""
        times = self._file.times
        k = int(np.abs(times - t).argmin())
        return k if abs(times[k] - t) <= _NEAR * max(abs(t), float(np.abs(times).max())) else None

    def displacement(self, t: float, first: bool) -> Array:
        """Displacement (n,) at the time t; zero at the first time where the file does not have it.

        Raises
        ------
        SolveFailed
            The file has no such time, or another number of components.
        """
        k = self.index(t)
        if k is None and first:
            return np.zeros(self._rows.size * self._d)
        if k is None:
            known = ", ".join(f"{time:.6g}" for time in self._file.times[:6])
            raise SolveFailed(f"{self._who} has no displacement at t = {t:.6g}; it has {self._file.times.size} times "
                              f"({known} ... {self._file.times[-1]:.6g}): a step is missing, or [time] asks for "
                              "another one", {"time": t})
        values = self._file.displacement(k)
        if values.shape[1] < self._d:
            raise SolveFailed(f"{self._who} has displacements of {values.shape[1]} components at t = {t:.6g}; the mesh "
                              f"has {self._d} directions", {"time": t})
        return np.ascontiguousarray(self._scale * values[self._rows, :self._d]).ravel()

    def nodal(self, name: str, t: float) -> Array | None:
        """A field (c, N) of this name at the time t as the program wrote it; None where it did not."""
        k = self.index(t)
        at = getattr(self._file, "nodal", None)
        found = None if at is None or k is None else at(name, k)
        return None if found is None else np.ascontiguousarray(found[self._rows].T)


class Foreign(Mechanics):
    """What models share whose displacements another program finds and whose problem the study describes.

    Parameters
    ----------
    parameters : ParameterSpace
    about : Description
    solid : Solid
    base : path
    norm : {"L2", "H1"}
    balance : float
        Share of unbalanced forces from which on a history is refused.
    spec : dict
        What identifies the displacements beside the problem.
    """

    def __init__(self, parameters: ParameterSpace, about: Description, solid: Solid, base: str | Path, norm: str,
                 balance: float, spec: dict[str, Any]) -> None:
        check_norm(norm)
        if isinstance(balance, bool) or not isinstance(balance, int | float) or not balance > 0.0:
            raise ConfigError(f"balance = {shown(balance)}; the rule is a share of the forces above 0, such as 0.02")
        self.parameters, self.norm, self.balance = parameters, norm, float(balance)
        self.newton = NewtonOptions()
        self.files = about.files(base)
        self.mechanics = about.problem(parameters, solid, base)
        self.n, self.mesh, self.outputs = self.mechanics.n, self.mechanics.space.mesh, None
        self.spec = {**about.spec(self.mechanics.law, base), "norm": norm, **spec}

    def evolving(self, time: TimeGrid) -> ForeignHistory:
        """The model on a grid of times; ConfigError for what only models with a mass have."""
        super().evolving(time)
        return ForeignHistory(self, time)

    @abstractmethod
    def fields(self, mu: Array, times: Array) -> tuple[MeshFields, SolveFailed | None]:
        """The fields at mu (p,), and why they end before the last of these times where the program failed."""


class ForeignHistory(QuasiStatic):
    """A history that another program solved; single steps (`step_from`) are those of this package's own solver.

    Parameters
    ----------
    model : Foreign
    time : TimeGrid
    """

    def __init__(self, model: Foreign, time: TimeGrid) -> None:
        super().__init__(model, time)
        self.model = model

    def march(self, mu: Array, resume: Resume | None = None) -> Iterator[Piece]:
        """Pieces of the history at mu (p,), with the outputs of the rebuilt stresses and variables.

        The law is integrated from each time to the next, and at each the described loads must balance its stresses.
        There is no checkpoint: a history that was stopped is read, or solved, anew.

        Raises
        ------
        ParameterError
            mu is outside the space, or a temperature outside the range of the law.
        SolveFailed
            A time is missing, the program failed, the law does not converge, or forces are unbalanced; the pieces
            before it were given.
        InputError
            The run belongs to another mesh.
        """
        row = self.parameters.one(mu, "one history")
        start = 0 if resume is None else int(resume[0])
        if start >= len(self.times):
            return
        states: list[Array] = []
        series: list[Array] = []
        failure: RomflowError | None = None
        fields, failed = self.model.fields(row, self.times)
        walk, seconds = self._points(row, fields, failed, self.model.balance), fields.seconds
        while failure is None:
            try:
                k, point, outputs, _ = next(walk)
            except StopIteration:
                break
            except SolveFailed as error:
                failure = error
                break
            if k < start:
                continue
            states.append(point.displacement)
            series.append(outputs)
            if 8 * self.n * len(states) >= _PIECE:
                yield self._piece(start, states, series, seconds)
                start, states, series, seconds = k + 1, [], [], 0.0
        if states:
            yield self._piece(start, states, series, seconds)
        if failure is not None:
            raise failure

    def compared(self, mu: Array) -> Comparison:
        """The whole history at mu (p,) against the law: balance of forces, and the program's own stresses.

        Raises
        ------
        ParameterError, SolveFailed, InputError
            As for `march`; unbalanced forces are reported here, not refused.
        """
        row = self.parameters.one(mu, "one history")
        fields, failure = self.model.fields(row, self.times)
        found = [(share, *self._differences(fields, point)) for _, point, _, share in
                 self._points(row, fields, failure, np.inf)]
        columns = [np.array(column, dtype=np.float64) for column in zip(*found, strict=True)]
        stress, plastic = (_shares(columns[j], columns[j + 1]) for j in (1, 3))
        return Comparison(self.times, columns[0], stress, plastic)

    def _points(self, row: Array, fields: MeshFields, failure: SolveFailed | None, limit: float
                ) -> Iterator[tuple[int, Point, Array, float]]:
        """(index, point, outputs, share of unbalanced forces) at each time."""
        problem, last, most = self.mechanics, [np.empty(0)], 0.0

        def displacements() -> Iterator[Array]:
            for k, t in enumerate(self.times.tolist()):
                if failure is not None and k > 0 and fields.index(t) is None:
                    raise failure
                last[0] = fields.displacement(t, k == 0)
                yield last[0]

        for k, stress, state in replay(problem, row, self.times, displacements()):
            t = float(self.times[k])
            rows = problem.rows(row, t)
            left, size = (0.0, 0.0) if k == 0 else imbalance(problem, stress, rows)
            most = max(most, size)
            share = left / most if most > 0.0 else 0.0
            if share > limit:
                raise SolveFailed(
                    f"the loads, supports, temperature and law of the study leave {100 * share:.3g} % of the forces "
                    f"unbalanced at t = {t:.6g} for mu = {short(row)}, and the rule is at most {100 * limit:.3g} %; do "
                    "they describe the run, in its units, and are all its steps there? (balance = sets the limit)",
                    {"mu": row.tolist(), "time": t, "unbalanced": share})
            point = Point(t, last[0], state, stress)
            yield k, point, evaluate(problem, point, rows) if problem.outputs else np.empty(0), share

    def _piece(self, start: int, states: list[Array], series: list[Array], seconds: float) -> Piece:
        values = np.stack(series, axis=1) if self.mechanics.outputs else None
        return Piece(start, self.times[start:start + len(states)], np.stack(states, axis=1), values, {}, seconds)

    def _differences(self, fields: MeshFields, point: Point) -> tuple[float, float, float, float]:
        """Largest difference and largest value of the stress and of the plastic strain at the nodes."""
        stress = fields.nodal("stress", point.time)
        plastic = fields.nodal(PLASTIC, point.time) if PLASTIC in self.mechanics.law.variables else None
        own = point.state[rows_of(self.mechanics.law, PLASTIC)] if plastic is not None else None
        return *self._difference(stress, point.stress), *self._difference(plastic, own)

    def _difference(self, theirs: Array | None, ours: Array | None) -> tuple[float, float]:
        if theirs is None or ours is None:
            return np.nan, np.nan
        return float(np.abs(nodal_values(self.mechanics.space, ours) - theirs).max()), float(np.abs(theirs).max())


def imbalance(problem: MechanicsProblem, stress: Array, rows: Array) -> tuple[float, float]:
    """||f_ext - f_int|| over the free dofs for a stress (6, G), and the size of forces that it is small against.

    The size is the largest of ||f_ext||, ||f_int|| (with the reactions), the reference force, and 1 % of the norm of
    the cells' own nodal forces.
    """
    space = problem.space
    weighted = np.ascontiguousarray((stress * space.weights).T).reshape(len(space.cells), 1, -1)
    local = weighted @ space.B
    inner = np.bincount(space.dofs.ravel(), weights=local.ravel(), minlength=problem.n)
    outer = problem.external(rows)
    left = float(np.linalg.norm((outer - inner)[problem.supports.free]))
    size = max(float(np.linalg.norm(outer)), float(np.linalg.norm(inner)), problem.reference_force,
               _SELF * float(np.linalg.norm(local)))
    return left, size


def _shares(differences: Array, sizes: Array) -> Array | None:
    """Differences as shares of the largest size; None where there are none at all."""
    if np.isnan(differences).all():
        return None
    most = float(np.nanmax(sizes))
    return np.nan_to_num(differences / most) if most > 0.0 else np.zeros_like(differences)
