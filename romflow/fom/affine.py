"""The affine full-order model: A(mu) u = f(mu) by a sparse direct solve with a checked residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ShapeError
from romflow.core.mesh import Mesh
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_solves import FactorisedSolves, Solves, SweepSolves, make_solves
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.products import checked_inner_product
from romflow.fom.sensitivity import sensitivity
from romflow.parameters.space import ParameterSpace

if TYPE_CHECKING:
    from romflow.fom.evolution.model import EvolutionModel
    from romflow.fom.evolution.time_grid import TimeGrid

__all__ = ["AffineModel", "AffineOperator", "AffineOutputs", "AffineVector"]


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
    near_nullspace : (n, j) array, optional
        Vectors that A maps to almost nothing, such as rigid-body modes, for multigrid.
    mass : sparse (n, n), optional
        M, symmetric positive definite: with it the model can move in time, see `evolving`.

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
                 residual_tolerance: float = 1e-9, near_nullspace: np.ndarray | None = None,
                 mass: sp.csr_array | None = None) -> None:
        n = operator.shape[0]
        _check_shapes(n, operator, rhs, outputs, mesh)
        self.parameters, self.operator, self.rhs, self.outputs = parameters, operator, rhs, outputs
        self.inner_product = checked_inner_product(inner_product, n)
        self.n, self.spec, self.norm, self.stability, self.mesh = n, spec, norm, stability, mesh
        self.residual_tolerance = residual_tolerance
        self.near_nullspace, self.mass = near_nullspace, mass
        self.solves: Solves = FactorisedSolves(self, residual_tolerance)

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
        row = self.parameters.one(mu, "solve")[None]
        u, facts = self.solves.solve(row[0])
        outputs = None if self.outputs is None else self.outputs.evaluate(u[:, None], row)[:, 0]
        return Snapshot(u, outputs, facts)

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """The model M du/dt + A(mu) u = load(mu, t) f(mu) on these times, at rest at first.

        Raises
        ------
        NotSupported
            The model has no mass matrix.
        """
        from romflow.fom.evolution.making import evolving

        return evolving(self, self.mass, time)

    def sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p) of the outputs with respect to the parameters; see `romflow.fom.sensitivity`."""
        return sensitivity(self, mu)

    def use_solver(self, options: dict[str, Any]) -> None:
        """Solve from now on as the keys of [solver] say; a tolerance of one's own becomes part of `spec`.

        Raises
        ------
        ConfigError
            An unknown name, or a package that is not installed.
        """
        self.solves = make_solves(self, options)
        if self.solves.identity:
            self.spec = {**self.spec, "solver": self.solves.identity}

    def solver_state(self) -> dict[str, Any] | None:
        """What the solver has learnt along the sweep, as JSON; None where it learns nothing."""
        return self.solves.state() if isinstance(self.solves, SweepSolves) else None

    def restore_solver(self, state: dict[str, Any]) -> None:
        """Go on with what an earlier run has learnt, unless this one has solved already."""
        if isinstance(self.solves, SweepSolves):
            self.solves.restore(state)


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
