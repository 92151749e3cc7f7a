"""A cluster whose workers are jobs of Slurm or PBS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask

from romflow.core.errors import ConfigError
from romflow.core.names import one_line
from romflow.tasks.clusters.certificates import certificates, shared_folder
from romflow.tasks.clusters.cluster import NO_PORTS, Cluster
from romflow.tasks.clusters.walltime import walltime_seconds
from romflow.tasks.settings import environment

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["job_options", "start_queue"]


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

    seconds = walltime_seconds(_walltime(config))
    security = certificates(config.kind, cluster.exits)
    kind = QUEUES[config.kind]
    kind.job_cls.submit_command = clean_submit({"slurm": "sbatch", "pbs": "qsub"}[config.kind])
    try:
        options = job_options(config)
        jobs = kind(security=security, protocol="tls://", **options)
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(one_line(f"[cluster] kind = {config.kind!r} cannot be started: {error}")) from error
    cluster.exits.callback(jobs.close)
    watch = JobWatch(jobs, config, seconds, options["log_directory"])
    cluster.watch = watch
    cluster.exits.callback(watch.close)
    watch.begin()
    cluster.connect(jobs)


def _walltime(config: ClusterConfig) -> Any:
    """As the study says, or the user's settings of dask_jobqueue."""
    return config.options.get("walltime", dask.config.get(f"jobqueue.{config.kind}.walltime", None))


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
        "log_directory": str(shared_folder() / "jobs"),
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
