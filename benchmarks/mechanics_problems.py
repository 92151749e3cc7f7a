"""The problems of the mechanics benchmarks."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.model import Mechanics, QuasiStatic
from romflow.materials.protocol import rows_of
from romflow.materials.reference import REFERENCE
from romflow.materials.tensors import mises
from romflow.parameters.space import ParameterSpace
from romflow.study import Study

PLASTIC = "accumulated_plastic_strain"
CYCLE = {"name": "a", "times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100}
SPOTS = ParameterSpace.from_spec([{"name": name, "distribution": "uniform", "low": 0.0, "high": 3.0}
                                  for name in ("spot_x", "spot_y")])
PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"


def plate(cells: tuple[int, int], cycles: int = 1, steps: int = 40) -> QuasiStatic:
    """Quarter plate with a hole under cyclic tension, heated around a spot that is the parameter."""
    model = Mechanics(
        SPOTS, REFERENCE, mesh={"shape": "plate-with-hole", "cells": list(cells)}, element="quad4-bbar",
        supports=[{"on": "left", "symmetric": True}, {"on": "bottom", "symmetric": True}],
        loads=[{"type": "traction", "on": "top", "value": [0, 110], "amplitude": "a"}],
        temperature="20 + abs(a) * 500 * exp(-((x - spot_x)**2 + (y - spot_y)**2) / 1.5**2)", amplitudes=[CYCLE])
    return model.evolving(TimeGrid(100.0 * cycles, steps * cycles))


def blade(size: float, cycles: int, steps: int, element: str = "tet10") -> tuple[QuasiStatic, np.ndarray]:
    """The blade of the pipeline with edges of this size over some cycles, and the centre of its parameters (p,)."""
    content = tomllib.loads((PIPELINES / "blade.toml").read_text(encoding="utf-8"))
    content["model"]["mesh"]["size"] = size
    content["model"]["element"] = element
    content["time"] = {"end": 100.0 * cycles, "steps": steps * cycles}
    study = Study.from_dict(content, PIPELINES)
    return study.model, study.parameters.centre()


class History:
    """A full-order run kept in memory: displacements (n, K + 1), p and von Mises stress (G, K + 1), seconds a step."""

    def __init__(self, fom: QuasiStatic, mu: np.ndarray, clock: Any) -> None:
        law, point = fom.mechanics.law, fom.mechanics.virgin(float(fom.times[0]))
        plastic = rows_of(law, PLASTIC)
        fields = [(point.displacement, point.state[plastic][0], np.zeros(point.state.shape[1]))]
        seconds = []
        equilibrium = fom._equilibrium()
        for t in fom.times[1:].tolist():
            begun = clock()
            point, _ = equilibrium.step(point, t, mu)
            seconds.append(clock() - begun)
            fields.append((point.displacement, point.state[plastic][0], mises(point.stress)))
        self.u, self.p, self.mises = (np.stack(values, axis=1) for values in zip(*fields, strict=True))
        self.seconds = np.array(seconds)

    def store(self, fom: QuasiStatic, store: Any, mu: np.ndarray) -> None:
        """Put the first times of the run, those of `fom`, into a store."""
        writer = store.writer(mu)
        writer.append(0, fom.times, self.u[:, :len(fom.times)])
        writer.finish()


def say(text: str) -> None:
    """A line at once."""
    print(text)
    sys.stdout.flush()
