"""Factors of the steps' matrices by the keys of [solver], where a study has that table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError
from romflow.linalg.solvers.optional import EXTRAS, load
from romflow.linalg.solvers.policy import LinearSolver

__all__ = ["Factor", "PolicyFactor", "mass_options", "step_options"]

_KEPT = ("method", "backend", "preconditioner", "max_iterations", "tolerance", "seed")


class Factor(Protocol):
    """A matrix that is ready to be solved with; SolveFailed where that gives no solution."""

    def solve(self, B: np.ndarray, refine: int = 0) -> np.ndarray:
        """X (n,) of A X = B."""
        ...


class PolicyFactor:
    """Solves with one matrix after the other of one pattern by :class:`romflow.linalg.solvers.policy.LinearSolver`.

    Parameters
    ----------
    options : mapping
        As from `step_options`.
    symmetric : bool
        The matrices are symmetric.

    Examples
    --------
    >>> options = {"method": "direct", "backend": "superlu", "tolerance": 1e-10}
    >>> PolicyFactor(options, True).of(sp.csc_array(2.0 * np.eye(2))).solve(np.ones(2))
    array([0.5, 0.5])
    """

    def __init__(self, options: Mapping[str, Any], symmetric: bool) -> None:
        self._solver = LinearSolver(symmetric=symmetric or None, **options)
        self._system: Any = None

    def of(self, A: sp.csc_array) -> PolicyFactor:
        """Ready for this matrix; the one before is forgotten.

        Raises
        ------
        SolveFailed
            The matrix is singular.
        """
        matrix = A.tocsr()
        self._system = self._solver.setup(matrix) if self._system is None else self._solver.update(matrix)
        return self

    def solve(self, B: np.ndarray, refine: int = 0, guess: np.ndarray | None = None) -> np.ndarray:
        """X (n,) of A X = B, iterations from the guess (n,); the solver refines by itself."""
        return np.asarray(self._system.solve(B, guess))


def mass_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for a mass matrix: where iterations are asked for, conjugate gradients scaled by the diagonal.

    Scaled so, its condition number is that of an element's (Wathen 1987).

    Examples
    --------
    >>> mass_options({"method": "gmres", "backend": "auto", "tolerance": 1e-9})["preconditioner"]
    'jacobi'
    """
    direct = options["method"] == "direct" or options["backend"] != "auto"
    return dict(options) if direct else {**options, "method": "cg", "preconditioner": "jacobi"}


def step_options(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keys of [solver] that the steps of a march look at; None where they are those of the steps themselves.

    Raises
    ------
    ConfigError
        A method for stationary or split models, an unknown name, or a package that is not installed.
    """
    method, backend = options["method"], options["backend"]
    if method in ("sweep", "schwarz", "petsc"):
        raise ConfigError(f"[solver] method = '{method}' is for models without [time]; write method = 'direct' with a "
                          "backend, 'auto' or an iterative one, or leave [solver] out")
    if backend in EXTRAS:
        load(backend)
    if method == "direct" and backend == "superlu":
        return None
    chosen = {key: options[key] for key in _KEPT if key in options}
    LinearSolver(**chosen)
    return chosen
