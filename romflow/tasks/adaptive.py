"""Adaptive runs of mechanics as tasks: one run whose full-order steps are tasks, or many runs that are tasks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ShapeError
from romflow.reduction.mechanics.adaptivity import AdaptiveResult, AdaptiveSettings, adaptive_run
from romflow.reduction.mechanics.offline import OfflineData
from romflow.reduction.mechanics.runner import Tasks
from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["AdaptiveResult", "AdaptiveSettings", "Tasks", "run_adaptive", "run_many_adaptive"]

def run_adaptive(tasks: Tasks, fom: Any, rom: MechanicsReducedModel, offline: OfflineData, mu: ArrayLike,
                 settings: AdaptiveSettings, folder: str | Path, times: ArrayLike | None = None) -> AdaptiveResult:
    """One parameter: the reduced run stays here, and each full-order step is a task that leaves files in `folder`.

    Killed anywhere it goes on, with the same arguments, to the same result. See
    :func:`romflow.reduction.mechanics.adaptivity.adaptive_run`.

    Parameters
    ----------
    tasks : callable
        tasks(kernel, shared, parts), such as an executor's `parts` bound to a request and a store.
    mu : (p,)
    folder : path
        Seen by the workers too.
    """
    return adaptive_run(tasks, fom, rom, offline, np.asarray(mu, dtype=np.float64), settings, folder,
                        None if times is None else np.asarray(times, dtype=np.float64))


def run_many_adaptive(tasks: Tasks, model: str | Path, offline: str | Path, mu: ArrayLike, settings: AdaptiveSettings,
                      folder: str | Path, times: ArrayLike | None = None) -> list[dict[str, NDArray[Any]]]:
    """Many parameters, each an independent task that begins with the same model: the order of tasks changes nothing.

    Parameters
    ----------
    tasks : callable
        As for :func:`run_adaptive`.
    model, offline : path
        Files of the reduced model and of its offline data, seen by the workers too.
    mu : (k, p)
    folder : path
        Gets a folder for each run.

    Returns
    -------
    list of dict
        See :func:`romflow.reduction.mechanics.adaptivity.answer_arrays`; "full_order_steps" too.

    Raises
    ------
    ShapeError
        mu is no table.
    """
    rows = np.asarray(mu, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"mu has shape {rows.shape}; adaptive runs need (k, p), one row a parameter")
    shared: dict[str, Any] = {"folder": str(Path(folder).absolute()), "mu": rows.tolist(),
                              "model": str(Path(model).absolute()), "offline": str(Path(offline).absolute()),
                              "settings": asdict(settings)}
    if times is not None:
        shared["times"] = np.asarray(times, dtype=np.float64).tolist()
    return tasks("mechanics-adaptive", shared, range(len(rows)))
