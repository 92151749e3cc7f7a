"""Snapshots of nonlinear terms: N(u) evaluated from stored states, some columns at a time, and interpolation of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest
from romflow.linalg.compression.hapod import hapod_node, tree_of
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.interpolation.deim import deim_points, oversampled_points, qdeim_points
from romflow.linalg.interpolation.eim import empirical_interpolation

__all__ = ["INTERPOLATIONS", "Collateral", "CollateralSource", "TrajectorySource", "collateral_of"]

INTERPOLATIONS = ("deim", "qdeim", "eim", "oversampled")
# Points for each mode of the over-sampled interpolation.
_OVERSAMPLING = 1.5
# Modes are made down to this share of the tolerance: those behind the last one measure what is left.
_BEHIND = 0.1


class TrajectorySource(SnapshotSource):
    """All the states of stored trajectories, one after the other.

    Parameters
    ----------
    store : SnapshotStore
    mu : (k, p)

    Attributes
    ----------
    times : (K,) array, parameters : (K, p) array
        Time and parameter of each state.
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, store: Any, mu: np.ndarray) -> None:
        self._trajectories = [store.trajectory(row) for row in mu]
        self._edges = np.cumsum([0, *(len(trajectory) for trajectory in self._trajectories)])
        self.k = int(self._edges[-1])
        self.n = self._trajectories[0].n if self._trajectories else 0
        self.parameters = np.repeat(mu, np.diff(self._edges), axis=0)
        self.times = np.concatenate([np.empty(0), *(trajectory.times for trajectory in self._trajectories)])

    def columns(self, part: slice) -> np.ndarray:
        """States (n, j) of the places `part` in that order."""
        start, stop, _ = part.indices(self.k)
        found = np.empty((self.n, max(0, stop - start)), order="F")
        for trajectory, first, last in zip(self._trajectories, self._edges, self._edges[1:], strict=False):
            low, high = max(start, int(first)), min(stop, int(last))
            if low < high:
                found[:, low - start:high - start] = trajectory.columns(slice(low - int(first), high - int(first)))
        return found


class CollateralSource(SnapshotSource):
    """N(u) of stored states u, evaluated where it is read; nothing of the size of all of them is held.

    Parameters
    ----------
    term : PointTerm
    states : SnapshotSource
    mu : (k, p)
        Parameter of each state, or of each trajectory of a `TrajectorySource`.
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, term: Any, states: SnapshotSource, mu: np.ndarray) -> None:
        moves = isinstance(states, TrajectorySource)
        self._term, self._states, self._mu = term, states, states.parameters if moves else mu
        self._times = states.times if moves and "t" in term.function.columns else None
        self.n, self.k = states.n, states.k

    def columns(self, part: slice) -> np.ndarray:
        """N(u) (n, j) of the states of the places `part`.

        Raises
        ------
        InputError
            A value is not finite.
        """
        U, mu = self._states.columns(part), self._mu[part]
        if self._times is None:
            values = self._term.evaluate(U, mu)
        else:
            values = np.column_stack([self._term.evaluate(U[:, j], mu[j], float(t))
                                      for j, t in enumerate(self._times[part])])
        if not np.isfinite(values).all():
            raise InputError(f"the nonlinear term has values that are not finite on the snapshots {part.start} to "
                             f"{part.stop - 1}; check its text on the range of these states")
        return np.asarray(values)


@dataclass(frozen=True)
class Collateral:
    """A nested basis of the values N(u), and the rows at which they are looked at.

    Attributes
    ----------
    basis : (n, q')
    rows : (m',) array of int
    modes, points : int
        The first `modes` columns and `points` rows are for the solution, all of them for its residual.
    facts : dict
        JSON: interpolation, modes, points, what is left of the snapshots, and why there are so many.
    """

    basis: np.ndarray
    rows: np.ndarray
    modes: int
    points: int
    facts: dict[str, Any]


def collateral_of(source: SnapshotSource, kind: str, tolerance: float, points: int = 0,
                  extra: int = 20) -> Collateral:
    """Interpolation of the snapshots of a nonlinear term, on the POD of them.

    The modes are those of a hierarchical POD in the Euclidean norm: as many as leave less than `tolerance` of the
    snapshots, or as `points` allow. "deim" takes the row of the largest remainder of each mode in turn (Chaturantabut
    and Sorensen 2010, Algorithm 1), "qdeim" pivots of a QR factorisation (Drmac and Gugercin 2016), "oversampled"
    3 rows for 2 modes (least squares), "eim" the recursion of the empirical interpolation on the modes, weighted by
    their singular values. Cost: the POD, and O(n m^2).

    Parameters
    ----------
    source : SnapshotSource
    kind : {"deim", "qdeim", "eim", "oversampled"}
    tolerance : float
        Relative, of the POD.
    points : int
        Rows for the solution; 0 lets the tolerance decide.
    extra : int
        Further modes and rows for the residual.

    Raises
    ------
    ConfigError
        No such interpolation.
    InputError
        The term vanishes on all snapshots, or the numbers are out of range.

    Examples
    --------
    >>> from romflow.linalg.compression.source import ArraySource
    >>> x, a = np.linspace(0.0, 1.0, 50)[:, None], np.linspace(1.0, 2.0, 9)
    >>> found = collateral_of(ArraySource(np.exp(-a * x)), "deim", 1e-4, extra=2)
    >>> found.modes, found.points, found.basis.shape, len(found.rows)
    (3, 3, (50, 5), 5)
    """
    check_kind(kind)
    if not 0.0 < tolerance < 1.0 or points < 0 or extra < 0:
        raise InputError(f"an interpolation got tolerance = {tolerance}, points = {points} and extra = {extra}; the "
                         "rule is 0 < tolerance < 1 and whole numbers from 0")
    root = hapod_node(source, InnerProduct(None), _BEHIND * tolerance, tree_of(source.n, source.k))
    known = len(root.sigma)
    if not known:
        raise InputError("the nonlinear term vanishes on all snapshots; use a method for affine models")
    share = _OVERSAMPLING if kind == "oversampled" else 1.0
    left = np.sqrt(np.append(np.cumsum(root.sigma[::-1] ** 2)[::-1], 0.0) + root.tail) / np.sqrt(root.energy)
    wanted = int(points / share) if points else int(np.argmax(left <= tolerance))
    modes = min(max(wanted, 1), known)
    count = min(points or int(np.ceil(share * modes)), source.n) if share > 1.0 else modes
    total = min(modes + extra, known)
    basis, rows = _chosen(kind, root.basis[:, :total], root.sigma[:total], modes, count)
    total = basis.shape[1]
    modes, count = min(modes, total), min(count, len(rows))
    facts = {"interpolation": kind, "modes": modes, "points": count, "residual_modes": total,
             "interpolation_error": float(left[modes]), "collateral_snapshots": root.count,
             "why": _why(points, wanted, modes, known, tolerance)}
    return Collateral(basis, rows, modes, count, facts)


def check_kind(kind: str) -> None:
    """Raise ConfigError unless there is such an interpolation."""
    if kind not in INTERPOLATIONS:
        raise ConfigError(f"no interpolation is called '{kind}'{nearest(str(kind), INTERPOLATIONS)}")


def continued_points(U: np.ndarray, rows: np.ndarray, modes: int) -> np.ndarray:
    """Rows (m + q' - modes,) that begin with `rows` (m,) and add one for each column of U (n, q') behind `modes`.

    Each is the row of the largest remainder of its mode after interpolation, or least squares, on the earlier modes and
    rows, so that the table stays regular. Cost: O(n m) for each.

    Examples
    --------
    >>> continued_points(np.eye(4)[:, :3], np.array([0]), 1)
    array([0, 1, 2])
    """
    rows = np.asarray(rows)
    for j in range(modes, U.shape[1]):
        c = np.linalg.lstsq(U[rows, :j], U[rows, j], rcond=None)[0]
        rest = np.abs(U[:, j] - U[:, :j] @ c)
        rest[rows] = -1.0
        rows = np.append(rows, np.argmax(rest))
    return rows


def _chosen(kind: str, U: np.ndarray, sigma: np.ndarray, modes: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """A nested basis and its rows: those of the solution first."""
    if kind == "deim":
        return U, deim_points(U)
    if kind == "eim":
        found = empirical_interpolation(U * sigma, max_terms=U.shape[1])
        return found.basis, found.points
    first = qdeim_points(U[:, :modes]) if kind == "qdeim" else oversampled_points(U[:, :modes], points)
    return U, continued_points(U, first, modes)


def _why(points: int, wanted: int, modes: int, known: int, tolerance: float) -> str:
    if wanted > known:
        return (f"fewer than asked for: behind {modes} modes the snapshots hold less than {_BEHIND:g} of "
                f"interpolation_tolerance = {tolerance:g}")
    return "as many points as asked for" if points else f"relative error below interpolation_tolerance = {tolerance:g}"
