"""Burgers in pyMOR 2026.1: empirical interpolation of the operator, POD-greedy by true errors, online, each timed.

u_t + div(v |u|^p) = 0 on the torus [0, 2] x [0, 1], v = (1, 1), T = 0.3, u(0) = (sin 2 pi x sin 2 pi y + 1) / 2, p in
[1, 2]; finite volumes on 2 c x c squares, Engquist-Osher flux, explicit Euler.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pymor.algorithms.ei import interpolate_operators
from pymor.basic import (
    InstationaryRBReductor,
    RectGrid,
    burgers_problem_2d,
    discretize_instationary_fv,
    rb_greedy,
    set_log_levels,
)

set_log_levels({"pymor": "ERROR"})


class BurgersPeer:
    """Offline and online stages with `points` interpolation points and `size` basis vectors.

    Parameters
    ----------
    cells, steps : int
        Cells across the shorter side; time steps.
    points, size : int
    algorithm : {"ei_greedy", "deim"}
    """

    def __init__(self, cells: int, steps: int, points: int, size: int, algorithm: str) -> None:
        problem = burgers_problem_2d(vx=1.0, vy=1.0, initial_data_type="sin", parameter_range=(1.0, 2.0), torus=True)
        self.fom, _ = discretize_instationary_fv(problem, diameter=np.sqrt(2) / cells, grid_type=RectGrid,
                                                 num_flux="engquist_osher", nt=steps)
        space = problem.parameter_space
        self.fom.enable_caching("memory")
        (interpolated, _), self.interpolation_seconds = _timed(lambda: interpolate_operators(
            self.fom, ["operator"], space.sample_uniformly(10), error_norm=self.fom.l2_norm,
            product=self.fom.l2_product, max_interpolation_dofs=points, alg=algorithm))
        self.reductor = InstationaryRBReductor(interpolated)
        found, self.greedy_seconds = _timed(lambda: rb_greedy(
            self.fom, self.reductor, space.sample_uniformly(5), use_error_estimator=False,
            error_norm=lambda U: np.max(self.fom.l2_norm(U)), extension_params={"method": "pod"},
            max_extensions=size))
        self.fom.disable_caching()
        self.rom = found["rom"]

    def evaluate(self, p: np.ndarray) -> tuple[float, float, float]:
        """Median seconds of a full-order and of a reduced solve, and the largest relative L2 error over time."""
        full, reduced, errors = [], [], []
        for value in p:
            mu = self.fom.parameters.parse([float(value)])
            U, seconds = _timed(lambda mu=mu: self.fom.solve(mu))
            full.append(seconds)
            runs = [_timed(lambda mu=mu: self.rom.solve(mu)) for _ in range(3)]
            reduced.append(min(seconds for _, seconds in runs))
            gap = np.max(self.fom.l2_norm(U - self.reductor.reconstruct(runs[0][0])))
            errors.append(gap / np.max(self.fom.l2_norm(U)))
        return float(np.median(full)), float(np.median(reduced)), float(max(errors))


def _timed(action: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    answer = action()
    return answer, time.process_time() - started
