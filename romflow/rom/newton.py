"""Newton's method for many small systems at once: each takes its own steps and leaves when it is done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["batched_newton"]

Residual = Callable[[np.ndarray, np.ndarray], np.ndarray]

_ARMIJO = 1e-4
_HALVINGS = 20


def batched_newton(residual: Residual, jacobian: Residual, guess: np.ndarray, scale: np.ndarray | float = 1.0,
                   tolerance: float = 1e-12, max_iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Solutions x_j of R_j(x_j) = 0 for the columns that converge, and which of them do.

    x <- x - s J^{-1} R with the largest s = 1, 1/2, 1/4 .. for which ||R(x - s d)|| <= (1 - 1e-4 s) ||R(x)|| (Armijo's
    rule for the norm; Dennis and Schnabel 1983, section 6.3). A column is done where ||R|| <= tolerance scale, or
    where a full step changes it by less than tolerance ||x||; it is given up where no step lowers its residual, where
    numbers are not finite, or after `max_iterations`. Cost: for each step one batch of r x r systems.

    Parameters
    ----------
    residual : callable
        residual(x (r, a), columns (a,)) -> (r, a): R of some columns.
    jacobian : callable
        jacobian(x (r, a), columns (a,)) -> (a, r, r).
    guess : (r, b)
    scale : (b,) or float
        What residuals are compared with; where it is not finite, the steps alone tell convergence.
    tolerance : float
    max_iterations : int

    Returns
    -------
    x : (r, b)
    converged : (b,) bool

    Examples
    --------
    >>> a = np.array([4.0, 9.0, -1.0])
    >>> x, converged = batched_newton(lambda x, j: x**2 - a[j], lambda x, j: 2.0 * x.T[:, :, None], np.ones((1, 3)))
    >>> x[0, :2].round(12), converged
    (array([2., 3.]), array([ True,  True, False]))
    """
    x = np.array(guess, dtype=float)
    b = x.shape[1]
    limit = tolerance * np.broadcast_to(scale, (b,))
    # Nothing is small beside a scale that is no number.
    limit = np.where(np.isfinite(limit), limit, -1.0)
    active = np.arange(b)
    R = residual(x, active)
    converged = _norms(R) <= limit
    active, R = active[~converged], R[:, ~converged]
    for _ in range(max_iterations):
        if not active.size:
            break
        step = _steps(jacobian(x[:, active], active), R)
        size, R, moved = _search(residual, x, active, step, R)
        small = (size == 1.0) & (_norms(step) <= tolerance * _norms(x[:, active]))
        done = np.isfinite(R).all(axis=0) & ((_norms(R) <= limit[active]) | small)
        converged[active[done]] = True
        left = moved & ~done
        active, R = active[left], R[:, left]
    return x, converged


def _search(residual: Residual, x: np.ndarray, active: np.ndarray, step: np.ndarray,
            R: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move the active columns of x; the step sizes, the new residuals, and which columns could be moved."""
    before, size = _norms(R), np.ones(active.size)
    start, R = x[:, active], R.copy()
    todo = np.flatnonzero(np.isfinite(step).all(axis=0) & np.isfinite(before))
    moved = np.zeros(active.size, dtype=bool)
    for _ in range(_HALVINGS):
        if not todo.size:
            break
        trial = start[:, todo] + size[todo] * step[:, todo]
        with np.errstate(all="ignore"):
            tried = residual(trial, active[todo])
            norm = _norms(tried)
        # The last digits of a converged column are noise, which no step lowers.
        tiny = (size[todo] == 1.0) & (_norms(step[:, todo]) <= 1e-14 * _norms(trial))
        good = (norm <= (1.0 - _ARMIJO * size[todo]) * before[todo]) | (tiny & np.isfinite(norm))
        x[:, active[todo[good]]] = trial[:, good]
        R[:, todo[good]] = tried[:, good]
        moved[todo[good]] = True
        todo = todo[~good]
        size[todo] *= 0.5
    return size, R, moved


def _steps(J: np.ndarray, R: np.ndarray) -> np.ndarray:
    """-J^{-1} R (r, a); columns with a singular or infinite J get NaN."""
    finite = np.isfinite(J).all(axis=(1, 2)) & np.isfinite(R).all(axis=0)
    step = np.full(R.shape, np.nan)
    try:
        step[:, finite] = -np.linalg.solve(J[finite], R.T[finite][:, :, None])[:, :, 0].T
    except np.linalg.LinAlgError:
        for j in np.flatnonzero(finite):
            step[:, j] = _step(J[j], R[:, j])
    return step


def _step(J: np.ndarray, R: np.ndarray) -> np.ndarray:
    try:
        return -np.linalg.solve(J, R)
    except np.linalg.LinAlgError:
        return np.full(R.shape, np.nan)


def _norms(R: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->j", R, R))
