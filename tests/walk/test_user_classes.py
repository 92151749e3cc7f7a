"""A user's own model, sampler, reductor and exporter, each in one file, work in a study; failures are records."""

import json

import pytest

from tests.walk.studies import romflow_here

MINE = '''
from pathlib import Path

import numpy as np

from romflow.core.files import write_atomic
from romflow.reduction.pod_regression import PodRegression


class Model:
    """A decaying wave that refuses some parameters."""

    def __init__(self, parameters, fails_above=10.0):
        self.parameters, self.n, self.spec = parameters, 30, {"model": "wave", "fails_above": fails_above}
        self.limit = fails_above

    def solve(self, mu):
        if mu[0] > self.limit:
            raise RuntimeError("the mesh is tangled")
        return np.exp(-mu[0] * np.linspace(0, 1, 30))


class Sampler:
    """Random points."""

    def __init__(self, space, points=8):
        self.space, self.solves, self.left = space, points, True

    def ask(self):
        if not self.left:
            return np.empty((0, self.space.size))
        self.left = False
        return self.space.sample(self.solves, np.random.default_rng(0))

    def tell(self, rom):
        pass

    def state(self):
        return {"left": self.left}

    def restore(self, state):
        self.left = state["left"]


class Reductor(PodRegression):
    """The built-in regression with radial basis functions."""

    def __init__(self, tolerance=1e-3, max_size=10):
        super().__init__(tolerance, max_size, "rbf")


class Exporter:
    """The outputs' basis as text."""

    suffix = ".txt"

    def write(self, rom, path):
        write_atomic(path, repr(rom.basis.tolist()).encode())
        return [Path(path)]
'''

STUDY = """
[study]
name = "mine"
[model]
kind = "mine.py:Model"
{model}
[parameters.rate]
low = 1.0
high = 3.0
[sampling]
method = "mine.py:Sampler"
points = 9
[reduction]
method = "mine.py:Reductor"
tolerance = 1e-6
[validation]
size = 5
[failures]
retries = 1
max_failed_share = {share}
[cluster]
kind = "serial"
[[export]]
format = "mine.py:Exporter"
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)

    def write(model="", share=0.5):
        (tmp_path / "study.toml").write_text(STUDY.format(model=model, share=share))
        return tmp_path / "study.toml"

    return write


def test_all_four_in_one_study(study, tmp_path):
    done = romflow_here("run", study(), "--out", tmp_path / "run", page=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "mine.txt").exists()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["validation"]["max_relative_error"] < 1e-2
    assert summary["validation"]["error_kind"] == "indicator"


def test_failed_solves_are_records_and_the_rest_goes_on(study, tmp_path):
    done = romflow_here("run", study("fails_above = 2.8"), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["offline"]["snapshots_failed"] >= 1
    status = romflow_here("status", tmp_path / "run").stdout
    assert "the mesh is tangled" in status
    assert "the mesh is tangled" in (tmp_path / "run" / "report.html").read_text()


def test_too_many_failures_stop_the_run(study, tmp_path):
    done = romflow_here("run", study("fails_above = 1.1", 0.2), "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "max_failed_share" in done.stderr
    assert "the mesh is tangled" in done.stderr


@pytest.mark.parametrize("name", ["Sampler", "Reductor", "Exporter"])
def test_each_passes_verify(study, tmp_path, monkeypatch, name):
    study()
    monkeypatch.chdir(tmp_path)
    done = romflow_here("verify", f"mine.py:{name}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_model_passes_verify_as_the_study_builds_it(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = romflow_here("verify", "mine.py:Model", "--study", study())
    assert done.returncode == 0, done.stdout + done.stderr
