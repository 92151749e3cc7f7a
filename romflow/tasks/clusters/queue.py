"""A cluster whose workers are jobs of Slurm or PBS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.security import Security

from romflow.core.errors import ConfigError
from romflow.core.names import one_line, shown
from romflow.tasks.clusters.cluster import NO_PORTS, Cluster
from romflow.tasks.settings import environment

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["certificates", "job_options", "shared_folder", "start_queue", "walltime_seconds"]


def start_queue(cluster: Cluster, config: ClusterConfig) -> None:
    """Start a scheduler here, and submit jobs that work for it; the jobs end with it.

    The scheduler listens to all hosts, and only to those that show the certificate made for this run.

    Raises
    ------
    ConfigError
        Wrong options, or no package to make certificates with.
    """
    from romflow.tasks.clusters.jobs import QUEUES, clean_submit
    from romflow.tasks.clusters.watch import JobWatch

    security = certificates(config.kind)
    kind = QUEUES[config.kind]
    kind.job_cls.submit_command = clean_submit({"slurm": "sbatch", "pbs": "qsub"}[config.kind])
    try:
        options = job_options(config)
        jobs = kind(security=security, protocol="tls://", **options)
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(one_line(f"[cluster] kind = {config.kind!r} cannot be started: {error}")) from error
    cluster.exits.callback(jobs.close)
    watch = JobWatch(jobs, config, walltime_seconds(config.options.get("walltime")), options["log_directory"])
    cluster.watch = watch
    cluster.exits.callback(watch.close)
    watch.begin()
    cluster.connect(jobs)


def certificates(kind: str) -> Any:
    """A certificate for one run, which its scheduler, workers and client show each other.

    Raises
    ------
    ConfigError
        The package that makes certificates is missing.
    """
    try:
        return Security.temporary()
    except ImportError:
        raise ConfigError(
            f"[cluster] kind = {kind!r} needs the package 'cryptography' to keep other users out; install it."
        ) from None


def shared_folder() -> Path:
    """The folder in the home directory for what all hosts must see and no other user may."""
    shared = Path.home() / ".romflow"
    shared.mkdir(mode=0o700, exist_ok=True)
    return shared


def job_options(config: ClusterConfig) -> dict[str, Any]:
    """Options of dask_jobqueue: a worker has one task at a time, whose MPI ranks are tasks of the job.

    Examples
    --------
    >>> from romflow.core.schema import ClusterConfig
    >>> options = job_options(ClusterConfig(kind="slurm", ranks=8, threads=2, options={"memory": "16GB"}))
    >>> options["job_extra_directives"]
    ['--ntasks=8', '--cpus-per-task=2']
    """
    given = dict(config.options)
    shared = shared_folder()
    exports = [f"export {name}={value}" for name, value in environment(config.threads).items()]
    extra = ["--no-dashboard", "--nthreads", "1", "--memory-limit", "0"]
    if config.ranks is not None:
        extra += ["--resources", f"ranks={config.ranks}"]
    extra += [*given.pop("extra", []), *given.pop("worker_extra_args", [])]
    prologue = [*exports, *given.pop("job_script_prologue", [])]
    return {
        "cores": config.threads * (config.ranks or 1),
        "processes": 1,
        "job_name": "romflow",
        "scheduler_options": NO_PORTS,
        "shared_temp_directory": str(shared),
        "log_directory": str(shared / "jobs"),
        "worker_extra_args": extra,
        "job_script_prologue": prologue,
        **(given if config.ranks is None else _with_ranks(config, given)),
    }


def _with_ranks(config: ClusterConfig, given: dict[str, Any]) -> dict[str, Any]:
    """Options with which the job has a task for each MPI rank."""
    if given.get("processes", 1) != 1:
        raise ConfigError(f"[cluster] has ranks = {config.ranks} and processes = {given['processes']}; a job with MPI "
                          "ranks has one worker: remove processes, and raise workers.")
    if config.kind == "pbs":
        spec = f"select=1:ncpus={config.threads * (config.ranks or 1)}:mpiprocs={config.ranks}"
        memory = f":mem={str(given['memory']).replace(' ', '')}" if "memory" in given else ""
        return {"resource_spec": spec + memory, **given}
    directives = [f"--ntasks={config.ranks}", f"--cpus-per-task={given.pop('cores', config.threads)}"]
    return {
        **given,
        "job_directives_skip": ["#SBATCH -n 1", "#SBATCH --cpus-per-task", *given.get("job_directives_skip", [])],
        "job_extra_directives": [*directives, *given.get("job_extra_directives", [])],
    }


def walltime_seconds(text: Any) -> float | None:
    """Seconds of a wall-time as batch systems write it, None without one.

    Parameters
    ----------
    text : str or None
        "MINUTES", "MM:SS", "HH:MM:SS", "DAYS-HH", "DAYS-HH:MM" or "DAYS-HH:MM:SS".

    Raises
    ------
    ConfigError
        Another form.

    Examples
    --------
    >>> [walltime_seconds(text) for text in ("90", "1:30", "02:00:00", "1-12", "1-00:00:30")]
    [5400.0, 90.0, 7200.0, 129600.0, 86430.0]
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", str(text).strip())
    if match is None:
        raise ConfigError(f"[cluster] walltime = {shown(text)} is not a time; write \"HOURS:MINUTES:SECONDS\".")
    days, numbers = int(match[1] or 0), [int(number) for number in match[2].split(":")]
    if match[1] is not None:  # hours come first
        weights = (3600, 60, 1)
    else:
        weights = {1: (60, 0, 0), 2: (60, 1, 0), 3: (3600, 60, 1)}[len(numbers)]
    return float(86400 * days + sum(number * weight for number, weight in zip(numbers, weights, strict=False)))
