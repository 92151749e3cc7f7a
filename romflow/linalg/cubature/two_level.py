"""Cubature over subdomains: each selects among its own points, then one selection among those that are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.cubature.compression import with_volume_row
from romflow.linalg.cubature.nonnegative import Cubature, nonnegative_cubature

__all__ = ["VOLUME_TOLERANCE", "LocalSelection", "global_selection", "local_selection", "two_level"]

#: How well the weights' sum is the volume, whatever the tolerance of the integrands.
VOLUME_TOLERANCE = 1e-4

# Subdomains select to this share of the tolerance at first: more candidates, and about a twentieth fewer points.
_SHARE = 0.5
# A local tolerance that left too few candidates is divided by this, this many times.
_TIGHTER, _TRIES = 4.0, 3


@dataclass(frozen=True)
class LocalSelection:
    """A subdomain's rule, and all that the global pass needs of the subdomain.

    Attributes
    ----------
    points : (m,) int
        Global ids, ascending.
    weights : (m,)
        The subdomain's own rule: the union of all of them is a rule too, with more points.
    columns : (M, m)
        Integrands at the points.
    integrals : (M,)
        G_d w_d.
    volume : float
        Sum of the subdomain's weights.
    """

    points: np.ndarray
    weights: np.ndarray
    columns: np.ndarray
    integrals: np.ndarray
    volume: float


def local_selection(G: np.ndarray, weights: np.ndarray, tolerance: float, *, ids: np.ndarray | None = None,
                    floor: float = 0.0, start: tuple[np.ndarray, np.ndarray] | None = None) -> LocalSelection:
    """The subdomain's points and positive weights with ||G_Z x - G w|| <= tolerance max(||G w||, floor).

    Nothing of other subdomains is needed: one task each (the local stage of Casenave, Akkari, Bordeu, Rey and
    Ryckelynck 2020). The volume holds to `VOLUME_TOLERANCE`. A subdomain with ||G w|| <= tolerance floor keeps one
    point, its largest. Cost: as `nonnegative_cubature`.

    Parameters
    ----------
    G : (M, P)
        Integrands on the subdomain, without volume row; the same rows in all subdomains.
    weights : (P,)
        Of its integration points, > 0.
    tolerance : float
    ids : (P,) int, optional
        Global ids of the points; they break ties.
    floor : float
        Size of integrals that matter: the norm of all integrals over the number of subdomains is a good one, and bounds
        the error of the union by tolerance (||b|| + sum_d ||b_d||).
    start : (points, weights), optional
        Global ids of points that an earlier rule has here.

    Raises
    ------
    ShapeError, InputError, SolveFailed
        As `nonnegative_cubature`.
    """
    G, weights = np.asarray(G, dtype=float), np.asarray(weights, dtype=float)
    if G.ndim != 2 or weights.shape != G.shape[1:] or not weights.size or not (weights > 0.0).all():
        raise ShapeError(f"a subdomain's cubature got integrands of shape {G.shape} and weights of shape "
                         f"{weights.shape}; the rule is (M, P) and (P,), all > 0")
    ids = np.arange(weights.size) if ids is None else np.asarray(ids)
    b, volume = G @ weights, float(weights.sum())
    size = float(np.linalg.norm(b))
    if size <= tolerance * floor or size == 0.0:
        largest = np.lexsort((ids, -weights))[:1]
        return LocalSelection(ids[largest], np.array([volume]), G[:, largest], b, volume)
    allowed = min(tolerance * max(1.0, floor / size), 0.999)
    rule = _with_volume(G, b, volume, allowed, ids, start)
    order = np.argsort(ids)
    columns = G[:, order[np.searchsorted(ids, rule.points, sorter=order)]]
    return LocalSelection(rule.points, rule.weights, columns, b, volume)


def global_selection(selections: Sequence[LocalSelection], tolerance: float, *,
                     start: tuple[np.ndarray, np.ndarray] | None = None) -> Cubature:
    """Few points for all subdomains together, chosen among those that the subdomains chose.

    ||G_Z x - b|| <= tolerance ||b||, b the sum of the subdomains' integrals, and the volume to `VOLUME_TOLERANCE`.
    Nearly as few points as one selection over the whole domain, from M numbers a candidate.

    Parameters
    ----------
    selections : sequence of LocalSelection
        In any order: the answer does not depend on it.
    tolerance : float
    start : (points, weights), optional
        An earlier rule to begin with, of points among the candidates.

    Raises
    ------
    InputError
        No selection, or two with the same point.
    SolveFailed
        The candidates do not reach the tolerance: select with a smaller local one (see `two_level`).
    """
    if not selections:
        raise InputError("a global cubature got no subdomain; give the selection of each")
    ordered = sorted(selections, key=lambda one: int(one.points[0]))
    ids = np.concatenate([one.points for one in ordered])
    columns = np.concatenate([one.columns for one in ordered], axis=1)
    b = np.sum([one.integrals for one in ordered], axis=0)
    return _with_volume(columns, b, sum(one.volume for one in ordered), tolerance, ids, start)


def two_level(select: Callable[[float], Sequence[LocalSelection]], tolerance: float, *,
              start: tuple[np.ndarray, np.ndarray] | None = None) -> Cubature:
    """A global rule from local ones, whose tolerance is made smaller until their points suffice.

    Parameters
    ----------
    select : callable
        From a local tolerance to the selections of all subdomains, for example by tasks.
    tolerance : float
        Of the global rule. The local ones have half of it at first, then a quarter of that, at most three times.
    start : (points, weights), optional

    Raises
    ------
    SolveFailed
        The points do not suffice even then.

    Examples
    --------
    >>> x = (np.arange(400) + 0.5) / 400
    >>> G, w, ids = np.cos(np.outer(np.arange(1, 9), x)), np.full(400, 1 / 400), np.arange(400)
    >>> parts = np.array_split(ids, 4)
    >>> rule = two_level(lambda tol: [local_selection(G[:, p], w[p], tol, ids=p) for p in parts], 1e-3)
    >>> one = two_level(lambda tol: [local_selection(G, w, tol)], 1e-3)
    >>> bool(np.linalg.norm(G[:, rule.points] @ rule.weights - G @ w) <= 1e-3 * np.linalg.norm(G @ w))
    True
    >>> rule.points.size <= 1.2 * one.points.size + 1, bool(abs(rule.weights.sum() - 1.0) <= 1e-4)
    (True, True)
    """
    local = _SHARE * tolerance
    for _ in range(_TRIES):
        try:
            return global_selection(select(local), tolerance, start=start)
        except SolveFailed:
            local /= _TIGHTER
    return global_selection(select(local), tolerance, start=start)


def _with_volume(G: np.ndarray, b: np.ndarray, volume: float, tolerance: float, ids: np.ndarray,
                 start: tuple[np.ndarray, np.ndarray] | None) -> Cubature:
    rows, integrals = with_volume_row(G, b, volume)
    return nonnegative_cubature(rows, integrals, tolerance, ids=ids, start=start, volume_tolerance=VOLUME_TOLERANCE)
