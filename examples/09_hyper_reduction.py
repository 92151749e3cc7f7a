"""A nonlinear model in time whose reduced model looks at few cells: Burgers' equation with fronts that move.

    python examples/09_hyper_reduction.py

The nonlinear term counts the cells at which it is evaluated, those for the error indicator included.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

import romflow

STUDY = {
    "study": {"name": "fronts"},
    "model": {"kind": "burgers", "cells": [60, 30]},
    "time": {"end": 0.3, "steps": 50, "scheme": "explicit-euler"},
    "parameters": {"exponent": {"low": 1.0, "high": 2.0}},
    "sampling": {"method": "grid", "per_axis": 8},
    "reduction": {"method": "hyper-reduction", "tolerance": 1e-4, "max_size": 20, "points": 60},
    "validation": {"size": 5},
    "cluster": {"kind": "serial"},
}


def seconds(work) -> float:
    """Least processor seconds of three calls."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict(STUDY)
    result = study.run(folder)
    rom, fom, errors = result.rom, study.model, result.summary["validation"]
    mu = study.parameters.sample(100, np.random.default_rng(0))

    before = rom.nonlinear.evaluated
    rom.solve(mu[:1])
    looked = (rom.nonlinear.evaluated - before) / STUDY["time"]["steps"]
    full, batch = seconds(lambda: fom.solve(mu[0])), seconds(lambda: rom.solve(mu)) / len(mu)
    print(f"{rom.size} vectors for {rom.n} unknowns; {looked:.0f} of {fom.nonlinear.P} cells a step")
    print(f"largest relative error {errors['max_relative_error']:.1e} on new parameters, indicator "
          f"{errors['max_error_estimate']:.1e}")
    print(f"{1e3 * full:.1f} ms a trajectory in full, {1e3 * batch:.2f} ms in a batch of {len(mu)}")
    return {"cells_looked_at": looked, "cells": fom.nonlinear.P, "max_relative_error": errors["max_relative_error"],
            "min_effectivity": errors["min_effectivity"], "speedup": full / batch}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
