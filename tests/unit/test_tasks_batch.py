"""Scripts that run a whole study as a batch job: what they ask for, and what they do at the end of the wall-time."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from romflow.cli.submission import submit_run
from romflow.core.errors import ConfigError, RomflowError, StoreError
from romflow.core.files import FolderLock, read_json
from romflow.core.schema import ClusterConfig
from romflow.study import Study
from romflow.tasks.clusters.batch import Batch, batch_script, submit
from romflow.tasks.clusters.walltime import walltime_seconds

JOBS = {"walltime": "02:00:00", "memory": "8GB", "queue": "main", "account": "proj1",
        "job_script_prologue": ["module load python"], "job_extra_directives": ["--exclusive"]}
NEEDED = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def batch(folder: Path) -> Batch:
    return Batch("my plate", folder / "a study.toml", folder, folder)


def config(kind="slurm", **changes):
    return ClusterConfig(kind=kind, **{"options": JOBS, **changes})


def directives(text, start):
    return [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]


def test_slurm_is_asked_for_what_the_jobs_get(tmp_path):
    text = batch_script(config(threads=2), batch(tmp_path))
    asked = directives(text, "#SBATCH ")
    assert {"--job-name=romflow-my-plate", "--time=02:00:00", "--mem=7630M", "--partition=main", "--account=proj1",
            "--ntasks=1", "--nodes=1", "--cpus-per-task=2", "--signal=B:USR1@120", "--requeue", "--exclusive",
            f"--output={tmp_path}/submit-%j.log"} <= set(asked)
    command = next(line for line in text.splitlines() if " -m romflow " in line)
    assert shlex.split(command) == [sys.executable, "-m", "romflow", "run", f"{tmp_path}/a study.toml", "--out",
                                    str(tmp_path), "&"]
    assert text.index("module load python") < text.index("-m romflow")


def test_the_driver_has_wishes_of_its_own(tmp_path):
    driver = {"walltime": "3-00:00:00", "memory": "1GiB", "queue": "long", "restarts": 3, "job_script_prologue": []}
    text = batch_script(config(driver=driver), batch(tmp_path))
    assert {"--time=3-00:00:00", "--mem=1024M", "--partition=long", "--account=proj1"} <= set(
        directives(text, "#SBATCH "))
    assert '"${SLURM_RESTART_COUNT:-0}" -lt 3' in text and "module load" not in text
    short = batch_script(config(driver={"walltime": "00:01:00"}), batch(tmp_path))
    assert "--signal=B:USR1@15" in directives(short, "#SBATCH ")


def test_an_allocation_has_room_for_all_ranks(tmp_path):
    asked = directives(batch_script(config("allocation", workers=3, ranks=8), batch(tmp_path)), "#SBATCH ")
    assert "--ntasks=24" in asked and not any(line.startswith("--nodes") for line in asked)


def test_pbs_is_asked_in_its_own_words(tmp_path):
    text = batch_script(config("pbs", threads=4), batch(tmp_path))
    assert set(directives(text, "#PBS ")) >= {
        "-N romflow-my-plat", "-l select=1:ncpus=4:mem=7630mb", "-l walltime=02:00:00", "-q main", "-A proj1", "-V",
        "-j oe", "--exclusive", f"-o {tmp_path}/submit.log"}
    assert "SBATCH" not in text and "sleep 7080" in text


@NEEDED
@pytest.mark.parametrize("kind", ["slurm", "pbs", "allocation"])
def test_scripts_are_bash(tmp_path, kind):
    folder = tmp_path / "a 'run' & more; %"
    folder.mkdir()
    text = batch_script(config(kind), batch(folder))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert f'"{folder}/submit'.replace("%", "%%" if kind != "pbs" else "%") in text


def test_names_that_no_batch_system_reads_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="batch systems cannot read"):
        batch_script(config(), batch(tmp_path / 'a"b'))


@pytest.mark.parametrize("kind", ["local", "serial", "tls://node7:8786"])
def test_only_batch_systems_take_studies(tmp_path, kind):
    with pytest.raises(ConfigError, match="--submit needs a batch system, and .* names none"):
        batch_script(ClusterConfig(kind=kind), batch(tmp_path))


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "1d"])
def test_times_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="is not a time"):
        walltime_seconds(text)


def test_a_memory_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="memory = 'much' is not a size"):
        batch_script(config(options={"memory": "much"}), batch(tmp_path))


# -- what the scripts do ----------------------------------------------------------------------------------------------

def tool(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    file.chmod(0o755)


def started(tmp_path, monkeypatch, kind, command, **changes):
    """The script at work, with a driver of ours and `qsub` and `scontrol` that note how they are called."""
    for name in ("qsub", "scontrol"):
        tool(tmp_path, name, f'echo {name} "$@" >> {tmp_path}/calls\nexit 1\n')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    text = batch_script(config(kind, options={"walltime": changes.pop("walltime", "01:00:00")}, **changes),
                        batch(tmp_path))
    line = next(line for line in text.splitlines() if " -m romflow " in line)
    (tmp_path / "job.sh").write_text(text.replace(line, f"sh -c {shlex.quote(command)} &"), encoding="utf-8")
    return subprocess.Popen(["bash", tmp_path / "job.sh"], stdout=subprocess.PIPE, text=True)


@NEEDED
@pytest.mark.parametrize(("kind", "call"), [("slurm", "scontrol requeue 7"), ("pbs", "qsub -v ROMFLOW_RESTARTS=1")])
def test_the_end_of_the_wall_time_stops_the_driver_and_goes_on(tmp_path, monkeypatch, kind, call):
    command = f"trap 'echo ended > {tmp_path}/ended; exit 130' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    job = started(tmp_path, monkeypatch, kind, command)
    while not (tmp_path / "up").exists():
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate(timeout=20)
    assert job.returncode == 130 and "the wall-time is over" in out
    assert (tmp_path / "ended").exists()
    assert (tmp_path / "calls").read_text(encoding="utf-8").startswith(call)


@NEEDED
def test_pbs_gives_warning_by_itself_and_not_for_ever(tmp_path, monkeypatch):
    job = started(tmp_path, monkeypatch, "pbs", "exec sleep 30", walltime="0:02", driver={"restarts": 0})
    out, _ = job.communicate(timeout=20)
    assert job.returncode == 143 and "the wall-time" not in out
    assert not (tmp_path / "calls").exists()


@NEEDED
@pytest.mark.parametrize("code", [0, 3])
def test_the_job_ends_as_its_driver_does(tmp_path, monkeypatch, code):
    job = started(tmp_path, monkeypatch, "pbs", f"exit {code}")
    job.communicate(timeout=20)
    assert job.returncode == code
    assert not (tmp_path / "calls").exists()


# -- submission -------------------------------------------------------------------------------------------------------

@pytest.fixture
def study(tmp_path):
    return Study.from_dict({
        "study": {"name": "block"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 10},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "sampling": {"method": "greedy"},
        "cluster": {"kind": "pbs", "memory": "1GB"}})


def test_a_submission_leaves_its_script_and_its_number(tmp_path, monkeypatch, study):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1")
    tool(tmp_path, "qsub", f'echo 4711.server; env > {tmp_path}/seen\n')
    told = submit_run(study, tmp_path / "study.toml", tmp_path / "run")
    assert "Submitted job 4711.server" in told and f"romflow status {tmp_path}/run" in told
    assert (tmp_path / "run" / "submit.sh").stat().st_mode & 0o111
    assert (tmp_path / "run" / "submit.job").read_text(encoding="utf-8") == "4711.server (pbs)\n"
    assert read_json(tmp_path / "run" / "status.json")["state"] == "submitted"
    assert "SLURM_MEM_PER_CPU" not in (tmp_path / "seen").read_text(encoding="utf-8")


def test_a_refusal_is_told_in_the_words_of_the_batch_system(tmp_path, monkeypatch, study):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tool(tmp_path, "qsub", "echo qsub: Unknown queue >&2; exit 170\n")
    with pytest.raises(RomflowError, match="qsub refuses .*submit.sh: qsub: Unknown queue"):
        submit_run(study, tmp_path / "study.toml", tmp_path / "run")


def test_a_batch_system_that_is_not_there(tmp_path, monkeypatch, study):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="the command qsub is not on this machine"):
        submit(study.config.cluster, batch(tmp_path))


def test_a_folder_in_which_a_run_is_at_work_is_left_alone(tmp_path, study):
    with FolderLock(tmp_path), pytest.raises(StoreError, match="is in use"):
        submit_run(study, tmp_path / "study.toml", tmp_path)
    assert not (tmp_path / "submit.sh").exists()
