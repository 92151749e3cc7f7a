"""MPI jobs: ranks that raise, die, hang or never start; the study goes on with a record, or ends with one sentence."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, RomflowError, SolveFailed, StoreError
from romflow.core.mpi_environment import without_mpi
from romflow.core.schema import ClusterConfig
from romflow.fom.external import ExternalProgram
from romflow.tasks import mpi, mpi_solving
from romflow.tasks.mpi import Launch, run_ranks
from romflow.tasks.mpi_folder import MARK, marked
from romflow.tasks.serial import SerialExecutor
from romflow.tasks.settings import OWN_STEPS
from tests import mpi_job as job
from tests.mpi_study import MpiStudy, ranks_alive, script, until
from tests.toy_study import SPACE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

#: An mpiexec that says what it was told and in which environment, and starts nothing.
ECHO = """#!/bin/sh
exec PYTHON -c 'import json, os, sys
print("noise")
print(json.dumps({"end": True, "words": sys.argv[1:], "environment": dict(os.environ)}), flush=True)
import time; time.sleep(float(os.environ.get("NAP", "0")))' "$@"
"""
#: An mpiexec of another MPI: each process takes itself for the only one; the rank is told where it is asked for.
SINGLES = """#!/bin/sh
shift 2
[ -n "$TOLD" ] && PMI_RANK=1 "$@" &
[ -n "$TOLD" ] && export PMI_RANK=0
"$@"
wait
"""


def bare(folder: Path, launch: Launch | None = None, **told: object) -> dict[str, object]:
    """The last line of a job that solves nothing."""
    request = {"options": told.pop("options", {}), "base": str(folder)}
    content = {"mode": "riesz", "request": request, "ranks": 2, **told}
    return run_ranks(content, 2, folder, launch or Launch(module=job.__name__))


def test_a_sweep_outlives_its_ranks(tmp_path, must_fail):
    study, seen = MpiStudy(tmp_path), []
    values = [1, job.RAISES, 2, job.KILLED, 3, job.HANGS, job.FAILS, 4, 1, job.FAILS]
    records = study.solve(SerialExecutor(), values, seen.append, time_limit=2.0)
    assert [r.status for r in records] == ["solved", "failed"] * 2 + ["solved"] + ["failed"] * 2 + [
        "solved", "stored", "failed"]
    assert sorted(record.index for record in seen) == list(range(10))
    study.check([1, 2, 3, 4])
    must_fail(study.check, [1, 2, 3], [1, 2, 3, 4 + 1e-15], [1, 2, 3, 4, 5])
    assert len(study.jobs()) == 4 and study.jobs()[0] == (1, 8)  # a death costs a start, not a sweep
    raises, killed, hangs, fails = (records[i] for i in (1, 3, 5, 6))
    assert raises.message.endswith("rank 1 raised an error; last line of stderr: ValueError: no luck")
    assert raises.report["rank"] == raises.report["exit_code"] == 1
    assert raises.report["stderr"].startswith("before\nTraceback")
    assert killed.report["rank"] == 1 and killed.report["exit_code"] == -9 and "by SIGKILL" in killed.message
    assert hangs.report["limit"] == 2.0 and "the time limit" in hangs.message and 2.0 < hangs.seconds < 20.0
    assert fails.message == "GMRES did not converge." and fails.report["iterations"] == 7
    assert sorted(report["mu"][0] for report in study.store.failures()) == sorted(set(values) - {1, 2, 3, 4})
    assert not ranks_alive(tmp_path) and sorted(p.name for p in study.store.folder.iterdir()) == [
        "failures", "snapshots", "store.json"]
    again = study.solve(SerialExecutor(), [1, 2, 3, 4])
    assert {(r.status, r.seconds) for r in again} == {("stored", 0.5)} and len(study.jobs()) == 4


def test_a_failed_attempt_is_repeated(tmp_path):
    study = MpiStudy(tmp_path)
    once, leaves = study.solve(SerialExecutor(retries=1), [job.ONCE, job.LEAVES])
    assert (once.status, once.seconds) == ("solved", 1.0)
    assert leaves.status == "failed" and leaves.report["attempts"] == 2 and leaves.report["exit_code"] == 3
    study.check([job.ONCE])


def test_an_error_before_the_first_solve_ends_the_study(tmp_path):
    study = MpiStudy(tmp_path, broken="refuse")
    with pytest.raises(ConfigError, match="^model 'toy' has no mesh.$"):
        study.solve(SerialExecutor(retries=3), [1])
    study = MpiStudy(tmp_path, broken="kill")
    with pytest.raises(SolveFailed, match="the MPI job of 2 ranks failed: rank 1 was killed by SIGKILL") as caught:
        study.solve(SerialExecutor(), [1])
    assert caught.value.report["rank"] == 1 and not study.store.failures()


@pytest.mark.parametrize(("deaths", "attempts"), [
    ([{"exit_code": 1}] * 9, 3),  # a bug of the code
    ([{"exit_code": -9}] * 5 + [{"exit_code": 1}] * 9, 8),
    ([{"exit_code": 1}, None] * 9, 9),
])
def test_a_bug_that_each_solve_meets_ends_the_study(tmp_path, monkeypatch, deaths, attempts):
    study, jobs = MpiStudy(tmp_path), []

    def run(request, store, told, launch, on_line, cancelled):
        on_line({"begin": 0})
        jobs.append(told["mu"])
        death = deaths[len(jobs) - 1]
        if death is None:
            on_line({"index": 0, "status": "solved"})
            death = {"exit_code": -9}
        raise SolveFailed("no luck", {**death, "ranks": 2, "wall_seconds": 1.0})

    monkeypatch.setattr(mpi_solving, "_run", run)
    wanted = contextlib.nullcontext() if None in deaths else pytest.raises(SolveFailed, match="no luck")
    with wanted:
        study.solve(SerialExecutor(), range(9))
    assert len(jobs) == attempts and len(study.store.failures()) == (9 - 4 if None in deaths else attempts)


def test_a_full_disk_on_a_rank_ends_the_study(tmp_path):
    with pytest.raises(StoreError, match="^cannot write /full: No space left on device.$"):
        MpiStudy(tmp_path).solve(SerialExecutor(retries=3), [1, job.FULL])


def test_mpiexec_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("ROMFLOW_MPIEXEC", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"'mpiexec' is not found, and 2 ranks need it; install the package 'mpich'"):
        MpiStudy(tmp_path).solve(SerialExecutor(), [1])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="'srun' is not found"):
        bare(tmp_path, Launch("srun"))


def test_a_launcher_that_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ROMFLOW_MPIEXEC", str(script(tmp_path, "mpiexec", "#!/bin/sh\necho not today >&2\nexit 5\n")))
    with pytest.raises(SolveFailed, match="failed: ended with exit code 5; last line of stderr: not today") as caught:
        bare(tmp_path)
    assert caught.value.report["rank"] is None
    script(tmp_path, "mpiexec", "#!/bin/sh\nexit 0\n")
    with pytest.raises(SolveFailed, match="ended early, with exit code 0"):
        bare(tmp_path)
    script(tmp_path, "mpiexec", "#!/nowhere/sh\n")
    with pytest.raises(RomflowError, match="the MPI job of 2 ranks failed"):
        bare(tmp_path)


def test_a_mixed_up_mpi_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ROMFLOW_MPIEXEC", str(script(tmp_path, "mpiexec", SINGLES)))
    with pytest.raises(ConfigError, match="the job has 1 of 2 ranks"):
        MpiStudy(tmp_path).solve(SerialExecutor(), [1])


def test_a_launcher_that_leaves_ranks_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("ROMFLOW_MPIEXEC", str(script(tmp_path, "mpiexec", SINGLES)))
    monkeypatch.setenv("TOLD", "1")
    monkeypatch.setattr(mpi, "_LOSS", 0.2)
    start = time.monotonic()
    with pytest.raises(SolveFailed, match="failed: rank 1 ended with exit code 3") as caught:
        bare(tmp_path, options={"alone": True})
    assert caught.value.report["rank"] == 1 and time.monotonic() - start < 10.0
    assert not ranks_alive(tmp_path)


def test_what_a_job_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ROMFLOW_MPIEXEC", str(script(tmp_path, "mpiexec", ECHO)))
    for name in ("PMI_RANK", "PMI_FD", "HYDI_CONTROL_FD", "MPI_LOCALRANKID", "SLURM_JOB_ID", "OMPI_MCA_btl"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("NAP", "1000")
    monkeypatch.setattr(mpi, "_FAREWELL", 0.1)
    start = time.monotonic()
    line = bare(tmp_path, Launch("mpiexec", threads=3))  # the last line counts, whatever the launcher does after it
    assert time.monotonic() - start < 10.0
    words, environment = line["words"], line["environment"]
    assert words[:2] == ["-n", "2"] and words[-5:-1] == ["-m", "mpi4py", "-m", "romflow.fom.distributed.job"]
    assert not [name for name in environment if name.startswith(("PMI_", "HYDI_", "MPI_LOCAL", "SLURM_"))]
    assert environment["OMPI_MCA_btl"] == "1" and environment["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("NAP", "0")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    yields = [bare(tmp_path, Launch("mpiexec", jobs=jobs))["environment"].get("MPIR_CVAR_ENABLE_HEAVY_YIELD")
              for jobs in (1, 2, 3)]
    assert yields == [None, None, "1"]


def test_ranks_have_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert [ClusterConfig(ranks=ranks).workers for ranks in (1, 3, 8, 9)] == [8, 2, 1, 1]
    assert ClusterConfig(ranks=2, threads=2).workers == 2 and ClusterConfig(ranks=8, workers=3).workers == 3
    assert ClusterConfig().workers == ClusterConfig(kind="slurm", ranks=8).workers == 2


def test_srun_within_a_job_of_slurm(tmp_path, monkeypatch):
    script(tmp_path, "srun", ECHO)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SLURM_MPI_TYPE", raising=False)
    line = bare(tmp_path)
    assert line["words"][:5] == ["--mpi=pmi2", "--overlap", "--ntasks=2", "--cpus-per-task=1", "--kill-on-bad-exit=1"]
    assert line["environment"]["SLURM_JOB_ID"] == "7"
    step = {OWN_STEPS: "1", "SLURM_MPI_TYPE": "pmix", "SLURM_STEP_ID": "0", "SLURM_CPUS_ON_NODE": "2",
            "SLURM_NNODES": "2"}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    line = bare(tmp_path)
    assert line["words"][:5] == ["--exact", "--mem=0", "--immediate=300", "--nodes=1", "--ntasks=2"]
    assert "SLURM_NNODES" not in line["environment"] and line["environment"]["SLURM_MPI_TYPE"] == "pmix"


def test_external_programs_know_nothing_of_an_outer_mpi(tmp_path, monkeypatch):
    for name in ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "1")
    code = ("import json, os, sys, numpy; names = ('PMI_RANK', 'OMPI_COMM_WORLD_RANK', 'SLURM_JOB_ID'); "
            "numpy.save(json.load(sys.stdin)['output'], [float(name in os.environ) for name in names])")
    assert ExternalProgram(SPACE, ["{python}", "-c", code]).solve(np.array([1.0])).state.tolist() == [0, 0, 1]
    script(tmp_path, "mpiexec", '#!/bin/sh\nexec "$@"\n')
    program = ExternalProgram(SPACE, ["mpiexec", sys.executable, "-c", code], base=tmp_path)
    assert program.solve(np.array([1.0])).state.tolist() == [0, 0, 0]
    assert without_mpi({"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_COMM_WORLD_SIZE": "1"}) == {"OMPI_ALLOW_RUN_AS_ROOT": "1"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ranks_end_with_their_driver(tmp_path, number):
    study = MpiStudy(tmp_path)
    driver = script(tmp_path, "driver.py", f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from romflow.tasks.serial import SerialExecutor
from tests.mpi_study import MpiStudy
try:
    MpiStudy(Path({str(tmp_path)!r})).solve(SerialExecutor(), [-4.5, {job.HANGS}])
except KeyboardInterrupt:
    sys.exit(130)
""")
    run = subprocess.Popen([sys.executable, driver], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: len(study.store) or run.poll() is not None)
        family = ranks_alive(tmp_path)
        assert len(family) >= 5, run.communicate()  # the launcher, its helper, the ranks
        run.send_signal(number)
        assert until(lambda: not ranks_alive(tmp_path)) < 5.0
        assert run.wait(10.0) == (130 if number == signal.SIGINT else -9)
    finally:
        run.kill()
        assert run.communicate()[1] == ""
    litter = list(study.store.folder.glob("mpi-job.*"))
    assert len(litter) == (number == signal.SIGKILL)
    study.check([-4.5])
    with contextlib.suppress(SolveFailed):  # the next job in the folder clears it
        run_ranks({}, 1, study.store.folder, Launch(module="no.such.module"))
    assert not list(study.store.folder.glob("mpi-job.*"))


def test_a_cancelled_job_is_gone(tmp_path):
    study = MpiStudy(tmp_path)
    launch, told = Launch(module=job.__name__), {"mode": "solve", "request": study.request, "ranks": 2,
                                                  "store": str(study.store.folder), "mu": [[1.0], [job.HANGS]]}
    lines: list[dict[str, object]] = []
    with pytest.raises(SolveFailed, match="was cancelled, and ended with all its ranks"):
        run_ranks(told, 2, tmp_path, replace(launch), lines.append, lambda: len(lines) >= 3)
    assert [next(iter(line)) for line in lines] == ["begin", "index", "begin"]
    assert not ranks_alive(tmp_path) and marked(os.environ.get(MARK, "none")) == []
