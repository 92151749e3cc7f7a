"""The commands as a newcomer types them."""

import csv
import json

import h5py
import numpy as np
import pytest

import romflow as package
from tests.walk.studies import romflow, romflow_here, write_block


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    study = write_block(folder, extra='[[export]]\nformat = "npz"\n[[export]]\nformat = "csv"\nsamples = 20\n')
    return study, folder / "run", romflow("run", study, "--out", folder / "run")


def test_init_writes_a_study_that_checks(tmp_path):
    made = romflow_here("init", tmp_path / "new")
    assert made.returncode == 0, made.stderr
    plan = romflow_here("check", tmp_path / "new" / "study.toml")
    assert plan.returncode == 0, plan.stderr
    assert "1,521" in plan.stdout
    assert "at most 60 (40 for the model, 20 for its validation)" in plan.stdout
    assert romflow_here("init", tmp_path / "new").returncode == 2


def test_check_times_one_solve_on_request(tmp_path):
    study = write_block(tmp_path)
    assert "not estimated" in romflow_here("check", study).stdout
    assert "from one timed solve" in romflow_here("check", study, "--time").stdout


def test_run_leaves_what_it_promises(finished):
    _, folder, done = finished
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("report.html")
    for name in ("model.h5", "summary.json", "report.html", "store", "run.log", "block.npz", "block_evaluate.py",
                 "block.csv"):
        assert (folder / name).exists(), name
    summary = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["offline"]["snapshots_solved"] == summary["offline"]["basis_size"] + 6
    assert summary["offline"]["training_error"] <= summary["offline"]["tolerance"]
    validation = summary["validation"]
    assert validation["error_kind"] == "bound"
    assert 1.0 <= validation["min_effectivity"] <= validation["max_effectivity"] < 20
    assert validation["max_relative_error"] <= validation["max_error_estimate"]


def test_second_run_solves_nothing_and_changes_no_bit_of_the_model(finished):
    study, folder, _ = finished
    before = (folder / "model.h5").read_bytes()
    again = romflow_here("run", study, "--out", folder, page=False)
    assert again.returncode == 0, again.stderr
    assert "0 solved" in again.stdout
    assert (folder / "model.h5").read_bytes() == before


def test_status_and_report(finished):
    _, folder, _ = finished
    status = romflow_here("status", folder)
    assert status.returncode == 0, status.stderr
    assert "finished" in status.stdout
    (folder / "report.html").unlink()
    assert romflow_here("report", folder).returncode == 0
    assert "<svg" in (folder / "report.html").read_text() or "data:image" in (folder / "report.html").read_text()


def test_eval_answers_row_by_row_whatever_the_order_of_columns(finished, tmp_path):
    _, folder, _ = finished
    names = [f"conductivity_{i}" for i in (3, 1, 0, 2)]
    rows = np.random.default_rng(0).uniform(0.1, 1.0, (5, 4))
    np.savetxt(tmp_path / "mu.csv", rows, delimiter=",", header=",".join(names), comments="")
    done = romflow_here("eval", folder / "model.h5", "--input", tmp_path / "mu.csv", "--output", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "out.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    mu = rows[:, [names.index(f"conductivity_{i}") for i in range(4)]]
    answer = package.load(folder / "model.h5").solve(mu)
    assert [float(row["average"]) for row in table] == pytest.approx(answer.output[0], rel=1e-13)
    assert {row["error_kind"] for row in table} == {"bound"}
    assert all(float(row["state_error"]) > 0 for row in table)


def test_eval_refuses_a_series_of_a_model_that_stands_still(finished, tmp_path):
    _, folder, _ = finished
    (tmp_path / "mu.csv").write_text("conductivity_0,conductivity_1,conductivity_2,conductivity_3\n.5,.5,.5,.5\n")
    done = romflow_here("eval", folder / "model.h5", "--input", tmp_path / "mu.csv", "--output", tmp_path / "out.csv",
                        "--series", tmp_path / "series.csv")
    assert done.returncode == 2 and "does not move in time" in done.stderr
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "series.csv").exists()


def test_export_from_the_model_file(finished, tmp_path):
    _, folder, _ = finished
    done = romflow_here("export", folder / "model.h5", "--format", "vtu", "--output", tmp_path / "fields.vtu")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fields.vtu").stat().st_size > 1000


def test_model_file_opens_with_h5py_alone(finished):
    _, folder, _ = finished
    with h5py.File(folder / "model.h5") as file:
        assert file.attrs["format"] == "romflow-model"
        assert json.loads(file.attrs["metadata"])["parameters"]
        r = file["basis"].shape[1]
        assert file["operator"].shape == (4, r, r)
