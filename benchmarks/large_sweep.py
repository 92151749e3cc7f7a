"""A sweep on MPI ranks through Dask, reduced and certified by parts; and the same study on 1, 2 and 4 ranks.

    python benchmarks/large_sweep.py [--quick] [--json FILE]

sweep   10 parameters of layered elasticity in space (313,200 unknowns, each of the seven layers with a modulus of its
        own between 1 and 10, logarithmically), one MPI job of 2 ranks as a Dask task, POD and Galerkin projection by
        parts with the residual bound. Processor seconds of the second to tenth solve over those of the first.
ranks   a smaller beam, four parameters: states, singular values and outputs on 1, 2 and 4 ranks, the largest relative
        difference.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

import romflow  # noqa: E402
from romflow.fom.build import model_identity  # noqa: E402
from romflow.reduction.distributed.modes import pod_by_parts  # noqa: E402
from romflow.reduction.distributed.runner import PartRunner  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402
from romflow.tasks.serial import SerialExecutor  # noqa: E402


def study(n: int, size: int, ranks: int, *, tolerance: float, contrast: float = 1e4, vectors: int = 3) -> romflow.Study:
    """Layered elasticity with 4n, n, n boxes of tetrahedra, `size` snapshots by POD."""
    return romflow.Study.from_dict({
        "study": {"name": "beam"},
        "model": {"kind": "linear-elasticity", "cells": [4 * n, n, n], "element": "tet"},
        "parameters": {"modulus": {"distribution": "log-uniform", "low": 1.0, "high": contrast, "size": 7}},
        "sampling": {"method": "sobol", "size": size, "seed": 1},
        "reduction": {"method": "pod-galerkin", "tolerance": 1e-6, "max_size": vectors, "certified": True},
        "solver": {"tolerance": tolerance}, "cluster": {"ranks": ranks}})


def sweep(quick: bool) -> dict[str, Figure]:
    """Cost of the later solves beside the first, and what the reduction by parts gives."""
    beam = study(5 if quick else 29, 10, 2, tolerance=1e-8, contrast=10.0, vectors=1 if quick else 2)
    with tempfile.TemporaryDirectory(prefix="romflow-") as name:
        started = time.monotonic()
        result = beam.run(Path(name) / "run")
        wall = time.monotonic() - started
        store = SnapshotStore.open(Path(name) / "run" / "store")
        mu = beam.sampler().ask()
        facts = store.facts(mu, "solver")
        seconds = np.array(store.seconds(mu))
        states = store.n
    first = int(np.argmax([fact["why"] == "first set-up" for fact in facts]))
    others = np.delete(seconds, first)
    print(f"{states} unknowns, 10 parameters on 2 ranks: {wall:.0f} s wall for the study")
    for second, fact in zip(seconds, facts, strict=True):
        print(f"  {second:7.1f} s  {fact['iterations']:4} iterations  {'set-up' if fact['rebuilt'] else 'kept':7} "
              f"{fact['why']}")
    rom = result.rom
    answer = rom.solve(rom.parameters.sample(100, np.random.default_rng(0)))
    print(f"  {rom.size} vectors, {answer.kind}; median relative estimate on 100 parameters "
          f"{np.median(answer.error / answer.norm):.1e}")
    return {"repeat_solve_cost_ratio": Figure(float(others.mean() / seconds[first]), 0.5, False, "x",
                                              "second to tenth solve over the first, mean")}


def invariance(quick: bool) -> dict[str, Figure]:
    """Largest relative difference between 1, 2 and 4 ranks."""
    found = [split(4 if quick else 10, ranks) for ranks in (1, 2, 4)]
    worst = 0.0
    for what, one, two, four in zip(("states", "singular values", "outputs"), *found, strict=True):
        gap = max(float(np.max(np.abs(other - one)) / np.max(np.abs(one))) for other in (two, four))
        print(f"  {what:16} differ by {gap:.1e}")
        worst = max(worst, gap)
    return {"rank_invariance": Figure(worst, 1e-10, False, "")}


def split(n: int, ranks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States (n, 4), singular values and outputs (o, 4) of four parameters that so many ranks solved."""
    beam = study(n, 4, ranks, tolerance=1e-10)
    mu = beam.sampler().ask()
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder, SerialExecutor() as executor:
        store = SnapshotStore(folder, model_identity(beam.request, beam.model), beam.parameters.columns)
        runner = PartRunner.prepared(executor, beam.request, folder)
        records = executor.solve(beam.request, folder, beam.parameters.columns, mu, lambda _: None)
        if any(record.status != "solved" for record in records):
            raise SystemExit(f"{ranks} ranks: {records[0].message}")
        pod = pod_by_parts(runner, mu, 1e-10).pod
        return store.matrix(mu), pod.singular_values, np.asarray(store.outputs(mu))


def figures(quick: bool) -> dict[str, Figure]:
    """Measure and print."""
    return sweep(quick) | invariance(quick)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
