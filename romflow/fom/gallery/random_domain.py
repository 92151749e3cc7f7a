"""Poisson's equation and the heat equation on a square whose sides are random, pulled back to the unit square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.names import nearest, shown
from romflow.core.snapshot import Snapshot
from romflow.fom.gallery.grids import counts
from romflow.fom.gallery.square_forms import SquareForms
from romflow.fom.gallery.square_maps import SIDES, SquareMap, gevrey, pulled_back
from romflow.fom.products import checked_inner_product
from romflow.fom.protocol import short
from romflow.parameters.fields import ParametricField
from romflow.parameters.space import ParameterSpace

if TYPE_CHECKING:
    from romflow.fom.evolution.time_grid import TimeGrid
    from romflow.fom.gallery.random_domain_heat import RandomDomainHeat

__all__ = ["OUTPUTS", "RandomDomain"]

Array = NDArray[np.float64]

#: Outputs by name -> what they are.
OUTPUTS = {"average": "mean of u over the domain", "integral": "integral of u over the domain",
           "area": "area of the domain"}
_TOLERANCE = 1e-9
# Corners of the parameter space, and points along a side, at which the domain is looked at first.
_CORNERS, _TRIED = 512, 15
# States that are solved for at once: coefficients of so many numbers are held.
_NUMBERS = 1 << 19


class RandomDomain:
    """-lap u = f on D(y) = V((0, 1)^2; y), u = 0 on its boundary, solved on the unit square.

    With J = DV and u^(x) = u(V(x)), for all v: int (J^-1 J^-T det J) grad u^ . grad v = int f(V) det J v (Harbrecht,
    Peters and Siebenmorgen 2016, Numer. Math. 134; Djurdjevac et al. 2025, arXiv 2502.12345). Bilinear elements on
    equal rectangles, the coefficient at 2 x 2 Gauss points. V is `romflow.fom.gallery.square_maps.SquareMap`: every
    parameter moves a side, later ones less.

    Parameters
    ----------
    parameters : ParameterSpace
        All of them are y, in [-1, 1], in the order of the columns.
    cells : int or list of 2 int
        Rectangles along each direction of the unit square.
    sides : list of {"right", "top", "left", "bottom"}
    amplitude, decay, order : float
        See `SquareMap`.
    source : str or number
        f, arithmetic of x and y in the random domain.
    outputs : list of str
        Of :data:`OUTPUTS`.
    values : list of pairs
        Points of the unit square; u at their images are the outputs value_0, value_1, ...

    Raises
    ------
    ConfigError
        An option is wrong, a parameter can leave [-1, 1], or parameters of the space fold the square over itself.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> model = RandomDomain(ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=4)]), cells=8)
    >>> model.solve(np.zeros(4)).outputs.round(4), model.evaluate(np.zeros((3, 4))).shape
    (array([0.0343]), (1, 3))
    """

    norm = "H1_0 semi-norm on the unit square"
    outputs = None

    def __init__(self, parameters: ParameterSpace, cells: int | Sequence[int] = 32,
                 sides: Sequence[str] = tuple(SIDES), amplitude: float = 0.1, decay: float = 3.0, order: float = 2.0,
                 source: str | float = 1.0, outputs: Sequence[str] = ("average",),
                 values: Sequence[Sequence[float]] = ()) -> None:
        shape = counts(cells, 2, "cells", least=2)
        self.map = SquareMap(parameters.size, sides, amplitude, decay, order)
        _check_range(parameters)
        named, points = _named(outputs), _points(values)
        if not named and not len(points):
            raise ConfigError("outputs and values of random-domain are both empty; give outputs = [\"average\"]")
        self.parameters = parameters
        self.forms = SquareForms((shape[0], shape[1]))
        self.n = self.forms.n
        self._source = _source(source)
        self._total, self._ones = sp.csr_array(self.forms.weights[None]), sp.csr_array(np.ones((1, self.n)))
        self._named, self._values = named, self.forms.interpolation(points)
        self.output_names = (*named, *(f"value_{i}" for i in range(len(points))))
        self.spec: dict[str, Any] = {
            "kind": "random-domain", "cells": list(shape), **self.map.spec, "source": str(source),
            "outputs": list(named), "values": points.tolist()}
        one = np.ones((self.forms.P, 1))
        X = self.forms.full((self.forms.stiffness @ np.vstack([one, 0.0 * one, one]))[:, 0])
        self.inner_product = checked_inner_product(sp.csr_array(X), self.n)
        self.mesh = Mesh(self.forms.nodes, self.forms.corners, "quad", self.forms.nodal)
        self._displacements, self._slopes = self.map.modes(self.forms.points)
        self._axes = self.map.directions()
        self._check_folds()

    def solve(self, mu: Array) -> Snapshot:
        """State (nodal values of u^) and outputs at mu (p,).

        Raises
        ------
        ParameterError
            mu is outside the parameter space.
        SolveFailed
            The domain is folded, or the residual is above 1e-9.
        """
        row = self.parameters.one(mu, "solve")[None]
        u, outputs, residuals = self._batch(row, *self.unfolded(row[0]))
        if not residuals[0] <= _TOLERANCE:
            raise SolveFailed(f"no solution for mu = {short(row[0])}: the relative residual is {residuals[0]:.2e}, "
                              f"above the tolerance {_TOLERANCE:g}; the domain is too thin somewhere: lower the "
                              "amplitude", {"mu": row[0].tolist()})
        return Snapshot(u[:, 0], outputs[:, 0], {"relative_residual": float(residuals[0])})

    def evaluate(self, mu: Array) -> Array:
        """Outputs (o, b) at mu (b, p), to the bit those of `solve`; NaN where the domain is folded.

        Raises
        ------
        ParameterError, ShapeError
            mu is not finite, outside the space, or has another number of columns.
        """
        rows = self.parameters.validate(mu)
        width = max(1, _NUMBERS // self.forms.P)
        found = [np.empty((len(self.output_names), 0))]
        for start in range(0, len(rows), width):
            part = rows[start:start + width]
            K, determinant = self.coefficients(part)
            folded = determinant.min(axis=0) <= 0.0
            K[:, folded] = np.nan
            outputs = self._batch(part, K, determinant)[1]
            outputs[:, folded] = np.nan
            found.append(outputs)
        return np.hstack(found)

    def unfolded(self, mu: Array) -> tuple[Array, Array]:
        """As `coefficients` at one mu (p,).

        Raises
        ------
        SolveFailed
            The domain is folded.
        """
        K, determinant = self.coefficients(mu[None])
        least = float(determinant.min())
        if least <= 0.0:
            raise SolveFailed(f"the domain is folded over itself for mu = {short(mu)}: det DV is {least:.3g} "
                              "somewhere, and the rule is positive values; lower the amplitude, or raise the decay",
                              {"mu": mu.tolist(), "least_determinant": least})
        return K, determinant

    def coefficients(self, mu: Array) -> tuple[Array, Array]:
        """K11, K12, K22 of J^-1 J^-T det J one below the other (3 P, b), and det J (P, b), at mu (b, p)."""
        return pulled_back(self._jacobian(self._slopes, mu))

    def load(self, mu: Array, determinant: Array) -> Array:
        """int f(V) det J v (n, b)."""
        if not self._source.varies_in_space:
            value = float(self._source.values(self.forms.points[:1], np.empty((1, 0)))[0, 0, 0])
            return np.asarray(value * (self.forms.load @ determinant))
        places, xi = np.repeat(self.forms.points[:, None], len(mu), axis=1), gevrey(mu, self.map.order)
        for j, axis in enumerate(self._axes):
            places[:, :, axis] += self._displacements[j][:, None] * xi[:, j]
        f = self._source.values(places.reshape(-1, 2), np.empty((1, 0)))[0, :, 0].reshape(determinant.shape)
        return np.asarray(self.forms.load @ (f * determinant))

    def functionals(self, determinant: Array) -> tuple[Array, Array]:
        """Functionals (o, n) and constants (o,) with which the outputs on a domain (P, 1) are l u + c."""
        area = float(np.asarray(self._total @ determinant)[0, 0])
        integral = np.asarray(self.forms.load @ determinant)[:, 0]
        known = {"average": integral / area, "integral": integral, "area": np.zeros(self.n)}
        rows = [known[name] for name in self._named]
        constant = np.zeros(len(self.output_names))
        constant[:len(rows)] = [area if name == "area" else 0.0 for name in self._named]
        return np.vstack([*rows, self._values.toarray()]), constant

    def placed(self, mu: Array) -> Array:
        """Places ((N+1)(M+1), 2) of the nodes in the domain at mu (p,)."""
        return np.asarray(self.map.place(self.forms.nodes, self.parameters.one(mu, "placed")[None])[0])

    def evolving(self, time: TimeGrid) -> RandomDomainHeat:
        """du/dt - lap u = load(mu, t) f on D(mu), at rest at first, on these times."""
        from romflow.fom.gallery.random_domain_heat import RandomDomainHeat

        return RandomDomainHeat(self, time)

    def _batch(self, mu: Array, K: Array, determinant: Array) -> tuple[Array, Array, Array]:
        """States (n, b), outputs (o, b) and relative residuals (b,)."""
        entries, f = self.forms.stiffness @ K, self.load(mu, determinant)
        u = self.forms.solve(entries, f)
        left = np.linalg.norm(f - self.forms.product(entries, u), axis=0)
        scale = np.linalg.norm(f, axis=0)
        return u, self._read(u, determinant), np.where(scale > 0.0, left / np.where(scale > 0.0, scale, 1.0), left)

    def _read(self, u: Array, determinant: Array) -> Array:
        """Outputs (o, b) of states (n, b) on domains with these determinants (P, b)."""
        # Sums over rows of an array round differently for one column and for many; sparse products do not.
        area = np.asarray(self._total @ determinant)[0]
        integral = np.asarray(self._ones @ (np.asarray(self.forms.load @ determinant) * u))[0]
        known = {"average": integral / area, "integral": integral, "area": area}
        return np.vstack([*(known[name] for name in self._named), self._values @ u])

    def _jacobian(self, slopes: Array, mu: Array) -> Array:
        """DV (2, 2, P, b) from the derivatives (s, 2, P) of the modes."""
        xi = gevrey(mu, self.map.order)
        J = np.zeros((2, 2, slopes.shape[2], len(mu)))
        J[0, 0] = J[1, 1] = 1.0
        for j, axis in enumerate(self._axes):
            J[axis] += slopes[j][:, :, None] * xi[:, j]
        return J

    def _check_folds(self) -> None:
        """Raise ConfigError where the corners of the space hold a folded domain."""
        if self.map.steepest(self.forms.points) < 1.0:
            return
        signs = np.random.default_rng(0).integers(0, 2, (_CORNERS, self.parameters.size))
        mu = np.where(signs == 1, self.parameters.high, self.parameters.low)
        x = np.linspace(0.0, 1.0, _TRIED)
        slopes = self.map.modes(np.column_stack([np.tile(x, _TRIED), np.repeat(x, _TRIED)]))[1]
        least = min(float(pulled_back(self._jacobian(slopes, part))[1].min()) for part in np.array_split(mu, 16))
        if least <= 0.0:
            raise ConfigError(f"random-domain with amplitude = {self.map.amplitude:g} and decay = {self.map.decay:g} "
                              f"folds the square over itself: det DV is {least:.3g} somewhere at a corner of the "
                              "parameter space, and the rule is positive values; lower the amplitude, raise the decay, "
                              "or narrow the ranges")


def _check_range(parameters: ParameterSpace) -> None:
    for name, low, high in zip(parameters.columns, parameters.low, parameters.high, strict=True):
        if low < -1.0 or high > 1.0:
            raise ConfigError(f"random-domain needs {name} in [-1, 1], and its distribution reaches "
                              f"[{shown(float(low))}, {shown(float(high))}]; choose a uniform, beta or truncated "
                              "distribution on [-1, 1]")


def _named(outputs: Any) -> tuple[str, ...]:
    if not isinstance(outputs, list | tuple) or len(set(map(str, outputs))) != len(outputs):
        raise ConfigError(f"outputs = {shown(outputs)}; the rule is a list of names, each once, of {list(OUTPUTS)}")
    for name in outputs:
        if not isinstance(name, str) or name not in OUTPUTS:
            raise ConfigError(f"random-domain has no output {shown(name)}{nearest(str(name), OUTPUTS)}")
    return tuple(outputs)


def _points(values: Any) -> Array:
    try:
        points = np.array(values, dtype=float).reshape(-1, 2) if len(values) else np.empty((0, 2))
        right = len(points) == len(values) and bool(((points >= 0.0) & (points <= 1.0)).all())
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ConfigError(f"values = {shown(values)}; the rule is a list of points [x, y] of the unit square")
    return points


def _source(text: Any) -> ParametricField:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ConfigError(f"source = {shown(text)} is neither a text in x and y nor a number; give one")
    try:
        return ParametricField([text], 2, ())
    except ConfigError as error:
        raise ConfigError(str(error).replace("theta = ", "source = ", 1)) from None
