"""Tall systems behind the face of a linear solver: sketch-and-precondition least squares."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.sketching.sketched_least_squares import sketched_lstsq
from romflow.linalg.solvers.matrix_input import checked_columns
from romflow.linalg.solvers.protocol import SolveReport

__all__ = ["TallSystem", "is_tall"]


def is_tall(A: Any) -> bool:
    """More rows than columns.

    Examples
    --------
    >>> is_tall(np.ones((3, 2))), is_tall(np.eye(2))
    (True, False)
    """
    shape = np.shape(A) if not hasattr(A, "shape") else A.shape
    return len(shape) == 2 and shape[0] > shape[1]


class TallSystem:
    """min ||b - A x|| for each right-hand side, at the accuracy of a QR factorisation.

    Attributes
    ----------
    report : SolveReport or None
        Of the last solve; `relative_residual` is the largest ||b - A x|| / ||b||, which need not be small.

    Examples
    --------
    >>> system = TallSystem(np.array([[1.0], [1.0], [1.0]]), 0)
    >>> system.solve(np.array([1.0, 2.0, 3.0])).round(12)
    array([2.])
    """

    def __init__(self, A: Any, seed: int) -> None:
        if not is_tall(A):
            raise ShapeError(f"least squares need more rows than columns; this matrix has shape {np.shape(A)}: for a "
                             "square matrix take another method")
        self._A, self._seed = A, seed
        self.report: SolveReport | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of A."""
        rows, columns = self._A.shape
        return int(rows), int(columns)

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """X (k,) or (k, j) for B (n,) or (n, j).

        Raises
        ------
        ShapeError, InputError
            B does not fit or is not finite; A is not finite; a guess, which this method has no use for.
        SolveFailed
            A is rank deficient; the message names dependent columns.
        """
        if guess is not None:
            raise InputError("method 'least-squares' takes no initial guess; leave it out")
        started = time.process_time()
        B = checked_columns(B, self._A.shape[0])
        X, facts = sketched_lstsq(self._A, B, seed=self._seed)
        norms = np.linalg.norm(B.reshape(B.shape[0], -1), axis=0)
        relative = facts.residual_norm / np.where(norms > 0.0, norms, 1.0)
        self.report = SolveReport("least-squares", facts.kind, len(facts.corrections), float(relative.max(initial=0.0)),
                                  time.process_time() - started, 0.0, facts.why)
        return X
