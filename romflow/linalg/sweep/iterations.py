"""Iterations of a sweep: preconditioned conjugate gradients from a guess, and conjugate directions of any proposer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed

Proposer = Callable[[np.ndarray], np.ndarray]


def conjugate_gradient(A: sp.csr_array, b: np.ndarray, precondition: Proposer, x: np.ndarray, tolerance: float,
                       max_iterations: int) -> tuple[np.ndarray, int]:
    """x with ||b - A x|| <= tolerance ||b|| from the guess x, and the number of iterations.

    The flexible form beta = z^T (r - r_old) / (z_old^T r_old) (Golub and Ye 1999) forgives a preconditioner in single
    precision. Cost an iteration: a product with A, a call of the preconditioner, 8 n flops.

    Parameters
    ----------
    A : sparse (n, n)
        Symmetric positive definite.
    b, x : (n,)
    precondition : callable
        (n,) -> (n,), symmetric positive definite.
    tolerance : float
    max_iterations : int

    Raises
    ------
    SolveFailed
        p^T A p <= 0 (A is indefinite), or the tolerance was not reached in `max_iterations`.

    Examples
    --------
    >>> A = sp.diags_array([1.0, 2.0, 3.0]).tocsr()
    >>> x, iterations = conjugate_gradient(A, np.ones(3), lambda r: r, np.zeros(3), 1e-12, 10)
    >>> x.round(6), iterations
    (array([1.      , 0.5     , 0.333333]), 3)
    """
    x, goal = x.copy(), _Goal(A, b, tolerance)
    if goal.size == 0.0:
        return np.zeros_like(b), 0
    r = b - A @ x
    p, old, rho = np.zeros_like(b), r, math.inf
    for iteration in range(max_iterations + 1):
        if goal.near(r):
            r = goal.true(x)
            if goal.near(r):
                return x, iteration
            rho = math.inf
        if iteration == max_iterations or not goal.within_reach(r):
            break
        z = precondition(r)
        now = float(z @ r)
        p = z + float(z @ (r - old)) / rho * p
        q = A @ p
        curvature = float(p @ q)
        if not (curvature > 0.0 and now > 0.0):
            raise SolveFailed("the matrix or its preconditioner is not positive definite (p^T A p = "
                              f"{curvature:.3g} at iteration {iteration}); use strategy = \"direct\"")
        step = float(p @ r) / curvature
        old, rho = r, now
        x += step * p
        r = r - step * q
    raise SolveFailed(f"conjugate gradients reached a relative residual of {goal.reached(r):.2e} in {iteration} "
                      f"iterations, above {tolerance:g}; use strategy = \"direct\", or more iterations")


def conjugate_directions(A: sp.csr_array, b: np.ndarray, propose: Proposer, x: np.ndarray, tolerance: float,
                         max_iterations: int, memory: int = 2) -> tuple[np.ndarray, int]:
    """x with ||b - A x|| <= tolerance ||b|| by exact line searches along proposed, A-orthogonalised directions.

    Each direction d is proposed from the residual, made A-orthogonal to the last `memory` ones, and followed to the
    minimum of the energy: x <- x + (r^T d / d^T A d) d. The proposer may be anything, also nonlinear or changing: the
    deep conjugate direction method (Kaneda et al. 2023, Algorithm 1) with a network's place taken by whatever the sweep
    has learnt, such as its reduced basis. The energy norm of the error falls in every step; unlike conjugate gradients
    nothing is asked of the proposer.

    Parameters
    ----------
    A, b, x, tolerance, max_iterations
        As for :func:`conjugate_gradient`.
    propose : callable
        residual (n,) -> direction (n,).
    memory : int
        Directions that a new one is made A-orthogonal to.

    Raises
    ------
    SolveFailed
        d^T A d <= 0, or the tolerance was not reached.

    Examples
    --------
    >>> A = sp.diags_array([1.0, 2.0, 3.0]).tocsr()
    >>> x, iterations = conjugate_directions(A, np.ones(3), lambda r: r, np.zeros(3), 1e-12, 10)
    >>> x.round(6), iterations
    (array([1.      , 0.5     , 0.333333]), 3)
    """
    x, goal = x.copy(), _Goal(A, b, tolerance)
    if goal.size == 0.0:
        return np.zeros_like(b), 0
    r = b - A @ x
    past: list[tuple[np.ndarray, np.ndarray, float]] = []
    for iteration in range(max_iterations + 1):
        if goal.near(r):
            r = goal.true(x)
            if goal.near(r):
                return x, iteration
        if iteration == max_iterations or not goal.within_reach(r):
            break
        d = propose(r)
        for earlier, image, energy in past:
            d = d - (float(d @ image) / energy) * earlier
        image = A @ d
        energy = float(d @ image)
        if not energy > 0.0:
            raise SolveFailed(f"the matrix is not positive definite (d^T A d = {energy:.3g} at step {iteration}), or "
                              "the proposed direction is zero; use strategy = \"direct\"")
        step = float(r @ d) / energy
        x += step * d
        r = r - step * image
        past = [*past, (d, image, energy)][-memory:] if memory else []
    raise SolveFailed(f"conjugate directions reached a relative residual of {goal.reached(r):.2e} in {iteration} "
                      f"steps, above {tolerance:g}; use strategy = \"direct\", or more iterations")


class _Goal:
    """||b - A x|| <= tolerance ||b||, of the residual itself: the recursive one drifts from it by rounding."""

    def __init__(self, A: sp.csr_array, b: np.ndarray, tolerance: float) -> None:
        self._A, self._b = A, b
        self._norm = float(np.linalg.norm(b))
        self.size = tolerance * self._norm
        self._before, self._stalled = math.inf, False

    def near(self, r: np.ndarray) -> bool:
        return float(np.linalg.norm(r)) <= self.size

    def true(self, x: np.ndarray) -> np.ndarray:
        r = self._b - self._A @ x
        self._stalled = float(np.linalg.norm(r)) > 0.5 * self._before
        self._before = float(np.linalg.norm(r))
        return r

    def within_reach(self, r: np.ndarray) -> bool:
        """False where r is not finite, or a restart from the true residual has not even halved it."""
        return bool(np.isfinite(r).all()) and not self._stalled

    def reached(self, r: np.ndarray) -> float:
        return float(np.linalg.norm(r)) / self._norm


def two_level(smooth: Proposer, coarse: Proposer, A: sp.csr_array) -> Proposer:
    """The symmetric multiplicative combination of a smoother M and a coarse correction C = V (V^T A V)^{-1} V^T:

        z = C r + (I - C A) M (I - A C) r     (deflation with augmentation, "A-DEF" of Tang et al. 2009)

    Deflates the span of V; symmetric positive definite where M is.
    """
    def correct(r: np.ndarray) -> np.ndarray:
        start = coarse(r)
        z = smooth(r - A @ start)
        return start + z - coarse(A @ z)

    return correct
