"""Processes that are killed and interrupted: nothing stored is lost or solved twice, and nobody is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from romflow.core.errors import RomflowError
from romflow.core.schema import ClusterConfig
from romflow.tasks import local
from romflow.tasks.executor import DaskExecutor, SerialExecutor
from tests import toy_model as toy
from tests.toy_study import ToyStudy

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def until(condition: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait until a condition holds; the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "waited too long"
        time.sleep(0.02)
    return time.monotonic() - start


def alive(number: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    return False


class Driver:
    """A run in a process group of its own, as from a terminal."""

    def __init__(self, folder: Path, values: str, **options: object) -> None:
        self.study = ToyStudy(folder, **options)
        code = f"""
            import signal, sys, time
            signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
            sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
            from pathlib import Path
            from romflow.core.schema import ClusterConfig
            from romflow.tasks.executor import DaskExecutor
            from tests.toy_study import ToyStudy
            study = ToyStudy(Path('.').resolve(), **{options!r})
            try:
                with DaskExecutor(ClusterConfig(workers=2)) as executor:
                    records = study.solve(executor, {values})
            except KeyboardInterrupt:
                print("interrupted")
                sys.exit(130)
            print(sorted({{record.status for record in records}}))
        """
        (folder / "driver.py").write_text(textwrap.dedent(code))
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        self.run = subprocess.Popen([sys.executable, "driver.py"], cwd=folder, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, env=environment, process_group=0)

    def family(self) -> list[int]:
        """Process numbers of all descendants."""
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(self.run.pid).children(recursive=True)]
        return []

    def begun(self, count: int) -> None:
        """Wait until so many solves were begun."""
        until(lambda: self.run.poll() is not None or sum(self.study.log().values()) >= count)
        assert self.run.poll() is None, self.run.communicate()

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.run.communicate(timeout=60)
        return self.run.returncode, stdout, stderr


def whole(study: ToyStudy) -> np.ndarray:
    """The parameters 0, 1, ... that are stored, after checking that each snapshot in the store is right."""
    values = np.arange(150.0)
    there = np.setdiff1d(np.arange(150), study.store.missing(values[:, None]))
    assert study.store.damaged == [] and len(there) == len(study.store)
    states = study.store.matrix(values[there, None])
    assert not len(there) or np.array_equal(states, np.outer(np.arange(1.0, 51.0), there))
    return values[there]


def test_a_killed_worker_costs_the_solve_that_it_was_at(tmp_path):
    driver = Driver(tmp_path, "range(120)", busy=0.02)
    driver.begun(20)
    victim = next(iter(driver.study.workers()))
    os.kill(victim, signal.SIGKILL)
    assert driver.end() == (0, "['solved']\n", "") or driver.run.returncode == 0
    log = driver.study.log()
    assert set(log) == set(map(float, range(120)))
    assert sum(log.values()) <= 121  # the solve in the killed worker, and no other, was begun twice
    assert len(whole(driver.study)) == 120
    assert len(driver.study.workers()) == 3  # it was replaced


def test_a_solve_that_kills_its_worker_fails_alone(tmp_path):
    study = ToyStudy(tmp_path, busy=0.005)
    with DaskExecutor(ClusterConfig(workers=2), retries=3) as executor:
        records = study.solve(executor, [*range(40), toy.KILLS, *range(40, 80)])
    failed = records.pop(40)
    assert {record.status for record in records} <= {"solved", "stored"}
    assert failed.status == "failed" and "each worker that solved mu = [-2.0] died" in failed.message
    report, = study.store.failures()
    assert report["mu"] == [toy.KILLS] and report["attempts"] == 4
    log = study.log()
    assert log.pop(toy.KILLS) == 4 and set(log.values()) == {1}
    assert len(whole(study)) == 80


@pytest.mark.parametrize("moment", [*(pytest.param(moment, marks=pytest.mark.long) for moment in (0.3, 1.0, 60)),
                                    "at once", 10])
def test_a_killed_driver_leaves_no_workers_and_no_half_files(tmp_path, moment):
    driver = Driver(tmp_path, "range(150)", busy=0.01)
    if isinstance(moment, int):
        driver.begun(moment)
    elif isinstance(moment, float):
        time.sleep(moment)
    else:
        until(lambda: len(driver.family()) >= 3)
    family = driver.family()
    driver.run.kill()
    assert until(lambda: not any(map(alive, family))) < 5.0
    assert driver.end()[2] == ""
    there = whole(driver.study)
    begun = driver.study.log()
    (tmp_path / "log.txt").unlink(missing_ok=True)
    records = driver.study.solve(SerialExecutor(), range(150))
    assert sum(record.status == "stored" for record in records) == len(there)
    assert not set(there) & set(driver.study.log())
    assert len(whole(driver.study)) == 150
    assert max(begun.values(), default=1) == 1


def test_ctrl_c_is_quick_and_quiet(tmp_path):
    driver = Driver(tmp_path, "range(150)", busy=0.01, sleep=0.5)
    driver.begun(3)
    family = driver.family()
    start = time.monotonic()
    os.killpg(driver.run.pid, signal.SIGINT)
    assert driver.end() == (130, "interrupted\n", "")
    assert time.monotonic() - start < 3.0
    assert until(lambda: not any(map(alive, family))) < 2.0
    whole(driver.study)


def test_sigint_to_each_process_leaves_the_workers_quiet(tmp_path):
    """As some terminals and batch systems send it: to every process, not to the group."""
    driver = Driver(tmp_path, "range(60)", busy=0.01)
    driver.begun(5)
    for number in driver.family():
        os.kill(number, signal.SIGINT)
    assert driver.end() == (0, "['solved']\n", "")


@pytest.mark.parametrize("who", ["driver", "worker", "ctrl-c"])
def test_programs_of_a_solve_end_with_it(tmp_path, who):
    driver = Driver(tmp_path, f"[1, {toy.CHILD}]")
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) >= 2)
    numbers = [int(text) for text in pids.read_text().split()[:2]]
    assert all(map(alive, numbers))
    if who == "driver":
        driver.run.kill()
    elif who == "ctrl-c":
        os.killpg(driver.run.pid, signal.SIGINT)
    else:
        os.kill(psutil.Process(numbers[1]).ppid(), signal.SIGKILL)
    try:
        assert until(lambda: not any(map(alive, numbers))) < 5.0
    finally:
        driver.run.kill()
        driver.end()


def test_a_killed_supervisor_is_replaced(tmp_path):
    study = ToyStudy(tmp_path, busy=0.01)
    with DaskExecutor(ClusterConfig(workers=2)) as executor:
        study.solve(executor, range(4))
        supervisors = {psutil.Process(number).ppid() for number in study.workers()}
        assert len(supervisors) == 1
        os.kill(supervisors.pop(), signal.SIGKILL)
        records = study.solve(executor, range(60))
    assert {record.status for record in records} <= {"solved", "stored"}
    assert len(whole(study)) == 60
    assert not any(map(alive, study.workers()))


def test_workers_that_cannot_start_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_BOOT", "import os; os._exit(9)")
    study = ToyStudy(tmp_path)
    start = time.monotonic()
    with DaskExecutor(ClusterConfig(workers=2)) as executor:
        with pytest.raises(RomflowError, match="the local workers ended 4 times, at last with exit code 9"):
            study.solve(executor, range(10))
        with pytest.raises(RomflowError, match="the local workers ended"):
            study.solve(executor, range(10))
    assert time.monotonic() - start < 30.0


def test_a_normal_run_says_nothing(tmp_path):
    driver = Driver(tmp_path, "range(150)")
    assert driver.end() == (0, "['solved']\n", "")
    assert len(whole(driver.study)) == 150


def test_a_run_leaves_no_files_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    driver = Driver(tmp_path, "range(30)")
    assert driver.end()[0] == 0
    until(lambda: not list((tmp_path / "tmp").iterdir()))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [
        "driver.py", "log.txt", "store", "tmp", "toy_model.py"]
