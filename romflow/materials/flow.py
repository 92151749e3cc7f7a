"""The local equation of elastoviscoplasticity: one unknown a point, by a safeguarded Newton method on all at once.

Deviators are columns of five numbers whose plain length is von Mises' (`romflow.materials.deviators`): with the trial
deviator s, hardening strains a_i, theta_i = 1 / (1 + D_i dp), xi(dp) = s - sum C_i theta_i a_i and J = |xi|, the
plastic increment dp solves

    F(dp) = J - (3 G + sum C_i theta_i) dp - R(p + dp) - K (dp / dt)^(1/n) = 0.

As xi(dp) = xi(0) + sum u_i a_i with u_i = C_i D_i dp theta_i, J^2 is a quadratic function of the u_i whose coefficients
are the products of xi(0) and the a_i: once they are known, iterations touch no tensor. F has an infinite slope at
dp = 0. Where a material is viscous the unknown is therefore its overstress v = K (dp / dt)^(1/n), with
dp = dt (v / K)^n; started from the solution of J0 - H dp - v = 0, H = -d(F + v)/d dp at dp = 0, Newton's method is at
once in its quadratic range for slow and for fast steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from romflow.materials.hardening import Isotropic

__all__ = ["Layout", "flow", "turned"]

Array = NDArray[np.float64]

# |F| at which the next step of Newton's method is the last, in units of the stress at the start: what a step of higher
# than second order leaves is rounding.
_TOLERANCE = 1e-7
_QUICK_ITERATIONS = 8
_MAX_ITERATIONS = 120
# Fewer points than this are not worth gathering.
_FEW = 256
_STARTING_STEPS = 2


class Layout:
    """Where rows (Q, P) hold what the local equation needs.

    Parameters
    ----------
    kinematics : int
        M.
    viscous : bool
    hardening : int
        k, the number of rows that the isotropic hardening reads.

    Attributes
    ----------
    constants : int
        Rows of the temperature and the parameters come first: the bulk modulus, 2 G, 3 G, the pressure of a body that
        is heated between walls, K and n of a viscous law, C (`moduli`), D (`recoveries`), and the k rows `isotropic`.
    state : int
        Up to here follow those of the step's start: p, dR/dp, and the products a_i : a_j (`among`).
    size : int
        Up to here follow J0, the excess F(0), the products xi(0) : a_i (`along`), and the last solution's unknown as
        a line in the excess, value at 0 and slope (`line`); both are 0 where there is none.
    """

    def __init__(self, kinematics: int, viscous: bool, hardening: int) -> None:
        M = self.kinematics = kinematics
        self.viscous = viscous
        first = 6 if viscous else 4
        self.moduli, self.recoveries = slice(first, first + M), slice(first + M, first + 2 * M)
        self.isotropic = slice(first + 2 * M, first + 2 * M + hardening)
        self.constants = self.isotropic.stop
        self.p, self.slope = self.constants, self.constants + 1
        self.state = self.slope + 1 + M * M
        self.among = slice(self.slope + 1, self.state)
        self.equivalent, self.excess = self.state, self.state + 1
        self.along = slice(self.excess + 1, self.excess + 1 + M)
        self.line = slice(self.along.stop, self.along.stop + 2)
        self.size = self.line.stop


class _Equation:
    """The equation at P points, for unknowns z (P,): the overstress v of a viscous material, else dp."""

    def __init__(self, rows: Array, layout: Layout, law: Isotropic, dt: float) -> None:
        self.rows, self.layout, self.law, self.dt = rows, layout, law, dt
        self.stiffness, self.p = rows[2], rows[layout.p]
        self.viscous = (rows[4], rows[5]) if layout.viscous else None
        self.moduli, self.recoveries = rows[layout.moduli], rows[layout.recoveries]
        self.isotropic = rows[layout.isotropic]
        self.equivalent, self.excess = rows[layout.equivalent], rows[layout.excess]
        if layout.kinematics:
            self.square = self.equivalent * self.equivalent
            self.along = rows[layout.along]
            self.among = rows[layout.among].reshape(layout.kinematics, layout.kinematics, -1)

    def take(self, which: NDArray[np.intp]) -> _Equation:
        """The equation at some of the points."""
        # ndarray.take keeps the points next to each other in memory, which an index in brackets does not.
        return _Equation(self.rows.take(which, 1), self.layout, self.law, self.dt)

    def increments(self, z: Array) -> tuple[Array, Array | None]:
        """dp, and d dp/dz (None where z is dp itself)."""
        if self.viscous is None:
            return z, None
        K, n = self.viscous
        increment = (z / K) ** n
        increment *= self.dt
        return increment, n * increment / z

    def at(self, z: Array) -> tuple[Array, Array, Array]:
        """F, -dF/dz, and -d(F + v)/d dp."""
        increment, rate = self.increments(z)
        radius, hardening = self.law.both(self.p + increment, self.isotropic)
        stiff, slope, equivalent = self.stiffness, self.stiffness + hardening, self.equivalent
        if self.layout.kinematics:
            theta, stiffs, u = turned(self.moduli, self.recoveries, increment)
            across = np.einsum("abp,bp->ap", self.among, u)
            across += self.along
            equivalent = np.sqrt(self.square + np.einsum("ap,ap->p", u, across + self.along))
            stiff = stiff + np.add.reduce(stiffs)
            stiffs *= theta
            slope += self.kinematic(stiffs, across, equivalent)
        value = equivalent - stiff * increment
        value -= radius
        if rate is None:
            return value, slope, slope
        value -= z
        rate *= slope
        rate += 1.0
        return value, rate, slope

    def kinematic(self, stiffs: Array, across: Array, equivalent: Array) -> Array:
        """sum C theta^2 (1 - D xi : a / J), the kinematic part of -dF/d dp, from C theta^2 and xi : a (M, P)."""
        turn = across / equivalent
        turn *= self.recoveries
        np.subtract(1.0, turn, out=turn)
        turn *= stiffs
        return np.asarray(np.add.reduce(turn))

    def guess(self) -> Array:
        """Unknowns that solve the equation with the slope of its beginning."""
        excess = self.excess
        slope = self.stiffness + self.rows[self.layout.slope]
        if self.layout.kinematics:
            slope += self.kinematic(self.moduli, self.along, self.equivalent)
        slope = np.maximum(slope, 0.1 * self.stiffness)
        increment = excess / slope
        if self.viscous is None:
            return np.asarray(increment)
        K, n = self.viscous
        increment /= self.dt
        v = np.minimum(excess, K * increment ** (1.0 / n))
        slope *= self.dt
        for _ in range(_STARTING_STEPS):
            stress = slope * (v / K) ** n
            v = v * (1.0 - (stress + v - excess) / (n * stress + v))
        return np.asarray(v)


def turned(moduli: Array, recoveries: Array, increment: Array) -> tuple[Array, Array, Array]:
    """theta (M, P) = 1 / (1 + D dp), C theta, and u = C D dp theta, with which xi(dp) = xi(0) + sum u a."""
    u = recoveries * increment
    theta = 1.0 / (u + 1.0)
    stiffs = moduli * theta
    u *= stiffs
    return theta, stiffs, u


def flow(rows: Array, layout: Layout, law: Isotropic, dt: float,
         which: NDArray[np.intp]) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The plastic increment dp >= 0 (P,) with F(dp) = 0 to rounding, -dF/d dp, and success; 0, inf and True elsewhere.

    Parameters
    ----------
    rows : (Q, P)
        As the layout says. Newton's method starts from the line of the last solution and leaves its own there.
    layout : Layout
    law : Isotropic
        R(p) and its slope.
    dt : float
        Length of the step, > 0 where the points are viscous.
    which : (k,) int
        The points that flow: F(0) > 0.

    Notes
    -----
    Newton's method, in which the slopes of two iterates give the second derivative; a point's last step is that from
    abs(F) <= 1e-7 scale, and it then stands still, so that its answer does not depend on its neighbours. Three
    iterations, less from a line. Points that need more than 8 start again within a bracket, which is halved (or doubled
    while it has no upper end) where Newton leaves it; they are given up after 120.
    """
    points = rows.shape[1]
    equation = _Equation(rows, layout, law, dt)
    if which.size < points:
        equation = equation.take(which)
    allowed = _TOLERANCE * equation.equivalent
    base, gain = equation.rows[layout.line]
    start = base + gain * equation.excess
    known = start > 0.0
    if not known.all():
        start = np.where(known, start, equation.guess())
    z, slope, converged = _newton(equation, start, allowed)
    if not converged.all():
        left = np.flatnonzero(~converged)
        part = equation.take(left)
        z[left], slope[left], converged[left] = _bracketed(part, part.guess(), allowed[left])
    increment, rate = equation.increments(z)
    if rate is None:
        gain = 1.0 / slope
    else:
        gain = 1.0 / (slope * rate + 1.0)
        slope = slope + 1.0 / rate
    converged &= (increment >= 0.0) & (slope > 0.0)
    rows[layout.line] = 0.0
    if converged.all():
        rows[layout.line, which] = z - gain * equation.excess, gain
    if which.size == points:
        return increment, slope, converged
    everywhere = np.zeros(points), np.full(points, np.inf), np.ones(points, dtype=bool)
    for values, found in zip(everywhere, (increment, slope, converged), strict=True):
        values[which] = found
    return everywhere


def _newton(equation: _Equation, start: Array, allowed: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Unknowns, -d(F + v)/d dp there, and where they were found, without a safeguard."""
    now, slope, done = start.copy(), np.empty(start.size), np.zeros(start.size, dtype=bool)
    before: tuple[Array, Array, Array] | None = None
    for _ in range(_QUICK_ITERATIONS):
        value, unknown_slope, slope_here = equation.at(now)
        step, slope_ahead = value / unknown_slope, slope_here
        if before is not None:
            # Both slopes change along the step as they did along the one before.
            share = step / before[0]
            step = value / (unknown_slope + 0.5 * share * (unknown_slope - before[1]))
            slope_ahead = slope_here + share * (slope_here - before[2])
        still = ~done
        np.copyto(slope, slope_ahead, where=still)
        np.add(now, step, out=now, where=still)
        done |= np.abs(value) <= allowed
        open_points = done.size - np.count_nonzero(done)
        if not open_points:
            break
        if done.size > _FEW and 2 * open_points < done.size:
            left = np.flatnonzero(~done)
            now[left], slope[left], done[left] = _newton(equation.take(left), now[left], allowed[left])
            break
        before = step, unknown_slope, slope_here
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
