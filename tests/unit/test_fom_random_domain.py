"""Random domains: determinism, the identity, folded squares, the heat equation, wrong options."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, NotSupported, ParameterError, ShapeError, SolveFailed
from romflow.fom.build import build_model
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.random_domain import RandomDomain
from romflow.fom.gallery.square_maps import SquareMap, gevrey
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing.model import check_model


def space(size: int, low: float = -1.0, high: float = 1.0) -> ParameterSpace:
    return ParameterSpace([Parameter("y", Uniform(low, high), size=size)])


def test_model_keeps_its_laws():
    def make():
        return RandomDomain(space(5), cells=[8, 10], values=[[0.5, 0.5]], outputs=["average", "area"], source="1 + x*y")

    assert check_model(make).passed
    assert check_model(lambda: make().evolving(TimeGrid(1.0, 4))).passed


def test_undeformed_square_is_poisson(must_fail):
    model = RandomDomain(space(3), cells=[10, 8])
    block = ThermalBlock(ParameterSpace([Parameter("k", Uniform(0.5, 2.0))]), blocks=1, cells=[10, 8])
    nodes = np.zeros(99)
    nodes[block.mesh.dofs] = block.solve([1.0]).state
    places = {tuple(place): value for place, value in zip(block.mesh.points.round(9).tolist(), nodes, strict=True)}
    known = np.array([places[tuple(place)] for place in model.mesh.points[model.mesh.dofs].round(9).tolist()])

    def check(state):
        assert np.abs(state - known).max() < 1e-14

    state = model.solve(np.zeros(3)).state
    check(state)
    must_fail(check, state + 1e-13, state - 1e-13)
    assert model.solve(np.zeros(3)).outputs[0] == pytest.approx(block.solve([1.0]).outputs[0], rel=1e-12)


def test_outputs_are_the_same_bits_for_any_batch():
    model = RandomDomain(space(6), cells=12, outputs=["average", "integral", "area"], values=[[0.3, 0.7]],
                         source="exp(x) * y")
    mu = model.parameters.sample(23, np.random.default_rng(0))
    whole = model.evaluate(mu)
    assert all((model.evaluate(mu[:k]) == whole[:, :k]).all() for k in (0, 1, 7))
    assert (model.evaluate(mu[20:21])[:, 0] == model.solve(mu[20]).outputs).all()


def test_wide_bands_are_solved_sparse(monkeypatch):
    model = RandomDomain(space(3), cells=9)
    mu = np.array([[0.5, -0.5, 0.1], [0.9, 0.9, -0.9]])
    band = model.evaluate(mu)
    monkeypatch.setattr("romflow.fom.gallery.square_forms._WIDE", 4)
    assert np.allclose(model.evaluate(mu), band, rtol=1e-13)


def test_leaving_parameters_out_is_a_zero_of_theirs():
    mu = np.array([[0.5, -0.7, 0.2, 0.9, 0.0, 0.0]])
    assert RandomDomain(space(6), cells=8).evaluate(mu) == RandomDomain(space(4), cells=8).evaluate(mu[:, :4])


def test_area_is_that_of_the_map():
    model = RandomDomain(space(1), cells=64, sides=["top"], amplitude=0.2, outputs=["area"])
    assert model.solve([1.0]).outputs[0] == pytest.approx(1.0 + 0.2 * 2.0 / np.pi, rel=1e-4)
    assert model.placed([1.0])[:, 1].max() == pytest.approx(1.2)
    corners = model.placed([1.0])[[0, 64, -65, -1]]
    assert np.abs(corners - model.mesh.points[[0, 64, -65, -1]]).max() < 1e-15


def test_slopes_are_the_derivatives_of_the_modes():
    found = SquareMap(9, amplitude=0.3, decay=1.5)
    x = np.random.default_rng(0).random((5, 2))
    for axis in (0, 1):
        step = np.eye(2)[axis] * 1e-6
        difference = (found.modes(x + step)[0] - found.modes(x - step)[0]) / 2e-6
        assert np.abs(difference - found.modes(x)[1][:, axis]).max() < 1e-8


def test_gevrey_function_is_odd_and_flat_at_zero():
    y = np.linspace(-1.0, 1.0, 41)
    for order in (1.0, 1.5, 3.0):
        assert np.allclose(gevrey(y, order), -gevrey(-y, order)) and (np.diff(gevrey(y, order)) >= 0.0).all()
    assert gevrey(np.array([1e-3]), 2.0)[0] == 0.0 and (gevrey(y, 1.0) == y).all()


def test_folded_squares_are_refused():
    with pytest.raises(ConfigError, match=r"folds the square over itself: det DV is -.*lower the amplitude"):
        RandomDomain(space(4), cells=8, amplitude=2.0)
    model = RandomDomain(space(1, -0.2, 0.2), cells=8, sides=["top"], amplitude=3.0, order=1.0)
    model.parameters = space(1)
    with pytest.raises(SolveFailed, match=r"the domain is folded over itself for mu = \[-1\]: det DV is -"):
        model.solve([-1.0])
    outputs = model.evaluate(np.array([[-1.0], [0.1]]))
    assert np.isnan(outputs[0, 0]) and np.isfinite(outputs[0, 1])
    with pytest.raises(SolveFailed, match="folded"):
        model.evolving(TimeGrid(1.0, 2)).solve([-1.0])


def test_heat_tends_to_poisson_and_decays_as_the_first_mode():
    steady = RandomDomain(space(4), cells=10, outputs=["average", "integral", "area"], values=[[0.5, 0.5]])
    mu = np.array([0.9, -0.8, 0.7, 0.6])
    heat = steady.evolving(TimeGrid(4.0, 20))
    assert np.allclose(heat.solve(mu).outputs, steady.solve(mu).outputs, rtol=1e-10)
    free = RandomDomain(space(4), cells=24, values=[[0.5, 0.5]]).evolving(
        TimeGrid(0.05, 50, scheme="bdf2", load="0", initial="sin(pi * x) * sin(pi * y)"))
    assert free.solve(np.zeros(4)).outputs[1] == pytest.approx(np.exp(-0.1 * np.pi**2), rel=5e-3)
    pieces = list(heat.march(mu))
    assert pieces[-1].series.shape == (4, 21) and (pieces[0].series[2] == pieces[0].series[2, 0]).all()
    with pytest.raises(NotSupported):
        heat.sensitivity(mu)


def test_heat_on_a_deformed_square_keeps_its_initial_state():
    heat = RandomDomain(space(2), cells=8, amplitude=0.2).evolving(TimeGrid(1.0, 2, initial="x * y"))
    mu = np.array([0.8, -0.9])
    places = heat.steady.placed(mu)[heat.mesh.dofs]
    first = next(heat.march(mu)).states[:, 0]
    assert np.abs(first - places.prod(axis=1)).max() < 1e-14


def test_study_can_name_it():
    request = {"kind": "random-domain", "options": {"cells": 6, "sides": ["top"]}, "parameters": space(2).to_spec(),
               "base": "."}
    assert build_model(request).n == 25 and build_model({**request, "time": {"end": 1.0, "steps": 2}}).time.steps == 2


@pytest.mark.parametrize(("options", "words"), [
    ({"cells": 1}, "cells"), ({"sides": []}, "sides"), ({"sides": ["topp"]}, "no side 'topp'.*top"),
    ({"sides": ["top", "top"]}, "each once"), ({"amplitude": -0.1}, "amplitude"),
    ({"amplitude": float("nan")}, "finite"), ({"order": 0.5}, "order from 1"), ({"decay": "fast"}, "decay"),
    ({"source": "z"}, "source"), ({"source": None}, "source"), ({"outputs": ["mean"]}, "no output 'mean'"),
    ({"outputs": [["average"]]}, "no output"), ({"sides": [["top"]]}, "no side"),
    ({"outputs": "average"}, "outputs"), ({"outputs": []}, "both empty"), ({"values": [[0.5, 2.0]]}, "unit square"),
    ({"values": [0.5, 0.5]}, "points"), ({"values": [[0.5]]}, "points"), ({"values": 3}, "points"),
    ({"values": [["a", "b"]]}, "points"), ({"values": [[0.5, float("nan")]]}, "points")])
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        RandomDomain(space(2), **({"cells": 4} | options))


def test_wrong_parameters_are_refused():
    with pytest.raises(ConfigError, match=r"y_0 in \[-1, 1\].*\[-2, 1\]"):
        RandomDomain(space(2, -2.0), cells=4)
    with pytest.raises(ConfigError, match="y_0"):
        RandomDomain(ParameterSpace([Parameter("y", Normal(0.0, 1.0), size=2)]), cells=4)
    model = RandomDomain(space(2), cells=4)
    for mu, error in (([0.0, 2.0], ParameterError), ([0.0, np.nan], ParameterError), ([0.0], ShapeError)):
        with pytest.raises(error):
            model.solve(mu)
        with pytest.raises(error):
            model.evaluate([mu])
