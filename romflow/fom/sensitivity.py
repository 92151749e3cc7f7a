"""Derivatives of the outputs of full-order models with respect to their parameters."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import NotSupported, SolveFailed
from romflow.linalg.solvers.policy import LinearSolver
from romflow.linalg.solvers.superlu import SuperLU
from romflow.parameters.expressions import Theta
from romflow.parameters.theta_jacobian import theta_jacobian

_TOLERANCE = 1e-9


class _System(Protocol):
    def solve(self, B: np.ndarray) -> np.ndarray: ...

    def adjoint(self, B: np.ndarray) -> np.ndarray: ...


def sensitivity(model: Any, mu: Any) -> np.ndarray:
    """d s_i / d mu_j (o, p) at mu (p,) of the outputs s = l(mu)^T u(mu) of A(mu) u + N(u; mu) = f(mu).

    With the Jacobian J = A + dN/du at the solution, J du = df - dA u - dN (implicit function theorem), and
    ds = dl^T u + l^T du; where o < p by the adjoint J^T z = l instead: ds = dl^T u + z^T (df - dA u - dN).

    Parameters
    ----------
    model : AffineModel or NonlinearModel
        With outputs.
    mu : (p,)

    Returns
    -------
    (o, p)

    Raises
    ------
    NotSupported
        The model has no outputs.
    ParameterError, ShapeError
        mu is not one parameter of the space, or a coefficient has no finite derivative there.
    SolveFailed
        The state or its derivative has no solution.

    Notes
    -----
    Cost: a solve for the state and one factorisation with min(o, p) right-hand sides; of an affine model the same
    factorisation serves the state. An iterative solver takes its place where the matrix is symmetric and large, see
    `romflow.linalg.solvers.policy.LinearSolver`.
    """
    row = model.parameters.one(mu, "the sensitivity")[None]
    if model.outputs is None:
        raise NotSupported("this model has no outputs that could be differentiated; give it outputs")
    u, system = _state(model, row)
    functionals = np.tensordot(model.outputs.theta(row)[0], model.outputs.functionals, 1)
    residual = _residual(model, row, u)
    if functionals.shape[0] < residual.shape[1]:
        implicit = system.adjoint(functionals.T).T @ residual
    else:
        implicit = functionals @ system.solve(residual)
    values = (model.outputs.functionals @ u)[:, :, None]
    return np.asarray(implicit + theta_jacobian(model.outputs.theta).contract(row, values)[:, :, 0].T)


def _state(model: Any, row: np.ndarray) -> tuple[np.ndarray, _System]:
    """The state u (n,), and the system of the Jacobian there."""
    if getattr(model, "nonlinear", None) is not None:
        u = model.solve(row[0]).state
        J = model.jacobian(u, row[0])
        return u, _Symmetric(J, model) if model.symmetric else _General(J)
    A = model.operator.assemble(row)
    system: _System = _Symmetric(A, model) if model.symmetric else _General(A)
    return system.solve(model.rhs.assemble(row)), system


def _residual(model: Any, row: np.ndarray, u: np.ndarray) -> np.ndarray:
    """df - dA u - dN (n, p)."""
    total = np.zeros((u.size, row.shape[1]))
    if model.rhs is not None:
        total += _terms(model.rhs.theta, row, model.rhs.vectors.T)
    if model.operator is not None:
        total -= _terms(model.operator.theta, row, model.operator.apply(u[:, None])[:, :, 0])
    if getattr(model, "nonlinear", None) is not None:
        for j, name in enumerate(model.parameters.columns):
            total[:, j] -= model.nonlinear.parameter_derivative(name, u, row[0])
    return total


def _terms(theta: Theta, row: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """sum_q (d theta_q / d mu_j) v_q as columns (n, p), for v_q (Q, n); only what is not zero is touched."""
    jacobian = theta_jacobian(theta)
    weights = sp.csr_array((jacobian(row)[0], (jacobian.columns, jacobian.terms)), (row.shape[1], vectors.shape[0]))
    return np.asarray(weights @ vectors).T


class _Symmetric:
    """The policy's solver: a factorisation, or a preconditioned iteration on large meshes of space."""

    def __init__(self, A: sp.sparray, model: Any) -> None:
        solver = LinearSolver(symmetric=True, near_nullspace=getattr(model, "near_nullspace", None))
        self._system = solver.setup(A)

    def solve(self, B: np.ndarray) -> np.ndarray:
        return self._system.solve(B)

    adjoint = solve


class _General:
    """One LU factorisation for A and A^T, with checked residuals."""

    def __init__(self, A: sp.csc_array) -> None:
        self._A, self._factor = A, SuperLU(symmetric=False).setup(A)

    def solve(self, B: np.ndarray) -> np.ndarray:
        return _checked(self._A, B, self._factor.solve(B))

    def adjoint(self, B: np.ndarray) -> np.ndarray:
        return _checked(self._A.T, B, self._factor.solve_transposed(B))


def _checked(A: sp.sparray, B: np.ndarray, X: np.ndarray) -> np.ndarray:
    residual = float(np.linalg.norm(B - A @ X))
    if residual > _TOLERANCE * np.linalg.norm(B):
        raise SolveFailed(f"the system of the derivative has the residual {residual:.2e} after refinement; the matrix "
                          "is singular or too ill-conditioned: check the boundary conditions, or narrow the range",
                          {"residual": residual})
    return X
