"""Dictionaries of models that move in time and of mechanics: trajectories, series, dual fields, other times, files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from romflow.core.errors import InputError
from romflow.rom.dictionary.answer import DictionaryEvolutionAnswer, DictionaryMechanicsAnswer
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.model import RomDictionary, is_mechanics
from romflow.rom.loading import load
from romflow.rom.mechanics.answer import MechanicsAnswer
from tests.toy_dictionary import recommender
from tests.toy_reduced_mechanics import history, reduced
from tests.unit.test_rom_evolution import heat

MU = np.array([[0.2, 1.4], [2.5, 0.2], [1.0, 1.0]])


PRESCRIBED = "0.02 * a * pull"


@cache
def cycle():
    """Two mechanics models of different accuracy, the second where the spot is beyond 1.5; the right edge is moved."""
    known = history(PRESCRIBED)
    points = np.array([[spot, pull] for spot in (0.2, 1.0, 2.0, 3.0) for pull in (0.2, 1.4)])
    return RomDictionary((reduced(known), reduced(known, 1e-3, 1e-3)), recommender(points, threshold=1.5),
                         InputField.parameters(2))


@cache
def bodies():
    """The same for the first steps of the cycle."""
    return cycle().until(30.0)


@cache
def answers():
    return bodies().solve(MU)


@cache
def blocks():
    """Two models of the thermal block in time."""
    fom, rom = heat()
    points = np.random.default_rng(2).uniform(0.1, 1.0, (9, 4))
    return fom, RomDictionary((rom, rom.truncate(4)), recommender(points, threshold=0.5), InputField.parameters(4))


def test_trajectories_and_series_are_those_of_each_draws_own_model(must_fail):
    _, rom = blocks()
    mu = np.random.default_rng(3).uniform(0.1, 1.0, (5, 4))
    answer = rom.solve(mu)
    assert isinstance(answer, DictionaryEvolutionAnswer)
    assert set(answer.chosen.tolist()) == {0, 1}
    assert np.array_equal(rom.times, rom.models[0].times)

    def agrees(chosen):
        for j, row in enumerate(mu):
            model = rom.models[chosen[j]]
            own = model.solve(row[None])
            np.testing.assert_allclose(answer.series[..., j], own.series[..., 0], rtol=1e-12)
            np.testing.assert_allclose(answer.error_series[:, j], own.error_series[:, 0], rtol=1e-6)
            np.testing.assert_allclose(rom.lift(answer.trajectory[:, :, j].T), model.lift(own.trajectory[:, :, 0].T),
                                       rtol=1e-10, atol=1e-13)

    agrees(answer.chosen)
    must_fail(agrees, 1 - answer.chosen)


def test_dual_fields_of_mechanics_are_those_of_each_draws_own_model(must_fail):
    rom, answer = bodies(), answers()
    assert is_mechanics(rom) and not is_mechanics(blocks()[1])
    assert isinstance(answer, DictionaryMechanicsAnswer)
    assert answer.chosen.tolist() == [0, 1, 0]

    def agrees(chosen):
        for j, row in enumerate(MU):
            model = rom.models[chosen[j]]
            own = model.solve(row[None])
            for name, k in (("mises", -1), ("stress", 5), ("accumulated_plastic_strain", -1)):
                field = model.field(own, name, k)[..., 0]
                np.testing.assert_allclose(rom.field(answer, name, k)[..., j], field, atol=1e-9 * np.abs(field).max())
            np.testing.assert_allclose(rom.lift(answer.coefficients)[:, j], model.lift(own.coefficients)[:, 0],
                                       atol=1e-12)
            np.testing.assert_allclose(answer.series[..., j], own.series[..., 0], rtol=1e-8, atol=1e-9)

    agrees(answer.chosen)
    must_fail(agrees, 1 - answer.chosen)
    cells = rom.cell_fields(answer, draw=1)["mises"]
    assert np.array_equal(cells, rom.models[1].cell_fields(rom.local_answer(answer, 1, [1]))["mises"])
    with pytest.raises(InputError, match="no field 'heat'"):
        rom.field(answer, "heat")


def test_mechanics_at_other_times_from_a_file_and_for_no_draws(tmp_path):
    rom = bodies()
    again = load(rom.save(tmp_path / "model.h5"))
    times = np.linspace(0.0, 20.0, 3)
    a, b = rom.solve(MU, times=times), again.solve(MU, times=times)
    assert np.array_equal(a.series, b.series)
    assert np.array_equal(a.times, times)
    assert np.array_equal(rom.until(20.0).times, rom.models[0].until(20.0).times)
    assert again.models[0].mesh is not None
    empty = rom.solve(np.empty((0, 2)))
    assert empty.trajectory.shape[1:] == (rom.blocks.size, 0)
    assert rom.field(empty, "mises").shape[2] == 0


def test_refused_draws_of_mechanics_have_no_fields():
    rom = replace(bodies(), recommender=replace(bodies().recommender, limit=0.1))
    answer = rom.solve(MU)
    gone = answer.refused
    assert gone.tolist() == [False, True, True]
    assert np.isnan(rom.field(answer, "accumulated_plastic_strain")[..., gone]).all()
    assert np.isfinite(rom.field(answer, "mises")[..., ~gone]).all()
    assert np.isnan(answer.series[..., gone]).all()
    assert np.isinf(answer.error[gone]).all()


def test_the_answer_of_a_local_model_is_of_its_own_class():
    rom = bodies()
    own = rom.local_answer(answers(), 0, np.array([0, 2]))
    assert type(own) is MechanicsAnswer
    assert np.array_equal(own.mu, MU[[0, 2]])
    assert own.coefficients.shape == (rom.models[0].size + rom.models[0].lifting.shape[1], 2)


def test_models_of_other_times_or_kinds_are_refused():
    rom = bodies()
    with pytest.raises(InputError, match="other times"):
        replace(rom, models=(rom.models[0], rom.models[1].until(20.0)))
    with pytest.raises(InputError, match="the rule is one kind"):
        replace(rom, models=(rom.models[0], blocks()[1].models[0]))
    with pytest.raises(InputError, match="no error estimate to compare"):
        replace(rom, tolerance=0.1)
