"""Fitted orders of variable-step BDF2 and its deferred corrections on random grids, as margins over their bars.

    python benchmarks/evolution_steppers.py [--quick] [--json FILE]

u' = f(t, u) on random grids whose steps are log-uniform within a factor of 35, N = 40 to 640; a linear problem and a
nonlinear one (logistic growth). The order is that of the line through the logarithms of the largest errors of all grids
against those of N. A stiff problem (Prothero and Robinson, lambda = -1000) is printed beside them, without a bar: the
corrections gain nothing there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

from romflow.linalg.stepping.march import march  # noqa: E402

BARS = {"bdf2": 1.8, "dc3": 2.4, "dc4": 3.0}
FINEST = {"bdf2": 2e-5, "dc3": 3e-7, "dc4": 5e-9}
RATIO = 35.0


class Scalar:
    """u' = f(t, u) by Newton's method."""

    def __init__(self, f: Callable[[float, Any], Any], slope: Callable[[float, Any], Any]) -> None:
        self.f, self.slope = f, slope

    def mass(self, u: np.ndarray) -> np.ndarray:
        """M u = u."""
        return u

    def rate(self, t: float, u: np.ndarray) -> np.ndarray:
        """f(t, u)."""
        return np.asarray(self.f(t, u))

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """u with u - c f(t, u) = rhs."""
        u = np.array(guess, dtype=float)
        for _ in range(50):
            step = (u - c * self.f(t, u) - rhs) / (1.0 - c * self.slope(t, u))
            u = u - step
            if np.abs(step).max() < 1e-15 * max(1.0, np.abs(u).max()):
                break
        return u


# Name -> (system, start, solution).
PROBLEMS: dict[str, tuple[Scalar, float, Callable[[float], float]]] = {
    "linear": (Scalar(lambda t, u: -u + np.sin(3 * t), lambda t, u: -1.0), 1.0,
               lambda t: 1.3 * np.exp(-t) + (np.sin(3 * t) - 3 * np.cos(3 * t)) / 10),
    "logistic": (Scalar(lambda t, u: 3 * u * (1 - u), lambda t, u: 3 - 6 * u), 0.1,
                 lambda t: 1 / (1 + 9 * np.exp(-3 * t))),
    "stiff": (Scalar(lambda t, u: -1000 * (u - np.cos(t)) - np.sin(t), lambda t, u: -1000.0), 1.0, np.cos)}


def random_grid(steps: int, seed: int, end: float = 2.0) -> np.ndarray:
    """Times (steps + 1,) whose steps are log-uniform within a factor of 35."""
    sizes = RATIO ** np.random.default_rng(seed).random(steps)
    return np.concatenate([[0.0], np.cumsum(sizes) * (end / sizes.sum())])


def worst_error(scheme: str, problem: str, seed: int, steps: int) -> float:
    """Largest error over all times of one grid."""
    system, start, solution = PROBLEMS[problem]
    return float(max(abs(step.state[0] - solution(step.time))
                     for step in march(system, scheme, random_grid(steps, seed), np.array([start]))))


def order(errors: np.ndarray, sizes: list[int]) -> float:
    """Slope of the line through all the points (log N, -log error) of errors (grids, sizes)."""
    logs = np.tile(np.log(sizes), len(errors))
    return -float(np.polyfit(logs, np.log(errors).ravel(), 1)[0])


def measure(sizes: list[int], seeds: int) -> dict[str, Figure]:
    """The smallest margin over the smooth problems, and the error of each scheme on the finest grid."""
    margins, figures = [], {}
    for scheme, bar in BARS.items():
        for problem in PROBLEMS:
            errors = np.array([[worst_error(scheme, problem, seed, steps) for steps in sizes]
                               for seed in range(seeds)])
            found = order(errors, sizes)
            if problem != "stiff":
                margins.append(found - bar)
            print(f"{scheme:5} {problem:9} order {found:.2f} (bar {bar}), error with {sizes[-1]} steps "
                  f"{np.median(errors[:, -1]):.1e}")
            if problem == "logistic":
                figures[f"{scheme}_error"] = Figure(float(np.median(errors[:, -1])), FINEST[scheme], False, "")
    return {"bdf_orders_min_margin": Figure(min(margins), 0.0, True, ""), **figures}


def main() -> None:
    """Measure and show."""
    wish = arguments(str(__doc__))
    show(measure([40, 80, 160, 320, 640], 2 if wish.quick else 10), wish.json)


if __name__ == "__main__":
    main()
