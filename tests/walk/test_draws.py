"""The draws of a study: by tasks, their table, resampled intervals, bias, and the page."""

import csv
import json
import shutil

import numpy as np
import pytest

import romflow
from romflow.report.data import ReportData
from romflow.report.uncertainty_section import tables
from romflow.study import Study
from romflow.walk.drawing import offline_files
from tests.toy_dictionary import dictionary
from tests.toy_mechanics_store import STUDY
from tests.walk.test_dictionary import write

pytestmark = pytest.mark.usefixtures("without_report")

UQ = """
[validation]
size = 0
[uq]
draws = "monte-carlo"
size = 150
sensitivity = false
density = false
bootstrap = 60
{extra}
[uq.control]
solves = 12
"""


def run(folder, extra="", name="run"):
    folder.mkdir(exist_ok=True)
    path = write(folder, dictionary="clusters = 2", size=30, extra=UQ.format(extra=extra))
    return Study.from_file(path).run(folder / name)


def answers(folder):
    return json.loads((folder / "uq.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, without_report):
    return run(tmp_path_factory.mktemp("study"))


def test_all_draws_are_in_a_table(finished):
    found = answers(finished.folder)["answers"]
    with open(finished.folder / "draws.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["draws"]["draws"] == 150
    mu = np.array([[float(row["place"]), float(row["height"])] for row in rows])
    answer = romflow.load(finished.folder / "model.h5").solve(mu)
    np.testing.assert_allclose([float(row["mean"]) for row in rows], answer.output[0], rtol=1e-10)
    assert [int(row["cluster"]) for row in rows] == answer.chosen.tolist()
    values = answer.output[0][np.isfinite(answer.output[0])]
    assert found["outputs"]["mean"]["mean"]["value"] == pytest.approx(values.mean())
    assert found["failed"] == 150 - len(values) == round(150 * found["draws"]["refused"])


def test_resampled_intervals_and_the_bias_are_told(finished):
    found = answers(finished.folder)
    again, plain = found["answers"]["bootstrap"]["outputs"]["mean"], found["answers"]["outputs"]["mean"]
    assert again["mean"]["low"] < again["mean"]["value"] < again["mean"]["high"]
    assert again["mean"]["value"] == pytest.approx(plain["mean"]["value"])
    bias = found["control"]["bias"]["outputs"]["mean"]
    assert bias["size"] <= 12
    assert bias["corrected_mean"]["value"] == pytest.approx(bias["mean"]["value"] + plain["mean"]["value"])


def test_draws_as_tasks_give_the_same_answers_and_those_that_are_kept_are_not_made_again(finished, tmp_path):
    shutil.copytree(finished.folder.parent, tmp_path / "copy")
    folder = tmp_path / "copy" / "run"
    shutil.rmtree(folder / "uq")
    again = run(tmp_path / "copy", "distribute = true")
    assert (again.folder / "draws.csv").read_bytes() == (finished.folder / "draws.csv").read_bytes()
    one, other = answers(finished.folder), answers(again.folder)
    assert one["answers"]["outputs"] == other["answers"]["outputs"]
    assert one["control"]["bias"] == other["control"]["bias"]
    before = {file: file.stat().st_mtime_ns for file in (folder / "uq" / "draws").glob("*.h5")}
    (folder / "uq" / "answers.json").unlink()
    run(tmp_path / "copy", "distribute = true")
    assert {file: file.stat().st_mtime_ns for file in (folder / "uq" / "draws").glob("*.h5")} == before


def test_the_page_tells_intervals_and_bias(finished):
    titles = {table.title for table in tables(ReportData.from_folder(finished.folder)) if table is not None}
    assert {"Bootstrap of mean", "Bias of the reduced model"} <= titles


def test_full_order_steps_need_the_offline_data_of_each_local_model(tmp_path):
    assert offline_files(dictionary(), tmp_path) == []


@pytest.mark.long
def test_models_of_mechanics_are_evaluated_by_tasks(tmp_path):
    uq = {"draws": "monte-carlo", "size": 100, "sensitivity": False, "control": {"solves": 10}}
    result = Study.from_dict({**STUDY, "uq": uq}).run(tmp_path / "run")
    found = answers(result.folder)
    assert found["answers"]["draws"]["recommended"] == 1.0 and len(list((tmp_path / "run/uq/draws").glob("*.h5"))) > 1
    assert found["control"]["bias"]["outputs"]["most"]["size"] == 10
