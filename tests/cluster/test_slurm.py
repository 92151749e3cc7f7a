"""The study on a real Slurm: what local workers give, jobs that are lost, wall-times, scaling, MPI ranks and TLS."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from distributed.security import Security

from romflow.cli.status import read_status
from romflow.cli.submission import submit_run
from romflow.core.errors import ConfigError, RomflowError
from romflow.core.schema import ClusterConfig
from romflow.rom.loading import load
from romflow.study import Study
from romflow.tasks.clusters import watch
from romflow.tasks.executor import DaskExecutor
from tests.cluster.slurm import at_most, queue, running_slurm, until, why_not
from tests.toy_study import ToyStudy

ROOT = Path(__file__).resolve().parents[2]
JOB = {"memory": "300MB", "walltime": "00:05:00"}
STUDY = """
    [study]
    name = "block"
    [model]
    kind = "thermal-block"
    blocks = [2, 1]
    cells = 8
    [parameters.k]
    low = 0.1
    high = 1.0
    size = 2
    [sampling]
    method = "sobol"
    size = 2
    [validation]
    size = 0
"""
QUEUE = """
    [cluster]
    kind = "slurm"
    workers = 2
    ranks = 2
    memory = "600MB"
    walltime = "00:05:00"
    job_script_prologue = ["export MPIR_CVAR_ENABLE_HEAVY_YIELD=1"]  # the nodes share their cores
    [solver]
    parts = 4
"""


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    """SLURM_CONF of a Slurm of our own, and a home of our own for what its jobs leave."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        try:
            with running_slurm(folder) as conf:
                patch.setenv("SLURM_CONF", str(conf))
                patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
                patch.setenv("PYTHONPATH", str(ROOT))
                yield folder
        except RuntimeError as error:
            pytest.skip(f"Slurm does not start here: {error}")


@pytest.fixture(autouse=True)
def empty_queue(slurm):
    """Each test leaves no job behind, and none takes for ever."""
    with at_most(240):
        yield
        until(lambda: not queue())


def config(**changes):
    return ClusterConfig(**{"kind": "slurm", "workers": 2, "options": JOB} | changes)


def romflow(folder, *words, **options):
    return subprocess.run([sys.executable, "-m", "romflow", *words], cwd=folder, capture_output=True, text=True,
                          timeout=200, check=False, **options)


def solved(study, values):
    """Checks that all snapshots are there and right."""
    values = np.asarray(list(values), dtype=float)
    assert not len(study.store.missing(values[:, None]))
    assert np.array_equal(study.store.matrix(values[:, None]), np.outer(np.arange(1.0, 51.0), values))


@pytest.mark.long
def test_a_study_with_two_jobs_of_two_ranks_gives_what_one_process_gives(tmp_path):
    (tmp_path / "study.toml").write_text(textwrap.dedent(STUDY + QUEUE), encoding="utf-8")
    answer = romflow(tmp_path, "run", "study.toml", "--out", "run")
    assert answer.returncode == 0, answer.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    (tmp_path / "alone.toml").write_text(textwrap.dedent(STUDY) + '[cluster]\nkind = "serial"\n', encoding="utf-8")
    alone = Study.from_file(tmp_path / "alone.toml").run(tmp_path / "alone")
    assert summary["offline"]["snapshots_solved"] == 2 and summary["offline"]["basis_size"] == alone.rom.size
    mu = np.array([[0.2, 0.9], [0.5, 0.3], [1.0, 1.0]])
    answer, expected = load(tmp_path / "run" / "model.h5").solve(mu), alone.rom.solve(mu)
    assert answer.output == pytest.approx(expected.output, rel=1e-7)
    assert np.all(answer.error >= expected.error * (1 - 1e-6))  # a bound that knows the tolerance of its solves
    assert np.all(answer.error <= expected.error * 1.02)


@pytest.mark.long
def test_a_cancelled_job_is_replaced_and_nothing_stored_is_lost(tmp_path):
    study, first, seen = ToyStudy(tmp_path, sleep=0.1), [], set()
    with DaskExecutor(config()) as executor:
        def cancel(record):
            if not first and len(study.workers()) == 2:
                first.extend(queue("RUNNING"))
                subprocess.run(["scancel", first[0]], check=True, timeout=20)
            elif first:
                seen.update(queue("RUNNING"))

        records = study.solve(executor, range(40), cancel)
        until(lambda: len(queue("RUNNING")) == 2)
        assert set(queue("RUNNING")) - set(first)
    assert len(records) == 40 and {record.status for record in records} <= {"solved", "stored"}
    assert first[1] in seen
    solved(study, range(40))
    begun = study.log()
    assert set(begun) == set(map(float, range(40))) and sum(begun.values()) <= 41


@pytest.mark.long
def test_jobs_near_their_wall_time_are_replaced_before(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_LAST_MINUTE", 56.0)
    monkeypatch.setattr(watch, "_LAST_SHARE", 1.0)
    study, numbers = ToyStudy(tmp_path, sleep=0.5), set()
    with DaskExecutor(config(workers=1, options={**JOB, "walltime": "00:01:00"})) as executor:
        records = study.solve(executor, range(12), lambda record: numbers.update(queue("RUNNING")))
    assert {record.status for record in records} == {"solved"} and len(numbers) >= 2
    solved(study, range(12))
    assert set(study.log().values()) == {1}


@pytest.mark.long
def test_jobs_come_and_go_with_the_work(tmp_path):
    study = ToyStudy(tmp_path, sleep=0.5)
    with DaskExecutor(config(min_workers=0, idle_time=1.0)) as executor:
        for values, jobs in ((range(8), 2), ([9], 1)):
            seen = set()
            records = study.solve(executor, values, lambda record, seen=seen: seen.update(queue()))
            assert {record.status for record in records} == {"solved"} and len(seen) == jobs
            until(lambda: not queue())


def test_strangers_are_refused_and_ranks_of_mpi_work(tmp_path):
    study = ToyStudy(tmp_path)
    program = tmp_path / "ranks.py"
    program.write_text("from mpi4py import MPI\nprint(MPI.COMM_WORLD.allreduce(1), flush=True)\n", encoding="utf-8")
    with DaskExecutor(config(workers=1, ranks=2)) as executor:
        study.solve(executor, [1])
        client = executor._cluster.client
        address = client.scheduler.address
        assert address.startswith("tls://")
        for stranger in (Security.temporary(), Security()):
            with pytest.raises((OSError, TypeError, ValueError)):
                Client(address, security=stranger, timeout="3s", set_as_default=False)
        with pytest.raises(OSError, match="(?s)."):
            Client(address.replace("tls", "tcp"), timeout="3s", set_as_default=False)
        command = ["srun", "--mpi=pmi2", "--overlap", "-n", "2", sys.executable, "-m", "mpi4py", str(program)]
        answer = client.submit(subprocess.run, command, capture_output=True, text=True, timeout=60,
                               resources={"ranks": 2}).result(timeout=60)
        assert answer.returncode == 0 and answer.stdout.split() == ["2", "2"], answer.stderr


@pytest.mark.parametrize(("options", "words"), [
    ({"queue": "nowhere"}, "jobs cannot be submitted; the queue says: .*nowhere|invalid partition"),
    ({"job_script_prologue": ["echo no such module >&2; exit 3"]}, "ended before their workers were there; .*no such"),
])
def test_jobs_that_never_work_are_an_error(tmp_path, monkeypatch, options, words):
    monkeypatch.setattr(watch, "_FAILED_STARTS", 2)
    study = ToyStudy(tmp_path)
    with DaskExecutor(config(options={**JOB, **options})) as executor, pytest.raises(RomflowError, match=words):
        study.solve(executor, [1])


def test_a_killed_driver_leaves_no_jobs(tmp_path):
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from tests.toy_study import ToyStudy
        from romflow.core.schema import ClusterConfig
        from romflow.tasks.executor import DaskExecutor
        if __name__ == "__main__":
            with DaskExecutor(ClusterConfig(kind="slurm", workers=1, options={JOB!r})) as executor:
                ToyStudy(Path({str(tmp_path)!r}), sleep=0.2).solve(executor, range(500))
    """
    ToyStudy(tmp_path, sleep=0.2)
    driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    until(lambda: (tmp_path / "log.txt").exists())
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    until(lambda: not queue())


TOY = """
    [study]
    name = "toy"
    [model]
    kind = "toy_model.py:Toy"
    sleep = 0.1
    [parameters.a]
    low = 1.0
    high = 2.0
    [sampling]
    method = "sobol"
    size = 32
    [reduction]
    method = "pod-regression"
    [validation]
    size = 0
    [cluster]
    workers = 1
    memory = "300MB"
    walltime = "00:05:00"
"""


@pytest.mark.long
def test_a_submitted_study_goes_on_after_its_wall_time(tmp_path):
    shutil.copy(ROOT / "tests" / "toy_model.py", tmp_path)
    (tmp_path / "study.toml").write_text(textwrap.dedent(TOY) + 'kind = "slurm"\n', encoding="utf-8")
    told = submit_run(Study.from_file(tmp_path / "study.toml"), tmp_path / "study.toml", tmp_path / "run")
    number = re.search(r"job (\d+)", told)[1]
    assert ("batch job", f"{number} (slurm)") in read_status(tmp_path / "run")["rows"]
    log = tmp_path / "log.txt"
    until(lambda: log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 5)
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True, timeout=20)
    until(lambda: (tmp_path / "run" / "summary.json").exists(), 90.0)
    until(lambda: not queue())
    text = (tmp_path / "run" / f"submit-{number}.log").read_text(encoding="utf-8")
    assert "the wall-time is over; the study goes on in the same job again" in text
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["offline"]["snapshots_reused"] >= 5 and summary["offline"]["snapshots_failed"] == 0
    assert len(log.read_text(encoding="utf-8").splitlines()) <= 33


@pytest.mark.long
def test_workers_and_ranks_within_one_allocation(tmp_path):
    ToyStudy(tmp_path, sleep=0.15)
    code = f"""
        import subprocess, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from tests.toy_study import ToyStudy
        from romflow.core.schema import ClusterConfig
        from romflow.tasks.executor import DaskExecutor
        with DaskExecutor(ClusterConfig(kind="allocation", workers=2)) as executor:
            records = ToyStudy(Path({str(tmp_path)!r}), sleep=0.15).solve(executor, range(40))
            print(len({{record.worker for record in records}}), {{record.status for record in records}})
    """
    answer = subprocess.run(["salloc", "--quiet", "--nodes=2", "--ntasks=2", sys.executable, "-c",
                             textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0 and answer.stdout == "2 {'solved'}\n", answer.stderr
    solved(ToyStudy(tmp_path, sleep=0.15), range(40))


def test_an_allocation_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with DaskExecutor(ClusterConfig(kind="allocation")) as executor, pytest.raises(ConfigError, match="and this is no"):
        ToyStudy(tmp_path).solve(executor, [1])
