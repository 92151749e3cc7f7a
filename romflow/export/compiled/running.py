"""Exported C files and functional mock-up units run in a process of their own, in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from romflow.core.errors import NotSupported, ShapeError, StoreError
from romflow.core.names import one_line
from romflow.export.compiled.compiler import native, shared_library

__all__ = ["run_c", "run_unit"]

_SECONDS = 600

_START = """
import sys
sys.modules["romflow"] = None  # importing it fails from here on
import numpy as np
folder = sys.argv[1]
mu = np.load(folder + "/mu.npy", allow_pickle=False)
"""

_RUN_C = _START + """
import ctypes
library, name, outputs, times = ctypes.CDLL(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])


def called(function, shape):
    answers = [np.full((len(mu), *own), np.nan) for own in (shape + (outputs,), shape + (outputs,), shape)]
    codes = np.zeros(len(mu), dtype=int)
    function = getattr(library, name + "_" + function)
    address = lambda array: ctypes.c_void_p(array.ctypes.data)
    for i, row in enumerate(mu):
        codes[i] = function(address(row), *(address(values[i:]) for values in answers))
    return codes, answers


codes, answers = called("evaluate", ())
found = dict(zip(("output", "output_error", "error"), answers), code=codes)
if times:
    found.update(zip(("series", "series_error", "error_series"), called("series", (times,))[1]))
np.savez(folder + "/answers.npz", **found)
"""

_RUN_UNIT = _START + """
import json
import fmpy
from fmpy.fmi2 import FMU2Slave
from fmpy.fmi3 import FMU3Slave

unit = sys.argv[2]
description, place = fmpy.read_model_description(unit), str(fmpy.extract(unit, folder + "/unit"))
facts = json.load(open(place + "/resources/facts.json"))
two = description.fmiVersion == "2.0"
slave = (FMU2Slave if two else FMU3Slave)(guid=description.guid, unzipDirectory=place, instanceName="one",
                                          modelIdentifier=description.coSimulation.modelIdentifier)
slave.instantiate()
put, get = (slave.setReal, slave.getReal) if two else (slave.setFloat64, slave.getFloat64)
references = {kind: [v.valueReference for v in description.modelVariables if v.causality == kind]
              for kind in ("parameter", "output")}
times, o = facts["times"] or [0.0], len(facts["outputs"])
rows = np.empty((len(mu), len(times), len(references["output"])))
for i, row in enumerate(mu):
    if i:
        slave.reset()
    if two:
        slave.setupExperiment(startTime=times[0])
        slave.enterInitializationMode()
    else:
        slave.enterInitializationMode(startTime=times[0])
    put(references["parameter"], row.tolist())
    slave.exitInitializationMode()
    for k, t in enumerate(times):
        if k:
            slave.doStep(currentCommunicationPoint=times[k - 1], communicationStepSize=t - times[k - 1])
        rows[i, k] = get(references["output"])
slave.terminate()
slave.freeInstance()
parts = {"series": rows[:, :, :o], "error_series": rows[:, :, -1]}
if rows.shape[2] > o + 1 or o == 0:
    parts["series_error"] = rows[:, :, o:-1]
last = {"series": "output", "series_error": "output_error", "error_series": "error"}
found = {last[name]: values[:, -1] for name, values in parts.items()} | (parts if facts["times"] else {})
np.savez(folder + "/answers.npz", **found)
"""


def run_c(path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
    """What the functions of a C file answer at mu (b, p), the batch first; "code" is what they return.

    Raises
    ------
    NotSupported
        There is no C compiler.
    ShapeError
        mu is not (b, p).
    StoreError
        The files are not there or no such model.
    """
    try:
        header, source = path.with_suffix(".h").read_text("ascii"), path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise StoreError(f"{path}: the pair of C files cannot be read ({one_line(str(error))}); export it again"
                         ) from error
    found = re.search(r"^int (romflow_\w+)_evaluate\(", header, re.MULTILINE)
    sizes = dict(re.findall(r"^#define ROMFLOW_\w+_(PARAMETERS|OUTPUTS|TIMES) (\d+)$", header, re.MULTILINE))
    if found is None or len(sizes) != 3:
        raise StoreError(f"{path.with_suffix('.h')}: this is no header of an exported model; export it again")
    rows = _rows(mu, int(sizes["PARAMETERS"]))
    texts = {path.name: source, path.with_suffix(".h").name: header}
    with tempfile.TemporaryDirectory(prefix="romflow-run-") as folder:
        library = Path(folder, "model.so")
        library.write_bytes(shared_library(texts, "model", native(), hidden=False))
        return _answers(path, _RUN_C, folder, rows, [str(library), found[1], sizes["OUTPUTS"], sizes["TIMES"]])


def run_unit(path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
    """What a functional mock-up unit answers at mu (b, p) by co-simulation, the batch first.

    Raises
    ------
    NotSupported
        The package fmpy is not installed.
    ShapeError
        mu is not (b, p).
    StoreError
        The file is no such unit, or it refused.
    """
    if importlib.util.find_spec("fmpy") is None:
        raise NotSupported("running a functional mock-up unit needs the package fmpy, which is not installed here; "
                           "pip install \"romflow[fmu]\"")
    with tempfile.TemporaryDirectory(prefix="romflow-run-") as folder:
        return _answers(path, _RUN_UNIT, folder, _rows(mu, None), [str(Path(path).resolve())])


def _rows(mu: np.ndarray, columns: int | None) -> np.ndarray:
    rows = np.ascontiguousarray(mu, dtype=np.float64)
    if rows.ndim != 2 or columns not in (None, rows.shape[1]):
        raise ShapeError(f"mu has shape {rows.shape}; the rule is (b, {'p' if columns is None else columns})")
    return rows


def _answers(path: Path, script: str, folder: str, rows: np.ndarray, words: Sequence[str]) -> dict[str, np.ndarray]:
    np.save(Path(folder, "mu.npy"), rows)
    done = subprocess.run([sys.executable, "-I", "-c", script, folder, *words], capture_output=True, text=True,
                          timeout=_SECONDS, check=False)
    if done.returncode:
        lines = (f"{done.stdout}\n{done.stderr}".strip() or "no message").splitlines()
        told = next((line for line in lines if line.startswith("[ERROR]")), lines[-1])
        raise StoreError(f"{path}: this file cannot be run at mu of shape {rows.shape} ({one_line(told, 300)})")
    with np.load(Path(folder, "answers.npz"), allow_pickle=False) as found:
        return dict(found)
