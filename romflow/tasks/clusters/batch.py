"""A whole study as one batch job, the driver included: its script, and its submission."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from romflow.core.errors import ConfigError, RomflowError
from romflow.core.files import write_atomic
from romflow.core.names import one_line, shown
from romflow.tasks.clusters.walltime import walltime_seconds

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["SCRIPT", "Batch", "batch_script", "check_kind", "submit"]

SCRIPT = "submit.sh"
_WARNING = 120  # seconds before the end of the wall-time in which the driver ends in order
_SUBMIT = {"slurm": "sbatch", "allocation": "sbatch", "pbs": "qsub"}
_ANSWER = 60.0


@dataclass(frozen=True)
class Batch:
    """What runs in the job.

    Attributes
    ----------
    name : str
        Of the study.
    study, folder, start : Path
        Absolute: the study file, the run folder, and where the command starts.
    """

    name: str
    study: Path
    folder: Path
    start: Path

    @property
    def script(self) -> Path:
        """Where the script is written."""
        return self.folder / SCRIPT


def check_kind(config: ClusterConfig) -> None:
    """Raise unless the study names a batch system to which it can be submitted.

    Raises
    ------
    ConfigError
        Workers on this machine, or a scheduler's address.

    Examples
    --------
    >>> from romflow.core.schema import ClusterConfig
    >>> check_kind(ClusterConfig(kind="slurm"))
    """
    if config.kind not in _SUBMIT:
        raise ConfigError(f"--submit needs a batch system, and [cluster] kind = {shown(config.kind)} names none; write "
                          "kind = \"slurm\", \"pbs\" or \"allocation\", or run without --submit.")


def batch_script(config: ClusterConfig, batch: Batch) -> str:
    """The script of the job: it runs the study, and goes on in another job when its wall-time is over.

    Two minutes before that, the driver is told to end; what is solved is stored. Then the job is put into the queue
    again, `restarts` times at most. With kind = "allocation" the job has a task for each worker, or for each MPI rank
    of each; otherwise one task, whose processors are the threads of the driver.

    Raises
    ------
    ConfigError
        Another kind, or a wall-time that cannot be read.
    """
    check_kind(config)
    wishes = _wishes(config)
    seconds = walltime_seconds(wishes["walltime"])
    warning = None if seconds is None else max(1, int(min(_WARNING, seconds / 4)))
    lines = _pbs(config, batch, wishes) if config.kind == "pbs" else _slurm(config, batch, wishes, warning)
    again = _AGAIN[config.kind == "pbs"].format(script=shlex.quote(str(batch.script)), restarts=config.driver.restarts)
    alarm = _ALARM.format(seconds=int(seconds) - warning) if config.kind == "pbs" and seconds and warning else ""
    command = [sys.executable, "-m", "romflow", "run", str(batch.study), "--out", str(batch.folder)]
    return _SCRIPT.format(directives="\n".join(lines), prologue="\n".join(wishes["job_script_prologue"]),
                          start=shlex.quote(str(batch.start)), again=again, alarm=alarm, command=shlex.join(command))


_SCRIPT = """\
#!/bin/bash
{directives}
# Written by romflow run --submit; the run goes on where it stopped, whoever starts it again.
{prologue}
cd {start} || exit 1

go_on() {{
    trap '' USR1
    kill -TERM "$!" 2>/dev/null
    wait "$!"
    code=$?
    [ "$code" -eq 0 ] && exit 0
{again}
    exit "$code"
}}
trap go_on USR1

{alarm}{command} &
wait "$!"
"""

# The wall-time is nearly over: the same job again (Slurm), or the same script as a new one (PBS).
_AGAIN = {
    False: """\
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
        echo "the wall-time is over; the study goes on in the same job again"
        scontrol requeue "$SLURM_JOB_ID" && sleep 60
    fi""",
    True: """\
    if [ "${{ROMFLOW_RESTARTS:-0}}" -lt {restarts} ]; then
        echo "the wall-time is over; the study goes on in another job"
        qsub -v ROMFLOW_RESTARTS=$((${{ROMFLOW_RESTARTS:-0}} + 1)) {script} && exit 0
    fi""",
}
_ALARM = """\
(trap 'kill "$!"' TERM; sleep {seconds} & wait "$!" && kill -USR1 $$) &
alarm=$!
trap 'kill "$alarm" 2>/dev/null' EXIT
"""


def _wishes(config: ClusterConfig) -> dict[str, Any]:
    """What the driver's job asks for: its own table, else what the jobs of the workers ask for."""
    own = config.driver.model_dump(exclude={"restarts"}, exclude_none=True)
    common: dict[str, Any] = dict.fromkeys(("walltime", "memory", "queue", "account"))
    common |= {"job_extra_directives": [], "job_script_prologue": []}
    return {key: own.get(key, config.options.get(key, value)) for key, value in common.items()}


def _slurm(config: ClusterConfig, batch: Batch, wishes: dict[str, Any], warning: int | None) -> list[str]:
    whole = config.kind == "allocation"
    tasks = config.workers * (config.ranks or 1) if whole else 1
    memory = _mebibytes(wishes["memory"])
    options = {
        "job-name": _job_name(batch.name),
        "output": _quoted(str(batch.folder).replace("%", "%%") + "/submit-%j.log"),
        "open-mode": "append",
        "ntasks": tasks,
        "nodes": None if whole else 1,
        "cpus-per-task": config.threads,
        "mem": None if memory is None else f"{memory}M",
        "time": wishes["walltime"],
        "partition": wishes["queue"],
        "account": wishes["account"],
        "signal": None if warning is None else f"B:USR1@{warning}",
    }
    lines = [f"#SBATCH --{key}={value}" for key, value in options.items() if value is not None]
    return [*lines, "#SBATCH --requeue", *(f"#SBATCH {text}" for text in wishes["job_extra_directives"])]


def _pbs(config: ClusterConfig, batch: Batch, wishes: dict[str, Any]) -> list[str]:
    memory = "" if wishes["memory"] is None else f":mem={_mebibytes(wishes['memory'])}mb"
    lines = [f"#PBS -N {_job_name(batch.name)[:15]}", "#PBS -j oe", f"#PBS -o {_quoted(f'{batch.folder}/submit.log')}",
             "#PBS -V", f"#PBS -l select=1:ncpus={config.threads}{memory}"]
    options = {"-l walltime=": wishes["walltime"], "-q ": wishes["queue"], "-A ": wishes["account"]}
    lines += [f"#PBS {key}{value}" for key, value in options.items() if value is not None]
    return [*lines, *(f"#PBS {text}" for text in wishes["job_extra_directives"])]


def _mebibytes(text: str | None) -> int | None:
    """A memory such as "8GB" in units of 2^20 bytes, rounded up.

    Raises
    ------
    ConfigError
        It is no memory.
    """
    from dask.utils import parse_bytes

    try:
        return None if text is None else math.ceil(parse_bytes(text) / 2**20)
    except ValueError:
        raise ConfigError(f"[cluster] memory = {shown(text)} is not a size; write \"8GB\".") from None


def _job_name(name: str) -> str:
    return "romflow-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _quoted(path: str) -> str:
    """A path in a directive, which is no line of the shell."""
    if '"' in path or "\n" in path:
        raise ConfigError(f"the run folder {shown(path)} has a name that batch systems cannot read; choose another.")
    return f'"{path}"' if re.search(r"\s", path) else path


def submit(config: ClusterConfig, batch: Batch) -> str:
    """Write the script into the run folder, submit it, and return the job's number.

    Raises
    ------
    ConfigError
        As :func:`batch_script`, or the batch system's command is not on this machine.
    RomflowError
        The batch system refuses the job; the message is its own.
    """
    text = batch_script(config, batch)
    command = _SUBMIT[config.kind]
    write_atomic(batch.script, text.encode())
    batch.script.chmod(0o755)
    if shutil.which(command) is None:
        raise ConfigError(f"--submit wrote {batch.script}, but the command {command} is not on this machine; submit it "
                          "where it is, or correct [cluster] kind.")
    environment = {name: value for name, value in os.environ.items()
                   if name == "SLURM_CONF" or not name.startswith(("SLURM_", "PBS_"))}
    try:
        answer = subprocess.run([command, str(batch.script)], env=environment, capture_output=True, text=True,
                                timeout=_ANSWER, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise RomflowError(f"{command} did not answer within {_ANSWER:g} s; look whether the job is there before you "
                           "try again.") from error
    number = re.search(r"\d+(?:\.[\w.-]+)?", answer.stdout)
    if answer.returncode or number is None:
        raise RomflowError(f"{command} refuses {batch.script}: {one_line(answer.stderr or answer.stdout)}; correct "
                           "[cluster] or [cluster.driver].")
    return number[0]
