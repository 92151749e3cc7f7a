"""The model of a scalar equation whose coefficients depend on place and parameters together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest, shown
from romflow.fom.affine import AffineModel
from romflow.fom.affine_solves import FactorisedSolves, Solves, make_solves
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.cell_model import picture_mesh
from romflow.fom.cells import CellMesh
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.nonaffine.evolution import NonaffineEvolution
from romflow.fom.nonaffine.expansion import (
    Expansion,
    Wish,
    check_parameters,
    expansion,
    joint_expansion,
    training_parameters,
)
from romflow.fom.nonaffine.forms import QuadratureForms
from romflow.fom.nonaffine.rows import sample_at, smallest_values
from romflow.fom.products import checked_inner_product
from romflow.linalg.eigen import eigenvalue_range, largest_eigenvalue
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolationError, PointwiseCoercivity
from romflow.parameters.fields import FieldSample, ParametricField
from romflow.parameters.space import ParameterSpace

STABILITY = ("pointwise", "scm", "inf-sup", "expression")
INTERPOLATE = ("coefficients", "matrix")
_OPERATOR = ("diffusion", "velocity", "reaction")
_TOLERANCE = 1e-9
# Eigenvalues to 1e-6; what is built on them gives a hundred times that away.
_EIGENVALUES, _SAFETY = 1e-6, 1e-4


class NonaffineModel(AffineModel):
    """-div(a grad u) + b . grad u + c u = f with a, b, c, f of x and mu: solved as it is, interpolated for reduction.

    `solve` assembles the matrix of the true coefficients at the quadrature points (`truth`). `operator` and `rhs` are
    what reduced models are projected from: affine terms by empirical interpolation, with coefficients that are texts
    of the parameters. They are made at the first use; `interpolation` bounds what they leave. X is the H1_0
    semi-product.

    Parameters
    ----------
    parameters : ParameterSpace
    mesh : CellMesh
        Some values fixed to zero.
    fields : mapping of str to ParametricField
        "diffusion", "source", and where there are such terms "velocity" (d components), "reaction".
    outputs : mapping of str to ParametricField
        Weights w(x): the output is the integral of w u.
    spec : dict
        JSON identity.
    wish : Wish
    interpolate : {"coefficients", "matrix"}
        Interpolate each coefficient, or the matrix by its entries.
    stability : dict
        {"kind": "pointwise"}, {"kind": "scm"}, {"kind": "inf-sup"} or {"kind": "expression", "expression": ...}.
    files : tuple of Path

    Raises
    ------
    ConfigError
        Nothing fixes the solution; another stability or interpolation.
    """

    near_nullspace = None

    def __init__(self, parameters: ParameterSpace, mesh: CellMesh, fields: Mapping[str, ParametricField],
                 outputs: Mapping[str, ParametricField], spec: dict[str, Any], wish: Wish | None = None,
                 interpolate: str = "coefficients", stability: dict[str, Any] | None = None,
                 files: tuple[Path, ...] = ()) -> None:
        if not mesh.fixed.any() or mesh.fixed.all():
            raise ConfigError("no value of the mesh is fixed, or all are; the solution needs a boundary with u = 0 and "
                              "unknowns beside it: change `fixed`, or take more cells")
        self.stability: dict[str, Any] = {"kind": "pointwise"} if stability is None else dict(stability)
        for name, value, known in (("interpolate", interpolate, INTERPOLATE),
                                   ("stability", self.stability.get("kind"), STABILITY)):
            if value not in known:
                raise ConfigError(f"{name} = {shown(value)} is not known{nearest(str(value), known)}")
        self.parameters, self.spec, self.files, self.norm = parameters, spec, files, "H1_0 semi-norm"
        self.fields, self._weights = dict(fields), dict(outputs)
        self._wish, self._interpolate = wish or Wish(), interpolate
        used = [name for name in _OPERATOR if name in fields]
        self.forms = QuadratureForms(mesh, used)
        self.n = self.forms.n
        self.mesh = picture_mesh(mesh, self.forms.nodal)
        self.residual_tolerance = _TOLERANCE
        self.truth = Truth(self.parameters, self.fields, self.forms)
        self.solves: Solves = FactorisedSolves(self.truth, _TOLERANCE)

    @property
    def symmetric(self) -> bool:
        """A(mu) is symmetric: there is no velocity."""
        return "velocity" not in self.fields

    @cached_property
    def inner_product(self) -> sp.csr_array:  # type: ignore[override]
        """X (n, n): the stiffness matrix of a = 1 by the same quadrature."""
        return checked_inner_product(self.forms.matrix(self.forms.maps["diffusion"] @ np.ones(self.forms.P)), self.n)

    @cached_property
    def outputs(self) -> AffineOutputs:  # type: ignore[override]
        """Integrals of the weights times the state."""
        points, any_mu = self.forms.points, self.parameters.centre()[None]
        rows = [self.forms.load @ weight.values(points, any_mu)[0, :, 0] for weight in self._weights.values()]
        return AffineOutputs(list(self._weights), Theta(["1"], self.parameters.columns), np.array(rows)[None])

    @cached_property
    def operator(self) -> AffineOperator:  # type: ignore[override]
        """The affine terms that interpolate A(mu)."""
        terms: dict[str, np.ndarray] = {}
        for name in (name for name in _OPERATOR if name in self.fields):
            found = self.expansions[name]
            for text, values in zip(found.texts, (self.forms.maps[name] @ found.functions).T, strict=True):
                terms[text] = terms[text] + values if text in terms else values
        return AffineOperator(Theta(list(terms), self.parameters.columns),
                              [self.forms.matrix(values) for values in terms.values()])

    @cached_property
    def rhs(self) -> AffineVector:  # type: ignore[override]
        """The affine terms that interpolate f(mu)."""
        found = self.expansions["source"]
        return AffineVector(Theta(found.texts, self.parameters.columns), self.forms.load @ found.functions)

    @cached_property
    def interpolation(self) -> InterpolationError | None:
        """What `operator` and `rhs` leave of the truth in the norms of X; None where they are exact."""
        operator = [self._error(name) for name in _OPERATOR if name in self.fields]
        rhs = [self._error("source")]
        kept = [tuple(part for part in parts if part is not None) for parts in (operator, rhs)]
        return InterpolationError(kept[0], kept[1], self._wish.every_point) if any(kept) else None

    def pointwise(self) -> PointwiseCoercivity:
        """A lower bound of the coercivity constant of the truth from the values of its coefficients.

        Cost: an eigenvalue problem for each term of the velocity, and one for the Poincare constant where there is a
        reaction or an interpolated velocity.
        """
        theta, radii, error = Theta([], self.parameters.columns), np.zeros(0), None
        if "velocity" in self.fields:
            theta = Theta(self.expansions["velocity"].texts, self.parameters.columns)
            radii, error = self._radii(), self._error("velocity")
        reaction = self._least("reaction") if "reaction" in self.fields else None
        return PointwiseCoercivity(self._least("diffusion"), reaction, 0.0 if reaction is None else self.poincare,
                                   theta, radii, error, self._wish.every_point)

    @cached_property
    def poincare(self) -> float:
        """C = max (u, u) / |u|_1^2 over the finite element space, at most 1e-4 too large."""
        largest = largest_eigenvalue(self.forms.mass(), InnerProduct(self.inner_product), _EIGENVALUES)
        return largest * (1.0 + _SAFETY)

    @cached_property
    def expansions(self) -> dict[str, Expansion]:
        """Each coefficient as a short sum.

        Raises
        ------
        InputError
            The diffusion is not positive at a parameter of the training or of the checks.
        """
        points, training, checks, wish = self.forms.points, self._training, self._checks, self._wish
        self._check_positive()
        fields = {name: self.fields[name] for name in _OPERATOR if name in self.fields}
        if self._interpolate == "matrix" and any(field.varies_with_parameters for field in fields.values()):
            found = joint_expansion(fields, self.forms.maps, points, training, checks, wish)
        else:
            found = {name: expansion(field, points, training, wish, checks) for name, field in fields.items()}
        return found | {"source": expansion(self.fields["source"], points, training, wish, checks)}

    def interpolation_facts(self) -> dict[str, dict[str, Any]]:
        """How each coefficient was interpolated, see `romflow.fom.nonaffine.expansion.Expansion.facts`."""
        return {name: dict(found.facts) for name, found in self.expansions.items() if found.facts is not None}

    def interpolated(self) -> AffineModel:
        """The affine model of the terms, a model of its own: its solutions are not those of the truth."""
        wish = self._wish
        about = {"tolerance": wish.tolerance, "max_terms": wish.max_terms, "training": wish.training,
                 "interpolate": self._interpolate}
        # The values of the true coefficients bound the truth's constant, not that of the terms.
        stability = {"kind": "scm"} if self.stability["kind"] == "pointwise" else self.stability
        return AffineModel(self.parameters, self.operator, self.rhs, self.inner_product, self.outputs,
                           spec={**self.spec, "interpolated": about}, norm=self.norm, stability=stability,
                           mesh=self.mesh, mass=self.forms.mass())

    def evolving(self, time: TimeGrid) -> NonaffineEvolution:
        """The model in motion: its trajectories have the true coefficients, its terms are for reduction.

        See `romflow.fom.affine.AffineModel.evolving`.
        """
        return NonaffineEvolution(self, time)

    def sensitivity(self, mu: np.ndarray) -> np.ndarray:
        """Derivatives (o, p) of the outputs of the interpolated model; see `romflow.fom.sensitivity`."""
        return self.interpolated().sensitivity(mu)

    def use_solver(self, options: dict[str, Any]) -> None:
        """Solve the truth from now on as the keys of [solver] say.

        Raises
        ------
        ConfigError
            An unknown name, a package that is not installed, or "sweep", which needs affine terms.
        """
        if options["method"] == "sweep":
            raise ConfigError("[solver] method = \"sweep\" works on affine terms, and the matrices of this model are "
                              "assembled from its true coefficients; use method = \"auto\"")
        self.solves = make_solves(self.truth, options)
        if self.solves.identity:
            self.spec = {**self.spec, "solver": self.solves.identity}

    @cached_property
    def _training(self) -> np.ndarray:
        return training_parameters(self.parameters, self._wish.training)

    @cached_property
    def _checks(self) -> np.ndarray:
        return check_parameters(self.parameters, self._wish.training)

    def _check_positive(self) -> None:
        field, mu = self.fields["diffusion"], np.vstack([self._training, self._checks])
        least, where = smallest_values(field, self.forms.points, mu)
        worst = int(least.argmin())
        if least[worst] <= 0.0:
            place = self.forms.points[where[worst]].round(6).tolist()
            raise InputError(f"the diffusion {shown(field.expressions[0])} is {least[worst]:.3g} somewhere for mu = "
                             f"{mu[worst].tolist()}, at the point {place}; the rule is positive values: change the "
                             "text, or narrow the ranges")

    def _error(self, name: str) -> Any:
        """The interpolation error of a coefficient with its weight in the norms of X; None where it is exact."""
        found = self.expansions[name]
        if found.watched is None:
            return None
        C = 1.0 if name == "diffusion" else self.poincare
        weights = {"diffusion": 1.0, "reaction": C, "velocity": np.sqrt(C * self.forms.d),
                   "source": np.sqrt(C * self.forms.weights.sum())}
        return found.error(float(weights[name]), self.parameters.columns)

    def _radii(self) -> np.ndarray:
        product, radii = InnerProduct(self.inner_product), []
        for values in (self.forms.maps["velocity"] @ self.expansions["velocity"].functions).T:
            B = self.forms.matrix(values)
            radii.append(max(map(abs, eigenvalue_range(sp.csr_array(0.5 * (B + B.T)), product, _EIGENVALUES))))
        return np.array(radii) * (1.0 + _SAFETY)

    def _least(self, name: str) -> FieldSample:
        """Points among which the smallest value of a coefficient is."""
        field, points = self.fields[name], self.forms.points
        if self._wish.every_point and field.varies_with_parameters and field.varies_in_space:
            return sample_at(field, points, np.arange(len(points)))
        mu = np.vstack([self._training, self._checks])
        return sample_at(field, points, np.unique(smallest_values(field, points, mu)[1]))


class Truth:
    """The equation that the full-order states solve: assembled from the true coefficients at the quadrature points.

    It answers what `AffineModel` answers to its solver. Cost of `operator.assemble`: one evaluation of each text at P
    points and one sparse product a form.

    Attributes
    ----------
    operator, rhs : objects with ``assemble(mu (p,))``
    """

    near_nullspace = None
    residual_tolerance = _TOLERANCE

    def __init__(self, parameters: ParameterSpace, fields: Mapping[str, ParametricField],
                 forms: QuadratureForms) -> None:
        self.parameters, self.symmetric = parameters, "velocity" not in fields
        self.operator = _TrueOperator(fields, forms)
        self.rhs = _TrueVector(fields["source"], forms)


class _TrueOperator:
    def __init__(self, fields: Mapping[str, ParametricField], forms: QuadratureForms) -> None:
        self._fields = {name: fields[name] for name in _OPERATOR if name in fields}
        self._forms = forms

    def assemble(self, mu: np.ndarray) -> sp.csc_array:
        """A(mu) (n, n) for mu (p,)."""
        row, points = np.atleast_2d(mu), self._forms.points
        values = [self._forms.maps[name] @ field.values(points, row).ravel() for name, field in self._fields.items()]
        return self._forms.matrix(sum(values[1:], values[0]))


class _TrueVector:
    def __init__(self, field: ParametricField, forms: QuadratureForms) -> None:
        self._field, self._forms = field, forms

    def assemble(self, mu: np.ndarray) -> np.ndarray:
        """f(mu) (n,) for mu (p,)."""
        return np.asarray(self._forms.load @ self._field.values(self._forms.points, np.atleast_2d(mu))[0, :, 0])


def fields_of(texts: Mapping[str, Sequence[str | float]], dimension: int,
              columns: Sequence[str]) -> dict[str, ParametricField]:
    """The coefficients from their texts.

    Raises
    ------
    ConfigError
        A text is wrong; the velocity does not have `dimension` components, another coefficient more than one.
    """
    for name, expressions in texts.items():
        needed = dimension if name == "velocity" else 1
        if len(expressions) != needed:
            raise ConfigError(f"the {name} has {len(expressions)} components; the rule is {needed} in {dimension} "
                              "dimensions, one text each")
    return {name: _field(name, expressions, dimension, columns) for name, expressions in texts.items()}


def _field(name: str, expressions: Sequence[str | float], dimension: int, columns: Sequence[str]) -> ParametricField:
    try:
        return ParametricField(expressions, dimension, columns)
    except ConfigError as error:
        raise ConfigError(str(error).replace("theta = ", f"{name} = ", 1)) from None
