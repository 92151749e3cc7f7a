"""Riesz representatives of functionals on parts, solved by an MPI job, with a bound of what each solve left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.reduction.distributed.runner import Blocks, PartRunner, width

#: Relative residual to which representatives are solved unless the reduction needs less.
TOLERANCE = 1e-10
_LOOSEST = 1e-6
# Share of the reduction's tolerance that the representatives may take.
_SHARE = 1e-4
# The second solve must halve its error in the X norm: rho^2 cond(X) <= 1/4, with this margin for the estimated cond.
_MARGIN = 100.0
_REFINED = (1e-6, 1e-12)


@dataclass(frozen=True)
class Representatives:
    """Z (n, j) in parts, and eps (j,) with ||c_j - X z_j||_{X'} <= eps_j."""

    blocks: Blocks
    eps: np.ndarray


def tolerance_for(reduction: float) -> float:
    """Relative residual of the representatives for a reduction to this relative tolerance.

    Examples
    --------
    >>> tolerance_for(1e-4), tolerance_for(0.0)
    (1e-08, 1e-10)
    """
    return float(np.clip(_SHARE * reduction, TOLERANCE, _LOOSEST))


def representatives(runner: PartRunner, columns: Blocks, tolerance: float) -> Representatives:
    """z_j = X^{-1} c_j to a relative residual, and a bound of the error of each.

    X z0 = c is solved to `tolerance`, then X e = c - X z0 to the relative residual rho, and z = z0 + e. In the
    Euclidean norm ||d1|| <= rho ||d0|| for the defects d0 of z0 and d1 of z, so that with s = rho cond(X)^{1/2}

        ||d1||_{X'} <= s ||d0||_{X'},   ||d0||_{X'} <= ||e||_X + ||d1||_{X'},   hence ||d1||_{X'} <= s/(1 - s) ||e||_X.

    rho is chosen such that s <= 1/2 by an estimate of cond(X), from its largest row sum and the Rayleigh quotients of
    the representatives, with a margin of 100; then eps_j = ||e_j||_X. This is a bound whenever cond(X) <= 1/(4 rho^2),
    at least 2.5e11; what the estimate says is checked, but is no proof. Cost: two block solves, the second to fewer
    digits.

    Parameters
    ----------
    runner : PartRunner
    columns : Blocks
        One block of functionals c (n_c, j) on the parts, not summed over them.
    tolerance : float
        Relative residual of the first solve.

    Raises
    ------
    SolveFailed
        The MPI job did, or a solve does not converge.
    """
    (name, j), = columns
    if not j:
        return Representatives(columns, np.zeros(0))
    first, left = runner.fresh("riesz"), runner.fresh("defect")
    runner.riesz(name, first, tolerance)
    found = runner.total("defect", columns=name, solutions=first, out=left)
    second = runner.fresh("riesz")
    runner.riesz(left, second, refinement(found["energy"], found["square"], found["largest"]))
    one = np.eye(j)
    correction = runner.combine([(((second, j),), one)])
    total = runner.combine([(((first, j),), one), (((second, j),), one)], word="representatives")
    runner.remove(((first, j), (second, j), (left, j)), correction.blocks)
    return Representatives(total.blocks, np.sqrt(np.maximum(correction.gram.diagonal(), 0.0)))


def refinement(energy: np.ndarray, square: np.ndarray, row_sums: np.ndarray) -> float:
    """rho of the second solve from z^T X z and z^T z (j,) of solutions and the largest row sums of |X| on the parts.

    Examples
    --------
    >>> refinement(np.array([1e-8]), np.array([1.0]), np.array([1.0])) < 1e-6
    True
    """
    smallest = np.min(energy[square > 0.0] / square[square > 0.0], initial=np.inf)
    largest = float(np.sort(row_sums)[-8:].sum())
    condition = _MARGIN * largest / smallest if 0.0 < smallest < np.inf else 1.0
    return float(np.clip(0.5 / np.sqrt(max(condition, 1.0)), _REFINED[1], _REFINED[0]))


def completed(runner: PartRunner, basis: Blocks, solved: Representatives, weights: np.ndarray,
              free: int) -> Representatives:
    """Representatives of A_q w_i for all q, where X = sum_q weights_q A_q gives those of the term `free` for nothing.

    X^{-1} A_f w = (w - sum_{q != f} weights_q X^{-1} A_q w) / weights_f, with the errors of the others added up.
    `solved` holds, vector by vector, the terms but `free`; the result holds all of them in their order.
    """
    j, Q = width(basis), len(weights)
    others = [q for q in range(Q) if q != free]
    share = np.where(np.arange(Q) == free, 0.0, -weights / weights[free])
    pick = np.zeros((Q - 1, Q))
    pick[np.arange(Q - 1), others] = 1.0
    pick[:, free] = share[others]
    direct = np.zeros((1, Q))
    direct[0, free] = 1.0 / weights[free]
    terms = [(basis, np.kron(np.eye(j), direct))]
    if others:
        terms.append((solved.blocks, np.kron(np.eye(j), pick)))
    found = runner.combine(terms, word="representatives")
    runner.remove(solved.blocks)
    eps = (solved.eps.reshape(j, Q - 1) @ np.abs(pick)).ravel()
    return Representatives(found.blocks, eps)
