"""Trajectories as tasks: stored in pieces, gone on with after a kill, recorded when they fail."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import romflow.store.trajectory_writer as writing
from romflow.core.errors import StoreError
from romflow.fom.build import build_model, model_identity
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.linalg.stepping.march import SCHEMES
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march
from romflow.tasks.solving import solve_batch
from tests import toy_march as toy
from tests.toy_study import SPACE

ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
import romflow.store.trajectory_writer as writing
writing.PIECE_BYTES = 1
from romflow.tasks.solving import solve_batch
solve_batch(**json.loads(sys.argv[1]))
"""


class Study:
    """The toy's store and request in a folder."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / "tests" / "toy_march.py", folder)
        self.request = {"kind": "toy_march.py:Marcher", "options": {},
                        "parameters": SPACE.to_spec(), "base": str(folder)}
        self.model = toy.Marcher(SPACE, folder)
        identity = model_identity(self.request, build_model(self.request))
        self.store = SnapshotStore(folder / "store", identity, SPACE.columns)

    def call(self, *values, **options):
        return {"request": self.request, "store_folder": str(self.store.folder), "columns": ["a"],
                "mu": [[value] for value in values], **options}

    def solve(self, *values, **options):
        return solve_batch(**self.call(*values, **options))[0]

    def pieces(self):
        return sorted(self.store.folder.glob("snapshots/*/*.pieces/*"))


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PIECE_BYTES", 1)
    return Study(tmp_path / "study")


def straight(a, model):
    return np.concatenate([piece.states.copy() for piece in toy.Marcher(None, model.base).march(np.array([a]))], axis=1)


def test_a_trajectory_is_stored_and_then_found(study):
    first, = study.solve(0.5)
    second, = study.solve(0.5)
    assert (first.status, second.status) == ("solved", "stored") and first.seconds == second.seconds > 0.0
    found = study.store.trajectory([0.5])
    assert len(study.pieces()) == 8 and np.array_equal(found.times, study.model.times)
    whole = straight(0.5, study.model)
    assert np.array_equal(found.columns(), whole) and np.array_equal(found.series, whole[:2] ** 2)
    assert np.array_equal(study.store.matrix([[0.5]])[:, 0], whole[:, -1])
    assert np.array_equal(study.store.outputs([[0.5]])[:, 0], whole[:2, -1] ** 2)


def test_a_killed_task_goes_on_from_its_last_piece_to_the_same_bits(study, tmp_path, must_fail):
    told = json.dumps(study.call(toy.KILLS))
    done = subprocess.run([sys.executable, "-c", RUN, told], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == -9, done.stderr
    assert len(study.store.missing([[toy.KILLS]])) == 1 and len(study.pieces()) == 3
    assert study.solve(toy.KILLS)[0].status == "solved"
    assert study.model.logged(toy.KILLS) == [*range(7), *range(6, 16)]  # one piece twice, none before it
    other = Study(tmp_path / "other")
    (other.model.base / "tried").touch()
    other.solve(toy.KILLS)

    def same(gap):
        there, here = (one.store.trajectory([toy.KILLS]) for one in (other, study))
        assert np.array_equal(there.columns(), here.columns() + gap) and np.array_equal(there.series, here.series)
        assert np.array_equal(there.times, here.times)

    same(0.0)
    must_fail(same, 1e-15)


def test_a_march_that_would_begin_anew_is_not_the_same(study):
    """The companion: without the checkpoint's first array, the bits behind the stop are others."""
    mu = np.array([0.5])
    pieces = [piece.checkpoint for piece in study.model.march(mu)]
    wrong = {**pieces[2], "before": np.zeros(12)}
    ends = [list(study.model.march(mu, (6, memory)))[-1].states.copy() for memory in (pieces[2], wrong)]
    assert np.array_equal(ends[0][:, -1], straight(0.5, study.model)[:, -1]) and not np.array_equal(*ends)


def test_nan_is_a_record_that_names_the_time_and_the_sweep_goes_on(study):
    failed, after, solved = study.solve(toy.NAN, toy.FAILS, 0.5)
    when = float(study.model.times[7])
    assert (failed.status, after.status, solved.status) == ("failed", "failed", "solved")
    assert f"t = {when:.6g}" in failed.message and "1 values that are not finite" in failed.message
    assert failed.report["time"] == after.report["time"] == when and failed.report["index"] == 7
    assert [report["mu"] for report in study.store.failures()] == [[toy.NAN], [toy.FAILS]]
    assert len(study.pieces()) == 8  # those of the march that was solved
    json.dumps(failed.report, allow_nan=False)


def test_an_error_of_the_models_own_keeps_the_pieces_for_the_next_attempt(study):
    record, = study.solve(toy.CRASHES)
    assert record.status == "failed" and "ZeroDivisionError: no luck" in record.message
    assert record.report["time"] == study.model.times[5] and len(study.pieces()) == 3
    assert study.solve(toy.CRASHES)[0].status == "solved"
    assert study.model.logged(toy.CRASHES) == [*range(7), *range(6, 16)]


def test_a_second_attempt_goes_on(study):
    record, = study.solve(toy.CRASHES, retries=1)
    assert record.status == "solved" and study.model.logged(toy.CRASHES) == [*range(7), *range(6, 16)]
    assert study.store.failures() == []


def test_a_damaged_piece_costs_what_lies_behind_it(study):
    study.solve(0.5)
    whole = study.store.trajectory([0.5]).columns()
    victim = study.pieces()[4]
    victim.write_bytes(victim.read_bytes()[:-300] + b"x" * 300)
    marched = len(study.model.logged(0.5))
    assert study.solve(0.5)[0].status == "solved"
    assert study.model.logged(0.5)[marched:] == list(range(8, 16)) and len(study.pieces()) == 8
    assert np.array_equal(study.store.trajectory([0.5]).columns(), whole)
    key = study.store.key([0.5])
    aside = {file.name for file in (study.store.folder / "damaged").iterdir()}
    assert {f"{key}.h5", f"{key}.json", f"{key}.{victim.name}"} <= aside


def test_a_full_disk_ends_the_run_and_keeps_what_is_written(study, monkeypatch):
    write, count = writing.write_atomic, []

    def refuse(path, data):
        count.append(path)
        if len(count) > 2:
            raise StoreError("cannot write there: no space left on device.", 28)
        write(path, data)

    monkeypatch.setattr(writing, "write_atomic", refuse)
    with pytest.raises(StoreError, match="no space"):
        study.solve(0.5)
    assert len(study.pieces()) == 2
    monkeypatch.setattr(writing, "write_atomic", write)
    study.solve(0.5)
    assert np.array_equal(study.store.trajectory([0.5]).columns(), straight(0.5, study.model))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tolerance", [None, 1e-2])
def test_every_scheme_goes_on_to_the_same_bits(study, tmp_path, scheme, tolerance):
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), 4)])
    block = build_model({"kind": "thermal-block", "options": {"blocks": [2, 2], "cells": 6},
                         "parameters": space.to_spec(), "base": str(tmp_path)})
    end = 1e-3 if scheme == "explicit-euler" else 0.3
    model = block.evolving(TimeGrid(end, 6, scheme=scheme, tolerance=tolerance))
    model.piece_bytes, mu = 0, np.array([0.2, 0.5, 0.9, 0.3])
    straight, stopped = (SnapshotStore(tmp_path / name, {"kind": "block"}, space.columns) for name in ("a", "b"))
    stored_march(model, straight, mu)
    writer = stopped.writer(mu)
    for piece in itertools.islice(model.march(mu), 4):
        writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint)
    assert stopped.writer(mu).resume()[0] == 4
    stored_march(model, stopped, mu)
    assert np.array_equal(stopped.trajectory(mu).columns(), straight.trajectory(mu).columns())
