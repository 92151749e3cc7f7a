"""[solver] with [time]: the same trajectories by every method, and clear refusals; marches in pieces by the clock."""

from __future__ import annotations

import numpy as np
import pytest

import romflow.fom.evolution.model as evolution_model
from romflow.core.errors import ConfigError, SolveFailed
from romflow.fom.marching import checked_march
from romflow.study import Study

MU = np.array([0.2, 0.7])
BLOCK = {"kind": "thermal-block", "blocks": [2, 1], "cells": 10}
WIND = {"kind": "advection-diffusion", "cells": 6, "speed": 4.0}
FRONT = {"kind": "burgers", "cells": [12, 6], "viscosity": "0.1 * k_0", "exponent": "1 + k_1"}


def model(kind, solver=None, **time):
    names = ("diffusion", "angle") if kind is WIND else None
    tables = {name: {"low": 0.1, "high": 1.0} for name in names} if names else {
        "k": {"low": 0.1, "high": 1.0, "size": 2}}
    content = {"study": {"name": "s"}, "model": kind, "parameters": tables, "sampling": {"method": "greedy"},
               "time": {"end": 0.2, "steps": 5, **time}}
    return Study.from_dict(content if solver is None else {**content, "solver": solver}).model


@pytest.mark.parametrize("kind", [BLOCK, WIND, FRONT], ids=["block", "wind", "front"])
@pytest.mark.parametrize("solver", [{"backend": "lapack"}, {"method": "auto"}, {"method": "gmres", "tolerance": 1e-11}],
                         ids=["lapack", "auto", "gmres"])
def test_every_method_gives_the_same_trajectory(kind, solver):
    chosen, plain = model(kind, solver, scheme="dc3"), model(kind, scheme="dc3")
    truth = plain.solve(MU).state
    np.testing.assert_allclose(chosen.solve(MU).state, truth, atol=1e-8 * np.abs(truth).max())
    assert chosen.spec != plain.spec


def test_the_method_of_the_steps_themselves_is_no_other_model():
    chosen, plain = model(BLOCK, {"method": "direct", "backend": "superlu"}), model(BLOCK)
    assert chosen.spec == plain.spec
    np.testing.assert_array_equal(chosen.solve(MU).state, plain.solve(MU).state)


def test_the_mass_matrix_of_explicit_steps_is_solved_by_iterations():
    time = {"end": 1e-4, "scheme": "explicit-euler"}
    truth = model(BLOCK, **time).solve(MU).state
    found = model(BLOCK, {"method": "minres", "tolerance": 1e-11}, **time).solve(MU).state
    np.testing.assert_allclose(found, truth, atol=1e-7 * np.abs(truth).max())


def test_more_sizes_of_steps_than_kept_factors():
    times = {"end": None, "steps": None, "times": [0.01, 0.03, 0.06, 0.1, 0.15, 0.16, 0.2]}
    times = {key: value for key, value in times.items() if value is not None}
    content = {"study": {"name": "s"}, "model": BLOCK, "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 2}},
               "sampling": {"method": "greedy"}, "time": times}
    plain = Study.from_dict(content).model
    chosen = Study.from_dict({**content, "solver": {"method": "cg", "tolerance": 1e-12}}).model
    np.testing.assert_allclose(chosen.solve(MU).state, plain.solve(MU).state, rtol=1e-8)


def test_methods_of_stationary_models_are_refused():
    with pytest.raises(ConfigError, match=r"'sweep' is for models without \[time\]"):
        model(BLOCK, {"method": "sweep"})


def test_an_iteration_that_does_not_converge_names_its_time():
    with pytest.raises(SolveFailed, match=r"step to t = 0.04 failed: .*GMRES") as failed:
        model(BLOCK, {"method": "gmres", "preconditioner": "none", "max_iterations": 1}).solve(MU)
    assert failed.value.report["time"] == pytest.approx(0.04)


@pytest.mark.parametrize("scheme", ["implicit-euler", "dc4"])
def test_a_slow_march_gives_pieces_by_the_clock_with_the_same_bits(monkeypatch, scheme):
    whole = list(checked_march(model(WIND, scheme=scheme), MU))
    monkeypatch.setattr(evolution_model, "_SECONDS", -1.0)
    slow = model(WIND, scheme=scheme)
    pieces = list(checked_march(slow, MU))
    assert [len(whole), len(pieces)] == [1, 6]
    rest = list(checked_march(slow, MU, (3, pieces[2].checkpoint)))
    for found, part in ((pieces, slice(None)), (rest, slice(3, None))):
        np.testing.assert_array_equal(np.hstack([piece.states for piece in found]), whole[0].states[:, part])
        np.testing.assert_array_equal(np.hstack([piece.series for piece in found]), whole[0].series[:, part])
