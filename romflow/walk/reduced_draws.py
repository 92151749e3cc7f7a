"""Many draws of a reduced model by tasks: chunks of rows, answers kept in files, a fall-back to full-order steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from romflow.reduction.mechanics.runner import Tasks
from romflow.uq.evaluation import Evaluated

__all__ = ["CHUNK", "DrawTable", "ReducedDraws"]

#: Rows of a task, whatever the number of workers.
CHUNK = 64


@dataclass(frozen=True, eq=False)
class DrawTable:
    """What a reduced model answers at b draws.

    Attributes
    ----------
    mu : (b, p)
    output : (o, b)
        Not a number where the draw has no answer.
    output_error : (o, b) or None
    kind : "bound", "indicator" or None
    error : (b,)
        Relative, as the model estimates it; not a number where it does not.
    status : (b,) int
        0 the recommended model, 1 the second cluster, 2 enriched by full-order steps, 3 refused.
    chosen : (b,) int
        Number of the local model; 0 where there is only one.
    """

    mu: np.ndarray
    output: np.ndarray
    output_error: np.ndarray | None
    kind: str | None
    error: np.ndarray
    status: np.ndarray
    chosen: np.ndarray


class ReducedDraws:
    """A reduced model in a file as a function of its parameters, evaluated by tasks (an `Evaluate` of `romflow.uq`).

    Parameters
    ----------
    tasks : callable
        tasks(kernel, shared, parts), such as an executor's `parts` bound to a request and a store.
    model : path
        File of the reduced model, seen by the workers too.
    folder : path
        Where answers are kept.
    chunk : int
        Rows of a task; the same for any number of workers, so that answers are the same to the bit.
    offline : sequence of path
        Offline data of each local model of a dictionary of mechanics, for its full-order steps.
    full_order_steps : int
        Most of them for one draw that stays above the dictionary's tolerance; 0 refuses it.
    """

    def __init__(self, tasks: Tasks, model: str | Path, folder: str | Path, *, chunk: int = CHUNK,
                 offline: Sequence[str | Path] = (), full_order_steps: int = 0) -> None:
        raise NotImplementedError

    def __call__(self, mu: np.ndarray) -> Evaluated:
        """Outputs (o, b) at mu (b, p); what was asked before comes from its file."""
        raise NotImplementedError

    def table(self, mu: np.ndarray) -> DrawTable:
        """All that is known at the draws mu (b, p)."""
        raise NotImplementedError

    def shares(self, mu: np.ndarray) -> dict[str, float]:
        """Shares of the draws mu (b, p) by status: "recommended", "second", "enriched", "refused"."""
        raise NotImplementedError
