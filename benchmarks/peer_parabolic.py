"""The heat equation on the 2x2 thermal block in pyMOR 2026.1: POD-greedy with its error estimator, and online, timed.

M u_t + A(mu) u = f, u(0) = 0, implicit Euler to T = 1, Q1 on cells x cells squares, f = 1, conductivities in [0.1, 1].
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pymor.basic import (
    ConstantFunction,
    ExpressionParameterFunctional,
    InstationaryProblem,
    RectGrid,
    discretize_instationary_cg,
    rb_greedy,
    set_log_levels,
    thermal_block_problem,
)
from pymor.discretizers.builtin.grids.boundaryinfos import AllDirichletBoundaryInfo
from pymor.reductors.parabolic import ParabolicRBReductor

set_log_levels({"pymor": "ERROR"})


class ParabolicPeer:
    """The reduced model of `size` vectors from a greedy over `training` parameters of seed 42."""

    def __init__(self, cells: int, steps: int, size: int, training: int) -> None:
        block = thermal_block_problem((2, 2), (0.1, 1.0)).with_(outputs=[("l2", ConstantFunction(1.0, 2))])
        problem = InstationaryProblem(block, initial_data=ConstantFunction(0.0, 2), T=1.0)
        grid = RectGrid(num_intervals=(cells, cells))
        self.fom, _ = discretize_instationary_cg(problem, grid=grid, boundary_info=AllDirichletBoundaryInfo(grid),
                                                 nt=steps)
        coercivity = ExpressionParameterFunctional("min(diffusion)", self.fom.parameters)
        self.reductor = ParabolicRBReductor(self.fom, product=self.fom.h1_0_semi_product,
                                            coercivity_estimator=coercivity, check_orthonormality=False)
        started = time.process_time()
        found = rb_greedy(self.fom, self.reductor, self.parse(sample(42, training)), max_extensions=size,
                          extension_params={"method": "pod"})
        self.greedy_seconds = time.process_time() - started
        self.rom = found["rom"]

    def parse(self, mu: np.ndarray) -> list[Any]:
        """pyMOR's parameter objects."""
        return [self.fom.parameters.parse(list(row)) for row in mu]

    def evaluate(self, mu: np.ndarray) -> float:
        """Median processor seconds of a reduced solve with its error estimate, one by one."""
        seconds = []
        for row in self.parse(mu):
            started = time.process_time()
            self.rom.compute(solution=True, solution_error_estimate=True, mu=row)
            seconds.append(time.process_time() - started)
        return float(np.median(seconds))

    def error(self, mu: np.ndarray) -> float:
        """Largest relative error over time in the H1_0 semi-norm at mu (b, 4)."""
        product, worst = self.fom.h1_0_semi_product, 0.0
        for row in self.parse(mu):
            U = self.fom.solve(row)
            gap = U - self.reductor.reconstruct(self.rom.solve(row))
            worst = max(worst, gap.norm(product).max() / U.norm(product).max())
        return float(worst)


def sample(seed: int, size: int) -> np.ndarray:
    """Conductivities (size, 4)."""
    return np.random.default_rng(seed).uniform(0.1, 1.0, (size, 4))
