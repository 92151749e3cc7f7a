"""Heat conduction whose conductivity is a random field, given by its Karhunen-Loeve expansion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.cells import CellMesh
from romflow.fom.gallery.domains import domain
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.grids import directions
from romflow.fom.gallery.rules import number
from romflow.fom.nonaffine.expansion import Wish
from romflow.fom.nonaffine.forms import QuadratureForms
from romflow.fom.nonaffine.model import NonaffineModel
from romflow.linalg.karhunen_loeve import Covariance, KarhunenLoeve, karhunen_loeve
from romflow.parameters.fields import ParametricField
from romflow.parameters.modal_field import ModalField
from romflow.parameters.space import ParameterSpace

__all__ = ["RandomField", "expansion_on"]

BOUNDS = ("points", "next-points")
STABILITY = ("pointwise", "scm")


class RandomField(NonaffineModel):
    """-div(d grad u) = f, u = 0 on `fixed`, no flux elsewhere, d = h(mean(x) + sum_m sqrt(l_m) phi_m(x) xi_m).

    (l_m, phi_m) are the leading eigenpairs of the covariance on the nodes of the mesh, one a parameter, and h is the
    identity ("affine": the model is affine exactly) or exp ("lognormal": empirical interpolation makes the affine terms
    that projection needs, and is part of the error). Parameters of mean 0 and variance 1, such as normal(0, 1) or
    uniform(-1.7320508, 1.7320508), give the field this covariance.

    Parameters
    ----------
    parameters : ParameterSpace
        xi, in the order of the columns: the number of terms.
    transform : {"lognormal", "affine"}
    kernel : str
        One of :data:`romflow.linalg.karhunen_loeve.KERNELS`.
    length : float or list of float
        Correlation length, or one for each direction.
    std : float
        Standard deviation of the field, of its logarithm where that is the sum.
    mean : str or number
        Of the field or its logarithm, arithmetic of x, y, z; without it 0 for "lognormal" and 1 for "affine".
    source : str or number
        f, arithmetic of x, y, z.
    cells, lengths, element, mesh, fixed, base
        The domain; see `romflow.fom.gallery.nonaffine.Nonaffine`.
    outputs : mapping of str to text, optional
        Weights w(x) of outputs, the integrals of w u; "average" with w = 1 without.
    tolerance, max_terms, training
        Of the empirical interpolation of a lognormal field; see `Nonaffine`.
    bound : {"points", "next-points"}
        Where the smallest value and the interpolation error are looked at online: at all the quadrature points, a
        bound whose cost grows with the mesh, or at some, an indicator. Without it "points" for "affine", "next-points"
        for "lognormal".
    stability : {"pointwise", "scm"}
        Coercivity from the smallest value of the field, or the successive constraint method.

    Raises
    ------
    ConfigError
        An option is wrong; an affine field reaches zero, or its parameters have no bounds.
    InputError
        The mesh file cannot be read.

    Examples
    --------
    >>> from romflow.parameters.distributions import Normal
    >>> from romflow.parameters.space import Parameter
    >>> model = RandomField(ParameterSpace([Parameter("xi", Normal(0.0, 1.0), size=3)]), cells=8)
    >>> model.n, model.solve(np.zeros(3)).outputs.round(4), model.expansion.shares.round(2)
    (49, array([0.0343]), array([0.3 , 0.44, 0.58]))
    """

    def __init__(self, parameters: ParameterSpace, transform: str = "lognormal", kernel: str = "matern-3/2",
                 length: float | Sequence[float] = 0.3, std: float = 0.5, mean: str | float | None = None,
                 source: str | float = 1.0, cells: int | Sequence[int] = 32, lengths: Sequence[float] | None = None,
                 element: str = "Q1", mesh: str | None = None, fixed: Sequence[str | int] = ("boundary",),
                 outputs: Mapping[str, str | float] | None = None, tolerance: float = 1e-6, max_terms: int = 60,
                 training: int = 256, bound: str | None = None, stability: str = "pointwise",
                 base: str | Path = ".") -> None:
        deviation = number("std", std)
        if deviation <= 0.0:
            raise ConfigError(f"std = {shown(std)} of a random field; the rule is a number above 0")
        if isinstance(length, list | tuple):
            length = tuple(length)
        covariance = Covariance(kernel, length, deviation**2)
        place = domain(cells, element, lengths, fixed, mesh, base, default=directions(lengths, 2))
        d, P = place.d, parameters.size
        conductivity = ModalField(transform, parameters.columns, d)
        bound = ("points" if transform == "affine" else "next-points") if bound is None else bound
        for name, value, known in (("bound", bound, BOUNDS), ("stability", stability, STABILITY)):
            if value not in known:
                raise ConfigError(f"{name} = {shown(value)} is not known{nearest(str(value), known)}")
        mean = (1.0 if transform == "affine" else 0.0) if mean is None else mean
        if outputs is not None and (not isinstance(outputs, Mapping) or not outputs):
            raise ConfigError(f"outputs = {shown(outputs)}; the rule is a table of names and weights, such as "
                              "outputs = {average = \"1\"}")
        weights = {str(name): weight for name, weight in (outputs or {"average": 1.0}).items()}
        grid = place.mesh()
        self.expansion = expansion_on(grid, covariance, P)
        fields: dict[str, Any] = {"diffusion": conductivity, "source": _Placed("source", source, d)}
        super().__init__(
            parameters, grid, fields,
            {name: _Placed(f"the output {name}", weight, d) for name, weight in weights.items()},
            {"kind": "random-field", "transform": transform, **covariance.spec, "mean": str(mean),
             "source": str(source), "terms": P, "outputs": {name: str(weight) for name, weight in weights.items()},
             **place.spec},
            Wish(tolerance, max_terms, training, bound == "points"), "coefficients", {"kind": stability}, place.files)
        nodes = np.column_stack([_Placed("mean", mean, d).values(grid.points, parameters.centre()[None])[0],
                                 self.expansion.scaled])
        self.forms.points = np.hstack([self.forms.points, at_quadrature(self.forms, grid, nodes)])
        if transform == "affine":
            self._check_coercive()

    def conductivity(self, mu: np.ndarray) -> np.ndarray:
        """The field at the quadrature points (P, b) for mu (b, p)."""
        return np.asarray(self.fields["diffusion"].values(self.forms.points, self.parameters.validate(mu))[0])

    def _check_coercive(self) -> None:
        """Raise ConfigError where the affine field is not positive everywhere for all parameters."""
        low, high = self.parameters.low, self.parameters.high
        endless = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
        if endless.size:
            name = self.parameters.columns[endless[0]]
            raise ConfigError(f"an affine random field needs bounded parameters, and {name} has no bounds, so that the "
                              "field can be negative; take a uniform, beta or truncated distribution, or transform = "
                              "\"lognormal\"")
        table = self.forms.points[:, self.forms.d:]
        least = table[:, 0] + np.minimum(table[:, 1:] * low, table[:, 1:] * high).sum(axis=1)
        if least.min() <= 0.0:
            place = self.forms.points[int(least.argmin()), :self.forms.d].round(4).tolist()
            raise ConfigError(f"the affine random field reaches {least.min():.3g} at the point {place}, and the "
                              "rule is positive values for all parameters of the space; lower std, narrow the ranges, "
                              "or take transform = \"lognormal\"")


class _Placed(ParametricField):
    """A field of x, y, z alone, at points that have further columns."""

    def __init__(self, name: str, text: Any, d: int) -> None:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ConfigError(f"{name} = {shown(text)}; the rule is a text of x, y, z, or a number")
        try:
            super().__init__([text], d, ())
        except ConfigError as error:
            raise ConfigError(str(error).replace("theta = ", f"{name} = ", 1)) from None

    def component(self, c: int, points: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """g (P, b): the same for all parameters."""
        found = super().component(c, points[:, :self.dimension], np.empty((1, 0)))
        return np.repeat(found, len(mu), axis=1)


def expansion_on(mesh: CellMesh, covariance: Covariance, terms: int) -> KarhunenLoeve:
    """The expansion at the nodes of a mesh, weighted by the integrals of their shape functions.

    Reusable for any random field over a mesh: `scaled` holds nodal values.

    Raises
    ------
    ConfigError
        More terms than nodes; lengths that do not fit the mesh.
    """
    weights = nodal_load(mesh)
    # Points of a mesh file that belong to no cell.
    inside = weights > 0.0
    found = karhunen_loeve(mesh.points[inside], weights[inside], covariance, terms=terms)
    modes = np.zeros((len(weights), found.size))
    modes[inside] = found.modes
    return replace(found, modes=modes)


def at_quadrature(forms: QuadratureForms, mesh: CellMesh, nodal: np.ndarray) -> np.ndarray:
    """Values (P, j) at the quadrature points of nodal values (nodes, j)."""
    return np.asarray(np.einsum("veq,evj->eqj", forms.shapes, nodal[mesh.cells]).reshape(forms.P, -1))
