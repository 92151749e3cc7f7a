"""ONNX files: the online stage of a model for onnxruntime, and through it for C++, C#, Java, JavaScript and others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from romflow.core.files import write_atomic
from romflow.export.onnx.graph import library
from romflow.export.onnx.model import model_of
from romflow.export.onnx.running import run_file
from romflow.export.program.build import build
from romflow.rom.model import ReducedModel

__all__ = ["Onnx"]


class Onnx:
    """One ONNX graph in double precision with a dynamic batch; onnxruntime alone runs it.

    Input "mu" (b, p). Outputs "output" (b, o), "output_error" (b, o), "error" (b,), of a model in time also "series"
    (b, K + 1, o), "series_error" (b, K + 1, o) and "error_series" (b, K + 1); and "inside" (b,), which is false where
    mu is not within the parameter space: there the other outputs are not to be used. A system that is singular gives
    NaN. The property "romflow" holds the facts of the model as JSON.

    Examples
    --------
    >>> Onnx().suffix
    '.onnx'
    """

    suffix = ".onnx"

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write the graph to `path`; the same model gives the same bytes.

        Raises
        ------
        NotSupported
            The model cannot be written as a graph, or the package onnx is not installed.
        StoreError
            The file cannot be written.
        """
        library()
        model = model_of(build(rom))
        write_atomic(Path(path), model.SerializeToString(deterministic=True))
        return [Path(path)]

    def answers(self, path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of a file at mu (b, p), by onnxruntime in a process in which romflow cannot be imported.

        Raises
        ------
        NotSupported
            onnxruntime is not installed.
        StoreError
            The file is no such model.
        """
        return run_file(Path(path), mu)
