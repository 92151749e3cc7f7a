"""Points whose table is almost of maximal volume: empirical interpolation, and then exchanges of points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.interpolation.eim import empirical_interpolation

# An exchange of points must enlarge the determinant by this factor; it bounds every weight on the training set.
EXCHANGE = 1.01


@dataclass(frozen=True)
class InterpolationTable:
    """d points and d functions with an invertible table, from `interpolation_table`.

    Attributes
    ----------
    points, functions : (d,) int
        Rows and columns of the training table.
    table : (d, d)
        Entry (r, j): value of the j-th chosen function at the r-th chosen point.
    remainder : float
        Largest entry that the interpolation leaves of the training table, relative to its largest entry.
    """

    points: np.ndarray
    functions: np.ndarray
    table: np.ndarray
    remainder: float

    def weights(self, values: np.ndarray) -> np.ndarray:
        """Weights w (b, d) with w @ table = values (b, d): the interpolation reproduces every chosen function.

        Cost: one (d, d) factorisation and b d^2 multiplications.
        """
        return np.linalg.solve(self.table.T, values.T).T


def interpolation_table(values: np.ndarray, tolerance: float = 1e-12, max_terms: int | None = None, *,
                        exchange: bool = True) -> InterpolationTable:
    """Points and functions chosen so that every weight on the training points is at most 1.01 in modulus.

    The greedy of `romflow.linalg.interpolation.eim`, started with column 0; it stops where its remainder is at most
    tolerance max |values|, or rounding. Then points are exchanged while that enlarges |det(table)| by more than
    1.01 (Goreinov and Tyrtyshnikov's maximal volume), whence max |weight| <= 1.01 and a Lebesgue constant of at most
    1.01 d on the training points. Cost: k M d flops, and k d for each exchange (about d of them).

    Parameters
    ----------
    values : (k, M)
        Value of function j at training point i; column 0 must not vanish.
    tolerance : float
    max_terms : int, optional
    exchange : bool
        False leaves the points as the recursion found them.

    Raises
    ------
    ShapeError, InputError
        The table is empty, not finite, or column 0 vanishes.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1.0, 1.0, 21)
    >>> found = interpolation_table(np.stack([np.ones(21), x, x**2], axis=1))
    >>> sorted(x[found.points].round(12).tolist())
    [-1.0, 0.0, 1.0]
    """
    F = np.asarray(values, dtype=float)
    if F.ndim != 2 or F.size == 0:
        raise ShapeError(f"the training table has shape {F.shape}; the rule is (k, M) with k and M from 1")
    if not np.isfinite(F).all() or not F[:, 0].any():
        raise InputError("the training table has entries that are not finite, or its column 0 vanishes; check the "
                         "coefficients at the training points")
    found = empirical_interpolation(F, tolerance, max_terms, first=0)
    chosen = F[:, found.functions]
    rows = _exchanged(chosen, found.points) if exchange else found.points
    return InterpolationTable(rows, found.functions, chosen[rows], float(found.errors[-1] / found.errors[0]))


def _exchanged(chosen: np.ndarray, points: np.ndarray) -> np.ndarray:
    C = sl.lu_solve(sl.lu_factor(chosen[points].T), chosen.T).T
    points = points.copy()
    for _ in range(100 * points.size):
        i, j = (int(at) for at in np.unravel_index(int(np.argmax(np.abs(C))), C.shape))
        if abs(C[i, j]) <= EXCHANGE:
            break
        change = C[i].copy()
        change[j] -= 1.0
        C -= np.outer(C[:, j] / C[i, j], change)
        points[j] = i
    return points
