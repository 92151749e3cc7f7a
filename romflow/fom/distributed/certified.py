"""Solves with a symmetric positive definite X over ranks, and a bound of the error of each in the norm of X."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.dd.communicator import gathered
from romflow.dd.layout import Layout

# Right-hand sides that are solved at once.
_BLOCK = 32
# rho^2 cond(X) <= 1/4 for an estimate of cond(X) with this margin.
_MARGIN = 100.0
_LOOSEST, _TIGHTEST = 1e-6, 1e-12


def certified_solve(layout: Layout, X: sp.csr_array, solver: Any, C: np.ndarray,
                    tolerance: float) -> tuple[np.ndarray, dict[str, Any]]:
    """z_j = X^{-1} c_j, and eps_j with ||c_j - X z_j||_{X'} <= eps_j for each column.

    X z0 = c is solved to `tolerance`, then X e = c - X z0 to the relative residual rho, and z = z0 + e. In the
    Euclidean norm ||d1|| <= rho ||d0|| for the defects d0 of z0 and d1 of z, so that with s = rho cond(X)^{1/2}

        ||d1||_{X'} <= s ||d0||_{X'},   ||d0||_{X'} <= ||e||_X + ||d1||_{X'},   hence ||d1||_{X'} <= s/(1 - s) ||e||_X.

    rho is chosen such that s <= 1/2 by an estimate of cond(X), from its largest row sum and the Rayleigh quotients of
    the solutions, with a margin of 100; then eps_j = ||e_j||_X. That is a bound, but for rounding, whenever cond(X) <=
    1/(4 rho^2), which is 2.5e11 at least; the estimate is a check of this and no proof. Cost: two solves of C, the
    second to fewer digits, with one preconditioner.

    Parameters
    ----------
    layout : Layout
    X : csr (local, local)
        Rows of the owned unknowns exact.
    solver : SchwarzSolver or PetscSolver
        Set up for X.
    C : (owned, j)
    tolerance : float
        Relative residual of the first solve; 100 and 10,000 times that, up to 1e-6, where rounding allows no less.

    Returns
    -------
    (owned, j) array
    dict
        "eps" (j numbers), "refinement" (rho), "relative_residual" (the largest of the first solve) and the solver's
        report of its last block.

    Raises
    ------
    SolveFailed
        On every rank: the solver does not converge.
    """
    rows = X[:layout.owned]
    Z, worst = _attempts(layout, solver, C, tolerance)
    XZ = rows @ layout.exchange.forward(Z)
    energy, square = layout.dots((Z, XZ), (Z, Z))
    row_sum = np.array([abs(rows).sum(axis=1).max(initial=0.0)])
    rho = refinement(energy, square, float(np.max(np.concatenate(gathered(layout.comm, row_sum)))))
    E, _ = _blocks(layout, solver, C - XZ, rho)
    squares, = layout.dots((E, rows @ layout.exchange.forward(E)))
    report = {**solver.report, "relative_residual": worst, "refinement": rho,
              "eps": np.sqrt(np.maximum(squares, 0.0)).tolist()}
    return Z + E, report


def refinement(energy: np.ndarray, square: np.ndarray, row_sum: float) -> float:
    """rho of the second solve from z^T X z and z^T z (j,) of solutions and the largest row sum of |X|.

    Examples
    --------
    >>> refinement(np.array([1e-8]), np.array([1.0]), 1.0) <= 1e-6
    True
    """
    solved = square > 0.0
    smallest = float(np.min(energy[solved] / square[solved], initial=np.inf))
    condition = _MARGIN * row_sum / smallest if 0.0 < smallest < np.inf else 1.0
    return float(np.clip(0.5 / np.sqrt(max(condition, 1.0)), _TIGHTEST, _LOOSEST))


def _attempts(layout: Layout, solver: Any, C: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
    values = [tolerance, *(factor * tolerance for factor in (100.0, 1e4) if factor * tolerance <= _LOOSEST)]
    for value in values[:-1]:
        with contextlib.suppress(SolveFailed):
            return _blocks(layout, solver, C, value)
    return _blocks(layout, solver, C, values[-1])


def _blocks(layout: Layout, solver: Any, C: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
    """Solutions (owned, j), some columns at a time and zero ones not at all, and the largest relative residual."""
    solver.tolerance = tolerance
    Z, worst = np.zeros_like(C), 0.0
    active = np.flatnonzero(layout.norm(C) > 0.0)
    for start in range(0, active.size, _BLOCK):
        part = active[start:start + _BLOCK]
        Z[:, part] = solver.solve(C[:, part])
        worst = max(worst, float(np.max(solver.report.get("relative_residual") or 0.0)))
    return Z, worst
