"""Many related systems as one problem: a layered beam whose moduli jump by up to three decades.

    python examples/05_sweep.py

The same sixteen solves twice: each factorised anew, and as a sweep that keeps what the solves before have left.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

import romflow

STUDY = {
    "study": {"name": "layers"},
    "model": {"kind": "linear-elasticity", "cells": [24, 6, 6]},
    "parameters": {"modulus": {"distribution": "log-uniform", "low": 1.0, "high": 1000.0, "size": 4}},
    "sampling": {"method": "sobol", "size": 16},
    "reduction": {"method": "pod-galerkin", "tolerance": 1e-4},
    "cluster": {"kind": "serial"},
}


def timed(study: romflow.Study, folder: Path) -> tuple[romflow.ReducedModel, float, list[dict]]:
    """The reduced model, processor seconds, and how the systems were solved."""
    start = time.process_time()
    result = study.run(folder)
    return result.rom, time.process_time() - start, result.summary["offline"]["solver"]


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    anew, seconds_anew, _ = timed(romflow.Study.from_dict(STUDY), folder / "anew")
    sweep, seconds, ways = timed(romflow.Study.from_dict(
        STUDY | {"solver": {"method": "sweep", "tolerance": 1e-8}}), folder / "sweep")
    for way in ways:
        print(f"{way['solves']:3d} systems by {way['with']}: {way['seconds'] / way['solves']:.3f} s each, "
              f"{way['mean_iterations']:.1f} iterations, residual at most {way['max_residual']:.1e}")
    mu = np.array([[1.0, 10.0, 100.0, 1000.0], [5.0, 5.0, 5.0, 5.0]])
    outputs = anew.solve(mu).output, sweep.solve(mu).output
    gap = float(np.abs(outputs[1] / outputs[0] - 1.0).max())
    print(f"{seconds:.1f} s in place of {seconds_anew:.1f} s, reduction and report included; the outputs differ "
          f"by {gap:.1e}")
    return {"speedup": seconds_anew / seconds, "gap": gap, "max_residual": max(way["max_residual"] for way in ways),
            "systems": sum(way["solves"] for way in ways)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
