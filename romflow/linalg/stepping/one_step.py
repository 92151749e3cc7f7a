"""One-step formulas: Euler's two, and the method that starts the multi-step schemes."""

from __future__ import annotations

import numpy as np

from romflow.linalg.stepping.rates import Rates

__all__ = ["doubled_euler", "euler", "sdirk4"]

# Hairer and Wanner, Solving Ordinary Differential Equations II, table IV.6.5: five stages, order 4, L-stable, stiffly
# accurate, with an embedded formula of order 3.
_DIAGONAL = 0.25
_NODES = np.array([1 / 4, 3 / 4, 11 / 20, 1 / 2, 1.0])
_STAGES = np.array([[1 / 4, 0, 0, 0, 0],
                    [1 / 2, 1 / 4, 0, 0, 0],
                    [17 / 50, -1 / 25, 1 / 4, 0, 0],
                    [371 / 1360, -137 / 2720, 15 / 544, 1 / 4, 0],
                    [25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4]])
_EMBEDDED = np.array([59 / 48, -17 / 96, 225 / 32, -85 / 12, 0.0])
# Rates of stages follow from their states, step K = A^{-1} (U - u), so that no rate of a stiff system is evaluated:
# U_i - (1/4) step K_i = u + sum_{j<i} a_ij step K_j, and the same for the difference of the two formulas.
_INVERSE = np.linalg.inv(_STAGES)
_BEFORE = (_STAGES - _DIAGONAL * np.eye(5)) @ _INVERSE
_DIFFERENCE = (_STAGES[-1] - _EMBEDDED) @ _INVERSE


def euler(system: Rates, name: str, u: np.ndarray, time: float, step: float) -> np.ndarray:
    """The state at `time`, one step of "explicit-euler" or "implicit-euler" after u.

    Formulas: M (v - u) = step G(time - step, u), or M (v - u) = step G(time, v).
    """
    if name == "explicit-euler":
        return system.solve(0.0, time, system.mass(u) + step * system.rate(time - step, u), u)
    return system.solve(step, time, system.mass(u), u)


def doubled_euler(system: Rates, u: np.ndarray, time: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of implicit Euler, and its local error: twice its difference from two half steps."""
    v = euler(system, "implicit-euler", u, time, step)
    half = euler(system, "implicit-euler", u, time - step / 2, step / 2)
    return v, 2.0 * (v - euler(system, "implicit-euler", half, time, step / 2))


def sdirk4(system: Rates, u: np.ndarray, time: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The state at `time`, one step of order 4 after u, and the local error of the embedded formula of order 3.

    Cost: five solves with c = step / 4, five products with M. The rate at u itself is not needed.

    Examples
    --------
    >>> import numpy as np
    >>> class Decay:
    ...     mass = staticmethod(lambda u: u)
    ...     rate = staticmethod(lambda t, u: -u)
    ...     solve = staticmethod(lambda c, t, rhs, guess: rhs / (1.0 + c))
    >>> v, error = sdirk4(Decay(), np.ones(1), 0.1, 0.1)
    >>> bool(abs(v[0] - np.exp(-0.1)) < 3e-8), bool(abs(error[0]) < 1e-5)
    (True, True)
    """
    base = system.mass(u)
    moved: list[np.ndarray] = []
    images: list[np.ndarray] = []
    guess = u
    for i in range(5):
        rhs = base
        for j in range(i):
            rhs = rhs + _BEFORE[i, j] * images[j]
        guess = system.solve(_DIAGONAL * step, time - (1.0 - _NODES[i]) * step, rhs, guess)
        moved.append(guess - u)
        if i < 4:
            images.append(system.mass(moved[i]))
    error = sum(float(w) * d for w, d in zip(_DIFFERENCE, moved, strict=True))
    return guess, np.asarray(error)
