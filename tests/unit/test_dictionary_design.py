"""What lies far from the design of a dictionary is refused, whatever the recommender looks at; the rest is answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.export.program.build import build
from romflow.export.program.interpreter import run
from romflow.materials.making import make_law
from romflow.materials.reference import REFERENCE
from romflow.outcome.summary import online_summary
from romflow.parameters.loading import Loading
from romflow.parameters.space import ParameterSpace
from romflow.parameters.spatial_field import SpatialField
from romflow.reduction.draws import answered
from romflow.rom.dictionary.answer import RECOMMENDED, REFUSED
from romflow.rom.dictionary.design import Design
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender
from romflow.rom.loading import load
from tests.toy_dictionary import dictionary, recommender
from tests.unit.test_rom_dictionary_moving import blocks, bodies

RNG = np.random.default_rng(4)
NEAR = RNG.uniform(0.1, 1.0, (30, 4))
FAR = np.array([[0.5, 0.5, 5.0, 0.5], [1e300, -4.0, 0.5, 0.5]])


def looking_at_one(design=None):
    """The thermal block in time with a recommender that looks at the first parameter alone."""
    rom = blocks()[1]
    blind = Recommender(2, 4, np.array([0]), np.zeros(1), np.ones(1), recommender(np.zeros((1, 1))).classifier,
                        NEAR[:, :1], 1.0)
    return replace(rom, recommender=blind, input_field=InputField.parameters(4), design=design)


def hot(design=None, text="20 + heat * exp(-(x - spot)**2)", most=1000.0):
    """Bodies whose law knows temperatures up to `most`; the recommender reads a field that is the same far away."""
    rom, loading = bodies(), Loading(("spot", "pull"))
    law = make_law({**REFERENCE, "temperature_range": [0.0, most]}, bodies().models[0].loading.columns)
    nodes = np.array([[0.0, 0.0], [1.0, 0.0]])
    field = InputField.temperature(SpatialField([text.replace("heat", "100")], loading.columns), loading, nodes, 0.0)
    points = field.values(np.array([[0.2, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]))
    return replace(rom, models=tuple(replace(model, law=law) for model in rom.models), input_field=field,
                   recommender=recommender(points, column=1, threshold=60.0, slope=0.1, reach=50.0), design=design)


def test_parameters_that_the_recommender_does_not_see_are_refused(must_fail):
    mu = np.concatenate([NEAR[:3], FAR])

    def told(rom):
        answer = rom.solve(mu, check=False)
        assert answer.refused.tolist() == [False] * 3 + [True] * 2
        assert np.isnan(answer.output[:, 3:]).all() and np.isinf(answer.error[3:]).all()
        assert np.isfinite(answer.output[:, :3]).all()

    told(looking_at_one(NEAR))
    must_fail(told, looking_at_one())


def test_the_file_and_exported_programs_have_the_design(tmp_path, must_fail):
    rom, mu = looking_at_one(NEAR), np.concatenate([NEAR[:3], FAR])
    again = load(rom.save(tmp_path / "model.h5"))
    assert np.array_equal(again.recommend(mu, check=False).novelty, rom.recommend(mu, check=False).novelty)
    assert load(looking_at_one().save(tmp_path / "old.h5")).design is None

    def agrees(program):
        assert np.isnan(program["output"]).any(axis=1).tolist() == [False] * 3 + [True] * 2

    agrees(run(build(rom), mu))
    must_fail(agrees, run(build(looking_at_one()), mu))


def test_logarithms_are_taken_of_what_is_distributed_so(must_fail):
    rom = dictionary()
    space = ParameterSpace.from_spec([{"name": "mu", "distribution": "log-uniform", "low": 1.0, "high": 1e4}])
    mu, draws = np.geomspace(1.0, 30.0, 20)[:, None], np.array([[1.0, 0.5, 60.0, 500.0, 3e4, 0.0, -1.0]]).T
    design = Design.of(space, mu)
    assert (design.novelty(draws) > 1.0).tolist() == [False] * 3 + [True] * 4
    must_fail(lambda other: np.testing.assert_array_equal(other.novelty(draws) > 1.0, design.novelty(draws) > 1.0),
              Design.of(rom.parameters, mu))
    rom = replace(rom, design=design, recommender=replace(rom.recommender, limit=1.0))
    assert np.array_equal(np.isnan(run(build(rom), draws)["output"]).any(axis=1), rom.solve(draws, check=False).refused)


@pytest.mark.parametrize("spec", [{"distribution": "normal", "mean": 3.0, "std": 2.0},
                                  {"distribution": "log-normal", "mean": 0.0, "std": 1.0},
                                  {"distribution": "uniform", "low": 0.0, "high": 1.0}])
def test_draws_of_the_same_distribution_are_hardly_refused(spec, must_fail):
    rng = np.random.default_rng(1)

    def hardly(stretch):
        for size in (2, 12):
            space = ParameterSpace.from_spec([{"name": "x", "size": size, **spec}])
            order = np.argsort(rng.random((60, size)), axis=0)
            design = Design.of(space, space.ppf((order + rng.random((60, size))) / 60))
            assert (design.novelty(stretch * space.sample(2000, rng)) > 1.0).mean() < 0.01

    hardly(1.0)
    must_fail(hardly, 20.0)


def test_a_temperature_that_the_law_does_not_know_refuses_that_draw_alone(must_fail, monkeypatch):
    mu = np.array([[1.0, 1.0], [0.1, 1.0], [0.0, 0.5]])
    rom = hot(most=400.0)
    with pytest.raises(ParameterError, match="outside the law's temperature_range"):
        rom.models[0].solve(mu)
    answer = rom.solve(mu)
    assert answer.status.tolist() == [REFUSED, RECOMMENDED, RECOMMENDED]
    assert np.isnan(answer.output[:, 0]).all() and np.isnan(answer.coefficients[:, 0]).all()
    alone = rom.solve(mu[1:])

    def agree(series):
        np.testing.assert_allclose(answer.series[..., 1:], series, rtol=1e-8, atol=1e-12)

    agree(alone.series)
    must_fail(agree, hot().solve(mu[1:] + 0.2).series)
    own = rom.models[0].solve(mu, check=False)
    assert own.converged.tolist() == [False, True, True]
    assert np.isnan(own.output[:, 0]).all() and np.isnan(own.trajectory[..., 0]).all()
    assert answered(replace(rom.models[0], outputs=()), mu).status.tolist() == [REFUSED, RECOMMENDED, RECOMMENDED]
    lost = rom.models[0].solve(mu[:1], check=False)
    assert not lost.converged.any()
    monkeypatch.setattr("romflow.outcome.summary._ONLINE_BATCH", 8)
    assert online_summary(replace(rom.models[0], times=rom.times[:4]), 1.0)["speedup"] > 0.0


def test_an_input_field_without_a_value_refuses_that_draw_alone():
    rom, mu = hot(text="20 + heat / spot"), np.array([[0.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
    answer = rom.solve(mu, check=False)
    assert answer.refused.tolist() == [True, False, True]
    assert np.isinf(answer.novelty[[0, 2]]).all()


def test_other_designs_are_refused():
    rom = dictionary()
    with pytest.raises(ShapeError, match=r"the rule is \(N, 1\)"):
        replace(rom, design=np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="a design of 4 parameters was given"):
        replace(rom, design=Design.of(blocks()[1].parameters, NEAR))
    with pytest.raises(InputError, match="not finite"):
        replace(rom, design=[[np.nan]])
