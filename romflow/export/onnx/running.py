"""ONNX files run by onnxruntime in a process of its own, in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from romflow.core.errors import NotSupported, StoreError
from romflow.export.checking import checked_rows, run_isolated

__all__ = ["run_file"]

_RUNNER = """
import onnxruntime as ort
ort.set_default_logger_severity(3)
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(words[0], options, providers=["CPUExecutionProvider"])
values = session.run(None, {"mu": given["mu"]})
answer.update((output.name, value) for output, value in zip(session.get_outputs(), values))
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
        The file is no such model, or does not take as many parameters.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise NotSupported("running a file of the format onnx needs the package onnxruntime, which is not installed "
                           "here; pip install \"romflow[onnx]\"")
    rows = checked_rows("onnx", mu)
    try:
        return run_isolated(_RUNNER, {"mu": rows}, [str(Path(path).resolve())], ("numpy", "onnxruntime"))
    except StoreError as error:
        raise StoreError(f"{path}: onnxruntime does not run this file at mu of shape {rows.shape} ({error}); "
                         "export the model again") from error
