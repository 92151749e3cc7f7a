"""ONNX files run by onnxruntime in a process of its own, in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from romflow.core.errors import NotSupported, ShapeError, StoreError
from romflow.core.names import one_line

__all__ = ["run_file"]

_SECONDS = 600

_RUNNER = """
import sys
sys.modules["romflow"] = None  # importing it fails from here on
import numpy as np
import onnxruntime as ort
model, folder = sys.argv[1:]
ort.set_default_logger_severity(3)
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
values = session.run(None, {"mu": np.load(folder + "/mu.npy", allow_pickle=False)})
np.savez(folder + "/answers.npz", **{output.name: value for output, value in zip(session.get_outputs(), values)})
"""


def run_file(path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs of an ONNX file at mu (b, p), the batch first.

    Raises
    ------
    NotSupported
        onnxruntime is not installed.
    ShapeError
        mu is no matrix.
    StoreError
        The file is no such model.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise NotSupported("running a file of the format onnx needs the package onnxruntime, which is not installed "
                           "here; pip install \"romflow[onnx]\"")
    rows = np.asarray(mu, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"mu has shape {rows.shape}; the rule is (b, p)")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "mu.npy", rows)
        command = [sys.executable, "-I", "-c", _RUNNER, str(Path(path).resolve()), folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise StoreError(f"{path}: onnxruntime cannot run this file at mu of shape {rows.shape} "
                             f"({one_line(reason, 200)}); export the model again")
        with np.load(Path(folder) / "answers.npz", allow_pickle=False) as found:
            return dict(found)
