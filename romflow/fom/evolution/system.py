"""The steps of M du/dt = f(mu, t) - A(mu, t) u - N(u; mu, t) at one parameter: what time schemes ask of a model."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.fom.evolution.solvers import Factor, PolicyFactor, mass_options
from romflow.fom.nonlinear.newton import newton
from romflow.linalg.affine_pattern import AffinePattern
from romflow.linalg.solvers.superlu import SuperLU
from romflow.linalg.sparse_sum import SparseSum
from romflow.linalg.stepping.rates import refuse_nonfinite
from romflow.parameters.timed import coefficients_at, depends_on_time

__all__ = ["Orderings", "TimeSystem"]

# Factorisations kept for steps that come again; each is as large as the model's own.
_KEPT = 3
# A direct solve leaves this much of the right-hand side at most, or is repeated on what it left.
_RESIDUAL = 1e-12
_REFINEMENTS = 3
# A step of explicit Euler times the fastest rate may be 2, and rounding.
_STABLE = 2.0 + 1e-6


class Orderings:
    """What the steps at all parameters share: the pattern of M + c A, its ordering, and the factor of M.

    Where the model has `solver_options`, every matrix is solved with as they say.

    Parameters
    ----------
    model : EvolutionModel
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.diagonal = _diagonal(model.mass)
        self.symmetric = bool(model.symmetric_operator)
        self.options: dict[str, Any] | None = model.solver_options
        self.linear = SuperLU(symmetric=self.symmetric)
        self.tangent = SuperLU(symmetric=False)
        self._total: SparseSum | None = None
        self._mass: Factor | None = None
        self._sum_factor: PolicyFactor | None = None
        self.mass = sp.csc_array(model.mass)

    @cached_property
    def pattern(self) -> AffinePattern:
        """M and the terms of A on one pattern."""
        operator = self._model.operator
        return AffinePattern([self._model.mass, *([] if operator is None else operator.matrices)])

    def mass_solve(self, rhs: np.ndarray) -> np.ndarray:
        """M^{-1} rhs."""
        if self.diagonal is not None:
            return np.asarray(rhs / self.diagonal)
        if self._mass is None:
            self._mass = (SuperLU(symmetric=True).setup(self.mass) if self.options is None
                          else PolicyFactor(mass_options(self.options), True).of(self.mass))
        return self._mass.solve(rhs, refine=1)

    def factor(self, S: sp.csc_array, before: Factor | None = None) -> Factor:
        """A factor of S = M + c A; where S takes the place of an earlier matrix, `before` is the factor of that."""
        if self.options is None:
            return self.linear.update(S)
        return (before if isinstance(before, PolicyFactor) else PolicyFactor(self.options, self.symmetric)).of(S)

    def tangent_factor(self, S: sp.csc_array, c: float, J: sp.csc_array) -> Factor:
        """The factor of S + c J, whose patterns do not change."""
        if self._total is None:
            self._total = SparseSum(S, J)
        if self.options is None:
            return self.tangent.update(self._total.of(S, c, J))
        if self._sum_factor is None:
            self._sum_factor = PolicyFactor(self.options, False)
        return self._sum_factor.of(self._total.of(S, c, J))


class TimeSystem:
    """The model's `Rates` at mu (p,): one factorisation for each c while A does not move, Newton where N is there.

    Parameters
    ----------
    model : EvolutionModel
    mu : (p,)
    shared : Orderings
    """

    def __init__(self, model: Any, mu: np.ndarray, shared: Orderings) -> None:
        self._model, self._row, self._shared = model, np.atleast_2d(mu), shared
        self._moving = model.moving
        self._factors: OrderedDict[tuple[float, float], tuple[sp.csc_array, Factor, float]] = OrderedDict()
        self._loads: dict[float | None, np.ndarray] = {}
        self._operators: dict[float | None, sp.csc_array] = {}
        self.iterations = 0

    def mass(self, u: np.ndarray) -> np.ndarray:
        """M u."""
        if self._shared.diagonal is not None:
            return np.asarray(self._shared.diagonal * u)
        return np.asarray(self._model.mass @ u)

    def rate(self, t: float, u: np.ndarray) -> np.ndarray:
        """f(t) - A(t) u - N(u; t)."""
        load, A = self._load(t), self._assembled(t)
        total = np.zeros(self._model.n) if load is None else load.copy()
        if A is not None:
            total -= A @ u
        if self._model.nonlinear is not None:
            total -= self._nonlinear(t, u)
        return total

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The u with M u - c (f(t) - A(t) u - N(u; t)) = rhs.

        Raises
        ------
        SolveFailed
            A singular matrix, a residual that stays, a Newton iteration without convergence; the report has the time.
        """
        if c == 0.0:
            refuse_nonfinite(rhs, t)
            try:
                return self._shared.mass_solve(rhs)
            except SolveFailed as error:
                raise SolveFailed(f"the step to t = {t:.6g} failed ({error}); where states grow without bound, take "
                                  "smaller steps or an implicit scheme", {"time": float(t), **error.report}) from None
        load = self._load(t)
        full = rhs if load is None else rhs + c * load
        try:
            if self._model.nonlinear is None:
                return self._linear(c, t, full, guess)
            return self._newton(c, t, full, guess)
        except SolveFailed as error:
            raise SolveFailed(f"the step to t = {t:.6g} failed: {error}", {"time": float(t), **error.report}) from None

    def refuse_unstable(self, before: np.ndarray, after: np.ndarray, step: float, t: float) -> None:
        """Raise SolveFailed where an explicit Euler step of a symmetric A is longer than 2 / lambda_max(M^{-1} A).

        The Rayleigh quotient of the difference of two states is at most lambda_max, so that no stable step is refused;
        where a step is not stable, the difference turns to the fastest mode within few steps.
        """
        d = after - before
        energy, size = float(d @ (self.rate(t, before) - self.rate(t, after))), float(d @ self.mass(d))
        if step * energy > _STABLE * size:
            limit = 2.0 * size / energy
            raise SolveFailed(f"explicit Euler is unstable with steps of {step:.3g} at t = {t:.6g}: they must be below "
                              f"{limit:.3g}; take at least {int(np.ceil(step / limit))} times as many steps, or an "
                              "implicit scheme", {"time": float(t), "step": step, "limit": limit})

    def _linear(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """Refined until the residual is rounding of its terms, or as the keys of [solver] say."""
        S, factor, largest = self._factor(c, t)
        if isinstance(factor, PolicyFactor):
            return factor.solve(rhs, guess=guess)
        u, scale = factor.solve(rhs, refine=0), float(np.linalg.norm(rhs))
        for _ in range(_REFINEMENTS):
            left = rhs - S @ u
            size = float(np.linalg.norm(left))
            if size <= _RESIDUAL * max(scale, largest * float(np.linalg.norm(u))):
                return np.asarray(u)
            u = u + factor.solve(left, refine=0)
        raise SolveFailed(f"the relative residual of a linear step is {size / scale if scale else size:.2e} after "
                          f"{_REFINEMENTS} refinements; the matrix is singular or too ill-conditioned: check the "
                          "boundary conditions and the coefficients", {"relative_residual": size / (scale or 1.0)})

    def _newton(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        S, N, row = self._sum(c, t), self._model.nonlinear, self._row[0]

        def residual(u: np.ndarray) -> np.ndarray:
            return np.asarray(S @ u + c * self._nonlinear(t, u) - rhs)

        def step(u: np.ndarray, r: np.ndarray) -> np.ndarray:
            return self._shared.tangent_factor(S, c, N.jacobian(u, row, t)).solve(r)

        grid = self._model.time
        scale = max(float(np.linalg.norm(rhs)), float(np.linalg.norm(self.mass(guess))))
        u, report = newton(residual, step, guess, grid.newton_tolerance, grid.newton_iterations,
                           scale=scale or None)
        self.iterations += report["iterations"]
        return u

    def _nonlinear(self, t: float, u: np.ndarray) -> np.ndarray:
        return np.asarray(self._model.nonlinear.evaluate(u[:, None], self._row, t)[:, 0])

    def _load(self, t: float) -> np.ndarray | None:
        """f(t); None where there is none."""
        rhs = self._model.rhs
        if rhs is None:
            return None
        key = t if depends_on_time(rhs.theta) else None
        if key not in self._loads:
            self._loads = {key: rhs.vectors @ coefficients_at(rhs.theta, self._row, t)[0]}
        return self._loads[key]

    def _theta(self, t: float) -> np.ndarray:
        operator = self._model.operator
        return np.zeros(0) if operator is None else coefficients_at(operator.theta, self._row, t)[0]

    def _assembled(self, t: float) -> sp.csc_array | None:
        """A(t); None where there is none."""
        if self._model.operator is None:
            return None
        key = t if self._moving else None
        if key not in self._operators:
            self._operators = {key: self._model.operator.combine(self._theta(t))}
        return self._operators[key]

    def _sum(self, c: float, t: float) -> sp.csc_array:
        """M + c A(t)."""
        return self._shared.pattern.csc(np.append(1.0, c * self._theta(t)))

    def _factor(self, c: float, t: float) -> tuple[sp.csc_array, Factor, float]:
        """M + c A(t), its factor, and its largest entry."""
        key = (c, t if self._moving else 0.0)
        if key not in self._factors:
            S, before = self._sum(c, t), None
            if len(self._factors) >= (1 if self._moving else _KEPT):
                before = self._factors.popitem(last=False)[1][1]
            self._factors[key] = (S, self._shared.factor(S, before), float(abs(S.data).max()))
        self._factors.move_to_end(key)
        return self._factors[key]


def _diagonal(M: sp.csr_array) -> np.ndarray | None:
    """The diagonal (n,) where M has no other entries."""
    coo = sp.coo_array(M)
    return np.asarray(coo.diagonal()) if np.array_equal(coo.row, coo.col) else None
