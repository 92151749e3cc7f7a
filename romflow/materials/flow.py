"""The local equation of elastoviscoplasticity: one unknown a point, by a safeguarded Newton method on all at once.

With the trial deviator s (of 2 G dev e), hardening strains alpha_a, theta_a = 1 / (1 + D_a dp),
xi(dp) = s - sum 2/3 C_a theta_a alpha_a and J = sqrt(3/2 xi : xi), the plastic increment dp solves

    F(dp) = J - (3 G + sum C_a theta_a) dp - R(p + dp) - K (dp / dt)^(1/n) = 0.

F has an infinite slope at dp = 0. Where the flow is small the unknown is therefore the viscous overstress
v = K (dp / dt)^(1/n), and dp only where it is large; either way F is almost linear in the unknown z. Tensors are
columns (6, P) whose shear components carry a factor sqrt(2), so that a double contraction is a plain sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.materials.hardening import Isotropic

__all__ = ["Flow", "Points", "flow"]

Array = NDArray[np.float64]

# |F| at which a point is done, in units of the stress at the start: far below what a tangent by differences sees.
_TOLERANCE = 1e-13
# A bracket whose ends have this ratio cannot be halved.
_FULL = 1.0 - 4.0 * float(np.finfo(np.float64).eps)
_MAX_ITERATIONS = 120
# Fewer points than this are not worth gathering.
_FEW = 256


@dataclass(frozen=True, slots=True)
class Points:
    """What the local equation needs at P points.

    Parameters
    ----------
    deviator : (6, P) array
        s.
    alphas : (M, 6, P) array
        Hardening strains at the start.
    p : (P,) array
    stiffness : (P,) array
        3 G.
    moduli, recoveries : (M, P) arrays
        C and D.
    viscous : (K, n) pair of (P,) arrays, or None
    rows : (k, P) array
        Constants of the isotropic hardening.
    """

    deviator: Array
    alphas: Array
    p: Array
    stiffness: Array
    moduli: Array
    recoveries: Array
    viscous: tuple[Array, Array] | None
    rows: Array

    def take(self, which: NDArray[np.intp]) -> Points:
        """Some of the points."""
        viscous = None if self.viscous is None else (self.viscous[0][which], self.viscous[1][which])
        return Points(self.deviator[:, which], self.alphas[:, :, which], self.p[which], self.stiffness[which],
                      self.moduli[:, which], self.recoveries[:, which], viscous, self.rows[:, which])


@dataclass(frozen=True, slots=True)
class Flow:
    """The solution at P points: dp, theta (M, P), normal N = 3/2 xi / J, xi' = d xi / d dp, J, -dF/d dp, success."""

    increment: Array
    theta: Array
    normal: Array
    turning: Array | None
    equivalent: Array
    slope: Array
    converged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _State:
    """The equation at one value of the unknowns."""

    increment: Array
    theta: Array
    xi: Array
    equivalent: Array
    value: Array
    slope: Array  # -dF/d dp
    unknown_slope: Array  # -dF/dz


class _Equation:
    """F at given points: :meth:`at` gives its value and slopes for unknowns z (P,)."""

    def __init__(self, points: Points, law: Isotropic, dt: float, overstress: NDArray[np.bool_] | None) -> None:
        self.points, self.law, self.overstress = points, law, overstress
        self.third = points.moduli * (2.0 / 3.0)
        if points.viscous is not None and overstress is not None:
            K, n = points.viscous
            # The other of the pair (dp, v) is factor * (z / unit) ** power.
            self.unit, self.factor = np.where(overstress, K, dt), np.where(overstress, dt, K)
            self.power = np.where(overstress, n, 1.0 / n)

    def at(self, z: Array) -> _State:
        points = self.points
        if self.overstress is None:
            increment, stress, own = z, None, None
        else:
            other = self.factor * (z / self.unit) ** self.power
            increment = np.where(self.overstress, other, z)
            stress = np.where(self.overstress, z, other)
            own = self.power * other / z
        p = points.p + increment
        radius = self.law.radius(p, points.rows)
        slope = points.stiffness + self.law.slope(p, points.rows)
        hard = points.stiffness
        if len(points.moduli):
            theta = 1.0 / (1.0 + points.recoveries * increment)
            xi = points.deviator - np.einsum("mp,mip->ip", self.third * theta, points.alphas)
            equivalent = np.sqrt(1.5 * np.einsum("ip,ip->p", xi, xi))
            stiff = points.moduli * theta
            hard = hard + stiff.sum(axis=0)
            along = np.einsum("ip,mip->mp", xi, points.alphas)
            turn = points.recoveries * along / equivalent
            slope = slope + (stiff * theta * (1.0 - turn)).sum(axis=0)
        else:
            theta, xi = points.moduli, points.deviator
            equivalent = np.sqrt(1.5 * np.einsum("ip,ip->p", xi, xi))
        value = equivalent - hard * increment - radius
        if stress is None or own is None:
            return _State(increment, theta, xi, equivalent, value, slope, slope)
        value = value - stress
        by_increment = np.where(self.overstress, 1.0 / own, own)
        unknown = np.where(self.overstress, slope * own + 1.0, slope + own)
        return _State(increment, theta, xi, equivalent, value, slope + by_increment, unknown)


def flow(points: Points, law: Isotropic, dt: float, excess: Array, scale: Array) -> Flow:
    """The plastic increment dp > 0 where the trial stress exceeds the radius, with F(dp) = 0 to 1e-13 of the stress.

    Parameters
    ----------
    points : Points
        P points whose excess is positive.
    law : Isotropic
        R(p) and its slope.
    dt : float
        Length of the step, > 0 where the points are viscous.
    excess : (P,) array
        J0 = F(0) > 0.
    scale : (P,) array
        Stress that |F| is measured by.

    Notes
    -----
    Unknown v where dt (J0/K)^n (3 G + sum C) < J0, else dp; Newton within a bracket, halved (or doubled while it has no
    upper end) where Newton leaves it. A point stops at |F| <= 1e-13 scale or when its bracket is at rounding, and its
    unknown then stands still, so that a point's answer does not depend on its neighbours. About 2 iterations.
    """
    hard = points.stiffness + points.moduli.sum(axis=0)
    start = excess / (hard + np.maximum(law.slope(points.p, points.rows), 0.0))
    overstress = None
    if points.viscous is not None:
        K, n = points.viscous
        overstress = dt * (excess / K) ** n * hard < excess
        start = np.where(overstress, excess, start)
    z, converged, last = _solved(points, law, dt, overstress, start, scale)
    end = _Equation(points, law, dt, overstress).at(z) if last is None else last
    normal = end.xi * (1.5 / end.equivalent)
    turning = None
    if len(points.moduli):
        turning = np.einsum("mp,mip->ip", points.moduli * points.recoveries * end.theta**2 * (2.0 / 3.0), points.alphas)
    good = converged & (end.increment >= 0.0) & (end.equivalent > 0.0) & (end.slope > 0.0)
    return Flow(end.increment, end.theta, normal, turning, end.equivalent, end.slope, good)


def _solved(points: Points, law: Isotropic, dt: float, overstress: NDArray[np.bool_] | None, start: Array,
            scale: Array) -> tuple[Array, NDArray[np.bool_], _State | None]:
    """Unknowns, where they were found, and the equation there if it was last evaluated at all points."""
    z, found = start.copy(), np.zeros(start.size, dtype=bool)
    left: NDArray[np.intp] | None = None
    equation = _Equation(points, law, dt, overstress)
    now, low, high = z, np.zeros(start.size), np.full(start.size, np.inf)
    done, allowed = found, _TOLERANCE * scale
    for _ in range(_MAX_ITERATIONS):
        state = equation.at(now)
        done = done | (np.abs(state.value) <= allowed)
        if done.all():
            break
        above = state.value > 0.0
        low, high = np.where(above, now, low), np.where(above, high, now)
        guess = now + state.value / state.unknown_slope
        middle = np.where(np.isinf(high), 2.0 * now, 0.5 * (low + high))
        fine = (guess > low) & (guess < high)
        done = done | (low >= high * _FULL)
        now = np.where(done, now, np.where(fine, guess, middle))
        open_points = done.size - np.count_nonzero(done)
        if done.size > _FEW and 0 < open_points < 0.5 * done.size:
            left = np.arange(start.size) if left is None else left
            z[left], found[left] = now, done
            keep = np.flatnonzero(~done)
            left, now, low, high, done = left[keep], now[keep], low[keep], high[keep], done[keep]
            allowed = allowed[keep]
            equation = _Equation(points.take(left), law, dt, None if overstress is None else overstress[left])
    if left is None:
        return now, done, state
    z[left], found[left] = now, done
    return z, found, None

