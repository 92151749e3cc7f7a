"""A million unknowns of layered elasticity in space on two MPI ranks, by the same job that a study starts.

    python benchmarks/large_million.py [--quick] [--json FILE]

A beam of 176 x 44 x 44 boxes of six tetrahedra (1,069,200 unknowns), seven layers, contrast 1e3, relative residual
1e-8 (at contrast 1e4 the rounding of the solution to 64 bits alone leaves 1.3e-8). Wall-clock time of all, with
decomposition, files, assembly and set-up; largest sum of the resident memory of the ranks.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import psutil  # noqa: E402

import romflow  # noqa: E402
from romflow.fom.build import model_identity  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402
from romflow.tasks.serial import SerialExecutor  # noqa: E402

LAYERS = [1.0, 1e3, 1.0, 1e3, 1.0, 1e3, 1.0]


def study(n: int, ranks: int, **solver: Any) -> romflow.Study:
    """Layered elasticity with 4n, n, n boxes of tetrahedra."""
    return romflow.Study.from_dict({
        "study": {"name": "beam"},
        "model": {"kind": "linear-elasticity", "cells": [4 * n, n, n], "element": "tet"},
        "parameters": {"modulus": {"low": 1.0, "high": 1e4, "size": len(LAYERS)}},
        "sampling": {"method": "random", "size": 1},
        "solver": {"tolerance": 1e-8, **solver}, "cluster": {"ranks": ranks}})


class Memory:
    """Largest sum of the resident memory of this process's descendants, in GB, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total / 1e9)


def figures(quick: bool) -> dict[str, Figure]:
    """Measure and print."""
    beam = study(12 if quick else 44, ranks=2)
    with tempfile.TemporaryDirectory(prefix="romflow-") as name, Memory() as memory:
        folder = Path(name) / "store"
        SnapshotStore(folder, model_identity(beam.request, beam.model), beam.parameters.columns)
        started = time.monotonic()
        index = beam.model.decompose(folder)
        decomposed = time.monotonic() - started
        with SerialExecutor() as executor:
            record = executor.solve(beam.request, folder, beam.parameters.columns, [LAYERS], lambda _: None)[0]
        wall = time.monotonic() - started
        facts = SnapshotStore.open(folder).facts([LAYERS], "solver")[0] if record.status == "solved" else {}
    print(f"{index.n} unknowns, {index.parts} parts: {record.status} {record.message}")
    print(f"  decomposition {decomposed:.0f} s; all {wall:.0f} s wall, {record.seconds:.0f} s of processors")
    print(f"  {facts}")
    print(f"  peak memory {memory.peak:.1f} GB")
    if record.status != "solved":
        raise SystemExit(1)
    return {"million_wall_minutes": Figure(wall / 60.0, 15.0, False, "min"),
            "million_memory_gb": Figure(memory.peak, 16.0, False, "GB"),
            "million_residual": Figure(float(facts["relative_residual"]), 1e-8, False, ""),
            "million_iterations": Figure(float(facts["iterations"]), 40, False, "")}


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
