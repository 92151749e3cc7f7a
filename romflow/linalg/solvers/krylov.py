"""Krylov methods with a checked end: CG for several right-hand sides at once, MINRES and GMRES of SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres, minres

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.matrix_input import Goal, relative_residuals

__all__ = ["KrylovAnswer", "conjugate_gradients", "general_minimal_residual", "minimal_residual"]

Apply = Callable[[np.ndarray], np.ndarray]
_RESTARTS = 6
_GMRES_BASIS = 60
_AIM = 0.5
_ROUNDING = 1e-16


@dataclass(frozen=True)
class KrylovAnswer:
    """X (n, j), iterations (j,) and true relative residuals (j,)."""

    X: np.ndarray
    iterations: np.ndarray
    residuals: np.ndarray


def conjugate_gradients(A: Any, B: np.ndarray, preconditioner: Apply, goal: Goal, max_iterations: int,
                        guess: np.ndarray | None = None) -> KrylovAnswer:
    """Solutions of A X = B by preconditioned CG, j independent recurrences whose products are done together.

    Each column stops on its own. Where the recurrence says that a column is done, b - A x is formed, and the recurrence
    starts again from x if it was wrong. Cost: one product with A and one preconditioner an iteration and column.

    Parameters
    ----------
    A : (n, n)
        Symmetric positive definite; anything with ``A @ P``.
    B : (n, j)
    preconditioner : callable
        R (n, j) -> Z (n, j), symmetric positive definite.
    goal : Goal
    max_iterations : int
    guess : (n, j), optional

    Returns
    -------
    KrylovAnswer

    Raises
    ------
    SolveFailed
        p^T A p <= 0 (A is not definite), r^T z <= 0 (the preconditioner is not), or too many iterations. The message
        names the method to take; the report has the iterations and the residual.

    Examples
    --------
    >>> A = np.diag([1.0, 2.0, 4.0])
    >>> answer = conjugate_gradients(A, np.ones((3, 1)), lambda R: R, Goal(1e-12), 10)
    >>> answer.X[:, 0]
    array([1.  , 0.5 , 0.25])
    """
    X = np.zeros_like(B) if guess is None else guess.copy()
    iterations = np.zeros(B.shape[1], dtype=int)
    spent = 0
    for _ in range(_RESTARTS):
        R = B - A @ X
        residuals = _relative(R, B)
        late = np.flatnonzero(~goal.reached(residuals, A, X, B))
        if late.size == 0:
            return KrylovAnswer(X, iterations, residuals)
        if spent >= max_iterations:
            break
        aim = _AIM * goal.value * np.linalg.norm(B[:, late], axis=0)
        steps = _cg_pass(A, X, R[:, late], late, aim, preconditioner, max_iterations - spent, spent)
        iterations[late] += steps
        spent += int(steps.max())
    residuals = relative_residuals(A, X, B)
    if goal.reached(residuals, A, X, B).all():
        return KrylovAnswer(X, iterations, residuals)
    raise _late("CG", residuals, goal, spent, max_iterations,
                "use method = 'direct', a better preconditioner, or more iterations (max_iterations)")


def _cg_pass(A: Any, X: np.ndarray, R: np.ndarray, columns: np.ndarray, aim: np.ndarray, preconditioner: Apply,
             most: int, before: int) -> np.ndarray:
    """One run of the recurrences; X is improved in place, the iterations of each column are returned."""
    steps = np.zeros(columns.size, dtype=int)
    active = np.arange(columns.size)
    Z = preconditioner(R)
    P = Z.copy()
    rho = _positive_preconditioner(np.einsum("ij,ij->j", R, Z), before)
    largest = 0.0
    for step in range(1, most + 1):
        Q = A @ P
        curvature = np.einsum("ij,ij->j", P, Q)
        largest = _definite(curvature, np.einsum("ij,ij->j", P, P), largest, before + step)
        alpha = rho / curvature
        X[:, columns[active]] += alpha * P
        R = R - alpha * Q
        steps[active] = step
        going = np.linalg.norm(R, axis=0) > aim[active]
        if not going.any():
            break
        if not going.all():
            active, R, P, rho = active[going], R[:, going], P[:, going], rho[going]
        Z = preconditioner(R)
        fresh = _positive_preconditioner(np.einsum("ij,ij->j", R, Z), before + step)
        P = Z + (fresh / rho) * P
        rho = fresh
    return steps


def _definite(curvature: np.ndarray, squared: np.ndarray, largest: float, iteration: int) -> float:
    """The largest Rayleigh quotient so far; an error where one is not positive beyond its rounding."""
    if not (np.isfinite(curvature).all() and np.isfinite(squared).all() and (squared > 0.0).all()):
        raise SolveFailed(f"CG left the range of floating-point numbers at iteration {iteration}; scale the system or "
                          "use method = 'direct'", {"iterations": iteration})
    quotients = curvature / squared
    largest, value = max(largest, float(quotients.max())), float(quotients.min())
    if value <= _ROUNDING * largest:
        raise SolveFailed(f"the matrix is indefinite or singular (p^T A p = {value:.1e} p^T p at iteration {iteration} "
                          "of CG): use method = 'minres' or 'direct'", {"iterations": iteration, "curvature": value})
    return largest


def _positive_preconditioner(rho: np.ndarray, iteration: int) -> np.ndarray:
    if not (rho > 0.0).all():
        raise SolveFailed(f"the preconditioner is not positive definite (r^T z = {float(rho.min()):.1e} at iteration "
                          f"{iteration} of CG), so that the matrix is probably indefinite: use method = 'minres' or "
                          "'direct'", {"iterations": iteration})
    return rho


def minimal_residual(A: Any, B: np.ndarray, preconditioner: Apply, goal: Goal, max_iterations: int,
                     guess: np.ndarray | None = None) -> KrylovAnswer:
    """Solutions of A X = B with a symmetric, maybe indefinite A by MINRES (Paige and Saunders 1975), column by column.

    SciPy's MINRES stops on an estimate of its own; here the true residual decides, and MINRES starts again on
    A e = b - A x where it stopped too early.

    Parameters
    ----------
    preconditioner : callable
        Symmetric positive definite, also where A is indefinite.

    Raises
    ------
    SolveFailed
        Not converged; the message names the remedy.

    Examples
    --------
    >>> A = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> minimal_residual(A, np.array([[1.0], [2.0]]), lambda R: R, Goal(1e-10), 20).X[:, 0]
    array([2., 1.])
    """
    def solve(residual: np.ndarray, aim: float, most: int, M: LinearOperator) -> tuple[np.ndarray, int]:
        count = _Count()
        x, _ = minres(_operator(A), residual, rtol=max(1e-3 * aim, 1e-16), maxiter=most, M=M, callback=count)
        return x, count.number

    return _by_columns("MINRES", solve, A, B, preconditioner, goal, max_iterations, guess,
                       "use method = 'direct' (a singular or badly scaled system needs it), or another preconditioner")


def general_minimal_residual(A: Any, B: np.ndarray, preconditioner: Apply, goal: Goal, max_iterations: int,
                             guess: np.ndarray | None = None) -> KrylovAnswer:
    """Solutions of A X = B with any regular A by GMRES(60) (Saad and Schultz 1986), column by column.

    The preconditioner acts from the right, so that GMRES minimises the true residual.

    Raises
    ------
    SolveFailed
        Not converged; the message names the remedy.

    Examples
    --------
    >>> A = np.array([[1.0, 1.0], [0.0, 1.0]])
    >>> general_minimal_residual(A, np.array([[2.0], [1.0]]), lambda R: R, Goal(1e-10), 20).X[:, 0]
    array([1., 1.])
    """
    def solve(residual: np.ndarray, aim: float, most: int, M: LinearOperator) -> tuple[np.ndarray, int]:
        count = _Count()
        basis = min(_GMRES_BASIS, most, residual.size)
        both = LinearOperator(M.shape, matvec=lambda v: A @ M.matvec(v), dtype=float)
        y, _ = gmres(both, residual, rtol=aim, restart=basis, maxiter=math.ceil(most / basis), callback=count,
                     callback_type="pr_norm")
        return M.matvec(y), count.number

    return _by_columns("GMRES", solve, A, B, preconditioner, goal, max_iterations, guess,
                       "use method = 'direct', another preconditioner, or 'sketched-gmres' for a longer basis")


class _Count:
    """Callback that counts."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, _: Any) -> None:
        self.number += 1


def _by_columns(name: str, solve: Callable[..., tuple[np.ndarray, int]], A: Any, B: np.ndarray, preconditioner: Apply,
                goal: Goal, most: int, guess: np.ndarray | None, remedy: str) -> KrylovAnswer:
    X = np.zeros_like(B) if guess is None else guess.copy()
    n = B.shape[0]
    M = LinearOperator((n, n), matvec=lambda r: preconditioner(np.reshape(r, (n, 1)))[:, 0], dtype=float)
    iterations = np.zeros(B.shape[1], dtype=int)
    for column in range(B.shape[1]):
        b, previous = B[:, [column]], np.inf
        for _ in range(_RESTARTS):
            x = X[:, [column]]
            residual = relative_residuals(A, x, b)
            if goal.reached(residual, A, x, b).all() or iterations[column] >= most or residual[0] > 0.5 * previous:
                break
            previous = float(residual[0])
            aim = min(_AIM * goal.value / previous, 0.5)
            step, count = solve((b - A @ x)[:, 0], aim, most - iterations[column], M)
            iterations[column] += max(count, 1)
            if not np.isfinite(step).all():
                break
            X[:, column] += step
    residuals = relative_residuals(A, X, B)
    if goal.reached(residuals, A, X, B).all():
        return KrylovAnswer(X, iterations, residuals)
    raise _late(name, residuals, goal, int(iterations.max()), most, remedy)


def _operator(A: Any) -> Any:
    return A if not isinstance(A, np.ndarray) else LinearOperator(A.shape, matvec=lambda v: A @ v, dtype=float)


def _relative(R: np.ndarray, B: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(B, axis=0)
    residuals = np.linalg.norm(R, axis=0)
    return np.where(norms > 0.0, residuals / np.where(norms > 0.0, norms, 1.0), np.where(residuals > 0.0, np.inf, 0.0))


def _late(name: str, residuals: np.ndarray, goal: Goal, spent: int, most: int, remedy: str) -> SolveFailed:
    worst = float(residuals.max())
    limit = f" (the limit max_iterations = {most} is reached)" if spent >= most else ", where it stagnates"
    return SolveFailed(f"{name} has the relative residual {worst:.1e} after {spent} iterations{limit}; the tolerance "
                       f"is {goal.value:g}: {remedy}", {"iterations": spent, "relative_residual": worst,
                                                     "method": name.lower()})
