"""Functional mock-up units: valid, equal to the model in co-simulation and model exchange, and strict."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile

import numpy as np
import pytest

from romflow.core import registry
from romflow.core.errors import ConfigError, NotSupported, SolveFailed, StoreError
from romflow.export.checking import check
from romflow.export.compiled import compiler
from romflow.export.compiled.compiler import PLATFORMS, find_compiler, native, shared_library
from romflow.export.fmu import Fmu
from romflow.study import Study
from tests.unit.test_export_c import STRICT
from tests.unit.test_export_evolution import fom, reduced
from tests.unit.test_export_npz import models as all_models

fmpy = pytest.importorskip("fmpy")
pytestmark = pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler")
VERSIONS = ["3.0", "2.0"]


@pytest.fixture(scope="module")
def roms(tmp_path_factory):
    """A model at rest and one that moves."""
    steady = next(rom for name, rom in all_models() if name == "min-theta")
    times = {"times": [0.5, 0.55, 0.65, 0.7], "load": "1 + t * k_0"}
    return {"steady": steady, "moving": reduced(fom("block", **times), tmp_path_factory.mktemp("moving"))}


@pytest.fixture(scope="module")
def units(roms, tmp_path_factory):
    """(model, version) -> file."""
    folder = tmp_path_factory.mktemp("fmu")
    return {(name, version): Fmu(version=version).write(rom, folder / f"{name}-{version}.fmu")[0]
            for name, rom in roms.items() for version in VERSIONS}


def sample(rom, size=1):
    return rom.parameters.sample(size, np.random.default_rng(1))


def simulated(path, rom, kind, mu, **options):
    return fmpy.simulate_fmu(str(path), fmi_type=kind, start_values=dict(zip(rom.parameters.columns, mu, strict=True)),
                             **options)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["steady", "moving"])
def test_units_are_valid_and_tell_their_facts(roms, units, name, version):
    from fmpy.validation import validate_fmu

    path, rom = units[name, version], roms[name]
    assert validate_fmu(str(path)) == []
    description = fmpy.read_model_description(str(path))
    parameters = [v for v in description.modelVariables if v.causality == "parameter"]
    assert [v.name for v in parameters] == list(rom.parameters.columns)
    assert all(v.variability == "tunable" for v in parameters)
    np.testing.assert_array_equal([float(v.min) for v in parameters], rom.parameters.low)
    np.testing.assert_array_equal([float(v.max) for v in parameters], rom.parameters.high)
    outputs = [v.name for v in description.modelVariables if v.causality == "output"]
    assert outputs == ["average", "average_error", "error"]
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("resources/facts.json"))
        assert {"sources/model.c", "sources/model.h", "sources/unit.c"} <= set(archive.namelist())
    assert facts["columns"] == list(rom.parameters.columns)
    assert facts["error_kind"] == "bound"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["steady", "moving"])
def test_units_agree_with_the_model(roms, units, name, version):
    rom = roms[name]
    found = check(rom, Fmu(version=version), units[name, version], 50)
    assert found.passed
    assert set(found.largest) >= {"output", "output_error", "error"}
    if (name, version) == ("steady", "2.0"):
        assert not check(rom.truncate(1), Fmu(version=version), units[name, version], 5).passed


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["CoSimulation", "ModelExchange"])
def test_simulations_follow_the_trajectory(roms, units, kind, version, must_fail):
    rom = roms["moving"]
    mu = sample(rom)[0]
    answer = rom.solve(mu[None])
    result = simulated(units["moving", version], rom, kind, mu, start_time=0.5, output_interval=0.05)
    np.testing.assert_allclose(result["time"], [0.5, 0.55, 0.6, 0.65, 0.7], rtol=1e-12)
    series, errors = answer.series[0, 1:, 0], answer.series_error[0, 1:, 0]  # the first time is 0
    expected = np.insert(series, 2, (series[1] + series[2]) / 2)  # between the times 0.55 and 0.65: linear

    def follows(values):
        np.testing.assert_allclose(values, expected, rtol=1e-9)

    follows(result["average"])
    must_fail(follows, result["average"] * (1 + 1e-8), result["average"] * (1 - 1e-8))
    np.testing.assert_allclose(result["average_error"], np.insert(errors, 2, max(errors[1:3])), rtol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["CoSimulation", "ModelExchange"])
def test_a_model_at_rest_has_its_answer_always(roms, units, kind, version):
    rom = roms["steady"]
    mu = sample(rom)[0]
    result = simulated(units["steady", version], rom, kind, mu, start_time=-3, stop_time=100, output_interval=50)
    np.testing.assert_allclose(result["average"], rom.solve(mu[None]).output[0, 0], rtol=1e-13)


def opened(path, folder, kind="CoSimulation"):
    from fmpy.fmi2 import FMU2Slave
    from fmpy.fmi3 import FMU3Slave

    description = fmpy.read_model_description(str(path))
    two = description.fmiVersion == "2.0"
    unit = (FMU2Slave if two else FMU3Slave)(
        guid=description.guid, unzipDirectory=str(fmpy.extract(str(path), str(folder))), instanceName="a",
        modelIdentifier=description.coSimulation.modelIdentifier)
    unit.instantiate()
    put, get = (unit.setReal, unit.getReal) if two else (unit.setFloat64, unit.getFloat64)
    return unit, put, get


@pytest.mark.parametrize("version", VERSIONS)
def test_units_are_strict_and_go_on(roms, units, version, tmp_path, capfd):
    rom = roms["moving"]
    unit, put, get = opened(units["moving", version], tmp_path)
    if version == "2.0":
        unit.setupExperiment(startTime=0.5, stopTime=0.7)
        unit.enterInitializationMode()
    else:
        unit.enterInitializationMode(startTime=0.5, stopTime=0.7)
    mu = sample(rom, 2)
    for wrong in (5.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(Exception, match="failed with status 3"):
            put([1], [wrong])
    with pytest.raises(Exception, match="failed with status 3"):
        put([3], [0.5])  # an output
    with pytest.raises(Exception, match="failed with status 3"):
        get([99])
    put([1, 2], mu[0].tolist())
    unit.exitInitializationMode()
    unit.doStep(currentCommunicationPoint=0.5, communicationStepSize=0.05)
    state = unit.getFMUState() if version == "3.0" else unit.getFMUstate()
    first = get([3, 4, 5])
    put([1, 2], mu[1].tolist())  # tunable: another trajectory from now on
    np.testing.assert_allclose(get([3]), rom.solve(mu).series[:, 2, 1], rtol=1e-12)
    unit.setFMUState(state) if version == "3.0" else unit.setFMUstate(state)
    assert get([3, 4, 5]) == first
    assert get([0]) == [0.55]
    unit.freeFMUState(state) if version == "3.0" else unit.freeFMUstate(state)
    with pytest.raises(Exception, match="failed with status 3"):
        unit.doStep(currentCommunicationPoint=0.55, communicationStepSize=1.0)
    assert get([3, 4, 5]) == first
    unit.reset()
    np.testing.assert_allclose(get([1, 2]), rom.parameters.centre())
    unit.terminate()
    unit.freeInstance()


def test_a_unit_of_another_model_is_refused(units, tmp_path):
    from fmpy.fmi2 import FMU2Slave

    path = units["steady", "2.0"]
    identifier = fmpy.read_model_description(str(path)).coSimulation.modelIdentifier
    unit = FMU2Slave(guid="{other}", unzipDirectory=str(fmpy.extract(str(path), str(tmp_path))), instanceName="a",
                     modelIdentifier=identifier)
    with pytest.raises(Exception, match="instantiate"):
        unit.instantiate()


def test_the_text_has_no_warnings(units, tmp_path):
    for version in VERSIONS:
        with zipfile.ZipFile(units["moving", version]) as archive:
            archive.extractall(tmp_path / version)
        subprocess.run([*find_compiler(native()), *STRICT, "-o", "unit.so", "unit.c", "model.c", "-lm"],
                       cwd=tmp_path / version / "sources", check=True)


def test_the_same_model_gives_the_same_bytes(roms, units, tmp_path):
    again = Fmu().write(roms["steady"], tmp_path / "other-name.fmu")[0]
    assert again.read_bytes() == units["steady", "3.0"].read_bytes()


def test_wrong_use_is_told(roms, units, tmp_path, monkeypatch):
    assert registry.load("exporter", "fmu", ".") is Fmu
    for options, words in (({"version": "1.0"}, "none of 3.0, 2.0"), ({"version": 2.5}, "none of"),
                           ({"version": [2]}, "none of"),
                           ({"platforms": "x86_64-linux"}, "no list"), ({"platforms": []}, "no list"),
                           ({"platforms": ["amiga"]}, "no platform is called 'amiga'"),
                           ({"version": "2.0", "platforms": ["aarch64-linux"]}, "FMI 2.0 knows no platform")):
        with pytest.raises(ConfigError, match=words):
            Fmu(**options)
    assert [Fmu(version=3).version, Fmu(version=2.0).version] == VERSIONS
    with pytest.raises(StoreError, match="is outside the range"):
        Fmu().answers(units["steady", "3.0"], np.full((1, 4), 9.0))
    with pytest.raises(StoreError, match="has 4 parameters"):
        Fmu().answers(units["steady", "3.0"], np.full((1, 2), 0.5))
    (tmp_path / "no.fmu").write_bytes(b"nothing")
    with pytest.raises(StoreError, match="cannot be run"):
        Fmu().answers(tmp_path / "no.fmu", np.full((1, 4), 0.5))
    with pytest.raises(SolveFailed, match="refused the text"):
        shared_library({"a.c": "int f(void) { return x; }"}, "a", native())
    with pytest.raises(ConfigError, match="no platform"):
        find_compiler("amiga")
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotSupported, match=r"romflow\[compiler\]"):
        find_compiler(next(name for name in PLATFORMS if name != native()))
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NotSupported, match="no C compiler"):
        Fmu().write(roms["steady"], tmp_path / "x.fmu")
    assert not (tmp_path / "x.fmu").exists()


@pytest.mark.long
def test_other_platforms_by_the_package(roms, tmp_path):
    pytest.importorskip("ziglang")
    names = ["x86_64-linux", "x86_64-darwin", "aarch64-darwin"]
    path = Fmu(platforms=names).write(roms["steady"], tmp_path / "all.fmu")[0]
    starts = {"linux": b"\x7fELF", "darwin": b"\xcf\xfa\xed\xfe"}
    with zipfile.ZipFile(path) as archive:
        binaries = {name: archive.read(name) for name in archive.namelist() if name.startswith("binaries/")}
    assert sorted(name.split("/")[1] for name in binaries) == sorted(names)
    for name, data in binaries.items():
        assert data.startswith(starts[name.split("/")[1].partition("-")[2]])


def test_a_compiler_that_refuses_does_not_end_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    study = Study.from_dict({
        "study": {"name": "plate"}, "model": {"kind": "thermal-block", "blocks": [2, 1], "cells": 6},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 2}}, "sampling": {"method": "sobol", "size": 3},
        "validation": {"size": 0}, "cluster": {"kind": "serial"}, "export": [{"format": "fmu"}, {"format": "npz"}]})
    study.run(tmp_path)
    assert (tmp_path / "plate.npz").is_file() and (tmp_path / "report.html").is_file()
    assert not (tmp_path / "plate.fmu").exists()
