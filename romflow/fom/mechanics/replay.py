"""Stresses and internal variables along displacements that are already known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.fom.mechanics.between import Inner
from romflow.fom.mechanics.problem import MechanicsProblem

__all__ = ["replay"]


def replay(problem: MechanicsProblem, mu: np.ndarray, times: np.ndarray, displacements: Iterable[np.ndarray],
           start: np.ndarray | None = None, cells: slice | np.ndarray | None = None,
           inner: Mapping[int, Inner] | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The law integrated along given displacements, on all cells or some: the solver's own stresses to rounding.

    Nothing is solved, and cells do not know of each other. A history that the solver of this project found is one step
    of the law for each of its times, so that the same numbers come out; where it had to halve a step and could not
    repeat it as a whole, give what lies between (`between.inner_of` of a stored trajectory). For displacements of
    another code that took smaller steps than it wrote, the result is that of implicit Euler on the times written.

    Parameters
    ----------
    problem : MechanicsProblem
    mu : (p,)
    times : (k,)
        Rising.
    displacements : k arrays (n,)
        One a time.
    start : (s, Gc), optional
        State at the first time; that of the virgin material where left out.
    cells : slice or (C',) int, optional
        Which cells; all where left out. Gc points, cell by cell.
    inner : dict, optional
        Index of a time -> (time, displacement) on the way to it from the one before.

    Yields
    ------
    (int, (6, Gc), (s, Gc))
        Index of the time, stress and state. The first is the start: of the virgin material free of stress; with
        `start` given its stress is that of a step of no length.

    Raises
    ------
    InputError, ShapeError
        Times do not rise, a displacement has another length, there are fewer displacements than times.
    SolveFailed
        The law does not converge at some points; `report` has "time" and the first "points".
    """
    t = np.asarray(times, dtype=np.float64)
    if t.ndim != 1 or not t.size or np.any(np.diff(t) <= 0.0) or not np.isfinite(t).all():
        raise InputError(f"the {t.size} times of a replay do not rise or are not finite; give t_0 < t_1 < ...")
    count = problem.points_of(cells).size
    state = np.asarray(problem.law.initial(count) if start is None else start)
    walk = _Walk(problem, mu, cells)
    k = -1
    for k, u in enumerate(displacements):
        if k == len(t):
            raise InputError(f"a replay got more displacements than its {len(t)} times")
        if np.shape(u) != (problem.n,):
            raise ShapeError(f"displacement {k} of a replay has shape {np.shape(u)}; the rule is ({problem.n},), the "
                             "dofs of the mesh: is it the mesh of these displacements?")
        if k == 0 and start is None:
            yield 0, np.zeros((6, count)), state
            continue
        last = t[max(k - 1, 0)]
        for when, displacement in (*(inner or {}).get(k, ()), (t[k], u)):
            stress, state = walk.step(displacement, float(when), float(when - last), state)
            last = when
        yield k, stress, state
    if k + 1 < len(t):
        raise InputError(f"a replay got {k + 1} displacements for {len(t)} times; steps are missing from t = "
                         f"{t[k + 1]:.6g} on")


class _Walk:
    """Steps of the law on some cells."""

    def __init__(self, problem: MechanicsProblem, mu: np.ndarray, cells: slice | np.ndarray | None) -> None:
        self._problem, self._mu, self._cells = problem, mu, cells

    def step(self, u: np.ndarray, t: float, dt: float, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stress and state at time t."""
        problem, cells = self._problem, self._cells
        strain = problem.space.strain(np.asarray(u, dtype=np.float64), cells)
        with np.errstate(all="ignore"):
            answer = problem.law.integrate(strain, problem.data(problem.rows(self._mu, t), cells), dt, state, False)
        wrong = np.flatnonzero(~answer.converged)
        if wrong.size:
            points = problem.points_of(cells)[wrong[:5]]
            raise SolveFailed(f"the law does not converge at {wrong.size} of {answer.converged.size} points at t = "
                              f"{t:.6g} (the first at {problem.space.points[:, points[0]].round(6).tolist()}); are the "
                              "displacements in the mesh's unit of length, and do steps lie between these times that "
                              "are missing?", {"time": t, "points": points.tolist()})
        return np.asarray(answer.stress), np.asarray(answer.state)
