"""The affine full-order model: A(mu) u = f(mu) by a sparse direct solve with a checked residual."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.linalg.solvers.superlu import SuperLU
from romflow.parameters.space import ParameterSpace

__all__ = ["AffineModel", "AffineOperator", "AffineOutputs", "AffineVector", "checked_inner_product"]

_MORE_REFINEMENT = 4


class AffineModel:
    """A(mu) u = f(mu) with affine A and f, solved to ||f - A u|| <= 1e-9 ||f|| or not at all.

    Parameters
    ----------
    parameters : ParameterSpace
    operator : AffineOperator
        Square, (n, n).
    rhs : AffineVector
        (n,).
    inner_product : sparse (n, n)
        X, symmetric; that it is positive definite is checked where it is factorised.
    outputs : AffineOutputs, optional
    spec : dict
        JSON identity.
    norm : str
        Name of the norm of X.
    stability : dict, optional
        See `romflow.fom.protocol.SupportsAffine`.
    mesh : Mesh, optional
        With n dofs.
    residual_tolerance : float
        Largest relative residual ||f - A u|| / ||f|| (Euclidean) of an accepted solution.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other; X is not symmetric or not finite.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.expressions import Theta
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
    >>> X = sp.diags_array([2.0, 4.0])
    >>> model = AffineModel(space, AffineOperator(Theta(["a"], ["a"]), [X]),
    ...                     AffineVector(Theta(["1"], ["a"]), np.ones((2, 1))), X, spec={"kind": "example"})
    >>> model.solve(np.array([2.0])).state
    array([0.25 , 0.125])
    """

    def __init__(self, parameters: ParameterSpace, operator: AffineOperator, rhs: AffineVector,
                 inner_product: sp.sparray, outputs: AffineOutputs | None = None, *, spec: dict[str, Any],
                 norm: str = "X", stability: dict[str, Any] | None = None, mesh: Mesh | None = None,
                 residual_tolerance: float = 1e-9) -> None:
        n = operator.shape[0]
        _check_shapes(n, operator, rhs, outputs, mesh)
        self.parameters, self.operator, self.rhs, self.outputs = parameters, operator, rhs, outputs
        self.inner_product = checked_inner_product(inner_product, n)
        self.n, self.spec, self.norm, self.stability, self.mesh = n, spec, norm, stability, mesh
        self.residual_tolerance = residual_tolerance
        self._solvers = threading.local()

    @property
    def symmetric(self) -> bool:
        """A(mu) is symmetric for every mu."""
        return self.operator.symmetric

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Solution and outputs at mu (p,).

        Returns
        -------
        Snapshot
            `info["relative_residual"]` is ||f - A u|| / ||f||.

        Raises
        ------
        ParameterError
            mu is outside the parameter space.
        SolveFailed
            The matrix is singular, or the residual stays above the tolerance after refinement.
        """
        row = self.parameters.validate(mu)
        if row.shape[0] != 1:
            raise ShapeError(f"mu has {row.shape[0]} rows; solve takes one parameter (p,)")
        u, residual = self._solution(row[0])
        outputs = None if self.outputs is None else self.outputs.evaluate(u[:, None], row)[:, 0]
        return Snapshot(u, outputs, {"relative_residual": residual})

    def _solution(self, mu: np.ndarray) -> tuple[np.ndarray, float]:
        A, f = self.operator.assemble(mu), self.rhs.assemble(mu)
        residual, reason = np.inf, ""
        # Without pivoting first; symmetric but indefinite matrices may need the pivots. The choice depends on A alone,
        # not on earlier solves, so that a resumed run gives the same bits.
        for symmetric in (True, False) if self.symmetric else (False,):
            try:
                u, residual = self._attempt(A, f, symmetric)
            except SolveFailed as error:
                reason = str(error)
                continue
            if residual <= self.residual_tolerance:
                return u, residual
            reason = (f"the relative residual is {residual:.2e} after refinement, above the tolerance "
                      f"{self.residual_tolerance:g}; the matrix is singular or too ill-conditioned: check the boundary "
                      "conditions, scale the problem, or narrow the parameter range")
        raise SolveFailed(f"no solution for mu = {mu.tolist()}: {reason}",
                          {"mu": mu.tolist(), "relative_residual": residual if np.isfinite(residual) else None})

    def _attempt(self, A: sp.csc_array, f: np.ndarray, symmetric: bool) -> tuple[np.ndarray, float]:
        factor = self._solver(symmetric).update(A)
        u = factor.solve(f)
        residual = _relative_residual(A, f, u)
        if residual > self.residual_tolerance:
            u = factor.solve(f, refine=_MORE_REFINEMENT)
            residual = _relative_residual(A, f, u)
        return u, residual

    def _solver(self, symmetric: bool) -> SuperLU:
        # One ordering a thread: a solver that two threads update would mix their matrices.
        solvers = vars(self._solvers).setdefault("by_symmetry", {})
        if symmetric not in solvers:
            solvers[symmetric] = SuperLU(symmetric=symmetric)
        solver: SuperLU = solvers[symmetric]
        return solver


def checked_inner_product(X: sp.sparray, n: int) -> sp.csr_array:
    """X as CSR (n, n), made exactly symmetric where it is symmetric but for rounding.

    Raises
    ------
    ShapeError, InputError
        Wrong shape, values that are not real or not finite, asymmetry above 1e-12 of the largest entry.
    """
    X = sp.csr_array(X, copy=True)
    if X.shape != (n, n):
        raise ShapeError(f"the inner product has shape {X.shape}; the rule is ({n}, {n}), the shape of the operator")
    if X.dtype.kind not in "iufb" or not np.isfinite(X.data).all():
        raise InputError("the inner product has entries that are not finite real numbers; check its assembly")
    X = X.astype(np.float64, copy=False)
    X.sum_duplicates()
    skew = abs(X - X.T).max()
    if skew > 1e-12 * abs(X).max():
        raise InputError(f"the inner product is not symmetric (largest |X - X^T| is {skew:.2e}); the rule is a "
                         "symmetric positive definite matrix: give its symmetric part, or another matrix")
    return sp.csr_array(0.5 * (X + X.T)) if skew > 0.0 else X


def _check_shapes(n: int, operator: AffineOperator, rhs: AffineVector, outputs: AffineOutputs | None,
                  mesh: Mesh | None) -> None:
    if operator.shape != (n, n) or n == 0:
        raise ShapeError(f"the operator has shape {operator.shape}; the rule is (n, n) with n from 1")
    sizes = {"right-hand side": rhs.vectors.shape[0]}
    if outputs is not None:
        sizes["output functionals"] = outputs.functionals.shape[2]
    if mesh is not None:
        sizes["mesh's dofs"] = mesh.n
    for owner, length in sizes.items():
        if length != n:
            raise ShapeError(f"the {owner} have length {length}; the rule is {n}, for the operator is ({n}, {n})")


def _relative_residual(A: sp.csc_array, f: np.ndarray, u: np.ndarray) -> float:
    scale = float(np.linalg.norm(f))
    return float(np.linalg.norm(f - A @ u)) / scale if scale > 0.0 else float(np.linalg.norm(A @ u) > 0.0)
