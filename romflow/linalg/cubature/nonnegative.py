"""Empirical cubature: few points and positive weights that integrate all rows of a matrix to a tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.cubature.active_set import ActiveSet

__all__ = ["Cubature", "nonnegative_cubature"]

# Columns smaller than this next to the largest one carry nothing.
_NEGLIGIBLE = 1e-12
# Correlations that differ by less, relative to the best, are a tie.
_TIE = 1e-10
# A correlation below this (cosine) is rounding.
_FLAT = 1e-13
# The sine of a column's angle to the chosen ones is not known below this.
_ANGLE = 1e-5
# A pass over many points adds one more for each so many of them, if they gain at least this share of the best and their
# columns are less alike than this (cosine): no more points in the end, and a third of the passes.
_POINTS_PER_EXTRA, _GAIN, _ALIKE = 32, 0.8, 0.7
# Residual, as a share of the allowed one, to which points are added before superfluous ones are taken away.
_OVERSHOOT = 0.5


@dataclass(frozen=True)
class Cubature:
    """Points in ascending order of their ids, each with a positive weight.

    Attributes
    ----------
    points : (m,) int
        Ids.
    weights : (m,)
        All > 0.
    residuals : (passes + 1,)
        ||G_Z x - b|| / ||b|| at the start, after each pass, and of the rule itself.
    stopped : str
        "tolerance" or "max_points".
    """

    points: np.ndarray
    weights: np.ndarray
    residuals: np.ndarray
    stopped: str


def nonnegative_cubature(G: np.ndarray, b: np.ndarray, tolerance: float, *, candidates: np.ndarray | None = None,
                         start: tuple[np.ndarray, np.ndarray] | None = None, ids: np.ndarray | None = None,
                         max_points: int | None = None, volume_tolerance: float | None = None) -> Cubature:
    """Points Z and weights x > 0 with ||G_Z x - b||_2 <= tolerance ||b||_2, chosen greedily; at most M points.

    Nonnegative orthogonal greedy pursuit (Nguyen, Idier, Soussen and Djermoune 2019; as an empirical
    cubature: Hernandez, Caicedo and Ferrer 2017): the column with the largest G_g^T r / ||(I - P_Z) G_g||
    joins, r = b - G_Z x and P_Z onto the chosen ones, which is the column that lowers the residual most; the weights
    are the best nonnegative ones over Z, and columns whose weight vanishes leave. The residual decreases strictly, so
    no set comes twice. At half the tolerance the points that matter least leave while the tolerance still holds: in
    all some 15 per cent fewer points than with G_g^T r / ||G_g|| and no such end. Ties go to the smallest id: the
    answer does not depend on the order of columns. If b = G w with w >= 0, any tolerance is reached; else the best fit
    may be worse, and that is an error. Cost: about 6 M N flops a pass, which reads G once, beside O(M m); 2 passes a
    point.

    Parameters
    ----------
    G : (M, N)
        Integrands: one row each, one column a point. Row-major storage is faster.
    b : (M,)
        Their integrals, usually G w.
    tolerance : float
        Between 0 and 1.
    candidates : (c,) int, optional
        Ids of the points to choose from at first; the others are opened only if these do not reach the tolerance.
    start : (points, weights), optional
        A rule to begin with, as after an enrichment; points that no longer help leave.
    ids : (N,) int, optional
        Distinct; 0 to N - 1.
    max_points : int, optional
        Stop there (`stopped` says so).
    volume_tolerance : float, optional
        The last row is the one of `with_volume_row`: the tolerance is meant for the rows before, and the last one
        holds to this much of its own integral.

    Returns
    -------
    Cubature

    Raises
    ------
    ShapeError, InputError
        Shapes that do not fit, entries that are not finite, b = 0, unknown or repeated ids, weights <= 0 at the start.
    SolveFailed
        No column with a positive weight reduces the residual; `report` has residual and points.

    Examples
    --------
    A Gauss rule is found among 101 points to the grid's resolution, exact for polynomials of degree 3:

    >>> x = np.linspace(-1.0, 1.0, 101)
    >>> w = np.full(101, 0.02)
    >>> w[[0, -1]] = 0.01
    >>> G = np.vander(x, 4, increasing=True).T
    >>> rule = nonnegative_cubature(G, G @ w, 1e-12)
    >>> rule.points.size <= 4, bool((rule.weights > 0).all()), round(float(rule.weights.sum()), 12)
    (True, True, 2.0)
    """
    search = _Search(*_checked(G, b, tolerance, volume_tolerance), ids)
    active = ActiveSet(search.b)
    if start is not None:
        _begin(search, active, start)
    search.restrict(candidates)
    target = _Target(search.b, tolerance, volume_tolerance)
    limit = search.b.size if max_points is None else max_points
    residuals = _pursue(search, active, target, limit)
    columns, weights = np.array(active.columns, dtype=np.int64), active.weights
    reached = target.reached(active.residual())
    if reached and columns.size:
        kept, weights = _thinned(active, target)
        columns = columns[kept]
        residuals.append(target.relative(search.b - active.matrix()[:, kept] @ weights))
    order = np.argsort(search.ids[columns])
    return Cubature(search.ids[columns[order]], weights[order], np.array(residuals),
                    "tolerance" if reached else "max_points")


class _Target:
    """When the residual is small enough, on the integrands and on the volume row apart."""

    def __init__(self, b: np.ndarray, tolerance: float, volume_tolerance: float | None) -> None:
        self.rows = b.size if volume_tolerance is None else b.size - 1
        self.scale = float(np.linalg.norm(b[:self.rows]))
        self.tolerance = tolerance
        self.volume = math.inf if volume_tolerance is None else volume_tolerance * abs(float(b[-1]))

    def relative(self, r: np.ndarray) -> float:
        return float(np.linalg.norm(r[:self.rows])) / self.scale

    def reached(self, r: np.ndarray, share: float = 1.0) -> bool:
        return self.relative(r) <= share * self.tolerance and abs(float(r[-1])) <= self.volume


class _Search:
    """Columns with their norms, ids and whether they may join."""

    def __init__(self, G: np.ndarray, b: np.ndarray, ids: np.ndarray | None) -> None:
        self.G, self.b = G, b
        self.ids = np.arange(G.shape[1]) if ids is None else _checked_ids(ids, G.shape[1])
        norms = np.sqrt(np.einsum("ij,ij->j", G, G))
        self.useful = norms > _NEGLIGIBLE * norms.max(initial=0.0)
        self.inverse_norms = np.divide(1.0, norms, out=np.zeros_like(norms), where=self.useful)
        # Squared sine of the angle between a column and the chosen ones.
        self.outside = np.ones_like(norms)
        self.open = self.useful.copy()
        self.restricted = False

    def places(self, ids: np.ndarray | Sequence[int], what: str) -> np.ndarray:
        """Columns of ids."""
        wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
        order = np.argsort(self.ids)
        at = np.minimum(np.searchsorted(self.ids, wanted, sorter=order), self.ids.size - 1)
        found = order[at]
        unknown = np.flatnonzero(self.ids[found] != wanted)
        if unknown.size:
            raise InputError(f"the {what} of a cubature name the point {wanted[unknown[0]]} ({unknown.size} such), "
                             "which no column has; give ids of columns")
        if np.unique(found).size < found.size:
            raise InputError(f"the {what} of a cubature repeat a point; give each once")
        return found

    def restrict(self, candidates: np.ndarray | None) -> None:
        if candidates is None:
            return
        chosen = np.zeros(self.ids.size, dtype=bool)
        chosen[self.places(candidates, "candidates")] = True
        self.open &= chosen
        self.restricted = True

    def best(self, r: np.ndarray, active: ActiveSet, barred: list[int]) -> list[int]:
        """Columns that lower the residual most, the best first; none if none does; of equal ones the smallest id."""
        vectors, signs = active.turned()
        products = np.concatenate([vectors, r[None]]) @ self.G * self.inverse_norms
        self.outside -= signs @ products[:-1]**2
        cosine = products[-1]
        cosine[barred], cosine[active.columns] = 0.0, 0.0
        helpful = self.open & (cosine > _FLAT * float(np.linalg.norm(r)))
        if not helpful.any():
            return []
        gain = np.where(helpful, cosine / np.sqrt(np.maximum(self.outside, _ANGLE**2)), 0.0)
        tied = np.flatnonzero(gain >= gain.max() * (1.0 - _TIE))
        best = int(tied[np.argmin(self.ids[tied])])
        extra = len(active.columns) // _POINTS_PER_EXTRA
        return [best, *self._unlike(best, gain, extra)] if extra else [best]

    def _unlike(self, best: int, gain: np.ndarray, count: int) -> list[int]:
        """At most `count` columns with nearly the best gain, no two of them alike, nor like the best."""
        good = np.flatnonzero(gain >= _GAIN * gain[best])
        order = np.lexsort((self.ids[good], -gain[good]))[:4 * count]
        good = np.concatenate([[best], good[order][good[order] != best]])
        columns = self.G[:, good] * self.inverse_norms[good]
        alike = np.abs(columns.T @ columns)
        chosen = [0]
        for place in range(1, good.size):
            if len(chosen) <= count and alike[place, chosen].max() < _ALIKE:
                chosen.append(place)
        return good[chosen[1:]].tolist()


def _begin(search: _Search, active: ActiveSet, start: tuple[np.ndarray, np.ndarray]) -> None:
    places, weights = search.places(start[0], "first points"), np.asarray(start[1], dtype=float).reshape(-1)
    if weights.shape != places.shape or not np.isfinite(weights).all() or (weights <= 0.0).any():
        raise InputError(f"a cubature starts from {places.size} points with weights of shape {weights.shape}; the "
                         "rule is one positive weight a point")
    for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
        active.append(place, search.G[:, place], weight)
    active.settle()


def _pursue(search: _Search, active: ActiveSet, target: _Target, max_points: int) -> list[float]:
    """Add points until the residual is well below the tolerance; relative residuals of all passes."""
    r = active.residual()
    residuals, barred = [target.relative(r)], list[int]()
    while not target.reached(r, _OVERSHOOT) and len(active.columns) < max_points:
        columns = search.best(r, active, barred)[:max_points - len(active.columns)]
        if not columns and target.reached(r):
            break
        if not columns:
            _open_or_fail(search, active, target, r)
            barred = []
            continue
        before = float(np.linalg.norm(r))
        if any([active.append(column, search.G[:, column]) for column in columns]):
            active.settle()
            r = active.residual()
        if float(np.linalg.norm(r)) < before:
            barred = []
            residuals.append(target.relative(r))
        else:
            barred += columns
    return residuals


def _open_or_fail(search: _Search, active: ActiveSet, target: _Target, r: np.ndarray) -> None:
    if search.restricted:
        search.open, search.restricted = search.useful.copy(), False
        return
    m, residual = len(active.columns), target.relative(r)
    raise SolveFailed(f"no positive weights bring the cubature's residual below {residual:.2e} ({m} points; asked: "
                      f"{target.tolerance:g}); give integrals b = G w with w > 0, more candidates or a larger "
                      "tolerance", {"residual": residual, "points": m})


def _thinned(active: ActiveSet, target: _Target) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights of what is left when the points that raise the residual least go, within the tolerance.

    With H = G_Z^T G_Z, leaving out j raises ||r||^2 by x_j^2 / H^-1_jj and moves x by -H^-1_:j x_j / H^-1_jj; H^-1
    itself shrinks by the rank-one term of its row j. Weights that turn negative go with it.
    """
    G, x = active.matrix(), active.weights
    inverse = sl.solve_triangular(active.factor(), np.eye(x.size), check_finite=False)
    H = inverse @ inverse.T
    kept = np.arange(x.size)
    while x.size > 1:
        left, weights, smaller = _without(kept, x, H)
        if not left.size or not target.reached(active.b - G[:, left] @ weights):
            break
        kept, x, H = left, weights, smaller
    exact = np.linalg.lstsq(G[:, kept], active.b, rcond=None)[0]
    better = (exact > 0.0).all() and target.reached(active.b - G[:, kept] @ exact)
    return kept, exact if better else x


def _without(kept: np.ndarray, x: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One point less, that with the smallest x_j^2 / H_jj, and those whose weight it turns negative."""
    at = int(np.argmin(x**2 / np.diagonal(H)))
    while True:
        column, pivot = H[:, at], H[at, at]
        rest = np.delete(np.arange(x.size), at)
        kept, x = kept[rest], x[rest] - column[rest] * (x[at] / pivot)
        H = H[np.ix_(rest, rest)] - np.outer(column[rest], column[rest] / pivot)
        if not x.size or x.min() > 0.0:
            return kept, x, H
        at = int(np.argmin(x))


def _checked(G: np.ndarray, b: np.ndarray, tolerance: float,
             volume_tolerance: float | None) -> tuple[np.ndarray, np.ndarray]:
    G, b = np.asarray(G, dtype=float), np.asarray(b, dtype=float)
    if G.ndim != 2 or not G.size or b.shape != G.shape[:1]:
        raise ShapeError(f"a cubature got integrands of shape {G.shape} and integrals of shape {b.shape}; the rule is "
                         "(M, N) and (M,), none empty")
    # Row by row, for a second array of the size of G may not fit.
    if not (np.isfinite(b).all() and all(np.isfinite(row).all() for row in G)):
        raise InputError("a cubature got integrands or integrals that are not finite; look at the stresses and strains")
    tolerances = [tolerance] if volume_tolerance is None else [tolerance, volume_tolerance]
    for value in tolerances:
        if not 0.0 < value < 1.0:
            raise InputError(f"the tolerance of a cubature is {value}; the rule is 0 < tolerance < 1")
    if volume_tolerance is not None and (b.size < 2 or b[-1] <= 0.0):
        raise InputError("a cubature with a volume tolerance needs the volume row last; use with_volume_row")
    if not b[:b.size - (volume_tolerance is not None)].any():
        raise InputError("all integrals of a cubature vanish, and then no point would serve; integrate internal forces "
                         "and not residuals at equilibrium, and add a volume row (with_volume_row)")
    return G, b


def _checked_ids(ids: np.ndarray, columns: int) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.shape != (columns,) or ids.dtype.kind not in "iu" or np.unique(ids).size < columns:
        raise InputError(f"a cubature of {columns} columns got ids of shape {ids.shape} and type {ids.dtype}; the rule "
                         "is distinct whole numbers, one a column")
    return ids.astype(np.int64)
