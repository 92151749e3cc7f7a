"""Calibration: conductivities of a plate from 16 noisy thermometers, by least squares with the reduced model.

    python examples/07_calibration.py

The fit starts from the stored snapshot nearest to the data and takes the reduced model's exact derivatives. Beside its
error stand what the noise explains of it and what the reduced model adds, which is its shift from a full-order fit.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

import romflow
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.report import ReportData

NOISE = 1e-4


class Plate(ThermalBlock):
    """2 x 2 blocks of unknown conductivity, heated evenly and cold at the rim, with 4 x 4 thermometers."""

    def __init__(self, parameters: romflow.ParameterSpace | None = None, cells: int = 40) -> None:
        space = parameters or romflow.ParameterSpace([romflow.Parameter("k", Uniform(0.1, 1.0), size=4)])
        super().__init__(space, blocks=[2, 2], cells=cells)
        places = np.stack(np.meshgrid([0.2, 0.4, 0.6, 0.8], [0.2, 0.4, 0.6, 0.8]), axis=-1).reshape(-1, 2)
        points = self.mesh.points[self.mesh.dofs]
        nearest = np.linalg.norm(points[:, None, :2] - places, axis=2).argmin(axis=0)
        self.outputs = romflow.AffineOutputs([f"T{i}" for i in range(len(places))], romflow.Theta(["1"], space.columns),
                                             np.eye(self.n)[None, nearest])
        self.spec = {**self.spec, "thermometers": nearest.tolist()}


def fitted(data: np.ndarray, start: np.ndarray, outputs: Callable[[np.ndarray], np.ndarray],
           sensitivity: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The parameters (p,) whose outputs (o,) come closest to the data."""
    tight = dict.fromkeys(("ftol", "xtol", "gtol"), 1e-14)
    return least_squares(lambda mu: outputs(mu) - data, start, sensitivity, bounds=(0.1, 1.0), x_scale=start, **tight).x


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "plate"}, "model": {"kind": f"{Path(__file__).name}:Plate", "cells": 40},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "greedy", "pool": 200}, "reduction": {"tolerance": 1e-4, "max_size": 40},
        "validation": {"size": 5}, "cluster": {"kind": "serial"}}, base=Path(__file__).parent)
    rom, fom = study.run(folder).rom, study.model

    truth = np.array([0.25, 0.85, 0.55, 0.4])
    clean = fom.solve(truth).outputs
    data = clean + NOISE * np.random.default_rng(3).standard_normal(clean.size)

    taken = ReportData.from_folder(folder).snapshot_mu
    stored = romflow.SnapshotStore.open(folder / "store").outputs(taken)
    start = taken[np.linalg.norm(stored - data[:, None], axis=0).argmin()]
    found = fitted(data, start, lambda mu: rom.solve(mu[None]).output[:, 0],
                   lambda mu: rom.sensitivity(mu[None])[:, :, 0])
    full = fitted(data, start, lambda mu: fom.solve(mu).outputs, fom.sensitivity)

    J = rom.sensitivity(found[None])[:, :, 0]
    spread = NOISE * np.sqrt(np.diag(np.linalg.inv(J.T @ J)))
    bound = rom.solve(found[None]).output_error.max()
    print("            truth   start  fitted  error    noise explains  model adds")
    for i in range(len(truth)):
        print(f"  block {i}  {truth[i]:7.4f} {start[i]:7.4f} {found[i]:7.4f}  {abs(found[i] - truth[i]):.1e}  "
              f"+- {spread[i]:.1e}      {abs(found[i] - full[i]):.1e}")
    print(f"thermometers: noise {NOISE:.0e}, error bound of the reduced model {bound:.1e}")
    return {"start_error": np.abs(start - truth).max(), "error": np.abs(found - truth).max(),
            "error_in_spreads": np.abs((found - truth) / spread).max(),
            "model_error_in_spreads": np.abs((found - full) / spread).max(), "output_bound": bound}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
