"""Reduced evolution models: trajectories of a whole batch of parameters with bounds of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.core.mesh import Mesh
from romflow.linalg.stepping.control import StepControl
from romflow.linalg.stepping.march import march
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolationError
from romflow.parameters.space import ParameterSpace
from romflow.parameters.timed import coefficients_at, depends_on_time
from romflow.rom.evolution_answer import EvolutionAnswer
from romflow.rom.evolution_bounds import ErrorsInTime, energy_errors, summed_errors
from romflow.rom.evolution_residual import residual_squares
from romflow.rom.evolution_sensitivity import ReducedTangentSystem, marched, series_sensitivity
from romflow.rom.evolution_system import ReducedSystem
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.model import BasisModel, mesh_arrays, mesh_from, truncated_size
from romflow.rom.residual import leading
from romflow.rom.stability import StabilityBound, stability_from_arrays

__all__ = ["EvolutionReducedModel"]

KIND = "evolution"
_ROUNDING = 100 * np.finfo(float).eps
# Numbers of the inverses and of the trajectories of a chunk of parameters.
_CHUNK_NUMBERS = 400_000


@dataclass(frozen=True)
class EvolutionReducedModel(BasisModel):
    """M x' + A(mu, t) x + V^T N(V x) = f(mu, t) with M x(0) = V^T M u0(mu), by the full-order model's scheme and steps.

    For implicit Euler, coercive A (u^T A u >= alpha ||u||_X^2) and N = 0 the error e^k = u^k - V x^k satisfies

        ||e^k||_M^2 + sum_{j<=k} dt_j alpha_j ||e^j||_X^2 <= ||e^0||_M^2 + sum_{j<=k} dt_j ||r^j||_{X'}^2 / alpha_j

    (Grepl and Patera 2005, proposition 1; Haasdonk and Ohlberger 2008, section 4), r^j the residual of step j. For the
    other schemes and with N the same sum, with the reduced rate in place of the difference quotient, is an indicator:
    it leaves out what the scheme's own steps do.

    Attributes
    ----------
    basis : (n, r)
        X-orthonormal.
    times : (K + 1,)
    scheme : str
    control : tuple (tolerance, smallest) or None
        Step control between the times.
    mass : (r, r)
        V^T M V.
    operator : (Q, r, r), rhs : (Qf, r), output : (Ql, o, r)
        Projected terms, with coefficients `operator_theta`, `rhs_theta`, `output_theta`, which may move in time.
    initial : (Qu, r)
        V^T M u0_q, with coefficients `initial_theta`.
    initial_factor : (m0, Qu + r)
        Factor of [u0_q, V] in the norm of M.
    output_gram, output_mass_gram : (o, Ql, Ql)
        Dual inner products of each output's terms, with respect to X and to M.
    factor : (m, Qf + m' + r (Q + 1))
        See `romflow.rom.evolution_residual.residual_squares`.
    stability : StabilityBound or None
    nonlinear : HyperReducedTerm or None
    interpolation : InterpolationError or None
        What the terms leave of a truth that is not affine; `load` is the factor of its right-hand side.
    in_mass : bool
        X = M.
    """

    parameters: ParameterSpace
    basis: np.ndarray
    times: np.ndarray
    scheme: str
    control: tuple[float, float] | None
    mass: np.ndarray
    operator_theta: Theta
    operator: np.ndarray
    rhs_theta: Theta
    rhs: np.ndarray
    initial_theta: Theta
    initial: np.ndarray
    initial_factor: np.ndarray
    output_names: tuple[str, ...]
    output_theta: Theta
    output: np.ndarray
    output_gram: np.ndarray
    output_mass_gram: np.ndarray
    factor: np.ndarray
    stability: StabilityBound | None
    symmetric: bool
    nonlinear: HyperReducedTerm | None = None
    in_mass: bool = False
    interpolation: InterpolationError | None = None
    load: Theta | None = None
    space_norm: str = "X"
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def norm_name(self) -> str:
        """Name of the norm of `error`."""
        return f"L2(0,T; {self.space_norm})"

    @property
    def error_kind(self) -> str:
        """"bound" for implicit Euler with bounds of coercivity and interpolation error and no N, else "indicator"."""
        certified = (self.scheme == "implicit-euler" and self.control is None and self.nonlinear is None
                     and self.stability is not None and self.stability.kind == "coercivity"
                     and getattr(self.stability, "exact", True)
                     and (self.interpolation is None or self.interpolation.exact))
        return "bound" if certified else "indicator"

    def solve(self, mu: Any, check: bool = True) -> EvolutionAnswer:
        """Trajectories of a whole batch at once; the cost does not depend on n.

        Cost a parameter: 2 r^3 for the inverse of M + dt A of each step size, 4 r^2 a step, and for the bound
        4 m r a step with m <= Qf + r (Q + 1).

        Parameters
        ----------
        mu : (b, p)
        check : bool
            Validate mu against the parameter space (False saves that for trusted input).

        Returns
        -------
        EvolutionAnswer

        Raises
        ------
        ParameterError, ShapeError
            mu has the wrong shape, is not finite or lies outside the space.
        """
        mu = self.parameters.validate(mu) if check else mu
        b, K, r, o = len(mu), len(self.times), self.size, len(self.output_names)
        X, squares, converged = np.empty((K, r, b)), np.empty((K, b)), np.ones(b, dtype=bool)
        chunk = max(1, _CHUNK_NUMBERS // max(1, r * max(r, K)))
        for start in range(0, b, chunk):
            part = slice(start, start + chunk)
            X[:, :, part], squares[:, part], converged[part] = self._trajectories(mu[part])
        steps = np.diff(self.times)
        norm = np.sqrt(np.einsum("k,krb,krb->b", steps, X[1:], X[1:]))
        left = None if self.interpolation is None else self._interpolation_residual(mu, X)
        if left is not None:
            squares = (np.sqrt(squares) + left) ** 2
        found = self._errors(mu, X[0], squares)
        error = np.where(converged, found.total + _ROUNDING * norm, np.inf)
        series, series_error = self._outputs(mu, X, found)
        series_error = np.where(converged, series_error + _ROUNDING * np.abs(series), np.inf)
        series = np.where(converged, series, np.nan).reshape(o, K, b)
        return EvolutionAnswer(output=series[:, -1], error=error[-1], kind=self.error_kind, coefficients=X[-1],
                               norm=norm, output_error=series_error[:, -1], times=self.times, trajectory=X,
                               series=series, error_series=error, series_error=series_error, converged=converged,
                               interpolation_error=None if left is None else self._errors(mu, X[0], left**2).total[-1])

    def start(self, mu: np.ndarray) -> np.ndarray:
        """Coefficients (r, b) of the M-orthogonal projection of u0 at mu (b, p)."""
        return np.asarray(self.mass_inverse @ (self.initial.T @ self.initial_theta(self._padded(mu)).T))

    def sensitivity(self, mu: Any, check: bool = True) -> np.ndarray:
        """Derivatives (o, p, b) of the outputs at the last time with respect to the parameters, at mu (b, p)."""
        return series_sensitivity(self, mu, check)[:, :, -1]

    def series_sensitivity(self, mu: Any, check: bool = True) -> np.ndarray:
        """Derivatives (o, p, K + 1, b) of the outputs at all times; see `romflow.rom.evolution_sensitivity`."""
        return series_sensitivity(self, mu, check)

    def tangent_states(self, system: ReducedTangentSystem) -> Iterator[tuple[int, np.ndarray]]:
        """Index of each time, and the states with their derivatives (r, (1 + p) b) there."""
        return marched(self, system, system.start())

    def truncate(self, size: int) -> EvolutionReducedModel:
        """The model on the first `size` basis vectors, by slicing alone."""
        r = truncated_size(self, size)
        columns = len(self.rhs_theta) + self.collateral + r * (len(self.operator_theta) + 1)
        return replace(self, basis=self.basis[:, :r], mass=self.mass[:r, :r], operator=self.operator[:, :r, :r],
                       rhs=self.rhs[:, :r], initial=self.initial[:, :r], output=self.output[:, :, :r],
                       initial_factor=leading(self.initial_factor, len(self.initial_theta) + r),
                       factor=leading(self.factor, columns),
                       nonlinear=None if self.nonlinear is None else self.nonlinear.truncate(r))

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        arrays = {name: getattr(self, name) for name in _ARRAYS} | {"residual_factor": self.factor}
        metadata: dict[str, Any] = {name: list(getattr(self, name).expressions) for name in _THETAS}
        metadata |= {"parameters": self.parameters.to_spec(), "scheme": self.scheme, "norm": self.space_norm,
                     "control": None if self.control is None else list(self.control), "symmetric": self.symmetric,
                     "in_mass": self.in_mass,
                     "output_names": list(self.output_names), "error_kind": self.error_kind, "about": self.metadata}
        if self.stability is not None:
            extra, about = self.stability.to_arrays()
            arrays |= extra
            metadata["stability"] = about
        if self.nonlinear is not None:
            extra, metadata["term"] = self.nonlinear.to_arrays()
            arrays |= extra
        if self.interpolation is not None and self.load is not None:
            extra, metadata["interpolation"] = self.interpolation.to_arrays()
            arrays |= extra
            metadata["load"] = list(self.load.expressions)
        if self.mesh is not None:
            arrays |= mesh_arrays(self.mesh)
        return KIND, arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> EvolutionReducedModel:
        """The model that `to_arrays` described."""
        parameters = ParameterSpace.from_spec(metadata["parameters"])
        timed = (*parameters.columns, "t")
        thetas: dict[str, Any] = {name: Theta(metadata[name], timed) for name in _THETAS}
        own: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
        stability, term, control = metadata.get("stability"), metadata.get("term"), metadata["control"]
        interpolation = metadata.get("interpolation")
        # These look at coefficients that do not move.
        steady = stability is not None and stability["method"] in ("pointwise", "less-interpolation")
        columns = parameters.columns if steady else timed
        return cls(parameters=parameters, scheme=metadata["scheme"], symmetric=metadata["symmetric"],
                   in_mass=metadata["in_mass"],
                   control=None if control is None else (float(control[0]), float(control[1])),
                   stability=None if stability is None else stability_from_arrays(arrays, stability, columns),
                   interpolation=None if interpolation is None else InterpolationError.from_arrays(
                       arrays, interpolation),
                   load=Theta(metadata.get("load", ["1"]), timed),
                   nonlinear=None if term is None else HyperReducedTerm.from_arrays(arrays, term),
                   output_names=tuple(metadata["output_names"]), factor=arrays["residual_factor"],
                   space_norm=metadata["norm"], mesh=mesh_from(arrays), metadata=metadata["about"],
                   **thetas, **own)

    @property
    def collateral(self) -> int:
        """Number m' of collateral modes in the residual."""
        return 0 if self.nonlinear is None else len(self.nonlinear.wide)

    @cached_property
    def definite(self) -> bool:
        """M + c A is symmetric positive definite for every c > 0."""
        known = self.stability is not None and self.stability.kind == "coercivity"
        return self.symmetric and known and self.interpolation is None

    @cached_property
    def moving(self) -> bool:
        """A depends on the time."""
        return depends_on_time(self.operator_theta)

    @cached_property
    def loaded(self) -> bool:
        """f depends on the time."""
        return depends_on_time(self.rhs_theta)

    @cached_property
    def mass_inverse(self) -> np.ndarray:
        """M^{-1} (r, r)."""
        return np.linalg.inv(self.mass)

    @cached_property
    def residual_terms(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the factor on M V (r, m) and on A_q V (Q, r m), transposed."""
        Q, r = len(self.operator_theta), self.size
        terms = self.factor[:, len(self.rhs_theta):].reshape(len(self.factor), r, Q + 1).transpose(2, 1, 0)
        return np.ascontiguousarray(terms[0]), np.ascontiguousarray(terms[1:]).reshape(Q, r * len(self.factor))

    def _trajectories(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients (K + 1, r, b), squared residual norms (K + 1, b) and which converged (b,) of a chunk."""
        X = np.zeros((len(self.times), self.size, len(mu)))
        squares = np.zeros((len(self.times), len(mu)))
        alive = np.arange(len(mu))
        while alive.size:
            system = ReducedSystem(self, mu[alive])
            failed = self._march(system, X, alive)
            if failed is None:
                break
            alive = np.delete(alive, failed)
        if alive.size:
            alive = alive[~system.lost]
            whole = alive.size == len(mu)
            rows = X if whole else X[:, :, alive]
            system = system if whole else ReducedSystem(self, mu[alive])
            squares[1:, alive] = self._residuals(system, rows)
        converged = np.zeros(len(mu), dtype=bool)
        converged[alive] = True
        return X, squares, converged

    def _march(self, system: ReducedSystem, X: np.ndarray, alive: np.ndarray) -> np.ndarray | None:
        """Fill the columns `alive` of X; the numbers among them whose states are no numbers, None if all are."""
        control = None if self.control is None else StepControl(*self.control)
        whole = alive.size == X.shape[2]
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                for step in march(system, self.scheme, self.times, self.start(system.mu), control=control):
                    X[step.index, :, slice(None) if whole else alive] = step.state if whole else step.state.T
        except SolveFailed as failure:
            return failed_columns(failure, alive.size)
        return None

    def _residuals(self, system: ReducedSystem, X: np.ndarray) -> np.ndarray:
        """Squared residual norms (K, b): those of Euler's own equations, else of the equation with the reduced rate."""
        if self.control is None and self.scheme in ("implicit-euler", "explicit-euler"):
            slopes = np.diff(X, axis=0) / np.diff(self.times)[:, None, None]
            where = slice(1, None) if self.scheme == "implicit-euler" else slice(0, -1)
            return residual_squares(self, system, self.times[where], X[where], slopes)
        slopes = np.stack([self.mass_inverse @ system.rate(t, x)
                           for t, x in zip(self.times[1:].tolist(), X[1:], strict=True)])
        return residual_squares(self, system, self.times[1:], X[1:], slopes)

    def _interpolation_residual(self, mu: np.ndarray, X: np.ndarray) -> np.ndarray | None:
        """What the interpolation of A and f leaves of the truth's residual, in its norm (K + 1, b) at most."""
        if self.interpolation is None or self.load is None:
            return None
        norms = np.sqrt(np.einsum("krb,krb->kb", X, X))
        loads = np.abs([coefficients_at(self.load, mu, t)[:, 0] for t in self.times.tolist()])
        return np.asarray(loads * self.interpolation.of_rhs(mu) + norms * self.interpolation.of_operator(mu))

    def _padded(self, mu: np.ndarray) -> np.ndarray:
        """mu with the first time behind it where the initial state's coefficients have a column for it."""
        if len(self.initial_theta.columns) == mu.shape[1]:
            return mu
        return np.column_stack([mu, np.full(len(mu), self.times[0])])

    def _alpha(self, mu: np.ndarray) -> np.ndarray:
        """Lower bounds (K + 1, b) at the times, the first counting as the second; ones where none is known."""
        shape = (len(self.times), len(mu))
        if self.stability is None:
            return np.ones(shape)
        theta = getattr(self.stability, "theta", None)
        if theta is None or theta.columns[-1:] != ("t",):
            return np.broadcast_to(self.stability(mu), shape)
        if not depends_on_time(theta):
            return np.broadcast_to(self.stability(np.column_stack([mu, np.zeros(len(mu))])), shape)
        alpha = np.stack([self.stability(np.column_stack([mu, np.full(len(mu), t)])) for t in self.times[1:]])
        return np.concatenate([alpha[:1], alpha])

    def _errors(self, mu: np.ndarray, x0: np.ndarray, squares: np.ndarray) -> ErrorsInTime:
        """By the energy estimate; by sums of residuals where X = M and no coercivity is known."""
        c = np.hstack([self.initial_theta(self._padded(mu)), -x0.T]) @ self.initial_factor.T
        start, steps = np.einsum("bm,bm->b", c, c), np.diff(self.times)
        if self.in_mass and self.stability is None:
            return summed_errors(start, squares, steps)
        return energy_errors(start, squares, steps, self._alpha(mu))

    def _outputs(self, mu: np.ndarray, X: np.ndarray, found: ErrorsInTime) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (o, K + 1, b) and their errors: |l(e)| <= ||l||_{M'} ||e||_M and ||l||_{X'} ||e||_X, the smaller."""
        theta = self._output_coefficients(mu)
        series = np.zeros((len(self.output_names), len(X), len(mu)))
        for q, functionals in enumerate(self.output):
            series += (functionals @ X).transpose(1, 0, 2) * theta[q]
        duals = [np.sqrt(np.maximum(np.einsum("qkb,oqs,skb->okb", theta, gram, theta), 0.0))
                 for gram in (self.output_mass_gram, self.output_gram)]
        with np.errstate(invalid="ignore"):
            return series, np.fmin(duals[0] * found.in_mass, duals[1] * found.in_space)

    def _output_coefficients(self, mu: np.ndarray) -> np.ndarray:
        """Coefficients (Ql, K + 1 or 1, b) of the outputs: one time where they do not move."""
        times = self.times if depends_on_time(self.output_theta) else self.times[:1]
        theta = np.stack([coefficients_at(self.output_theta, mu, t) for t in times.tolist()])
        return np.ascontiguousarray(theta.transpose(2, 0, 1))


def failed_columns(failure: SolveFailed, b: int) -> np.ndarray:
    """Which columns of a batch of b made a march fail; all of them where the report does not say."""
    columns = failure.report.get("columns")
    return np.arange(b) if not columns else np.asarray(columns)


_ARRAYS = ("basis", "times", "mass", "operator", "rhs", "initial", "initial_factor", "output", "output_gram",
           "output_mass_gram")
_THETAS = ("operator_theta", "rhs_theta", "initial_theta", "output_theta")
