"""Newton's method for equality-constrained problems, its systems solved inexactly by random sketches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.constrained.kkt import InnerSolution, KktSystem, SchurPreconditioner, checked_matrix, inner_solver

__all__ = ["ConstrainedSolution", "EqualityProblem", "NewtonReport", "newton_sketch"]

_GROWTH = 2.0
_TRIES = 25
_ARMIJO = 1e-4
_HALVINGS = 40
_SHIFTS = (0.0, 1.0, 10.0, 100.0)
_CURVATURE, _MAINLY_NORMAL = 1e-3, 0.01
_LEAST_WEIGHT = 1e-12


@dataclass(frozen=True)
class EqualityProblem:
    """min f(x) such that c(x) = 0, for x (n,) and c (m,), m <= n.

    Attributes
    ----------
    objective : x -> float
    gradient : x -> (n,)
    hessian : (x, multipliers) -> sparse (n, n)
        Of the Lagrangian f + lambda^T c; affine in the multipliers.
    constraint : x -> (m,)
    jacobian : x -> sparse (m, n)
        Of full row rank.
    weights : x, multipliers -> (n,), optional
        Positive diagonal for the preconditioner; by default |diagonal of the Hessian|, its largest entry where zero.
    """

    objective: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    hessian: Callable[[np.ndarray, np.ndarray], Any]
    constraint: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], Any]
    weights: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


@dataclass
class NewtonReport:
    """What the iteration took; lists have one entry a Newton step.

    Attributes
    ----------
    inner : str
    iterations : int
        Newton steps.
    inner_iterations, applications : list of int
        Sketches (or MINRES iterations), and columns to which the preconditioner was applied.
    residuals : list of float
        Relative residuals of the Newton systems in P^{-1}.
    merit : list of (float, float)
        The exact augmented Lagrangian before and after the step, with the penalties of that step.
    penalties : list of (float, float)
        eta_1, eta_2.
    step_lengths : list of float
    kkt : list of float
        ||(grad_x L, c)|| in P_0^{-1}, one more entry than steps.
    """

    inner: str
    iterations: int = 0
    inner_iterations: list[int] = field(default_factory=list)
    applications: list[int] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    merit: list[tuple[float, float]] = field(default_factory=list)
    penalties: list[tuple[float, float]] = field(default_factory=list)
    step_lengths: list[float] = field(default_factory=list)
    kkt: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class ConstrainedSolution:
    """x (n,), multipliers (m,) of the Lagrangian f + multipliers^T c, and the report."""

    x: np.ndarray
    multipliers: np.ndarray
    report: NewtonReport


@dataclass(frozen=True)
class _Point:
    """Values at (x, lambda); `gradient` is grad_x L, `target` = G W_0^{-1} grad_x L, `dual` = S_0^{-1} target."""

    x: np.ndarray
    multipliers: np.ndarray
    objective: float
    gradient: np.ndarray
    plain_gradient: np.ndarray
    constraint: np.ndarray
    jacobian: sp.csr_array
    dual: np.ndarray
    scaled_constraint: np.ndarray
    lagrangian: float
    squares: tuple[float, float]

    def merit(self, eta: tuple[float, float]) -> float:
        return self.lagrangian + 0.5 * (eta[0] * self.squares[0] + eta[1] * self.squares[1])


def newton_sketch(problem: EqualityProblem, x: np.ndarray, multipliers: np.ndarray | None = None, *,
                  inner: str = "sketch", tolerance: float = 1e-8, max_iterations: int = 50, max_inner: int = 2000,
                  columns: int = 1, period: int = 5, accuracy: float = 0.1, penalties: tuple[float, float] = (1.0, 0.1),
                  seed: int = 0) -> ConstrainedSolution:
    """A point with ||(grad_x L, c)||_{P^{-1}} <= tolerance scale, every step of which lowers an exact merit function.

    AdaSketch-Newton (Hong, Na, Mahoney and Kolar 2023, algorithm 1). Each Newton system
    [H G^T; G 0] (dx, dl) = -(grad_x L, c) is solved to a relative residual `accuracy`, tightened with the KKT residual.
    The step must be one of descent,

        L_eta'(dx, dl) <= -eta_2 / 2 ||(grad_x L, c)||^2,
        L_eta = L + eta_1 / 2 ||c||^2 + eta_2 / 2 ||G grad_x L||^2,

    else eta_1 <- 4 eta_1, eta_2 <- eta_2 / 2, accuracy <- accuracy / 16; then Armijo's line search. The norms are those
    of the variables W^{1/2} x and S^{-1/2} c of the Schur block preconditioner P_0 = diag(W, S) at the start
    (||c||_{S^{-1}}, ||G W^{-1} grad_x L||_{S^{-1}}), so that the penalties need not know the mesh. Where H is not
    positive along a tangential step, its Newton system fails, or no penalty gives descent, H is replaced by
    H + shift W. scale = max(||grad f||_{W^{-1}}, ||x||_W, first KKT residual). Cost a Newton step: one factorisation
    of S (m, m) and the applications in the report.

    Parameters
    ----------
    problem : EqualityProblem
    x : (n,)
        Start.
    multipliers : (m,), optional
        Zero by default.
    inner : {"sketch", "gaussian", "minres", "direct"}
        See `romflow.linalg.constrained.kkt.inner_solver`. MINRES needs fewer applications; the sketch is the
        randomised method.
    tolerance, max_iterations
        Stopping rule of the Newton steps.
    max_inner, columns, period
        Iterations of one inner solve; Gaussian columns of every `period`-th sketch.
    accuracy : float
        0 < accuracy < 1.
    penalties : (float, float)
        eta_1, eta_2 at the start.
    seed : int
        Of the sketches; the same seed gives the same bits.

    Raises
    ------
    InputError, ShapeError
        Shapes do not fit; a value at the start is not finite; an option is out of range.
    SolveFailed
        The Jacobian is rank-deficient; no descent; not converged. The message names the remedy.

    Examples
    --------
    >>> problem = EqualityProblem(lambda x: x @ x, lambda x: 2 * x, lambda x, l: 2 * sp.eye_array(2),
    ...                           lambda x: x[:1] + x[1:] - 1.0, lambda x: sp.csr_array(np.ones((1, 2))))
    >>> newton_sketch(problem, np.zeros(2)).x.round(6)
    array([0.5, 0.5])
    """
    _check_options(tolerance, max_iterations, accuracy, penalties)
    solve = inner_solver(inner, max_inner, columns, period)
    x, multipliers = _start(problem, x, multipliers)
    H, G = _matrices(problem, x, multipliers)
    P = metric = SchurPreconditioner(_weights(problem, x, multipliers, H), G)
    here = _evaluate(problem, x, multipliers, metric)
    report, eta, stream = NewtonReport(inner), penalties, np.random.default_rng(seed)
    while True:
        residual = np.concatenate([here.gradient, here.constraint])
        report.kkt.append(metric.norm(residual))
        goal = tolerance * _scale(here, metric, report.kkt[0])
        if report.kkt[-1] <= goal:
            return ConstrainedSolution(here.x, here.multipliers, report)
        if report.iterations == max_iterations:
            raise SolveFailed(f"Newton's method has a KKT residual of {report.kkt[-1]:.1e} after {max_iterations} "
                              f"steps; the rule is at most {goal:.1e}: raise max_iterations, or start closer (a "
                              "solution for a neighbouring parameter)",
                              {"iterations": max_iterations, "kkt": report.kkt})
        if report.iterations:
            H, G = _matrices(problem, here.x, here.multipliers)
            P = SchurPreconditioner(_weights(problem, here.x, here.multipliers, H), G)
        forced = max(min(accuracy, report.kkt[-1] / report.kkt[0]), 0.1 * goal / report.kkt[-1])

        def newton(shift: float, wanted: float, H: sp.csr_array = H, P: SchurPreconditioner = P,
                   residual: np.ndarray = residual) -> InnerSolution:
            shifted = H + shift * sp.diags_array(P.weights) if shift else H
            return solve(KktSystem(shifted, P.jacobian, P), -residual, wanted, stream)

        system = _Linearised(problem, here, H, P, metric, newton)
        found, eta, slope, tightened = _descent(system, eta, forced, report)
        accuracy = min(accuracy, tightened) if tightened < forced else accuracy
        here, length, values = _line_search(problem, here, metric, found.z, eta, slope)
        report.iterations += 1
        report.residuals.append(found.residual)
        report.penalties.append(eta)
        report.step_lengths.append(length)
        report.merit.append(values)


@dataclass(frozen=True)
class _Linearised:
    """The problem at a point: Hessian, preconditioner of the Newton system, metric of the merit, inner solver."""

    problem: EqualityProblem
    here: _Point
    hessian: sp.csr_array
    preconditioner: SchurPreconditioner
    metric: SchurPreconditioner
    newton: Callable[[float, float], InnerSolution]


_Direction = tuple[InnerSolution, tuple[float, float], float, float]


def _descent(system: _Linearised, eta: tuple[float, float], wanted: float, report: NewtonReport) -> _Direction:
    """A Newton direction of descent, the penalties with which it is one, its slope, and the accuracy it needed."""
    report.inner_iterations.append(0)
    report.applications.append(0)
    failure: SolveFailed | None = None
    for shift in _SHIFTS:
        try:
            found = _with_penalties(system, shift, eta, wanted, report)
        except SolveFailed as error:
            failure = failure or error
            continue
        if found is not None:
            return found
    raise failure or SolveFailed(
        "no Newton direction lowers the exact augmented Lagrangian for any penalty; the Hessian of the Lagrangian is "
        "not positive on the kernel of the Jacobian, or a derivative is wrong: check the derivatives by differences, "
        "or start closer", {"kkt": report.kkt})


def _with_penalties(system: _Linearised, shift: float, eta: tuple[float, float], wanted: float,
                    report: NewtonReport) -> _Direction | None:
    found, squared = None, report.kkt[-1] ** 2
    for _ in range(_TRIES):
        if found is None or found.residual > wanted:
            found = system.newton(shift, wanted)
            report.inner_iterations[-1] += found.iterations
            report.applications[-1] += found.applications
            if shift < _SHIFTS[-1] and not _is_curved(system, shift, found.z[:system.here.x.size]):
                return None
            parts = _slope(system.problem, system.here, system.hessian, system.metric, found.z)
        slope = parts[0] + eta[0] * parts[1] + eta[1] * parts[2]
        if slope <= -0.5 * eta[1] * squared:
            return found, eta, slope, wanted
        eta = (eta[0] * _GROWTH**2, eta[1] / _GROWTH)
        wanted = max(wanted / _GROWTH**4, 1e-12)
    return None


def _is_curved(system: _Linearised, shift: float, dx: np.ndarray) -> bool:
    """Whether H + shift W is positive along a step that is not mainly normal to the constraints (Byrd et al. 2010)."""
    H, P = system.hessian, system.preconditioner
    change, size = P.jacobian @ dx, float(dx @ (P.weights * dx))
    normal = float(change @ P.dual(change))
    return size <= (1.0 + _MAINLY_NORMAL) * normal or float(dx @ (H @ dx)) + shift * size >= _CURVATURE * size


def _slope(problem: EqualityProblem, here: _Point, H: sp.csr_array, metric: SchurPreconditioner,
           step: np.ndarray) -> tuple[float, float, float]:
    """Directional derivatives of L, ||c||^2 / 2 and ||G grad_x L||^2 / 2 along (dx, dl)."""
    n = here.x.size
    dx, dl, G = step[:n], step[n:], here.jacobian
    gradient = here.gradient / metric.weights
    # The Hessian is affine in the multipliers: its change is the curvature of the constraints.
    curved = checked_matrix(problem.hessian(here.x, here.multipliers + here.dual), (n, n), "Hessian") - H
    change = G @ ((H @ dx + G.T @ dl) / metric.weights)
    return (float(here.gradient @ dx + here.constraint @ dl), float(here.scaled_constraint @ (G @ dx)),
            float(here.dual @ change + gradient @ (curved @ dx)))


def _line_search(problem: EqualityProblem, here: _Point, metric: SchurPreconditioner, step: np.ndarray,
                 eta: tuple[float, float], slope: float) -> tuple[_Point, float, tuple[float, float]]:
    n, length, before = here.x.size, 1.0, here.merit(eta)
    noise = 1e-14 * (abs(here.objective) + abs(before) + abs(here.lagrangian - here.objective))
    for _ in range(_HALVINGS):
        try:
            there = _evaluate(problem, here.x + length * step[:n], here.multipliers + length * step[n:], metric)
        except InputError:
            length *= 0.5
            continue
        if there.merit(eta) <= before + _ARMIJO * length * slope + noise:
            return there, length, (before, there.merit(eta))
        length *= 0.5
    raise SolveFailed(f"the line search found no lower merit after {_HALVINGS} halvings; a derivative does not fit its "
                      "function, or the tolerance is below the rounding of the objective: check the derivatives by "
                      "differences, or raise the tolerance")


def _evaluate(problem: EqualityProblem, x: np.ndarray, multipliers: np.ndarray,
              metric: SchurPreconditioner) -> _Point:
    value = float(problem.objective(x))
    plain = _vector(problem.gradient(x), x.size, "gradient")
    c = _vector(problem.constraint(x), multipliers.size, "constraint")
    if not math.isfinite(value):
        raise InputError(f"the objective is {value}; the rule is a finite value: start at another point")
    G = checked_matrix(problem.jacobian(x), (c.size, x.size), "Jacobian")
    gradient = plain + G.T @ multipliers
    target = G @ (gradient / metric.weights)
    scaled, dual = metric.dual(np.stack([c, target], axis=1)).T
    return _Point(x, multipliers, value, gradient, plain, c, G, dual, scaled, value + float(multipliers @ c),
                  (float(c @ scaled), float(target @ dual)))


def _scale(here: _Point, metric: SchurPreconditioner, first: float) -> float:
    objective = np.sqrt(here.plain_gradient @ (here.plain_gradient / metric.weights))
    return max(float(objective), float(np.sqrt(here.x @ (metric.weights * here.x))), first)


def _matrices(problem: EqualityProblem, x: np.ndarray, multipliers: np.ndarray) -> tuple[sp.csr_array, sp.csr_array]:
    n, m = x.size, multipliers.size
    return (checked_matrix(problem.hessian(x, multipliers), (n, n), "Hessian"),
            checked_matrix(problem.jacobian(x), (m, n), "Jacobian"))


def _weights(problem: EqualityProblem, x: np.ndarray, multipliers: np.ndarray, H: sp.csr_array) -> np.ndarray:
    if problem.weights is None:
        diagonal = np.abs(H.diagonal())
        largest = float(diagonal.max())
        # A zero tells nothing about the scale of its unknown; the largest entry keeps the metric moderate.
        return np.where(diagonal > _LEAST_WEIGHT * largest, diagonal, largest if largest > 0.0 else 1.0)
    weights = _vector(problem.weights(x, multipliers), x.size, "weights")
    if not weights.min() > 0.0:
        raise InputError(f"the smallest weight of the preconditioner is {weights.min():.3g}; the rule is weights > 0")
    return weights


def _start(problem: EqualityProblem, x: np.ndarray, multipliers: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    x = np.array(x, dtype=float)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise InputError(f"the start has shape {x.shape}; the rule is a finite vector (n,)")
    m = np.asarray(problem.constraint(x)).size
    if not 1 <= m <= x.size:
        raise InputError(f"the problem has {m} constraints and {x.size} unknowns; the rule is 1 <= m <= n: remove the "
                         "constraints that follow from others")
    return x, np.zeros(m) if multipliers is None else _vector(multipliers, m, "multipliers")


def _vector(value: Any, size: int, name: str) -> np.ndarray:
    found = np.array(value, dtype=float)
    if found.shape != (size,):
        raise ShapeError(f"the {name} has shape {found.shape}; the rule is ({size},)")
    if not np.isfinite(found).all():
        raise InputError(f"the {name} has entries that are not finite; check the point and the formula")
    return found


def _check_options(tolerance: float, max_iterations: int, accuracy: float, penalties: tuple[float, float]) -> None:
    if not 0.0 < tolerance < 1.0 or not 0.0 < accuracy < 1.0:
        raise InputError(f"tolerance is {tolerance} and accuracy {accuracy}; the rule is 0 < both < 1")
    if max_iterations < 1:
        raise InputError(f"max_iterations is {max_iterations}; the rule is at least 1")
    if len(penalties) != 2 or not all(math.isfinite(eta) and eta > 0.0 for eta in penalties):
        raise InputError(f"the penalties are {penalties}; the rule is two finite numbers above 0")
