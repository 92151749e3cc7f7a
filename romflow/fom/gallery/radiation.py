"""Heat in a solid with a conductivity that depends on the temperature and faces that radiate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellProblem, CellTerm
from romflow.fom.evolution.mass import mass_matrix
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.domains import Domain, domain
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.forms import Diffusion
from romflow.fom.gallery.point_fields import PointFields, facet_points, volume_points
from romflow.fom.gallery.rules import values_on
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.calculus import derivative, substituted
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import ParameterSpace

#: Constant of Stefan and Boltzmann in W / (m^2 K^4).
STEFAN_BOLTZMANN = 5.670374419e-8


class Radiation(NonlinearModel):
    """-div(k(u) grad u) = source in a box or on a mesh, u = 0 on `fixed`, radiating faces, no flux elsewhere.

    u is the temperature above that of the environment, T0 (kelvin). On `radiating` faces the heat flux outwards is

        -k(u) du/dn = emissivity * 5.670374419e-8 W / (m^2 K^4) * (T^4 - T0^4),   T = T0 + u,

    with |T|^3 T in the place of T^4, which rises with u for all u. The operator A holds k(0) and the nonlinear term
    k(u) - k(0) and the radiation, so that N(0) = 0. X is the H1_0 semi-product. Where k does not depend on u, the model
    is monotone, and k is its coercivity constant. Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        Those that the texts name.
    conductivity : str or float
        Text in u and the parameters, in W / (m K); k(0) is positive.
    emissivity, environment, source : str or float
        Texts in the parameters, or numbers: from 0; T0 > 0 in kelvin; in W / m^3.
    radiating : list of str or int
        Boundaries, named as those of `fixed`.
    cells, element, lengths, fixed, mesh, base
        See `romflow.fom.gallery.domains.domain`; a single number of cells means a box of space.

    Raises
    ------
    ConfigError, InputError
        An option is wrong; the mesh file cannot be read.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("q", Uniform(1e3, 1e5))])
    >>> model = Radiation(space, conductivity="20 * (1 - 0.0005 * u)", source="q", cells=4)
    >>> answer = model.solve(np.array([5e4]))
    >>> model.n, answer.info["newton"]["iterations"], answer.outputs.round(1)
    (100, 5, array([412.5]))
    """

    def __init__(self, parameters: ParameterSpace, conductivity: str | float = 1.0, emissivity: str | float = 0.8,
                 environment: str | float = 293.15, source: str | float = 1e4,
                 radiating: Sequence[str | int] = ("x = max", "z = max"), cells: int | Sequence[int] = 12,
                 element: str = "Q1", lengths: Sequence[float] | None = None, fixed: Sequence[str | int] = ("z = 0",),
                 mesh: str | None = None, base: str | Path = ".") -> None:
        where = domain(cells, element, lengths, fixed, mesh, base, default=3)
        columns = parameters.columns
        law = Theta([conductivity], ["u", *columns])
        linear = substituted(law, {"u": 0.0})
        _check(parameters, linear, emissivity, environment, source, radiating)
        spec = {"kind": "radiation", **where.spec, "conductivity": conductivity, "emissivity": emissivity,
                "environment": environment, "source": source, "radiating": list(radiating)}
        constant = derivative(law, "u").expressions == ("0.0",)
        stability = {"kind": "expression", "expression": linear.expressions[0]} if constant else None
        problem = CellProblem(
            parameters, spec, 1, where.mesh, linear, (CellTerm(Diffusion()),), (1.0,), Theta([source], columns),
            lambda mesh: nodal_load(mesh)[:, None], Theta(["1"], columns), ("average",),
            lambda mesh: nodal_load(mesh)[None, None], norm="H1_0 semi-norm", stability=stability, files=where.files,
            chunk=65536)
        model = CellModel(problem)
        rays = f"{STEFAN_BOLTZMANN!r} * ({emissivity}) * {_difference(str(environment))}"
        change = None if constant else f"({conductivity}) - ({linear.expressions[0]})"
        term = _term(problem, where, radiating, rays, change)
        super().__init__(parameters, model.operator, term, model.rhs, model.inner_product, model.outputs, spec=spec,
                         norm=problem.norm, stability=stability, mesh=model.mesh, monotone=constant, symmetric=constant)
        self.problem, self.files = problem, problem.files

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """du/dt - div(k(u) grad u) = load source on these times, u(0) = 0: heat capacity 1."""
        if self.mass is None:
            self.mass = mass_matrix(self.problem)
        return super().evolving(time)


def _difference(environment: str) -> str:
    total = f"(u + ({environment}))"
    return f"(abs({total}) ** 3 * {total} - ({environment}) ** 4)"


def _term(problem: CellProblem, where: Domain, radiating: Sequence[str | int], rays: str,
          change: str | None) -> PointTerm:
    """Points of the radiating faces behind those of the cells, which are there only where k depends on u.

    Components: k(u) - k(0) times each derivative, tested with derivatives in the cells; the rays, tested on the faces.
    """
    face = facet_points(problem, [where.points_on([name]) for name in radiating])
    columns = problem.parameters.columns
    if change is None:
        return PointTerm(face.test(face.values), face.values, PointFunction([rays], ["u"], [], columns),
                         cells=face.cells)
    solid = volume_points(problem)
    names = [f"u_{axis}" for axis in ("x", "y", "z")[:len(solid.gradients)]]
    function = PointFunction([*(f"({change}) * {name}" for name in names), rays], ["u", *names], [], columns)
    nothing = sp.csr_array(face.values.shape)
    gather = [solid.values, face.values, *(part for gradient in solid.gradients for part in (gradient, nothing))]
    test = [part for gradient in solid.gradients for part in (solid.test(gradient), nothing.T)]
    test += [sp.csr_array(solid.values.shape[::-1]), face.test(face.values)]
    return PointTerm(sp.hstack(test), sp.vstack(gather), function, cells=_together(solid, face))


def _together(solid: PointFields, face: PointFields) -> np.ndarray:
    """Cells of all the points: a facet counts as a cell of its own."""
    return np.concatenate([solid.cells, solid.cells.max() + 1 + face.cells])


def _check(parameters: ParameterSpace, linear: Theta, emissivity: str | float, environment: str | float,
           source: str | float, radiating: Sequence[str | int]) -> None:
    if not isinstance(radiating, list | tuple) or not radiating:
        raise ConfigError(f"radiating = {shown(radiating)} names no boundary; write radiating = [\"z = max\"]")
    values_on("source", source, parameters)
    for name, text, positive in (("conductivity at u = 0", linear.expressions[0], True),
                                 ("environment", environment, True), ("emissivity", emissivity, False)):
        least = float(values_on(name, text, parameters).min())
        if least < 0.0 or (positive and least == 0.0):
            raise ConfigError(f"{name} = {shown(text)} takes the value {least:.6g}; the rule is "
                              f"{'above' if positive else 'from'} 0 on the whole space: change it or the distributions")
