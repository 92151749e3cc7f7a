"""Draws of reduced models by tasks: chunks, files, workers that die, full-order steps, refusal, the table."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, StoreError
from romflow.reduction import draws
from romflow.reduction.draws import DrawAnswers, answered, joined_answers, most_flow
from romflow.reduction.mechanics.adaptivity import AdaptiveSettings, adaptive_run
from romflow.reduction.mechanics.full_step import STEP_KERNELS
from romflow.reduction.mechanics.offline import OfflineData
from romflow.rom.dictionary.answer import ENRICHED, RECOMMENDED, REFUSED
from romflow.uq.evaluation import of_reduced
from romflow.walk.reduced_draws import ReducedDraws
from tests import toy_draws
from tests.toy_dictionary import dictionary, local

MU = np.linspace(1.0, 9.0, 23)[:, None]


@pytest.fixture
def stored(tmp_path):
    """An affine dictionary and its file."""
    rom = dictionary()
    return rom, rom.save(tmp_path / "model.h5")


def reduced_draws(path, folder="draws", seen=None, refuse=None, **options):
    seen = [] if seen is None else seen
    tasks = toy_draws.here(None, seen, refuse)
    return ReducedDraws(tasks, path, path.parent / folder, **{"chunk": 5, **options})


def test_draws_by_tasks_are_those_of_the_model(stored, must_fail):
    rom, path = stored
    found, answer = reduced_draws(path).table(MU), rom.solve(MU)

    def check(output):
        np.testing.assert_allclose(output, answer.output, rtol=1e-12)

    check(found.answers.output)
    must_fail(check, found.answers.output * (1.0 + 1e-10))
    np.testing.assert_array_equal(found.answers.chosen, answer.chosen)
    np.testing.assert_array_equal(found.answers.status, answer.status)
    evaluated, known = reduced_draws(path)(MU), of_reduced(rom)(MU)
    assert evaluated.kind == known.kind
    np.testing.assert_allclose(evaluated.output_error, known.output_error, rtol=1e-9)


def test_a_draw_has_the_same_bits_whoever_evaluates_it(stored):
    seen = []
    one = reduced_draws(stored[1]).table(MU).answers
    other = reduced_draws(stored[1], "others", seen).table(MU).answers
    assert seen == [f"{draws.DRAWS} {part}" for part in (4, 3, 2, 1, 0)]
    assert one.output.tobytes() == other.output.tobytes() and one.error.tobytes() == other.error.tobytes()


def test_what_was_evaluated_ahead_is_not_evaluated_again(stored):
    seen = []
    evaluate = reduced_draws(stored[1], seen=seen)
    told = []
    ahead = evaluate.ahead(MU, lambda done, total: told.append((done, total)))
    assert told == [(0, 23), (23, 23)]
    seen.clear()
    some = evaluate(MU[[7, 2, 2]])
    assert not seen
    assert some.output.tobytes() == np.ascontiguousarray(ahead.answers.output[:, [7, 2, 2]]).tobytes()
    evaluate(MU[:3] + 0.25)
    assert seen == [f"{draws.DRAWS} 0"]


def test_a_worker_that_dies_changes_nothing(stored):
    straight = reduced_draws(stored[1], "straight").table(MU).answers
    seen = []
    with pytest.raises(KeyboardInterrupt):
        reduced_draws(stored[1], seen=seen, refuse=2).table(MU)
    seen.clear()
    again = reduced_draws(stored[1], seen=seen).table(MU).answers
    assert len(seen) == 3
    assert again.output.tobytes() == straight.output.tobytes()


def test_damaged_answers_are_made_anew(stored):
    evaluate, seen = reduced_draws(stored[1]), []
    before = evaluate.table(MU).answers
    files = sorted((stored[1].parent / "draws").glob("*.h5"))
    assert len(files) == 5
    files[1].write_bytes(files[1].read_bytes()[:-30])
    files[3].unlink()
    after = reduced_draws(stored[1], seen=seen).table(MU).answers
    assert len(seen) == 2 and after.output.tobytes() == before.output.tobytes()


def test_another_model_does_not_take_the_answers(stored):
    reduced_draws(stored[1]).table(MU)
    other = dictionary(size=1).save(stored[1].parent / "other.h5")
    seen = []
    reduced_draws(other, seen=seen).table(MU)
    assert len(seen) == 5


def test_a_model_that_is_replaced_meanwhile_is_refused(stored):
    evaluate = reduced_draws(stored[1])
    dictionary(size=1).save(stored[1])
    with pytest.raises(StoreError, match="has changed since"):
        evaluate.table(MU)


def test_novel_draws_are_refused_and_told(stored):
    far = np.array([[2.0], [9.9]])
    rom = dictionary(limit=0.5)
    found = reduced_draws(rom.save(stored[1]), full_order_steps=0).table(far)
    assert found.answers.status.tolist() == [RECOMMENDED, REFUSED]
    assert np.isfinite(found.answers.output[:, 0]).all() and np.isnan(found.answers.output[:, 1]).all()
    assert not found.answers.hopeful.any()
    assert found.facts()["refused"] == found.facts()["recommended"] == 0.5


def test_the_table_is_read_by_others(stored, tmp_path):
    table = reduced_draws(stored[1]).table(MU)
    table.write(tmp_path / "draws.csv", ["mu"], stored[0].output_names)
    with open(tmp_path / "draws.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["mu", *stored[0].output_names, "error", "cluster", "status"]
    assert [float(row["mu"]) for row in rows] == MU[:, 0].tolist()
    assert [float(row[stored[0].output_names[0]]) for row in rows] == table.answers.output[0].tolist()
    assert {row["status"] for row in rows} <= {"recommended", "second"}
    assert {row["cluster"] for row in rows} == {"0", "1"}


class OneFails:
    """Fails for a batch that holds a negative parameter."""

    output_names = local(0).output_names

    def solve(self, mu, check=True):
        if (mu < 0.0).any():
            raise ParameterError("mu is negative")
        return local(0).solve(mu + 1.0)


def test_a_draw_that_fails_leaves_the_others_their_answers():
    found = answered(OneFails(), np.array([[1.0], [2.0], [-1.0], [3.0]]))
    assert found.status.tolist() == [0, 0, REFUSED, 0]
    assert np.isnan(found.output[0, 2]) and np.isinf(found.error[2])
    np.testing.assert_allclose(found.output[0, 3], local(0).solve(np.array([[4.0]])).output[0, 0], rtol=1e-12)


def test_errors_of_outputs_are_known_where_all_know_them():
    one = DrawAnswers(np.ones((1, 1)), np.ones((1, 1)), "bound", np.ones(1), np.zeros(1, int), np.zeros(1, int),
                      np.zeros(1, bool), 1.0)
    both = joined_answers([one, replace(one, output_error=None)])
    assert both.output_error is None and both.seconds == 2.0
    assert joined_answers([one, replace(one, kind="indicator")]).kind == "indicator"


def test_wrong_input_is_refused(stored, tmp_path):
    path = stored[1]
    for options in ({"chunk": 0}, {"chunk": 2.5}, {"full_order_steps": -1}, {"full_order_steps": True}):
        with pytest.raises(InputError, match="whole number"):
            reduced_draws(path, **options)
    with pytest.raises(InputError, match="one for each local model"):
        reduced_draws(path, full_order_steps=1)
    with pytest.raises(StoreError):
        reduced_draws(tmp_path / "none.h5")
    evaluate = reduced_draws(path)
    for wrong in (np.ones(3), np.ones((2, 2)), np.empty((0, 1))):
        with pytest.raises(ShapeError, match="one row a draw"):
            evaluate(wrong)
    with pytest.raises(InputError, match="1 of 2 draws are not finite"):
        evaluate(np.array([[1.0], [np.nan]]))


# --- full-order steps -------------------------------------------------------------------------------------------------

#: Near the training, beyond the tolerance by little and by much, far from all training.
PLACES = np.array([[1.0], [1.2], [1.5], [9.0]])


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plate")
    return (*toy_draws.trained(folder), folder)


def of_plate(plate, seen, folder="draws", refuse=None):
    fom, _, where = plate
    return ReducedDraws(toy_draws.here(fom, seen, refuse), where / "model.h5", where / folder, chunk=3,
                        offline=[where / f"offline_{number}.h5" for number in (0, 1)], full_order_steps=1)


@pytest.fixture(scope="module")
def straight(plate):
    return of_plate(plate, [], "straight").table(PLACES)


def test_one_full_order_step_saves_a_draw_or_it_is_refused(plate, straight):
    before, after = plate[1].solve(PLACES), straight.answers
    assert before.status.tolist() == [RECOMMENDED, REFUSED, REFUSED, REFUSED]
    assert after.status.tolist() == [RECOMMENDED, ENRICHED, REFUSED, REFUSED]
    assert np.isnan(after.output[:, 2:]).all() and np.isinf(after.error[2:]).all()
    assert after.error[1] <= toy_draws.TOLERANCE < before.estimate[1]
    assert straight.full_order_steps == 2 and straight.facts()["enriched"] == 0.25


def test_an_enriched_draw_is_nearer_the_truth(plate, straight, must_fail):
    fom, rom, _ = plate
    point = fom.mechanics.virgin(0.0)
    for t in fom.times[1:].tolist():
        point, _ = fom.step_from(point, t, PLACES[1])
    weights = fom.mechanics.space.weights
    truth = point.state[6] @ weights / weights.sum()

    def near(value):
        assert abs(value - truth) < 0.01 * abs(truth)

    near(straight.answers.output[0, 1])
    must_fail(near, rom.models[0].solve(PLACES[1:2]).output[0, 0])


def test_full_order_steps_go_on_after_a_worker_died(plate, straight):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        of_plate(plate, seen, "killed", refuse=3).table(PLACES)
    local, _ = sorted((plate[2] / "killed").glob("local-*.h5"))
    local.rename(local.with_name("local-0-0.h5"))
    local.write_bytes(b"damaged")
    assert seen[2:] == [f"{draws.STEPS} 1"]
    seen.clear()
    again = of_plate(plate, seen, "killed").table(PLACES)
    assert seen == [f"{draws.STEPS} 0"]
    assert again.answers.output.tobytes() == straight.answers.output.tobytes()
    assert len(list((plate[2] / "killed").glob("local-*.h5"))) == 2, "those of other models are gone"
    assert not list((plate[2] / "killed").glob("adaptive-*")), "what adaptive runs worked with is gone"


def test_a_run_that_keeps_nothing_leaves_its_full_order_step_alone(plate, straight, tmp_path):
    fom, rom, where = plate
    offline, settings = OfflineData.load(where / "offline_0.h5"), AdaptiveSettings(toy_draws.TOLERANCE, 1 / 8)

    def kernels(kernel, shared, parts):
        return [STEP_KERNELS[kernel](fom, "", part, **shared) for part in parts]

    found = [adaptive_run(kernels, fom, rom.models[0], offline, PLACES[1], settings, tmp_path / word, kept=kept)
             for word, kept in (("all", True), ("little", False), ("little", False))]
    kept = {word: {file.name for file in (tmp_path / word).glob("*.*")} for word in ("all", "little")}
    assert {"checkpoint.h5", "enriched.h5", "log.csv", "model-0001.h5"} < kept["all"] and not kept["little"]
    np.testing.assert_allclose(found[1].answer.series, found[0].answer.series, rtol=1e-9)
    assert found[2].answer.series.tobytes() == found[1].answer.series.tobytes()
    assert found[1].full_order_steps == 1


def test_times_of_full_order_steps_are_finite():
    with pytest.raises(ConfigError, match="finite time"):
        AdaptiveSettings(after=float("nan"))


def test_the_step_is_taken_where_the_run_flows_most(plate):
    fom, rom, _ = plate
    times, load = fom.times, rom.models[0].loading
    assert load is not None and times[0] < most_flow(rom.models[0], PLACES[1]) < 60.0
