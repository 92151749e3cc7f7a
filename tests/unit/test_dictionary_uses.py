"""Dictionaries of reduced models where other models are used: tables, validation, summaries, pictures, serving."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np

from romflow.export.checking import check
from romflow.export.csv import Csv
from romflow.outcome.curves import errors_by_size, singular_values, worst_field
from romflow.outcome.mechanics_pictures import mechanics_pictures
from romflow.outcome.summary import doubts, online_summary, validation_summary
from romflow.outcome.validation import unanswered, validate
from romflow.report.data import ReportData
from romflow.report.headline import facts_of, sentence, tiles
from romflow.report.mechanics import cubature_parts, history_parts
from romflow.rom.tables import write_answers
from romflow.serving.model import serve_reduced
from tests.toy_dictionary import dictionary, problem
from tests.toy_mechanics_store import stored
from tests.toy_reduced_mechanics import history
from tests.unit.test_rom_dictionary_moving import PRESCRIBED, bodies, cycle
from tests.walk.studies import romflow_here

MU = np.array([[9.0], [1.2], [3.0], [5.0], [2.0], [8.0]])


def test_tables_say_which_model_answered(tmp_path):
    rom = dictionary(limit=0.4)
    write_answers(tmp_path / "out.csv", rom, MU)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["cluster"] for row in rows] == ["1", "0", "0", "1", "0", "1"]
    assert [row["status"] for row in rows] == ["recommended"] * 2 + ["refused"] * 2 + ["recommended", "refused"]
    assert rows[2]["mean"] == "nan" and rows[2]["state_error"] == "inf"
    assert float(rows[0]["mean"]) == rom.solve(MU).output[0, 0]


def test_a_table_of_samples_is_checked_like_any_other(tmp_path):
    rom = dictionary(limit=1.0)
    exporter = Csv(samples=50)
    exporter.write(rom, tmp_path / "samples.csv")
    assert check(rom, exporter, tmp_path / "samples.csv").passed
    assert not check(dictionary(size=1, limit=1.0), exporter, tmp_path / "samples.csv").passed


def test_validation_leaves_refused_draws_out_and_says_so(must_fail):
    rom = dictionary(limit=0.4)
    fom, store = problem()
    found = validate(rom, fom, store, MU)
    assert (found.lost, found.refused, len(found.mu)) == (3, 3, 3)
    assert "refused 3 of 6 validation parameters" in doubts(found)[0]
    summary = validation_summary(found, rom)
    assert summary["refused"] == 3
    assert summary["clusters"] == [2, 1]
    assert "not_converged" not in summary

    def bound_holds(effectivity):
        assert np.all(effectivity >= 1.0)

    bound_holds(found.effectivity)
    must_fail(bound_holds, 1e-6 * found.effectivity)
    blind, mu = dictionary(limit=1e-9), MU[[1, 2, 3]]
    assert validate(blind, fom, store, mu) is None
    assert validation_summary(None, blind, unanswered(blind, mu))["refused"] == 3
    assert unanswered(rom, mu) == {"refused": 2}


def test_errors_by_size_are_those_of_the_local_models(must_fail):
    rom = dictionary(size=3)
    fom, store = problem()
    found = validate(rom, fom, store, MU)
    sizes = errors_by_size(rom, fom, store, found)
    assert sorted(sizes) == [1, 2, 3]
    assert worst_field(rom, store, found).reduced.shape == (fom.n,)
    assert singular_values(rom, fom, store, MU) is None

    def agrees(largest):
        np.testing.assert_allclose(sizes[3][0], largest, rtol=1e-3)

    agrees(found.true_error.max())
    must_fail(agrees, 10 * found.true_error.max())
    one = validate(replace(rom, models=tuple(model.truncate(1) for model in rom.models)), fom, store, MU)
    np.testing.assert_allclose(sizes[1][0], one.true_error.max(), rtol=1e-6)


def test_online_times_and_serving():
    rom = dictionary(limit=1.0)
    assert online_summary(rom, 1.0)["speedup"] > 1.0
    nothing = online_summary(dictionary(limit=1e-9), 1.0)
    assert nothing["seconds_per_evaluation"] is None and nothing["speedup"] is None
    sick = replace(rom.models[0], operator=0.0 * rom.models[0].operator)
    assert online_summary(sick, 1.0)["speedup"] is None
    served = serve_reduced(rom)
    output, _, error = served.values(MU[:1])
    answer = rom.solve(MU[:1])
    assert np.array_equal(output, answer.output[:, 0])
    assert np.array_equal(error, answer.error)
    assert served.jacobian is not None
    np.testing.assert_allclose(served.jacobian(MU[:1]), rom.models[1].sensitivity(MU[:1])[..., 0], rtol=1e-12)
    refusing = serve_reduced(dictionary(limit=1e-9))
    assert np.isnan(refusing.values(MU[1:2])[0]).all()


def test_the_page_has_points_and_modes_of_each_local_model():
    data = ReportData(summary={}, rom=bodies())
    assert [table.title for table in cubature_parts(data)[1]] == ["Cubature and modes, cluster 0",
                                                                  "Cubature and modes, cluster 1"]
    assert history_parts(data, ()) == ("", [])
    facts = facts_of(data)
    assert sentence(data, facts).startswith(f"A dictionary of 2 local models with {min(facts.local)} to ")
    assert tiles(data, facts)[0].value == "2 models"
    toy = ReportData(summary={"validation": {"refused": 3, "size": 3, "max_relative_error": 0.1}}, rom=dictionary())
    assert "2 local models with 2 basis functions each takes" in sentence(toy, facts_of(toy))
    assert sentence(toy, facts_of(toy)).endswith("It refused 3 further ones.")
    blank = ReportData(summary={"validation": {"refused": 3, "size": 0, "max_relative_error": None}}, rom=dictionary())
    assert sentence(blank, facts_of(blank)).endswith("It refused all 3 validation parameters, so that nothing is known "
                                                     "of its errors.")
    assert tiles(blank, facts_of(blank))[1].note == "all 3 validation parameters refused"


def test_fields_of_mechanics_are_compared_and_pictured_by_each_draws_own_model(tmp_path, must_fail):
    rom, mu = cycle(), np.array([[1.0, 1.0], [1.7, 1.0]])
    # The store says of both that they are the run at spot = 1, so that the second is off.
    fom, store = stored(history(PRESCRIBED), tmp_path, mu)
    found = validate(rom, fom, store, mu)
    alone = [validate(model, fom, store, row[None]) for model, row in zip(rom.models, mu, strict=True)]

    def agree(errors):
        np.testing.assert_allclose(found.true_error, errors, rtol=1e-6)

    agree([one.true_error[0] for one in alone])
    must_fail(agree, [one.true_error[0] for one in alone[::-1]])
    assert found.true_error[0] < 0.05 * found.norm[0] < found.true_error[1]
    assert validation_summary(found, rom)["clusters"] == [1, 1]
    shown, own = mechanics_pictures(rom, fom, store, found), mechanics_pictures(rom.models[1], fom, store, alone[1])
    assert found.fields.worst == 1
    assert np.array_equal(shown.points.place, own.points.place)
    np.testing.assert_allclose(shown.body.mises_reduced, own.body.mises_reduced, rtol=1e-6)
    assert mechanics_pictures(rom, fom, store, None).run.outputs_reduced.shape == (4, len(rom.times))
    refusing = replace(rom, recommender=replace(rom.recommender, limit=1e-9))
    blank = mechanics_pictures(refusing, fom, store, None)
    assert blank.body is None and blank.run is None and blank.points is not None


def test_commands_read_a_dictionary(tmp_path):
    rom = dictionary(limit=0.4)
    rom.save(tmp_path / "model.h5")
    (tmp_path / "mu.csv").write_text("mu\n1.5\n9.0\n3.0\n")
    done = romflow_here("eval", tmp_path / "model.h5", "--input", tmp_path / "mu.csv", "--output", tmp_path / "out.csv")
    assert done.returncode == 0
    assert "2 of them were refused" in done.stderr
    done = romflow_here("export", tmp_path / "model.h5", "--format", "csv", "--output", tmp_path / "all.csv", "--check",
                        "--option", "samples=20")
    assert done.returncode == 0, done.stderr
    assert "largest relative difference at 20 random parameters" in done.stdout
