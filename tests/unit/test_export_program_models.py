"""Programs of reduced models give the numbers that the models themselves answer."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import NotSupported
from romflow.export.program.build import build
from romflow.export.program.interpreter import run
from romflow.export.program.program import March
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.nonaffine import Nonaffine
from romflow.fom.gallery.random_field import RandomField
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Normal, TruncatedNormal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_greedy import PodGreedy
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.store.snapshots import SnapshotStore
from romflow.testing.small import solve_missing
from tests.problems import MemoryStore, advection, reaction_diffusion

TOLERANCE = 1e-12
BLOCK = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=2)])
WIND = ParameterSpace([Parameter("diffusion", Uniform(0.1, 1.0)), Parameter("angle", Uniform(0.0, 1.5))])
INCLUSION = ParameterSpace([Parameter("a", Uniform(0.2, 0.8)), Parameter("s", Uniform(0.5, 3.0))])
FULL = {"diffusion": "1 + 0.5*sin(s*x*y)", "velocity": ["s*(y - a)", "s*(a - x)*x"], "reaction": "-a**x",
        "source": "exp(-5*((x - a)**2 + (y - 0.5)**2))"}


def steady(fom, size=6, **options):
    mu = fom.parameters.sample(size, np.random.default_rng(0))
    return ReducedBasisReductor(**options).reduce(fom, MemoryStore(fom), mu)


def nonaffine(**options):
    return steady(Nonaffine(INCLUSION, **{"cells": 6, "max_terms": 8, "tolerance": 1e-3} | FULL | options), 4)


def random_field(law, transform, **options):
    space = ParameterSpace([Parameter("xi", law, size=2)])
    return steady(RandomField(space, transform, cells=6, length=1.0, std=0.3, **options), 4)


def moving(folder, model, tolerance=1e-2, **time):
    fom = model.evolving(TimeGrid(**time))
    store, mu = SnapshotStore(folder / "store", {"kind": "t"}, fom.parameters.columns), fom.parameters.sample(
        3, np.random.default_rng(0))
    solve_missing(fom, store, mu)
    return PodGreedy(tolerance, 30).reduce(fom, store, mu)


STEADY = {
    "scm": lambda: steady(advection(30, {"kind": "scm"}), 4),
    "inf-sup, least squares": lambda: steady(advection(30, {"kind": "inf-sup"}), 4, projection="least-squares"),
    "no bound": lambda: steady(advection()),
    "compliant": lambda: steady(ThermalBlock(BLOCK, blocks=[2, 1], cells=6)),
    "compliant and not": lambda: replace(steady(reaction_diffusion(60), 3), compliance=np.array([1.0, 0.0])),
    "eim": lambda: steady(reaction_diffusion(), 3, estimator="eim"),
    "sketched": lambda: steady(reaction_diffusion(), 3, estimator="sketched"),
    "pointwise": lambda: nonaffine(bound="points"),
    "less interpolation": lambda: nonaffine(stability="scm"),
    "formula less interpolation": lambda: nonaffine(stability="0.1"),
    "random field": lambda: random_field(Uniform(-1.5, 1.5), "affine"),
    "exponential of a random field": lambda: random_field(TruncatedNormal(0.0, 1.0, -2.0, 2.0), "lognormal"),
    "random field without ends": lambda: random_field(Normal(0.0, 1.0), "lognormal", training=32),
    "matrix terms": lambda: nonaffine(interpolate="matrix"),
    "gaussian process": lambda: regression("gaussian-process"), "rbf": lambda: regression("rbf")}


def regression(kind):
    fom = reaction_diffusion(60)
    mu = fom.parameters.sample(6, np.random.default_rng(0))
    return PodRegression(regressor=kind).reduce(fom, MemoryStore(fom), mu)


def agree(rom, must_fail, size=1000):
    mu = rom.parameters.sample(size, np.random.default_rng(5))
    answer, found = rom.solve(mu), run(build(rom), mu)
    assert {"output", "output_error", "error"} <= found.keys()
    for name, values in found.items():
        expected = getattr(answer, name)
        sized = answer.norm if name.startswith("error") else np.abs(answer.output)
        scale = sized.max(initial=0.0) or 1.0

        def check(given, expected=expected, scale=scale):
            finite = np.isfinite(expected)
            assert np.array_equal(np.isfinite(given), finite)
            assert np.abs(given[finite] - expected[finite]).max(initial=0.0) <= TOLERANCE * scale

        check(values.T)
        if values.size and np.isfinite(expected).any():
            must_fail(check, values.T + 10 * TOLERANCE * scale, values.T - 10 * TOLERANCE * scale)


SLOW = ("inf-sup, least squares", "gaussian process", "matrix terms", "formula less interpolation")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name
                                  for name in STEADY])
def test_programs_agree_with_steady_models(name, must_fail):
    rom = STEADY[name]()
    agree(rom, must_fail)
    agree(rom.truncate(1), must_fail, 50)
    agree(rom.truncate(0), must_fail, 50)


@pytest.mark.parametrize(("model", "time"), [
    ("block", {"times": [0.01, 0.05, 0.2], "load": "1 + t * k_0", "initial": "k_1 * x * y + cos(x)"}),
    ("block", {"end": 0.2, "steps": 30}), ("block", {"times": [0, 0.01, 0.022, 0.05, 0.081, 0.2, 0.31, 0.45]}),
    ("wind", {"end": 0.5, "steps": 5, "load": "sin(t)"}),
    ("block", {"end": 0.002, "steps": 10, "scheme": "explicit-euler", "initial": "x * (1 - x) * y * (1 - y)"})],
    ids=["three lengths", "one length", "many lengths", "scm", "explicit"])
def test_programs_agree_with_models_in_time(model, time, tmp_path, must_fail):
    fom = {"block": lambda: ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]),
           "wind": lambda: AdvectionDiffusion(WIND, cells=4, speed=3.0)}[model]()
    rom = moving(tmp_path, fom, **time)
    agree(rom, must_fail)
    agree(rom.truncate(1), must_fail, 20)


def test_programs_agree_where_coefficients_are_interpolated_and_move(tmp_path, must_fail):
    options = {key: FULL[key] for key in ("diffusion", "source")}
    fom = Nonaffine(INCLUSION, cells=6, max_terms=4, bound="points", tolerance=1e-3, **options)
    agree(moving(tmp_path, fom, 1e-4, end=0.5, steps=4, load="1 + t"), must_fail)


def test_operators_that_move_are_assembled_in_each_step(tmp_path, must_fail):
    """Coefficients of the time are put into a model by hand: no model of the gallery has them."""
    rom = moving(tmp_path, ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]), end=0.2, steps=6)
    theta = type(rom.operator_theta)(["k_0 * (1 + t)", "k_1"], ("k_0", "k_1", "t"))
    output = type(rom.operator_theta)(["1 + t * k_0"], ("k_0", "k_1", "t"))
    stability = replace(rom.stability, theta=theta)
    for scheme in ("implicit-euler", "explicit-euler"):
        agree(replace(rom, operator_theta=theta, output_theta=output, stability=stability, scheme=scheme,
                      times=rom.times * 1e-3 if scheme == "explicit-euler" else rom.times), must_fail)
    agree(replace(rom, operator_theta=theta, stability=None), must_fail)
    agree(replace(rom, stability=None, in_mass=True), must_fail)


def test_trajectories_that_blow_up_have_no_output_and_an_infinite_error(tmp_path):
    rom = moving(tmp_path, ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]), end=1.0, steps=400)
    wild = replace(rom, scheme="explicit-euler", times=1e3 * rom.times)
    mu = BLOCK.sample(20, np.random.default_rng(0))
    answer, found = wild.solve(mu), run(build(wild), mu)
    assert not answer.converged.any()
    for name, values in found.items():
        np.testing.assert_array_equal(values.T, getattr(answer, name), err_msg=name)


@pytest.mark.parametrize(("change", "reason"), [
    ({"scheme": "bdf2"}, "the scheme bdf2"), ({"control": (1e-3, 1e-6)}, "step control"),
    ({"nonlinear": object()}, "a nonlinear term")])
def test_models_in_time_that_cannot_say_why(change, reason, tmp_path):
    rom = moving(tmp_path, ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]), end=0.2, steps=3)
    with pytest.raises(NotSupported, match=f"{reason}; use format = \"csv\""):
        build(replace(rom, **change))


def test_unknown_parts_say_what_there_is_instead():
    rom = STEADY["scm"]()
    other = copy.copy(rom.stability)
    with pytest.raises(NotSupported, match='bound of the kind Strange.*use format = "csv"'):
        build(replace(rom, stability=type("Strange", (), vars(other) | {"__call__": other})()))
    with pytest.raises(NotSupported, match="residual norm of the kind Strange.*estimator = \"orthonormal\""):
        build(replace(rom, residual=type("Strange", (), {})()))
    fitted = STEADY["rbf"]()
    with pytest.raises(NotSupported, match="regressor of the kind Strange"):
        build(replace(fitted, regressor=type("Strange", (), {"points": fitted.regressor.points})()))
    with pytest.raises(NotSupported, match="a model of the kind int.*romflow.load"):
        build(3)


def test_facts_tell_ranges_errors_and_where_the_model_comes_from(tmp_path):
    about = {"study": "block", "fingerprint": "abc", "romflow": "1.0", "validation": {"largest": 0.1}}
    rom = replace(STEADY["compliant"](), metadata=about)
    facts = build(rom).facts
    assert (facts.name, facts.fingerprint, facts.version) == ("block", "abc", "1.0")
    assert facts.columns == ("k_0", "k_1") and facts.low == (0.1, 0.1) and facts.high == (1.0, 1.0)
    assert facts.error_kind == "bound" and facts.validation == {"largest": 0.1} and facts.training is None
    told = {"training_range": {"low": [0.2, 0.3], "high": [0.8, 0.9], "snapshots": 6}}
    assert build(replace(rom, metadata=told)).facts.training == {"low": [0.2, 0.3], "high": [0.8, 0.9], "size": 6}
    fitted = STEADY["rbf"]()
    training = build(fitted).facts.training
    mu = fitted.parameters.sample(6, np.random.default_rng(0))
    np.testing.assert_allclose([training["low"], training["high"]], [mu.min(axis=0), mu.max(axis=0)], rtol=1e-12)
    assert training["size"] == 6
    march = moving(tmp_path, ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]), end=0.2, steps=3)
    assert build(march).facts.times == tuple(march.times.tolist())


def test_steps_of_one_length_share_an_inverse_and_nothing_unused_is_kept(tmp_path):
    program = build(moving(tmp_path, ThermalBlock(BLOCK, blocks=[2, 1], cells=[5, 4]), end=0.2, steps=30))
    march = March(**next(node for node in program.nodes if node.op == "march").attributes)
    assert sum(node.op == "solve" for node in program.nodes) == 1
    assert not any(node.op == "solve" for node in march.body.nodes) and march.count == 30
    used = {name for node in march.body.nodes for name in node.inputs} | set(march.body.results.values())
    assert {*march.steps, *march.fixed} <= used
