"""The full-order model of a study for a server: its solves go through the executor into the store of the run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.files import FolderLock, refused
from romflow.core.log import logging_to
from romflow.serving.batching import Batched
from romflow.serving.model import Served
from romflow.tasks.executor import make_executor, pinned_threads
from romflow.walk.full_order import FullOrder
from romflow.walk.progress import Progress
from romflow.walk.truth import Truth, store_folder
from romflow.walk.watcher import LOG, Silent

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["full_order_served"]

NAME = "full-order"


@contextlib.contextmanager
def full_order_served(study: Study, folder: Path) -> Iterator[Served]:
    """The full-order model under the name "full-order", while its workers and the lock of the run folder are held.

    Requests that come together are solved together; what is stored is not solved again.

    Parameters
    ----------
    study : Study
    folder : Path
        A run folder of this study, or a new one.

    Raises
    ------
    StoreError
        The folder belongs to another study, is in use, or cannot be written.
    NotSupported
        The model has no outputs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused("make the run folder", folder, error) from error
    config = study.config
    with FolderLock(folder), logging_to(folder / LOG), pinned_threads(config.cluster.threads):
        # A request whose solve fails is answered so, however many there are.
        progress = Progress(study.name, folder, Silent(), max_failed_share=1.0)
        truth = Truth(study.request, store_folder(study, folder), study.parameters.columns, progress, 0.0)
        with make_executor(config.cluster, retries=config.failures.retries) as executor:
            solver = FullOrder(truth, executor)
            with Batched(lambda mu: solver(mu).output) as batched:
                yield Served(NAME, study.parameters, solver.names, lambda mu: _values(batched(mu)),
                             _jacobian(truth.fom))


def _values(output: np.ndarray) -> list[np.ndarray]:
    return [output, np.zeros_like(output), np.zeros(1)]


def _jacobian(fom: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """Derivatives of one parameter at a time: factorisations and caches of a model belong to one thread."""
    sensitivity, lock = getattr(fom, "sensitivity", None), threading.Lock()
    if sensitivity is None:
        return None

    def jacobian(mu: np.ndarray) -> np.ndarray:
        with lock:
            return np.asarray(sensitivity(mu[0]))

    return jacobian
