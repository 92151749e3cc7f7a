"""One step of a quasi-static history: Newton's method, halved where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.linear import Tangents
from romflow.fom.mechanics.problem import MechanicsProblem, Point
from romflow.fom.mechanics.sums import Sums, WholeSums

__all__ = ["Equilibrium", "NewtonOptions", "StepReport"]

# Share of the forces of the cells themselves that counts as a force where none is left in sum: heat in a free body.
# Likewise of the forces that the strains would make in an elastic body: below it a residual is rounding.
_SELF, _STRAIN = 1e-2, 1e-3
_AXES = np.arange(6)
# Of the linear solves, relative.
_ACCURACY = 1e-2
# Newton gives up where this many iterations did not halve the residual.
_PATIENCE = 5
_CUTS = (0.5, 0.25, 0.1)
_NO_LAW = "the law did not converge"


@dataclass(frozen=True)
class NewtonOptions:
    """When Newton's iteration ends and where it gives up.

    Attributes
    ----------
    tolerance : float
        Of the residual, as a share of the largest of ||f_ext||, ||f_int||, the reactions and the reference force.
    iterations : int
        At most, a step.
    halvings : int
        At most, one within the other.
    extrapolate : bool
        Guess from the rate of the last step, as far as the loads go on in their direction.
    """

    tolerance: float = 1e-8
    iterations: int = 25
    halvings: int = 8
    extrapolate: bool = True

    def __post_init__(self) -> None:
        number = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not number or not 0.0 < self.tolerance < 1.0:
            raise ConfigError(f"newton tolerance = {shown(self.tolerance)}; the rule is a number between 0 and 1")
        for name, least in (("iterations", 1), ("halvings", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"newton {name} = {shown(value)}; the rule is a whole number from {least}")
        if not isinstance(self.extrapolate, bool):
            raise ConfigError(f"newton extrapolate = {shown(self.extrapolate)}; the rule is true or false")

    @classmethod
    def from_table(cls, given: Mapping[str, Any] | None) -> NewtonOptions:
        """From the table newton of a study; ConfigError for keys that are none."""
        known = list(cls.__dataclass_fields__)
        if given is not None and not isinstance(given, Mapping):
            raise ConfigError(f"newton = {shown(given)} is no table; write [model.newton] with {', '.join(known)}")
        for key in given or {}:
            if key not in known:
                raise ConfigError(f"newton has no key {shown(key)}{nearest(str(key), known)}")
        return cls(**(given or {}))


@dataclass
class StepReport:
    """How one step was found.

    Attributes
    ----------
    time : float
    iterations, linear_iterations, factorisations, law_calls : int
        Of all attempts.
    residual : float
        Of the accepted one, as a share.
    failures : list of dict
        Attempts that failed: from, to, reason, residuals.
    inner : tuple of (time, (n,) displacement)
        Times within the step at which the history stands still; empty where one step of the law spans it all.
    """

    time: float
    iterations: int = 0
    linear_iterations: int = 0
    factorisations: int = 0
    law_calls: int = 0
    residual: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)
    inner: tuple[tuple[float, np.ndarray], ...] = ()


class _Stuck(Exception):
    """An attempt that did not converge."""

    def __init__(self, reason: str, residuals: list[float]) -> None:
        super().__init__(reason)
        self.reason, self.residuals = reason, residuals


class Equilibrium:
    """Steps from one equilibrium to the next, implicit in time, by Newton's method with the consistent tangent.

    A step solves f_int(u) = f_ext(mu, t) on the free dofs, with the law integrated from the state of the last point in
    one step: ||f_ext - f_int||_free <= tolerance max(||f_ext||, ||f_int||, ||reactions||, f_ref). f_ref is the
    problem's reference force, or what the cells' own nodal forces are where that is more: 1 % of those of the stresses,
    0.1 % of those that the strains of the guess would make in an elastic body (a free body that is heated has no other
    force). All are taken at the guess too, for a load may just have been removed.

    Where Newton fails the step is halved, and the loads are evaluated at the middle; the end so found is the guess with
    which the whole step is tried once more, so that the history is that of the given times. Only where that fails too,
    the smaller steps stand (`StepReport.inner`).

    Parameters
    ----------
    problem : MechanicsProblem
    tangents : Tangents
        What solves with the tangents.
    options : NewtonOptions
    sums : Sums, optional
        Of a body that is split; then all its processes take the same steps.

    Notes
    -----
    An object belongs to one history: its factorisations are kept from step to step.
    """

    def __init__(self, problem: MechanicsProblem, tangents: Tangents, options: NewtonOptions | None = None,
                 sums: Sums | None = None) -> None:
        self.problem, self.tangents = problem, tangents
        self.sums: Sums = WholeSums() if sums is None else sums
        self.options = NewtonOptions() if options is None else options
        self._free = np.asarray(problem.supports.free, dtype=bool)
        # Force of a cell's node by a unit of stress.
        space = problem.space
        rows = space.B.reshape(space.weights.size, 6, -1)
        self._size = space.weights * np.sqrt(np.einsum("gij,gij->g", rows, rows) / 6.0)

    def step(self, previous: Point, t: float, mu: np.ndarray) -> tuple[Point, StepReport]:
        """The equilibrium at time t after `previous`, at mu (p,).

        Raises
        ------
        SolveFailed
            None was found with the smallest steps; `report` has "time", "halvings", "residuals", "reason", "loads".
        """
        report = StepReport(float(t))
        before = self.tangents.iterations, self.tangents.factorisations
        point = self._tried(previous, t, mu, self._guess(previous, t, mu), report)
        if point is None:
            path = self._halved(previous, t, mu, 1, report)
            point = self._tried(previous, t, mu, path[-1].displacement, report)
            if point is None:
                report.inner = tuple((inner.time, inner.displacement) for inner in path[:-1])
                point = path[-1]
        rate = (point.displacement - previous.displacement) / (t - previous.time)
        report.linear_iterations = self.tangents.iterations - before[0]
        report.factorisations = self.tangents.factorisations - before[1]
        return Point(float(t), point.displacement, point.state, point.stress, rate), report

    def _guess(self, previous: Point, t: float, mu: np.ndarray) -> np.ndarray:
        """The last displacement, moved on at the last rate as far as the loads go on in their direction."""
        rate = previous.rate
        if not self.options.extrapolate or rate is None or self.sums.dot(rate, rate) == 0.0:
            return previous.displacement
        dt = t - previous.time
        return previous.displacement + self._share(previous.time, dt, mu) * dt * rate

    def _share(self, t: float, dt: float, mu: np.ndarray) -> float:
        """a in [0, 2] with d1 ~ a d0 for the change d1 of what acts over the next step, and d0 over one before it."""
        problem = self.problem
        rows = np.concatenate([problem.rows(mu, t + j * dt) for j in (-1, 0, 1)])
        acting = [problem.temperature.values(problem.space.nodes.T, rows).T,
                  np.stack([problem.external(row[None]) for row in rows]),
                  np.stack([problem.prescribed(row[None]) for row in rows])]
        shares = []
        for values in acting:
            before, after = values[1] - values[0], values[2] - values[1]
            size = self.sums.dot(before, before)
            if size > 0.0:
                shares.append(self.sums.dot(before, after) / size)
        return min(max(min(shares, default=1.0), 0.0), 2.0)

    def _halved(self, previous: Point, t: float, mu: np.ndarray, depth: int, report: StepReport) -> list[Point]:
        """Points up to t, by two steps that are halved themselves where they fail."""
        if depth > self.options.halvings:
            raise self._failed(previous, mu, report)
        path = [previous]
        for end in (0.5 * (previous.time + t), t):
            point = self._tried(path[-1], end, mu, path[-1].displacement, report)
            path += self._halved(path[-1], end, mu, depth + 1, report) if point is None else [point]
        return path[1:]

    def _tried(self, previous: Point, t: float, mu: np.ndarray, guess: np.ndarray, report: StepReport) -> Point | None:
        try:
            return _Attempt(self, previous, t, mu, report).newton(guess)
        except _Stuck as stuck:
            report.failures.append({"from": previous.time, "to": float(t), "reason": stuck.reason,
                                    "residuals": stuck.residuals[-6:]})
            return None

    def _failed(self, previous: Point, mu: np.ndarray, report: StepReport) -> SolveFailed:
        last = report.failures[-1]
        row = self.problem.rows(mu, last["to"])[0]
        loads = {name: float(value) for name, value in zip(self.problem.loading.columns, row, strict=True)}
        words = ", ".join(f"{name} = {value:.6g}" for name, value in loads.items())
        return SolveFailed(
            f"no equilibrium was found from t = {previous.time:.6g} to t = {last['to']:.6g} after "
            f"{self.options.halvings} halvings ({last['reason']}) at {words}; {_remedy(last['reason'])}",
            {"time": float(last["to"]), "reached": float(previous.time), "halvings": self.options.halvings,
             "residuals": last["residuals"], "reason": last["reason"], "loads": loads,
             "attempts": len(report.failures)})


def _remedy(reason: str) -> str:
    if reason.startswith(_NO_LAW):
        return ("are the law's constants what they should be there, its hardening above zero and the loads in its "
                "units? Smaller steps may help where they are")
    return ("the load may exceed what the body can carry (its limit load): lower it, let the material harden, or check "
            "the supports and units")


class _Attempt:
    """Newton's method for one step of the law."""

    def __init__(self, owner: Equilibrium, previous: Point, t: float, mu: np.ndarray, report: StepReport) -> None:
        problem = owner.problem
        self._problem, self._tangents, self._options = problem, owner.tangents, owner.options
        self._free, self._size, self._report, self._sums = owner._free, owner._size, report, owner.sums
        self._previous, self._dt, self._t = previous, t - previous.time, t
        rows = problem.rows(mu, t)
        with self._sums.together("reading temperature and loads"):
            self._data, self._load, self._given = problem.data(rows), problem.external(rows), problem.prescribed(rows)

    def newton(self, guess: np.ndarray) -> Point:
        """The point at the end.

        Raises
        ------
        _Stuck
            No convergence.
        """
        u, residuals = guess.copy(), []
        missing = np.where(self._free, 0.0, self._given - u)
        answer, r, first = self._at(u, guessed=True)
        scale = first
        for _ in range(self._options.iterations):
            residuals.append(self._sums.free(r) / scale if scale > 0.0 else 0.0)
            held = self._sums.dot(missing, missing) == 0.0
            if residuals[-1] <= self._options.tolerance and held:
                self._report.residual = residuals[-1]
                return Point(self._t, u, answer.state, answer.stress)
            self._patience(residuals)
            du = self._increment(answer.tangent, r, None if held else missing, residuals)
            u, answer, r, now = self._advanced(u, du, r, residuals)
            scale = max(first, now)
            missing = np.zeros_like(u)
            self._report.iterations += 1
        raise _Stuck(f"the residual is {residuals[-1]:.2e} of the forces after {self._options.iterations} iterations",
                     residuals)

    def _patience(self, residuals: list[float]) -> None:
        if not np.isfinite(residuals[-1]):
            raise _Stuck("the forces are not finite", residuals)
        if len(residuals) > 2 * _PATIENCE and min(residuals[-_PATIENCE:]) > 0.5 * min(residuals[:-_PATIENCE]):
            raise _Stuck(f"the residual stays at {min(residuals):.2e} of the forces", residuals)

    def _increment(self, tangent: np.ndarray, r: np.ndarray, missing: np.ndarray | None,
                   residuals: list[float]) -> np.ndarray:
        """du (n,); what is missing at the supports is part of it."""
        free = self._free
        if missing is not None:
            r = r - self._tangents.product(tangent, missing)[free]
        # No more digits than Newton's next iteration can use, nor than the step needs.
        accuracy = max(_ACCURACY, min(0.3 * self._options.tolerance / residuals[-1], 0.1)) if residuals[-1] else 0.1
        du = np.zeros(free.size) if missing is None else missing.copy()
        try:
            if self._sums.free(r) > 0.0:
                du[free] = self._tangents.solve(tangent, r, accuracy)
        except SolveFailed as error:
            raise _Stuck(str(error), residuals) from None
        return du

    def _advanced(self, u: np.ndarray, du: np.ndarray, r: np.ndarray, residuals: list[float]) -> Any:
        """u + a du with a = 1, or the first smaller a whose residual is not much larger than the last."""
        start = self._sums.free(r)
        full, failure = None, None
        for a in (1.0, *(_CUTS if len(residuals) > 1 else _CUTS[:1])):
            try:
                found = self._at(u + a * du)
            except _Stuck as stuck:
                failure = stuck
                continue
            if len(residuals) == 1 or self._sums.free(found[1]) <= 2.0 * start:
                return u + a * du, *found
            full = (u + a * du, *found) if full is None else full
        if full is None:
            raise _Stuck(failure.reason if failure else "no step length helps", residuals)
        return full

    def _at(self, u: np.ndarray, guessed: bool = False) -> tuple[Any, np.ndarray, float]:
        """Answer of the law, residual (f,) on the free dofs, and the scale that it is measured by.

        Strains count at the guess only: beyond the limit load those of an iterate grow without bound.
        """
        strain = self._problem.space.strain(u)
        answer = self._law(strain)
        wrong = self._sums.points(~answer.converged)
        if wrong:
            count = self._sums.points(np.ones(answer.converged.size))
            raise _Stuck(f"{_NO_LAW} at {wrong:.0f} of {count:.0f} points", [])
        inner = self._problem.space.forces(answer.stress)
        imbalance = self._load - inner
        own = _SELF * self._norm(answer.stress, self._size)
        if guessed:
            stiff = np.abs(answer.tangent[_AXES, _AXES]).max(axis=0)
            own = max(own, _STRAIN * self._norm(strain, self._size * stiff))
        forces = (self._load, inner, np.where(self._free, 0.0, imbalance))
        sizes = [float(np.sqrt(self._sums.dot(force, force))) for force in forces]
        return answer, imbalance[self._free], max(*sizes, self._problem.reference_force, own)

    def _law(self, strain: np.ndarray) -> Any:
        self._report.law_calls += 1
        with self._sums.together("integrating the law"), np.errstate(all="ignore"):
            return self._problem.law.integrate(strain, self._data, self._dt, self._previous.state, True)

    def _norm(self, field: np.ndarray, size: np.ndarray) -> float:
        """Norm of a field (6, G) times the sizes (G,)."""
        return float(np.sqrt(self._sums.points(np.einsum("ig,ig->g", field, field) * size**2)))
