"""From a study to a certified reduced model: a heated plate of 2 x 2 blocks with uncertain conductivities.

    python examples/01_thermal_block.py

Builds the model, evaluates 10,000 parameters at once, and checks the bound against the truth at a new parameter.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import romflow


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "plate"},
        "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 40},
        "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "greedy", "pool": 200, "seed": 42},
        "reduction": {"tolerance": 1e-4, "max_size": 40},
        "validation": {"size": 20, "seed": 7},
        "cluster": {"kind": "serial"}})
    result = study.run(folder)
    rom = romflow.load(folder / "model.h5")

    mu = rom.parameters.sample(10_000, np.random.default_rng(0))
    started = perf_counter()
    answer = rom.solve(mu)
    seconds = perf_counter() - started
    print(f"{rom.n} unknowns became {rom.size}; 10,000 parameters in {seconds:.2f} s")
    print(f"mean temperature {answer.output[0].mean():.4f} +- {answer.output[0].std():.4f}, "
          f"each within {answer.output_error[0].max():.1e} ({answer.kind})")

    new = np.array([0.2, 0.9, 0.4, 0.7])
    truth = study.model.solve(new)
    one = rom.solve(new)
    gap = abs(truth.outputs[0] - one.output[0, 0])
    print(f"at {new}: the output is off by {gap:.1e}, its bound says {one.output_error[0, 0]:.1e}")
    validation = result.summary["validation"]
    return {"basis_size": rom.size, "max_relative_error": validation["max_relative_error"],
            "min_effectivity": validation["min_effectivity"], "output_gap": gap,
            "output_bound": one.output_error[0, 0]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
