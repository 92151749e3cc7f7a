"""A material point pulled along x: the lateral strains follow from zero lateral stress, as in a test machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.materials.protocol import LawAnswer, MaterialLaw

__all__ = ["UniaxialHistory", "uniaxial"]

Array = NDArray[np.float64]

_MAX_ITERATIONS = 25
_MAX_HALVINGS = 10


@dataclass(frozen=True)
class UniaxialHistory:
    """What a point went through.

    Parameters
    ----------
    times : (K+1,) array
    strain : (6, K+1) array
        Engineering shear.
    stress : (6, K+1) array
    state : (s, K+1) array
    """

    times: Array
    strain: Array
    stress: Array
    state: Array


@dataclass(frozen=True)
class _Now:
    """The last converged step; `rate` is the change of strain in its unit of time."""

    time: float
    strain: Array
    state: Array
    rate: Array


def uniaxial(law: MaterialLaw, times: ArrayLike, *, strain: ArrayLike | None = None, stress: ArrayLike | None = None,
             data: Mapping[str, Any] | None = None, tolerance: float = 1e-10) -> UniaxialHistory:
    """The law under a history of axial strain or axial stress, all other stresses zero.

    Parameters
    ----------
    law : MaterialLaw
    times : (K+1,) array
        Increasing.
    strain, stress : (K+1,) array
        One of the two: what is prescribed along x at the times. The first entry is the state at rest and not a step.
    data : mapping, optional
        "T" and what else the law reads: a number, or (K+1,) values at the times. Default: T = 20.
    tolerance : float
        Newton's method stops at max abs(stress wanted - stress) <= tolerance times the largest stress
        of the step's iterations.

    Raises
    ------
    InputError
        None or both of strain and stress are given, or a value is not finite.
    ShapeError
        Lengths differ.
    SolveFailed
        A step did not converge after ten halvings (a stress beyond what the material carries); its report holds the
        time, the halvings and where each attempt ended.

    Notes
    -----
    A step that does not converge is halved, strain, stress and data moving linearly within it.

    Examples
    --------
    >>> from romflow.materials.making import make_law
    >>> law = make_law({"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": "200 + 2e4 * p"})
    >>> history = uniaxial(law, [0.0, 1.0], strain=[0.0, 0.003])
    >>> round(float(history.stress[0, 1]), 6) == round((200 + 0.003 * 2e4) / (1 + 0.1), 6)
    True
    """
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 2 or not (np.diff(grid) > 0.0).all():
        raise ShapeError(f"times has shape {grid.shape}; give two or more increasing times.")
    if (strain is None) == (stress is None):
        raise InputError("a uniaxial history needs either strain or stress along x; give one of them.")
    wanted = _along(grid, strain if stress is None else stress, "strain" if stress is None else "stress")
    given = {name: _along(grid, value, name) for name, value in ({"T": 20.0} | dict(data or {})).items()}
    drive = _Drive(law, grid, wanted, given, stress is not None, tolerance)
    now = _Now(float(grid[0]), np.zeros((6, 1)), law.initial(1), np.zeros((6, 1)))
    strains, stresses, states = [now.strain], [np.zeros((6, 1))], [now.state]
    for end in grid[1:]:
        now, answer = drive.to(now, float(end))
        strains.append(now.strain)
        stresses.append(answer.stress)
        states.append(now.state)
    return UniaxialHistory(grid, np.hstack(strains), np.hstack(stresses), np.hstack(states))


@dataclass(frozen=True)
class _Drive:
    """One point, what is wanted along x at each time, and what the law reads there."""

    law: MaterialLaw
    times: Array
    wanted: Array
    data: dict[str, Array]
    stress_driven: bool
    tolerance: float

    def to(self, now: _Now, end: float) -> tuple[_Now, LawAnswer]:
        """The state at a later time, by one step or, where it does not converge, smaller ones."""
        failed: list[float] = []
        for halvings in range(_MAX_HALVINGS + 1):
            steps = np.linspace(now.time, end, 2**halvings + 1)[1:]
            point = now
            for time in steps.tolist():
                found = self._step(point, time)
                if found is None:
                    break
                point, answer = found
            else:
                return point, answer
            failed.append(time)
        smallest = (end - now.time) / 2**_MAX_HALVINGS
        raise SolveFailed(f"the law does not converge at time {end:g} even with steps of {smallest:.3g}; is the stress "
                          "beyond what the material carries?",
                          {"time": end, "halvings": _MAX_HALVINGS, "failed_at": failed})

    def _step(self, now: _Now, time: float) -> tuple[_Now, LawAnswer] | None:
        wanted = float(np.interp(time, self.times, self.wanted))
        data = {name: float(np.interp(time, self.times, values)) for name, values in self.data.items()}
        free = slice(0 if self.stress_driven else 1, 6)
        target = np.zeros((6, 1))
        target[0] = wanted
        dt = time - now.time
        strain = now.strain + dt * now.rate
        if not self.stress_driven:
            strain[0] = wanted
        largest = np.abs(target).max()
        for _ in range(_MAX_ITERATIONS):
            answer = self.law.integrate(strain, data, dt, now.state)
            if answer.tangent is None or not answer.converged.all() or not np.isfinite(answer.stress).all():
                return None
            gap = (target - answer.stress)[free]
            # A point that is free to expand ends without stress: what its first guess had is the measure.
            largest = max(largest, np.abs(answer.stress).max())
            if np.abs(gap).max() <= self.tolerance * largest:
                return _Now(time, strain, answer.state, (strain - now.strain) / dt), answer
            change = np.linalg.lstsq(answer.tangent[free, free, 0], gap, rcond=None)[0]
            if not np.isfinite(change).all():
                return None
            strain[free] += change
        return None


def _along(times: Array, values: Any, name: str) -> Array:
    """Values (K+1,) at the times."""
    found = np.asarray(values, dtype=np.float64)
    if found.shape not in ((), times.shape):
        raise ShapeError(f"{name} has shape {found.shape}; give a number or ({times.size},) values at the times.")
    if not np.isfinite(found).all():
        raise InputError(f"{name} holds values that are not finite; give finite numbers.")
    return np.broadcast_to(found, times.shape)
