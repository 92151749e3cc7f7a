"""Derivatives of the outputs of evolution models by their parameters: the tangent equations of the scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import NotSupported, SolveFailed
from romflow.fom.evolution.system import Orderings, TimeSystem
from romflow.fom.protocol import short
from romflow.linalg.stepping.march import march
from romflow.parameters.expressions import Theta
from romflow.parameters.theta_jacobian import theta_jacobian
from romflow.parameters.timed import coefficients_at, row_at

__all__ = ["TangentSystem", "series_sensitivity"]


def series_sensitivity(model: Any, mu: Any, shared: Orderings) -> np.ndarray:
    """d s_i(t_k) / d mu_j (o, p, K + 1) of the outputs s = l(mu, t)^T u(t; mu) at all times, for mu (p,).

    The states u and their derivatives S_j = du / dmu_j are marched as one system,

        M dS_j/dt = (dG/du) S_j + dG/dmu_j,    S_j(0) = du0/dmu_j,    G = f - A u - N(u).

    A scheme is a sum of states, rates and solves, so that the steps of this system are the derivatives of the steps of
    u: exact ones of what `march` gives, but for step control, whose steps are then those of both together.

    Parameters
    ----------
    model : EvolutionModel
        With outputs.
    mu : (p,)
    shared : Orderings
        Of the model, in this thread.

    Returns
    -------
    (o, p, K + 1)

    Raises
    ------
    NotSupported
        The model has no outputs.
    ParameterError, ShapeError
        mu is not one parameter of the space, or a coefficient has no finite derivative there.
    SolveFailed
        A step has no solution; `report["time"]` says where.

    Notes
    -----
    Cost: a trajectory, and at each solve of it p more right-hand sides; with N one factorisation more, at the solution.
    Memory: that of the scheme for 1 + p states.
    """
    row = model.parameters.one(mu, "the sensitivity")[None]
    if model.outputs is None:
        raise NotSupported("this model has no outputs that could be differentiated; give it outputs")
    time, theta = model.time, model.outputs.theta
    system = TangentSystem(model, row[0], shared)
    found = np.empty((len(model.outputs.names), row.shape[1], len(time.times)))
    try:
        for step in march(system, time.scheme, time.times, system.start(), control=time.control):
            functionals = np.tensordot(coefficients_at(theta, row, step.time)[0], model.outputs.functionals, 1)
            values = (model.outputs.functionals @ step.state[:, 0])[:, :, None]
            slopes = theta_jacobian(theta, model.parameters.columns).contract(row_at(theta, row, step.time), values)
            found[:, :, step.index] = functionals @ step.state[:, 1:] + slopes[:, :, 0].T
    except SolveFailed as error:
        raise SolveFailed(f"no derivatives for mu = {short(row[0])}: {error}",
                          {"mu": row[0].tolist(), **error.report}) from error
    return found


class TangentSystem(TimeSystem):
    """The steps of states (n, 1 + p): u, and its derivatives by the p parameters.

    Parameters
    ----------
    model : EvolutionModel
    mu : (p,)
    shared : Orderings
    """

    def start(self) -> np.ndarray:
        """u0 and its derivatives (n, 1 + p)."""
        model, row = self._model, self._row
        U = np.zeros((model.n, 1 + row.shape[1]))
        U[:, 0] = model.start(row[0])
        if model.initial is not None:
            U[:, 1:] = self._terms(model.initial.theta, 0.0, np.asarray(model.initial.vectors).T)
        return U

    def mass(self, u: np.ndarray) -> np.ndarray:
        """M U."""
        return np.asarray(self._model.mass @ u)

    def rate(self, t: float, u: np.ndarray) -> np.ndarray:
        """G(u), and (dG/du) S_j + dG/dmu_j."""
        state, S = u[:, 0], u[:, 1:]
        slopes = self._explicit(t, state)
        A = self._assembled(t)
        if A is not None:
            slopes -= A @ S
        if self._model.nonlinear is not None:
            slopes -= self._model.nonlinear.derivative(state, S, self._row[0], t)
        return np.column_stack([super().rate(t, state), slopes])

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The U with M U - c (G, (dG/du) S_j + dG/dmu_j) = rhs.

        Raises
        ------
        SolveFailed
            As for the states alone.
        """
        if c == 0.0:
            return np.column_stack([self._shared.mass_solve(column) for column in _rows(rhs)])
        state = super().solve(c, t, rhs[:, 0], guess[:, 0])
        right = rhs[:, 1:] + c * self._explicit(t, state)
        if self._model.nonlinear is None:
            S = [self._linear(c, t, column, old) for column, old in zip(_rows(right), _rows(guess[:, 1:]), strict=True)]
        else:
            J = self._model.nonlinear.jacobian(state, self._row[0], t)
            factor = self._shared.tangent_factor(self._sum(c, t), c, J)
            S = [factor.solve(column, refine=1) for column in _rows(right)]
        return np.column_stack([state, *S])

    def _explicit(self, t: float, u: np.ndarray) -> np.ndarray:
        """dG/dmu_j (n, p) at fixed u."""
        model = self._model
        total = np.zeros((model.n, self._row.shape[1]))
        if model.rhs is not None:
            total += self._terms(model.rhs.theta, t, np.asarray(model.rhs.vectors).T)
        if model.operator is not None:
            total -= self._terms(model.operator.theta, t, model.operator.apply(u[:, None])[:, :, 0])
        if model.nonlinear is not None:
            for j, name in enumerate(model.parameters.columns):
                total[:, j] -= model.nonlinear.parameter_derivative(name, u, self._row[0], t)
        return total

    def _terms(self, theta: Theta, t: float, vectors: np.ndarray) -> np.ndarray:
        """sum_q (d theta_q / d mu_j) v_q (n, p), for v_q (Q, n); only what is not zero is touched."""
        jacobian = theta_jacobian(theta, self._model.parameters.columns)
        values = jacobian(row_at(theta, self._row, t))[0]
        weights = sp.csr_array((values, (jacobian.columns, jacobian.terms)), (self._row.shape[1], len(vectors)))
        return np.asarray(weights @ vectors).T


def _rows(U: np.ndarray) -> np.ndarray:
    """The columns of U as rows that lie together in memory."""
    return np.ascontiguousarray(U.T)
