"""Which clusters are joined and which are refused."""

import contextlib
import gc
import logging
import os
from pathlib import Path

import dask
import dask_jobqueue
import pytest
from distributed import LocalCluster
from distributed.security import Security

from romflow.core.errors import ConfigError, RomflowError
from romflow.core.schema import ClusterConfig
from romflow.tasks.clusters import cluster, queue
from romflow.tasks.clusters.address import check_address
from romflow.tasks.clusters.allocation import worker_command
from romflow.tasks.clusters.certificates import certificates
from romflow.tasks.clusters.jobs import clean_submit
from romflow.tasks.executor import DaskExecutor
from romflow.tasks.settings import SETTINGS, environment
from tests.toy_study import ToyStudy


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786",
                                     "tls://node7:8786", "tls://10.0.0.1:8786"])
def test_safe_addresses(address):
    check_address(address)


@pytest.mark.parametrize(("address", "words"), [
    ("tcp://10.0.0.1:8786", "every user of the network could run code as you; start the scheduler with TLS"),
    ("tcp://node7:8786", "has no TLS"), ("tcp://127.0.0.1.example.org:8786", "has no TLS"),
    ("tls://node7", "lacks a host or a port"), ("tcp://:8786", "lacks a host or a port"),
    ("tls://node7:x", "lacks a host or a port"), ("ucx://node7:8786", "no cluster is called"),
    ("loacl", "Did you mean 'local'?")])
def test_other_addresses_are_refused(address, words):
    with pytest.raises(ConfigError) as caught:
        check_address(address)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def refusal(tmp_path, **config):
    """The error with which a cluster does not start."""
    with pytest.raises(ConfigError) as caught, DaskExecutor(ClusterConfig(**config)) as executor:
        ToyStudy(tmp_path).solve(executor, [1])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["tcp://127.0.0.1:1", "tls://127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(cluster, "_PATIENCE", "500ms")
    assert f"no scheduler answers at {kind}" in refusal(tmp_path, kind=kind)


def test_wrong_options(tmp_path):
    assert "has no options" in refusal(tmp_path, kind="local", options={"memory": "4GB"})
    assert "colour" in refusal(tmp_path, kind="tls://127.0.0.1:1", options={"colour": "red"})


def test_a_queue_without_certificates_is_refused(tmp_path, monkeypatch):
    def unavailable():
        raise ImportError("no module named cryptography")

    monkeypatch.setattr(Security, "temporary", staticmethod(unavailable))
    assert "needs the package 'cryptography'" in refusal(tmp_path, kind="slurm")


def test_a_queue_that_is_not_there(tmp_path, monkeypatch):
    for half_made in (dask_jobqueue.SLURMCluster, dask_jobqueue.PBSCluster):
        monkeypatch.setattr(half_made, "__del__", lambda self: None)  # which complains of what was never open
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "[cluster] kind = 'slurm' cannot be started" in refusal(tmp_path, kind="slurm")
    assert "colour" in refusal(tmp_path, kind="pbs", options={"memory": "1GB", "colour": "red"})
    gc.collect()


def test_jobs_of_a_queue(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {"memory": "2GB", "job_script_prologue": ["module load fenics"], "log_directory": "here"}
    found = queue.job_options(ClusterConfig(kind="slurm", threads=3, options=options))
    assert (found["cores"], found["processes"], found["memory"], found["log_directory"]) == (3, 1, "2GB", "here")
    assert "export OMP_NUM_THREADS=3" in found["job_script_prologue"]
    assert found["job_script_prologue"][-1] == "module load fenics"
    assert (tmp_path / ".romflow").stat().st_mode & 0o777 == 0o700


def test_the_ranks_of_a_solve_are_tasks_of_its_job(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {"memory": "16 GB", "job_extra_directives": ["--nodes=2"], "extra": ["--local-directory", "x"]}
    config = ClusterConfig(kind="slurm", ranks=8, threads=2, options=options)
    found = queue.job_options(config)
    assert found["job_extra_directives"] == ["--ntasks=8", "--cpus-per-task=2", "--nodes=2"]
    assert "#SBATCH -n 1" in found["job_directives_skip"]
    assert found["worker_extra_args"][-4:] == ["--resources", "ranks=8", "--local-directory", "x"]
    script = dask_jobqueue.slurm.SLURMJob(
        "tls://x:1", "name", **{key: value for key, value in found.items() if key != "scheduler_options"}).job_script()
    assert "#SBATCH -n 1\n" not in script and script.count("--cpus-per-task") == 1
    found = queue.job_options(ClusterConfig(kind="pbs", ranks=8, threads=2, options=options))
    assert found["resource_spec"] == "select=1:ncpus=16:mpiprocs=8:mem=16GB"
    with pytest.raises(ConfigError, match="ranks = 2 and processes = 3"):
        queue.job_options(ClusterConfig(kind="pbs", ranks=2, options={"processes": 3}))


def test_a_job_does_not_inherit_the_allocation_of_its_driver(monkeypatch):
    for name in ("SLURM_MEM_PER_CPU", "PBS_JOBID", "SLURM_CONF"):
        monkeypatch.setenv(name, "1")
    command = clean_submit("sbatch").split()
    assert command[0] == "env" and command[-1] == "sbatch" and "SLURM_CONF" not in command
    assert {"SLURM_MEM_PER_CPU", "PBS_JOBID"} <= set(command)


def test_the_certificate_of_a_run_is_for_its_user_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with contextlib.ExitStack() as exits:
        security = certificates("slurm", exits)
        files = {Path(value) for role in ("scheduler", "worker", "client")
                 for name, value in security.get_tls_config_for_role(role).items() if name in ("cert", "key")}
        assert len(files) == 2 and security.require_encryption
        assert all(file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0 for file in files)
    assert not any(file.exists() for file in files)


@pytest.mark.parametrize(("keys", "words"), [
    ({"kind": "local", "min_workers": 1}, "'min_workers' with kind = 'local'"),
    ({"kind": "tls://a:1", "idle_time": 3.0}, "'idle_time' with kind"),
    ({"kind": "slurm", "idle_time": 3.0}, "'idle_time' without min_workers"),
    ({"kind": "pbs", "workers": 2, "min_workers": 3}, "min_workers = 3 above workers = 2"),
])
def test_only_queues_scale(keys, words):
    with pytest.raises(ValueError, match=words):
        ClusterConfig(**keys)


def test_an_allocation_has_no_options_of_jobs(tmp_path):
    assert "but kind = 'allocation' finds its nodes there" in refusal(
        tmp_path, kind="allocation", options={"interface": "ib0"})


def test_workers_of_an_allocation_hold_ranks_and_no_processors():
    command = worker_command(ClusterConfig(kind="allocation", workers=3, ranks=4), "tls://n1:1",
                             Security(tls_ca_file="a", tls_worker_cert="b", tls_worker_key="c"))
    assert {"--ntasks=3", "--overlap", "--mem=0", "ranks=4"} <= set(command)
    assert command[command.index("--tls-ca-file") + 1] == "a" and command[command.index("--tls-key") + 1] == "c"


@pytest.fixture
def scheduler(tmp_path):
    """Somebody's own cluster on this machine, its worker a thread of this process."""
    quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": None}
    no_ports = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    with (
        dask.config.set({**SETTINGS, "temporary-directory": str(tmp_path)}),
        LocalCluster(None, 1, 2, processes=False, protocol="tcp://", scheduler_kwargs=no_ports, **quiet) as own,
    ):
        yield own


def test_a_running_scheduler_is_joined_and_left_running(tmp_path, scheduler):
    study = ToyStudy(tmp_path)
    config = ClusterConfig(kind=scheduler.scheduler_address, workers=7)
    for values in (range(20), range(10, 30)):
        with DaskExecutor(config) as executor:
            records = study.solve(executor, values)
        assert {record.status for record in records} <= {"solved", "stored"}
        assert {record.worker.rpartition(":")[2] for record in records} == {str(os.getpid())}
    assert set(study.log().values()) == {1}
    assert scheduler.scheduler.workers and set(scheduler.scheduler.clients) == {"fire-and-forget"}


def test_a_scheduler_that_goes_away_is_an_error(tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", "1s")
    study = ToyStudy(tmp_path, sleep=0.3)
    with DaskExecutor(ClusterConfig(kind=scheduler.scheduler_address)) as executor:
        with pytest.raises(RomflowError, match="the scheduler or the connection to it was lost"):
            study.solve(executor, range(20), lambda record: scheduler.close())


def test_loggers_are_as_before(tmp_path):
    logger = logging.getLogger("distributed.scheduler")
    level = logger.level
    with DaskExecutor(ClusterConfig(workers=1)) as executor:
        ToyStudy(tmp_path).solve(executor, [1])
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.level == level and logger.isEnabledFor(logging.CRITICAL)


def test_the_environment_of_workers_that_others_start():
    found = environment(4)
    assert found["OPENBLAS_NUM_THREADS"] == "4"
    names = {name for name in found if name.startswith("DASK_")}
    read = dask.config.collect_env({name: found[name] for name in names})
    for key, value in SETTINGS.items():
        if key.startswith(("distributed.worker", "distributed.admin")):
            assert dask.config.get(key, config=read) == value
