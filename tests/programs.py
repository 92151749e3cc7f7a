"""Programs that play the external solver in tests."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import SolveFailed
from romflow.core.fingerprint import check_json
from romflow.fom.external import ExternalProgram
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

# What every program starts with: it reads the request and can write .npy without NumPy, so that it starts fast.
HEAD = '''
import json, os, signal, struct, subprocess, sys, time
request = json.load(sys.stdin)
def npy(values, shape=None, descr="<f8"):
    shape = (len(values),) if shape is None else shape
    text = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    text = text.ljust(117) + "\\n"
    start = b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(text))
    return start + text.encode() + struct.pack("<%dd" % len(values), *values)
def save(data, key="output"):
    with open(request[key], "wb") as stream:
        stream.write(data)
def show(data):
    sys.stdout.buffer.write(data)
'''

MU = np.array([0.5, -0.25, 0.125])


def space() -> ParameterSpace:
    return ParameterSpace([Parameter("a", Uniform(0.0, 1.0)), Parameter("load", Uniform(-1.0, 1.0), size=2)])


def scripted(folder: Path, body: str, **options) -> ExternalProgram:
    """The model of a Python script solver.py with this body in a folder."""
    (folder / "solver.py").write_text(HEAD + body)
    return ExternalProgram(space(), ["{python}", "-I", "-S", "solver.py"], folder, **options)


def failed(fom: ExternalProgram, *words: str) -> dict:
    """Report of the failed solve, after checking its message, which must hold the words."""
    with pytest.raises(SolveFailed) as caught:
        fom.solve(MU)
    text = str(caught.value)
    assert "solver.py" in text and "[0.5, -0.25, 0.125]" in text and "\n" not in text and len(text) < 700
    for word in words:
        assert word in text
    report = caught.value.report
    check_json(report)
    assert report["mu"] == MU.tolist() and "exit_code" in report and "stderr" in report and report["seconds"] >= 0.0
    return report


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether the process has ended; one that nobody reaps counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False
