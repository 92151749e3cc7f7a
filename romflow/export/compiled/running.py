"""Exported C files and functional mock-up units run in a process of their own, in which romflow cannot be imported."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from pathlib import Path

import numpy as np

from romflow.core.errors import NotSupported, ShapeError, StoreError
from romflow.core.names import one_line
from romflow.export.checking import checked_rows, run_isolated
from romflow.export.compiled.compiler import native, shared_library
from romflow.export.compiled.text import file_stem

__all__ = ["run_c", "run_unit"]

_RUN_C = """
import ctypes
library, name, outputs, times = ctypes.CDLL(words[0]), words[1], int(words[2]), int(words[3])
mu = given["mu"]


def called(function, shape):
    answers = [np.full((len(mu), *own), np.nan) for own in (shape + (outputs,), shape + (outputs,), shape)]
    codes = np.zeros(len(mu), dtype=int)
    function = getattr(library, name + "_" + function)
    address = lambda array: ctypes.c_void_p(array.ctypes.data)
    for i, row in enumerate(mu):
        codes[i] = function(address(row), *(address(values[i:]) for values in answers))
    return codes, answers


codes, answers = called("evaluate", ())
answer.update(zip(("output", "output_error", "error"), answers), code=codes)
if times:
    answer.update(zip(("series", "series_error", "error_series"), called("series", (times,))[1]))
"""

_RUN_UNIT = """
import contextlib, json
import fmpy
from fmpy.fmi2 import FMU2Slave
from fmpy.fmi3 import FMU3Slave


def draw(slave, row, times, two, put, references, get):
    if two:
        slave.setupExperiment(startTime=times[0])
        slave.enterInitializationMode()
    else:
        slave.enterInitializationMode(startTime=times[0])
    put(references["parameter"], row.tolist())
    slave.exitInitializationMode()
    yield get(references["output"])
    for k, t in enumerate(times[1:]):
        slave.doStep(currentCommunicationPoint=times[k], communicationStepSize=t - times[k])
        yield get(references["output"])


def values_of(slave, description, facts, two):
    put, get = (slave.setReal, slave.getReal) if two else (slave.setFloat64, slave.getFloat64)
    references = {kind: [v.valueReference for v in description.modelVariables if v.causality == kind]
                  for kind in ("parameter", "output")}
    mu, times = given["mu"], facts["times"] or [0.0]
    if mu.shape[1] != len(references["parameter"]):
        raise ValueError("the unit has %d parameters" % len(references["parameter"]))
    rows = np.empty((len(mu), len(times), len(references["output"])))
    for i, row in enumerate(mu):
        if i:
            slave.reset()
        try:
            rows[i] = list(draw(slave, row, times, two, put, references, get))
        except Exception:
            if "no answer" not in told.getvalue():
                raise
            told.seek(told.truncate(0))
            rows[i] = np.nan
    return rows


def found_in(unit, place):
    description, place = fmpy.read_model_description(unit), str(fmpy.extract(unit, place))
    with open(place + "/resources/facts.json") as stream:
        facts = json.load(stream)
    two, o = description.fmiVersion == "2.0", len(facts["outputs"])
    slave = (FMU2Slave if two else FMU3Slave)(guid=description.guid, unzipDirectory=place, instanceName="one",
                                              modelIdentifier=description.coSimulation.modelIdentifier)
    slave.instantiate()
    try:
        rows = values_of(slave, description, facts, two)
    finally:
        slave.freeInstance()
    parts = {"series": rows[:, :, :o], "error_series": rows[:, :, -1]}
    if rows.shape[2] > o + 1 or o == 0:
        parts["series_error"] = rows[:, :, o:-1]
    last = {"series": "output", "series_error": "output_error", "error_series": "error"}
    return {last[name]: values[:, -1] for name, values in parts.items()} | (parts if facts["times"] else {})


told = io.StringIO()
try:
    with contextlib.redirect_stdout(told):
        answer.update(found_in(words[0], words[1]))
except Exception as error:
    sys.exit((told.getvalue().strip() or "%s: %s" % (type(error).__name__, error)).splitlines()[0])
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
        beside = path.with_name(f"{file_stem(path.stem)}.h")
        header, source = beside.read_text("ascii"), path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise StoreError(f"{path}: the pair of C files cannot be read ({one_line(str(error))}); export it again"
                         ) from error
    found = re.search(r"^int (romflow_\w+)_evaluate\(", header, re.MULTILINE)
    sizes = dict(re.findall(r"^#define ROMFLOW_\w+_(PARAMETERS|OUTPUTS|TIMES) (\d+)$", header, re.MULTILINE))
    if found is None or len(sizes) != 3:
        raise StoreError(f"{beside}: this is no header of an exported model; export it again")
    rows = checked_rows("c", mu)
    if rows.shape[1] != int(sizes["PARAMETERS"]):
        raise ShapeError(f"c: mu has shape {rows.shape}; the rule is (b, {sizes['PARAMETERS']})")
    texts = {"model.c": source, beside.name: header}
    with tempfile.TemporaryDirectory(prefix="romflow-run-") as folder:
        library = Path(folder, "model.so")
        library.write_bytes(shared_library(texts, "model", native(), hidden=False))
        words = [str(library), found[1], sizes["OUTPUTS"], sizes["TIMES"]]
        return run_isolated(_RUN_C, {"mu": np.ascontiguousarray(rows)}, words)


def run_unit(path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
    """What a functional mock-up unit answers at mu (b, p) by co-simulation, the batch first; NaN where it has none.

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
    rows, path = checked_rows("fmu", mu), Path(path)
    with tempfile.TemporaryDirectory(prefix="romflow-run-") as folder:
        words = [str(path.resolve()), str(Path(folder, "unit"))]
        try:
            return run_isolated(_RUN_UNIT, {"mu": rows}, words, ("numpy", "fmpy"))
        except StoreError as error:
            raise StoreError(f"{path}: this unit cannot be run at mu of shape {rows.shape}: {error}") from error
