"""The steps of a reduced evolution model for a batch of parameters at once: what time schemes ask of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from romflow.linalg.batched_inverse import apply_batched, inverses
from romflow.parameters.expressions import Theta
from romflow.parameters.timed import coefficients_at
from romflow.rom.newton import batched_newton

__all__ = ["ReducedSystem"]

_KEPT = 3
_TOLERANCE = 1e-11


class ReducedSystem:
    """M x' = f(mu, t) - A(mu, t) x - V^T N(V x; mu, t) for states (r, b), one column a parameter.

    Where A does not move in time there is one batch of inverses for each c, and a step is one product with them.

    Parameters
    ----------
    model : EvolutionReducedModel
    mu : (b, p)

    Attributes
    ----------
    lost : (b,) bool
        Columns whose Newton iteration has failed; they stay where they were.
    """

    def __init__(self, model: Any, mu: np.ndarray) -> None:
        self._model, self.mu = model, mu
        self._inverses: dict[tuple[float, float], np.ndarray] = {}
        self._kept: dict[str, tuple[float, np.ndarray]] = {}
        self.lost = np.zeros(len(mu), dtype=bool)

    def mass(self, x: np.ndarray) -> np.ndarray:
        """M x."""
        return np.asarray(self._model.mass @ x)

    def rate(self, t: float, x: np.ndarray) -> np.ndarray:
        """f - A x - V^T N(V x)."""
        total = self.load(t) - self._applied(t, x)
        if self._model.nonlinear is not None:
            total -= self._model.nonlinear.project(x, self.mu, t)
        return total

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The x with M x - c (f - A x - V^T N(V x)) = rhs."""
        if c == 0.0:
            return np.asarray(self._model.mass_inverse @ rhs)
        full = rhs + c * self.load(t)
        if self._model.nonlinear is None:
            return apply_batched(self._inverse(c, t), full)
        return self._newton(c, t, full, guess)

    def theta_a(self, t: float) -> np.ndarray:
        """Coefficients (b, Q) of A."""
        return self._cached("operator", self._model.operator_theta, t, self._model.moving)

    def theta_f(self, t: float) -> np.ndarray:
        """Coefficients (b, Qf) of f."""
        return self._cached("rhs", self._model.rhs_theta, t, self._model.loaded)

    def load(self, t: float) -> np.ndarray:
        """f (r, b)."""
        theta = self.theta_f(t)
        if "load" not in self._kept or self._kept["load"][1] is not theta:
            self._load = self._model.rhs.T @ theta.T
            self._kept["load"] = (t, theta)
        return self._load

    def _applied(self, t: float, x: np.ndarray) -> np.ndarray:
        """A x (r, b)."""
        Q, r, b = len(self._model.operator), *x.shape
        if not Q:
            return np.zeros((r, b))
        terms = (self._model.operator.reshape(Q * r, r) @ x).reshape(Q, r, b)
        return np.einsum("qib,bq->ib", terms, self.theta_a(t))

    def _matrices(self, c: float, t: float) -> np.ndarray:
        """M + c A (r, r, b)."""
        model, r = self._model, self._model.size
        if not len(model.operator):
            return np.repeat(model.mass[:, :, None], len(self.mu), axis=2)
        S = (self._flat @ (c * self.theta_a(t).T)).reshape(r, r, len(self.mu))
        S += model.mass[:, :, None]
        return np.asarray(S)

    def _inverse(self, c: float, t: float) -> np.ndarray:
        moving = self._model.moving
        key = (c, t if moving else 0.0)
        if key not in self._inverses:
            if len(self._inverses) >= (1 if moving else _KEPT):
                self._inverses.pop(next(iter(self._inverses)))
            self._inverses[key] = inverses(self._matrices(c, t), self._model.definite)
        return self._inverses[key]

    def _newton(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        S, term = self._matrices(c, t), self._model.nonlinear
        dense = np.ascontiguousarray(np.moveaxis(S, 2, 0))

        def residual(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
            pointwise = term.project(x, self.mu[columns], t)
            return apply_batched(S[:, :, columns], x) + c * pointwise - rhs[:, columns]

        def jacobian(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
            return dense[columns] + c * term.jacobian(x, self.mu[columns], t)

        scale = np.maximum(np.linalg.norm(rhs, axis=0), np.linalg.norm(self.mass(guess), axis=0))
        x, converged = batched_newton(residual, jacobian, guess, scale, _TOLERANCE)
        self.lost |= ~converged
        return np.where(self.lost, guess, x)

    def _cached(self, name: str, theta: Theta, t: float, moves: bool) -> np.ndarray:
        when = t if moves else 0.0
        if name not in self._kept or self._kept[name][0] != when:
            self._kept[name] = (when, coefficients_at(theta, self.mu, t))
        return self._kept[name][1]

    @cached_property
    def _flat(self) -> np.ndarray:
        """Terms of A as columns (r^2, Q)."""
        operator = self._model.operator
        return np.ascontiguousarray(operator.reshape(len(operator), -1).T)
