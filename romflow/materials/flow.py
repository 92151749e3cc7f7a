"""The local equation of elastoviscoplasticity: one unknown a point, by a safeguarded Newton method on all at once.

With the trial deviator s (of 2 G dev e), hardening strains alpha_a, theta_a = 1 / (1 + D_a dp),
xi(dp) = s - sum 2/3 C_a theta_a alpha_a and J = sqrt(3/2 xi : xi), the plastic increment dp solves

    F(dp) = J - (3 G + sum C_a theta_a) dp - R(p + dp) - K (dp / dt)^(1/n) = 0.

F has an infinite slope at dp = 0. Where a material is viscous the unknown is therefore its overstress
v = K (dp / dt)^(1/n), with dp = dt (v / K)^n; started from the solution of J0 - H dp - v = 0, H = -d(F + v)/d dp at
dp = 0, Newton's method is at once in its quadratic range for slow and for fast steps. Tensors are columns (6, P) whose
shear components carry a factor sqrt(2), so that a double contraction is a plain sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.materials.hardening import Isotropic

__all__ = ["Flow", "Points", "Trial", "Which", "flow"]

Array = NDArray[np.float64]
#: Numbers of points, or slice(None) for all of them.
Which = NDArray[np.intp] | slice

# |F| at which the next step of Newton's method is the last, in units of the stress at the start: its square, which is
# what the step leaves, is rounding.
_TOLERANCE = 1e-8
_QUICK_ITERATIONS = 8
_MAX_ITERATIONS = 120
# Fewer points than this are not worth gathering.
_FEW = 256
_STARTING_STEPS = 2


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
        K, n = self.viscous or (None, None)
        viscous = None if K is None or n is None else (K[which], n[which])
        # ndarray.take keeps the points next to each other in memory, which an index in brackets does not.
        return Points(self.deviator.take(which, 1), self.alphas.take(which, 2), self.p[which], self.stiffness[which],
                      self.moduli.take(which, 1), self.recoveries.take(which, 1), viscous, self.rows.take(which, 1))


@dataclass(frozen=True, slots=True)
class Trial:
    """The equation at dp = 0: xi (6, P), J (P,), the excess J0 = F(0) > 0, and the stress that F is measured by."""

    xi: Array
    equivalent: Array
    excess: Array
    scale: Array

    def take(self, which: NDArray[np.intp]) -> Trial:
        """Some of the points."""
        return Trial(self.xi.take(which, 1), self.equivalent[which], self.excess[which], self.scale[which])


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


class _Equation:
    """The equation at given points, for unknowns z (P,): the overstress v of a viscous material, else dp."""

    def __init__(self, points: Points, law: Isotropic, dt: float) -> None:
        self.points, self.law, self.dt = points, law, dt
        self.thirds = points.moduli * (2.0 / 3.0)

    def increments(self, z: Array) -> tuple[Array, Array | None]:
        """dp, and d dp/dz (None where z is dp itself)."""
        if self.points.viscous is None:
            return z, None
        K, n = self.points.viscous
        increment = (z / K) ** n * self.dt
        return increment, n * increment / z

    def turned(self, increment: Array) -> tuple[Array, Array, Array]:
        """theta (M, P), xi (6, P) and J (P,) after dp."""
        points = self.points
        theta, xi = points.moduli, points.deviator
        if len(theta):
            theta = 1.0 / (points.recoveries * increment + 1.0)
            xi = xi - np.einsum("mp,mip->ip", self.thirds * theta, points.alphas)
        return theta, xi, np.sqrt(np.einsum("ip,ip->p", xi, xi) * 1.5)

    def at(self, z: Array) -> tuple[Array, Array, Array]:
        """F, -dF/dz, and -d(F + v)/d dp."""
        points = self.points
        increment, rate = self.increments(z)
        theta, xi, equivalent = self.turned(increment)
        radius, hardening = self.law.both(points.p + increment, points.rows)
        stiff = points.moduli * theta
        slope = points.stiffness + hardening
        hard = points.stiffness
        if len(stiff):
            hard = hard + np.add.reduce(stiff)
            slope = slope + self.hardening(stiff, theta, xi, equivalent)
        value = equivalent - hard * increment - radius
        return (value, slope, slope) if rate is None else (value - z, slope * rate + 1.0, slope)

    def hardening(self, stiff: Array, theta: Array | float, xi: Array, equivalent: Array) -> Array:
        """sum C theta^2 - N : xi', the kinematic part of -dF/d dp."""
        turn = self.points.recoveries * np.einsum("ip,mip->mp", xi, self.points.alphas) / equivalent
        return np.asarray(np.add.reduce((1.0 - turn) * stiff * theta))

    def start(self, trial: Trial) -> Array:
        """Unknowns that solve the equation with the slope of its beginning."""
        points, excess = self.points, trial.excess
        slope = points.stiffness + self.law.both(points.p, points.rows)[1]
        if len(points.moduli):
            slope = slope + self.hardening(points.moduli, 1.0, trial.xi, trial.equivalent)
        slope = np.maximum(slope, 0.1 * points.stiffness)
        increment = excess / slope
        if points.viscous is None:
            return np.asarray(increment)
        K, n = points.viscous
        v = np.minimum(excess, K * (increment / self.dt) ** (1.0 / n))
        stiff = slope * self.dt
        for _ in range(_STARTING_STEPS):
            stress = stiff * (v / K) ** n
            v = v * (1.0 - (stress + v - excess) / (n * stress + v))
        return np.asarray(v)


def flow(points: Points, law: Isotropic, dt: float, trial: Trial) -> Flow:
    """The plastic increment dp > 0 where the trial stress exceeds the radius, with F(dp) = 0 to rounding.

    Parameters
    ----------
    points : Points
        P points whose excess is positive.
    law : Isotropic
        R(p) and its slope.
    dt : float
        Length of the step, > 0 where the points are viscous.
    trial : Trial
        The equation at dp = 0.

    Notes
    -----
    Newton's method; a point's last step is that from abs(F) <= 1e-8 scale, and it then stands still, so that its answer
    does not depend on its neighbours. About 3 iterations. Points that need more than 8 start again within a bracket,
    which is halved (or doubled while it has no upper end) where Newton leaves it; they are given up after 120.
    """
    equation = _Equation(points, law, dt)
    start, allowed = equation.start(trial), _TOLERANCE * trial.scale
    z, slope, converged = _newton(equation, start, allowed)
    if not converged.all():
        left = np.flatnonzero(~converged)
        part = _Equation(points.take(left), law, dt)
        z[left], slope[left], converged[left] = _bracketed(part, start[left], allowed[left])
    increment, rate = equation.increments(z)
    theta, xi, equivalent = equation.turned(increment)
    turning = None
    if len(theta):
        factors = equation.thirds * points.recoveries * theta * theta
        turning = np.einsum("mp,mip->ip", factors, points.alphas)
    if rate is not None:
        slope = slope + 1.0 / rate
    good = converged & (increment >= 0.0) & (equivalent > 0.0) & (slope > 0.0)
    return Flow(increment, theta, xi * (1.5 / equivalent), turning, equivalent, slope, good)


def _newton(equation: _Equation, start: Array, allowed: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Unknowns, -d(F + v)/d dp before the last step, and where they were found, without a safeguard."""
    now, slope, done = start.copy(), np.empty(start.size), np.zeros(start.size, dtype=bool)
    for _ in range(_QUICK_ITERATIONS):
        value, unknown_slope, new_slope = equation.at(now)
        still = ~done
        np.copyto(slope, new_slope, where=still)
        np.add(now, value / unknown_slope, out=now, where=still)
        done |= np.abs(value) <= allowed
        open_points = done.size - np.count_nonzero(done)
        if not open_points:
            break
        if done.size > _FEW and 2 * open_points < done.size:
            left = np.flatnonzero(~done)
            part = _Equation(equation.points.take(left), equation.law, equation.dt)
            now[left], slope[left], done[left] = _newton(part, now[left], allowed[left])
            break
    return now, slope, done & (now > 0.0)


def _bracketed(equation: _Equation, start: Array, allowed: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """As :func:`_newton`, within a bracket of F > 0 and F < 0."""
    now, done, slope = start, np.zeros(start.size, dtype=bool), start
    low, high = np.zeros(start.size), np.full(start.size, np.inf)
    for _ in range(_MAX_ITERATIONS):
        value, unknown_slope, new_slope = equation.at(now)
        slope = np.where(done, slope, new_slope)
        small = np.abs(value) <= allowed
        above = value > 0.0
        low, high = np.where(above, now, low), np.where(above, high, now)
        guess = now + value / unknown_slope
        fine = small | ((guess > low) & (guess < high))
        guess = np.where(fine, guess, np.where(np.isinf(high), 2.0 * now, 0.5 * (low + high)))
        now, done = np.where(done, now, guess), done | small
        if done.all():
            break
    return now, slope, done
