"""A zone with random boundary conditions: it repeats the runs that taught it, and refuses what it cannot know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, StoreError
from romflow.fom.build import build_model, model_identity
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.submodel import Submodel
from romflow.fom.mechanics.submodel_runs import whole_body
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.loading import load
from romflow.store.snapshots import SnapshotStore
from romflow.study import Study
from romflow.tasks.marching import stored_march

STUDY = """
[study]
name = "whole"
[model]
kind = "mechanics"
mesh = {shape = "box", cells = [6, 2], lengths = [3.0, 1.0]}
element = "quad4-bbar"
temperature = "20 + heat * x * t"
[model.law]
kind = "viscoplastic"
young = "1000 - 0.2 * T"
poisson = 0.3
expansion = 1e-4
reference_temperature = 20.0
isotropic = "5 + 50 * p"
temperature_range = [-400.0, 500.0]
[[model.supports]]
on = "x = 0"
[[model.loads]]
type = "traction"
on = "x = max"
value = [1, 0.2]
amplitude = "pull * t"
[[model.loads]]
type = "traction"
on = "y = max"
value = [0, 1]
amplitude = "0.2 * pull * t"
[parameters.pull]
low = 3.0
high = 6.0
[parameters.heat]
low = 10.0
high = 30.0
[time]
end = 1.0
steps = 2
[sampling]
method = "latin-hypercube"
size = 7
seed = 3
"""
ZONE = "x < 1.6"
OUTPUTS = [{"name": "stress", "type": "field", "field": "mises"}]


def solve_all(folder: Path, text: str, runs: str = "runs/whole") -> None:
    """The runs of a study in its run folder."""
    (folder / "whole.toml").write_text(text, encoding="utf-8")
    study = Study.from_file(folder / "whole.toml")
    fom = build_model(study.request)
    store = SnapshotStore(folder / runs / "store", model_identity(study.request, fom), fom.parameters.columns)
    for mu in study.sampler().design():
        stored_march(fom, store, mu)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a whole body with its runs."""
    place = tmp_path_factory.mktemp("submodel")
    solve_all(place, STUDY)
    return place


def normals(size: int) -> ParameterSpace:
    return ParameterSpace([Parameter("z", Normal(0.0, 1.0), size)])


def submodel(folder: Path, size: int = 6, **options) -> Submodel:
    options = {"zone": ZONE, "outputs": OUTPUTS, "tolerance": 0.5, **options}
    return Submodel(normals(size), "whole.toml", base=folder, **options)


@pytest.fixture(scope="module")
def zone(folder: Path) -> Submodel:
    """All modes of the runs."""
    return submodel(folder)


def test_a_zone_moves_as_in_the_runs_that_taught_it(folder: Path, zone: Submodel) -> None:
    whole = whole_body("whole.toml", base=folder)
    model = zone.evolving(TimeGrid(1.0, 2))
    for i in (0, 4):
        trajectory = whole.store.trajectory(whole.mu[i])
        there = trajectory.columns().reshape(-1, 2, 3)[zone.zone.nodes].reshape(-1, 3)
        found = np.concatenate([piece.states for piece in model.march(zone.modes.samples[i])], axis=1)
        other = np.concatenate([piece.states for piece in model.march(zone.modes.samples[i + 1])], axis=1)
        size = np.abs(there).max()
        assert np.abs(found - there).max() < 1e-4 * size < np.abs(other - there).max()


def test_one_draw_drives_cut_temperature_and_loads(zone: Submodel) -> None:
    problem = zone.mechanics
    assert set(zone.modes.captured) == {"trace", "temperature", "pull"} and min(zone.modes.captured.values()) > 1 - 1e-9
    names = problem.loading.columns
    rows = np.concatenate([problem.rows(z, 1.0) for z in zone.modes.samples])
    heats = problem.temperature.values(problem.space.nodes.T, rows)
    mu = whole_body("whole.toml", base=zone.files[0].parent).mu
    assert np.allclose(rows[:, names.index("pull")], mu[:, 0])
    assert np.allclose(heats, 20 + problem.space.nodes[:, :1] * mu[:, 1])
    assert not np.allclose(heats, 20 + problem.space.nodes[:, :1] * np.roll(mu[:, 1], 1))


def test_few_modes_are_refused_where_they_miss_more_than_the_tolerance(folder: Path) -> None:
    assert submodel(folder, 2, tolerance=0.2).modes.missed < 0.2
    with pytest.raises(ConfigError, match="1 modes miss .* raise the size of the parameters"):
        submodel(folder, 1, tolerance=1e-3)


def test_a_finer_mesh_takes_the_cut_from_the_shape_functions(folder: Path, zone: Submodel) -> None:
    fine = submodel(folder, zone=None, mesh={"shape": "box", "cells": [6, 4], "lengths": [1.5, 1.0]},
                    element="quad4-bbar", cut="x = max", supports=[{"on": "x = 0"}],
                    loads=[{"type": "traction", "on": "y = max", "value": [0, 1], "amplitude": "0.2 * pull * t"}])
    z = zone.modes.samples[2]
    coarse, found = (one.evolving(TimeGrid(1.0, 2)).solve(z) for one in (zone, fine))
    on_cut = fine.zone.values[fine.zone.cut] @ whole_field(folder, 2)
    assert np.allclose(found.state.reshape(-1, 2)[fine.zone.cut], on_cut, atol=3e-4 * np.abs(on_cut).max())
    assert 0.7 < found.outputs[0] / coarse.outputs[0] < 1.4


def whole_field(folder: Path, i: int) -> np.ndarray:
    whole = whole_body("whole.toml", base=folder)
    return whole.store.trajectory(whole.mu[i]).state(-1).reshape(-1, 2)


def test_a_reduced_zone_is_the_same_from_its_file(zone: Submodel, tmp_path: Path) -> None:
    fom = zone.evolving(TimeGrid(1.0, 2))
    mu = zone.modes.samples[:4]
    store = SnapshotStore(tmp_path / "store", fom.spec, fom.parameters.columns)
    for row in mu:
        stored_march(fom, store, row)
    rom = EmpiricalCubature(tolerance=1e-5, calibrate=False).reduce(fom, store, mu)
    rom.save(tmp_path / "model.h5")
    truth = store.outputs(mu)
    assert np.allclose(rom.solve(mu).output, truth, rtol=1e-3)
    assert np.array_equal(load(tmp_path / "model.h5").solve(mu).output, rom.solve(mu).output)
    with pytest.raises(ParameterError, match="one draw in 10"):
        rom.solve(np.full((1, 6), 3.5))
    with pytest.raises(ParameterError, match="end at t = 1"):
        rom.solve(mu, times=[0.0, 1.0, 2.0])


def test_draws_far_outside_are_refused(zone: Submodel) -> None:
    model = zone.evolving(TimeGrid(1.0, 2))
    for far in (50.0, -3.5):
        with pytest.raises(ParameterError, match="nothing is known so far out"):
            model.solve(np.full(6, far))


@pytest.mark.parametrize(("options", "rule"), [
    ({"zone": "x > 77"}, "holds no cell"), ({"zone": "x > -1"}, "whole body"),
    ({"runs": 5}, "path of the run folder"), ({"network": 5}, "belongs to generator"),
    ({"zone": "boundary"}, "holds no cell; name a region"),
    ({"zone": None}, "the rule is one of both"), ({"generator": "kopula"}, "kopula"),
    ({"modes": 3}, "one parameter a mode"), ({"tolerance": 1.5}, "tolerance"),
    ({"cut": "x = 0"}, "mesh of its own"), ({"network": {"steps": 3}}, "belongs to generator"),
    ({"zone": None, "mesh": {"shape": "box", "cells": [2, 2]}}, "needs supports and loads"),
    ({"zone": None, "mesh": {"shape": "box", "cells": [2, 2]}, "supports": [], "loads": []}, "needs cut"),
    ({"outputs": [{"name": "a"}]}, "output 1"), ({"modes": 0}, "whole number from 1"), ({"norm": "L3"}, "norm"),
])
def test_wrong_options_are_refused(folder: Path, options: dict, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        submodel(folder, **options)


def test_a_mesh_outside_the_whole_body_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="does not lie in the whole body"):
        submodel(folder, zone=None, mesh={"shape": "box", "cells": [2, 2], "lengths": [5.0, 1.0]}, cut="x = max",
                 element="quad4-bbar", supports=[], loads=[])


@pytest.mark.parametrize(("old", "new", "error", "rule"), [
    ("cells = [6, 2]", "cells = [5, 2]", StoreError, "another model"),
    ("size = 7", "size = 70", InputError, "run it first"),
    ('method = "latin-hypercube"\nsize = 7', 'method = "grid"\nper_axis = 2', ConfigError, "what is likely"),
    ('kind = "mechanics"', 'kind = "calculix"', ConfigError, "the rule is \"mechanics\""),
])
def test_other_runs_than_those_of_the_study_are_refused(folder: Path, old: str, new: str, error: type,
                                                        rule: str) -> None:
    (folder / "other.toml").write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(error, match=rule):
        Submodel(normals(2), "other.toml", zone=ZONE, base=folder)


def test_one_run_teaches_nothing(tmp_path: Path) -> None:
    solve_all(tmp_path, STUDY.replace("size = 7", "size = 1"))
    with pytest.raises(InputError, match="got 1 run"):
        submodel(tmp_path, 1)


def test_more_modes_than_runs_and_other_parameters_are_refused(folder: Path, zone: Submodel) -> None:
    with pytest.raises(InputError, match="1 <= modes < runs"):
        submodel(folder, 7)
    with pytest.raises(ConfigError, match="mean 0 and std 1"):
        Submodel(ParameterSpace([Parameter("z", Uniform(-1.0, 1.0), 2)]), "whole.toml", zone=ZONE, base=folder)
    with pytest.raises(ConfigError, match="ends at 2"):
        zone.evolving(TimeGrid(2.0, 4))
