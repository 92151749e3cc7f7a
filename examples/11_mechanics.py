"""From one cycle of a plate with a hole to four: a viscoplastic law at some thirty points in place of all.

    python examples/11_mechanics.py

The full-order model runs the first cycle, the reduced one all four; the full-order model then tells how far off it is.
"""

import tempfile
from pathlib import Path

import numpy as np

import romflow

STUDY = {
    "study": {"name": "cycles"},
    "model": {
        "kind": "mechanics", "mesh": {"shape": "plate-with-hole", "cells": [8, 10]},
        "temperature": "20 + 500 * abs(a) * exp(-((x - 1)**2 + y**2) / 2.25)",
        "law": {"kind": "viscoplastic", "young": "200e3 * (1 - 0.3 * (T - 20) / 1000)", "poisson": 0.3,
                "expansion": 1.2e-5, "reference_temperature": 20, "viscosity": 150, "exponent": 6,
                "isotropic": "200 * (1 - 0.5 * (T - 20) / 1000) + 80 * (1 - exp(-10 * p))",
                "kinematic": [{"modulus": 60e3, "recovery": 300}], "temperature_range": [0, 1000]},
        "amplitudes": {"a": {"times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100}},
        "supports": [{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}],
        "loads": [{"type": "traction", "on": "y = max", "value": [0, 1], "amplitude": "pull * a"}],
        "outputs": [{"name": "largest", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"}]},
    "parameters": {"pull": {"low": 100.0, "high": 120.0}},
    "time": {"end": 400.0, "steps": 40, "train_until": 100.0},
    "sampling": {"method": "grid", "per_axis": 1},
    "reduction": {"method": "empirical-cubature", "tolerance": 1e-3, "dual_tolerance": 1e-4},
    "validation": {"size": 1},
    "cluster": {"kind": "serial"},
}


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict(STUDY)
    result = study.run(folder)
    rom = romflow.load(folder / "model.h5")
    found = result.summary["validation"]
    points = len(study.model.mechanics.space.weights)
    print(f"{rom.n} unknowns became {rom.size}, and {points} points of the law {len(rom.points)}")
    print(f"plastic strain after four cycles, at a new load: error {found['max_relative_error']:.1e}, "
          f"indicated {found['max_error_estimate']:.1e}")

    loads = rom.parameters.sample(20, np.random.default_rng(0))
    answer = rom.solve(loads)                                     # 20 loads, four cycles each
    largest = answer.series[0, ::10]                              # (cycle, load)
    print("largest plastic strain of 20 loads, cycle by cycle: "
          + ", ".join(f"{x.mean():.4f} +- {x.std():.4f}" for x in largest[1:]))
    field = rom.field(answer, "accumulated_plastic_strain")       # (1, point, load), at the last time, everywhere
    print(f"plastic in {np.mean(field[0].mean(axis=1) > 1e-4):.0%} of the body")
    return {"size": rom.size, "points": len(rom.points), "all_points": points,
            "max_relative_error": found["max_relative_error"], "indicated": found["max_error_estimate"],
            "growth": largest[4].mean() / largest[1].mean()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
