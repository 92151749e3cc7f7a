"""One face for every linear solver: set up for a pattern, update the numbers, solve to a checked residual."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed
from romflow.core.names import nearest
from romflow.linalg.solvers.direct import BACKENDS, DirectMethod
from romflow.linalg.solvers.facts import MatrixFacts
from romflow.linalg.solvers.iterative import METHODS, IterativeMethod
from romflow.linalg.solvers.least_squares import TallSystem, is_tall
from romflow.linalg.solvers.matrix_input import Goal, Pattern
from romflow.linalg.solvers.preconditioners import PRECONDITIONERS
from romflow.linalg.solvers.protocol import Kind
from romflow.linalg.solvers.rules import Choice, choose
from romflow.linalg.solvers.system import System

__all__ = ["LinearSolver"]

_ALL = ("auto", "direct", "least-squares", *METHODS)
_SYMMETRIC_ONLY = ("cg", "minres", "nystrom-cg")
Engine = DirectMethod | IterativeMethod


class LinearSolver:
    """Solves A X = B to a checked residual by the method that suits A, or fails with a message that names a remedy.

    Parameters
    ----------
    method : {"auto", "direct", "cg", "minres", "gmres", "sketched-gmres", "nystrom-cg", "least-squares"}
        "least-squares" is for matrices with more rows than columns, and what "auto" takes for them; else "auto"
        follows `romflow.linalg.solvers.rules.choose` and falls back to "direct" where an iteration fails.
    symmetric, definite : bool, optional
        What is known of A; found out where not given. A matrix said to be symmetric that is not is refused.
    tolerance : float, optional
        Largest ||b - A x|| / ||b|| of every column. None: 1e-10, or the rounding of A x where that is larger (see
        `romflow.linalg.solvers.matrix_input.Goal`).
    max_iterations : int
        Of each right-hand side.
    backend : {"auto", "pardiso", "cholmod", "mumps", "superlu", "lapack"}
        Of direct solves; naming one together with method "auto" means "direct".
    preconditioner : {"auto", "none", "jacobi", "ilu", "smoothed-aggregation", "ruge-stuben", "adaptive"}
    near_nullspace : (n, j), optional
        For smoothed aggregation, such as the rigid-body modes of elasticity.
    right_hand_sides : int
        How many are expected with one matrix; a hint for "auto".
    seed : int

    Raises
    ------
    ConfigError
        Unknown names.
    InputError
        Numbers out of range.

    Notes
    -----
    `update` replaces the numbers in place: the `System` of an earlier matrix is stale then and says so. One thread at a
    time may use a solver.

    Examples
    --------
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> solver = LinearSolver()
    >>> solver.setup(A).solve(np.array([1.0, 1.0]))
    array([1., 1.])
    >>> solver.update(2.0 * A).solve(np.array([1.0, 1.0]))
    array([0.5, 0.5])
    """

    def __init__(self, method: str = "auto", *, symmetric: bool | None = None, definite: bool | None = None,
                 tolerance: float | None = None, max_iterations: int = 1000, backend: str = "auto",
                 preconditioner: str = "auto", near_nullspace: np.ndarray | None = None, right_hand_sides: int = 1,
                 seed: int = 0) -> None:
        for word, what, known in ((method, "linear solver", _ALL), (backend, "solver back end", ("auto", *BACKENDS)),
                                  (preconditioner, "preconditioner", PRECONDITIONERS)):
            if word not in known:
                raise ConfigError(f"no {what} is called {word!r}" + nearest(str(word), known))
        for name, number in (("max_iterations", max_iterations), ("right_hand_sides", right_hand_sides),
                             ("seed", seed)):
            if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
                raise InputError(f"{name} = {number!r} is not a whole number from {int(name != 'seed')}; give one")
        for name, number in (("max_iterations", max_iterations), ("right_hand_sides", right_hand_sides)):
            if number < 1:
                raise InputError(f"{name} is {number}; the rule is at least 1")
        self.method, self.backend, self.preconditioner = method, backend, preconditioner
        self.symmetric, self.definite, self.max_iterations, self.seed = symmetric, definite, max_iterations, seed
        self.near_nullspace, self.right_hand_sides, self.goal = near_nullspace, right_hand_sides, Goal(tolerance)
        self._pattern: Pattern | None = None
        self._engine: Engine | None = None
        self._generation = 0
        self._why = ""
        self._fallback = False
        self._tall: TallSystem | None = None

    @property
    def why(self) -> str:
        """Why this method, with the facts of the matrix and of what failed before; empty before `setup`."""
        return self._why

    def setup(self, A: Any) -> System | TallSystem:
        """Choose a method for A (n, n), and do everything that depends on its pattern and its numbers.

        Parameters
        ----------
        A : sparse or dense (n, n); or a LinearOperator for an iterative method without a matrix

        Raises
        ------
        ShapeError, InputError
            A is not square, not real, not finite, or not symmetric where the method or the caller says so.
        SolveFailed
            A is singular (an empty row or column, a zero pivot), or indefinite with "cg" or "nystrom-cg".
        """
        started = time.process_time()
        self._generation += 1
        self._fallback = False
        self._tall = None
        if self.method == "least-squares" or (self.method == "auto" and is_tall(A)):
            self._tall = TallSystem(A, self.seed)
            self._why = f"least squares on a sketch, because the matrix of shape {self._tall.shape} is tall"
            return self._tall
        if isinstance(A, LinearOperator):
            self._pattern, matrix = None, self._operator(A)
        else:
            self._pattern = Pattern(A)
            matrix = self._pattern.read(A)
            self._decide(matrix)
        self._guarded(matrix, fresh=True)
        return System(self, matrix, self._generation, time.process_time() - started)

    def update(self, A: Any) -> System | TallSystem:
        """The numbers of another matrix of the pattern given to `setup`: no new analysis, no new aggregates.

        Raises
        ------
        InputError
            No `setup` before, or A has another pattern.
        SolveFailed
            As `setup`.
        """
        started = time.process_time()
        if self._tall is not None:
            if np.shape(A) != self._tall.shape:
                raise InputError(f"update got a matrix of shape {np.shape(A)} after setup with {self._tall.shape}; "
                                 "call setup for another shape")
            self._tall = TallSystem(A, self.seed)
            return self._tall
        if self._pattern is None or self._engine is None:
            raise InputError("update was called before setup with a matrix; call setup first")
        matrix = self._pattern.read(A)
        self._generation += 1
        self._still(matrix)
        self._guarded(matrix, fresh=False)
        return System(self, matrix, self._generation, time.process_time() - started)

    # -- choice -------------------------------------------------------------------------------------------------------

    def _decide(self, A: sp.csr_array) -> None:
        facts = MatrixFacts.of(self._require(), A, None if self.symmetric else self.symmetric, self.definite)
        self.facts = facts
        if self.symmetric and not facts.symmetric:
            raise InputError(f"the matrix was said to be symmetric and is not (|A - A^T| is {self._skew(A):.1e} of its "
                             "largest entry); leave `symmetric` out or symmetrise the matrix")
        self._choice = self._chosen(facts)
        if self._choice.method in _SYMMETRIC_ONLY and not facts.symmetric:
            raise InputError(f"method '{self._choice.method}' was given a matrix that is not symmetric (|A - A^T| is "
                             f"{self._skew(A):.1e} of its largest entry): use method = 'gmres' or 'direct'")
        self._definite_enough(A)
        self._why = self._choice.reason
        self._engine = self._make(self._choice)

    def _chosen(self, facts: MatrixFacts) -> Choice:
        automatic = choose(facts, near_nullspace=self.near_nullspace is not None, backend=self.backend,
                           right_hand_sides=self.right_hand_sides, max_iterations=self.max_iterations)
        method = self.method
        if method == "auto" and self.backend != "auto":
            method = "direct"
        if method == "auto" and self.preconditioner != "auto":
            method = "gmres" if not facts.symmetric else "minres" if facts.definite is False else "cg"
        if method == "auto":
            return automatic
        kind = self.preconditioner if self.preconditioner != "auto" else (
            "ruge-stuben" if facts.lattice and self.near_nullspace is None else "smoothed-aggregation")
        if method == "minres" and self.preconditioner == "auto" and facts.definite is False and not facts.lattice:
            # A multigrid cycle of a matrix with negative pivots is not positive definite, and MINRES needs that.
            kind = "none"
        asked = f"'{method}' was asked for; {facts.text()}"
        return Choice(method, automatic.backend, kind, self.max_iterations, asked)

    def _make(self, choice: Choice) -> Engine:
        if choice.method == "direct":
            kind: Kind = "general" if not self.facts.symmetric else (
                "symmetric" if self.facts.definite is False else "definite")
            backend = self.backend if self.backend != "auto" else "auto"
            return DirectMethod(backend, kind, self.goal, self.seed)
        return IterativeMethod(choice.method, choice.preconditioner, self.goal, choice.iterations,
                               near_nullspace=self.near_nullspace, seed=self.seed)

    def _operator(self, A: LinearOperator) -> LinearOperator:
        if A.shape[0] != A.shape[1] or A.shape[0] == 0:
            raise ShapeError(f"a linear system needs a square operator; this one has shape {A.shape}")
        if self.method not in METHODS or self.preconditioner not in ("auto", "none"):
            raise InputError(f"method '{self.method}' with preconditioner '{self.preconditioner}' needs the entries of "
                             "the matrix and was given an operator; use 'nystrom-cg', or an iterative method with "
                             "preconditioner = 'none'")
        if self.method in _SYMMETRIC_ONLY:
            u, v = np.random.default_rng(self.seed).standard_normal((2, A.shape[0]))
            left, right = float(u @ (A @ v)), float(v @ (A @ u))
            if abs(left - right) > 1e-8 * float(np.linalg.norm(u) * np.linalg.norm(A @ v)):
                raise InputError(f"method '{self.method}' was given an operator that is not symmetric (u^T A v = "
                                 f"{left:.6g}, v^T A u = {right:.6g}): use method = 'gmres'")
        self._choice = Choice(self.method, "", "none", self.max_iterations,
                              f"'{self.method}' was asked for; an operator with n = {A.shape[0]}")
        self._why = self._choice.reason
        self._engine = IterativeMethod(self.method, "none", self.goal, self.max_iterations, seed=self.seed)
        return A

    def _still(self, A: sp.csr_array) -> None:
        """What the choice rests on must hold for the new numbers."""
        if self.facts.symmetric and not self._require().is_symmetric(A):
            if self.method != "auto" and self._choice.method in _SYMMETRIC_ONLY or self.symmetric:
                raise InputError(f"update got a matrix that is not symmetric (|A - A^T| is {self._skew(A):.1e} of its "
                                 "largest entry) after setup with a symmetric one: use method = 'gmres' or 'direct'")
            self._decide(A)
        else:
            self._definite_enough(A)

    def _definite_enough(self, A: sp.csr_array) -> None:
        if self._choice.method not in ("cg", "nystrom-cg"):
            return
        diagonal = A.diagonal()
        row = int(np.argmin(diagonal))
        if diagonal[row] <= 0.0 and (self.method != "auto" or self.preconditioner != "auto"):
            raise SolveFailed(f"the matrix is indefinite or singular (a_ii = {diagonal[row]:.3g} in row {row}): use "
                              "method = 'minres' or 'direct'", {"diagonal": float(diagonal[row])})

    # -- work ---------------------------------------------------------------------------------------------------------

    def _guarded(self, A: Any, *, fresh: bool) -> None:
        """Set up or update the engine; "auto" goes over to a direct solver where that fails."""
        engine = self.engine
        try:
            engine.setup(A) if fresh else engine.update(A)
        except SolveFailed as error:
            self._go_direct(A, error)

    def _go_direct(self, A: Any, error: SolveFailed) -> None:
        if not self._may_fall_back():
            raise error
        failed = self.engine
        self._why = (f"{self._choice.reason}; then {failed.method} ({failed.backend}) failed: {error}; the answer is "
                     "from a direct solver")
        self._fallback = True
        self._choice = Choice("direct", "auto", "none", 0, self._choice.reason)
        self._engine = self._make(self._choice)
        self._engine.setup(A)

    def _may_fall_back(self) -> bool:
        return (self.method == "auto" and self.preconditioner == "auto" and self._pattern is not None
                and isinstance(self._engine, IterativeMethod))

    def answer(self, A: Any, B: np.ndarray, guess: np.ndarray | None,
               generation: int) -> tuple[np.ndarray, int, np.ndarray]:
        """X, iterations and residuals from the engine in use; `System.solve` is the public way here."""
        if generation != self._generation:
            raise InputError("this system is stale: its solver was set up or updated for another matrix since; keep "
                             "what the last update returned, or use one LinearSolver for each matrix")
        try:
            return self.engine.solve(B, guess)
        except SolveFailed as error:
            self._go_direct(A, error)
            return self.engine.solve(B, guess)

    @property
    def engine(self) -> Engine:
        """The method in use, with its names `method` and `backend`."""
        if self._engine is None:
            raise InputError("the solver was used before setup; call setup with the matrix first")
        return self._engine

    def _require(self) -> Pattern:
        if self._pattern is None:
            raise InputError("the solver was used before setup; call setup with the matrix first")
        return self._pattern

    def _skew(self, A: sp.csr_array) -> float:
        return self._require().skew(A)
