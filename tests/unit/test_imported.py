"""Displacements of another code: read from every format, stresses rebuilt, and what does not fit named."""

import contextlib
import importlib.util
import io
import os
from pathlib import Path

import h5py
import meshio
import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, SolveFailed
from romflow.core.fingerprint import check_json
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.marching import checked_march
from romflow.fom.mechanics.field_files import open_fields, placement
from romflow.fom.mechanics.foreign import imbalance
from romflow.fom.mechanics.imported import Imported
from romflow.fom.mechanics.model import Mechanics
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.array_file import ArrayFile

SPACE = ParameterSpace([Parameter("pull", Uniform(0.0, 300.0))])
TIMES = np.linspace(0.0, 2.0, 9)
PULLS = (120.0, 200.0)
PLATE = {"mesh": {"shape": "box", "cells": [6, 3], "lengths": [2.0, 1.0]}, "element": "quad4-bbar",
         "law": {"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "expansion": 1e-5, "isotropic": "200 + 2000 * p",
                 "kinematic": [{"modulus": 1e4, "recovery": 50.0}], "viscosity": 100.0, "exponent": 4.0,
                 "reference_temperature": 20.0, "temperature_range": [0.0, 250.0]},
         "supports": [{"on": "x = 0"}], "temperature": "20 + 80 * abs(a) * x",
         "loads": [{"type": "traction", "on": "x = max", "value": [1, 0.05], "amplitude": "pull * a"}],
         "amplitudes": {"a": {"times": [0, 1, 2], "values": [0, 1, -1]}},
         "outputs": [{"name": "p", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"},
                     {"name": "s", "type": "field", "field": "mises", "measure": "mean"}]}


@pytest.fixture(scope="module")
def solved():
    """Model, and displacements (n, K + 1) and outputs (o, K + 1) of each run of this package's own solver."""
    model = Mechanics(SPACE, **PLATE).evolving(TimeGrid(times=TIMES))
    runs = [list(checked_march(model, np.array([pull]))) for pull in PULLS]
    return model, [(np.hstack([p.states for p in run]), np.hstack([p.series for p in run])) for run in runs]


@pytest.fixture
def folder(tmp_path, solved):
    """A folder with the runs and their index."""
    model, runs = solved
    for i, (u, _) in enumerate(runs):
        write(tmp_path / f"run-{i}.npz", u, model)
    (tmp_path / "index.csv").write_text("pull,file\n" + "".join(f"{p},run-{i}.npz\n" for i, p in enumerate(PULLS)))
    return tmp_path


def write(path: Path, u: np.ndarray, model, times: np.ndarray = TIMES) -> None:
    nodes = model.mechanics.space.nodes
    np.savez(path, times=times, displacement=u.T.reshape(len(times), *nodes.shape), nodes=nodes)


def imported(folder: Path, times: np.ndarray = TIMES, **change):
    return Imported(SPACE, **{"path": ".", "base": folder, **PLATE, **change}).evolving(TimeGrid(times=times))


def test_own_stresses_come_back(folder, solved, must_fail):
    model, runs = solved
    fom = imported(folder)
    check_json(fom.spec)
    for pull, (u, series) in zip(PULLS, runs, strict=True):
        pieces = list(checked_march(fom, np.array([pull])))
        assert np.array_equal(np.hstack([piece.states for piece in pieces]), u)
        found = np.hstack([piece.series for piece in pieces])

        def check(values: np.ndarray, series: np.ndarray = series) -> None:
            assert np.abs(values - series).max() <= 1e-6 * np.abs(series).max()

        check(found)
        must_fail(check, found * (1 + 1e-5))
    assert runs[1][1][0].max() > 1e-4
    assert fom.compared(np.array([200.0])).balance.max() < 1e-6 and fom.compared(np.array([200.0])).stress is None
    assert fom.mechanics.law.variables["accumulated_plastic_strain"] == 1


def test_a_step_of_the_own_solver_goes_on_from_an_imported_time(folder, solved):
    fom = imported(folder)
    mu = np.array([200.0])
    fields, _ = fom.model.fields(mu, TIMES)
    last = list(fom._points(mu, fields, None, 1.0))[-2][1]
    point, _ = fom.step_from(last, 2.0, mu)
    assert np.allclose(point.displacement, solved[1][1][0][:, -1], rtol=1e-5, atol=1e-9)


def test_index_that_the_sampler_reads_too(folder):
    (folder / "mu.csv").write_text("pull\n120\n200\n")
    fom = imported(folder, index="mu.csv", files="run-{row}.npz")
    assert fom.solve(np.array([200.0])).state.shape == (fom.n,)
    with pytest.raises(ConfigError, match="no column file"):
        imported(folder, index="mu.csv")


@pytest.mark.parametrize(("table", "message"), [
    ("pull,file\n120,run-0.npz\n130,none.npz\n", "'none.npz', which is not in"),
    ("pul,file\n120,run-0.npz\n", "column 'pul'; known: pull, file"),
    ("file\nrun-0.npz\n", "needs pull, file"),
    ("pull,file\n", "has 0 runs"),
    ("pull,file\nx,run-0.npz\n", "give numbers"),
    ("pull,file\n1\n", "rows of other lengths"),
])
def test_wrong_indices_are_named(folder, table, message):
    (folder / "index.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        imported(folder)


def test_parameters_outside_and_runs_that_are_not_there(folder):
    with pytest.raises(SolveFailed, match=r"no run was imported for mu = \[150\]; the nearest of 2 is at \[120\]"):
        imported(folder).solve(np.array([150.0]))
    (folder / "index.csv").write_text("pull,file\n400,run-0.npz\n")
    with pytest.raises(ParameterError):
        imported(folder)


def test_missing_steps_are_named_and_what_is_before_is_kept(folder, solved):
    model, runs = solved
    rest = np.delete(np.arange(9), 5)
    write(folder / "run-0.npz", runs[0][0][:, rest], model, TIMES[rest])
    kept = []
    with pytest.raises(SolveFailed, match=r"no displacement at t = 1\.25; it has 8 times .*a step is missing"):
        for piece in imported(folder).march(np.array([120.0])):
            kept.append(piece)
    assert [piece.states.shape[1] for piece in kept] == [5]
    write(folder / "run-0.npz", runs[0][0][:, 1:], model, TIMES[1:])
    assert np.array_equal(imported(folder).solve(np.array([120.0])).state, runs[0][0][:, -1])


def test_another_mesh_is_flagged(folder):
    for cells in ([5, 3], [6, 4]):
        with pytest.raises(InputError, match="was made on another mesh|mesh has"):
            imported(folder, mesh={**PLATE["mesh"], "cells": cells}).solve(np.array([120.0]))
    with pytest.raises(InputError, match="in the same unit of length"):
        imported(folder, mesh={**PLATE["mesh"], "lengths": [2000.0, 1000.0]}).solve(np.array([120.0]))


@pytest.mark.parametrize("change", [
    {"scale": 1e3},
    {"law": {**PLATE["law"], "young": 2e5 / 2}},
    {"loads": [{**PLATE["loads"][0], "value": [-1, 0.05]}]},
    {"loads": [{**PLATE["loads"][0], "amplitude": "1.2 * pull * a"}]},
    {"temperature": 20.0},
])
def test_descriptions_that_do_not_balance_are_flagged_with_the_size(folder, change):
    with pytest.raises(SolveFailed, match=r"leave \d.* % of the forces unbalanced at t = 0\.25|the law does not conv"):
        imported(folder, **change).solve(np.array([200.0]))
    # The same is only reported where somebody asks for the comparison.
    if "scale" not in change:
        assert imported(folder, **change).compared(np.array([200.0])).balance.max() > 0.02


def test_temperatures_in_another_unit_are_flagged_by_range(folder):
    with pytest.raises(ParameterError, match="in kelvin"):
        imported(folder, temperature="293.15 + 80 * abs(a) * x").solve(np.array([120.0]))


@pytest.mark.parametrize(("change", "message"), [({"scale": 0.0}, "scale = 0"), ({"balance": -1}, "balance = -1")])
def test_wrong_options_are_named(folder, change, message):
    with pytest.raises(ConfigError, match=message):
        imported(folder, **change)


def test_every_format_gives_the_same_fields(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    nodes, u, t = rng.random((10, 3)), rng.random((4, 10, 3)), np.arange(4.0)
    np.savez("a.npz", times=t, U=u, nodes=nodes)
    with h5py.File("b.h5", "w") as file:
        file["times"], file["displacement"], file["name"] = t, u.reshape(4, 30), "text"
    cells = [("tetra", np.array([[0, 1, 2, 3]]))]
    with meshio.xdmf.TimeSeriesWriter("c.xdmf") as series:
        series.write_points_cells(nodes, cells)
        for k in range(4):
            series.write_data(t[k], point_data={"u": u[k]})
    entries = []
    for k in range(4):
        meshio.Mesh(nodes, cells, point_data={"displacement": u[k]}).write(f"d{k}.vtu")
        entries.append(f'<DataSet timestep="{t[k]}" file="d{k}.vtu"/>')
    Path("d.pvd").write_text(f"<VTKFile><Collection>{''.join(entries)}</Collection></VTKFile>")
    for name in ("a.npz", "b.h5", "c.xdmf", "d.pvd"):
        file = open_fields(name)
        assert file.times.tolist() == t.tolist() and np.array_equal(file.displacement(2), u[2])
        if file.nodes is not None:
            assert placement(nodes[::-1], file, Path(name)).tolist() == list(range(10))[::-1]
            with pytest.raises(InputError, match="made on another mesh"):
                placement(nodes + 0.1, file, Path(name))
    with pytest.raises(InputError, match="10 nodes; the mesh has 9"):
        placement(nodes[:9], open_fields("b.h5"), Path("b.h5"))
    with pytest.raises(InputError, match="no field 'V'; known: times, U, nodes"):
        open_fields("a.npz", "V")
    assert ArrayFile("b.h5").shapes == {"times": (4,), "displacement": (4, 30)}


def test_files_that_cannot_be_read(tmp_path):
    for name in ("a.npz", "a.h5", "a.xdmf", "a.pvd", "a.frd"):
        (tmp_path / name).write_text("no such format")
        with pytest.raises(InputError, match=name):
            open_fields(tmp_path / name)
    np.savez(tmp_path / "b.npz", times=[1.0, 0.0], displacement=np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match="do not rise"):
        open_fields(tmp_path / "b.npz")
    with pytest.raises(InputError, match="does not exist"):
        open_fields(tmp_path / "none.npz")


def test_muscat_is_asked_for_where_it_is_missing(tmp_path):
    (tmp_path / "a.ut").write_text("**meshfile a.geof\n")
    with pytest.raises(InputError, match="Muscat" if importlib.util.find_spec("Muscat") is None else "cannot be read"):
        open_fields(tmp_path / "a.ut")


@pytest.mark.skipif(importlib.util.find_spec("Muscat") is None, reason="Muscat is not installed")
def test_results_of_zset_through_muscat():
    with contextlib.redirect_stdout(io.StringIO()):
        from Muscat.TestData import GetTestDataPath

        place = Path(os.path.join(GetTestDataPath(), "UtExample", "cube.ut"))
    file = open_fields(place)
    assert file.times.tolist() == pytest.approx([0.0, 0.1, 0.15, 0.2])
    assert file.displacement(3).shape == file.nodes.shape == (343, 3)


def test_imbalance_of_a_free_body_that_is_heated(solved):
    problem = solved[0].mechanics
    left, size = imbalance(problem, np.zeros((6, problem.space.G)), problem.rows(np.array([0.0]), 0.0))
    assert left == 0.0 and size == 0.0
