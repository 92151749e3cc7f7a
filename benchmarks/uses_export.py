"""Reduced models as ONNX files: how far their answers are from the model's, and how long a large batch takes.

    python benchmarks/uses_export.py [--quick] [--json FILE]

onnx_difference is the largest difference of outputs (by the largest output), their bounds (likewise) and the bound (by
the largest norm of a state) at 1000 random parameters, the files run by onnxruntime in a process that cannot import
romflow: thermal block with 20 vectors and its bound, a non-affine model interpolated by its terms, a heat equation,
regression. onnx_batch_ratio is the time of 10,000 parameters in onnxruntime by that of `rom.solve`, for the thermal
block with 20 vectors and its bound, one thread each. A Gaussian process's weights amplify the last digit of the
exponential function: onnx_gaussian_process_difference stands apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
from uses_models import reduced  # noqa: E402

from romflow.export.onnx.exporter import Onnx  # noqa: E402

FULL, QUICK = {"cells": 60, "repeats": 15}, {"cells": 12, "repeats": 5}
BATCH, SIZE = 10_000, 1000


def thermal(cells: int, blocks: int, **changes: Any) -> dict[str, Any]:
    """The study of a thermal block, with other tables in the place of some."""
    return {"study": {"name": "thermal-block"}, "model": {"kind": "thermal-block", "blocks": [blocks, blocks],
                                                          "cells": cells},
            "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": blocks**2}},
            "sampling": {"method": "greedy", "pool": 40, "seed": 42},
            "reduction": {"tolerance": 0.0, "max_size": 20},
            "validation": {"size": 0}, "cluster": {"kind": "serial"}} | changes


def studies(cells: int) -> dict[str, dict[str, Any]]:
    """A study of each kind of model that has a graph."""
    drawn = {"method": "latin-hypercube", "size": 40, "seed": 1}
    peak = {"kind": "nonaffine", "cells": cells, "diffusion": "1 + exp(-8 * ((x - a) ** 2 + (y - b) ** 2))"}
    return {
        "block": thermal(cells, 3),
        "interpolated": thermal(cells, 2, model=peak, parameters={"a": {"low": 0.2, "high": 0.8},
                                                                  "b": {"low": 0.2, "high": 0.8}}),
        "heat": thermal(cells, 2, time={"end": 1.0, "steps": 20},
                        reduction={"method": "pod-greedy", "tolerance": 0.0, "max_size": 20}),
        "regression": thermal(cells, 2, sampling=drawn, reduction={"method": "pod-regression", "regressor": "rbf"}),
        "gaussian-process": thermal(cells, 2, sampling=drawn, reduction={"method": "pod-regression",
                                                                         "regressor": "gaussian-process"})}


def difference(rom: Any, path: Path) -> float:
    """The largest difference at random parameters."""
    mu = rom.parameters.sample(SIZE, np.random.default_rng(0))
    found, expected = Onnx().answers(path, mu), rom.solve(mu)
    largest = np.abs(expected.output).max()
    gaps = [np.abs(found["output"].T - expected.output).max() / largest,
            np.abs(found["output_error"].T - expected.output_error).max() / largest,
            np.abs(found["error"] - expected.error).max() / expected.norm.max()]
    return float(max(gaps))


def least(work: Callable[[], object]) -> float:
    """Processor seconds of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def batch_ratio(rom: Any, path: Path, repeats: int) -> float:
    """Time of a batch in onnxruntime by that of the model, both measured in turns."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    mu = rom.parameters.sample(BATCH, np.random.default_rng(0))
    times = np.array([(least(lambda: session.run(None, {"mu": mu})), least(lambda: rom.solve(mu)))
                      for _ in range(repeats)])
    theirs, ours = times.min(axis=0) / BATCH * 1e6
    print(f"a parameter in a batch of {BATCH}: onnxruntime {theirs:.1f} us, rom.solve {ours:.1f} us")
    return float(theirs / ours)


def measure(sizes: dict[str, int]) -> dict[str, Figure]:
    """All figures on these sizes."""
    gaps = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, study in studies(sizes["cells"]).items():
            if name == "regression" and sizes == QUICK:
                continue
            rom, path = reduced(study), Path(folder) / f"{name}.onnx"
            Onnx().write(rom, path)
            gaps[name] = difference(rom, path)
            print(f"{name}: {rom.size} vectors, {path.stat().st_size / 1e3:.0f} kB, difference {gaps[name]:.1e}")
            if name == "block":
                ratio = batch_ratio(rom, path, sizes["repeats"])
    apart = gaps.pop("gaussian-process")
    peer = f"onnxruntime {ort.__version__}"
    return {"onnx_difference": Figure(max(gaps.values()), 1e-12, False, "", peer),
            "onnx_batch_ratio": Figure(ratio, 3.0, False, "x", peer),
            "onnx_gaussian_process_difference": Figure(apart, 1e-12, False, "", peer)}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(QUICK if wish.quick else FULL), wish.json)
