"""Stored trajectories of the small plate, as a full-order model would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.fom.mechanics.problem import MechanicsProblem, Output
from romflow.materials.reference import REFERENCE
from romflow.reduction.mechanics.kernels import KERNELS
from romflow.store.snapshots import SnapshotStore
from romflow.study import Study
from tests.toy_reduced_mechanics import SPACE, History

#: A study of a small plate, which a parameter pulls.
STUDY: dict[str, Any] = {
    "study": {"name": "small-plate"},
    "model": {"kind": "mechanics", "mesh": {"shape": "plate-with-hole", "cells": [4, 6]}, "law": REFERENCE,
              "temperature": "20 + 400 * abs(a) * exp(-((x - 1)**2 + y**2) / 2.25)",
              "amplitudes": [{"name": "a", "times": [0, 30, 80, 100], "values": [0, 1, -0.3, 0]}],
              "supports": [{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}],
              "loads": [{"type": "traction", "on": "y = max", "value": [0, 1], "amplitude": "pull * a"}],
              "outputs": [{"name": "most", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"},
                          {"name": "mises", "type": "field", "field": "mises", "measure": "max"}]},
    "parameters": {"pull": {"low": 95.0, "high": 120.0}},
    "time": {"end": 100.0, "steps": 10},
    "sampling": {"method": "grid", "per_axis": 4},
    "reduction": {"method": "empirical-cubature", "tolerance": 1e-2}}


def marched(study: dict[str, Any], folder: Path, rows: np.ndarray) -> tuple[Any, SnapshotStore]:
    """The full-order model of a study, and a store with its trajectories at the parameters (k, p)."""
    fom = Study.from_dict(study).model
    store = SnapshotStore(folder, {"kind": "toy"}, fom.parameters.columns)
    for row in rows:
        writer = store.writer(row)
        for piece in fom.march(row):
            writer.append(piece.start, piece.times, piece.states)
        writer.finish()
    return fom, store


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
