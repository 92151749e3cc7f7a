"""Outputs of the full-order model at any parameters: solved through the executor, kept in the store."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.fom.protocol import output_names
from romflow.outcome.validation import BLOCK, true_outputs
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.executor import Executor
from romflow.uq.evaluation import Evaluated
from romflow.walk.truth import Truth

__all__ = ["FullOrder"]


class FullOrder:
    """A full-order model as a function of parameters; no parameter is ever solved twice.

    Parameters
    ----------
    truth : Truth
    executor : Executor

    Attributes
    ----------
    names : tuple of str
        Of its outputs.
    solves : int
        Parameters asked for so far that have an answer.
    failed : int
        Those that have none.

    Raises
    ------
    NotSupported
        The model has no outputs.
    """

    def __init__(self, truth: Truth, executor: Executor) -> None:
        self.truth, self.names = truth, output_names(truth.fom)
        if not self.names:
            raise NotSupported("this model has no outputs, of which [uq] and servers speak; give it outputs")
        self._executor = executor
        self.solves = self.failed = 0

    def __call__(self, mu: np.ndarray) -> Evaluated:
        """Outputs (o, k) at mu (k, p); a column of NaN where the solve failed.

        Raises
        ------
        ParameterError
            A parameter is outside the range of the model.
        SolveFailed
            More solves failed than the study allows.
        """
        mu = self.truth.fom.parameters.validate(mu)
        rows, places = np.unique(mu, axis=0, return_inverse=True)
        failed = self.truth.solve_missing(rows, self._executor)
        values = np.full((len(self.names), len(rows)), np.nan)
        values[:, ~failed] = self._stored(rows[~failed])
        self.solves += int(np.count_nonzero(~failed))
        self.failed += int(np.count_nonzero(failed))
        output = values[:, places.ravel()]
        return Evaluated(output, np.zeros_like(output), "bound")

    def seconds(self, mu: np.ndarray) -> float | None:
        """Median processor seconds of the solves at mu (k, p), None where they are not known."""
        store = self.truth.store
        known = np.asarray(store.seconds(np.delete(mu, store.missing(mu), axis=0)))
        known = known[np.isfinite(known)]
        return float(np.median(known)) if known.size else None

    def _stored(self, mu: np.ndarray) -> np.ndarray:
        parts = [_outputs(self.truth.fom, self.truth.store, mu[start:start + BLOCK])
                 for start in range(0, len(mu), BLOCK)]
        return np.hstack(parts) if parts else np.empty((len(self.names), 0))


def _outputs(fom: Any, store: SnapshotStore, mu: np.ndarray) -> np.ndarray:
    """Outputs (o, k) of stored snapshots: what the solver gave itself, else the model's functionals of the states."""
    given = store.outputs(mu)
    found = true_outputs(fom, store, store.matrix(mu), mu) if given is None else given
    if found is None:
        raise NotSupported("the snapshots of this model have no outputs; give the model outputs")
    return found
