"""What a reductor answers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from romflow.rom.model import ReducedModel
from romflow.store.snapshots import SnapshotStore


@runtime_checkable
class Reductor(Protocol):
    """Builds a reduced model from a full-order model and its stored snapshots.

    `reduce` is called with parameters whose snapshots are all in the store; a greedy calls it again with the same
    parameters and some more, so that an implementation may keep what it has built. Affine reductors answer
    ``mu`` of shape (0, p) too, with a model of size 0.
    """

    def accepts(self, fom: Any) -> str | None:
        """None where this method fits the model, else the reason why not and what to use."""
        ...

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> ReducedModel:
        """The reduced model from the snapshots at mu (k, p)."""
        ...
