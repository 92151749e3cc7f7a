"""A step of elastoviscoplasticity from one state, tried with several strains: what they share is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from romflow.materials.deviators import FROM_HARDENING_STRAIN, FROM_STRAIN, TO_PLASTIC_STRAIN, TO_STRESS
from romflow.materials.flow import Layout, flow, turned
from romflow.materials.hardening import Isotropic
from romflow.materials.protocol import LawAnswer
from romflow.materials.thermoelastic import elastic_tangent

__all__ = ["PlasticStep"]

Array = NDArray[np.float64]
Write = Callable[[Array], None]

# Points that are worked on together, so that everything about them stays in the processor's cache.
_BLOCK = 4096
# 3/2 deviator / J as a stress, of a unit deviator of FROM_STRAIN.
_FLOWING = 1.5 * TO_STRESS[:, :5]
_NOWHERE = np.zeros(0, dtype=np.intp)
_TINY = 1e-300


class PlasticStep:
    """Answers of the law at strains (6, P), each found from where the one before ended.

    Parameters
    ----------
    constants : (Q, P)
        First rows of the layout.
    layout : Layout
    isotropic : Isotropic
    dt : float
    state : (s, P)
        At the beginning of the step.
    """

    def __init__(self, constants: Array, layout: Layout, isotropic: Isotropic, dt: float, state: Array) -> None:
        self._state = state
        blocks = [slice(start, start + _BLOCK) for start in range(0, state.shape[1], _BLOCK)]
        with np.errstate(all="ignore"):
            self._blocks = [(block, _Block(constants[:, block], layout, isotropic, dt, state[:, block]))
                            for block in blocks]

    def __call__(self, strain: Array, tangent: bool = True) -> LawAnswer:
        """Stress and state at the end of the step; the tangent is worked out when it is read."""
        points = strain.shape[1]
        stress, state, converged = np.empty((6, points)), np.array(self._state), np.empty(points, dtype=bool)
        tangents = []
        with np.errstate(all="ignore"):
            for part, block in self._blocks:
                converged[part], write = block.answer(strain[:, part], state[:, part], stress[:, part])
                tangents.append((part, write))
        return LawAnswer(stress, state, partial(_joined, tangents, points) if tangent else None, converged)


class _Block:
    """The step at some points."""

    def __init__(self, constants: Array, layout: Layout, isotropic: Isotropic, dt: float, state: Array) -> None:
        self.layout, self.isotropic, self.dt = layout, isotropic, dt
        points = state.shape[1]
        rows = self.rows = np.empty((layout.size, points))
        rows[:layout.constants] = constants
        rows[layout.p], rows[layout.line] = state[6], 0.0
        self.moduli, self.recoveries = rows[layout.moduli], rows[layout.recoveries]
        self.radius, rows[layout.slope] = isotropic.both(rows[layout.p], rows[layout.isotropic])
        if layout.kinematics:
            self.alphas = np.matmul(FROM_HARDENING_STRAIN, state[7:].reshape(layout.kinematics, 6, points))
            self.back = np.einsum("mp,mip->ip", self.moduli, self.alphas)
            among = rows[layout.among].reshape(layout.kinematics, layout.kinematics, points)
            np.einsum("aip,bip->abp", self.alphas, self.alphas, out=among)

    def answer(self, strain: Array, state: Array, stress: Array) -> tuple[NDArray[np.bool_], Write]:
        """Write stress, and state in place of that of the start; where it converged, and what writes the tangent."""
        layout, rows, M = self.layout, self.rows, self.layout.kinematics
        # Five rows of a deviator, and one of the mean stress.
        trial = FROM_STRAIN @ (strain - state[:6])
        deviator, mean = trial[:5], trial[5]
        deviator *= rows[1]
        mean *= rows[0]
        mean -= rows[3]
        xi = deviator - self.back if M else deviator.copy()
        if M:
            np.einsum("ip,mip->mp", xi, self.alphas, out=rows[layout.along])
        np.sqrt(np.einsum("ip,ip->p", xi, xi), out=rows[layout.equivalent])
        excess = rows[layout.excess]
        np.subtract(rows[layout.equivalent], self.radius, out=excess)
        converged = np.isfinite(excess)
        converged &= np.isfinite(mean)
        found = (excess > 0.0).nonzero()[0] if self.dt > 0.0 or not layout.viscous else _NOWHERE
        if not found.size:
            np.matmul(TO_STRESS, trial, out=stress)
            return converged, partial(_elastic, rows)
        increment, slope, good = flow(rows, layout, self.isotropic, self.dt, found)
        converged &= good
        if M:
            theta, stiffs, u = turned(self.moduli, self.recoveries, increment)
            xi += np.einsum("mp,mip->ip", u, self.alphas)
        equivalent = np.maximum(np.sqrt(np.einsum("ip,ip->p", xi, xi)), _TINY)
        xi /= equivalent
        deviator -= rows[2] * increment * xi
        np.matmul(TO_STRESS, trial, out=stress)
        step = TO_PLASTIC_STRAIN @ xi
        step *= increment
        state[:6] += step
        state[6] += increment
        ratio, turning = increment / equivalent, None
        if M:
            strains = state[7:].reshape(M, 6, -1)
            strains += step
            strains *= theta[:, np.newaxis]
            turning = partial(self._turning, stiffs, theta)
        return converged, partial(_plastic, rows, xi, ratio, slope, turning)

    def _turning(self, stiffs: Array, theta: Array) -> Array:
        """d xi / d dp (5, P)."""
        return np.asarray(np.einsum("mp,mip->ip", self.recoveries * stiffs * theta, self.alphas))


def _joined(tangents: Sequence[tuple[slice, Write]], points: int) -> Array:
    """The tangents (6, 6, points) of all blocks."""
    result = np.empty((6, 6, points))
    with np.errstate(all="ignore"):
        for block, write in tangents:
            write(result[:, :, block])
    return result


def _elastic(rows: Array, into: Array) -> None:
    """Write the elastic tangent."""
    into[...] = 0.0
    elastic_tangent(into, rows[0], rows[1])


def _plastic(rows: Array, normal: Array, ratio: Array, slope: Array, turning: Callable[[], Array] | None,
             into: Array) -> None:
    """Write (6, 6, P): the elastic tangent, and a change of rank one and a factor of the deviator where it flows.

    Of the unit normal (5, P), dp / J, and -dF/d dp, which is infinite where nothing flows.
    """
    shear = rows[1]
    front = shear / slope
    if turning is None:
        left = (front - shear * ratio) * normal
    else:
        turn = turning()
        front_ratio = front * ratio
        left = (front - front_ratio * np.einsum("ip,ip->p", normal, turn) - shear * ratio) * normal
        left += front_ratio * turn
    left *= -shear
    np.multiply((_FLOWING @ left)[:, np.newaxis], _FLOWING @ normal, out=into)
    elastic_tangent(into, rows[0], shear * (1.0 - rows[2] * ratio))
