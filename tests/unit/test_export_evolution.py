"""Evolution models in other formats: the evaluator of NumPy alone, series of fields, and what has no such form."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from dataclasses import replace

import meshio
import numpy as np
import pytest

from romflow.core.errors import ConfigError, NotSupported
from romflow.export.npz import Npz
from romflow.export.vtu import Vtu
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_greedy import PodGreedy
from romflow.rom.loading import load
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march

BLOCK = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=2)])
WIND = ParameterSpace([Parameter("diffusion", Uniform(0.1, 1.0)), Parameter("angle", Uniform(0.0, 1.5))])


def fom(kind, **time):
    if kind == "wind":
        return AdvectionDiffusion(WIND, cells=5, speed=3.0).evolving(TimeGrid(**time))
    return ThermalBlock(BLOCK, blocks=[2, 1], cells=[6, 5]).evolving(TimeGrid(**time))


def reduced(model, folder, **options):
    store, mu = SnapshotStore(folder / "store", {"kind": "t"}, model.parameters.columns), model.parameters.sample(
        4, np.random.default_rng(0))
    for row in mu:
        stored_march(model, store, row)
    return PodGreedy(1e-2, 30, **options).reduce(model, store, mu)


def evaluator(path):
    spec = importlib.util.spec_from_file_location("evaluator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "time"), [
    ("block", {"times": [0.01, 0.05, 0.2], "load": "1 + t * k_0", "initial": "k_1 * x * y + cos(x)"}),
    ("wind", {"end": 0.5, "steps": 6}),
    ("block", {"end": 0.002, "steps": 10, "scheme": "explicit-euler", "initial": "x * (1 - x) * y * (1 - y)"})],
    ids=["initial", "scm", "explicit"])
def test_the_evaluator_answers_as_the_model(kind, time, tmp_path, must_fail):
    rom = reduced(fom(kind, **time), tmp_path)
    rom.save(tmp_path / "m.h5")
    Npz(fields=False).write(load(tmp_path / "m.h5"), tmp_path / "e.npz")
    module = evaluator(tmp_path / "e_evaluate.py")
    mu = rom.parameters.sample(1003, np.random.default_rng(1))
    answer = rom.solve(mu)

    def check(parameters: np.ndarray) -> None:
        outputs, error = module.evaluate(parameters)
        np.testing.assert_allclose(outputs, answer.output, rtol=1e-9)
        np.testing.assert_allclose(error, answer.error, rtol=1e-6)

    check(mu)
    must_fail(check, 0.99 * mu + 0.005)
    outputs, error = module.series(mu[:3])
    np.testing.assert_allclose(outputs, answer.series[..., :3], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(error, answer.error_series[:, :3], rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(module.TIMES, rom.times)
    with pytest.raises(ValueError, match="within the parameter space"):
        module.evaluate([5.0, 5.0])


@pytest.mark.parametrize(("time", "options", "reason"), [
    ({"scheme": "bdf2"}, {}, "the scheme bdf2"), ({"tolerance": 1e-3}, {}, "step control"),
    ({}, {"windows": 2, "window_size": 3}, "time windows")])
def test_what_has_no_evaluator_says_why(time, options, reason, tmp_path):
    rom = reduced(fom("block", end=0.2, steps=6, **time), tmp_path, **options)
    with pytest.raises(NotSupported, match=f"{reason}; use format = \"csv\""):
        Npz().write(rom, tmp_path / "e.npz")


def test_fields_over_time_are_a_series(tmp_path):
    rom = reduced(fom("block", end=0.2, steps=3), tmp_path)
    files = Vtu(mu=[[0.3, 0.7]], modes=1, times=True).write(rom, tmp_path / "a.vtu")
    names = ["a.vtu", "a_0.vtu", "a_1.vtu", "a_2.vtu", "a_3.vtu", "a.pvd", "a_facts.json"]
    assert [file.name for file in files] == names
    sets = ET.parse(tmp_path / "a.pvd").getroot().findall("Collection/DataSet")
    assert [(float(one.get("timestep")), one.get("file")) for one in sets] == [
        (t, f"a_{k}.vtu") for k, t in enumerate(rom.times.tolist())]
    answer = rom.solve(np.array([[0.3, 0.7]]))
    for k in (1, 3):
        found = meshio.read(tmp_path / f"a_{k}.vtu").point_data["solution"]
        expected = rom.mesh.nodal(rom.lift(answer.trajectory[k]))[:, 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(meshio.read(tmp_path / "a.vtu").point_data["solution"],
                                  meshio.read(tmp_path / "a_3.vtu").point_data["solution"])


def test_series_are_for_models_that_move(tmp_path):
    block = ThermalBlock(BLOCK, blocks=[2, 1], cells=4)
    moving = reduced(fom("block", end=0.2, steps=3), tmp_path)
    still = replace(moving, mesh=block.mesh)
    with pytest.raises(ConfigError, match="times = 'all' is neither true nor false"):
        Vtu(times="all")
    plain = type("Still", (), {"mesh": still.mesh, "parameters": still.parameters})()
    with pytest.raises(NotSupported, match="times = true is for models that move"):
        Vtu(times=True).write(plain, tmp_path / "b.vtu")
