"""Exported files against the model that they came from, run in a process in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, NotSupported, ShapeError, StoreError
from romflow.core.names import one_line, shown
from romflow.rom.model import ReducedModel
from romflow.rom.regression import GaussianProcess
from romflow.rom.residual import EimResidual, GramResidual

__all__ = ["Difference", "attainable", "check", "checked_rows", "run_isolated"]

_SECONDS = 600
_TOLERANCE, _EIM, _GRAM = 1e-12, 1e-9, 1e-6

# Of models in time the error goes with the trajectory, whose norm the answer has as well.
_SERIES = {"series": "output", "series_error": "output", "error_series": "norm"}
_MEASURED = {"output": "output", "output_error": "output", "error": "norm", **_SERIES}

# Python itself with -S knows the standard library alone; then come the places of the packages that are needed.
_START = """
import io, sys
sys.modules["romflow"] = None
sys.path += sys.argv[2:2 + int(sys.argv[1])]
words = sys.argv[2 + int(sys.argv[1]):]
import numpy as np
given = dict(np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False))
answer = {}
"""
_END = """
np.savez(words[-1], **answer)
"""


@dataclass(frozen=True)
class Difference:
    """How far an exported file is from its model.

    Attributes
    ----------
    size : int
        Random parameters that were tried.
    largest : dict of str to float
        Name of what the model answers -> largest difference: of outputs and their errors relative to the largest
        output, of the state's error relative to the largest norm of a state. Infinite where one is no number, or
        infinite, and the other is not.
    tolerance : float
        Up to which `passed` is true: what rounding lets another program reach, see `attainable`.

    Examples
    --------
    >>> Difference(100, {"output": 3e-16, "error": 2e-13}, 1e-12).worst
    2e-13
    """

    size: int
    largest: dict[str, float]
    tolerance: float = _TOLERANCE

    @property
    def worst(self) -> float:
        """The largest of all."""
        return max(self.largest.values(), default=0.0)

    @property
    def passed(self) -> bool:
        """No difference is above the tolerance."""
        return self.worst <= self.tolerance

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.1e}" for name, value in self.largest.items())
        return f"largest relative difference at {self.size} random parameters: {parts}"

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        finite = {name: value if np.isfinite(value) else None for name, value in self.largest.items()}
        return {"size": self.size, "largest": finite, "tolerance": self.tolerance, "passed": self.passed}


def check(rom: ReducedModel, exporter: Any, path: str | Path, size: int = 100, seed: int = 0,
          tolerance: float | None = None) -> Difference:
    """Compare the exported file at `path` with its model at random parameters of the space.

    Parameters
    ----------
    rom : ReducedModel
    exporter : object
        What wrote the file. Its ``answers(path, mu)`` runs it at mu (b, p) and gives arrays (b, ...) by the names that
        answers of models have: "output", "output_error", "error" and for models in time "series" (b, K + 1, o),
        "series_error" and "error_series". If it has ``given(path)``, the file holds answers at those parameters only.
    path : path
    size, seed : int
        Of the random parameters.
    tolerance : float, optional
        By default `attainable(rom)`.

    Raises
    ------
    InputError
        size or seed is no whole number from 1 or 0.
    NotSupported
        The format holds no answers, or running it needs a package that is not installed.
    StoreError
        The file cannot be run, or has no answer of that shape.
    """
    for name, value, least in (("size", size, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"check: {name} = {shown(value)} is not a whole number from {least}; give one")
    if not hasattr(exporter, "answers"):
        raise NotSupported(f"check: {type(exporter).__name__.lower()} writes pictures or fields and no answers, so "
                           "that there is nothing to compare; check a format that answers (npz, csv, onnx, c, fmu)")
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"check: {path} is no file; export the model first")
    mu = exporter.given(path) if hasattr(exporter, "given") else rom.parameters.sample(int(size),
                                                                                       np.random.default_rng(seed))
    if mu.shape[1] != rom.parameters.size:
        raise StoreError(f"check: {path} has {mu.shape[1]} parameters and the model {rom.parameters.size}; the file is "
                         "damaged, or of another model")
    found, expected = exporter.answers(path, mu), rom.solve(mu, check=False)
    if "output" not in found:
        raise StoreError(f"check: {path} gives {', '.join(found) or 'nothing'} and no \"output\"; export it again")
    scales = {"output": _largest(expected.output), "norm": _largest(expected.norm)}
    largest = {}
    for name, scale in _MEASURED.items():
        right = getattr(expected, name, None)
        if name in found and right is not None:
            largest[name] = _difference(path, name, np.asarray(found[name]), np.asarray(right).T, scales[scale])
    return Difference(len(mu), largest, attainable(rom, scales["output"]) if tolerance is None else tolerance)


def attainable(rom: Any, scale: float) -> float:
    """The largest difference that rounding alone may make, for outputs of size `scale`: 1e-12 for most models.

    The classical residual norm is a difference of squares, good to the root of rounding, and its interpolation to less
    than rounding; the kernels of Gaussian processes have weights, and inverse factors, that multiply their rounding.
    """
    residual, process = getattr(rom, "residual", None), getattr(rom, "regressor", None)
    if isinstance(residual, GramResidual):
        return _GRAM
    if isinstance(residual, EimResidual):
        return _EIM
    if isinstance(process, GaussianProcess):
        safety = max(rom.safety, float(np.max(rom.output_safety, initial=0.0)))
        spread = safety * np.sqrt(np.sum(process.inverse_factor**2, axis=(1, 2)))
        amplified = process.amplitude * process.scale * np.maximum(np.abs(process.weights).sum(axis=1), spread)
        return max(_TOLERANCE, 16 * float(np.finfo(float).eps) * float(amplified.max(initial=0.0)) / scale)
    return _TOLERANCE


def _largest(values: NDArray[Any]) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0)) or 1.0


def _difference(path: Path, name: str, found: NDArray[Any], expected: NDArray[Any], scale: float) -> float:
    if found.shape != expected.shape:
        raise StoreError(f"check: {path} gives {name} of shape {found.shape} where the model has {expected.shape}; "
                         "export it again")
    with np.errstate(invalid="ignore"):
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        gap = np.where(same, 0.0, np.abs(found - expected) / scale)
    return float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0))


def run_isolated(code: str, given: Mapping[str, NDArray[Any]], words: Sequence[str] = (),
                 packages: Sequence[str] = ("numpy",), seconds: float = _SECONDS) -> dict[str, NDArray[Any]]:
    """Run Python text in a process of its own, in which romflow cannot be imported.

    Parameters
    ----------
    code : str
        Reads arrays from the dictionary `given` and texts from the list `words`, and puts arrays into the dictionary
        `answer`; NumPy is there as `np`.
    given : dict of arrays
    words : sequence of str
    packages : sequence of str
        Beside the standard library only the folders that hold these are searched for modules.
    seconds : float
        After which the process is ended.

    Returns
    -------
    dict of str to array

    Raises
    ------
    NotSupported
        A package is not installed.
    StoreError
        The text failed, or took too long; the last line that it wrote to the standard error is in the message.

    Examples
    --------
    >>> run_isolated("answer['twice'] = 2 * given['x']", {"x": np.arange(2.0)})
    {'twice': array([0., 2.])}
    >>> run_isolated("import romflow", {})
    Traceback (most recent call last):
        ...
    romflow.core.errors.StoreError: ModuleNotFoundError: import of romflow halted; None in sys.modules
    """
    places = list(dict.fromkeys(_place(name) for name in packages))
    image = io.BytesIO()
    arrays: dict[str, Any] = dict(given)
    np.savez(image, **arrays)
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        result = Path(folder) / "answer.npz"
        command = [sys.executable, "-I", "-S", "-c", _START + code + _END, str(len(places)), *places, *words,
                   str(result)]
        try:
            done = subprocess.run(command, input=image.getvalue(), capture_output=True, timeout=seconds, check=False,
                                  cwd=folder, env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
        except subprocess.TimeoutExpired as error:
            raise StoreError(f"a process without romflow took more than {seconds:g} s and was ended; try a smaller "
                             "batch") from error
        if done.returncode or not result.is_file():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise StoreError(one_line(lines[-1], 300) if lines else f"the process ended with {done.returncode}")
        with np.load(result, allow_pickle=False) as found:
            return dict(found)


def checked_rows(who: str, mu: Any) -> NDArray[np.float64]:
    """mu as (b, p).

    Raises
    ------
    ShapeError
        It is no matrix.
    """
    rows = np.asarray(mu, dtype=np.float64)
    if rows.ndim != 2:
        raise ShapeError(f"{who}: mu has shape {rows.shape}; the rule is (b, p)")
    return rows


def _place(package: str) -> str:
    """The folder in which a package is found."""
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        raise NotSupported(f"running an exported file needs the package {package}, which is not installed here; "
                           f"pip install {package}")
    origin = Path(found.origin)
    return str(origin.parent.parent if found.submodule_search_locations else origin.parent)
