"""Interpolation, time windows and gradients: figures that need no peer.

    python benchmarks/evolution_laws.py [--quick] [--json FILE]

Empirical interpolation of exp(-mu x) on an 800 x 800 table, 60 steps, beside the form that is not recursive; a front
that stands, jumps and stands, in 4 windows of 3 modes; gradients of outputs against fourth-order central differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

from romflow.fom.gallery.reaction_diffusion import ReactionDiffusion  # noqa: E402
from romflow.fom.gallery.thermal_block import ThermalBlock  # noqa: E402
from romflow.linalg.compression.windows import optimal_windows, uniform_windows  # noqa: E402
from romflow.linalg.interpolation.eim import empirical_interpolation  # noqa: E402
from romflow.parameters.distributions import Uniform  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402


def exponentials(size: int) -> np.ndarray:
    """exp(-mu x) for x (rows) and mu (columns)."""
    return np.exp(-np.outer(np.linspace(0.0, 1.0, size), np.linspace(1.0, 100.0, size)))


def upper_part(F: np.ndarray, steps: int) -> tuple[float, int]:
    """Largest entry above the diagonal of the values of the basis at its points, and the number of points twice."""
    found = empirical_interpolation(F, max_terms=steps)
    return float(np.abs(np.triu(found.basis[found.points], 1)).max()), found.size - len(set(found.points.tolist()))


def naive_upper_part(F: np.ndarray, steps: int) -> float:
    """The same where each remainder is made anew from the data by a triangular solve."""
    points: list[int] = []
    Q = np.empty((len(F), 0))
    for _ in range(steps):
        R = F if not points else F - Q @ np.linalg.solve(np.tril(Q[points]), F[points])
        i, j = np.unravel_index(int(np.argmax(np.abs(R))), R.shape)
        points.append(int(i))
        Q = np.column_stack([Q, R[:, j] / R[i, j]])
    return float(np.abs(np.triu(Q[points], 1)).max())


def front(times: int) -> np.ndarray:
    """A front that stands at .1, moves to .9 within a fifth of the time, and stands: states (400, times)."""
    t, x = np.linspace(0.0, 1.0, times), np.linspace(0.0, 1.0, 400)[:, None]
    place = 0.1 + 0.8 * np.clip((t - 0.4) / 0.2, 0.0, 1.0)
    return np.asarray(0.5 * (1.0 - np.tanh((x - place) / 0.02)))


def gradient_gap(sensitivity: np.ndarray, outputs: Callable[[np.ndarray], Any], mu: np.ndarray, h: float) -> float:
    """Largest difference to central differences of fourth order, relative to the largest entry."""
    columns = []
    for step in h * np.eye(len(mu)):
        near = np.asarray(outputs(mu + step)) - np.asarray(outputs(mu - step))
        far = np.asarray(outputs(mu + 2 * step)) - np.asarray(outputs(mu - 2 * step))
        columns.append((8 * near - far) / (12 * h))
    reference = np.stack(columns, axis=1)
    return float(np.abs(sensitivity - reference).max() / np.abs(reference).max())


def gradients(cells: int) -> float:
    """The larger gap of the thermal block and of a reaction that Newton's method solves."""
    block = ThermalBlock(ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=9)]), blocks=[3, 3], cells=cells)
    reaction = ReactionDiffusion(ParameterSpace([Parameter("k", Uniform(0.5, 2.0)), Parameter("b", Uniform(0.5, 2.0))]),
                                 diffusion="k", reaction="exp(b * u) - 1", cells=cells)
    gaps = []
    for model, mu in ((block, np.linspace(0.2, 0.8, 9)), (reaction, np.array([1.1, 1.3]))):
        gaps.append(gradient_gap(model.sensitivity(mu), lambda row, fom=model: fom.solve(row).outputs, mu, 1e-3))
    return max(gaps)


def main() -> None:
    """Measure and show."""
    wish = arguments(str(__doc__))
    F = exponentials(300 if wish.quick else 800)
    steps = 40 if wish.quick else 60
    upper, twice = upper_part(F, steps)
    states = front(100 if wish.quick else 200)
    optimal, uniform = optimal_windows(states, 4, 3).error, uniform_windows(states, 4, 3).error
    print(f"{twice} points twice; windows: uniform {uniform:.3f}, optimal {optimal:.3f}")
    show({"eim_upper_part": Figure(upper, 1e-14, False, ""),
          "eim_naive_upper_part": Figure(naive_upper_part(F, steps), 1e-14, True, ""),
          "windows_vs_uniform": Figure(optimal / uniform, 0.6, False, ""),
          "gradient_gap": Figure(gradients(12 if wish.quick else 40), 1e-6, False, "")}, wish.json)


if __name__ == "__main__":
    main()
