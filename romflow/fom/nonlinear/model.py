"""The stationary nonlinear model: A(mu) u + N(u; mu) = f(mu) by Newton's method, the load raised where it fails."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.names import shown
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.nonlinear.newton import newton
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.fom.products import checked_inner_product
from romflow.fom.sensitivity import sensitivity
from romflow.linalg.solvers.optional import EXTRAS, load
from romflow.linalg.solvers.policy import LinearSolver
from romflow.linalg.solvers.superlu import SuperLU
from romflow.linalg.sparse_sum import SparseSum
from romflow.parameters.space import ParameterSpace
from romflow.parameters.timed import loaded

if TYPE_CHECKING:
    from romflow.fom.evolution.model import EvolutionModel
    from romflow.fom.evolution.time_grid import TimeGrid

__all__ = ["NonlinearModel"]

# Share of the load that continuation adds first, and the least that it adds.
_FIRST_SHARE = 0.25
_LEAST_SHARE = 1.0 / 1024.0
_WIDE_PANEL = 8


class NonlinearModel:
    """A(mu) u + N(u; mu) = f(mu) solved to ||F(u)|| <= tolerance ||F(0)||, F = A u + N(u) - f, or not at all.

    Newton's method starts from zero. Where it fails, the load is raised in shares: the solution of
    F(u) = (1 - s) F(0), which is zero for s = 0, is followed to s = 1; a share that fails is halved, one that succeeds
    doubled. The answer depends on mu alone, not on earlier solves.

    Parameters
    ----------
    parameters : ParameterSpace
    operator : AffineOperator or None
        A, square (n, n).
    nonlinear : PointTerm
        N, whose function has the columns of the parameters.
    rhs : AffineVector or None
        f (n,).
    inner_product : sparse (n, n)
        X, symmetric positive definite.
    outputs : AffineOutputs, optional
    spec : dict
        JSON identity.
    norm : str
        Name of the norm of X.
    stability : dict, optional
        How a lower bound of the coercivity constant of A is found, see `romflow.fom.protocol.SupportsAffine`.
    mesh : Mesh, optional
        With n dofs.
    monotone : bool
        (N(u) - N(v)) . (u - v) >= 0 for all u and v: with it the constant of A bounds the error of the whole model.
    symmetric : bool
        A and dN/du are symmetric.
    tolerance, max_iterations
        Of each Newton iteration.
    mass : sparse (n, n), optional
        M of M du/dt + A u + N(u) = f, for `evolving`.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other; X is not symmetric or not finite.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.expressions import Theta
    >>> from romflow.parameters.point_function import PointFunction
    >>> from romflow.parameters.space import Parameter
    >>> space, one = ParameterSpace([Parameter("a", Uniform(0.5, 2.0))]), sp.eye_array(2)
    >>> cubic = PointTerm(one, one, PointFunction(["u**3"], ["u"], [], ["a"]))
    >>> model = NonlinearModel(space, AffineOperator(Theta(["a"], ["a"]), [one]), cubic,
    ...                        AffineVector(Theta(["1"], ["a"]), np.array([[2.0], [10.0]])), one, spec={})
    >>> model.solve(np.array([1.0])).state.round(12)
    array([1., 2.])
    """

    def __init__(self, parameters: ParameterSpace, operator: AffineOperator | None, nonlinear: PointTerm,
                 rhs: AffineVector | None, inner_product: sp.sparray, outputs: AffineOutputs | None = None, *,
                 spec: dict[str, Any], norm: str = "X", stability: dict[str, Any] | None = None,
                 mesh: Mesh | None = None, monotone: bool = False, symmetric: bool = False, tolerance: float = 1e-10,
                 max_iterations: int = 30, mass: sp.sparray | None = None) -> None:
        n = nonlinear.n
        _check(parameters, operator, nonlinear, rhs, outputs, mesh, mass)
        self.parameters, self.operator, self.nonlinear, self.rhs = parameters, operator, nonlinear, rhs
        self.outputs, self.n, self.spec, self.norm = outputs, n, spec, norm
        self.inner_product = checked_inner_product(inner_product, n)
        self.stability, self.mesh, self.mass = stability, mesh, mass
        self.monotone, self.symmetric = monotone, symmetric
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self._options: dict[str, Any] | None = None
        self._local = threading.local()

    def residual(self, u: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """F(u) = A(mu) u + N(u; mu) - f(mu) (n,) at u (n,) and mu (p,)."""
        A, f = self._linear(mu)
        return self._residual(A, f, u, mu)

    def jacobian(self, u: np.ndarray, mu: np.ndarray) -> sp.csc_array:
        """A(mu) + dN/du (n, n) at u (n,) and mu (p,); all the matrices of a thread share their index arrays."""
        return self._tangent(self._linear(mu)[0], u, mu)

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Solution and outputs at mu (p,).

        Returns
        -------
        Snapshot
            `info` has "relative_residual" ||F(u)|| / ||F(0)||, "newton" (the report of the last iteration, with
            "iterations" the sum over all) and "shares", the shares of the load that were solved (1 alone for plain
            Newton).

        Raises
        ------
        ParameterError
            mu is outside the parameter space.
        SolveFailed
            Newton fails however little load is added; `report` has its history and the share that was reached.
        """
        row = self.parameters.one(mu, "solve")[None]
        u, facts = self._solved(row[0])
        outputs = None if self.outputs is None else self.outputs.evaluate(u[:, None], row)[:, 0]
        return Snapshot(u, outputs, facts)

    def sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p) of the outputs with respect to the parameters; see `romflow.fom.sensitivity`."""
        return sensitivity(self, mu)

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """M du/dt + A(mu) u + N(u; mu) = load(mu, t) f(mu) on these times, u(0) = 0.

        Raises
        ------
        NotSupported
            The model has no mass matrix.
        """
        from romflow.fom.evolution.model import EvolutionModel

        if self.mass is None:
            raise NotSupported("this nonlinear model has no mass matrix, without which it cannot move in time; give "
                               "mass = M (n, n)")
        rhs = None if self.rhs is None else AffineVector(loaded(self.rhs.theta, time.load, self.parameters.columns),
                                                         self.rhs.vectors)
        return EvolutionModel(self.parameters, self.mass, self.operator, rhs, self.inner_product, time,
                              nonlinear=self.nonlinear, outputs=self.outputs, spec=self.spec, norm=self.norm,
                              stability=self.stability, mesh=self.mesh)

    def use_solver(self, options: Mapping[str, Any]) -> None:
        """Solve the linear systems of Newton as the keys of [solver] say; Newton's own tolerance stays.

        Raises
        ------
        ConfigError
            An unknown name, a package that is not installed, or method = "sweep", which needs an affine model.
        """
        if options["method"] == "sweep":
            raise ConfigError("[solver] method = 'sweep' needs an affine model, and this one is nonlinear; write "
                              "method = 'auto', 'direct' or an iterative one")
        if options["backend"] in EXTRAS:
            load(options["backend"])
        kept = ("method", "backend", "seed", "preconditioner", "max_iterations", "tolerance")
        chosen = {key: options[key] for key in kept if key in options} | {"symmetric": self.symmetric or None}
        LinearSolver(**chosen)
        self._options = chosen

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _solved(self, mu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        A, f = self._linear(mu)
        zero = np.zeros(self.n)
        start = self._residual(A, f, zero, mu)
        scale = float(np.linalg.norm(start))
        report: dict[str, Any] = {"mu": mu.tolist(), "reason": "not finite"}
        if not np.isfinite(scale):
            raise SolveFailed(f"the residual of the state zero is not finite for mu = {shown(mu.tolist())}; a model "
                              "must be defined at zero: check its functions", report)
        shares, u, iterations, s, add = [], zero, 0, 0.0, 1.0
        while s < 1.0:
            target = min(s + add, 1.0)
            try:
                u, report = self._newton(A, f + (1.0 - target) * start, u, mu, scale)
            except SolveFailed as error:
                iterations += int(error.report["iterations"])
                add = min(0.5 * add, _FIRST_SHARE)
                if add < _LEAST_SHARE:
                    raise _failed(mu, s, error, iterations) from None
                continue
            iterations += report["iterations"]
            shares.append(target)
            s, add = target, 2.0 * add
        relative = float(np.linalg.norm(self._residual(A, f, u, mu))) / scale if scale > 0.0 else 0.0
        return u, {"relative_residual": relative, "shares": shares, "newton": {**report, "iterations": iterations}}

    def _newton(self, A: sp.csc_array | None, f: np.ndarray | float, u: np.ndarray, mu: np.ndarray,
                scale: float) -> tuple[np.ndarray, dict[str, Any]]:
        return newton(lambda v: self._residual(A, f, v, mu),
                      lambda v, r: self._solve(self._tangent(A, v, mu), r), u, self.tolerance, self.max_iterations,
                      scale=scale)

    def _linear(self, mu: np.ndarray) -> tuple[sp.csc_array | None, np.ndarray | float]:
        return (None if self.operator is None else self.operator.assemble(mu),
                0.0 if self.rhs is None else self.rhs.assemble(mu))

    def _residual(self, A: sp.csc_array | None, f: np.ndarray | float, u: np.ndarray, mu: np.ndarray) -> np.ndarray:
        nonlinear = self.nonlinear.evaluate(u, mu) - f
        return nonlinear if A is None else A @ u + nonlinear

    def _tangent(self, A: sp.csc_array | None, u: np.ndarray, mu: np.ndarray) -> sp.csc_array:
        J = self.nonlinear.jacobian(u, mu)
        if A is None:
            return J
        kept = vars(self._local)
        if "sum" not in kept:
            kept["sum"] = SparseSum(A, J)
        return kept["sum"].of(A, 1.0, J)

    def _solve(self, J: sp.csc_array, r: np.ndarray) -> np.ndarray:
        """J^{-1} r on the ordering of the thread's first matrix."""
        kept = vars(self._local)
        if self._options is not None:
            fresh = "solver" not in kept
            solver = kept.setdefault("solver", LinearSolver(**self._options))
            matrix = sp.csr_array(J)
            return np.asarray((solver.setup(matrix) if fresh else solver.update(matrix)).solve(r))
        if "direct" not in kept:
            flat = self.mesh is None or self.mesh.points.shape[1] < 3
            kept["direct"] = SuperLU(symmetric=False, **({} if flat else {"panel": _WIDE_PANEL}))
        return kept["direct"].update(J).solve(r, refine=0)


def _failed(mu: np.ndarray, share: float, error: SolveFailed, iterations: int) -> SolveFailed:
    report = {**error.report, "mu": mu.tolist(), "share": share, "all_iterations": iterations}
    return SolveFailed(f"no solution was found for mu = {shown(mu.tolist())}: the load could be raised to {share:.4g} "
                       f"of itself, then {error}", report)


def _check(parameters: ParameterSpace, operator: AffineOperator | None, nonlinear: PointTerm,
           rhs: AffineVector | None, outputs: AffineOutputs | None, mesh: Mesh | None, mass: Any) -> None:
    n = nonlinear.n
    if nonlinear.function.columns != tuple(parameters.columns):
        raise InputError(f"the nonlinear term has the parameters {list(nonlinear.function.columns)}; the rule is those "
                         f"of the model, {list(parameters.columns)}")
    shapes = {"operator": None if operator is None else operator.shape, "mass": None if mass is None else mass.shape}
    for owner, shape in shapes.items():
        if shape is not None and tuple(shape) != (n, n):
            raise ShapeError(f"the {owner} has shape {shape}; the rule is ({n}, {n}), for the nonlinear term has {n} "
                             "rows")
    sizes = {"right-hand side": None if rhs is None else rhs.vectors.shape[0],
             "output functionals": None if outputs is None else outputs.functionals.shape[2],
             "mesh's dofs": None if mesh is None else mesh.n}
    for owner, length in sizes.items():
        if length is not None and length != n:
            raise ShapeError(f"the {owner} have length {length}; the rule is {n}, for the nonlinear term has {n} rows")
