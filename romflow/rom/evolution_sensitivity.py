"""Derivatives of the outputs of reduced evolution models with respect to their parameters, for whole batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.linalg.stepping.control import StepControl
from romflow.linalg.stepping.march import march
from romflow.parameters.expressions import Theta
from romflow.parameters.theta_jacobian import theta_jacobian
from romflow.parameters.timed import coefficients_at, row_at
from romflow.rom.evolution_system import ReducedSystem

if TYPE_CHECKING:
    from romflow.rom.evolution import EvolutionReducedModel

__all__ = ["ReducedTangentSystem", "series_sensitivity"]

# Numbers of the Jacobians and derivatives of a chunk of parameters.
_CHUNK_NUMBERS = 400_000


def series_sensitivity(rom: EvolutionReducedModel, mu: Any, check: bool = True) -> np.ndarray:
    """d s_i(t_k) / d mu_j (o, p, K + 1, b) of the outputs that `rom.solve` gives at all times; no loop over b.

    As for the full-order model (`romflow.fom.evolution.tangent.series_sensitivity`): the reduced states and their
    derivatives are marched as one system, so that these are the exact derivatives of the steps, but for step control.

    Parameters
    ----------
    rom : EvolutionReducedModel
    mu : (b, p)
    check : bool
        Validate mu against the parameter space.

    Returns
    -------
    (o, p, K + 1, b)
        NaN for the parameters at which a step failed.

    Raises
    ------
    ParameterError, ShapeError
        mu does not fit, or a coefficient has no finite derivative there.

    Notes
    -----
    Cost of a parameter: about 1 + p trajectories, independent of n; with N one r x r system more in each solve.
    """
    mu = rom.parameters.validate(mu) if check else mu
    (b, p), K = mu.shape, len(rom.times)
    found = np.empty((len(rom.output_names), p, K, b))
    step = max(1, _CHUNK_NUMBERS // max(1, rom.size * (rom.size + p)))
    for start in range(0, b, step):
        part = slice(start, start + step)
        found[..., part] = _chunk(rom, mu[part])
    return found


def _chunk(rom: EvolutionReducedModel, mu: np.ndarray) -> np.ndarray:
    """The derivatives (o, p, K + 1, b), with NaN where a step failed."""
    found = np.full((len(rom.output_names), mu.shape[1], len(rom.times), len(mu)), np.nan)
    alive = np.arange(len(mu))
    while alive.size:
        system = ReducedTangentSystem(rom, mu[alive])
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                for index, states in rom.tangent_states(system):
                    found[:, :, index, alive] = _outputs(rom, mu[alive], float(rom.times[index]), states)
        except SolveFailed as failure:
            columns = failure.report.get("columns")
            lost = np.unique(np.asarray(columns) % alive.size) if columns else np.arange(alive.size)
            found[..., alive[lost]] = np.nan
            alive = np.delete(alive, lost)
            continue
        found[..., alive[system.lost]] = np.nan
        break
    return found


def marched(rom: EvolutionReducedModel, system: ReducedSystem, start: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Index of the time and state, from a start on, by the model's scheme and steps."""
    control = None if rom.control is None else StepControl(*rom.control)
    for step in march(system, rom.scheme, rom.times, start, control=control):
        yield step.index, step.state


def _outputs(rom: EvolutionReducedModel, mu: np.ndarray, t: float, states: np.ndarray) -> np.ndarray:
    """l^T S_j + (dl / dmu_j)^T x (o, p, b) of states (r, (1 + p) b)."""
    b, theta = len(mu), rom.output_theta
    x, S = states[:, :b], states[:, b:]
    weights = coefficients_at(theta, mu, t).T
    parts = (rom.output @ S).reshape(*rom.output.shape[:2], -1, b)
    slopes = theta_jacobian(theta, rom.parameters.columns).contract(row_at(theta, mu, t), rom.output @ x)
    return np.asarray(np.einsum("qb,qopb->opb", weights, parts) + slopes.transpose(1, 0, 2))


class ReducedTangentSystem(ReducedSystem):
    """The steps of states (r, (1 + p) b): x, and its derivatives by one parameter after the other.

    Parameters
    ----------
    model : EvolutionReducedModel
    mu : (b, p)
    """

    def start(self) -> np.ndarray:
        """The first states (r, (1 + p) b)."""
        model, theta = self._model, self._model.initial_theta
        slopes = model.mass_inverse @ self._contracted(theta, 0.0, model.initial[:, :, None])
        return self._joined(model.start(self.mu), slopes)

    def rate(self, t: float, x: np.ndarray) -> np.ndarray:
        """G(x), and (dG/dx) S_j + dG/dmu_j."""
        state, S = self._split(x)
        slopes = self._explicit(t, state) - self._products(self._jacobian(t, state), S)
        return self._joined(super().rate(t, state), slopes)

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The X with M X - c (G, (dG/dx) S_j + dG/dmu_j) = rhs."""
        if c == 0.0:
            return super().solve(c, t, rhs, guess)
        right, columns = self._split(rhs)
        state = super().solve(c, t, right, self._split(guess)[0])
        columns = columns + c * self._explicit(t, state)
        if self._model.nonlinear is None:
            return self._joined(state, np.einsum("ijb,pjb->pib", self._inverse(c, t), columns))
        matrices = self._model.mass + c * self._jacobian(t, state)
        good = np.isfinite(matrices).all(axis=(1, 2)) & ~self.lost
        matrices[~good] = np.eye(self._model.size)
        S = np.linalg.solve(matrices, columns.transpose(2, 1, 0)).transpose(2, 1, 0)
        return self._joined(state, np.where(good, S, 0.0))

    def _jacobian(self, t: float, x: np.ndarray) -> np.ndarray:
        """A + V^T N'(V x) (b, r, r)."""
        model = self._model
        J = np.einsum("bq,qij->bij", self.theta_a(t), model.operator) if len(model.operator) else 0.0
        if model.nonlinear is None:
            return np.asarray(J)
        return np.asarray(J + model.nonlinear.jacobian(x, self.mu, t))

    def _explicit(self, t: float, x: np.ndarray) -> np.ndarray:
        """dG/dmu_j (p, r, b) at fixed x."""
        model = self._model
        total = self._contracted(model.rhs_theta, t, model.rhs[:, :, None])
        if len(model.operator):
            total -= self._contracted(model.operator_theta, t, model.operator @ x)
        if model.nonlinear is not None:
            for j, name in enumerate(model.parameters.columns):
                total[j] -= model.nonlinear.parameter_derivative(name, x, self.mu, t)
        return total

    def _contracted(self, theta: Theta, t: float, parts: np.ndarray) -> np.ndarray:
        jacobian = theta_jacobian(theta, self._model.parameters.columns)
        return np.asarray(jacobian.contract(row_at(theta, self.mu, t), parts))

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x (r, b) and S (p, r, b)."""
        r, b = x.shape[0], len(self.mu)
        return x[:, :b], x[:, b:].reshape(r, -1, b).transpose(1, 0, 2)

    def _joined(self, x: np.ndarray, S: np.ndarray) -> np.ndarray:
        return np.hstack([x, S.transpose(1, 0, 2).reshape(len(x), -1)])

    def _products(self, J: np.ndarray, S: np.ndarray) -> np.ndarray:
        return (J @ S.transpose(2, 1, 0)).transpose(2, 1, 0)
