"""A study that a batch system runs: `romflow run STUDY --submit`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from romflow.core.files import FolderLock, refused, write_atomic, write_json
from romflow.walk.watcher import STATUS

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["JOB", "submit_run"]

#: The file in the run folder that names the job.
JOB = "submit.job"


def submit_run(study: Study, file: Path, folder: Path) -> str:
    """Write the batch script into the run folder and submit it; what to tell the user.

    Parameters
    ----------
    study : Study
    file, folder : Path
        Absolute: the study file and the run folder.

    Raises
    ------
    ConfigError
        The study names no batch system.
    StoreError
        A run is at work in the folder, or it cannot be written.
    RomflowError
        The batch system refuses the job.
    """
    from romflow.tasks.clusters.batch import Batch, check_kind, submit

    cluster = study.config.cluster
    check_kind(cluster)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused("make the run folder", folder, error) from error
    with FolderLock(folder):  # no run is at work here
        batch = Batch(study.name, file, folder, Path.cwd())
        write_json(folder / STATUS, {"state": "submitted", "study": study.name, "reason": f"by {batch.script}",
                                     "updated": datetime.now(UTC).isoformat(timespec="seconds")})
    number = submit(cluster, batch)
    write_atomic(folder / JOB, f"{number} ({cluster.kind})\n".encode())
    return f"Submitted job {number} with {batch.script}. Watch it: romflow status {folder}"
