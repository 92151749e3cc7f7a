"""The table [dictionary] of a study, from the file to a model that chooses."""

import json
import os
import time

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError, NotSupported, SolveFailed
from tests.walk.studies import romflow_here, start
from tests.walk.test_resume import kill_tree

pytestmark = pytest.mark.usefixtures("without_report")

HUMP = '''
import time

import numpy as np

from romflow import Snapshot


class Hump:
    """u(x) = a exp(-(x - s)^2 / w^2): a hump that travels over the line."""

    def __init__(self, parameters, cells=120, fails=False, pause=0.0):
        self.parameters, self.fails, self.pause = parameters, fails, pause
        self.x = np.linspace(0.0, 1.0, cells + 1)
        self.n, self.output_names = cells + 1, ("mean",)
        self.spec = {"model": "hump", "cells": cells}

    def solve(self, mu):
        time.sleep(self.pause)
        if self.fails and mu[0] > 0.62:
            raise ArithmeticError("no solution")
        u = mu[1] * np.exp(-((self.x - mu[0]) / 0.1) ** 2)
        return Snapshot(u, np.array([u.mean()]))
'''
STUDY = """
[study]
name = "hump"
[model]
kind = "hump.py:Hump"
{model}
[parameters.place]
low = 0.2
high = 0.8
[parameters.height]
distribution = "log-uniform"
low = 0.1
high = 1.0
[sampling]
method = "latin-hypercube"
size = {size}
[reduction]
method = "pod-regression"
regressor = "rbf"
tolerance = 1e-3
[dictionary]
{dictionary}
[cluster]
kind = "{cluster}"
workers = 2
{extra}
"""
SIMPLE = "clusters = 2\nbudget = 30\n[dictionary.simplified]\nmodel = {cells = 40}"
UQ = """
[validation]
size = 6
[uq]
draws = "monte-carlo"
size = 200
sensitivity = false
density = false
"""


def write(folder, dictionary=SIMPLE, size=50, cluster="serial", model="", extra=""):
    (folder / "hump.py").write_text(HUMP)
    path = folder / "hump.toml"
    path.write_text(STUDY.format(dictionary=dictionary, size=size, cluster=cluster, model=model, extra=extra))
    return path


def run(folder, name="run", **options):
    return romflow.Study.from_file(write(folder, **options)).run(folder / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, without_report):
    folder = tmp_path_factory.mktemp("hump")
    return folder, run(folder, extra=UQ)


def test_cheap_solves_choose_the_full_order_runs(finished):
    folder, result = finished
    record = json.loads((folder / "run" / "dictionary.json").read_text())
    labels, medoids = np.array(record["clustering"]["labels"]), record["clustering"]["medoids"]
    assert len(labels) == 50 and labels[medoids].tolist() == [0, 1]
    runs = sum(model["snapshots"] for model in record["models"])
    assert result.summary["offline"]["snapshots_solved"] == runs + 6 <= 36
    assert [model.n for model in result.rom.models] == [121, 121]
    assert record["assessment"]["why"] and result.summary["dictionary"]["clusters"] == 2


def test_clusters_lie_apart_in_the_place_of_the_hump_whatever_its_height(finished):
    _, result = finished
    places = np.linspace(0.25, 0.75, 40)
    for height in (0.11, 0.95):
        chosen = result.rom.recommend(np.column_stack([places, np.full(40, height)])).label
        assert np.count_nonzero(np.diff(chosen)) == 1


def test_the_model_in_the_file_answers_as_the_run_did(finished):
    folder, result = finished
    mu = result.rom.parameters.sample(30, np.random.default_rng(3))
    kept, answer = romflow.load(folder / "run" / "model.h5"), result.rom.solve(mu)
    np.testing.assert_array_equal(kept.solve(mu).output, answer.output)
    u = result.rom.lift(answer.coefficients)
    place = np.linspace(0.0, 1.0, 121)
    exact = mu[:, 1] * np.exp(-((place[:, None] - mu[:, 0]) / 0.1) ** 2)
    errors = np.linalg.norm(u - exact, axis=0) / np.linalg.norm(exact, axis=0)
    assert np.median(errors[np.isfinite(errors)]) < 0.3
    swapped = np.concatenate([answer.coefficients[result.rom.models[0].size:],
                              answer.coefficients[:result.rom.models[0].size]])
    if len(swapped) == result.rom.size:
        assert np.nanmedian(np.linalg.norm(result.rom.lift(swapped) - exact, axis=0)) > np.median(errors)


def test_a_second_run_takes_all_that_is_stored(finished):
    folder, result = finished
    before = (folder / "run" / "model.h5").read_bytes()
    again = run(folder, extra=UQ)
    assert again.summary["offline"]["snapshots_solved"] == 0
    assert (folder / "run" / "model.h5").read_bytes() == before
    assert again.summary["uq"]["answers"]["outputs"] == result.summary["uq"]["answers"]["outputs"]


def test_two_workers_find_the_same_dictionary(finished, tmp_path):
    folder, _ = finished
    run(tmp_path, cluster="local", extra=UQ)
    ours, theirs = ((place / "run" / "model.h5").read_bytes() for place in (folder, tmp_path))
    assert ours == theirs
    ours, theirs = (json.loads((place / "run" / "uq.json").read_text())["answers"]["outputs"]
                    for place in (folder, tmp_path))
    assert ours == theirs


def test_without_simplified_solves_whole_clusters_are_reduced(tmp_path):
    result = run(tmp_path, dictionary="clusters = 2", size=24)
    assert result.summary["offline"]["snapshots_solved"] == 24
    assert sum(model["snapshots"] for model in result.summary["dictionary"]["models"]) == 24


def test_full_order_runs_that_fail_are_replaced_by_other_members(tmp_path):
    cheap = "clusters = 1\nsnapshots = 6\n[dictionary.simplified]\nmodel = {cells = 40, fails = false}"
    result = run(tmp_path, dictionary=cheap, size=30, model="fails = true", extra="[failures]\nmax_failed_share = 0.9")
    assert result.summary["offline"]["snapshots_solved"] == 6 and result.summary["offline"]["snapshots_failed"] > 0


def test_a_cluster_whose_runs_all_fail_is_told(tmp_path):
    cheap = "clusters = 3\nsnapshots = 4\n[dictionary.simplified]\nmodel = {cells = 40, fails = false}"
    with pytest.raises(SolveFailed, match="every full-order run of cluster . failed"):
        run(tmp_path, dictionary=cheap, size=30, model="fails = true", extra="[failures]\nmax_failed_share = 1.0")


@pytest.mark.parametrize(("changes", "error", "words"), [
    ({"dictionary": "clusters = 31\nsnapshots = 1", "size": 30}, ConfigError, "needs a design of at least 31"),
    ({"dictionary": "clusters = 2\nfield = \"stress\""}, NotSupported, "is one of mechanics"),
    ({"dictionary": "clusters = 2\n[dictionary.recommender]\ninput = \"temperature\""}, NotSupported, "parameters"),
    ({"extra": "[adaptivity]\ntolerance = 0.1"}, ConfigError, "[dictionary.fallback]"),
])
def test_what_cannot_be_answered_is_refused_before_a_solve(tmp_path, changes, error, words):
    study = romflow.Study.from_file(write(tmp_path, **changes))
    with pytest.raises(error) as refusal:
        study.plan()
    assert words in str(refusal.value)


def test_identical_samples_cannot_be_clustered(tmp_path):
    (tmp_path / "table.csv").write_text("place,height\n" + "0.5,0.5\n" * 6)
    path = write(tmp_path, dictionary="clusters = 2")
    text = path.read_text()
    text = text.replace('method = "latin-hypercube"\nsize = 50', 'method = "file"\npath = "table.csv"')
    path.write_text(text.replace("place]\nlow = 0.2", "place]\nlow = 0.1"))
    with pytest.raises((InputError, ConfigError), match="identical|differ|twice|same"):
        romflow.Study.from_file(path).run(tmp_path / "run")


def test_the_plan_tells_cheap_and_full_order_solves(tmp_path):
    shown = romflow_here("check", write(tmp_path)).stdout
    assert "simplified solves  50 for the dictionary" in shown and "at most 30 (30 for the model" in shown


@pytest.mark.long
@pytest.mark.parametrize("moment", [0.5, 2.0, 4.0])
def test_a_killed_run_ends_with_the_same_dictionary(finished, tmp_path, moment):
    folder, _ = finished
    study = write(tmp_path, extra=UQ, model="pause = 0.05", cluster="local",
                  dictionary=SIMPLE.replace("{cells = 40}", "{cells = 40, pause = 0.05}"))
    process = start("run", study, "--out", tmp_path / "run", page=False)
    waited = time.monotonic() + 60.0
    while not (tmp_path / "run" / "simplified").exists() and time.monotonic() < waited:
        time.sleep(0.05)
    time.sleep(moment)
    kill_tree(process)
    assert romflow_here("run", study, "--out", tmp_path / "run", page=False).returncode == 0
    ours, theirs = (json.loads((place / "run" / "uq.json").read_text())["answers"]["outputs"]
                    for place in (folder, tmp_path))
    assert ours == theirs
    assert os.path.getsize(folder / "run" / "model.h5") > 0
