"""Initial states written as texts: exact where they separate, interpolated elsewhere, and refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from romflow.core.errors import ConfigError
from romflow.core.schema import parse_study
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.burgers import Burgers
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

SPACE = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=2)])
MU = np.array([0.3, 0.8])


def block(initial, **options):
    grid = TimeGrid(0.1, 2, initial=initial)
    return ThermalBlock(SPACE, blocks=[2, 1], **{"cells": [6, 5], **options}).evolving(grid)


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_a_text_that_separates_is_exact_with_its_terms(element):
    model = block("k_0 * sin(pi * x) + k_1**2 * y", element=element)
    points = model.mesh.points[model.mesh.dofs]
    exact = 0.3 * np.sin(np.pi * points[:, 0]) + 0.64 * points[:, 1]
    np.testing.assert_allclose(model.start(MU), exact, rtol=1e-12)
    assert model.initial.vectors.shape[1] == 2
    np.testing.assert_array_equal(next(iter(model.march(MU))).states[:, 0], model.start(MU))


def test_a_moving_hump_is_interpolated(must_fail):
    model = block("exp(-8 * ((x - k_0)**2 + (y - k_1)**2))", cells=[24, 24])
    x, y = model.mesh.points[model.mesh.dofs].T

    def check(mu: np.ndarray) -> None:
        exact = np.exp(-8.0 * ((x - mu[0])**2 + (y - mu[1])**2))
        np.testing.assert_allclose(model.start(MU), exact, atol=1e-6)

    check(MU)
    must_fail(check, MU + 1e-3)
    assert model.initial.vectors.shape[1] < 150


def test_components_have_their_own_texts():
    space = ParameterSpace([Parameter("E", Uniform(0.5, 1.0), size=1)])
    model = LinearElasticity(space, length=2.0, cells=[4, 2]).evolving(TimeGrid(1.0, 2, initial=["x", "E * y"]))
    where, component = np.divmod(model.mesh.dofs, 2)
    x, y = model.mesh.points[where].T
    np.testing.assert_allclose(model.start(np.array([0.6])), np.where(component == 0, x, 0.6 * y), rtol=1e-12)


def test_the_state_belongs_to_the_identity_of_the_snapshots():
    assert block("x").spec["time"]["initial"] == ["x"]
    assert "initial" not in block(None).spec["time"]


@pytest.mark.parametrize(("initial", "reason"), [
    ("q * x", "initial: .*called 'q'"), (["x", "y"], "1 components; give one for each"),
    ("log(x - k_0)", "initial: .*must be finite"), ([], "initial = .*; the rule is a text"),
    ("sign(sin(300 * (x * y + y - k_0)))", "is off by .* narrow the ranges")])
def test_a_wrong_text_is_refused(initial, reason):
    with pytest.raises(ConfigError, match=reason):
        block(initial, cells=[20, 20])


def test_burgers_has_an_initial_state_of_its_own():
    space = ParameterSpace([Parameter("exponent", Uniform(1.0, 2.0))])
    with pytest.raises(ConfigError, match="one of the two"):
        Burgers(space, cells=[8, 4]).evolving(TimeGrid(0.1, 2, initial="x"))


def study(**time):
    return parse_study({"study": {"name": "s"}, "model": {"kind": "thermal-block"}, "sampling": {"method": "greedy"},
                        "parameters": {"k": {"low": 0.1, "high": 1.0}}, "time": {"end": 1.0, "steps": 2, **time}})


def test_numbers_are_taken_for_texts():
    assert study(initial=1.5, load=2).time.wishes() == {"end": 1.0, "steps": 2, "initial": ["1.5"], "load": "2"}


@pytest.mark.parametrize("initial", [True, [], {"a": 1}])
def test_the_table_refuses_what_is_no_text(initial):
    with pytest.raises(ConfigError, match=r"\[time\] has initial = .*; write a text in x, y, z"):
        study(initial=initial)
