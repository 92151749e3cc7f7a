"""The task itself: solved, stored, failed; in this process."""

import json

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from romflow.core.errors import ConfigError, ParameterError, ShapeError, StoreError
from romflow.core.fingerprint import check_json
from romflow.core.schema import ClusterConfig
from romflow.core.snapshot import Snapshot
from romflow.tasks.executor import SerialExecutor, make_executor, pinned_threads
from romflow.tasks.solving import DEATHS, solve_batch, solve_task
from tests import toy_model as toy
from tests.toy_study import SPACE, ToyStudy


@pytest.fixture
def study(tmp_path):
    return ToyStudy(tmp_path)


def test_solved_then_stored(study):
    seen = []
    executor = make_executor(ClusterConfig(kind="serial"))
    with executor:
        first = study.solve(executor, [3, 1, 2], seen.append)
        second = study.solve(executor, [1, 4, 3])
    assert [record.status for record in first] == ["solved"] * 3
    assert [record.index for record in first] == [0, 1, 2] and seen == first
    assert [record.key for record in first] == [study.store.key([a]) for a in (3, 1, 2)]
    assert [record.status for record in second] == ["stored", "solved", "stored"]
    assert second[0].seconds == first[1].seconds > 0.0
    assert study.log() == {3.0: 1, 1.0: 1, 2.0: 1, 4.0: 1}
    assert study.store.matrix([[3], [4]]).tolist() == [[3.0 * i, 4.0 * i] for i in range(1, 51)]
    assert study.store.outputs([[3], [4]]).tolist() == [[3.0, 4.0]]


def test_equal_rows_are_solved_once(study):
    records = study.solve(SerialExecutor(), [1, 2, 1, -0.0, 0.0])
    assert [record.status for record in records] == ["solved", "solved", "stored", "solved", "stored"]


def test_nothing_to_do(study):
    assert SerialExecutor().solve(study.request, study.store.folder, SPACE.columns, np.empty((0, 1))) == []


def test_rows_are_checked(study):
    with pytest.raises(ShapeError):
        SerialExecutor().solve(study.request, study.store.folder, SPACE.columns, [1.0])
    with pytest.raises(ParameterError):
        study.solve(SerialExecutor(), [np.inf])


@pytest.mark.parametrize(("value", "words"), [
    (toy.CRASHES, "ZeroDivisionError: no luck"), (toy.LEAVES, "SystemExit: 3"), (toy.NAN, "not finite"),
    (toy.SHAPE, "shape"), (toy.REPORTS, "no convergence"), (toy.OUTSIDE, "outside my range"), (toy.ODD_INFO, "JSON")])
def test_a_failed_solve_is_a_record(study, value, words):
    first, failed, last = study.solve(SerialExecutor(retries=2), [1, value, 2])
    assert (first.status, failed.status, last.status) == ("solved", "failed", "solved")
    assert words in failed.message and "\n" not in failed.message
    check_json(failed.report)
    report, = study.store.failures()
    assert report["mu"] == [value] and report["message"] == failed.message and report["worker"] == failed.worker
    attempts = 1 if value == toy.ODD_INFO else 3  # solving again does not change what it says of itself
    assert report["attempts"] == failed.report["attempts"] == attempts == study.log()[value]
    assert study.store.missing([[1], [value], [2]]).tolist() == [1]


def test_the_report_of_a_failure_is_kept(study):
    study.solve(SerialExecutor(), [toy.REPORTS, toy.CRASHES])
    reports = {report["mu"][0]: report for report in study.store.failures()}
    report = reports[toy.REPORTS]
    assert (report["iterations"], report["residual"], report["exit_code"], report["stderr"]) == (9, None, 4, "x")
    assert "Toy" in report["solver"]
    assert "ZeroDivisionError" in reports[toy.CRASHES]["traceback"]


def test_a_second_attempt_may_succeed(study):
    record, = study.solve(SerialExecutor(retries=1), [toy.ONCE])
    assert record.status == "solved" and study.log()[toy.ONCE] == 2
    assert study.store.failures() == []


def test_a_failure_is_forgotten_when_it_is_solved(study):
    assert study.solve(SerialExecutor(), [toy.ONCE])[0].status == "failed"
    assert len(study.store.failures()) == 1
    assert study.solve(SerialExecutor(), [toy.ONCE])[0].status == "solved"
    assert study.store.failures() == []


def test_a_suspect_is_noted_while_it_is_solved(study, monkeypatch):
    """A note that a worker leaves when it dies in the solve, and that a solve takes back."""
    notes = []
    monkeypatch.setattr("romflow.tasks.solving.snapshot_of",
                        lambda fom, mu: (notes.append(study.store.failure(mu)), Snapshot(np.ones(50)))[1])
    call = (study.request, str(study.store.folder), ["a"])
    study.store.record_failure([2.0], {"attempts": DEATHS + 1, "message": "from the attempt before"})
    solve_batch(*call, [[1.0], [2.0]], suspect=True)
    assert [note["attempts"] for note in notes] == [DEATHS + 1, DEATHS + 2]
    assert all("each worker that solved mu" in note["message"] for note in notes)
    assert study.store.failures() == [] and study.store.failure([1.0]) is None
    solve_batch(*call, [[3.0]])
    assert notes[-1] is None


def test_a_damaged_snapshot_is_solved_again(study):
    study.solve(SerialExecutor(), [1, 2])
    file = study.store.path(study.store.key([2.0]))
    content = file.read_bytes()
    file.write_bytes(content[:-200])
    assert [record.status for record in study.solve(SerialExecutor(), [1, 2])] == ["stored", "solved"]
    assert (study.store.folder / "damaged" / file.name).read_bytes() == content[:-200]
    assert study.store.get([2.0]).state[0] == 2.0


def test_a_disk_that_refuses_ends_the_run(study, monkeypatch):
    def refuse(self, key, mu, snapshot):
        raise StoreError("cannot write there: no space left on device.")

    monkeypatch.setattr("romflow.store.snapshot_files.SnapshotFiles.write", refuse)
    with pytest.raises(StoreError, match="no space left"):
        study.solve(SerialExecutor(retries=3), [1, 2])
    assert study.log() == {1.0: 1}
    assert study.store.failures() == []


def test_a_model_that_cannot_be_built(study):
    study.request["options"]["broken"] = "bits"
    with pytest.raises(ConfigError, match="'toy_model.py:Toy' cannot be built: KeyError: 'bits'"):
        study.solve(SerialExecutor(), [1])


def test_the_store_of_another_model(study):
    study.request["options"]["n"] = 60
    with pytest.raises(StoreError, match="another model or study"):
        study.solve(SerialExecutor(), [1])


def test_a_task_is_text(study):
    call = {"request": study.request, "store_folder": str(study.store.folder), "columns": ["a"], "mu": [[0.1]],
            "retries": 0}
    records, solves, seconds = solve_task(json.dumps(call), 1)
    assert [record.status for record in records] == ["solved"] and solves == 1 and 0.0 < seconds < 5.0
    assert study.store.has([0.1])
    assert solve_task(json.dumps(call), None)[1:] == (0, 0.0)


def test_threads_are_pinned():
    np.eye(3) @ np.eye(3)
    before = [pool["num_threads"] for pool in threadpool_info()]
    with pinned_threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before
