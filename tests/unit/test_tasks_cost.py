"""What the scheduler costs: processor time of all processes, beyond that of the same solves in one process."""

import time

import numpy as np
import psutil
import pytest

from romflow.core.schema import ClusterConfig
from romflow.tasks.executor import DaskExecutor, SerialExecutor
from tests.toy_study import ToyStudy

pytestmark = pytest.mark.alone

SOLVES, SECONDS, ROUNDS = 200, 0.005, 5


def spent() -> float:
    """Processor seconds of this process and its descendants so far."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [me, *me.children(recursive=True)])


def cost(study: ToyStudy, executor: object) -> float:
    """Processor seconds of the solves by an executor, beyond the solves' own."""
    study.solve(executor, range(1000, 1020))
    start = spent()
    records = study.solve(executor, range(SOLVES))
    assert {record.status for record in records} == {"solved"}
    return spent() - start - sum(record.seconds for record in records)


def test_the_scheduler_costs_a_tenth_of_short_solves(tmp_path, capsys):
    """The least of some rounds, for the clock ticks and other programs disturb each."""
    alone, many = [], []
    with DaskExecutor(ClusterConfig(workers=2)) as executor:
        for number in range(ROUNDS):
            alone.append(cost(ToyStudy(tmp_path, f"alone{number}", busy=SECONDS), SerialExecutor()))
            many.append(cost(ToyStudy(tmp_path, f"many{number}", busy=SECONDS), executor))
    solves = SOLVES * SECONDS
    scheduler, storing = (min(many) - min(alone)) / solves, min(alone) / solves
    with capsys.disabled():
        print(f" [{scheduler:.1%} of the solves' time for the scheduler, {storing:.1%} for checks and files]")
    assert scheduler < 0.1
    assert storing < 0.3


def test_a_cluster_starts_fast(tmp_path, capsys):
    study = ToyStudy(tmp_path)
    times = []
    for value in range(3):
        start = time.perf_counter()
        with DaskExecutor(ClusterConfig(workers=2)) as executor:
            study.solve(executor, [value])
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
        closing = time.perf_counter() - start
    with capsys.disabled():
        print(f" [start and first solve {np.median(times):.2f} s, end {closing:.3f} s]")
    assert min(times) < 10.0 and closing < 2.0
