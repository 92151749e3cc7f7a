"""Stored trajectories of the small plate, as a full-order model would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.fom.mechanics.problem import MechanicsProblem, Output
from romflow.reduction.mechanics.kernels import KERNELS
from romflow.store.snapshots import SnapshotStore
from tests.toy_reduced_mechanics import SPACE, History


class StoredPlate:
    """What a reduction needs of a full-order model: its problem, times and inner product; it solves nothing."""

    march = None

    def __init__(self, problem: MechanicsProblem, times: np.ndarray) -> None:
        self.mechanics, self.times, self.parameters = problem, times, SPACE
        self.inner_product, self.norm, self.mesh = problem.space.mass(2), "L2", problem.space.mesh
        self.n, self.spec = problem.n, {"kind": "toy-plate"}


def stored(known: History, folder: Path, rows: np.ndarray,
           outputs: Sequence[Output] = ()) -> tuple[StoredPlate, SnapshotStore]:
    """A model and its store with the same trajectory at each of the parameters (k, 2)."""
    store = SnapshotStore(folder, {"kind": "toy-plate"}, SPACE.columns)
    for row in rows:
        writer = store.writer(row)
        half = len(known.times) // 2
        writer.append(0, known.times[:half], known.u[:, :half])
        writer.append(half, known.times[half:], known.u[:, half:])
        writer.finish()
    return StoredPlate(replace(known.problem, outputs=tuple(outputs)), known.times), store


def elsewhere(fom: Any, store: SnapshotStore, seen: list[str] | None = None,
              stop: str = "") -> Callable[..., list[dict[str, np.ndarray]]]:
    """Kernels as tasks of other processes take them: through JSON, last part first; one may be refused."""
    def tasks(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        if kernel == stop:
            raise KeyboardInterrupt
        told = json.loads(json.dumps(shared))
        answers = {part: KERNELS[kernel](fom, str(store.folder), part, **told) for part in reversed(list(parts))}
        if seen is not None:
            seen.extend(f"{kernel} {int(answers[part].get('made', 1))}" for part in parts)
        return [answers[part] for part in parts]
    return tasks
