"""The thermal block in pyMOR 2026.1: discretisation, greedy, and online evaluation, each timed in processor seconds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pymor.algorithms.greedy import rb_greedy
from pymor.basic import (
    CoerciveRBReductor,
    ConstantFunction,
    ExpressionParameterFunctional,
    discretize_stationary_cg,
    set_log_levels,
    thermal_block_problem,
)
from pymor.discretizers.builtin.grids.boundaryinfos import AllDirichletBoundaryInfo
from pymor.discretizers.builtin.grids.rect import RectGrid

set_log_levels({"pymor": "ERROR"})


class Peer:
    """-div(d(mu) grad u) = 1, u = 0 on the boundary, Q1 on cells x cells squares, output int u dx.

    Parameters
    ----------
    blocks, cells, size : int
        Blocks and cells a direction; greedy basis size.
    """

    def __init__(self, blocks: int, cells: int, size: int, training: int) -> None:
        problem = thermal_block_problem((blocks, blocks), (0.1, 1.0)).with_(
            outputs=[("l2", ConstantFunction(1.0, 2))])
        grid = RectGrid(num_intervals=(cells, cells))
        self.fom, _ = discretize_stationary_cg(problem, grid=grid, boundary_info=AllDirichletBoundaryInfo(grid))
        self.columns = blocks**2
        coercivity = ExpressionParameterFunctional("min(diffusion)", self.fom.parameters)
        self.reductor = CoerciveRBReductor(self.fom, product=self.fom.h1_0_semi_product,
                                           coercivity_estimator=coercivity, check_orthonormality=False)
        started = time.process_time()
        found = rb_greedy(self.fom, self.reductor, self.parse(sample(42, training, self.columns)),
                          max_extensions=size, atol=0.0)
        self.greedy_seconds = time.process_time() - started
        self.rom = found["rom"]

    def parse(self, mu: np.ndarray) -> list[Any]:
        """pyMOR's parameter objects."""
        return [self.fom.parameters.parse(list(row)) for row in mu]

    def evaluate(self, mu: np.ndarray) -> tuple[float, np.ndarray]:
        """Processor seconds and outputs (b,) of the outputs with error bounds at mu (b, p), one by one."""
        parsed = self.parse(mu)
        started = time.process_time()
        answers = [self.rom.compute(output=True, solution=True, solution_error_estimate=True, mu=row)
                   for row in parsed]
        seconds = time.process_time() - started
        return seconds, np.array([answer["output"].item() for answer in answers])

    def errors(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Relative H1_0 errors and effectivities (k,) at mu (k, p)."""
        error, norm, bound = np.empty(len(mu)), np.empty(len(mu)), np.empty(len(mu))
        for i, row in enumerate(self.parse(mu)):
            truth = self.fom.solve(row)
            answer = self.rom.compute(solution=True, solution_error_estimate=True, mu=row)
            gap = truth - self.reductor.reconstruct(answer["solution"])
            error[i] = gap.norm(self.fom.h1_0_semi_product)[0]
            norm[i] = truth.norm(self.fom.h1_0_semi_product)[0]
            bound[i] = float(np.ravel(answer["solution_error_estimate"])[0])
        return error / norm, bound / error


def sample(seed: int, count: int, columns: int) -> np.ndarray:
    """Uniform parameters (count, columns) in [0.1, 1]."""
    return np.random.default_rng(seed).uniform(0.1, 1.0, (count, columns))
