"""Dictionaries of reduced models: each draw by its own model, the chain of doubts, refusal, one file, wrong input."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from romflow.core.errors import InputError, NotSupported, ParameterError, ShapeError, SolveFailed, StoreError
from romflow.rom.dictionary.answer import RECOMMENDED, REFUSED, SECOND, columns_of
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.model import RomDictionary, shared_out
from romflow.rom.dictionary.recommender import Recommender
from romflow.rom.loading import load
from romflow.rom.model import ReducedModel
from romflow.store.artefact import read_artefact, write_artefact
from tests.toy_dictionary import TRAINING, dictionary, local, problem

MU = np.array([[9.0], [1.2], [3.0], [5.0], [2.0], [8.0]])


def test_each_draw_is_answered_by_the_model_of_its_cluster(must_fail):
    rom, answer = dictionary(), dictionary().solve(MU)
    assert answer.chosen.tolist() == [1, 0, 0, 1, 0, 1]

    def agrees(chosen):
        for j, row in enumerate(MU):
            own = rom.models[chosen[j]].solve(row[None])
            np.testing.assert_allclose(answer.output[:, j], own.output[:, 0], rtol=1e-13)
            np.testing.assert_allclose(answer.error[j], own.error[0], rtol=1e-6)
            state = rom.models[chosen[j]].lift(own.coefficients)[:, 0]
            np.testing.assert_allclose(rom.lift(answer.coefficients)[:, j], state, rtol=1e-12)

    agrees(answer.chosen)
    must_fail(agrees, 1 - answer.chosen)
    assert answer.kind == rom.error_kind == "bound"
    assert answer.shares() == {"recommended": 1.0, "second": 0.0, "enriched": 0.0, "refused": 0.0}


def test_it_is_a_reduced_model_with_the_local_bases_side_by_side():
    rom = dictionary()
    assert isinstance(rom, ReducedModel)
    assert not hasattr(rom, "times")
    assert rom.size == 4
    assert rom.basis.shape == (rom.n, 4)
    answer = rom.solve(MU)
    np.testing.assert_allclose(rom.basis @ answer.coefficients, rom.lift(answer.coefficients), rtol=1e-13)
    assert np.array_equal(answer.norm, np.linalg.norm(answer.coefficients, axis=0))


def test_a_batch_is_its_draws_and_may_be_empty():
    rom = dictionary()
    whole = rom.solve(MU)
    for j in range(len(MU)):
        np.testing.assert_allclose(rom.solve(MU[j:j + 1]).output[:, 0], whole.output[:, j], rtol=1e-13)
    empty = rom.solve(np.empty((0, 1)))
    assert empty.output.shape == (2, 0)
    assert empty.coefficients.shape == (4, 0)


def test_doubtful_draws_get_the_model_with_the_smaller_estimate(must_fail):
    # The classifier knows nothing, so that it abstains everywhere and prefers cluster 0.
    rom = dictionary(slope=0.0)
    answer = rom.solve(MU)
    errors = np.stack([model.solve(MU).relative_error for model in rom.models])

    def best(chosen):
        assert np.array_equal(chosen, np.argmin(errors, axis=0))

    best(answer.chosen)
    must_fail(best, 1 - answer.chosen)
    assert set(answer.status.tolist()) == {RECOMMENDED, SECOND}
    assert np.array_equal(answer.status == SECOND, answer.chosen == 1)
    np.testing.assert_allclose(answer.probability, 0.5)
    np.testing.assert_allclose(answer.estimate, errors.min(axis=0), rtol=1e-6)


def test_estimates_above_the_tolerance_send_to_the_second_cluster_and_then_to_refusal():
    # Its threshold is wrong: draws between 4 and 7 are sent to cluster 0.
    plain = dictionary(threshold=7.0)
    estimates = plain.solve(MU).estimate
    tolerance = float(np.sort(estimates)[-2])
    answer = replace(plain, tolerance=tolerance).solve(MU)
    assert answer.chosen[3] == 1
    assert answer.status.tolist() == [0, 0, 0, 1, 0, 0]
    assert np.all(answer.estimate <= tolerance)
    strict = replace(plain, tolerance=1e-15).solve(MU)
    assert np.all(strict.status == REFUSED)
    assert np.all(np.isnan(strict.output))
    assert np.all(np.isinf(strict.error))
    assert np.all(np.isnan(plain.lift(strict.coefficients)))
    assert np.all(np.isfinite(strict.estimate))
    assert not strict.converged.any()


def test_draws_far_outside_the_training_are_refused_and_never_silently_wrong():
    rom = dictionary(limit=0.4)
    answer = rom.solve(MU)
    far = answer.novelty > 0.4
    assert far.tolist() == [False, False, True, True, False, True]
    assert np.array_equal(answer.refused, far)
    assert np.array_equal(np.isnan(answer.output).all(axis=0), far)
    assert np.array_equal(np.isfinite(answer.output).all(axis=0), ~far)


def test_a_model_without_a_solution_gives_way_to_the_second():
    sick = replace(local(0), output=local(0).output * np.nan)
    rom = replace(dictionary(), models=(sick, local(1)))
    answer = rom.solve(MU)
    assert answer.status.tolist() == [0, 1, 1, 0, 1, 0]
    assert np.isfinite(answer.output).all()
    lost = replace(rom, models=(sick, sick)).solve(MU)
    assert np.all(lost.status == REFUSED)


def test_one_model_is_a_dictionary_too():
    one = Recommender.constant(TRAINING[0])
    rom = RomDictionary((local(0),), one, InputField.parameters(1), 0.5)
    answer = rom.solve(np.array([[1.5], [10.0]]))
    assert answer.chosen.tolist() == [0, 0]
    assert answer.status.tolist() == [RECOMMENDED, REFUSED]


def test_derivatives_are_those_of_the_model_that_answers():
    rom = dictionary(limit=0.4)
    found = rom.sensitivity(MU)
    np.testing.assert_allclose(found[..., 0], local(1).sensitivity(MU[:1])[..., 0], rtol=1e-12)
    np.testing.assert_allclose(found[..., 1], local(0).sensitivity(MU[1:2])[..., 0], rtol=1e-12)
    assert np.isnan(found[..., 2]).all()


def test_the_file_gives_the_same_dictionary_and_holds_what_is_common_once(tmp_path):
    rom = dictionary(0.3, size=3)
    path = rom.save(tmp_path / "model.h5")
    again = load(path)
    a, b = rom.solve(MU), again.solve(MU)
    for name in ("output", "error", "coefficients", "probability", "novelty", "status", "chosen"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert again.tolerance == 0.3
    assert again.metadata == {"study": "toy"}
    with h5py.File(path) as file:
        assert "basis" in file["0"] and "basis" in file["1"]
        assert "output_gram" in file["0"] and "output_gram" not in file["1"]
    again.save(tmp_path / "copy.h5")
    assert (tmp_path / "copy.h5").read_bytes() == path.read_bytes()


def test_a_file_with_an_unknown_local_kind_is_refused(tmp_path):
    kind, arrays, metadata = dictionary().to_arrays()
    metadata["models"][1]["kind"] = "oracle"
    write_artefact(tmp_path / "model.h5", kind, arrays, metadata)
    with pytest.raises(StoreError, match="local model 1 of the dictionary is a 'oracle'"):
        load(tmp_path / "model.h5")
    assert read_artefact(tmp_path / "model.h5")[0] == "dictionary"


def test_truncation_shares_the_vectors_out():
    rom = dictionary(size=3)
    small = rom.truncate(3)
    assert [model.size for model in small.models] == [2, 1]
    assert small.solve(MU).coefficients.shape[0] == small.size == 3
    assert shared_out(5, [1, 3, 3]) == [1, 2, 2]
    with pytest.raises(InputError, match="cannot be truncated to 7"):
        rom.truncate(7)


def test_some_columns_of_an_answer():
    answer = dictionary().solve(MU)
    part = columns_of(answer, np.array([3, 0]))
    assert part.chosen.tolist() == [1, 1]
    assert np.array_equal(part.output, answer.output[:, [3, 0]])
    model, own = dictionary().answering(answer, 1)
    assert model is local(0, 2)
    np.testing.assert_allclose(own.coefficients, model.solve(MU[1:2]).coefficients, rtol=1e-13)


@pytest.mark.parametrize(("mu", "error"), [([[np.nan]], ParameterError), ([[11.0]], ParameterError),
                                           ([[1.0, 2.0]], ShapeError)])
def test_wrong_parameters_are_refused(mu, error):
    with pytest.raises(error):
        dictionary().solve(mu)


def test_what_belongs_to_mechanics_is_refused():
    rom = dictionary()
    answer = rom.solve(MU)
    for asked in (lambda: rom.solve(MU, times=np.array([0.0, 1.0])), lambda: rom.field(answer, "stress"),
                  lambda: rom.until(2.0)):
        with pytest.raises(NotSupported, match="only models of mechanics"):
            asked()
    with pytest.raises(ShapeError, match=r"the rule is \(4, b\)"):
        rom.lift(np.zeros((2, 1)))


def test_dictionaries_of_unlike_models_are_refused():
    rom, fom = dictionary(), problem()[0]
    other = replace(local(1), output_names=("a", "b"))
    cases = [({"models": ()}, "no model"), ({"models": (local(0), other)}, "other outputs"),
             ({"models": (local(0), replace(local(1), norm_name="L2"))}, "other norm"),
             ({"models": (local(0),)}, "recommender for 2 clusters was given to a dictionary of 1 models"),
             ({"input_field": InputField.parameters(2)}, "2 numbers was given to a recommender trained on 1"),
             ({"tolerance": -0.1}, "no finite number from 0"), ({"tolerance": np.nan}, "no finite number from 0"),
             ({"models": (local(0), replace(local(1), basis=np.zeros((fom.n + 1, 2))))}, "other unknowns")]
    for changes, said in cases:
        with pytest.raises(InputError, match=said):
            replace(rom, **changes)


def test_draws_far_outside_the_training_are_not_solved():
    # This model cannot be solved at all; nobody asks it.
    sick = replace(local(1), operator=0.0 * local(1).operator)
    rom = replace(dictionary(limit=0.4), models=(local(0), sick))
    answer = rom.solve(np.array([[8.0], [1.2], [5.0]]))
    assert answer.refused.tolist() == [True, False, True]
    assert np.isinf(answer.estimate[0]) and np.isfinite(answer.estimate[1])
    assert answer.chosen.tolist() == [1, 0, 1]
    assert rom.solve(np.array([[8.0]])).refused.all()


def test_a_draw_that_fails_takes_no_other_along():
    sick = replace(local(1), operator=0.0 * local(1).operator)
    rom = replace(dictionary(), models=(local(0), sick))
    with pytest.raises(SolveFailed, match="singular"):
        sick.solve(np.array([[9.0]]))
    mu = np.array([[9.0], [1.2], [np.nan], [6.0], [2.0], [np.inf]])
    answer = rom.solve(mu, check=False)
    assert answer.status.tolist() == [SECOND, RECOMMENDED, REFUSED, SECOND, RECOMMENDED, REFUSED]
    assert np.array_equal(np.isnan(answer.output).any(axis=0), answer.refused)
    assert np.isinf(answer.error[answer.refused]).all() and np.isinf(answer.novelty[answer.refused]).all()
    np.testing.assert_allclose(answer.output[:, 1], local(0).solve(mu[1:2]).output[:, 0], rtol=1e-13)
    lost = replace(rom, models=(sick, sick)).solve(mu, check=False)
    assert lost.refused.all() and lost.output.shape == (2, 6)
    assert np.isnan(rom.sensitivity(mu, check=False)[..., 2]).all()
    with pytest.raises(ParameterError, match="not finite"):
        rom.solve(mu)
