"""A system that is ready to be solved: checked right-hand sides in, checked solutions and a report out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from romflow.core.errors import ShapeError
from romflow.linalg.solvers.matrix_input import checked_columns
from romflow.linalg.solvers.protocol import SolveReport

__all__ = ["System"]


class System:
    """One system A X = B of a `LinearSolver`, until the solver is set up or updated again.

    Attributes
    ----------
    report : SolveReport or None
        Of the last solve.
    """

    def __init__(self, solver: Any, A: Any, generation: int, setup_seconds: float) -> None:
        self._solver, self._A, self._setup_seconds = solver, A, setup_seconds
        self._generation = generation
        self.report: SolveReport | None = None

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """X with ||b - A x|| <= tolerance ||b|| for every column b of B; zero columns have the solution zero.

        Parameters
        ----------
        B : (n,) or (n, j)
        guess : like B, optional
            Where iterations start; a good one saves iterations.

        Returns
        -------
        Array of the shape of B.

        Raises
        ------
        ShapeError, InputError
            B or guess does not fit, is complex or not finite; or the solver has another matrix by now.
        SolveFailed
            Singular, indefinite, or not converged: the message names a remedy, `report` has the figures.
        """
        started = time.process_time()
        n = self._A.shape[0]
        B = checked_columns(B, n)
        columns = B.reshape(n, -1)
        start = self._start(guess, B.shape, n)
        work = np.flatnonzero(np.any(columns != 0.0, axis=0))
        X = np.zeros(columns.shape)
        iterations, residual = 0, 0.0
        if work.size:
            part = None if start is None else start[:, work]
            X[:, work], iterations, residuals = self._solver.answer(self._A, columns[:, work], part,
                                                                                self._generation)
            residual = float(residuals.max())
        engine = self._solver.engine
        self.report = SolveReport(engine.method, engine.backend, iterations, residual, time.process_time() - started,
                                  self._setup_seconds, self._solver.why)
        return X.reshape(B.shape)

    def _start(self, guess: np.ndarray | None, shape: tuple[int, ...], n: int) -> np.ndarray | None:
        if guess is None:
            return None
        guess = checked_columns(guess, n, "the initial guess")
        if guess.shape != shape:
            raise ShapeError(f"the initial guess has shape {guess.shape}; the rule is the shape of the right-hand "
                             f"side, {shape}")
        return guess.reshape(n, -1)
