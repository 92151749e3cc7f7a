"""A local basis for each time window: smaller systems where a front is somewhere else at each time.

    python examples/10_time_windows.py

The windows are placed where the sum of what the local bases leave out is least. Both models have 8 vectors at a time.
"""

import tempfile
from pathlib import Path

import romflow

STUDY = {
    "study": {"name": "windows"},
    "model": {"kind": "burgers", "cells": [40, 20]},
    "time": {"end": 0.3, "steps": 40, "scheme": "explicit-euler"},
    "parameters": {"exponent": {"low": 1.0, "high": 2.0}},
    "sampling": {"method": "grid", "per_axis": 6},
    "validation": {"size": 4},
    "cluster": {"kind": "serial"},
}
COMMON = {"method": "hyper-reduction", "tolerance": 1e-4, "points": 60}


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    found = {}
    for name, options in {"one basis": {"max_size": 8},
                          "windows": {"max_size": 30, "windows": 6, "window_size": 8}}.items():
        study = romflow.Study.from_dict(STUDY | {"reduction": COMMON | options})
        result = study.run(folder / name.replace(" ", "-"))
        errors, each = result.summary["validation"], result.summary["online"]["seconds_per_evaluation"]
        windows = result.rom.metadata.get("windows", {})
        print(f"{name:9s} largest relative error {errors['max_relative_error']:.1e}, {1e3 * each:.2f} ms an evaluation"
              + (f"; windows end at t = {', '.join(f'{t:.3g}' for t in windows['times'])}" if windows else ""))
        found[name] = errors["max_relative_error"]
    return {"one_basis": found["one basis"], "windows": found["windows"]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
