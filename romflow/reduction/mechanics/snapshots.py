"""Stored displacements without their prescribed part, and the fields by which that part is continued into the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.solvers.policy import LinearSolver

__all__ = ["HomogeneousStates", "check_trajectories", "lifting_fields"]

# Supported displacements may differ from the described ones by this share of the largest displacement.
_HELD = 1e-3


class HomogeneousStates(SnapshotSource):
    """S (n, k): displacements of some trajectories, time by time, less lifting theta(mu, t); zero at the supports.

    Parameters
    ----------
    problem : MechanicsProblem
    trajectories : sequence of Trajectory
    mu : (j, p)
        Parameter of each.
    lifting : (n, L)

    Raises
    ------
    InputError
        Where a part is read: the displacements at the supports are not those that the problem prescribes.
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, problem: Any, trajectories: Sequence[Any], mu: np.ndarray, lifting: np.ndarray) -> None:
        self._trajectories, self._lifting = list(trajectories), lifting
        self._problem, self._held = problem, problem.supports.constrained
        self._edges = np.cumsum([0, *(len(one) for one in self._trajectories)])
        self.k, self.n = int(self._edges[-1]), int(problem.n)
        rows = [problem.rows(row, float(t)) for row, one in zip(mu, self._trajectories, strict=True) for t in one.times]
        self.coefficients = problem.supports.theta(np.concatenate(rows)).T.reshape(lifting.shape[1], self.k)

    def columns(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.k)
        S = np.empty((self.n, max(0, stop - start)), order="F")
        for one, first, last in zip(self._trajectories, self._edges, self._edges[1:], strict=False):
            low, high = max(start, int(first)), min(stop, int(last))
            if low < high:
                S[:, low - start:high - start] = one.columns(slice(low - int(first), high - int(first)))
        largest = float(np.abs(S).max(initial=0.0))
        if self._lifting.shape[1]:
            S -= self._lifting @ self.coefficients[:, start:stop]
        self._check_held(S[self._held], largest, start)
        S[self._held] = 0.0
        return S

    def _check_held(self, held: np.ndarray, largest: float, start: int) -> None:
        # The body may be anywhere at the first time of a trajectory, where nothing is balanced yet.
        later = ~np.isin(np.arange(start, start + held.shape[1]), self._edges[:-1])
        gaps = np.abs(held).max(axis=0, initial=0.0) * later
        if gaps.max(initial=0.0) > _HELD * largest:
            k = start + int(np.argmax(gaps))
            raise InputError(f"displacement {k} differs by {gaps.max():.3g} from what the supports prescribe, and the "
                             f"largest is {largest:.3g}; check the supports, and that mesh and displacements have the "
                             "same numbering and unit")


def lifting_fields(problem: Any, mu: np.ndarray, t: float) -> np.ndarray:
    """Fields (n, L) that equal the supports' prescribed modes where displacements are prescribed, elastic elsewhere.

    K u = 0 at the free dofs with the law's tangent at rest, so that a support that moves does not bend the first layer
    of cells alone. Cost: one factorisation; none where nothing moves.

    Parameters
    ----------
    problem : MechanicsProblem
    mu : (p,), t : float
        Where the tangent is taken.
    """
    modes = np.asarray(problem.supports.modes)
    if not modes.shape[1]:
        return modes
    space, free = problem.space, np.asarray(problem.supports.free)
    G = space.weights.size
    law = problem.law.integrate(np.zeros((6, G)), problem.data(problem.rows(mu, t)), 0.0, problem.law.initial(G))
    K = space.stiffness(law.tangent).tocsr()
    inside = K[free]
    found = modes.copy()
    solver = LinearSolver("direct", right_hand_sides=modes.shape[1])
    found[free] = solver.setup(inside[:, free]).solve(-(inside @ modes))
    return found


def check_trajectories(trajectories: Sequence[Any], n: int, times: np.ndarray) -> None:
    """Raise InputError unless all trajectories have n dofs and at least two times, the first as the model's."""
    for number, one in enumerate(trajectories):
        if one.n != n:
            raise InputError(f"trajectory {number} has displacements of {one.n} dofs and the mesh {n}; the rule is the "
                             "same mesh: check which mesh belongs to these displacements")
        if len(one) < 2:
            raise InputError(f"trajectory {number} has {len(one)} time; the rule is the start and one step at least")
        if not np.isclose(one.times[0], times[0]):
            raise InputError(f"trajectory {number} starts at t = {one.times[0]:g} and the model at {times[0]:g}; steps "
                             "at its beginning are missing")
