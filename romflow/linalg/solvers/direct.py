"""Direct solves through any back end: refined to a checked residual, singular matrices found, sturdier kinds tried."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.core.names import nearest
from romflow.linalg.solvers.cholmod import Cholmod
from romflow.linalg.solvers.lapack import Lapack
from romflow.linalg.solvers.matrix_input import Goal, relative_residuals
from romflow.linalg.solvers.mumps import Mumps
from romflow.linalg.solvers.optional import available
from romflow.linalg.solvers.pardiso import Pardiso
from romflow.linalg.solvers.protocol import DirectBackend, Kind
from romflow.linalg.solvers.superlu import SuperLUBackend

__all__ = ["BACKENDS", "DirectMethod", "default_backend"]

BACKENDS: dict[str, Callable[[Kind], DirectBackend]] = {
    "pardiso": Pardiso, "cholmod": Cholmod, "mumps": Mumps, "superlu": SuperLUBackend, "lapack": Lapack}
_REFINEMENTS = 5
# Beyond this estimate of the condition number no digit of a solution is certain; pivots that a back end replaced by
# 1e-13 of the matrix hide larger ones.
_SINGULAR, _SINGULAR_IF_REPLACED = 1e15, 1e12
_DENSE_ROWS, _DENSE_SHARE = 8000, 0.1


def default_backend(n: int, nnz: int, definite: bool) -> str:
    """The fastest back end that loads: "lapack" for dense matrices, then PARDISO, CHOLMOD (definite), MUMPS, SuperLU.

    Examples
    --------
    >>> default_backend(50, 2500, True)
    'lapack'
    """
    if n <= 100 or (n <= _DENSE_ROWS and nnz > _DENSE_SHARE * n * n):
        return "lapack"
    return available(definite=definite) or "superlu"


class DirectMethod:
    """Factorisation of matrices of one pattern; every solution is refined until its residual keeps the tolerance.

    The kinds "definite", "symmetric", "general" are tried in this order, from the one that `kind` names: a matrix that
    turns out not to be definite is factorised again with pivoting.

    Parameters
    ----------
    backend : str
        "auto" or a name of `BACKENDS`.
    kind : {"definite", "symmetric", "general"}
        The least general kind that the matrix may have.
    goal : Goal
        Largest relative residual of every column.
    seed : int
        Of the random column that estimates the condition number.

    Raises
    ------
    ConfigError
        No back end is called so, or its package is missing.

    Examples
    --------
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> method = DirectMethod("superlu", "definite", Goal(1e-10))
    >>> method.setup(A)
    >>> X, steps, residuals = method.solve(np.ones((2, 1)))
    >>> X[:, 0]
    array([1., 1.])
    """

    method = "direct"

    def __init__(self, backend: str, kind: Kind, goal: Goal, seed: int = 0) -> None:
        if backend != "auto" and backend not in BACKENDS:
            raise ConfigError(f"no solver back end is called '{backend}'" + nearest(backend, ["auto", *BACKENDS]))
        self._asked, self.kind, self._goal, self._seed = backend, kind, goal, seed
        self._backend: DirectBackend | None = None
        self._probed = False

    @property
    def backend(self) -> str:
        """Name of the back end in use."""
        return self._asked if self._backend is None else self._backend.name

    def setup(self, A: sp.csr_array) -> None:
        """Symbolic analysis of the pattern of A, and its numbers.

        Raises
        ------
        SolveFailed
            The matrix is singular.
        """
        self._backend, self._probed = None, False
        self.update(A)

    def update(self, A: sp.csr_array) -> None:
        """The numbers of another matrix of the pattern."""
        self._A = A
        try:
            self._factorise(A)
        except SolveFailed as error:
            self._sturdier(error)

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> tuple[np.ndarray, int, np.ndarray]:
        """X (n, j), steps of refinement, and the relative residuals (j,).

        Raises
        ------
        SolveFailed
            A is singular to working precision, or the residual stays above the tolerance.
        """
        while True:
            X, steps, residuals, reason = self._refined(B, guess)
            if not reason:
                return X, steps, residuals
            self._sturdier(SolveFailed(reason, {"relative_residual": float(residuals.max(initial=0.0))}))

    def _factorise(self, A: sp.csr_array) -> None:
        if self._backend is None:
            name = default_backend(A.shape[0], A.nnz, self.kind == "definite") if self._asked == "auto" else self._asked
            backend = BACKENDS[name](self.kind)
            backend.analyse(A)
            self._backend = backend
        self._backend.factorise(A)

    def _sturdier(self, error: SolveFailed) -> None:
        """The next kind on the same matrix, or the error where there is none."""
        order: list[Kind] = ["definite", "symmetric", "general"]
        for kind in order[order.index(self.kind) + 1:]:
            if self._asked == "cholmod":
                break
            self.kind, self._backend, self._probed = kind, None, False
            try:
                self._factorise(self._A)
            except SolveFailed as later:
                error = later
                continue
            return
        raise error

    def _refined(self, B: np.ndarray, guess: np.ndarray | None) -> tuple[np.ndarray, int, np.ndarray, str]:
        X = np.zeros_like(B) if guess is None else guess
        X = X + self._backend_solve(B if guess is None else B - self._A @ X)
        condition = self._condition(B, X)
        residuals, steps = relative_residuals(self._A, X, B), 0
        limit = _SINGULAR_IF_REPLACED if getattr(self._backend, "perturbed_pivots", 0) else _SINGULAR
        if not np.isfinite(X).all() or not condition < limit:
            return X, 0, residuals, (
                f"the matrix is singular to working precision (estimated condition number {condition:.1e}, back end "
                f"{self.backend}); check the boundary conditions and the coefficients")
        for _ in range(_REFINEMENTS):
            if self._goal.reached(residuals, self._A, X, B).all():
                return X, steps, residuals, ""
            better = X + self._backend_solve(B - self._A @ X)
            new = relative_residuals(self._A, better, B)
            improved = new < residuals
            if not improved.any():
                break
            X, residuals = np.where(improved, better, X), np.where(improved, new, residuals)
            steps += 1
        if self._goal.reached(residuals, self._A, X, B).all():
            return X, steps, residuals, ""
        return X, steps, residuals, (
            f"the relative residual of the direct solve ({self.backend}) stays at {residuals.max():.1e} after {steps} "
            f"refinements, above the tolerance {self._goal.value:g}; estimated condition number {condition:.1e}: scale "
            "the problem or ask for a larger tolerance")

    def _condition(self, B: np.ndarray, X: np.ndarray) -> float:
        """sqrt(n) ||A|| max ||x|| / ||b||: an estimate from below, of a random b too for the first matrix."""
        if not self._probed:
            z = np.random.default_rng(self._seed).standard_normal((self._A.shape[0], 1))
            B, X = np.hstack([B, z]), np.hstack([X, self._backend_solve(z)])
            self._probed = True
        norms = np.linalg.norm(B, axis=0)
        growth = np.linalg.norm(X, axis=0) / np.where(norms > 0.0, norms, np.inf)
        size = float(np.abs(self._A.data).max() * np.diff(self._A.indptr).max())
        return float(np.sqrt(self._A.shape[0]) * size * growth.max(initial=0.0))

    def _backend_solve(self, B: np.ndarray) -> np.ndarray:
        if self._backend is None:
            raise InputError("solve was called before setup; call setup with the matrix first")
        if not np.isfinite(B).all():
            return np.full_like(B, np.nan)
        try:
            with np.errstate(all="ignore"):
                return np.asarray(self._backend.solve(B)).reshape(B.shape)
        except SolveFailed:
            return np.full_like(B, np.nan)
