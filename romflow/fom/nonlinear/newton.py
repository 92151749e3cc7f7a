"""Newton's method with a line search: it gives a solution, or a record of why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from romflow.core.errors import InputError, SolveFailed

__all__ = ["newton"]

# Armijo's share of the predicted decrease, and the shortest share of a step that is tried.
_SHARE = 1e-4
_SHORTEST = 2.0**-20
# A step of this share of the solution is rounding: the residual cannot fall further.
_ROUNDING = 1e-13

Vector = np.ndarray


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def newton(residual: Callable[[Vector], Vector], solve: Callable[[Vector, Vector], Vector], guess: Vector,
           tolerance: float = 1e-10, max_iterations: int = 50, norm: Callable[[Vector], float] | None = None,
           scale: float | None = None) -> tuple[Vector, dict[str, Any]]:
    """A root u of the residual F to ||F(u)|| <= tolerance * scale, or SolveFailed; never an unfinished iterate.

    u <- u - s J(u)^{-1} F(u) with the largest s of 1, 1/2, 1/4 ... for which ||F|| falls to (1 - 1e-4 s) of its value
    (Armijo's rule; Kelley, Iterative Methods for Linear and Nonlinear Equations, SIAM 1995, eq. 8.1), where a value
    that is not finite counts as no decrease. The iteration also ends where a full step is below 1e-13 ||u||: the
    residual is then as small as rounding allows. Cost: one `solve` an iteration, one `residual` for each s.

    Parameters
    ----------
    residual : callable
        F(u) (n,).
    solve : callable
        solve(u, r) is J(u)^{-1} r (n,), J = dF/du.
    guess : (n,)
    tolerance : float
    max_iterations : int
    norm : callable, optional
        Norm of a residual; Euclidean by default.
    scale : float, optional
        What the residual is measured against; ||F(guess)|| by default. Give it where the guess may be good.

    Returns
    -------
    u : (n,)
    report : dict
        JSON: "iterations", "residuals" (relative to the scale, one more than iterations), "steps" (s of each
        iteration).

    Raises
    ------
    SolveFailed
        No convergence in `max_iterations`, no descent along a step, a linear solve that fails, values that are not
        finite; its `report` is the one above with "reason".

    Examples
    --------
    >>> u, report = newton(lambda u: u**2 - 2.0, lambda u, r: r / (2.0 * u), np.array([1.0]))
    >>> u.round(12), report["iterations"]
    (array([1.41421356]), 4)
    """
    size = np.linalg.norm if norm is None else norm
    u = np.array(guess, dtype=np.float64)
    r = residual(u)
    value = float(size(r))
    unit = value if scale is None else float(scale)
    report: dict[str, Any] = {"iterations": 0, "residuals": [_share(value, unit)], "steps": []}
    if not np.isfinite(value) or not np.isfinite(unit) or unit < 0.0:
        raise _failure("the residual of the guess is not finite; take another guess", report)
    while value > tolerance * unit:
        if report["iterations"] >= max_iterations:
            raise _failure(f"no convergence in {max_iterations} iterations; take a better guess or smaller steps of "
                           "the load or the time", report)
        step = _step(solve, u, r, report)
        small = np.linalg.norm(step) <= _ROUNDING * np.linalg.norm(u)
        found = _line_search(residual, size, u, step, value)
        if found is None and not small:
            raise _failure("no descent along the Newton step; check the Jacobian, or take a better guess", report)
        if found is not None:
            u, r, value, share = found
            report["steps"].append(share)
            report["residuals"].append(_share(value, unit))
            report["iterations"] += 1
        if small:
            break
    return u, report


def _step(solve: Callable[[Vector, Vector], Vector], u: Vector, r: Vector, report: dict[str, Any]) -> Vector:
    try:
        step = solve(u, r)
    except (SolveFailed, InputError, np.linalg.LinAlgError) as error:
        raise _failure(f"the linear solve failed ({error})", report) from error
    if not np.isfinite(step).all():
        raise _failure("the Newton step is not finite; the Jacobian is singular there", report)
    return step


def _line_search(residual: Callable[[Vector], Vector], size: Callable[[Vector], Any], u: Vector, step: Vector,
                 value: float) -> tuple[Vector, Vector, float, float] | None:
    """(u, F, ||F||, s) at the first s that satisfies Armijo's rule, or None."""
    share = 1.0
    while share >= _SHORTEST:
        trial = u - share * step
        r = residual(trial)
        found = float(size(r))
        if found <= (1.0 - _SHARE * share) * value:
            return trial, r, found, share
        share *= 0.5
    return None


def _share(value: float, unit: float) -> float | None:
    share = value / unit if unit > 0.0 else value
    return share if np.isfinite(share) else None


def _failure(reason: str, report: dict[str, Any]) -> SolveFailed:
    last = report["residuals"][-1]
    known = "not finite" if last is None else f"{last:.3g}"
    return SolveFailed(f"Newton failed after {report['iterations']} iterations at a relative residual of {known}: "
                       f"{reason}", {**report, "reason": reason})
