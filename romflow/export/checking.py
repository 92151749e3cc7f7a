"""Exported files against the model that they came from, run in a process in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, NotSupported, ShapeError, StoreError
from romflow.core.names import one_line, shown
from romflow.rom.model import ReducedModel

__all__ = ["Difference", "check", "checked_rows", "run_isolated"]

Array = NDArray[Any]

_SECONDS = 600
_TOLERANCE = 1e-12
# Two programs of a model differ by up to three times what the last digit of the parameters changes; leave some room.
_ROOM, _TRIES = 16.0, 3

# Of models in time the error goes with the trajectory, whose norm the answer has as well.
_SERIES = {"series": "output", "series_error": "output", "error_series": "norm"}
_MEASURED = {"output": "output", "output_error": "output", "error": "norm", **_SERIES}
_PER_OUTPUT = ("output", "output_error", "series", "series_error")

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
    own : dict of str to float
        The same relative to the largest value of its own, of the worst output: here a bound that is wrong shows, though
        it is small beside the output.
    explained : dict of str to float
        Up to which `own` is nothing but rounding: the tolerance, or 16 times what the last digit of the parameters
        changes in the model's own answer, if that is more.

    Examples
    --------
    >>> found = Difference(100, {"output": 3e-16, "error": 2e-13}, {"output": 3e-16, "error": 1.0}, {"error": 1e-12})
    >>> found.worst, found.passed
    (2e-13, False)
    """

    size: int
    largest: dict[str, float]
    own: dict[str, float] = field(default_factory=dict)
    explained: dict[str, float] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The largest of all, relative to outputs and norms."""
        return max(self.largest.values(), default=0.0)

    @property
    def wrong(self) -> list[str]:
        """What differs by more than rounding explains."""
        return [name for name, value in self.own.items() if not value <= self.explained.get(name, _TOLERANCE)]

    @property
    def passed(self) -> bool:
        """No difference is more than rounding."""
        return not self.wrong

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.1e}" for name, value in self.largest.items())
        more = "; relative to their own size " if self.wrong else ""
        more += ", ".join(f"{name} {self.own[name]:.1e} where rounding explains {self.explained[name]:.0e}"
                          for name in self.wrong)
        return f"largest relative difference at {self.size} random parameters: {parts}{more}"

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        found = {key: {name: value if np.isfinite(value) else None for name, value in values.items()}
                 for key, values in (("largest", self.largest), ("own", self.own), ("explained", self.explained))}
        return {"size": self.size, **found, "passed": self.passed}


def check(rom: ReducedModel, exporter: Any, path: str | Path, size: int = 100, seed: int = 0,
          tolerance: float = _TOLERANCE) -> Difference:
    """Compare the exported file at `path` with its model at random parameters of the space.

    Parameters
    ----------
    rom : ReducedModel
    exporter : object
        What wrote the file. Its ``answers(path, mu)`` runs it at mu (b, p) and gives arrays (b, ...) by the names that
        answers of models have: "output", "output_error", "error" and for models in time "series" (b, K + 1, o),
        "series_error" and "error_series". If it has ``given(path, columns)``, the file holds answers at those
        parameters (b, p) only.
    path : path
    size, seed : int
        Of the random parameters.
    tolerance : float
        Differences up to this, relative to what is compared, are not looked at.

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
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not tolerance >= 0.0:
        raise InputError(f"check: tolerance = {shown(tolerance)} is not a number from 0; give one")
    if not hasattr(exporter, "answers"):
        raise NotSupported(f"check: {type(exporter).__name__.lower()} writes pictures or fields and no answers, so "
                           "that there is nothing to compare; check a format that answers (npz, csv, onnx, c, fmu)")
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"check: {path} is no file; export the model first")
    space = rom.parameters
    mu = (np.asarray(exporter.given(path, space.columns)) if hasattr(exporter, "given") else
          space.sample(int(size), np.random.default_rng(seed)))
    found, expected = exporter.answers(path, mu), rom.solve(mu, check=False)
    if "output" not in found:
        raise StoreError(f"check: {path} gives {', '.join(found) or 'nothing'} and no \"output\"; export it again")
    return _compared(rom, mu, path, found, expected, float(tolerance))


def _compared(rom: ReducedModel, mu: Array, path: Path, found: Mapping[str, Array], expected: Any,
              tolerance: float) -> Difference:
    sizes = {"output": _largest(expected.output), "norm": _largest(expected.norm)}
    largest, gaps, own = {}, {}, {}
    for name, size in _MEASURED.items():
        right = getattr(expected, name, None)
        if name not in found or right is None:
            continue
        gap = _gaps(path, name, np.asarray(found[name]), np.asarray(right).T)
        largest[name] = float(np.max(gap, initial=0.0)) / sizes[size]
        gaps[name] = _by_output(name, gap)
        own[name] = float(np.max(gaps[name] / _sizes(name, np.asarray(right).T), initial=0.0))
    explained = dict.fromkeys(own, tolerance)
    if any(value > tolerance for value in own.values()):
        own, explained = _judged(rom, mu, expected, gaps, tolerance)
    return Difference(len(mu), largest, own, explained)


def _judged(rom: ReducedModel, mu: Array, expected: Any, gaps: Mapping[str, Array],
            tolerance: float) -> tuple[dict[str, float], dict[str, float]]:
    """Of the output that differs most beyond rounding: its difference relative to its size, and what is explained."""
    own, explained = {}, {}
    changes = _last_digit(rom, mu, expected, gaps)
    for name, gap in gaps.items():
        size = _sizes(name, np.asarray(getattr(expected, name)).T)
        allowed = np.maximum(tolerance, _ROOM * changes[name] / size)
        worst = int(np.argmax(gap / size / np.maximum(allowed, np.finfo(float).tiny))) if gap.size else None
        own[name] = 0.0 if worst is None else float(gap[worst] / size[worst])
        explained[name] = tolerance if worst is None else float(allowed[worst])
    return own, explained


def _last_digit(rom: ReducedModel, mu: Array, expected: Any, names: Iterable[str]) -> dict[str, Array]:
    """How much the last digit of the parameters changes the model's own answers, by name and output."""
    rng, eps = np.random.default_rng(0), float(np.finfo(float).eps)
    found = {name: np.zeros(1) for name in names}
    for _ in range(_TRIES):
        other = rom.solve(mu * (1.0 + eps * rng.choice([-1.0, 1.0], mu.shape)), check=False)
        for name in found:
            left, right = np.asarray(getattr(other, name)).T, np.asarray(getattr(expected, name)).T
            with np.errstate(invalid="ignore"):
                change = np.abs(left - right)
            found[name] = np.maximum(found[name], _by_output(name, np.where(np.isfinite(change), change, 0.0)))
    return found


def _by_output(name: str, values: Array) -> Array:
    """The largest of each output (o,), of what belongs to the state (1,)."""
    rows = values.reshape(-1, values.shape[-1]) if name in _PER_OUTPUT else values.reshape(-1, 1)
    return np.asarray(rows.max(axis=0, initial=0.0))


def _sizes(name: str, values: Array) -> Array:
    """The largest finite value of each output; one where all are zero."""
    found = _by_output(name, np.where(np.isfinite(values), np.abs(values), 0.0))
    return np.where(found > 0.0, found, 1.0)


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0)) or 1.0


def _gaps(path: Path, name: str, found: Array, expected: Array) -> Array:
    """Differences, infinite where one is no number, or infinite, and the other is not."""
    if found.shape != expected.shape:
        raise StoreError(f"check: {path} gives {name} of shape {found.shape} where the model has {expected.shape}; "
                         "export it again")
    with np.errstate(invalid="ignore"):
        # A file without an answer may have no numbers at all where the model has infinite errors.
        same = (found == expected) | (np.isnan(found) & ~np.isfinite(expected))
        gap = np.where(same, 0.0, np.abs(found - expected))
    return np.where(np.isnan(gap), np.inf, gap)


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
