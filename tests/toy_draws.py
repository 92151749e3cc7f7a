"""A small dictionary of mechanics whose two local models were each trained at one place of a hot spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.model import Mechanics, QuasiStatic
from romflow.materials.reference import REFERENCE
from romflow.parameters.space import ParameterSpace
from romflow.reduction.dictionary.task_table import TASKS
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.model import RomDictionary
from romflow.store.snapshots import SnapshotStore
from tests.toy_dictionary import recommender

SPACE = ParameterSpace.from_spec([{"name": "cx", "distribution": "uniform", "low": 0.0, "high": 12.0}])
#: Places of the hot spot at which the local models were trained.
TRAINED = np.array([[1.0], [2.0]])
TOLERANCE = 0.2


def plate() -> QuasiStatic:
    """A quarter plate with a hole, pulled once, in eight steps."""
    return Mechanics(
        SPACE, REFERENCE, mesh={"shape": "plate-with-hole", "cells": [4, 6]}, element="quad4-bbar",
        supports=[{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}],
        loads=[{"type": "traction", "on": "y = max", "value": [0, 110.0], "amplitude": "a"}],
        temperature="20 + 500 * abs(a) * exp(-((x - cx)**2 + y**2) / 2.25)",
        amplitudes=[{"name": "a", "times": [0, 60, 100], "values": [0, 1, 0.5]}],
        outputs=[{"name": "p", "type": "field", "field": "accumulated_plastic_strain",
                  "measure": "mean"}]).evolving(TimeGrid(100.0, 8))


def trained(folder: Path) -> tuple[QuasiStatic, RomDictionary]:
    """The full-order model, and the dictionary with its files in a folder: model.h5, offline_0.h5, offline_1.h5."""
    fom, models = plate(), []
    store = SnapshotStore(folder / "store", fom.spec, SPACE.columns)
    for number, mu in enumerate(TRAINED):
        writer = store.writer(mu)
        for piece in fom.march(mu):
            writer.append(piece.start, piece.times, piece.states)
        writer.finish()
        method = EmpiricalCubature(1e-3, cubature_tolerance=1e-3)
        models.append(method.reduce(fom, store, mu[None]))
        assert method.offline is not None
        method.offline.save(folder / f"offline_{number}.h5")
    near = recommender(TRAINED, threshold=1.5, slope=20.0, limit=1.0)
    rom = RomDictionary(tuple(models), near, InputField.parameters(1), TOLERANCE)
    rom.save(folder / "model.h5")
    return fom, rom


def here(fom: Any, seen: list[str], refuse: int | None = None) -> Callable[..., list[dict[str, Any]]]:
    """Kernels in this process, last part first; what begins is noted, and after so many parts a worker dies."""
    def tasks(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, Any]]:
        found = {}
        for part in reversed(list(parts)):
            if refuse is not None and len(seen) >= refuse:
                raise KeyboardInterrupt
            seen.append(f"{kernel} {part}")
            found[part] = TASKS[kernel](fom, "", part, **shared)
        return [found[part] for part in parts]
    return tasks
