"""Reduced models of stationary nonlinear models: a batch of small Newton iterations at a cost without n."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.mesh import Mesh
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.model import Answer, BasisModel, mesh_arrays, mesh_from, truncated_size
from romflow.rom.newton import batched_newton
from romflow.rom.residual import leading, residual_coefficients
from romflow.rom.sensitivity import nonlinear_sensitivity
from romflow.rom.stability import StabilityBound, stability_from_arrays

__all__ = ["NonlinearAnswer", "NonlinearReducedModel"]

KIND = "nonlinear"
_TOLERANCE = 1e-12
_ROUNDING = 100 * np.finfo(float).eps
_CHUNK_NUMBERS = 4_000_000
# Parameters between the nearest training parameter and one that plain Newton did not reach.
_CONTINUATION = (0.125, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class NonlinearAnswer(Answer):
    """Answer of a nonlinear reduced model; where Newton did not converge, outputs are NaN and the error infinite.

    Attributes
    ----------
    converged : (b,) bool or None
        Which parameters have a solution.
    """

    converged: np.ndarray | None = None


@dataclass(frozen=True)
class NonlinearReducedModel(BasisModel):
    """V x(mu) with A(mu) x + V^T N(V x; mu) = f(mu) by Newton's method, N from its interpolation points alone.

    The error is an indicator: ||f - A V x - U' c(x)||_{X'} / alpha with the coefficients c of N(V x) on a larger
    collateral basis U', so that the interpolation error is in it. alpha is the lower bound of the coercivity constant
    of A where N is monotone, else the smallest singular value of the reduced Jacobian.

    Attributes
    ----------
    basis : (n, r)
        X-orthonormal.
    operator : (Q, r, r), rhs : (Qf, r), output : (Ql, o, r)
        Projected terms, with coefficients `operator_theta`, `rhs_theta`, `output_theta`.
    output_gram : (o, Ql, Ql)
        Dual inner products of each output's terms.
    term : HyperReducedTerm
    factor : (m, Qf + m' + r Q)
        T with ||f - A V x - U' c||_{X'} = ||T (theta_f, -c, -theta_q x_i)||.
    training : (k, p), training_coefficients : (r, k)
        Parameters and coefficients of the snapshots: Newton starts from the nearest.
    stability : StabilityBound or None
        Coercivity of A.
    monotone : bool
        (N(u) - N(v))^T (u - v) >= 0.
    """

    parameters: ParameterSpace
    basis: np.ndarray
    operator_theta: Theta
    operator: np.ndarray
    rhs_theta: Theta
    rhs: np.ndarray
    output_names: tuple[str, ...]
    output_theta: Theta
    output: np.ndarray
    output_gram: np.ndarray
    term: HyperReducedTerm
    factor: np.ndarray
    training: np.ndarray
    training_coefficients: np.ndarray
    stability: StabilityBound | None = None
    monotone: bool = False
    norm_name: str = "X"
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def error_kind(self) -> str:
        """Always "indicator": what N leaves outside the larger collateral space is not known online."""
        return "indicator"

    def solve(self, mu: Any, check: bool = True) -> NonlinearAnswer:
        """Solve for a whole batch at once; the cost does not depend on n.

        Parameters
        ----------
        mu : (b, p)
        check : bool
            Validate mu against the parameter space (False saves that for trusted input).

        Returns
        -------
        NonlinearAnswer

        Raises
        ------
        ParameterError, ShapeError
            mu has the wrong shape, is not finite or lies outside the space.
        """
        mu = self.parameters.validate(mu) if check else mu
        b, size = mu.shape[0], max(1, _CHUNK_NUMBERS // max(1, self.size**2))
        parts = [self._solve(mu[start:start + size]) for start in range(0, b, size)] or [self._solve(mu)]
        x, converged, error, psi = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        norm = np.sqrt(np.einsum("rb,rb->b", x, x))
        error = np.where(converged, error + _ROUNDING * norm, np.inf)
        output = np.where(converged, np.einsum("qb,qor,rb->ob", psi, self.output, x, optimize=True), np.nan)
        dual = np.sqrt(np.maximum(np.einsum("qb,oqs,sb->ob", psi, self.output_gram, psi, optimize=True), 0.0))
        spread = np.full(output.shape, np.inf)
        np.multiply(dual, error, out=spread, where=converged)
        return NonlinearAnswer(output=output, error=error, kind=self.error_kind, coefficients=x, norm=norm,
                               output_error=spread + _ROUNDING * np.abs(np.where(converged, output, 0.0)),
                               converged=converged)

    def residual(self, x: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """A(mu) x + V^T N(V x; mu) - f(mu) (r, b) for x (r, b), mu (b, p)."""
        return self._system(mu).residual(x, np.arange(len(mu)))

    def jacobian(self, x: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """Derivatives of `residual` (b, r, r) with respect to x."""
        return self._system(mu).jacobian(x, np.arange(len(mu)))

    def sensitivity(self, mu: Any, check: bool = True) -> np.ndarray:
        """Derivatives (o, p, b) of the outputs at mu (b, p), all at once; see `romflow.rom.sensitivity`."""
        return nonlinear_sensitivity(self, mu, check)

    def truncate(self, size: int) -> NonlinearReducedModel:
        """The model on the first `size` basis vectors, by slicing alone; the interpolation stays what it is."""
        r = truncated_size(self, size)
        columns = len(self.rhs_theta) + len(self.term.wide) + r * len(self.operator_theta)
        return replace(self, basis=self.basis[:, :r], operator=self.operator[:, :r, :r], rhs=self.rhs[:, :r],
                       output=self.output[:, :, :r], term=self.term.truncate(r), factor=leading(self.factor, columns),
                       training_coefficients=self.training_coefficients[:r])

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        own, about = self.term.to_arrays()
        arrays = {"basis": self.basis, "operator": self.operator, "rhs": self.rhs, "output": self.output,
                  "output_gram": self.output_gram, "residual_factor": self.factor, "training": self.training,
                  "training_coefficients": self.training_coefficients} | own
        metadata: dict[str, Any] = {
            "parameters": self.parameters.to_spec(), "term": about, "monotone": self.monotone,
            "operator_theta": list(self.operator_theta.expressions), "rhs_theta": list(self.rhs_theta.expressions),
            "output_theta": list(self.output_theta.expressions), "output_names": list(self.output_names),
            "norm": self.norm_name, "error_kind": self.error_kind, "about": self.metadata}
        if self.stability is not None:
            extra, metadata["stability"] = self.stability.to_arrays()
            arrays |= extra
        if self.mesh is not None:
            arrays |= mesh_arrays(self.mesh)
        return KIND, arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> NonlinearReducedModel:
        """The model that `to_arrays` described."""
        parameters = ParameterSpace.from_spec(metadata["parameters"])
        columns, stability = parameters.columns, metadata.get("stability")
        return cls(parameters=parameters, basis=arrays["basis"],
                   operator_theta=Theta(metadata["operator_theta"], columns), operator=arrays["operator"],
                   rhs_theta=Theta(metadata["rhs_theta"], columns), rhs=arrays["rhs"],
                   output_names=tuple(metadata["output_names"]),
                   output_theta=Theta(metadata["output_theta"], columns), output=arrays["output"],
                   output_gram=arrays["output_gram"], term=HyperReducedTerm.from_arrays(arrays, metadata["term"]),
                   factor=arrays["residual_factor"], training=arrays["training"],
                   training_coefficients=arrays["training_coefficients"],
                   stability=None if stability is None else stability_from_arrays(arrays, stability, columns),
                   monotone=metadata["monotone"], norm_name=metadata["norm"], mesh=mesh_from(arrays),
                   metadata=metadata["about"])

    def coefficients(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients x (r, b) at mu (b, p), and which of them converged (b,).

        Newton starts from the nearest training parameter; where that fails, along the straight line from it.
        """
        nearest = self._nearest(mu)
        x, converged = self._system(mu).solve(self.training_coefficients[:, nearest])
        lost = np.flatnonzero(~converged)
        if lost.size:
            x[:, lost], converged[lost] = self._continued(mu[lost], nearest[lost])
        return x, converged

    def _solve(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients (r, b), which converged (b,), indicators (b,) and output coefficients (Ql, b) of a chunk."""
        x, converged = self.coefficients(mu)
        alpha = self._alpha(x, mu, converged)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(alpha > 0.0, self._residual_norm(x, mu, converged) / alpha, np.inf)
        return x, converged, error, self.output_theta(mu).T

    def _continued(self, mu: np.ndarray, nearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton along straight lines of parameters from the nearest training parameters."""
        start, x = self.training[nearest], self.training_coefficients[:, nearest]
        converged = np.zeros(len(mu), dtype=bool)
        for share in _CONTINUATION:
            found, converged = self._system(start + share * (mu - start)).solve(x)
            x = np.where(converged, found, x)
        return x, converged

    def _system(self, mu: np.ndarray) -> _System:
        A = np.einsum("bq,qij->bij", self.operator_theta(mu), self.operator, optimize=True)
        return _System(A, self.rhs.T @ self.rhs_theta(mu).T, self.term, mu)

    def _alpha(self, x: np.ndarray, mu: np.ndarray, converged: np.ndarray) -> np.ndarray:
        if self.monotone and self.stability is not None and self.stability.kind == "coercivity":
            return self.stability(mu)
        alpha, known = np.zeros(len(mu)), np.flatnonzero(converged)
        if known.size and self.size:
            J = self.jacobian(x[:, known], mu[known])
            alpha[known] = np.linalg.svd(J, compute_uv=False)[:, -1]
        return alpha

    def _residual_norm(self, x: np.ndarray, mu: np.ndarray, converged: np.ndarray) -> np.ndarray:
        """||T c|| (b,), infinite where there is no solution."""
        norm, known = np.full(len(mu), np.inf), np.flatnonzero(converged)
        x, mu = x[:, known], mu[known]
        linear = residual_coefficients(self.operator_theta(mu), self.rhs_theta(mu), x)
        Qf = len(self.rhs_theta)
        c = np.hstack([linear[:, :Qf], -self.term.coefficients(x, mu).T, linear[:, Qf:]])
        y = c @ self.factor.T
        norm[known] = np.sqrt(np.einsum("bm,bm->b", y, y))
        return norm

    def _nearest(self, mu: np.ndarray) -> np.ndarray:
        """Index (b,) of the training parameter nearest to each of mu (b, p), in units of the training's spread."""
        z, points = mu / self._spread, self.training / self._spread
        distance = (points**2).sum(axis=1) - 2.0 * z @ points.T
        return np.argmin(distance, axis=1)

    @cached_property
    def _spread(self) -> np.ndarray:
        spread = np.ptp(self.training, axis=0)
        return np.where(spread > 0.0, spread, 1.0)


@dataclass(frozen=True)
class _System:
    """A_j x_j + V^T N(V x_j; mu_j) = f_j for A (b, r, r), f (r, b)."""

    A: np.ndarray
    f: np.ndarray
    term: HyperReducedTerm
    mu: np.ndarray

    def residual(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        linear = np.matmul(self.A[columns], x.T[:, :, None])[:, :, 0].T
        return linear + self.term.project(x, self.mu[columns]) - self.f[:, columns]

    def jacobian(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.A[columns] + self.term.jacobian(x, self.mu[columns])

    def solve(self, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton from a guess (r, b); residuals are compared with the terms that they are the sum of."""
        every = np.arange(len(self.mu))
        linear = np.matmul(self.A, guess.T[:, :, None])[:, :, 0].T
        with np.errstate(all="ignore"):
            pointwise = self.term.project(guess, self.mu[every])
            sizes = [np.linalg.norm(part, axis=0) for part in (linear, pointwise, self.f)]
        return batched_newton(self.residual, self.jacobian, guess, np.max(sizes, axis=0), _TOLERANCE)
