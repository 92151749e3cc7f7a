"""Burgers by finite volumes: cell values of another program, conservation, symmetries, bounds, options."""

from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, NotSupported, SolveFailed
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.burgers import Burgers
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

REFERENCE = Path(__file__).parents[1] / "reference" / "burgers_24x12.txt"
SPACE = ParameterSpace([Parameter("exponent", Uniform(1.0, 2.0))])
GRID = {"end": 0.3, "steps": 20, "scheme": "explicit-euler"}


def moving(space=SPACE, time=GRID, **options):
    return Burgers(space, **{"cells": [24, 12]} | options).evolving(TimeGrid(**time))


@pytest.mark.parametrize(("column", "torus", "p"), [(0, True, 2.0), (1, True, 1.5), (2, False, 2.0), (3, False, 1.5)])
def test_cell_values_are_the_peers(column, torus, p, must_fail):
    points, weights = np.polynomial.legendre.leggauss(5)
    gauss = float(0.5 * weights @ (p * (0.5 * (points + 1.0)) ** (p - 1.0)))
    expected = np.loadtxt(REFERENCE)[:, column]

    def check(state):
        assert np.abs(state - expected).max() < 1e-13

    state = moving(torus=torus, velocity=[gauss, gauss]).solve(np.array([p])).state
    check(state)
    must_fail(check, state + 1e-12, state - 1e-12)


def test_mass_is_kept_on_the_torus_and_values_stay_in_their_bounds(must_fail):
    model = moving(velocity=[1.0, -0.5])
    start, state = model.start(np.array([1.7])), model.solve(np.array([1.7])).state

    def check(total):
        assert abs(total - start.sum()) < 1e-11

    check(state.sum())
    must_fail(check, state.sum() + 1e-10, state.sum() - 1e-10)
    assert start.min() - 1e-14 <= state.min() and state.max() <= start.max() + 1e-14
    assert np.linalg.norm(state - start) > 0.1 * np.linalg.norm(start)


@pytest.mark.parametrize("torus", [True, False])
def test_turning_the_wind_turns_the_solution(torus):
    text = "0.5 + 0.3 * sin(pi * x + 1) * cos(2 * pi * y + 0.5)"
    turned = "0.5 + 0.3 * sin(pi * (2 - x) + 1) * cos(2 * pi * (1 - y) + 0.5)"
    enters = {} if torus else {"inflow": 0.4}
    first = moving(torus=torus, velocity=[1.0, 0.5], initial=text, **enters).solve(np.array([1.5]))
    second = moving(torus=torus, velocity=[-1.0, -0.5], initial=turned, **enters).solve(np.array([1.5]))
    assert np.abs(first.state - second.state[::-1]).max() < 1e-13


@pytest.mark.parametrize("velocity", [[1.0, 0.5], [-1.0, 0.5]])
def test_negative_values_move_against_the_wind(velocity):
    """If u(x) is a solution, so is -u(-x): f(u) = v |u|^p is even."""
    text = "0.6 * sin(pi * x + 1) * cos(2 * pi * y)"
    mirrored = "-0.6 * sin(pi * (2 - x) + 1) * cos(2 * pi * (1 - y))"
    model = moving(velocity=velocity, initial=text)
    assert len(model.nonlinear.function) == 2
    state = model.solve(np.array([2.0])).state
    other = moving(velocity=velocity, initial=mirrored).solve(np.array([2.0])).state
    assert np.abs(state + other[::-1]).max() < 1e-13
    assert abs(state.sum()) < 1e-11 and state.min() < -0.1 < 0.1 < state.max()


def test_flux_of_negative_values_is_the_integral_of_engquist_and_osher():
    """F(a, b) = int_0^a max(f', 0) + int_0^b min(f', 0) for f = v |u|^p, in one direction, by a fine sum."""
    model = moving(cells=[12, 2], velocity=[1.0, 0.0], initial="sin(pi * x)")
    u, p = np.random.default_rng(0).uniform(-1.0, 1.0, 24), 1.6
    s = (np.arange(20000) + 0.5) / 20000

    def part(a, sign):
        slope = p * np.abs(a[:, None] * s) ** (p - 1.0) * np.sign(a)[:, None]
        return a * np.maximum(sign * slope, 0.0).mean(axis=1) * sign

    cells = u.reshape(2, 12)
    east = part(u, 1.0).reshape(2, 12) + np.roll(part(u, -1.0).reshape(2, 12), -1, axis=1)
    expected = 0.5 * (east - np.roll(east, 1, axis=1))
    assert np.abs(model.nonlinear.evaluate(cells.ravel(), np.array([p])) - expected.ravel()).max() < 1e-6


def test_viscosity_may_be_a_parameter_and_smooths():
    space = ParameterSpace([Parameter("nu", Uniform(1e-3, 0.1)), Parameter("p", Uniform(1.0, 2.0))])
    model = moving(space, GRID | {"scheme": "implicit-euler", "steps": 8}, exponent="p", viscosity="nu")
    little, much = (model.solve(np.array([nu, 2.0])).state for nu in (1e-3, 0.1))
    assert np.ptp(much) < 0.5 * np.ptp(little) and abs(much.sum() - little.sum()) < 1e-8
    opened = moving(space, GRID | {"scheme": "implicit-euler", "steps": 8}, exponent="p", viscosity="nu", torus=False)
    flat = moving(space, GRID | {"scheme": "implicit-euler", "steps": 8}, exponent="p", viscosity="nu", torus=False,
                  initial="0.5", inflow=0.5)
    assert opened.rhs is not None
    assert np.abs(flat.solve(np.array([0.05, 1.5])).state - 0.5).max() < 1e-9


def test_pictures_show_the_values_of_cells_at_their_centres():
    model = Burgers(SPACE, cells=[6, 4])
    x, y = model.mesh.points.T
    assert model.mesh.n == 24 and len(model.mesh.cells) == 15
    fine = model.initial.assemble(np.array([1.0])) - 0.5 * (np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y) + 1)
    assert np.abs(fine).max() < 0.1


def test_steps_that_are_too_long_are_a_record_that_names_the_time():
    with pytest.raises(SolveFailed) as error:
        moving(time=GRID | {"steps": 400, "end": 300.0}, cells=[48, 24]).solve(np.array([2.0]))
    assert 0.0 < error.value.report["time"] <= 300.0


@pytest.mark.parametrize(("steps", "torus"), [(1, True), (4, True), (8, True), (4, False)])
def test_steps_that_are_too_long_to_be_stable_are_a_record_before_they_overflow(steps, torus):
    time = GRID | {"steps": steps, "end": 0.6}
    with pytest.raises(SolveFailed, match="unstable") as error:
        moving(time=time, cells=[48, 24], torus=torus).solve(np.array([2.0]))
    assert 0.0 < error.value.report["time"] <= 0.6
    # Implicit steps of the same length are stable, and so are more explicit ones.
    for good in ({"scheme": "implicit-euler"}, {"steps": 120}):
        assert np.abs(moving(time=time | good, cells=[48, 24], torus=torus).solve(np.array([2.0])).state).max() <= 1.001


@pytest.mark.parametrize(("options", "words"), [
    ({"velocity": [1.0]}, "velocity"), ({"velocity": [1.0, np.inf]}, "velocity"), ({"exponent": 0.5}, "exponent"),
    ({"exponent": "exponent - 1"}, "exponent"), ({"viscosity": -1.0}, "viscosity"), ({"torus": 1}, "torus"),
    ({"initial": "sinn"}, "'sinn'"), ({"cells": [1, 4]}, "cells"), ({"viscosity": True}, "viscosity"),
    ({"inflow": 0.5}, "torus = true"),
])
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Burgers(SPACE, **{"cells": [4, 4]} | options)


def test_there_is_no_steady_state_and_no_load():
    model = Burgers(SPACE, cells=4)
    assert model.needs_time
    with pytest.raises(NotSupported, match=r"\[time\]"):
        model.solve(np.array([1.5]))
    with pytest.raises(ConfigError, match="load"):
        model.evolving(TimeGrid(1.0, 1, load="t"))
