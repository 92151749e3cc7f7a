"""Diffusion with a reaction that is any function of the state: -div(k grad u) + R(u; x, mu) = f."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellProblem, CellTerm
from romflow.fom.evolution.mass import mass_matrix
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.domains import domain
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.forms import Diffusion
from romflow.fom.gallery.point_fields import mesh_coordinates, volume_points
from romflow.fom.gallery.rules import values_on
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import ParameterSpace

# States, parameters and points at which the claim that a reaction rises with the state is tried.
_STATES = np.linspace(-10.0, 10.0, 41)
_TRIED = 100


class ReactionDiffusion(NonlinearModel):
    """-div(k grad u) + R(u) = source on a rectangle, a box or a mesh file, u = 0 on `fixed`, no flux elsewhere.

    Linear elements; R is integrated by the quadrature that is exact for quadratic functions. X is the H1_0
    semi-product, in which the coercivity constant of the diffusion is k exactly. Where R rises with u (`monotone`), it
    is a bound for the whole model, and there is one solution; else there may be none, as for R = -exp(u) beyond a limit
    of the load, or several: the one that Newton's method finds from zero is given. Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        Those that the texts name.
    reaction : str
        Text in u, x, y, z and the parameters, such as "exp(b * u)", "u**3 - c * u", "-exp(u)".
    diffusion, source : str or float
        Texts in the parameters, or numbers; diffusion is positive.
    cells, element, lengths, fixed, mesh, base
        See `romflow.fom.gallery.domains.domain`.
    monotone : bool
        R rises with u for all u; a claim that some states refute is refused.

    Raises
    ------
    ConfigError, InputError
        An option is wrong; the mesh file cannot be read.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("b", Uniform(0.5, 2.0))])
    >>> model = ReactionDiffusion(space, "exp(b * u)", source=10.0, cells=8, monotone=True)
    >>> answer = model.solve(np.array([1.0]))
    >>> model.n, answer.info["newton"]["iterations"], answer.outputs.round(4)
    (49, 3, array([0.2912]))
    """

    def __init__(self, parameters: ParameterSpace, reaction: str, diffusion: str | float = 1.0,
                 source: str | float = 1.0, cells: int | Sequence[int] = 32, element: str = "Q1",
                 lengths: Sequence[float] | None = None, fixed: Sequence[str | int] = ("boundary",),
                 mesh: str | None = None, base: str | Path = ".", monotone: bool = False) -> None:
        if not isinstance(monotone, bool):
            raise ConfigError(f"monotone = {shown(monotone)}; the rule is true or false")
        where = domain(cells, element, lengths, fixed, mesh, base)
        columns = parameters.columns
        if values_on("diffusion", diffusion, parameters).min() <= 0.0:
            raise ConfigError(f"diffusion = {shown(diffusion)} is not positive on the whole space of the parameters; "
                              "change it, or the distributions")
        values_on("source", source, parameters)
        spec = {"kind": "reaction-diffusion", **where.spec, "reaction": reaction, "diffusion": diffusion,
                "source": source}
        problem = CellProblem(
            parameters, spec, 1, where.mesh, Theta([diffusion], columns), (CellTerm(Diffusion()),), (1.0,),
            Theta([source], columns), lambda mesh: nodal_load(mesh)[:, None], Theta(["1"], columns), ("average",),
            lambda mesh: nodal_load(mesh)[None, None], norm="H1_0 semi-norm",
            stability={"kind": "expression", "expression": str(diffusion)}, files=where.files, chunk=65536)
        linear, points = CellModel(problem), volume_points(problem)
        function = PointFunction([reaction], ["u"], mesh_coordinates(problem.mesh), columns)
        if monotone:
            _check_rising(reaction, function, points.coordinates, parameters)
        term = PointTerm(points.test(points.values), points.values, function, points.coordinates, points.cells)
        super().__init__(parameters, linear.operator, term, linear.rhs, linear.inner_product, linear.outputs, spec=spec,
                         norm=problem.norm, stability=problem.stability, mesh=linear.mesh, monotone=monotone,
                         symmetric=True)
        self.problem, self.files = problem, problem.files

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """du/dt - div(k grad u) + R(u) = load source on these times, u(0) = 0."""
        if self.mass is None:
            self.mass = mass_matrix(self.problem)
        return super().evolving(time)


def _check_rising(reaction: str, function: PointFunction, places: np.ndarray, parameters: ParameterSpace) -> None:
    """Raise ConfigError where dR/du < 0 at a tried state, point and parameter."""
    rng = np.random.default_rng(0)
    mu = parameters.sample(_TRIED, rng)
    places = places[:, rng.integers(places.shape[1], size=_STATES.size)]
    states = np.broadcast_to(_STATES[None, :, None], (1, _STATES.size, len(mu)))
    for slope in function.derivatives(states, places, mu).values():
        falling = np.argwhere(slope < 0.0)
        if falling.size:
            q, b = falling[0]
            raise ConfigError(f"monotone = true, and reaction = {shown(reaction)} falls at u = {_STATES[q]:g} for mu = "
                              f"{shown(mu[b].tolist())}; leave monotone out, or change the reaction")
