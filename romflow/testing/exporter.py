"""Conformance suite of exporters: files of a small reduced model, written, written again and refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.checking import check
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.testing.report import Law, Report, Verdict, run
from romflow.testing.small import new_store, small_thermal_block, solve_missing

__all__ = ["check_exporter"]

_SNAPSHOTS = 4


class ExporterCase:
    """An exporter under test, a reduced model and a folder to write in.

    Parameters
    ----------
    make : callable
        Builds a fresh exporter.
    folder : str
    """

    def __init__(self, make: Callable[[], Any], folder: str) -> None:
        self.make, self.folder = make, Path(folder)
        fom = small_thermal_block()
        mu = fom.parameters.sample(_SNAPSHOTS, np.random.default_rng(0))
        store = new_store(fom, self.folder / "store")
        solve_missing(fom, store, mu)
        self.rom = ReducedBasisReductor().reduce(fom, store, mu)
        self.arrays = {name: np.array(array) for name, array in self.rom.to_arrays()[1].items()}

    def write(self, name: str) -> tuple[Path, dict[str, bytes]]:
        """Write the model into a folder `name`: the path asked for, and all files there with their content."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        exporter = self.make()
        path = place / f"model{exporter.suffix}"
        exporter.write(self.rom, path)
        files = [file for file in sorted(place.rglob("*")) if file.is_file()]
        return path, {str(file.relative_to(place)): file.read_bytes() for file in files}


def check_exporter(make: Callable[[], Any], target: str = "exporter") -> Report:
    """Hold an exporter to its laws.

    Parameters
    ----------
    make : callable
        Builds a fresh exporter.
    target : str
        Its name in the report.

    Examples
    --------
    >>> from romflow.export.npz import Npz
    >>> check_exporter(Npz).passed
    True
    """
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        return run(target, "exporter", EXPORTER_LAWS, ExporterCase(make, folder))


def _suffix(case: ExporterCase) -> Verdict:
    suffix = case.make().suffix
    right = isinstance(suffix, str) and len(suffix) > 1 and suffix.startswith(".") and "/" not in suffix
    return Verdict(right, f"suffix = {suffix!r}")


def _written(case: ExporterCase) -> Verdict:
    path, files = case.write("written")
    if path.name not in files:
        return Verdict(False, f"write(rom, '{path.name}') left {', '.join(files) or 'no file'}")
    size = len(files[path.name])
    return Verdict(size > 0, f"'{path.name}' has {size} bytes, beside {len(files) - 1} other files")


def _no_leftovers(case: ExporterCase) -> Verdict:
    _, files = case.write("leftovers")
    left = [name for name in files if name.endswith((".part", ".tmp"))]
    return Verdict(not left, f"write left {', '.join(left) or 'no part file'}")


def _deterministic(case: ExporterCase) -> Verdict:
    first, second = case.write("first")[1], case.write("second")[1]
    other = _changed(first, second)
    return Verdict(not other, f"two writes differ in {', '.join(other) or 'no file'} of {len(first)}")


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Names of the files that are in one only, or have other bytes."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _overwrites(case: ExporterCase) -> Verdict:
    path, before = case.write("again")
    path.write_bytes(before[path.name] + b" the end of an older, longer file")
    _, after = case.write("again")
    other = _changed(before, after)
    return Verdict(not other, f"over an older file write gives other bytes in {', '.join(other) or 'no file'}")


def _untouched(case: ExporterCase) -> Verdict:
    case.write("untouched")
    changed = [name for name, array in case.rom.to_arrays()[1].items() if not np.array_equal(array, case.arrays[name])]
    return Verdict(not changed, f"write changed {', '.join(changed) or 'no array'} of the model")


def _refused(case: ExporterCase) -> Verdict:
    places = {"a folder that is a file": case.folder / "blocked"}
    places["a folder that is a file"].write_text("not a folder", encoding="utf-8")
    locked = case.folder / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if not os.access(locked, os.W_OK):  # the administrator may write everywhere
        places["a folder without write permission"] = locked
    for name, place in places.items():
        exporter = case.make()
        try:
            exporter.write(case.rom, place / f"model{exporter.suffix}")
        except OSError:
            continue
        return Verdict(False, f"write into {name} raised nothing")
    return Verdict(True, f"write into {' and '.join(places)} raised")


def _answers(case: ExporterCase) -> Verdict:
    exporter = case.make()
    if not hasattr(exporter, "answers"):
        return Verdict(True, "it has no answers(path, mu)")
    path, _ = case.write("answers")
    try:
        found = check(case.rom, exporter, path)
    except NotSupported as reason:
        return Verdict(True, f"not to be had here: {reason}")
    return Verdict(found.passed, str(found))


EXPORTER_LAWS: list[Law[ExporterCase]] = [
    Law("suffix", "suffix is a text that starts with '.'", _suffix),
    Law("written", "write(rom, path) makes a file that is not empty, exactly at path", _written, ("suffix",)),
    Law("no-leftovers", "write leaves no .part or .tmp file", _no_leftovers, ("written",)),
    Law("deterministic", "one model gives the same bytes each time", _deterministic, ("written",)),
    Law("overwrites", "write replaces an older file whole", _overwrites, ("written",)),
    Law("model-untouched", "write leaves the reduced model as it was", _untouched, ("written",)),
    Law("answers", "answers(path, mu), where there is one, gives what the model answers", _answers, ("written",)),
    Law("refused", "a path that cannot be written raises StoreError or another OSError", _refused, ("suffix",)),
]
