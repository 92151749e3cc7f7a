"""A scalar conservation law on a rectangle by finite volumes, u_t + div(v |u|^p) = nu lap u: shocks that move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, NotSupported, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.names import shown
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.system import TimeSystem
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.grids import counts
from romflow.fom.gallery.rules import number, values_on
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import ParameterSpace

SIDES = (2.0, 1.0)
# Share of the range of the initial values by which explicit steps may leave it.
_SLACK, _ROUNDING = 1e-2, 1e-9
#: Name of an initial state -> its text, and the value that flows in where the boundaries are open.
INITIAL = {"sin": ("0.5 * (sin(2 * pi * x) * sin(2 * pi * y) + 1)", 0.5),
           "bump": ("(1 + sign(x - 0.5)) * (1 + sign(1 - x)) / 4", 0.0)}


class Burgers:
    """u_t + div(v |u|^exponent) = viscosity lap u on [0, 2] x [0, 1], by finite volumes with the Engquist-Osher flux.

    The flux through a face with normal m takes (v . m) max(u, 0)^p from the cell that the wind v leaves and
    (v . m) max(-u, 0)^p from the one that it enters: the integrals of Engquist and Osher (Math. Comp. 36, 1981,
    eq. 2.9) in closed form for this flux. Where neither the initial nor the inflowing values are negative, the scheme
    never makes a negative value (while explicit steps obey dt p |v| max(u)^(p - 1) <= h), and the second part is left
    out. States are values of cells, M and X hold the areas of the cells: the norm is that of L2. Outputs "average" and
    "corner" are the means over the rectangle and over [0, 1/2]^2.

    Parameters
    ----------
    parameters : ParameterSpace
        Those that `exponent` and `viscosity` name.
    cells : int or list of 2 int
        Rectangles along x and y.
    velocity : list of 2 float
        v.
    exponent, viscosity : str or float
        Texts in the parameters, or numbers: at least 1; from 0.
    torus : bool
        Opposite sides are one; else values flow in where v points inwards, and out freely elsewhere.
    initial : str
        "sin", "bump", or a text in x and y.
    inflow : float, optional
        Value that flows in; 0.5 for "sin", else 0.

    Attributes
    ----------
    needs_time : bool
        True: there is no steady state; `evolving` gives the model that can be solved.

    Raises
    ------
    ConfigError
        An option is wrong, or exponent or viscosity take values below 1 or 0.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("exponent", Uniform(1.0, 2.0))])
    >>> model = Burgers(space, cells=[24, 12]).evolving(TimeGrid(0.3, 20, scheme="explicit-euler"))
    >>> model.n, model.solve(np.array([1.5])).outputs.round(6)
    (288, array([0.5     , 0.502297]))
    """

    needs_time = True

    def __init__(self, parameters: ParameterSpace, cells: int | Sequence[int] = (120, 60),
                 velocity: Sequence[float] = (1.0, 1.0), exponent: str | float = "exponent",
                 viscosity: str | float = 0.0, torus: bool = True, initial: str = "sin",
                 inflow: float | None = None) -> None:
        shape = counts(cells, 2, "cells", least=2)
        if not isinstance(torus, bool):
            raise ConfigError(f"torus = {shown(torus)}; the rule is true or false")
        _check_velocity(velocity)
        columns = parameters.columns
        _check_range("exponent", exponent, parameters, 1.0)
        _check_range("viscosity", viscosity, parameters, 0.0)
        text, enters = INITIAL.get(initial, (initial, 0.0))
        if torus and inflow is not None:
            raise ConfigError(f"inflow = {shown(inflow)} with torus = true, which has no boundary where something "
                              "could flow in; leave inflow out, or set torus = false")
        enters = enters if inflow is None else number("inflow", inflow)
        self._grid = _Grid(shape, torus)
        start = self._grid.means(Theta([text], ["x", "y"]))
        parts = 1 if min(float(start.min()), 0.0 if torus else enters) >= 0.0 else 2
        values = start if torus else np.append(start, enters)
        self._range = float(values.min()), float(values.max())

        self.parameters, self.n = parameters, self._grid.n
        self.spec: dict[str, Any] = {
            "kind": "burgers", "cells": list(shape), "velocity": [float(v) for v in velocity], "exponent": exponent,
            "viscosity": viscosity, "torus": torus, "initial": initial, "inflow": None if torus else enters}
        self.mass = sp.csr_array(sp.diags_array(np.full(self.n, self._grid.area)))
        self.inner_product, self.norm, self.stability = self.mass, "L2", None
        self.nonlinear = _flux(self._grid, velocity, str(exponent), columns, parts, enters)
        self.operator, self.rhs = _viscous(self._grid, velocity, viscosity, columns, enters)
        self.initial = AffineVector(Theta(["1"], columns), start[:, None])
        self.outputs = _outputs(self._grid, columns)
        self.mesh = self._grid.mesh

    def evolving(self, time: TimeGrid) -> EvolutionModel:
        """The model on a grid of times; ConfigError for a load, for there is none to multiply."""
        if time.load.strip() not in ("1", "1.0"):
            raise ConfigError(f"[time] load = {shown(time.load)}; burgers has no load: leave it out")
        model = _Monotone(self.parameters, self.mass, self.operator, self.rhs, self.inner_product, time,
                          nonlinear=self.nonlinear, initial=self.initial, outputs=self.outputs, spec=self.spec,
                          norm=self.norm, stability=self.stability, mesh=self.mesh)
        model.range = self._range
        return model

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Raise NotSupported: there is no steady state."""
        raise NotSupported("burgers moves in time and has no steady state; add the table [time] with end and steps, or "
                           "call evolving(TimeGrid(...))")


class _Monotone(EvolutionModel):
    """Explicit steps that are short enough make no value outside the `range` of those that are there at first."""

    range = (-np.inf, np.inf)

    def _watched(self, steps: Iterator[Any], system: TimeSystem) -> Iterator[Any]:
        low, high = self.range
        slack = _SLACK * (high - low) + _ROUNDING * max(abs(low), abs(high))
        watch = self.time.scheme == "explicit-euler" and self.time.tolerance is None
        for step in super()._watched(steps, system):
            if watch and not (low - slack <= step.state.min() and step.state.max() <= high + slack):
                found = f"{step.state.min():.4g} to {step.state.max():.4g}"
                raise SolveFailed(f"values from {found} at t = {step.time:.6g}, and at first from {low:.4g} to "
                                  f"{high:.4g}: explicit steps of this length are unstable; take more steps, an "
                                  "implicit scheme or step control",
                                  {"time": step.time})
            yield step


class _Grid:
    """Rectangles (nx, ny), cell ix + iy nx, with the neighbours on each side."""

    def __init__(self, shape: tuple[int, ...], torus: bool) -> None:
        self.nx, self.ny = shape
        self.torus, self.n = torus, self.nx * self.ny
        self.h = (SIDES[0] / self.nx, SIDES[1] / self.ny)
        self.area = self.h[0] * self.h[1]
        x, y = (self.h[axis] * (np.arange(shape[axis]) + 0.5) for axis in (0, 1))
        self.centres = np.column_stack([np.tile(x, self.ny), np.repeat(y, self.nx)])

    def neighbour(self, axis: int, side: int) -> np.ndarray:
        """Cell (n,) on the side -1 or 1 along an axis; -1 where the boundary is open there."""
        cells = np.arange(self.n).reshape(self.ny, self.nx)
        across = 1 - axis
        found = np.roll(cells, -side, axis=across)
        if not self.torus:
            edge: list[Any] = [slice(None), slice(None)]
            edge[across] = -1 if side > 0 else 0
            found[tuple(edge)] = -1
        return found.ravel()

    def means(self, function: Theta) -> np.ndarray:
        """Means (n,) over the cells of a function of x and y, by two Gauss points in each direction."""
        shifts = np.array([-0.5, 0.5]) / np.sqrt(3.0)
        places = [self.centres + np.array([a, b]) * self.h for a in shifts for b in shifts]
        return np.asarray(np.mean([function(place)[:, 0] for place in places], axis=0))

    @property
    def mesh(self) -> Mesh:
        """Rectangles between the centres of the cells, whose values are the state's."""
        cells = np.arange(self.n).reshape(self.ny, self.nx)
        corners = [cells[:-1, :-1], cells[:-1, 1:], cells[1:, 1:], cells[1:, :-1]]
        return Mesh(self.centres, np.stack([corner.ravel() for corner in corners], axis=1), "quad", np.arange(self.n))


def _flux(grid: _Grid, velocity: Sequence[float], exponent: str, columns: Sequence[str], parts: int,
          enters: float) -> PointTerm:
    """Point q < n is a cell; on open boundaries point n is what flows in."""
    n, P = grid.n, grid.n + (not grid.torus)
    given = np.empty((0, P)) if grid.torus else np.append(np.zeros(n), enters)[None]
    value = "u" if grid.torus else "(u + inflow)"
    texts = [f"max({value}, 0) ** ({exponent})", f"max(-{value}, 0) ** ({exponent})"][:parts]
    function = PointFunction(texts, ["u"], [] if grid.torus else ["inflow"], columns)
    blocks = [sp.csr_array((n, P)) for _ in texts]
    for axis, v in enumerate(velocity):
        weight = abs(float(v)) * grid.h[1 - axis]
        before, behind = (grid.neighbour(axis, side) for side in ((-1, 1) if v > 0 else (1, -1)))
        upwind = np.where(before < 0, n, before)
        blocks[0] = blocks[0] + weight * (_choice(np.arange(n), P) - _choice(upwind, P))
        if parts == 2:
            downwind = np.where(behind < 0, np.arange(n), behind)
            blocks[1] = blocks[1] - weight * (_choice(np.arange(n), P) - _choice(downwind, P))
    return PointTerm(sp.hstack(blocks, format="csr"), sp.eye_array(P, n, format="csr"), function, given)


def _choice(places: np.ndarray, width: int) -> sp.csr_array:
    """The (len(places), width) matrix that picks these entries."""
    return sp.csr_array((np.ones(places.size), (np.arange(places.size), places)), shape=(places.size, width))


def _viscous(grid: _Grid, velocity: Sequence[float], viscosity: str | float, columns: Sequence[str],
             enters: float) -> tuple[AffineOperator | None, AffineVector | None]:
    """Differences between neighbours; on open boundaries the value given half a cell away where the wind enters."""
    if not isinstance(viscosity, str) and viscosity == 0.0:
        return None, None
    n = grid.n
    total, load = sp.csr_array((n, n)), np.zeros(n)
    for axis in (0, 1):
        weight = grid.h[1 - axis] / grid.h[axis]
        for side in (-1, 1):
            near = grid.neighbour(axis, side)
            inside = np.flatnonzero(near >= 0)
            own = weight * (near >= 0)
            if velocity[axis] * side < 0.0:
                own = own + 2.0 * weight * (near < 0)
                load += 2.0 * weight * (near < 0) * enters
            links = sp.csr_array((np.full(inside.size, weight), (inside, near[inside])), shape=(n, n))
            total = total + sp.diags_array(own, format="csr") - links
    theta = Theta([viscosity], columns)
    return AffineOperator(theta, [total]), AffineVector(theta, load[:, None]) if load.any() else None


def _outputs(grid: _Grid, columns: Sequence[str]) -> AffineOutputs:
    """Means over the whole rectangle and over the square [0, 1/2]^2 in its corner."""
    corner = (grid.centres < 0.5).all(axis=1)
    means = np.stack([np.full(grid.n, 1.0 / grid.n), corner / max(np.count_nonzero(corner), 1)])
    return AffineOutputs(("average", "corner"), Theta(["1"], columns), means[None])


def _check_velocity(velocity: Any) -> None:
    good = isinstance(velocity, list | tuple | np.ndarray) and len(velocity) == 2
    if not good:
        raise ConfigError(f"velocity = {shown(velocity)}; the rule is a list of 2 finite numbers")
    for v in velocity:
        number("velocity", v)


def _check_range(name: str, text: str | float, parameters: ParameterSpace, least: float) -> None:
    """Raise ConfigError where samples of the parameters give values below `least`."""
    values = values_on(name, text, parameters)
    if values.min() < least:
        raise ConfigError(f"{name} = {shown(text)} takes the value {float(values.min()):.6g}; the rule is at least "
                          f"{least:g} on the whole space: change the distributions")
