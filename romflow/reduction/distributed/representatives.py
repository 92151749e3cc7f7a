"""Riesz representatives of functionals on parts, solved by an MPI job, with a bound of the error of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.reduction.distributed.runner import Blocks, PartRunner, width

#: Relative residual to which representatives are solved unless the reduction needs less.
TOLERANCE = 1e-10
_LOOSEST = 1e-6
# Share of the reduction's tolerance that the representatives may take.
_SHARE = 1e-4


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
    """z_j = X^{-1} c_j by an MPI job, with the bounds eps_j that it found in solving for each defect once more.

    They are bounds, but for rounding, whenever X has a condition number below some 1e11, see
    :func:`romflow.fom.distributed.certified.certified_solve`.

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
    out = runner.fresh("representatives")
    report = runner.riesz(name, out, tolerance)
    return Representatives(((out, j),), np.array(report["eps"]))


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
