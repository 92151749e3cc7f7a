"""The tables that say how a study is worked off: [solver], [failures], [cluster]."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from romflow.core.names import nearest, shown
from romflow.core.sections import Section

__all__ = ["JOB_KEYS", "ClusterConfig", "FailuresConfig", "SolverConfig"]

_CLUSTERS = ("local", "serial", "slurm", "pbs")
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


# The methods that look at a key of [solver] which others leave alone.
_SOLVER_KEYS = {
    "strategy": "method = \"sweep\"",
    "guess_size": "method = \"sweep\"",
    "preconditioner": "\"auto\" or an iterative method other than \"nystrom-cg\"",
    "max_iterations": "an iterative method",
    "backend": "\"direct\", \"sweep\" and \"auto\"",
}


class SolverConfig(Section):
    """[solver]: how an affine model solves its systems; without it each is factorised anew, and the bits never vary."""

    method: Literal["direct", "sweep", "auto", "cg", "minres", "gmres", "sketched-gmres", "nystrom-cg"] = "direct"
    strategy: Literal["auto", "learned", "direct", "multigrid", "condensed", "deflated", "directions",
                      "interpolated"] = "auto"
    tolerance: float = Field(default=1e-9, ge=1e-14, lt=1.0)
    backend: Literal["auto", "superlu", "pardiso", "cholmod", "mumps", "lapack"] = "auto"
    preconditioner: Literal["auto", "none", "jacobi", "ilu", "smoothed-aggregation", "ruge-stuben",
                            "adaptive"] = "auto"
    max_iterations: int = Field(default=1000, ge=1)
    guess_size: int = Field(default=64, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _used(self) -> SolverConfig:
        """Refuse keys that the method does not look at."""
        idle = {"strategy": self.method != "sweep", "guess_size": self.method != "sweep",
                "preconditioner": self.method in ("direct", "sweep", "nystrom-cg"),
                "max_iterations": self.method == "direct",
                "backend": self.method not in ("direct", "sweep", "auto")}
        for key, unused in idle.items():
            if unused and key in self.model_fields_set:
                raise ValueError(f"has the key {key!r}, which method = {self.method!r} does not use; it belongs to "
                                 f"{_SOLVER_KEYS[key]}.")
        return self

    def wishes(self) -> dict[str, Any]:
        """All keys with their values; without `max_iterations` where it was not written and a sweep has its own."""
        own = self.method == "sweep" and "max_iterations" not in self.model_fields_set
        return self.model_dump(exclude={"max_iterations"} if own else None)


class FailuresConfig(Section):
    """[failures]: how often a failed solve is tried again, and the share of failed solves that stops the run."""

    retries: int = Field(default=0, ge=0)
    max_failed_share: float = Field(default=0.5, ge=0.0, le=1.0)


class ClusterConfig(Section):
    """[cluster]: where the solves run; what a job queue needs, here or in [cluster.options], goes to `options`."""

    kind: str = "local"
    workers: int = Field(default=2, ge=1)
    threads: int = Field(default=1, ge=1)
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
        return {**rest, "options": options}

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in _CLUSTERS and not kind.startswith(_ADDRESSES):
            raise ValueError(f"no cluster is called {shown(kind)}{nearest(kind, [*_CLUSTERS, 'tcp://HOST:PORT'])}")
        return kind
