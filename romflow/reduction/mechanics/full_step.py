"""One full-order step from a state of a reduced run, as a task: its inputs and its result are files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.core.fingerprint import fingerprint
from romflow.fom.mechanics.problem import Point
from romflow.fom.mechanics.replay import replay
from romflow.reduction.mechanics.enrichment import FullStep
from romflow.reduction.mechanics.files import WorkFiles

__all__ = ["FullSteps", "full_order_step"]

_NAMES = ("displacement", "stress", "state")


def full_order_step(fom: Any, store_folder: str | Path, part: int, folder: str, mu: Sequence[float],
                    times: Sequence[float], basis: str, coefficients: str, start: str, out: str) -> dict[str, Any]:
    """The law is replayed on the whole mesh along a reduced history, and one full-order step goes on from its end.

    Displacements, stress and state at the end stay in files of `folder`; what is there already is not made again.

    Parameters
    ----------
    fom : model with `mechanics` and `step_from`
    store_folder, part
        Not read.
    folder : str
        Of the work files.
    mu : (p,)
    times : (k + 1,)
        Those of the history, and the one to step to.
    basis, coefficients : str
        Files with (n, r + L) and (k, r + L): displacements basis @ c.
    start : str
        File with the state at the first time; "" for the virgin material.
    out : str
        What the results' files are called.

    Raises
    ------
    NotSupported
        The model cannot step from a given state.
    SolveFailed
        The law or the step does not converge.
    """
    files = WorkFiles(folder)
    if all(files.has(f"{out}-{name}") for name in _NAMES):
        return {"made": np.array(0)}
    if not hasattr(fom, "step_from"):
        raise NotSupported(f"{type(fom).__name__} cannot take a step from a given state, which an adaptive run needs; "
                           "use kind = \"mechanics\" with the same mesh and law")
    problem, row, V = fom.mechanics, np.array(mu, dtype=np.float64), files.read(basis)
    path = np.asarray(files.read(coefficients))
    if start:
        state = np.array(files.read(start))
    else:
        state = problem.virgin(float(times[0])).state
    if len(path) > 1:
        way = replay(problem, row, np.array(times[:-1]), (V @ q for q in path), state)
        _, _, state = deque(way, maxlen=1).pop()
    found, _ = fom.step_from(Point(float(times[-2]), V @ path[-1], state), float(times[-1]), row)
    for name in _NAMES:
        files.write(f"{out}-{name}", 0, np.asarray(getattr(found, name)))
    return {"made": np.array(1)}


class FullSteps:
    """Asks for full-order steps, each known by its content: the same step is never taken twice.

    Parameters
    ----------
    tasks : callable
        tasks("mechanics-step", shared, [0]) runs :func:`full_order_step`.
    folder : path
        Of the work files.
    identity : JSON value
        What the model is.
    """

    def __init__(self, tasks: Callable[..., Any], folder: str | Path, identity: Any) -> None:
        self.tasks, self.folder, self.identity = tasks, Path(folder).absolute(), identity
        self.files = WorkFiles(self.folder)

    def take(self, mu: np.ndarray, times: np.ndarray, basis: np.ndarray, path: np.ndarray,
             start: str) -> tuple[FullStep, str]:
        """The step to times[-1] after the history basis @ path[j] at the times before; and the name of its state."""
        told = {"folder": str(self.folder), "mu": mu.tolist(), "times": times.tolist(),
                "basis": self.files.put(basis), "coefficients": self.files.put(path), "start": start}
        known = {name: value for name, value in told.items() if name != "folder"}
        out = "s-" + fingerprint({"model": self.identity, **known})[:32]
        self.tasks("mechanics-step", told | {"out": out}, [0])
        u, stress, state = (np.array(self.files.read(f"{out}-{name}")) for name in _NAMES)
        return FullStep(float(times[-1]), u, stress, state), f"{out}-state"
