"""Snapshots of nonlinear terms: N(u) evaluated from stored states, some columns at a time, and interpolation of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest, shown
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.interpolation.deim import deim_points, oversampled_points, qdeim_points
from romflow.linalg.interpolation.eim import empirical_interpolation
from romflow.linalg.pod import pod

__all__ = ["INTERPOLATIONS", "Collateral", "CollateralSource", "TrajectoryStates", "collateral_of", "evaluated"]

INTERPOLATIONS = ("deim", "qdeim", "eim", "oversampled")
# Points for each mode of the over-sampled interpolation.
_OVERSAMPLING = 1.5
# Where the singular values end that count for the rank of the snapshots, as a relative error of their POD.
_RANK = 1e-12
# What is left of a value behind the basis is rounding where it is below this share of the value.
_NOISE = 1e-11


class TrajectoryStates(SnapshotSource):
    """The states of some trajectories as they are, one trajectory after the other.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    mu : (k, p)
        Parameter of each.

    Attributes
    ----------
    times : (K,) array, parameters : (K, p) array
        Time and parameter of each state.
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, trajectories: Sequence[Any], mu: np.ndarray) -> None:
        self._trajectories = list(trajectories)
        self._edges = np.cumsum([0, *(len(one.times) for one in self._trajectories)])
        self.k = int(self._edges[-1])
        self.n = int(self._trajectories[0].n) if self._trajectories else 0
        self.parameters = np.repeat(mu, np.diff(self._edges), axis=0)
        self.times = np.concatenate([np.empty(0), *(one.times for one in self._trajectories)])

    def columns(self, part: slice) -> np.ndarray:
        """States (n, j) of the places `part` in that order."""
        start, stop, _ = part.indices(self.k)
        found = np.empty((self.n, max(0, stop - start)), order="F")
        for one, first, last in zip(self._trajectories, self._edges, self._edges[1:], strict=False):
            low, high = max(start, int(first)), min(stop, int(last))
            if low < high:
                found[:, low - start:high - start] = one.columns(slice(low - int(first), high - int(first)))
        return found


class CollateralSource(SnapshotSource):
    """N(u) of stored states u, evaluated where it is read; nothing of the size of all of them is held.

    Parameters
    ----------
    term : PointTerm
    states : SnapshotSource
    mu : (k, p)
        Parameter of each state.
    times : (k,), optional
        Time of each state, for terms that depend on it.
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, term: Any, states: SnapshotSource, mu: np.ndarray, times: np.ndarray | None = None) -> None:
        self._term, self._states, self._mu, self._times = term, states, mu, times
        self.n, self.k = states.n, states.k

    def columns(self, part: slice) -> np.ndarray:
        """N(u) (n, j) of the states of the places `part`.

        Raises
        ------
        InputError
            A value is not finite.
        """
        times = None if self._times is None else self._times[part]
        values = evaluated(self._term, self._states.columns(part), self._mu[part], times)
        if not np.isfinite(values).all():
            raise InputError(f"the nonlinear term has values that are not finite on the snapshots {part.start} to "
                             f"{part.stop - 1}; check its text on the range of these states")
        return values


def evaluated(term: Any, U: np.ndarray, mu: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """N(U; mu, t) (n, j) of states U (n, j), each at its own time where the term depends on the time."""
    if times is None or "t" not in term.function.columns:
        return np.asarray(term.evaluate(U, mu))
    return np.column_stack([term.evaluate(U[:, j], mu[j], float(t)) for j, t in enumerate(times)])


@dataclass(frozen=True)
class Collateral:
    """A basis of the values N(u), and the rows at which they are looked at.

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

    def behind(self, values: np.ndarray, extra: int) -> Collateral:
        """The same interpolation, with up to `extra` modes and rows for the residual from further values N(V x) (n, s).

        These modes are the leading singular vectors of what the basis leaves of the values. As they come from reduced
        states at parameters that no snapshot has, the residual also sees what all the snapshots agree on.

        Examples
        --------
        >>> found = Collateral(np.eye(4)[:, :1], np.array([0]), 1, 1, {})
        >>> found.behind(np.array([[1.0], [0.0], [2.0], [0.0]]), 3).rows
        array([0, 2])
        """
        Q = np.linalg.qr(self.basis)[0]
        rest = values
        for _ in range(2):
            rest = rest - Q @ (Q.T @ rest)
        W, sigma, _ = np.linalg.svd(rest, full_matrices=False)
        count = min(extra, int(np.count_nonzero(sigma > _NOISE * np.linalg.norm(values))))
        U = np.hstack([self.basis, W[:, :count]])
        return replace(self, basis=U, rows=continued_points(U, self.rows, self.basis.shape[1]),
                       facts=self.facts | {"residual_modes": self.basis.shape[1] + count})


def collateral_of(source: SnapshotSource, kind: str, tolerance: float, points: int = 0) -> Collateral:
    """Interpolation of the snapshots of a nonlinear term, on the POD of them.

    The modes are those of a POD in the Euclidean norm: as many as leave less than `tolerance` of the snapshots, or as
    `points` and the rank of the snapshots allow. "deim" takes the row of the largest remainder of each mode in turn
    (Chaturantabut and Sorensen 2010, Algorithm 1), "qdeim" pivots of a QR factorisation (Drmac and Gugercin 2016),
    "oversampled" 3 rows for 2 modes (least squares), "eim" the recursion of the empirical interpolation on the modes,
    weighted by their singular values. Cost: the POD, and O(n m^2).

    Parameters
    ----------
    source : SnapshotSource
    kind : {"deim", "qdeim", "eim", "oversampled"}
    tolerance : float
        Relative, of the POD; 0 keeps all that is above rounding.
    points : int
        Rows for the solution; 0 lets the tolerance decide.

    Raises
    ------
    ConfigError
        No such interpolation, or the numbers are out of range.
    InputError
        The term vanishes on all snapshots.

    Examples
    --------
    >>> from romflow.linalg.compression.source import ArraySource
    >>> x, a = np.linspace(0.0, 1.0, 50)[:, None], np.linspace(1.0, 2.0, 9)
    >>> found = collateral_of(ArraySource(np.exp(-a * x)), "deim", 1e-4)
    >>> found.modes, found.points, found.basis.shape
    (3, 3, (50, 3))
    """
    check_options(kind, tolerance, points)
    share = _OVERSAMPLING if kind == "oversampled" else 1.0
    wanted = max(1, int(points / share)) if points else None
    found = pod(source, InnerProduct(None), _RANK if points else max(tolerance, _RANK), max_size=wanted)
    modes = found.basis.shape[1]
    if not modes:
        raise InputError("the nonlinear term vanishes on all snapshots, so that the model is affine there; describe it "
                         "as an affine model, or check the coefficients of its nonlinear part")
    count = min(points or int(np.ceil(share * modes)), source.n)
    if wanted is not None and modes < wanted:
        count = int(np.ceil(share * modes))
    basis, rows = _chosen(kind, found.basis, found.singular_values[:modes], count)
    modes = basis.shape[1]
    facts = {"interpolation": kind, "modes": modes, "points": len(rows), "residual_modes": modes,
             "interpolation_error": found.error, "collateral_snapshots": found.count,
             "why": _why(points, wanted, modes, tolerance)}
    return Collateral(basis, rows, modes, len(rows), facts)


def check_options(kind: str, tolerance: float, points: int, extra: int = 0) -> None:
    """Raise ConfigError unless there is such an interpolation, with whole numbers of points and 0 <= tolerance < 1."""
    if kind not in INTERPOLATIONS:
        raise ConfigError(f"no interpolation is called '{kind}'{nearest(str(kind), INTERPOLATIONS)}")
    for name, count in (("points", points), ("extra", extra)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise ConfigError(f"[reduction] {name} = {shown(count)}; the rule is a whole number from 0")
    number = isinstance(tolerance, int | float | np.number) and not isinstance(tolerance, bool)
    if not number or not 0.0 <= tolerance < 1.0:
        raise ConfigError(f"[reduction] interpolation_tolerance = {shown(tolerance)}; the rule is 0 <= tolerance < 1")


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


def _chosen(kind: str, U: np.ndarray, sigma: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """A basis of the span of the modes, and its rows."""
    if kind == "eim":
        found = empirical_interpolation(U * sigma)
        return found.basis, found.points
    if kind == "oversampled":
        return U, oversampled_points(U, points)
    return U, deim_points(U) if kind == "deim" else qdeim_points(U)


def _why(points: int, wanted: int | None, modes: int, tolerance: float) -> str:
    if wanted is not None and wanted > modes:
        return f"fewer than asked for: {modes} modes leave less than {_RANK:g} of the snapshots"
    return "as many points as asked for" if points else f"relative error below interpolation_tolerance = {tolerance:g}"
