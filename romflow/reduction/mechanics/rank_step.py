"""Full-order steps of adaptive runs as MPI jobs: the kernel's arguments as those of the job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from romflow.reduction.mechanics.files import WorkFiles

__all__ = ["RANK_JOBS", "step_job"]


def step_job(shared: Mapping[str, Any]) -> dict[str, Any] | None:
    """The job (`romflow.fom.mechanics.ranks.job`) that makes the files of `full_order_step`; None where they are there.

    Parameters
    ----------
    shared : mapping
        Arguments of the kernel "mechanics-step".
    """
    files = WorkFiles(shared["folder"])
    if all(files.has(f"{shared['out']}-{name}") for name in ("displacement", "stress", "state")):
        return None
    return {"mode": "step", **shared, "folder": str(files.folder)}


#: Kernels that an MPI job does where a request has ranks; the kernel then finds its files.
RANK_JOBS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]] = {"mechanics-step": step_job}
