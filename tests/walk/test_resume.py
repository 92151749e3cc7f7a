"""Whatever is killed when: the run goes on where it stopped, and ends with the same bits."""

import json
import os
import signal
import time

import numpy as np
import psutil
import pytest

from romflow.cli.status import read_status
from tests.walk.studies import romflow_here, start, write_block

pytestmark = pytest.mark.usefixtures("without_report")

SLOW = """
import time
from pathlib import Path

import numpy as np


class Slow:
    def __init__(self, parameters, log):
        self.parameters, self.n, self.spec = parameters, 50, {"model": "slow"}
        self.log = Path(log)

    def solve(self, mu):
        time.sleep(0.2)
        with open(self.log / ("%.17g" % mu[0]), "a") as stream:
            stream.write("x")
        return np.sin(np.linspace(0.0, 3.0, 50) * mu[0])
"""

STUDY = """
[study]
name = "slow"
[model]
kind = "slow.py:Slow"
log = "{log}"
[parameters.a]
low = 1.0
high = 2.0
[sampling]
method = "sobol"
size = 32
[reduction]
method = "pod-regression"
[cluster]
kind = "{cluster}"
workers = 2
"""


def kill_tree(process):
    """kill -9 of a process and everything it started, if it still runs."""
    if process.poll() is not None:
        process.communicate(timeout=30)
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    study = write_block(folder, cells=40, tolerance=1e-3, max_size=15)
    started = time.monotonic()
    process = start("run", study, "--out", folder / "run")
    wait_for((folder / "run" / "summary.json").exists, process)
    seconds = time.monotonic() - started
    kill_tree(process)
    return study, (folder / "run" / "model.h5").read_bytes(), seconds


MOMENTS = [0, *(pytest.param(moment, marks=pytest.mark.long) for moment in range(1, 10))]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_resumes_to_the_same_bits(straight, tmp_path, moment):
    study, expected, seconds = straight
    process = start("run", study, "--out", tmp_path / "run")
    latest = 0.9 if moment == 0 else 1.8  # the page is written after the measured seconds
    time.sleep(float(np.random.default_rng(moment).uniform(0.2, latest)) * seconds)
    kill_tree(process)
    again = romflow_here("run", study, "--out", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "model.h5").read_bytes() == expected


def slow_study(tmp_path, cluster="local"):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "log").mkdir()
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(log=tmp_path / "log", cluster=cluster))
    return path


def wait_for(condition, process, seconds=90.0):
    """Until a condition holds that a running process brings about."""
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None or condition(), process.communicate()
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


def test_killed_worker_costs_at_most_the_solve_that_it_was_at(tmp_path):
    study, log = slow_study(tmp_path), tmp_path / "log"
    process = start("run", study, "--out", tmp_path / "run", page=False)
    wait_for(lambda: len(list(log.iterdir())) >= 8, process)
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if not child.children()]
    os.kill(workers[-1].pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    solved = [path.stat().st_size for path in log.iterdir()]
    assert len(solved) == 32
    assert sum(solved) <= 33
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["offline"]["snapshots_failed"] == 0


def test_interrupted_run_ends_soon_says_so_and_goes_on(tmp_path):
    study, log = slow_study(tmp_path), tmp_path / "log"
    process = start("run", study, "--out", tmp_path / "run")
    wait_for(lambda: len(list(log.iterdir())) >= 6, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "goes on from there" in err
    assert "Traceback" not in err
    status = romflow_here("status", tmp_path / "run")
    assert "stopped" in status.stdout
    again = romflow_here("run", study, "--out", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert sum(path.stat().st_size for path in log.iterdir()) <= 34


def test_second_run_in_a_busy_folder_is_refused(tmp_path):
    study = slow_study(tmp_path, "serial")
    process = start("run", study, "--out", tmp_path / "run")
    try:
        wait_for(lambda: list((tmp_path / "log").iterdir()), process)
        assert "running" in dict(read_status(tmp_path / "run")["rows"])["state"]
        second = romflow_here("run", study, "--out", tmp_path / "run")
        assert second.returncode == 2
        assert "in use by process" in second.stderr
    finally:
        kill_tree(process)
