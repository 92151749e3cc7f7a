"""Reduced models of affine full-order models, by Galerkin or least-squares (minimal residual) projection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported, StoreError
from romflow.core.mesh import Mesh
from romflow.linalg.batched import assemble_and_solve, least_squares
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolationError
from romflow.parameters.space import ParameterSpace
from romflow.rom.model import Answer, BasisModel, mesh_arrays, mesh_from, truncated_size
from romflow.rom.residual import EimResidual, GramResidual, OrthonormalResidual, ResidualNorm, leading
from romflow.rom.sensitivity import affine_sensitivity
from romflow.rom.sketched_residual import SketchedResidual
from romflow.rom.stability import StabilityBound, stability_from_arrays
from romflow.store.split_array import SplitArray

KIND = "affine"
# What rounding may add, relative to the solution: the truth is only solved to about as much.
_ROUNDING = 100 * np.finfo(float).eps


@dataclass(frozen=True)
class AffineReducedModel(BasisModel):
    """V x(mu) with sum_q theta_q(mu) A_q x = sum_q theta_q(mu) f_q, and its residual-based error estimate.

    Attributes
    ----------
    basis : (n, r)
        X-orthonormal; of a model on MPI ranks in part files.
    operator : (Q, r, r), rhs : (Qf, r), output : (Ql, o, r)
        Projected terms, with coefficients `operator_theta`, `rhs_theta`, `output_theta`.
    factor : (m, Qf + r Q)
        T with ||residual||_{X'} = ||T c||, see `romflow.rom.residual`; with a sketched residual the sketched columns.
    output_gram : (o, Ql, Ql)
        Dual inner products of each output's terms: ||l(mu)||_{X'}^2 = psi^T G psi.
    compliance : (o,)
        c where output = c times the right-hand side (the output error is then quadratic), else 0.
    interpolation : InterpolationError or None
        By how much the terms fail the model that they interpolate; it enters the error estimate beside the residual.
    """

    parameters: ParameterSpace
    basis: np.ndarray | SplitArray
    operator_theta: Theta
    operator: np.ndarray
    rhs_theta: Theta
    rhs: np.ndarray
    output_names: tuple[str, ...]
    output_theta: Theta
    output: np.ndarray
    output_gram: np.ndarray
    compliance: np.ndarray
    factor: np.ndarray
    residual: ResidualNorm
    stability: StabilityBound | None
    projection: str
    symmetric: bool
    norm_name: str = "X"
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    interpolation: InterpolationError | None = None

    @property
    def error_kind(self) -> str:
        """"bound" where stability, residual norm and interpolation error are all bounded, else "indicator"."""
        certain = self.interpolation is None or self.interpolation.exact
        return "bound" if self.stability is not None and self.residual.exact and certain else "indicator"

    @cached_property
    def definite(self) -> bool:
        """All the reduced operators are symmetric positive definite."""
        # Few terms may interpolate a positive coefficient by one that is negative somewhere.
        positive = self.stability is not None and self.stability.kind == "coercivity"
        return positive and self.symmetric and self.interpolation is None

    def solve(self, mu: Any, check: bool = True) -> Answer:
        """Solve for a whole batch at once; the cost does not depend on n.

        Parameters
        ----------
        mu : (b, p)
        check : bool
            Validate mu against the parameter space (False saves that for trusted input).

        Returns
        -------
        Answer

        Raises
        ------
        ParameterError, ShapeError
            mu has the wrong shape, is not finite or lies outside the space.
        """
        mu = self.parameters.validate(mu) if check else mu
        theta_a, theta_f = self.operator_theta(mu), self.rhs_theta(mu)
        x = self._coefficients(theta_a, theta_f)
        norm = np.sqrt(np.einsum("rb,rb->b", x, x))
        residual = self.residual.norm(theta_a, theta_f, x)
        left = None if self.interpolation is None else self.interpolation.residual(mu, norm)
        error, alpha = self._error(residual if left is None else residual + left, mu)
        psi = self.output_theta(mu)
        output = self._output(psi, x)
        return Answer(output=output, error=error + _ROUNDING * norm, kind=self.error_kind, coefficients=x, norm=norm,
                      output_error=self._output_error(psi, error, alpha) + _ROUNDING * np.abs(output),
                      interpolation_error=None if left is None else _divided(left, alpha))

    def sensitivity(self, mu: Any, check: bool = True) -> np.ndarray:
        """Derivatives (o, p, b) of the outputs at mu (b, p), all at once; see `romflow.rom.sensitivity`."""
        return affine_sensitivity(self, mu, check)

    def truncate(self, size: int) -> AffineReducedModel:
        """The model on the first `size` basis vectors, by slicing alone: V, A_q, f_q and T are nested."""
        r = truncated_size(self, size)
        columns = len(self.rhs_theta) + r * len(self.operator_theta)
        small = replace(self, basis=self.basis[:, :r], operator=self.operator[:, :r, :r], rhs=self.rhs[:, :r],
                        output=self.output[:, :, :r])
        factor = leading(self.factor, columns)
        if isinstance(self.residual, SketchedResidual):
            return replace(small, factor=factor, residual=replace(self.residual, T=factor))
        small = replace(small, factor=factor, residual=OrthonormalResidual(factor))
        return small.with_estimator(self.residual.name, getattr(self.residual, "training", None))

    def with_estimator(self, name: str, training: np.ndarray | None = None) -> AffineReducedModel:
        """The same model with another evaluation of the residual norm ("orthonormal", "gram" or "eim").

        `training` (k, p) are the parameters among which "eim" chooses its points.

        Raises
        ------
        NotSupported
            From or to "sketched": what is missing is fixed when the model is built.
        """
        if "sketched" in (name, self.residual.name):
            if name == self.residual.name:
                return self
            raise NotSupported(f"this model was built with estimator = \"{self.residual.name}\" and does not hold what "
                               f"\"{name}\" needs; build it again with [reduction] estimator = \"{name}\"")
        if name == "gram":
            return replace(self, residual=GramResidual(self.factor.T @ self.factor))
        if name == "eim":
            theta_a, theta_f = self.operator_theta(training), self.rhs_theta(training)
            x = self._coefficients(theta_a, theta_f)
            return replace(self, residual=EimResidual.build(self.factor, theta_a, theta_f, x, training))
        return replace(self, residual=OrthonormalResidual(self.factor))

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        arrays = {"basis": self.basis, "operator": self.operator, "rhs": self.rhs, "output": self.output,
                  "output_gram": self.output_gram, "compliance": self.compliance, "residual_factor": self.factor}
        arrays |= self.residual.to_arrays()
        metadata: dict[str, Any] = {
            "parameters": self.parameters.to_spec(), "projection": self.projection, "symmetric": self.symmetric,
            "operator_theta": list(self.operator_theta.expressions), "rhs_theta": list(self.rhs_theta.expressions),
            "output_theta": list(self.output_theta.expressions), "output_names": list(self.output_names),
            "estimator": self.residual.name, "norm": self.norm_name, "error_kind": self.error_kind,
            "about": self.metadata}
        if isinstance(self.residual, SketchedResidual):
            metadata["sketch"] = self.residual.about
        if self.stability is not None:
            extra, metadata["stability"] = self.stability.to_arrays()
            arrays |= extra
        if self.interpolation is not None:
            extra, metadata["interpolation"] = self.interpolation.to_arrays()
            arrays |= extra
        if self.mesh is not None:
            arrays |= mesh_arrays(self.mesh)
        return KIND, arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> AffineReducedModel:
        """The model that `to_arrays` described."""
        parameters = ParameterSpace.from_spec(metadata["parameters"])
        columns = parameters.columns
        stability, interpolation = metadata.get("stability"), metadata.get("interpolation")
        return cls(parameters=parameters, basis=arrays["basis"],
                   operator_theta=Theta(metadata["operator_theta"], columns), operator=arrays["operator"],
                   rhs_theta=Theta(metadata["rhs_theta"], columns), rhs=arrays["rhs"],
                   output_names=tuple(metadata["output_names"]),
                   output_theta=Theta(metadata["output_theta"], columns), output=arrays["output"],
                   output_gram=arrays["output_gram"], compliance=arrays["compliance"],
                   factor=arrays["residual_factor"], residual=_residual(arrays, metadata),
                   stability=None if stability is None else stability_from_arrays(arrays, stability, columns),
                   projection=metadata["projection"], symmetric=metadata["symmetric"], norm_name=metadata["norm"],
                   mesh=mesh_from(arrays), metadata=metadata["about"],
                   interpolation=(None if interpolation is None
                                  else InterpolationError.from_arrays(arrays, interpolation)))

    def _coefficients(self, theta_a: np.ndarray, theta_f: np.ndarray) -> np.ndarray:
        if self.size == 0:
            return np.zeros((0, theta_a.shape[0]))
        if self.projection == "galerkin":
            return assemble_and_solve(theta_a, self.operator, self.rhs.T @ theta_f.T, definite=self.definite)
        return self._minimal_residual(theta_a, theta_f)

    def _minimal_residual(self, theta_a: np.ndarray, theta_f: np.ndarray) -> np.ndarray:
        Qf, Q = len(self.rhs_theta), len(self.operator_theta)
        terms = self.factor[:, Qf:].reshape(-1, self.size, Q)
        x = np.empty((self.size, theta_a.shape[0]))
        chunk = max(1, int(4e6 / max(1, terms.shape[0] * self.size)))
        for start in range(0, theta_a.shape[0], chunk):
            part = slice(start, start + chunk)
            x[:, part] = least_squares(np.einsum("mrq,bq->bmr", terms, theta_a[part], optimize=True),
                                       theta_f[part] @ self.factor[:, :Qf].T)
        return x

    def _error(self, residual: np.ndarray, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if self.stability is None:
            return residual, None
        alpha = self.stability(mu)
        return _divided(residual, alpha), alpha

    def _output(self, psi: np.ndarray, x: np.ndarray) -> np.ndarray:
        if psi.shape[1] == 1:
            return (self.output[0] @ x) * psi[:, 0]
        return np.einsum("bq,qor,rb->ob", psi, self.output, x, optimize=True)

    def _output_error(self, psi: np.ndarray, error: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
        """||l||_{X'} Delta, and for compliant outputs of symmetric problems c alpha Delta^2 where that is smaller."""
        dual = np.sqrt(np.maximum(np.einsum("bq,oqs,bs->ob", psi, self.output_gram, psi, optimize=True), 0.0))
        bound = dual * error
        if alpha is None or not self.compliance.any() or not self.definite or self.projection != "galerkin":
            return bound
        quadratic = np.abs(self.compliance)[:, None] * (alpha * error**2)
        return np.where((self.compliance != 0.0)[:, None], np.fmin(bound, quadratic), bound)


def _divided(residual: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    if alpha is None:
        return residual
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(alpha > 0.0, residual / alpha, np.inf)


def _residual(arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> ResidualNorm:
    T, name = arrays["residual_factor"], metadata["estimator"]
    if name == "sketched":
        return SketchedResidual.from_about(T, metadata["sketch"])
    if name == "orthonormal":
        return OrthonormalResidual(T)
    if name == "gram":
        return GramResidual(T.T @ T)
    if name == "eim":
        return EimResidual.from_arrays(arrays)
    raise StoreError(f"the reduced model holds an estimator of the unknown kind '{name}'; update romflow")
