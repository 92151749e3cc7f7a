"""The tables that say how a study is worked off: [solver], [failures], [cluster]."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from romflow.core.names import nearest, shown
from romflow.core.sections import Section

__all__ = ["DISTRIBUTED_KEYS", "JOB_KEYS", "ClusterConfig", "DriverConfig", "FailuresConfig", "SolverConfig",
           "check_split", "with_ranks"]

_CLUSTERS = ("local", "serial", "slurm", "pbs", "allocation")
_QUEUES = ("slurm", "pbs")
_ADDRESSES = ("tcp://", "tls://")

# What users of job queues write most; [cluster.options] takes every key of the cluster's class.
JOB_KEYS = (
    "queue",
    "account",
    "project",
    "walltime",
    "memory",
    "cores",
    "processes",
    "interface",
    "local_directory",
    "job_extra_directives",
    "job_script_prologue",
    "extra",
)


#: Keys of [solver] for systems that are split over MPI ranks.
DISTRIBUTED_KEYS = ("parts", "subdomains", "partition", "overlap", "one_level", "coarse", "threshold")
_DISTRIBUTED = ("auto", "schwarz", "petsc")
# The methods that look at a key of [solver] which others leave alone.
_SOLVER_KEYS = {
    "petsc": "\"petsc\" and \"auto\"",
    **dict.fromkeys(DISTRIBUTED_KEYS,
                    "\"schwarz\", \"petsc\" and \"auto\" on MPI ranks"),
    "strategy": "method = \"sweep\"",
    "guess_size": "method = \"sweep\"",
    "preconditioner": "\"auto\" or an iterative method other than \"nystrom-cg\"",
    "max_iterations": "an iterative method",
    "backend": "\"direct\", \"sweep\", \"schwarz\" and \"auto\"",
}


class SolverConfig(Section):
    """[solver]: how an affine model solves its systems; without it each is factorised anew, and the bits never vary.

    With MPI ranks the methods are "auto", "schwarz" (two-level Schwarz) and "petsc".
    """

    method: Literal["direct", "sweep", "auto", "cg", "minres", "gmres", "sketched-gmres", "nystrom-cg", "schwarz",
                    "petsc"] = "direct"
    strategy: Literal["auto", "learned", "direct", "multigrid", "condensed", "deflated", "directions",
                      "interpolated"] = "auto"
    tolerance: float = Field(default=1e-9, ge=1e-14, lt=1.0)
    backend: Literal["auto", "superlu", "pardiso", "cholmod", "mumps", "lapack"] = "auto"
    preconditioner: Literal["auto", "none", "jacobi", "ilu", "smoothed-aggregation", "ruge-stuben",
                            "adaptive"] = "auto"
    max_iterations: int = Field(default=1000, ge=1)
    guess_size: int = Field(default=64, ge=0)
    seed: int = Field(default=0, ge=0)
    parts: int | None = Field(default=None, ge=1)
    subdomains: int | None = Field(default=None, ge=1)
    partition: Literal["metis", "bisection"] = "metis"
    overlap: int = Field(default=1, ge=0)
    one_level: Literal["auto", "asm", "ras", "oras", "none"] = "auto"
    coarse: Literal["geneo", "nicolaides", "none"] = "geneo"
    threshold: float | None = Field(default=None, gt=0.0)
    petsc: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _used(self) -> SolverConfig:
        """Refuse keys that the method does not look at."""
        idle = {"strategy": self.method != "sweep", "guess_size": self.method != "sweep",
                "preconditioner": self.method in ("direct", "sweep", "nystrom-cg", "schwarz", "petsc"),
                "max_iterations": self.method == "direct",
                "backend": self.method not in ("direct", "sweep", "auto", "schwarz"),
                "petsc": self.method not in ("auto", "petsc")}
        idle |= dict.fromkeys(DISTRIBUTED_KEYS, self.method not in _DISTRIBUTED)
        for key, unused in idle.items():
            if unused and key in self.model_fields_set:
                raise ValueError(f"has the key {key!r}, which method = {self.method!r} does not use; it belongs to "
                                 f"{_SOLVER_KEYS[key]}.")
        return self

    def wishes(self) -> dict[str, Any]:
        """All keys with their values; without `max_iterations` where it was not written and a sweep has its own."""
        own = self.method == "sweep" and "max_iterations" not in self.model_fields_set
        return self.model_dump(exclude={"max_iterations"} if own else None)


def with_ranks(content: Any) -> Any:
    """A study's content with `ranks` of [model] moved to [cluster], and `method` of [solver] "auto" where ranks work.

    Raises
    ------
    ValueError
        [model] and [cluster] name different numbers.
    """
    tables = ("model", "cluster", "solver")
    if not isinstance(content, dict) or not all(isinstance(content.get(name, {}), dict) for name in tables):
        return content
    model, cluster, solver = (dict(content.get(name, {})) for name in tables)
    if "ranks" in model:
        ranks = model.pop("ranks")
        if cluster.setdefault("ranks", ranks) != ranks:
            raise ValueError(f"has ranks = {shown(ranks)} in [model] and {shown(cluster['ranks'])} in [cluster]; write "
                             "it once, in [cluster].")
    if cluster.get("ranks") is None:
        return content
    changed = {"model": model, "cluster": cluster, "solver": {"method": "auto", **solver}}
    return {**content, **{name: table for name, table in changed.items() if table or name in content}}


def check_split(solver: SolverConfig, cluster: ClusterConfig) -> None:
    """Raise ValueError unless the method of [solver] and the ranks of [cluster] go together."""
    if cluster.ranks is not None and solver.method not in _DISTRIBUTED:
        raise ValueError(f"has [solver] method = {solver.method!r}, which solves in one process, with [cluster] ranks "
                         f"= {cluster.ranks}; write method = \"auto\", \"schwarz\" or \"petsc\", or remove ranks.")
    if cluster.ranks is None and solver.method in ("schwarz", "petsc"):
        raise ValueError(f"has [solver] method = {solver.method!r}, which works on MPI ranks; give [cluster] ranks.")
    lonely = [key for key in (*DISTRIBUTED_KEYS, "petsc") if key in solver.model_fields_set]
    if cluster.ranks is None and lonely:
        raise ValueError(f"has the key {lonely[0]!r} in [solver], which is for MPI ranks; give [cluster] ranks.")


def _local_workers(cluster: dict[str, Any]) -> dict[str, int]:
    """The key `workers` for MPI ranks on this machine: as many jobs at once as have a core for each thread."""
    ranks, threads = cluster.get("ranks"), cluster.get("threads", 1)
    if cluster.get("kind", "local") != "local" or not all(type(n) is int and n > 0 for n in (ranks, threads)):
        return {}
    return {"workers": max(1, len(os.sched_getaffinity(0)) // (ranks * threads))}


class FailuresConfig(Section):
    """[failures]: how often a failed solve is tried again, and the share of failed solves that stops the run.

    Solutions whose veracity score is below `veracity` are set aside as failed before they enter a basis; 0 asks for no
    score, .2 is a good value.
    """

    retries: int = Field(default=0, ge=0)
    max_failed_share: float = Field(default=0.5, ge=0.0, le=1.0)
    veracity: float = Field(default=0.0, ge=0.0, le=1.0)


class DriverConfig(Section):
    """[cluster.driver]: the job in which `romflow run --submit` runs the study; what is not said is as for the workers.

    `restarts` is how often it goes on in a new job after its wall-time.
    """

    walltime: str | None = None
    memory: str | None = None
    queue: str | None = None
    account: str | None = None
    job_extra_directives: list[str] | None = None
    job_script_prologue: list[str] | None = None
    restarts: int = Field(default=20, ge=0)


class ClusterConfig(Section):
    """[cluster]: where the solves run; what a job queue needs, here or in [cluster.options], goes to `options`.

    `ranks` makes each solve an MPI job of so many ranks; `time_limit` ends a solve after so many seconds. With
    `min_workers` a queue has as many jobs as there is work for, between that and `workers`; a job ends when it had
    nothing to do for `idle_time` seconds. Where `workers` is not written, there are 2; with `ranks` on this machine, as
    many as have cores for their ranks.
    """

    kind: str = "local"
    workers: int = Field(default=2, ge=1)
    min_workers: int | None = Field(default=None, ge=0)
    idle_time: float = Field(default=60.0, gt=0.0)
    threads: int = Field(default=1, ge=1)
    ranks: int | None = Field(default=None, ge=1)
    launcher: Literal["auto", "mpiexec", "srun"] = "auto"
    time_limit: float | None = Field(default=None, gt=0.0)
    driver: DriverConfig = Field(default_factory=DriverConfig)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, content: Any) -> Any:
        """Move the keys of a job queue into `options`."""
        if not isinstance(content, dict) or not isinstance(content.get("options", {}), dict):
            return content
        options = dict(content.get("options", {}))
        for key in [key for key in content if key in JOB_KEYS]:
            if key in options:
                raise ValueError(f"has the key {key!r} twice, here and in [cluster.options]; remove one.")
            options[key] = content[key]
        rest = {key: value for key, value in content.items() if key not in JOB_KEYS}
        return {**_local_workers(rest), **rest, "options": options}

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in _CLUSTERS and not kind.startswith(_ADDRESSES):
            raise ValueError(f"no cluster is called {shown(kind)}{nearest(kind, [*_CLUSTERS, 'tcp://HOST:PORT'])}")
        return kind

    @model_validator(mode="after")
    def _scales(self) -> ClusterConfig:
        """Refuse what only a queue has, and more workers at least than at most."""
        if self.kind not in _QUEUES:
            idle = [key for key in ("min_workers", "idle_time") if key in self.model_fields_set]
            if idle:
                raise ValueError(f"has the key {idle[0]!r} with kind = {shown(self.kind)}; the number of workers "
                                 "changes with kind = \"slurm\" or \"pbs\" only; remove the key.")
        elif self.min_workers is None and "idle_time" in self.model_fields_set:
            raise ValueError("has the key 'idle_time' without min_workers; say how many workers stay.")
        if (self.min_workers or 0) > self.workers:
            raise ValueError(f"has min_workers = {self.min_workers} above workers = {self.workers}; lower it.")
        return self
