"""What an adaptive run asks of the whole mesh, as tasks: a full-order step, or the plastic strain along a history."""

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
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.reduction.mechanics.enrichment import FullStep
from romflow.reduction.mechanics.files import WorkFiles
from romflow.reduction.mechanics.runner import Tasks

__all__ = ["STEP_KERNELS", "FullSteps", "full_order_step", "replayed_plastic"]

_NAMES = ("displacement", "stress", "state")
_FOUND = ("modes", "sizes", "coefficients")


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


def replayed_plastic(fom: Any, store_folder: str | Path, part: int, folder: str, mu: Sequence[float],
                     times: Sequence[float], basis: str, coefficients: str, modes: str, tolerance: float,
                     out: str) -> dict[str, Any]:
    """Accumulated plastic strain that the law gives on the whole mesh along a reduced history: no system is solved.

    Modes are added, one after the other, for whatever is more than `tolerance` of a field outside of those there are;
    files: the new modes (G, j), the largest remainders (j,) and the coefficients (K + 1, n_p + j).

    Parameters
    ----------
    fom : model with `mechanics`
    store_folder, part
        Not read.
    folder, mu, basis, coefficients, out
        As for :func:`full_order_step`.
    times : (K + 1,)
    modes : str
        File with (G, n_p), orthonormal with the quadrature weights.
    tolerance : float
    """
    files = WorkFiles(folder)
    if all(files.has(f"{out}-{name}") for name in _FOUND):
        return {"made": np.array(0)}
    problem, V, M = fom.mechanics, files.read(basis), np.array(files.read(modes))
    w, rows, known = problem.space.weights, rows_of(problem.law, PLASTIC), M.shape[1]
    found, sizes = [], []
    way = replay(problem, np.array(mu, dtype=np.float64), np.array(times), (V @ q for q in files.read(coefficients)))
    for _, _, state in way:
        p = state[rows][0]
        z = M.T @ (w * p)
        left = p - M @ z
        left -= M @ (M.T @ (w * left))
        size = float(np.sqrt(w @ left**2))
        if size > tolerance * float(np.sqrt(w @ p**2)):
            M, z = np.column_stack([M, left / size]), np.append(z, size)
            sizes.append(size)
        found.append(z)
    padded = np.zeros((len(found), M.shape[1]))
    for k, z in enumerate(found):
        padded[k, :z.size] = z
    for name, values in zip(_FOUND, (M[:, known:], np.array(sizes), padded), strict=True):
        files.write(f"{out}-{name}", 0, values)
    return {"made": np.array(1)}


STEP_KERNELS: dict[str, Callable[..., dict[str, Any]]] = {
    "mechanics-step": full_order_step, "mechanics-plastic": replayed_plastic}


class FullSteps:
    """Asks for full-order steps and replays, each known by its content: the same one is never made twice.

    Parameters
    ----------
    tasks : callable
        tasks("mechanics-step", shared, [0]) runs :func:`full_order_step`, "mechanics-plastic" the other one.
    folder : path
        Of the work files.
    identity : JSON value
        What the model is.
    """

    def __init__(self, tasks: Tasks, folder: str | Path, identity: Any) -> None:
        self.tasks, self.folder, self.identity = tasks, Path(folder).absolute(), identity
        self.files = WorkFiles(self.folder)

    def take(self, mu: np.ndarray, times: np.ndarray, basis: np.ndarray, path: np.ndarray,
             start: str) -> tuple[FullStep, str]:
        """The step to times[-1] after the history basis @ path[j] at the times before; and the name of its state."""
        out = self._asked("mechanics-step", mu, times, basis, path, start=start)
        u, stress, state = (np.array(self.files.read(f"{out}-{name}")) for name in _NAMES)
        return FullStep(float(times[-1]), u, stress, state), f"{out}-state"

    def plastic(self, mu: np.ndarray, times: np.ndarray, basis: np.ndarray, path: np.ndarray, modes: np.ndarray,
                tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """New modes (G, j), their sizes (j,) and coefficients (K + 1, n_p + j) of :func:`replayed_plastic`."""
        out = self._asked("mechanics-plastic", mu, times, basis, path, modes=self.files.put(modes),
                          tolerance=float(tolerance))
        new, sizes, coefficients = (np.array(self.files.read(f"{out}-{name}")) for name in _FOUND)
        return new, sizes, coefficients

    def _asked(self, kernel: str, mu: np.ndarray, times: np.ndarray, basis: np.ndarray, path: np.ndarray,
               **more: Any) -> str:
        """Have the kernel's files made; their name."""
        told = {"mu": mu.tolist(), "times": times.tolist(), "basis": self.files.put(basis),
                "coefficients": self.files.put(path), **more}
        out = "s-" + fingerprint({"model": self.identity, "kernel": kernel, **told})[:32]
        self.tasks(kernel, {"folder": str(self.folder), "out": out, **told}, [0])
        return out
