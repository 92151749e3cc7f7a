"""Convergence of the nonlinear models of the gallery to exact solutions: order 2 in L2, 1 for upwind differences."""

import numpy as np
import pytest
from scipy.optimize import brentq

from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.burgers import Burgers
from romflow.fom.gallery.point_fields import volume_points
from romflow.fom.gallery.radiation import STEFAN_BOLTZMANN, Radiation
from romflow.fom.gallery.reaction_diffusion import ReactionDiffusion
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

SPACE = ParameterSpace([Parameter("k", Uniform(0.5, 2.0)), Parameter("b", Uniform(0.1, 5.0))])
MU = np.array([0.8, 1.7])
PLANE, SOLID = "sin(pi * x) * sin(pi * y)", "sin(pi * x) * sin(pi * y) * sin(pi * z)"
REACTIONS = {"rising": "exp(b * {u}) - 1", "falling and rising": "{u}**3 - b * {u}", "transport": "b * x * {u}**2"}


def error(model, mu, exact):
    """L2 error by a quadrature that is finer than the model's."""
    points = volume_points(model.problem, 4)
    difference = points.values @ model.solve(mu).state - exact(*points.coordinates)
    return np.sqrt(points.weights @ difference**2)


def check_order(order, expected=2.0):
    assert abs(order - expected) < 0.12


@pytest.mark.parametrize("element", ["Q1", "P1"])
@pytest.mark.parametrize("reaction", REACTIONS)
def test_reactions_in_the_plane(element, reaction, must_fail):
    text = REACTIONS[reaction]
    whole = f"({text.format(u='u')}) - ({text.format(u=f'({PLANE})')}) - k * 2 * pi**2 * {PLANE}"
    found = [error(ReactionDiffusion(SPACE, whole, "k", 0.0, cells, element), MU,
                   lambda x, y: np.sin(np.pi * x) * np.sin(np.pi * y)) for cells in (12, 24)]
    order = np.log2(found[0] / found[1])
    check_order(order)
    must_fail(check_order, order - 1.2, order + 1.2)


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_reactions_in_space(element):
    text = REACTIONS["rising"]
    whole = f"({text.format(u='u')}) - ({text.format(u=f'({SOLID})')}) - k * 3 * pi**2 * {SOLID}"
    found = [error(ReactionDiffusion(SPACE, whole, "k", 0.0, [cells] * 3, element), MU,
                   lambda x, y, z: np.sin(np.pi * x) * np.sin(np.pi * y) * np.sin(np.pi * z)) for cells in (6, 12)]
    assert 1.75 < np.log2(found[0] / found[1]) < 2.4


@pytest.mark.parametrize("beta", [0.0, 1e-3])
def test_radiation_of_a_slab(beta, must_fail):
    """theta = k (u + beta u^2 / 2) is a z - q z^2 / 2, and a from the balance of the face that radiates."""
    k, q, eps, T0 = 20.0, 2e4, 0.7, 300.0
    space = ParameterSpace([Parameter("q", Uniform(1e3, 1e5))])

    def temperature(theta):
        s = theta / k
        return s if beta == 0.0 else (np.sqrt(1.0 + 2.0 * beta * s) - 1.0) / beta

    def balance(a):
        u = temperature(a - 0.5 * q)
        return q - a - eps * STEFAN_BOLTZMANN * ((u + T0) ** 4 - T0**4)

    a = brentq(balance, 0.5 * q, q, xtol=1e-10)
    found = [error(Radiation(space, f"{k} * (1 + {beta} * u)", eps, T0, "q", cells=[2, 2, cells],
                             radiating=["z = max"], lengths=[0.3, 0.2, 1.0]), np.array([q]),
                   lambda x, y, z: temperature(a * z - 0.5 * q * z**2)) for cells in (8, 16)]
    order = np.log2(found[0] / found[1])
    check_order(order)
    must_fail(check_order, order - 1.2, order + 1.2)
    assert found[1] < 2e-3 * temperature(a - 0.5 * q)


def test_linear_transport_with_viscosity():
    """p = 1: the start moves with the wind and fades by exp(-8 pi^2 nu t)."""
    space, T, nu = ParameterSpace([Parameter("nu", Uniform(1e-3, 1e-1))]), 0.1, 0.01
    errors = []
    for cells, steps in ((40, 16), (80, 32)):
        model = Burgers(space, cells=[cells, cells // 2], exponent=1, viscosity="nu").evolving(TimeGrid(T, steps))
        x, y = model.mesh.points.T
        wave = np.exp(-8.0 * np.pi**2 * nu * T) * np.sin(2 * np.pi * (x - T)) * np.sin(2 * np.pi * (y - T))
        errors.append(np.abs(model.solve(np.array([nu])).state - 0.5 * (wave + 1.0)).max())
    assert 0.75 < np.log2(errors[0] / errors[1]) < 1.25
