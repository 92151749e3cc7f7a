"""Fields on the mesh read back as the model has them."""

import dataclasses
import json

import meshio
import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, ParameterError, StoreError
from romflow.export.vtu import Vtu
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore


def reduced(fom):
    mu = fom.parameters.sample(3, np.random.default_rng(0))
    return ReducedBasisReductor().reduce(fom, MemoryStore(fom), mu)


@pytest.fixture(scope="module")
def rom():
    return reduced(ThermalBlock(ParameterSpace([Parameter("k", Uniform(0.1, 1.0), 4)]), [2, 2], 6))


def test_scalar_fields_of_a_plane_mesh(rom, tmp_path):
    path, facts = Vtu(modes=2).write(rom, tmp_path / "a.vtu")
    assert json.loads(facts.read_text("ascii"))["columns"] == list(rom.parameters.columns)
    grid = meshio.read(path)
    mesh = rom.mesh
    assert grid.points.shape[1] == 3
    np.testing.assert_array_equal(grid.points[:, :2], mesh.points)
    np.testing.assert_array_equal(grid.cells[0].data, mesh.cells)
    assert grid.cells[0].type == mesh.cell_type and set(grid.point_data) == {"mode_1", "mode_2", "solution"}
    np.testing.assert_array_equal(grid.point_data["mode_2"], mesh.nodal(rom.basis[:, 1])[:, 0, 0])
    state = rom.lift(rom.solve(rom.parameters.centre()).coefficients)
    np.testing.assert_array_equal(grid.point_data["solution"], mesh.nodal(state)[:, 0, 0])


def test_vector_field_of_a_body(tmp_path):
    rom = reduced(LinearElasticity(ParameterSpace([Parameter("modulus", Uniform(0.5, 2.0), 2)]), cells=[3, 2, 2]))
    grid = meshio.read(Vtu().write(rom, tmp_path / "a.vtu")[0])
    deflection = grid.point_data["solution"]
    assert deflection.shape == (len(rom.mesh.points), 3)
    assert np.all(deflection[rom.mesh.points[:, 0] == 0] == 0)
    assert deflection[:, 2].min() < 0 and "mode_3" in grid.point_data
    assert meshio.CellBlock(grid.cells[0].type, grid.cells[0].data).type == "hexahedron"


def test_plane_vectors_get_a_third_component(rom, tmp_path):
    mesh = dataclasses.replace(rom.mesh, components=2, dofs=2 * rom.mesh.dofs + 1)
    grid = meshio.read(Vtu().write(dataclasses.replace(rom, mesh=mesh), tmp_path / "a.vtu")[0])
    mode = grid.point_data["mode_1"]
    assert mode.shape == (len(mesh.points), 3) and np.all(mode[:, [0, 2]] == 0) and np.any(mode[:, 1])


def test_given_parameters(rom, tmp_path):
    rows = np.array([[0.2, 0.3, 0.4, 0.5], [1.0, 0.1, 1.0, 0.1]])
    header = ",".join(rom.parameters.columns)
    np.savetxt(tmp_path / "mu.csv", rows, delimiter=",", header=header, comments="")
    listed = Vtu(mu=rows.tolist()).write(rom, tmp_path / "a.vtu")[0]
    table = Vtu(mu="mu.csv", base=tmp_path, modes=20).write(rom, tmp_path / "b.vtu")[0]
    assert listed.read_bytes() == table.read_bytes()
    grid = meshio.read(listed)
    states = rom.mesh.nodal(rom.lift(rom.solve(rows).coefficients))
    for i in range(2):
        np.testing.assert_array_equal(grid.point_data[f"solution_{i + 1}"], states[:, 0, i])
    single = meshio.read(Vtu(mu=rows[1].tolist()).write(rom, tmp_path / "c.vtu")[0])
    np.testing.assert_allclose(single.point_data["solution"], states[:, 0, 1], rtol=1e-13)


def test_bytes_are_deterministic_and_nothing_else_is_left(rom, tmp_path):
    first = Vtu().write(rom, tmp_path / "a.vtu")[0].read_bytes()
    assert Vtu().write(rom, tmp_path / "a.vtu")[0].read_bytes() == first
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.vtu", "a_facts.json"]


def test_model_without_mesh_is_not_supported(rom, tmp_path):
    with pytest.raises(NotSupported, match=r"needs the mesh .* this reduced model has none"):
        Vtu().write(dataclasses.replace(rom, mesh=None), tmp_path / "a.vtu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("modes", [-1, 1.5, True, "all"])
def test_wrong_number_of_modes_is_refused(modes):
    with pytest.raises(ConfigError, match="modes"):
        Vtu(modes=modes)


def test_wrong_parameters_and_folders_are_refused(rom, tmp_path):
    with pytest.raises(ParameterError, match="outside"):
        Vtu(mu=[[9.0, 1.0, 1.0, 1.0]]).write(rom, tmp_path / "a.vtu")
    with pytest.raises(InputError, match="cannot be read"):
        Vtu(mu="none.csv", base=tmp_path).write(rom, tmp_path / "a.vtu")
    with pytest.raises(StoreError):
        Vtu().write(rom, tmp_path / "missing" / "a.vtu")
