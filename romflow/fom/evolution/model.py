"""Full-order models that move in time: M du/dt + A(mu, t) u + N(u; mu, t) = f(mu, t), u(0) = u0(mu)."""

from __future__ import annotations

import copy
import threading
import time as clock
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.initial import initial_state
from romflow.fom.evolution.solvers import step_options
from romflow.fom.evolution.system import Orderings, TimeSystem
from romflow.fom.evolution.tangent import series_sensitivity
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.products import checked_inner_product
from romflow.fom.protocol import Piece, Resume, short
from romflow.linalg.stepping.march import march
from romflow.parameters.space import ParameterSpace
from romflow.parameters.timed import depends_on_time

__all__ = ["EvolutionModel"]

# Bytes of the states of one piece of a trajectory.
_PIECE = 32 << 20
# Seconds after which the states so far are handed on though they are few: a march that is ended loses no more.
_SECONDS = 2.0


class EvolutionModel:
    """M du/dt + A(mu, t) u + N(u; mu, t) = f(mu, t) on the times of a grid, one factorisation for each size of step.

    Parameters
    ----------
    parameters : ParameterSpace
    mass : sparse (n, n)
        M, symmetric positive definite.
    operator : AffineOperator or None
        A; its coefficients may have the column "t" after those of the parameters.
    rhs : AffineVector or None
        f, likewise.
    inner_product : sparse (n, n)
        X, in whose norm errors are measured.
    time : TimeGrid
    nonlinear : PointTerm, optional
        N; implicit schemes solve their steps by Newton's method.
    initial : AffineVector, optional
        u0; zero where neither this nor the grid's own `initial` is given.
    outputs : AffineOutputs, optional
        Linear functionals of the state at each time.
    spec : dict
        JSON identity of the model without its times.
    norm : str
        Name of the norm of X.
    stability : dict, optional
        See `romflow.fom.protocol.SupportsAffine`.
    mesh : Mesh, optional
    piece_bytes : int
        States of at most so many bytes are handed on at a time.

    Attributes
    ----------
    times : (K + 1,)

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other; a matrix is not symmetric or not finite.
    ConfigError
        The initial state is given twice, or the grid's text of it is wrong.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.expressions import Theta
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
    >>> one = sp.eye_array(1)
    >>> model = EvolutionModel(space, one, AffineOperator(Theta(["a"], ["a"]), [one]), None, one,
    ...     TimeGrid(1.0, 2), initial=AffineVector(Theta(["1"], ["a"]), np.ones((1, 1))), spec={"kind": "decay"})
    >>> model.solve(np.array([2.0])).state
    array([0.25])
    """

    def __init__(self, parameters: ParameterSpace, mass: sp.csr_array, operator: AffineOperator | None,
                 rhs: AffineVector | None, inner_product: sp.sparray, time: TimeGrid, *,
                 nonlinear: Any = None, initial: AffineVector | None = None, outputs: AffineOutputs | None = None,
                 spec: dict[str, Any], norm: str = "X", stability: dict[str, Any] | None = None,
                 mesh: Mesh | None = None, piece_bytes: int = _PIECE) -> None:
        self.operator, self.rhs = operator, rhs
        self._describe(parameters, mass, inner_product, time, nonlinear, initial, outputs, spec, norm, stability, mesh,
                       piece_bytes)
        self._check_terms()

    def _describe(self, parameters: ParameterSpace, mass: sp.csr_array, inner_product: sp.sparray, time: TimeGrid,
                  nonlinear: Any, initial: AffineVector | None, outputs: AffineOutputs | None, spec: dict[str, Any],
                  norm: str, stability: dict[str, Any] | None, mesh: Mesh | None, piece_bytes: int = _PIECE) -> None:
        """All but the operator and the right-hand side."""
        n = int(mass.shape[0])
        self.parameters, self.outputs = parameters, outputs
        self.nonlinear, self.initial, self.time = nonlinear, _start_of(time, initial, mesh, parameters), time
        self.mass = checked_inner_product(mass, n)
        self.inner_product = checked_inner_product(inner_product, n)
        self.n, self.norm, self.stability, self.mesh = n, norm, stability, mesh
        self.spec = {**spec, "time": time.spec}
        self.piece_bytes = piece_bytes
        self.solver_options: dict[str, Any] | None = None
        self._local = threading.local()
        self._check_shapes({
            "initial state": None if self.initial is None else self.initial.vectors.shape[:1],
            "output functionals": None if outputs is None else outputs.functionals.shape[2:],
            "nonlinear term": None if nonlinear is None else nonlinear.test.shape[:1],
            "mesh's dofs": None if mesh is None else (mesh.n,)})

    def on(self, time: TimeGrid) -> EvolutionModel:
        """The same model on other times."""
        other = copy.copy(self)
        other.time, other.spec = time, {**self.spec, "time": time.spec}
        other._local = threading.local()
        return other

    @property
    def times(self) -> np.ndarray:
        """Stored times (K + 1,)."""
        return self.time.times

    @property
    def symmetric(self) -> bool:
        """A(mu, t) is symmetric for every mu, and there is no N."""
        return self.nonlinear is None and self.operator is not None and self.operator.symmetric

    @property
    def symmetric_operator(self) -> bool:
        """A is symmetric, or there is none."""
        return self.operator is None or self.operator.symmetric

    @property
    def moving(self) -> bool:
        """Whether A depends on the time."""
        return self.operator is not None and depends_on_time(self.operator.theta)

    def solve(self, mu: np.ndarray) -> Snapshot:
        """State and outputs at the last time for mu (p,); the others are not kept.

        Returns
        -------
        Snapshot
            `info["steps"]` is the number of stored times after the first.

        Raises
        ------
        ParameterError
            mu is outside the parameter space.
        SolveFailed
            A step has no solution; `report["time"]` says where.
        """
        last = deque(self.march(mu), maxlen=1)[0]
        outputs = None if last.series is None else last.series[:, -1]
        return Snapshot(last.states[:, -1].copy(), outputs, {"steps": self.time.steps})

    def march(self, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece]:
        """Pieces of the trajectory at mu (p,), in order, from time 0 or from `resume` (next index, checkpoint) on.

        Raises
        ------
        ParameterError, SolveFailed
            As for `solve`.
        """
        row = self.parameters.one(mu, "march")
        start, checkpoint = (0, None) if resume is None else (int(resume[0]), dict(resume[1]))
        if start >= len(self.times):
            return
        system = self._system(row)
        steps = march(system, self.time.scheme, self.times, self.start(row), control=self.time.control,
                      resume=checkpoint)
        try:
            yield from self._pieces(row, start, self._watched(steps, system))
        except SolveFailed as error:
            raise SolveFailed(f"no trajectory for mu = {short(row)}: {error}",
                              {"mu": row.tolist(), **error.report}) from error

    def use_solver(self, options: Mapping[str, Any]) -> None:
        """Solve the steps from now on as the keys of [solver] say; their tolerance becomes part of `spec`.

        Raises
        ------
        ConfigError
            A method for stationary or split models, an unknown name, or a package that is not installed.
        """
        self.solver_options = step_options(options)
        self._local = threading.local()
        if self.solver_options is not None:
            self.spec = {**self.spec, "solver": {"tolerance": options["tolerance"]}}

    def sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p) of the outputs at the last time with respect to the parameters, at mu (p,)."""
        return self.series_sensitivity(mu)[:, :, -1]

    def series_sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p, K + 1) of the outputs at all times; see `romflow.fom.evolution.tangent`."""
        return series_sensitivity(self, mu, self._orderings)

    def start(self, mu: np.ndarray) -> np.ndarray:
        """u0 (n,) at mu (p,)."""
        return np.zeros(self.n) if self.initial is None else self.initial.assemble(mu)

    def _system(self, mu: np.ndarray) -> TimeSystem:
        """What the time schemes ask at mu (p,)."""
        return TimeSystem(self, mu, self._orderings)

    def _watched(self, steps: Iterator[Any], system: TimeSystem) -> Iterator[Any]:
        """The steps; where they are explicit ones of a linear model with symmetric A, the last must be stable."""
        watch = self.time.scheme == "explicit-euler" and self.time.tolerance is None and self.symmetric
        before = None
        for step in steps:
            if watch and before is not None and step.index == len(self.times) - 1:
                system.refuse_unstable(before.state, step.state, step.time - before.time, step.time)
            before = step
            yield step

    def _pieces(self, row: np.ndarray, start: int, steps: Iterator[Any]) -> Iterator[Piece]:
        width = max(1, self.piece_bytes // (8 * self.n))
        states: list[np.ndarray] = []
        begun = clock.monotonic()
        for step in steps:
            states.append(step.state)
            full = len(states) == width or clock.monotonic() - begun > _SECONDS
            if full or step.index == len(self.times) - 1:
                yield Piece(start, self.times[start:start + len(states)], np.stack(states, axis=1),
                            self._series(states, row, start), step.checkpoint)
                start += len(states)
                states, begun = [], clock.monotonic()

    def _series(self, states: list[np.ndarray], row: np.ndarray, start: int) -> np.ndarray | None:
        """Outputs (o, c) of the states from time index `start` on; each by itself, so that pieces may end anywhere."""
        if self.outputs is None:
            return None
        found = []
        for state, t in zip(states, self.times[start:].tolist(), strict=False):
            mu = row if len(self.outputs.theta.columns) == row.size else np.append(row, t)
            found.append(self.outputs.evaluate(state[:, None], mu[None]))
        return np.hstack(found)

    @property
    def _orderings(self) -> Orderings:
        # One ordering a thread: a solver that two threads update would mix their matrices.
        kept = vars(self._local)
        if "shared" not in kept:
            kept["shared"] = Orderings(self)
        shared: Orderings = kept["shared"]
        return shared

    def _check_terms(self) -> None:
        if self.nonlinear is None and self.operator is None:
            raise InputError("an evolution model has neither an operator nor a nonlinear term, so nothing drives it; "
                             "give one")
        self._check_shapes({"operator": None if self.operator is None else self.operator.shape,
                            "right-hand side": None if self.rhs is None else self.rhs.vectors.shape[:1]})
        if self.moving and self.operator is not None and len(self.operator.theta.columns) != self.parameters.size + 1:
            raise NotSupported("the operator depends on t, and its columns are not those of the parameters and t")

    def _check_shapes(self, sizes: Mapping[str, tuple[int, ...] | None]) -> None:
        for owner, shape in sizes.items():
            if shape is not None and any(length != self.n for length in shape):
                raise ShapeError(f"the {owner} of an evolution model have shape {shape}; the rule is n = {self.n}, for "
                                 f"the mass matrix is ({self.n}, {self.n})")


def _start_of(time: TimeGrid, initial: AffineVector | None, mesh: Mesh | None,
              parameters: ParameterSpace) -> AffineVector | None:
    """The initial state, from the model or from the grid of times."""
    if time.initial is None:
        return initial
    if initial is not None:
        raise ConfigError("[time] initial is given, and this model has an initial state of its own; leave one of the "
                          "two out (that of burgers is the option initial of [model])")
    return initial_state(time.initial, mesh, parameters)
