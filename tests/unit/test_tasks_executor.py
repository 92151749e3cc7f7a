"""Solves on the workers of a local cluster: the same results as without it, whoever works."""

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from romflow.core.errors import ConfigError, StoreError
from romflow.core.schema import ClusterConfig
from romflow.tasks.executor import DaskExecutor, SerialExecutor, make_executor
from tests import toy_model as toy
from tests.toy_study import SPACE, ToyStudy


@pytest.fixture(scope="module")
def executor():
    """Two local workers for all tests of this file: an executor serves many calls."""
    with make_executor(ClusterConfig(workers=2), retries=1) as executor:
        yield executor


@pytest.fixture
def study(tmp_path):
    return ToyStudy(tmp_path)


def test_results_do_not_depend_on_the_workers(tmp_path, executor):
    values = np.random.default_rng(0).uniform(0.0, 9.0, 40)
    alone, many = ToyStudy(tmp_path, "alone"), ToyStudy(tmp_path, "many")
    wanted = alone.solve(SerialExecutor(), values)
    seen = []
    found = many.solve(executor, values, seen.append)
    assert [record.key for record in found] == [record.key for record in wanted]
    assert [record.index for record in found] == list(range(40)) == sorted(record.index for record in seen)
    assert {record.status for record in found} == {"solved"}
    mu = values[:, None]
    assert many.store.matrix(mu).tobytes() == alone.store.matrix(mu).tobytes()
    assert many.store.outputs(mu).tobytes() == alone.store.outputs(mu).tobytes()


def test_both_workers_work(study, executor):
    records = ToyStudy(study.folder, "slow", sleep=0.05).solve(executor, range(20))
    assert len({record.worker for record in records}) == 2
    assert f":{os.getpid()}" not in "".join(record.worker for record in records)


def test_stored_solves_are_not_done_again(study, executor):
    study.solve(executor, range(10))
    records = study.solve(executor, range(5, 15))
    assert [record.status for record in records] == ["stored"] * 5 + ["solved"] * 5
    assert set(study.log().values()) == {1}


def test_one_failing_solve_among_many(study, executor):
    values = [*range(30), toy.CRASHES, toy.REPORTS, *range(30, 60)]
    records = study.solve(executor, values)
    assert [record.status for record in records] == ["solved"] * 30 + ["failed"] * 2 + ["solved"] * 30
    assert "ZeroDivisionError: no luck" in records[30].message
    assert records[31].report["iterations"] == 9 and records[31].report["attempts"] == 2
    assert study.log()[toy.CRASHES] == study.log()[toy.REPORTS] == 2
    assert sorted(report["mu"][0] for report in study.store.failures()) == [toy.REPORTS, toy.CRASHES]
    assert len(study.store) == 60


def test_equal_rows_are_solved_once(study, executor):
    seen = []
    records = study.solve(executor, [1, 2, 1, toy.CRASHES, toy.CRASHES, 1], seen.append)
    assert [record.status for record in records] == ["solved", "solved", "stored", "failed", "failed", "stored"]
    assert [record.index for record in records] == list(range(6)) == sorted(record.index for record in seen)
    assert study.log() == {1.0: 1, 2.0: 1, toy.CRASHES: 2}


def test_nothing_to_do_starts_nothing():
    before = psutil.Process().children()
    with DaskExecutor(ClusterConfig(workers=2)) as executor:
        assert executor.solve({}, "nowhere", SPACE.columns, np.empty((0, 1))) == []
        assert psutil.Process().children() == before


def test_a_relative_folder(study, executor, monkeypatch):
    monkeypatch.chdir(study.folder)
    assert executor.solve(study.request, "store", SPACE.columns, [[1.0]])[0].status == "solved"
    assert study.store.has([1.0])


def test_errors_of_the_model_and_the_store_reach_the_caller(study, executor):
    broken = {**study.request, "options": {"broken": "bits"}}
    with pytest.raises(ConfigError, match="cannot be built: KeyError: 'bits'"):
        executor.solve(broken, study.store.folder, SPACE.columns, [[1.0], [2.0], [3.0]])
    other = {**study.request, "options": {"n": 60}}
    with pytest.raises(StoreError, match="another model or study") as caught:
        executor.solve(other, study.store.folder, SPACE.columns, [[1.0]])
    assert "\n" not in str(caught.value)
    assert study.solve(executor, [1])[0].status == "solved"  # the executor is as good as before


def test_a_disk_that_refuses_ends_the_run(study, executor):
    study.solve(executor, [1])
    (study.store.folder / "snapshots").rename(study.store.folder / "kept")
    (study.store.folder / "snapshots").write_text("a file in the way")
    with pytest.raises(StoreError, match="not a directory") as caught:
        study.solve(executor, range(2, 40))
    assert "\n" not in str(caught.value)


def test_an_error_of_on_done_reaches_the_caller(study, executor):
    def stop(record):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        study.solve(executor, range(100), stop)
    assert {record.status for record in study.solve(executor, range(100))} <= {"solved", "stored"}
    assert len(study.store) == 100


def test_workers_have_the_threads_that_were_asked_for(tmp_path):
    study = ToyStudy(tmp_path)
    with DaskExecutor(ClusterConfig(workers=1, threads=3)) as executor:
        study.solve(executor, [1])
    assert study.store.get([1.0]).info["threads"] == "3"


def test_one_solve_at_a_time_is_quick(study, executor):
    """As a greedy asks: the round trip beyond the solve is some 10 ms; here ten times that is allowed."""
    study.solve(executor, [0])
    times = []
    for value in range(1, 16):
        start = time.perf_counter()
        study.solve(executor, [value])
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.1


def test_an_executor_works_in_a_script_without_a_main_guard(tmp_path, repository):
    ToyStudy(tmp_path)
    script = (f"import sys\nsys.path.insert(0, {str(repository)!r})\n"
              "from pathlib import Path\nfrom romflow.core.schema import ClusterConfig\n"
              "from romflow.tasks.executor import DaskExecutor\nfrom tests.toy_study import ToyStudy\n"
              "print('here')\n"
              "with DaskExecutor(ClusterConfig(workers=2)) as executor:\n"
              "    print(ToyStudy(Path('.')).solve(executor, [1])[0].status)\n")
    (tmp_path / "script.py").write_text(script)
    answer = subprocess.run([sys.executable, "-W", "error", "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("here\nsolved\n", "")
