"""A queue in the words of PBS (there is none to install): its commands run jobs on this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from romflow.core.schema import ClusterConfig
from romflow.tasks.executor import DaskExecutor
from tests.cluster.slurm import at_most, until
from tests.toy_study import ToyStudy

ROOT = Path(__file__).resolve().parents[2]
QSUB = """
number=$(ls {folder} | grep -c '[.]job$')
cp "$1" {folder}/$number.job
setsid sh -c 'echo $$ > {folder}/'$number'.pid; exec bash {folder}/'$number.job > {folder}/$number.out 2>&1 &
echo $number.pbs
"""
QSTAT = """
kill -0 -- -"$(cat {folder}/"${{1%.pbs}}".pid)" 2>/dev/null && exit 0
echo "qstat: Unknown Job Id $1" >&2
exit 153
"""
QDEL = """kill -- -"$(cat {folder}/"${{1%.pbs}}".pid)" 2>/dev/null; exit 0
"""

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("setsid", "bash"))) or not sys.platform.startswith("linux"),
                                reason="needs setsid and bash")


@pytest.fixture
def pbs(tmp_path, monkeypatch):
    """The folder with the jobs of a PBS of our own."""
    folder, tools = tmp_path / "jobs", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    for name, text in (("qsub", QSUB), ("qstat", QSTAT), ("qdel", QDEL)):
        (tools / name).write_text("#!/bin/bash\n" + text.format(folder=folder), encoding="utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


def running(folder):
    """Numbers of the jobs that run."""
    numbers = [file.stem for file in folder.glob("*.pid")]
    return [number for number in numbers if not subprocess.run(["qstat", number], capture_output=True).returncode]


@pytest.mark.long
def test_a_deleted_job_is_replaced(tmp_path, pbs):
    study, first = ToyStudy(tmp_path, sleep=0.1), []

    def delete(record):
        if not first:
            first.extend(running(pbs))
            subprocess.run(["qdel", first[0]], check=True)

    with at_most(100), DaskExecutor(ClusterConfig(kind="pbs", workers=1, options={"memory": "1GB"})) as executor:
        records = study.solve(executor, range(12), delete)
        assert running(pbs) and running(pbs) != first
    assert {record.status for record in records} <= {"solved", "stored"} and len(records) == 12
    script = (pbs / "0.job").read_text(encoding="utf-8")
    assert "#PBS -l select=1:ncpus=1:mem=954MB" in script and "--tls-key" in script
    until(lambda: not running(pbs))
