"""MPI jobs and parts as tasks of Dask: the ranks are a resource, the records come at once, the dead are replaced."""

import os
import signal
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from romflow.core.errors import ConfigError, InputError, RomflowError
from romflow.core.schema import ClusterConfig
from romflow.tasks.batches import Batches, Pace
from romflow.tasks.executor import SerialExecutor, make_executor
from tests import mpi_job as job
from tests.mpi_study import MpiStudy, ranks_alive, until
from tests.toy_study import SPACE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def executor():
    """One worker that holds two ranks, for all tests of this file."""
    with make_executor(ClusterConfig(workers=1, ranks=2)) as executor:
        yield executor


def test_records_come_while_the_job_runs(tmp_path, executor):
    study, alive = MpiStudy(tmp_path, sleep=0.2), []
    records = study.solve(executor, [1, job.KILLED, 2, 3, job.FAILS, 2], lambda _: alive.append(ranks_alive(tmp_path)))
    assert [record.status for record in records] == ["solved", "failed", "solved", "solved", "failed", "stored"]
    assert records[1].report["rank"] == 1 and records[1].report["exit_code"] == -9
    study.check([1, 2, 3])
    assert any(alive) and not ranks_alive(tmp_path)
    assert [count for _, count in study.jobs()] == [5, 3]  # one job, and another one after the death


def test_a_killed_worker_takes_its_ranks_along(tmp_path, executor):
    study, killed, there = MpiStudy(tmp_path, sleep=0.3), [], []

    def kill(record):
        if not killed:
            ranks = ranks_alive(tmp_path)
            there.extend(study.store.keys())
            worker = next(parent.pid for number in ranks for parent in psutil.Process(number).parents()
                          if parent.pid not in ranks)
            os.kill(worker, signal.SIGKILL)
            killed.append(until(lambda: not any(map(psutil.pid_exists, ranks))))

    records = study.solve(executor, range(1, 6), kill)
    assert killed[0] < 3.0
    assert [record.status for record in records] in (["solved"] * 5, ["solved"] * 4 + ["stored"])
    study.check(range(1, 6))
    (_, first), (_, second) = study.jobs()
    assert first == 5 and 5 - len(there) - 1 <= second <= 5 - len(there)  # what was stored is not solved again


def test_a_call_that_is_given_up_ends_its_job(tmp_path, executor):
    study = MpiStudy(tmp_path)

    def give_up(record):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        study.solve(executor, [-4.5, job.HANGS], give_up)
    assert until(lambda: not ranks_alive(tmp_path)) < 5.0
    line = executor.mpi(study.request, study.store.folder, {"mode": "riesz", "extra": [1, 2]})
    assert line["end"] and line["extra"] == [1, 2]


def test_ranks_that_no_worker_holds(tmp_path, executor):
    study = MpiStudy(tmp_path)
    study.request["ranks"] = 3
    with pytest.raises(ConfigError, match=r"needs 3 ranks, but no worker of this cluster holds more than 2; start its"):
        study.solve(executor, [1])
    with pytest.raises(ConfigError, match="needs 3 ranks"):
        executor.mpi(study.request, study.store.folder, {"mode": "riesz"})


def test_a_job_that_fails_is_one_sentence(tmp_path, executor):
    study = MpiStudy(tmp_path, broken="refuse")
    with pytest.raises(ConfigError, match="^model 'toy' has no mesh.$"):
        executor.mpi(study.request, study.store.folder, {"mode": "riesz"})


def test_a_task_holds_as_many_neighbours_as_fit_in_an_hour():
    pace = Pace()
    batches = Batches(range(9), pace, [range(4), range(4, 9)], longest=3600.0)
    assert batches.take(2, 0) == ([0, 1, 2, 3], False)
    batches.again([2, 3])  # its worker died after the first two
    pace.add(1, 1500.0)
    assert [batches.take(2, lane)[0] for lane in (1, 0, 1, 1, 0)] == [[4, 5], [2, 3], [6, 7], [8], []]
    pace.add(1, 1e5)
    assert Batches(range(9), pace, longest=3600.0).take(1) == ([0], False)


MODEL = """
import os
import numpy as np
from romflow.core.errors import StoreError
from romflow.reduction.distributed.kernels import KERNELS

def part_sum(fom, folder, part, scale, trouble=None):
    with open(fom.base + "/parts.txt", "a") as log:
        log.write(f"{part} {os.getpid()}\\n")
    if trouble == "dies" and not os.path.exists(fom.base + "/died"):
        open(fom.base + "/died", "w").close()
        os.kill(os.getpid(), 9)
    if trouble == "full" and part == 1:
        raise StoreError("cannot write part-0001.h5: No space left on device.")
    if trouble == "raises" and part == 2:
        raise ZeroDivisionError("no luck")
    return {"gram": scale * (part + 1.0) * np.eye(2), "folder": len(folder)}

KERNELS["part_sum"] = part_sum

class Parts:
    n, spec = 4, {}

    def __init__(self, parameters, base):
        self.parameters, self.base = parameters, str(base)

    def solve(self, mu):
        return np.ones(4)
"""


@pytest.fixture
def request_of_parts(tmp_path):
    (tmp_path / "model.py").write_text(textwrap.dedent(MODEL))
    return {"kind": "model.py:Parts", "options": {}, "parameters": SPACE.to_spec(), "base": str(tmp_path)}


def test_parts_answer_in_their_order(tmp_path, executor, request_of_parts):
    found = executor.parts("part_sum", request_of_parts, tmp_path, {"scale": 2.0}, [3, 0, 2])
    assert [answer["gram"].tolist() for answer in found] == [(2.0 * (i + 1) * np.eye(2)).tolist() for i in (3, 0, 2)]
    alone = SerialExecutor().parts("part_sum", request_of_parts, tmp_path, {"scale": 2.0}, [3, 0, 2])
    assert [{name: values.tolist() for name, values in answer.items()} for answer in alone] == [
        {name: values.tolist() for name, values in answer.items()} for answer in found]
    assert executor.parts("part_sum", request_of_parts, tmp_path, {"scale": 2.0}, []) == []
    log = (tmp_path / "parts.txt").read_text().split()[1::2]
    assert len(set(log)) == 2 and str(os.getpid()) in log  # a worker, and this process


@pytest.mark.parametrize("remote", [True, False])
def test_parts_that_fail_are_one_sentence(tmp_path, executor, request_of_parts, remote):
    on = executor if remote else SerialExecutor()
    with pytest.raises(RomflowError, match="^part_sum fails on part 2: ZeroDivisionError: no luck"):
        on.parts("part_sum", request_of_parts, tmp_path, {"scale": 1.0, "trouble": "raises"}, range(4))
    with pytest.raises(RomflowError, match=r"^cannot write part-0001.h5: No space left on device\.$"):
        on.parts("part_sum", request_of_parts, tmp_path, {"scale": 1.0, "trouble": "full"}, range(4))
    with pytest.raises(InputError, match="no kernel of parts is called 'part_sums'; known: .* Did you mean 'part_sum'"):
        on.parts("part_sums", request_of_parts, tmp_path, {}, range(4))
    with pytest.raises(InputError, match="parts count from 0, each once"):
        on.parts("part_sum", request_of_parts, tmp_path, {"scale": 1.0}, [1, 1])


def test_a_part_whose_worker_dies_is_done_again(tmp_path, executor, request_of_parts):
    found = executor.parts("part_sum", request_of_parts, tmp_path, {"scale": 1.0, "trouble": "dies"}, range(3))
    assert [answer["gram"][0, 0] for answer in found] == [1.0, 2.0, 3.0]
    assert Path(tmp_path, "died").exists() and threading.active_count() < 20
