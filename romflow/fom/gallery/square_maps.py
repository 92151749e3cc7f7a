"""Random deformations of the unit square whose dependence on the parameters is of Gevrey type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.gallery.rules import number

__all__ = ["SIDES", "SquareMap", "gevrey", "pulled_back"]

Array = NDArray[np.float64]

#: Side of the square -> the direction in which its points move, and whether it lies at 1.
SIDES: dict[str, tuple[int, bool]] = {
    "right": (0, True), "top": (1, True), "left": (0, False), "bottom": (1, False)}


def gevrey(y: Array, order: float) -> Array:
    """sign(y) exp(1 - |y|^(-1/(order - 1))): odd, increasing from -1 to 1 on [-1, 1], of Gevrey class `order`.

    Infinitely smooth, but not analytic at 0 for order > 1 (exp(-y^-w) is of the class 1 + 1/w); order 1 is y
    itself.

    Examples
    --------
    >>> gevrey(np.array([-1.0, 0.0, 0.5, 1.0]), 2.0).round(4)
    array([-1.    ,  0.    ,  0.3679,  1.    ])
    """
    if order == 1.0:
        return np.array(y, dtype=float)
    with np.errstate(divide="ignore", over="ignore"):
        power = np.abs(y) ** (-1.0 / (order - 1.0))
    return np.asarray(np.sign(y) * np.exp(1.0 - power))


def pulled_back(J: Array) -> tuple[Array, Array]:
    """K11, K12, K22 of K = J^-1 J^-T det J one below the other (3 P, b), and det J (P, b), for J (2, 2, P, b).

    Where det J is zero, K is not finite.

    Examples
    --------
    >>> K, determinant = pulled_back(np.array([[2.0, 0.0], [1.0, 1.0]])[:, :, None, None])
    >>> K[:, 0], determinant
    (array([ 0.5, -0.5,  2.5]), array([[2.]]))
    """
    (a, b), (c, d) = J
    determinant = a * d - b * c
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.concatenate([d * d + b * b, -(c * d + a * b), a * a + c * c]) / np.tile(determinant, (3, 1))
    return K, determinant


class SquareMap:
    """V(x; y) = x + sum_j xi(y_j) psi_j(x) on the unit square, xi of Gevrey class.

    psi_j(x) = amplitude k^(-decay) w(x) sin(k pi t) n moves one side of the square along its axis n: w is the distance
    from the opposite side, t the coordinate along the side, the sides take turns, and k counts the turns from 1. The
    corners stay. psi_j does not depend on the number of parameters, so that leaving out the last ones truncates the
    sum. (The setting of Djurdjevac et al. 2025, arXiv 2502.12345, with a family of our own.)

    Parameters
    ----------
    size : int
        Number s of parameters, each in [-1, 1].
    sides : sequence of str
        Which of "right", "top", "left", "bottom" move, in this order.
    amplitude, decay : float
    order : float
        Gevrey class, from 1.

    Raises
    ------
    ConfigError
        An option is wrong.

    Examples
    --------
    >>> SquareMap(1, ["top"], 0.1).place(np.array([[0.5, 1.0]]), np.array([[1.0]]))[0]
    array([[0.5, 1.1]])
    """

    def __init__(self, size: int, sides: Sequence[str] = tuple(SIDES), amplitude: float = 0.1, decay: float = 3.0,
                 order: float = 2.0) -> None:
        if not isinstance(sides, list | tuple) or not sides or len(set(map(str, sides))) != len(sides):
            raise ConfigError(f"sides = {shown(sides)}; the rule is a list of sides that move, each once, such as "
                              "sides = [\"top\"]")
        for side in sides:
            if not isinstance(side, str) or side not in SIDES:
                raise ConfigError(f"the square has no side {shown(side)}{nearest(str(side), SIDES)}")
        self.size, self.sides = size, tuple(sides)
        self.amplitude, self.decay, self.order = (
            number(name, value) for name, value in (("amplitude", amplitude), ("decay", decay), ("order", order)))
        if self.amplitude < 0.0 or self.decay < 0.0 or self.order < 1.0:
            raise ConfigError(f"amplitude = {amplitude}, decay = {decay}, order = {order} of a random domain; the rule "
                              "is amplitude and decay from 0, order from 1")

    @property
    def spec(self) -> dict[str, Any]:
        """JSON identity, without the number of parameters."""
        return {"sides": list(self.sides), "amplitude": self.amplitude, "decay": self.decay, "order": self.order}

    def directions(self) -> NDArray[np.int64]:
        """Axis (s,) along which each psi_j points."""
        return np.array([SIDES[self.sides[j % len(self.sides)]][0] for j in range(self.size)], dtype=np.int64)

    def modes(self, points: Array) -> tuple[Array, Array]:
        """psi_j (s, P) along its axis, and its derivatives (s, 2, P), at points (P, 2)."""
        values, slopes = np.empty((self.size, len(points))), np.empty((self.size, 2, len(points)))
        for j in range(self.size):
            k, place = divmod(j, len(self.sides))
            axis, far = SIDES[self.sides[place]]
            k, scale = k + 1, self.amplitude * (k + 1.0) ** -self.decay
            along = points[:, 1 - axis]
            distance = points[:, axis] if far else 1.0 - points[:, axis]
            wave = scale * np.sin(k * np.pi * along)
            values[j] = distance * wave
            slopes[j, axis] = wave if far else -wave
            slopes[j, 1 - axis] = scale * k * np.pi * distance * np.cos(k * np.pi * along)
        return values, slopes

    def place(self, points: Array, y: Array) -> Array:
        """V(x; y) (b, P, 2) at points (P, 2) and parameters (b, s)."""
        moved = np.repeat(points[None], len(y), axis=0)
        for xi, values, axis in zip(gevrey(y, self.order).T, self.modes(points)[0], self.directions(), strict=True):
            moved[:, :, axis] += xi[:, None] * values
        return moved

    def steepest(self, points: Array) -> float:
        """sum_j sup |grad psi_j| over the points: below 1, no parameters in [-1, 1] fold the square."""
        return float(np.linalg.norm(self.modes(points)[1], axis=1).max(axis=1, initial=0.0).sum())
