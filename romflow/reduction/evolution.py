"""Projection of an evolution model on a growing basis: everything that its reduced model needs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import cg

from romflow.core.errors import NotSupported
from romflow.fom.affine_terms import AffineOperator
from romflow.fom.protocol import output_names
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import OrthonormalRange
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.parameters.timed import depends_on_time
from romflow.reduction.projection import dual_gram
from romflow.reduction.residual_columns import OrthonormalColumns
from romflow.reduction.stability import stability_bound
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.stability import StabilityBound

__all__ = ["EvolutionProjection", "evolution_stability"]

_CG_TOLERANCE, _CG_ITERATIONS = 1e-13, 200


class EvolutionProjection:
    """V^T M V, V^T A_q V, V^T f_q and the factor of the residual columns of one model, extended by basis vectors.

    A step with j vectors costs (Q + 1) j sparse products and forward substitutions with the Cholesky factor of X, and
    8 n j (Q + 1) m flops for the factor.

    Parameters
    ----------
    fom : EvolutionModel
    product : InnerProduct
        X of the model.
    stability : StabilityBound, optional
    collateral : (n, m') array, optional
        Modes of the nonlinear term in the residual.
    """

    def __init__(self, fom: Any, product: InnerProduct, stability: StabilityBound | None = None,
                 collateral: np.ndarray | None = None) -> None:
        self.fom, self.product, self.stability = fom, product, stability
        terms = [] if fom.operator is None else list(fom.operator.matrices)
        columns = fom.parameters.columns
        self._terms = AffineOperator(Theta(["1"] * (len(terms) + 1), columns), [fom.mass, *terms])
        n, F = fom.n, np.zeros((fom.n, 0)) if fom.rhs is None else np.asarray(fom.rhs.vectors)
        U0 = np.zeros((n, 0)) if fom.initial is None else np.asarray(fom.initial.vectors)
        outputs = fom.outputs
        self.V = np.empty((n, 0))
        self._projected = np.empty((self._terms.Q, 0, 0))
        self._F, self._MU0 = F, fom.mass @ U0
        self._functionals = np.empty((0, 0, n)) if outputs is None else np.asarray(outputs.functionals)
        fixed = F if collateral is None else np.hstack([F, collateral])
        self._columns = OrthonormalColumns(
            SimpleNamespace(n=n, operator=self._terms, rhs=SimpleNamespace(vectors=fixed)), product)
        self._mass = InnerProduct(fom.mass, "L2")
        self._start = OrthonormalRange(n) if U0.any() else None
        if self._start is not None:
            self._start.extend(self._mass.whiten(self._MU0))
        self._output_gram = dual_gram(self._functionals, product)
        self._output_mass_gram = _mass_gram(self._functionals, self._mass)

    @property
    def size(self) -> int:
        """Number of basis vectors so far."""
        return int(self.V.shape[1])

    def extend(self, W: np.ndarray) -> None:
        """Append basis vectors W (n, j), X-orthonormal to each other and to V."""
        r, j = self.size, W.shape[1]
        if j == 0:
            return
        W = np.ascontiguousarray(W)
        TW = self._terms.apply(W)
        V = np.hstack([self.V, W])
        grown = np.empty((len(TW), r + j, r + j))
        grown[:, :r, :r] = self._projected
        grown[:, :, r:] = V.T @ TW
        grown[:, r:, :r] = self._lower(grown, W)
        self._projected = grown
        self._columns.extend(TW)
        if self._start is not None:
            self._start.extend(self._mass.whiten(np.ascontiguousarray(TW[0])))
        self.V = V

    def model(self, nonlinear: HyperReducedTerm | None = None,
              metadata: dict[str, Any] | None = None) -> EvolutionReducedModel:
        """The reduced model on the present basis."""
        fom, none = self.fom, Theta([], self.fom.parameters.columns)
        outputs, time = fom.outputs, fom.time
        control = time.control
        return EvolutionReducedModel(
            parameters=fom.parameters, basis=self.V, times=time.times, scheme=time.scheme,
            control=None if control is None else (control.tolerance, control.smallest), mass=self._projected[0],
            operator_theta=none if fom.operator is None else fom.operator.theta, operator=self._projected[1:],
            rhs_theta=none if fom.rhs is None else fom.rhs.theta, rhs=self._F.T @ self.V,
            initial_theta=none if fom.initial is None else fom.initial.theta, initial=self._MU0.T @ self.V,
            initial_factor=self._initial_factor(),
            output_names=output_names(fom),
            output_theta=none if outputs is None else outputs.theta, output=self._functionals @ self.V,
            output_gram=self._output_gram, output_mass_gram=self._output_mass_gram,
            factor=self._columns.residual().T, stability=self.stability, symmetric=self._symmetric,
            nonlinear=nonlinear, in_mass=self._in_mass, space_norm=self.product.name, mesh=fom.mesh,
            interpolation=getattr(getattr(fom, "nonaffine", None), "interpolation", None),
            load=Theta([time.load], (*fom.parameters.columns, "t")), metadata=metadata or {})

    @property
    def _in_mass(self) -> bool:
        """X = M."""
        difference = sp.csr_array(self.fom.inner_product - self.fom.mass)
        return difference.nnz == 0 or not np.any(difference.data)

    @property
    def _symmetric(self) -> bool:
        return self.fom.operator is None or bool(self.fom.operator.symmetric)

    def _lower(self, grown: np.ndarray, W: np.ndarray) -> np.ndarray:
        """W^T A_q V for the vectors before."""
        r = self.size
        if self._symmetric:
            return grown[:, :r, r:].transpose(0, 2, 1)
        return np.stack([(A.T @ W).T @ self.V for A in self._terms.matrices])

    def _initial_factor(self) -> np.ndarray:
        """Factor of [u0_q, V] in the norm of M, without rows where the model starts at rest."""
        if self._start is None:
            return np.zeros((0, self._MU0.shape[1] + self.size))
        return self._start.T


def evolution_stability(fom: Any, product: InnerProduct, seed: int = 0) -> StabilityBound | None:
    """The lower bound of the coercivity of A that the model asks for; over its times too where A moves.

    Raises
    ------
    ConfigError, InputError
        As for :func:`romflow.reduction.stability.stability_bound`.
    """
    if fom.stability is None or fom.operator is None:
        return None
    wish, space, operator = fom.stability, fom.parameters, fom.operator
    if depends_on_time(operator.theta):
        if isinstance(wish.get("reference"), list):
            wish = {**wish, "reference": [*wish["reference"], float(fom.times[-1])]}
        space = _in_time(space, fom.times)
    symmetric = bool(operator.symmetric)
    stationary = SimpleNamespace(parameters=space, operator=operator, stability=wish, n=fom.n, symmetric=symmetric,
                                 inner_product=fom.inner_product)
    nonaffine = getattr(fom, "nonaffine", None)
    if nonaffine is not None:
        stationary.interpolation, stationary.pointwise = nonaffine.interpolation, nonaffine.pointwise
    return stability_bound(stationary, product, seed)


def _in_time(space: ParameterSpace, times: np.ndarray) -> ParameterSpace:
    """The parameters with the time behind them."""
    if "t" in space.columns:
        raise NotSupported("a parameter is called t, and the operator depends on the time t; rename the parameter")
    return ParameterSpace([*space.tables, Parameter("t", Uniform(float(times[0]), float(times[-1])))])


def _mass_gram(functionals: np.ndarray, mass: InnerProduct) -> np.ndarray:
    """Dual inner products (o, Ql, Ql) of the terms of each output with respect to M.

    A mass matrix is as well conditioned as its elements once it is scaled by its diagonal (Wathen 1987), so that a few
    iterations of conjugate gradients spare its factorisation; where they do not converge, it is factorised.
    """
    Ql, o, n = functionals.shape
    F = np.ascontiguousarray(functionals.reshape(Ql * o, n))
    scaling = sp.diags_array(1.0 / mass.X.diagonal())
    solved = np.empty_like(F)
    for i, f in enumerate(F):
        solved[i], failed = cg(mass.X, f, rtol=_CG_TOLERANCE, maxiter=_CG_ITERATIONS, M=scaling)
        if failed:
            solved[i] = mass.riesz(f[:, None])[:, 0]
    gram = (F @ solved.T).reshape(Ql, o, Ql, o)
    return np.ascontiguousarray(np.einsum("qoso->oqs", gram))
