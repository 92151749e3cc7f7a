"""Krylov methods as solvers of matrices of one pattern: preconditioner, recurrence and remedies by method."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest
from romflow.linalg.solvers.krylov import (
    KrylovAnswer,
    conjugate_gradients,
    general_minimal_residual,
    minimal_residual,
)
from romflow.linalg.solvers.matrix_input import Goal
from romflow.linalg.solvers.nystrom import Nystrom
from romflow.linalg.solvers.preconditioners import Preconditioner
from romflow.linalg.solvers.sketched_gmres import sketched_gmres

__all__ = ["METHODS", "IterativeMethod"]

METHODS = ("cg", "minres", "gmres", "sketched-gmres", "nystrom-cg")


class IterativeMethod:
    """A Krylov method and its preconditioner; the preconditioner follows `update`.

    Parameters
    ----------
    method : {"cg", "minres", "gmres", "sketched-gmres", "nystrom-cg"}
    preconditioner : str
        A name of `romflow.linalg.solvers.preconditioners.PRECONDITIONERS` but "auto"; "nystrom-cg" brings its own.
    goal : Goal
    max_iterations : int
    near_nullspace : (n, j), optional
    seed : int

    Raises
    ------
    ConfigError
        No method is called so.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> method = IterativeMethod("cg", "jacobi", Goal(1e-10), 100)
    >>> method.setup(sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]])))
    >>> X, iterations, residuals = method.solve(np.ones((2, 1)))
    >>> X[:, 0], iterations
    (array([1., 1.]), 1)
    """

    def __init__(self, method: str, preconditioner: str, goal: Goal, max_iterations: int, *,
                 near_nullspace: np.ndarray | None = None, seed: int = 0) -> None:
        if method not in METHODS:
            raise ConfigError(f"no iterative method is called '{method}'" + nearest(method, METHODS))
        self.method, self.goal, self.max_iterations, self.seed = method, goal, max_iterations, seed
        self._nystrom: Nystrom | None = None
        self._preconditioner = Preconditioner(
            preconditioner if method != "nystrom-cg" else "none", symmetric=method in ("cg", "minres", "nystrom-cg"),
            surrogate=method == "minres", near_nullspace=near_nullspace, seed=seed)

    @property
    def backend(self) -> str:
        """Name of the preconditioner, and its rank for Nystrom's."""
        if self.method == "nystrom-cg":
            return "nystrom" if self._nystrom is None else f"nystrom, rank {self._nystrom.rank}"
        return self._preconditioner.kind

    def setup(self, A: Any) -> None:
        """Preconditioner for A, anew."""
        self._A = A
        self._preconditioner.setup(A)
        self._sketch()

    def update(self, A: Any) -> None:
        """Preconditioner for another matrix of the pattern; multigrid keeps its prolongations while that pays."""
        self._A = A
        self._preconditioner.update(A)
        self._sketch()

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> tuple[np.ndarray, int, np.ndarray]:
        """X (n, j), iterations of the slowest column, and the relative residuals (j,).

        Raises
        ------
        SolveFailed
            Not converged; the message names the remedy.
        """
        answer = self._run(B, guess)
        most = int(answer.iterations.max(initial=0))
        if guess is None:
            self._preconditioner.judge(most, B.shape[1])
        return answer.X, most, answer.residuals

    def _sketch(self) -> None:
        if self.method == "nystrom-cg":
            self._nystrom = Nystrom(seed=self.seed).setup(self._A)

    def _run(self, B: np.ndarray, guess: np.ndarray | None) -> KrylovAnswer:
        apply = self._preconditioner.apply if self._nystrom is None else self._nystrom.apply
        common: tuple[Any, ...] = (self._A, B, apply, self.goal, self.max_iterations, guess)
        if self.method in ("cg", "nystrom-cg"):
            return conjugate_gradients(*common)
        if self.method == "minres":
            return minimal_residual(*common)
        if self.method == "gmres":
            return general_minimal_residual(*common)
        return sketched_gmres(*common, seed=self.seed)
