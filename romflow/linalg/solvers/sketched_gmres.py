"""GMRES on a basis that is only partly orthogonal, its least squares solved by a sketch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import SolveFailed
from romflow.linalg.sketching.embeddings import embedding
from romflow.linalg.solvers.krylov import KrylovAnswer
from romflow.linalg.solvers.matrix_input import Goal, relative_residuals

__all__ = ["sketched_gmres"]

Apply = Callable[[np.ndarray], np.ndarray]
_ORTHOGONAL_TO = 4
_CHECK_EVERY, _CHECK_OFTEN, _EARLY = 10, 4, 40
_LARGEST_BASIS = 200
# A sketched basis beyond this condition number loses the digits of the solution: start again from its best x.
_WORST_CONDITION = 1e13
_RESTARTS = 20
_AIM = 0.3


@dataclass
class _Cycle:
    """One basis: x + M B y, its reason to stop, and its length."""

    x: np.ndarray
    steps: int
    condition: float


def sketched_gmres(A: Any, B: np.ndarray, preconditioner: Apply, goal: Goal, max_iterations: int,
                   guess: np.ndarray | None = None, *, basis: int = _LARGEST_BASIS, seed: int = 0) -> KrylovAnswer:
    """Solutions of A X = B by sketched GMRES, column by column (Nakatsukasa and Tropp 2021, algorithm 1.1).

    The Krylov basis b_1 .. b_d of A M is orthogonalised against its last four vectors only, and
    y = argmin ||S (A M b y - r)|| with a sparse-sign embedding S of 2 (d + 1) rows, d the longest basis. Cost:
    O(n d) instead of the O(n d^2) of GMRES. Every few steps the sketched residual and the condition number of S B are
    looked at: the first ends the cycle by success, the second (above 1e13) by a new start from the best x so far. The
    true residual decides.

    Parameters
    ----------
    preconditioner : callable
        M, from the right: R (n, 1) -> Z (n, 1).
    basis : int
        Longest basis before a new start.
    seed : int
        Of the embedding.

    Raises
    ------
    SolveFailed
        Not converged; the message names the remedy.

    Examples
    --------
    >>> A = np.diag(np.linspace(1.0, 2.0, 400)) + np.diag(np.full(399, 0.3), 1)
    >>> answer = sketched_gmres(A, np.ones((400, 1)), lambda R: R, Goal(1e-10), 100)
    >>> bool(answer.residuals[0] <= 1e-10)
    True
    """
    X = np.zeros_like(B) if guess is None else guess.copy()
    n = B.shape[0]
    length = max(1, min(basis, max_iterations, n // 4))
    theta = embedding("sparse-sign", min(n, 2 * (length + 1) + 8), n, seed)
    iterations = np.zeros(B.shape[1], dtype=int)
    condition = 0.0
    for column in range(B.shape[1]):
        b = B[:, column]
        stalled = 0
        for _ in range(_RESTARTS):
            residual = relative_residuals(A, X[:, [column]], b[:, None])
            if goal.reached(residual, A, X[:, [column]], b[:, None]).all() or iterations[column] >= max_iterations:
                break
            r = b - A @ X[:, column]
            cycle = _cycle(A, r, preconditioner, theta, _AIM * goal.value * float(np.linalg.norm(b)),
                           min(length, max_iterations - int(iterations[column])))
            iterations[column] += cycle.steps
            condition = max(condition, cycle.condition)
            new = X[:, column] + cycle.x
            after = relative_residuals(A, new[:, None], b[:, None])[0]
            stalled = stalled + 1 if not after < 0.9 * residual[0] else 0
            if after < residual[0]:
                X[:, column] = new
            if stalled == 2:
                break
    residuals = relative_residuals(A, X, B)
    if goal.reached(residuals, A, X, B).all():
        return KrylovAnswer(X, iterations, residuals)
    spent, worst = int(iterations.max()), float(residuals.max())
    reached = f"the limit max_iterations = {max_iterations}" if spent >= max_iterations else "no further progress"
    raise SolveFailed(f"sketched GMRES has the relative residual {worst:.1e} after {spent} iterations ({reached}, "
                      f"worst condition of the sketched basis {condition:.0e}); the tolerance is {goal.value:g}: use "
                      "method = 'direct', 'gmres' (orthogonal basis) or a better preconditioner",
                      {"iterations": spent, "relative_residual": worst, "condition": condition,
                       "method": "sketched-gmres"})


def _cycle(A: Any, r: np.ndarray, preconditioner: Apply, theta: Any, aim: float, length: int) -> _Cycle:
    """The correction from one basis of at most `length` vectors."""
    n = r.size
    beta = float(np.linalg.norm(r))
    basis = np.empty((n, length + 1), order="F")
    images = np.empty((n, length), order="F")
    sketched = np.empty((theta.rows, length))
    target = theta.apply(r)
    basis[:, 0] = r / beta
    best, condition, steps = np.zeros(0), 1.0, 0
    looked = 0
    for d in range(length):
        images[:, d] = A @ preconditioner(basis[:, [d]])[:, 0]
        w = images[:, d].copy()
        for i in range(max(0, d + 1 - _ORTHOGONAL_TO), d + 1):
            w -= (basis[:, i] @ w) * basis[:, i]
        norm = float(np.linalg.norm(w))
        steps = d + 1
        exhausted = norm <= 1e-14 * float(np.linalg.norm(images[:, d])) or not np.isfinite(norm)
        if not exhausted:
            basis[:, d + 1] = w / norm
        if steps % (_CHECK_OFTEN if steps <= _EARLY else _CHECK_EVERY) and steps < length and not exhausted:
            continue
        if np.isfinite(norm):
            sketched[:, looked:steps] = theta.apply(images[:, looked:steps])
            y, misfit, condition = _least_squares(sketched[:, :steps], target)
            looked = steps
            if condition <= _WORST_CONDITION or best.size == 0:
                best = y
            if misfit <= aim:
                break
        if condition > _WORST_CONDITION or exhausted:
            break
    x = preconditioner(basis[:, :best.size] @ best[:, None])[:, 0]
    return _Cycle(x, steps, condition)


def _least_squares(F: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float, float]:
    """argmin ||F y - target|| by a pivoted QR factorisation cut at rounding, its misfit, and the condition of F."""
    Q, R, order = sl.qr(F, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(R))
    rank = max(1, int(np.count_nonzero(diagonal > 1e-15 * diagonal[0])))
    c = Q.T @ target
    y = np.zeros(F.shape[1])
    y[order[:rank]] = sl.solve_triangular(R[:rank, :rank], c[:rank])
    misfit = float(np.linalg.norm(F @ y - target))
    smallest = float(diagonal[-1])
    return y, misfit, float(diagonal[0] / smallest) if smallest > 0.0 else np.inf
