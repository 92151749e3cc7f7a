"""Dictionaries as programs: selection, second cluster and refusal as the model has them, in every format."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import NotSupported
from romflow.core.registry import build as made
from romflow.export.checking import check
from romflow.export.npz import Npz
from romflow.export.program.build import build
from romflow.export.program.interpreter import run
from romflow.export.vtu import Vtu
from romflow.reduction.pod_regression import PodRegression
from romflow.rom.dictionary.classifiers import (
    LinearClassifier,
    NearestClassifier,
    NetworkClassifier,
    StackedClassifier,
)
from romflow.rom.dictionary.recommender import Recommender
from tests.toy_dictionary import TRAINING, dictionary, problem
from tests.unit.test_rom_dictionary_moving import blocks, bodies

MU = np.random.default_rng(0).uniform(1.0, 10.0, (60, 1))
CASES = [{}, {"limit": 0.4}, {"slope": 0.0}, {"tolerance": 1e-4, "threshold": 7.0}, {"tolerance": 1e-15},
         {"limit": 0.08, "reach": 50.0}]


def compare(rom, mu, program=None):
    answer, found = rom.solve(mu), run(build(rom) if program is None else program, mu)
    for name in ("output", "error", "output_error"):
        expected = getattr(answer, name).T
        assert np.array_equal(np.isfinite(found[name]), np.isfinite(expected)), name
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12 * scale)
    return answer


@pytest.mark.parametrize("changes", CASES)
def test_a_program_follows_the_chain_of_doubts(changes):
    compare(dictionary(**changes), MU)


def test_the_cases_go_through_all_of_the_chain(must_fail):
    shares = [dictionary(**changes).solve(MU).shares() for changes in CASES]
    assert shares[0]["recommended"] > 0.9
    assert shares[1]["refused"] > 0.3 and shares[4]["refused"] == 1.0
    assert shares[2]["second"] > 0.5 and shares[3]["second"] > 0.1
    must_fail(lambda rom: compare(rom, MU, build(dictionary())), dictionary(threshold=6.0), dictionary(limit=0.4))


def test_other_classifiers_and_one_model():
    rng, rom = np.random.default_rng(1), dictionary()
    hidden = rng.standard_normal((1, 5)), rng.standard_normal(5)
    nets = [NetworkClassifier((hidden, (rng.standard_normal((5, 2)), rng.standard_normal(2)))) for _ in range(2)]
    stack = StackedClassifier(tuple(nets), LinearClassifier(rng.standard_normal((4, 2)), np.zeros(2)))
    for classifier in (nets[0], stack):
        compare(replace(rom, recommender=replace(rom.recommender, classifier=classifier, sharpness=1.7)), MU)
    compare(replace(rom, models=rom.models[:1], recommender=Recommender.constant(TRAINING[0])), MU)
    nearest = NearestClassifier(rom.recommender.training, np.array([0, 0, 0, 1, 1, 1]), np.ones(2), 2)
    with pytest.raises(NotSupported, match="classifier \"nearest\" sorts distances"):
        build(replace(rom, recommender=replace(rom.recommender, classifier=nearest)))


def test_dictionaries_of_regressions_and_of_models_in_time():
    fom, store = problem()
    local = [PodRegression(max_size=2, regressor="rbf").reduce(fom, store, mu) for mu in TRAINING]
    compare(replace(dictionary(), models=tuple(local)), MU)
    moving = blocks()[1]
    mu = np.random.default_rng(3).uniform(0.1, 1.0, (8, 4))
    program = build(moving)
    assert set(moving.solve(mu).chosen.tolist()) == {0, 1}
    compare(moving, mu, program)
    np.testing.assert_allclose(run(program, mu)["series"], moving.solve(mu).series.T, rtol=1e-10)


def test_mechanics_are_not_written_as_programs():
    with pytest.raises(NotSupported, match="MechanicsReducedModel cannot be written as a list"):
        build(bodies())


def test_arrays_and_evaluator(tmp_path):
    rom = dictionary(threshold=7.0, tolerance=1e-4, limit=1.0)
    exporter = Npz(fields=False)
    exporter.write(rom, tmp_path / "toy.npz")
    assert check(rom, exporter, tmp_path / "toy.npz").passed
    assert not check(dictionary(threshold=5.0), exporter, tmp_path / "toy.npz").passed
    with np.load(tmp_path / "toy.npz", allow_pickle=False) as found:
        assert "0/operator" in found and "0/basis" not in found


@pytest.mark.long
@pytest.mark.parametrize(("kind", "needs"), [("c", "romflow"), ("onnx", "onnxruntime"), ("fmu", "fmpy")])
def test_other_formats(tmp_path, kind, needs):
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    rom = dictionary(threshold=7.0, tolerance=1e-4, limit=1.0)
    exporter = made("exporter", kind, tmp_path, {}, base=tmp_path)
    path = tmp_path / f"toy{exporter.suffix}"
    exporter.write(rom, path)
    assert check(rom, exporter, path).passed
    assert not check(dictionary(threshold=5.0), exporter, path).passed


def test_pictures_of_fields_are_those_of_each_draws_model(tmp_path):
    rom = bodies()
    written = Vtu(mu=[[0.2, 1.4]], modes=2, times=True).write(rom, tmp_path / "body.vtu")
    assert len(written) == len(rom.times) + 3
    import meshio

    last = meshio.read(written[len(rom.times)])
    answer = rom.solve(np.array([[0.2, 1.4]]))
    assert {"mises", "stress"} <= set(last.cell_data)
    np.testing.assert_allclose(last.cell_data["mises"][0].ravel(), rom.cell_fields(answer)["mises"].ravel(), rtol=1e-6)
