"""The table [uq] of a study, from the file to uq.json."""

import json
import os
import signal
import time

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError, NotSupported, ParameterError
from romflow.report.data import ReportData
from romflow.report.page import page
from romflow.uq.evaluation import Evaluated
from romflow.walk.uncertainty import seconds_of
from tests.walk import studies

UQ = """
[uq]
draws = "sobol"
size = 2048
repetitions = 8
exceedance = {average = [0.09, 0.1]}
[uq.inputs.conductivity]
distribution = "truncated-normal"
mean = 0.5
std = 0.15
low = 0.1
high = 1.0
"""
CONTROL = """
[uq.control]
solves = 30
[uq.rare]
size = 2000
[uq.calibration]
data = "measured.csv"
size = 320
burn_in = 60
tolerance = 1e-3
"""


def write(folder, extra=UQ, **options):
    return studies.write_block(folder, cells=8, extra=extra, **options)


def run(path, **options):
    return romflow.Study.from_file(path).run(path.parent / "run", **options)


def answers(folder):
    return json.loads((folder / "run" / "uq.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, without_report):
    folder = tmp_path_factory.mktemp("study")
    (folder / "measured.csv").write_text("output,value,std\naverage,0.08,0.004\n")
    result = run(write(folder, UQ + CONTROL))
    return folder, result


def test_every_number_has_its_two_errors(finished, must_fail):
    folder, result = finished
    found = answers(folder)
    mean = found["answers"]["outputs"]["average"]["mean"]
    rom = result.rom
    rng = np.random.default_rng(0)
    sample = romflow.Study.from_file(folder / "study.toml").random_inputs().sample(20000, rng)
    values = rom.solve(sample).output[0]

    def check(value):
        assert abs(value - values.mean()) < 4 * values.std() / np.sqrt(len(values))

    check(mean["value"])
    must_fail(check, mean["value"] * 1.02, mean["value"] * 0.98)
    assert mean["low"] < mean["value"] < mean["high"]
    assert mean["model_kind"] == "bound" and 0 < mean["model_error"] < 1e-2 * mean["value"]
    assert found["answers"]["outside"] == 0


def test_the_summary_leaves_out_the_curves(finished):
    folder, result = finished
    one = result.summary["uq"]["answers"]["outputs"]["average"]
    assert "density" not in one and one["mean"] == answers(folder)["answers"]["outputs"]["average"]["mean"]
    assert set(one["total"]) == {f"conductivity_{i}" for i in range(4)}


def test_full_order_solves_free_the_mean_of_the_models_bias(finished):
    folder, _ = finished
    control = answers(folder)["control"]
    one = control["outputs"]["average"]["mean"]
    mean = answers(folder)["answers"]["outputs"]["average"]["mean"]
    assert one["model_error"] == 0 and one["low"] - 1e-4 < mean["value"] < one["high"] + 1e-4
    assert control["budget"]["full-order"]["evaluations"] == 30
    assert control["correlation"]["reduced"]["average"] > 0.999
    assert abs(control["energy_distance"]["average"]["relative"]) < 0.01


def test_rare_events_agree_with_plain_draws(finished):
    folder, _ = finished
    found = answers(folder)
    plain = found["answers"]["outputs"]["average"]["exceedance"]
    for rare, event in zip(found["rare"]["outputs"]["average"]["exceedance"], plain, strict=True):
        assert rare["threshold"] == event["threshold"]
        assert rare["low"] - 0.3 * event["value"] < event["value"] < rare["high"] + 0.3 * event["value"]


def test_the_posterior_follows_the_measurement(finished):
    folder, _ = finished
    found = answers(folder)["calibration"]
    assert found["fit"][0]["value"] == 0.08 and abs(found["fit"][0]["mean"] - 0.08) < 0.004
    assert set(found["columns"]) == {f"conductivity_{i}" for i in range(4)}


@pytest.mark.long
def test_the_page_shows_them(finished):
    folder, _ = finished
    text = page(ReportData.from_folder(folder / "run"))
    for words in ("What random inputs make of it", "Distribution of average", "What average depends on",
                  "Convergence of average", "How the budget was spent", "Rare events by importance sampling",
                  "Posterior of the inputs", "Fit to the measurements", "Distributions of the two models"):
        assert words in text


def test_another_question_about_the_same_model_solves_nothing_again(finished, tmp_path):
    folder, first = finished
    path = folder / "study.toml"
    text = path.read_text()
    path.write_text(text.replace("[0.09, 0.1]", "[0.095]").replace("tolerance = 1e-3\n", ""))
    try:
        again = run(path)
        assert again.summary["offline"]["snapshots_solved"] == 0
        assert again.summary["study"]["fingerprint"] == first.summary["study"]["fingerprint"]
        assert [e["threshold"] for e in answers(folder)["answers"]["outputs"]["average"]["exceedance"]] == [0.095]
    finally:
        path.write_text(text)


def without_seconds(found):
    if isinstance(found, dict):
        return {key: without_seconds(value) for key, value in found.items() if "seconds" not in key and key != "gain"}
    return [without_seconds(item) for item in found] if isinstance(found, list) else found


@pytest.mark.long
def test_a_killed_study_of_draws_goes_on(tmp_path, without_report):
    extra = UQ.replace("2048", "100000") + "\n[uq.control]\nsolves = 20\n"
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
        write(folder, extra)
    run(straight / "study.toml")
    process = studies.start("run", killed / "study.toml", "--out", killed / "run")
    deadline = time.monotonic() + 60
    while not (killed / "run" / "uq").is_dir() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    run(killed / "study.toml")
    assert without_seconds(answers(killed)) == without_seconds(answers(straight))


@pytest.mark.parametrize("extra, error, said", [
    (UQ.replace("[uq.inputs.conductivity]", "[uq.inputs.conductance]"), ConfigError, "conductance"),
    (UQ.replace("average", "averag"), ConfigError, "no output is called 'averag'"),
    (UQ + "[uq.copula]\npairs = {\"conductivity_0, conductivity_1\" = 1.0}\n", ConfigError, "not positive definite"),
    (UQ + "[uq.calibration]\ndata = \"nothing.csv\"\n", InputError, "nothing.csv"),
    (UQ.replace("high = 1.0", "high = 1.5") + "[uq.control]\nsolves = 20\n", ConfigError, "beyond its range 0.1 to 1"),
    (UQ.replace("high = 1.0", "high = 1.5").replace("size = 2048", "size = 2048\noutside = \"refuse\""),
     ParameterError, "outside the range"),
    (UQ + "[uq.levels]\ndimension = 4\n", ConfigError, "fewer than all"),
])
def test_wrong_questions_are_refused(tmp_path, without_report, extra, error, said):
    with pytest.raises(error, match=said):
        path = write(tmp_path, extra)
        romflow.Study.from_file(path).plan()
        run(path)


SMALL = "[uq]\nsize = 512\n"
RARE = "[uq.rare]\nsize = 400\n"


@pytest.mark.parametrize("extra, error, said", [
    (SMALL + "[uq.control]\nsolves = 5\n", ConfigError, "write 10 or more"),
    (SMALL + "[uq.control]\nmethod = \"multifidelity\"\nsolves = 20\n", ConfigError, "at least 26"),
    (SMALL + "[uq.control]\nsolves = 20\nlevels = [2]\n", ConfigError, "levels, which belong to"),
    (SMALL + "[uq.control]\nmethod = \"multifidelity\"\nsolves = 60\nlevels = [2, 2]\n", ConfigError, "different"),
    (SMALL + "exceedance = {average = []}\n" + RARE, ConfigError, "no thresholds"),
    (SMALL + "[uq.copula]\ndegrees = 3\npairs = {\"conductivity_0, conductivity_1\" = 0.5}\n", ConfigError, "student"),
    (SMALL + "[uq.copula]\ncorrelation = []\n", ConfigError, "square"),
    (SMALL + "[uq.levels]\n", ConfigError, "neutral = 0 is outside the range"),
    (SMALL + "[uq.levels]\noption = \"blocks\"\ncells = 8\nneutral = 0.5\n", ConfigError, "another option"),
    (SMALL + "[uq.calibration]\ndata = \"timed.csv\"\n", NotSupported, "the model has none"),
    ("[uq]\ndraws = \"sparse-grid\"\nlevel = 20\n", InputError, "lower the level"),
    ("[uq]\ndraws = \"latin-hypercube\"\nsize = 9000000000\n", InputError, "permutations"),
    ("[uq]\ndraws = \"lattice\"\nsize = 9000000000\n", InputError, "at most 67108864"),
    (UQ.replace("high = 1.0", "high = 1.5").replace("size = 2048", "size = 2048\noutside = \"refuse\""),
     ParameterError, "outside the range"),
])
def test_what_cannot_be_answered_is_refused_before_a_solve(tmp_path, extra, error, said):
    (tmp_path / "timed.csv").write_text("output,value,std,time\naverage,0.1,0.01,3\n")
    with pytest.raises(error, match=said):
        romflow.Study.from_file(write(tmp_path, extra)).plan()


def test_thresholds_beside_a_sparse_grid_are_those_of_rare_events(tmp_path, without_report):
    extra = "[uq]\ndraws = \"sparse-grid\"\nlevel = 2\nexceedance = {average = [0.1]}\n" + RARE
    run(write(tmp_path, extra))
    found = answers(tmp_path)
    assert found["answers"]["method"] == "sparse-grid" and found["answers"]["outputs"]["average"]["exceedance"] == []
    assert found["rare"]["outputs"]["average"]["exceedance"][0]["threshold"] == 0.1


def test_draws_without_an_answer_are_left_out_and_told(tmp_path, without_report):
    normal = "[uq.inputs.conductivity_0]\ndistribution = \"normal\"\nmean = 0.3\nstd = 0.3\n"
    extra = SMALL + "sensitivity = false\n" + normal
    extra += "[uq.control]\nmethod = \"multifidelity\"\nsolves = 40\n"
    with pytest.raises(ConfigError, match="beyond its range"):
        run(write(tmp_path, extra))
    run(write(tmp_path, extra.partition("[uq.control]")[0]))
    found = answers(tmp_path)["answers"]
    assert 0.05 < found["failed_share"] < 0.3 and found["outputs"]["average"]["mean"]["low"] is not None


def test_draws_outside_are_counted(tmp_path, without_report):
    class Notes:
        def __init__(self):
            self.notes = []

        def stage(self, name, total):
            pass

        def step(self, done, failed):
            pass

        def note(self, text):
            self.notes.append(text)

    watcher = Notes()
    run(write(tmp_path, UQ.replace("high = 1.0", "high = 1.2")), watcher=watcher)
    assert answers(tmp_path)["answers"]["outside"] > 0
    assert any("outside the range" in note for note in watcher.notes)


def test_the_seconds_of_an_evaluation_are_without_those_of_the_first_one() -> None:
    calls: list[int] = []

    def evaluate(mu: np.ndarray) -> Evaluated:
        time.sleep(0.0 if calls else 0.5)
        calls.append(len(mu))
        return Evaluated(mu.T)

    assert seconds_of(evaluate, np.zeros((2000, 1))) < 1e-3
    assert calls[-1] == 2000
