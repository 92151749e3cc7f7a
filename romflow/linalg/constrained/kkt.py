"""Linear systems [H G^T; G 0] of equality-constrained problems: a Schur block preconditioner, and three solvers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, minres, splu

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.core.names import nearest

__all__ = ["INNER_SOLVERS", "InnerSolution", "KktSystem", "SchurPreconditioner", "inner_solver"]

_SINGULAR = 1e-13
# Steps of the sketched solver that stay in the next sketches; they cost memory, not applications.
_MEMORY = 5


class SchurPreconditioner:
    """P = diag(W, S), S = G W^{-1} G^T: with W = H the matrix P^{-1} K has the eigenvalues 1 and (1 +- 5^.5)/2 only.

    Murphy, Golub and Wathen 2000. Cost: one sparse factorisation of S (m, m), and one solve with it an application.

    Parameters
    ----------
    weights : (n,)
        Diagonal W > 0 that stands for the Hessian H.
    jacobian : sparse (m, n)
        G, of full row rank.

    Raises
    ------
    SolveFailed
        G is rank-deficient.

    Examples
    --------
    >>> P = SchurPreconditioner(np.array([2.0, 4.0]), sp.csr_array(np.array([[2.0, 0.0]])))
    >>> P.solve(np.array([2.0, 4.0, 6.0]))
    array([1., 1., 3.])
    """

    def __init__(self, weights: np.ndarray, jacobian: sp.sparray) -> None:
        self.weights, self.jacobian = weights, sp.csr_array(jacobian)
        self.n, self.m = weights.size, jacobian.shape[0]
        S = sp.csc_array(self.jacobian @ (self.jacobian / weights).T)
        diagonal = S.diagonal()
        if diagonal.min(initial=1.0) <= 0.0:
            raise _deficient(f"row {int(np.argmin(diagonal))} is zero")
        self._scale = 1.0 / np.sqrt(diagonal)
        scaling = sp.diags_array(self._scale)
        try:
            self._lu = splu(sp.csc_array(scaling @ S @ scaling), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                            options={"SymmetricMode": True})
        except RuntimeError:
            raise _deficient("its Schur complement is singular") from None
        smallest = float(self._lu.U.diagonal().min(initial=1.0))
        if not smallest > _SINGULAR:
            raise _deficient(f"smallest pivot {smallest:.1e} of the scaled Schur complement")

    def dual(self, c: np.ndarray) -> np.ndarray:
        """S^{-1} c for (m,) or (m, j)."""
        scale = self._scale if c.ndim == 1 else self._scale[:, None]
        return scale * self._lu.solve(np.asfortranarray(scale * c))

    def solve(self, r: np.ndarray) -> np.ndarray:
        """P^{-1} r for (n + m,) or (n + m, j)."""
        weights = self.weights if r.ndim == 1 else self.weights[:, None]
        return np.concatenate([r[:self.n] / weights, self.dual(r[self.n:])])

    def norm(self, r: np.ndarray) -> float:
        """(r^T P^{-1} r)^{1/2} of a vector (n + m,)."""
        return float(np.sqrt(max(r @ self.solve(r), 0.0)))

    def gaussian(self, columns: int, stream: np.random.Generator) -> np.ndarray:
        """Columns (n + m, j) with covariance P^{-1}: Gaussian sketches of the preconditioned system, without a root."""
        a, b = stream.standard_normal((2, self.n, columns)) / np.sqrt(self.weights)[:, None]
        # G W^{-1/2} b has covariance S, hence S^{-1} G W^{-1/2} b has S^{-1}.
        return np.concatenate([a, self.dual(self.jacobian @ b)])


@dataclass(frozen=True)
class KktSystem:
    """K = [H G^T; G 0] with its preconditioner."""

    hessian: sp.sparray
    jacobian: sp.sparray
    preconditioner: SchurPreconditioner

    @property
    def size(self) -> int:
        """n + m."""
        return self.preconditioner.n + self.preconditioner.m

    def apply(self, z: np.ndarray) -> np.ndarray:
        """K z for (n + m,) or (n + m, j)."""
        n = self.preconditioner.n
        return np.concatenate([self.hessian @ z[:n] + self.jacobian.T @ z[n:], self.jacobian @ z[:n]])


@dataclass(frozen=True)
class InnerSolution:
    """z (n + m,), iterations (sketches), columns that P^{-1} was applied to, and ||b - K z|| / ||b|| in P^{-1}."""

    z: np.ndarray
    iterations: int
    applications: int
    residual: float


Inner = Callable[[KktSystem, np.ndarray, float, np.random.Generator], InnerSolution]


def inner_solver(name: str, max_iterations: int, columns: int = 1, period: int = 5) -> Inner:
    """The solver called `name`: (system, b, tolerance, stream) -> InnerSolution with residual <= tolerance.

    "sketch": sketch-and-project (Gower and Richtarik 2015, eq. 1.2) in the norm of P,
    z <- z + P^{-1} K s (s^T K P^{-1} K s)^+ s^T r with s = [P^{-1} r, the last steps, Gaussian columns at every
    `period`-th sketch]; the error in the norm of P never grows. The Gaussian columns alone carry the expected linear
    rate, which is about columns / (n + m) and too slow to live on; the residual and the last steps, which cost two
    applications of P^{-1} a sketch, make it nearly conjugate gradients on the squared system. A Gaussian column costs
    two more and disturbs the conjugacy, hence `period`. "gaussian": the Gaussian columns only, at every sketch.
    "minres": SciPy's MINRES with the same P. "direct": sparse LU.

    Parameters
    ----------
    name : {"sketch", "gaussian", "minres", "direct"}
    max_iterations : int
        Sketches or MINRES iterations after which the solve has failed.
    columns, period : int
        Gaussian columns of every `period`-th sketch; both >= 1.

    Raises
    ------
    InputError
        Unknown name; no Gaussian column.
    """
    if name not in INNER_SOLVERS:
        raise InputError(f"no inner solver is called '{name}'" + nearest(name, INNER_SOLVERS))
    if min(columns, period, max_iterations) < 1:
        raise InputError(f"the inner solver has columns {columns}, period {period} and max_inner {max_iterations}; the "
                         "rule is at least 1 each")

    def solve(system: KktSystem, b: np.ndarray, tolerance: float, stream: np.random.Generator) -> InnerSolution:
        if name == "direct":
            return _direct(system, b, tolerance)
        if name == "minres":
            return _minres(system, b, tolerance, max_iterations)
        return _sketched(system, b, tolerance, stream, max_iterations, columns, period if name == "sketch" else 0)

    return solve


INNER_SOLVERS = ("sketch", "gaussian", "minres", "direct")


def _sketched(system: KktSystem, b: np.ndarray, tolerance: float, stream: np.random.Generator, max_iterations: int,
              columns: int, period: int) -> InnerSolution:
    P = system.preconditioner
    z, r = np.zeros(system.size), b.copy()
    pr = P.solve(r)
    size, applications = np.sqrt(r @ pr), 1
    last = np.empty((3, system.size, 0))
    share = 1.0
    for iteration in range(max_iterations):
        share = np.sqrt(max(r @ pr, 0.0)) / size
        if share <= tolerance:
            return InnerSolution(z, iteration, applications, float(share))
        s = pr[:, None][:, :min(period, 1)] / (share * size)
        if period == 0 or iteration % period == 0:
            s = np.hstack([s, P.gaussian(columns, stream)])
            applications += columns
        y = system.apply(s)
        v = P.solve(y)
        applications += s.shape[1] + 1
        s, y, v = np.concatenate([np.stack([s, y, v]), last], axis=2)
        weight = _least_norm(y.T @ v, s.T @ r)
        step = v @ weight
        z, r = z + step, r - system.apply(step)
        pr = P.solve(r)
        if period:
            taken = np.stack([s @ weight, y @ weight, step])[:, :, None] / max(float(np.linalg.norm(weight)), 1e-300)
            last = np.concatenate([taken, last[:, :, :_MEMORY - 1]], axis=2)
    raise _not_converged("sketch-and-project", max_iterations, float(share), tolerance,
                         "raise max_inner, use inner = \"minres\" or \"direct\", or give better weights")


def _least_norm(M: np.ndarray, right: np.ndarray) -> np.ndarray:
    """M^+ right for a positive semidefinite M, whose columns may differ in size by many orders."""
    root = np.sqrt(np.maximum(np.diag(M), 1e-300))
    values, vectors = sl.eigh(M / np.outer(root, root))
    kept = values > 1e-13 * values[-1]
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    return (vectors @ (inverse * (vectors.T @ (right / root)))) / root


class _Enough(Exception):
    def __init__(self, z: np.ndarray, residual: float) -> None:
        super().__init__("the residual is small enough")
        self.z, self.residual = z, residual


def _minres(system: KktSystem, b: np.ndarray, tolerance: float, max_iterations: int) -> InnerSolution:
    P, shape = system.preconditioner, (system.size, system.size)
    applications = iterations = 0
    size, residual = P.norm(b), 1.0

    def precondition(r: np.ndarray) -> np.ndarray:
        nonlocal applications
        applications += 1
        return P.solve(r)

    def look(z: np.ndarray) -> None:
        # The stop is the one of the sketched solver; this look is not counted as work, MINRES could know it for free.
        nonlocal iterations, residual
        iterations += 1
        residual = P.norm(b - system.apply(z)) / size
        if residual <= tolerance:
            raise _Enough(z.copy(), residual)

    K: Any = LinearOperator(shape, matvec=system.apply, dtype=float)
    M: Any = LinearOperator(shape, matvec=precondition, dtype=float)
    try:
        minres(K, b, M=M, rtol=1e-15, maxiter=max_iterations, callback=look)
    except _Enough as found:
        return InnerSolution(found.z, iterations, applications, found.residual)
    raise _not_converged("MINRES", iterations, residual, tolerance,
                         "raise max_inner, use inner = \"direct\", or give better weights")


def _direct(system: KktSystem, b: np.ndarray, tolerance: float) -> InnerSolution:
    K = sp.block_array([[system.hessian, system.jacobian.T], [system.jacobian, None]], format="csc")
    try:
        lu = splu(K)
    except RuntimeError:
        raise SolveFailed("the direct solve of the Newton system failed: the matrix is singular; the Hessian has no "
                          "inverse on the kernel of the Jacobian: add curvature to the objective") from None
    z = lu.solve(b)
    z = z + lu.solve(b - K @ z)
    P = system.preconditioner
    residual = P.norm(b - K @ z) / P.norm(b) if np.isfinite(z).all() else np.inf
    if not residual <= tolerance:
        raise _not_converged("the direct solve", 1, residual, tolerance, "scale the problem; it is close to singular")
    return InnerSolution(z, 1, 1, float(residual))


def checked_matrix(A: Any, shape: tuple[int, int], name: str) -> sp.csr_array:
    """A finite sparse matrix of this shape."""
    A = sp.csr_array(A)
    if A.shape != shape:
        raise ShapeError(f"the {name} has shape {A.shape}; the rule is {shape}")
    if not np.isfinite(A.data).all():
        raise InputError(f"the {name} has entries that are not finite; check the point and the formula")
    return A


def _deficient(why: str) -> SolveFailed:
    return SolveFailed(f"the Jacobian of the constraints is rank-deficient ({why}): the multipliers are not unique; "
                       "remove the constraints that follow from others, or start at a point where they do not")


def _not_converged(name: str, iterations: int, residual: float, tolerance: float, remedy: str) -> SolveFailed:
    return SolveFailed(f"{name} reached a relative residual of {residual:.1e} after {iterations} iterations; the rule "
                       f"is at most {tolerance:.1e}: {remedy}", {"iterations": iterations, "residual": residual})
