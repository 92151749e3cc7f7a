"""Cell problems: element matrices on pieces of a mesh, models in space and in the plane, meshes from files."""

import itertools

import meshio
import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError
from romflow.fom.cell_model import picture_mesh
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.diffusion import DiffusionOnMesh
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace


def positive(size: int) -> ParameterSpace:
    return ParameterSpace([Parameter("k", Uniform(0.1, 10.0), size=size)])


_WIND = [Parameter("diffusion", Uniform(0.01, 1.0)), Parameter("angle", Uniform(-7.0, 7.0))]
WIND = ParameterSpace(_WIND)
WIND_IN_SPACE = ParameterSpace([*_WIND, Parameter("elevation", Uniform(-7.0, 7.0))])
PROBLEMS = {
    "quad": ThermalBlock.cell_problem(positive(4), [2, 2], 6),
    "triangle": AdvectionDiffusion.cell_problem(WIND, 6),
    "hexahedron": LinearElasticity.cell_problem(positive(2), cells=[4, 2, 2]),
    "tetra": LinearElasticity.cell_problem(positive(2), cells=[4, 2, 2], element="tet"),
    "plane strain": LinearElasticity.cell_problem(positive(2), cells=[4, 2], element="tri"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_cell_has_one_matrix_in_whatever_mesh_it_is(name, must_fail):
    problem = PROBLEMS[name]
    mesh, theta = problem.mesh, np.array([0.7, 3.0, 0.2, 5.0][:problem.Q])
    whole = problem.weighted_matrices(theta, mesh)
    some = np.random.default_rng(0).permutation(len(mesh.cells))[:7]
    assert np.array_equal(problem.weighted_matrices(theta, mesh.chosen(some)), whole[some])
    total = np.zeros_like(whole)
    for q in range(problem.Q):
        inside = problem.term_cells(q, mesh)
        total[inside] += theta[q] * problem.element_matrices(q, mesh.chosen(inside))

    def check(matrices):
        assert np.abs(matrices - whole).max() <= 1e-14 * np.abs(whole).max()

    check(total)
    must_fail(check, total * (1.0 + 1e-12), whole.transpose(0, 2, 1) + 1e-12)


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_thermal_block_in_space_converges_to_the_series_of_the_cube(element):
    """int u = sum over odd i, j, k of 512 / (pi^8 i^2 j^2 k^2 (i^2 + j^2 + k^2)) for -lap u = 1; errors are O(h^2)."""
    odd = np.arange(1.0, 60.0, 2.0) ** 2
    i, j, k = np.meshgrid(odd, odd, odd)
    exact = float((512.0 / (np.pi**8 * i * j * k * (i + j + k))).sum())
    errors = [exact - ThermalBlock(positive(1), [1, 1, 1], c, element).solve([1.0]).outputs[0] for c in (4, 8)]
    assert 0.0 < errors[1] < 0.2 * exact and 3.3 < errors[0] / errors[1] < 4.7


def test_blocks_in_space_run_along_x_then_y_then_z():
    model = ThermalBlock(positive(12), [3, 2, 2], 12)
    points = model.mesh.points[model.mesh.dofs]
    for q, A in enumerate(model.operator.matrices):
        inside = points[np.unique(A.nonzero()[0])]
        low = np.array([q % 3 / 3, q // 3 % 2 / 2, q // 6 / 2])
        assert ((inside >= low - 1e-12) & (inside <= low + [1 / 3, 1 / 2, 1 / 2] + 1e-12)).all()


def test_wind_in_space_blows_where_the_angles_say():
    model = AdvectionDiffusion(WIND_IN_SPACE, cells=6, element="Q1")
    assert model.operator.Q == 4 and not model.symmetric
    points = [tuple(point) for point in model.mesh.points.round(9)]
    x, y, z = (model.mesh.nodal(model.solve([0.05, *angles]).state)[:, 0, 0]
               for angles in ((0.0, 0.0), (np.pi / 2, 0.0), (0.3, np.pi / 2)))
    assert np.allclose(x, y[[points.index((b, a, c)) for a, b, c in points]], atol=1e-13)
    assert np.allclose(x, z[[points.index((c, b, a)) for a, b, c in points]], atol=1e-13)
    assert points[np.argmax(x)][0] > 0.6


@pytest.mark.parametrize("element", ["quad", "tri"])
def test_plane_strain_has_the_energy_of_its_law(element):
    """A linear field u = G x costs (lame tr(eps)^2 + 2 shear eps : eps) / 2 an area; rigid motions cost nothing."""
    problem = LinearElasticity.cell_problem(positive(1), length=2.0, cells=[4, 3], poisson=0.3, element=element)
    mesh, G = problem.mesh, np.array([[0.3, -0.7], [0.2, 0.5]])
    eps = 0.5 * (G + G.T)
    density = 0.3 / (1.3 * 0.4) * np.trace(eps) ** 2 + (eps**2).sum() / 1.3
    K = problem.element_matrices(0, mesh)
    corners = (mesh.points @ G.T)[mesh.cells].reshape(len(mesh.cells), -1)
    assert abs(np.einsum("ei,eij,ej", corners, K, corners) - 2.0 * density) < 1e-13
    modes = problem.modes(mesh.points).reshape(-1, 2, 3)[mesh.cells].reshape(len(mesh.cells), -1, 3)
    assert np.abs(K @ modes).max() < 1e-14 and np.linalg.matrix_rank(modes[0]) == 3


def test_beam_in_the_plane_bends_as_timoshenko_says():
    """q L^4 / (8 E I) + q L^2 / (2 k G A), k = 5/6, nu = 0; the mesh is 1 % too stiff."""
    model = LinearElasticity(positive(1), length=10.0, cells=[160, 16], poisson=0.0)
    expected = -(12.0 * 1e4 / 8.0 + 1e2 / (2.0 * 5.0 / 6.0 * 0.5)) / 5.0
    assert abs(model.solve([5.0]).outputs[0] / expected - 1.0) < 0.02
    assert model.near_nullspace.shape == (model.n, 3) and model.stability["kind"] == "min-theta"


# -- meshes from files ------------------------------------------------------------------------------------------------

FACES = {"tetra": "triangle", "hexahedron": "quad", "triangle": "line", "quad": "line"}


def written(folder, problem, name="mesh.msh"):
    """The mesh of a problem in a file: regions 7, 8 ..., facets on the planes of a box 1, 2 ..., shuffled cells."""
    mesh = problem.mesh
    picture = picture_mesh(mesh, problem.nodal, problem.components)
    d = mesh.points.shape[1]
    order = np.random.default_rng(1).permutation(len(mesh.cells))
    faces, tags = [], []
    corners = {"triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 4}[mesh.cell_type]
    for axis, (side, place) in itertools.product(range(d), enumerate([mesh.points.min(0), mesh.points.max(0)])):
        on = np.abs(mesh.points[:, axis] - place[axis]) < 1e-12
        for cell in picture.cells[on[picture.cells].sum(axis=1) == corners]:
            faces.append([vertex for vertex in cell if on[vertex]])
            tags.append(1 + 2 * axis + side)
    cells = [(FACES[mesh.cell_type], np.array(faces)), (mesh.cell_type, picture.cells[order])]
    ids = [np.array(tags), mesh.region[order] + 7]
    points = np.hstack([mesh.points, np.zeros((len(mesh.points), 3 - d))])
    extra = np.full((1, 3), 99.0)  # a point that no cell uses
    meshio.write(folder / name, meshio.Mesh(np.vstack([extra, points]), [(k, c + 1) for k, c in cells], cell_data={
        "gmsh:physical": ids, "gmsh:geometrical": ids}, field_data={"clamp": np.array([1, d - 1])}),
        file_format="gmsh22")
    return name


@pytest.mark.parametrize("options", [{"blocks": [2, 2], "cells": 6}, {"blocks": [2, 2], "cells": 6, "element": "P1"},
                                     {"blocks": [2, 2, 1], "cells": 4}], ids=["quad", "triangle", "hexahedron"])
def test_diffusion_on_a_file_is_the_block_that_was_written(tmp_path, options, must_fail):
    block = ThermalBlock(positive(4), **options)
    model = DiffusionOnMesh(positive(4), written(tmp_path, block.problem), base=tmp_path)
    mu = np.array([0.5, 1.0, 2.0, 3.0])

    def check(snapshot):
        assert abs(snapshot.outputs[0] - block.solve(mu).outputs[0]) < 1e-13

    check(model.solve(mu))
    assert model.n == block.n and model.files == (tmp_path / "mesh.msh",) and model.operator.Q == 4
    must_fail(check, model.solve(mu + 1e-8), model.solve(np.roll(mu, 1)))


@pytest.mark.parametrize("fixed", [["x = 0"], ["clamp"], [1], ["x = min"]])
@pytest.mark.parametrize("element", ["tet", "hex"])
def test_elasticity_on_a_file_is_the_beam_that_was_written(tmp_path, element, fixed):
    beam = LinearElasticity(positive(2), cells=[4, 2, 2], element=element)
    model = LinearElasticity(positive(2), mesh=written(tmp_path, beam.problem), fixed=fixed, force=[0.0, 0.0, -1.0],
                             base=tmp_path)
    u, v = model.solve([1.0, 3.0]), beam.solve([1.0, 3.0])
    assert model.n == beam.n and np.allclose(np.sort(u.state), np.sort(v.state), rtol=0, atol=1e-9)
    assert abs(u.outputs[0] - beam.rhs.vectors[:, 0] @ v.state) < 1e-9 * abs(u.outputs[0])


def test_advection_on_a_file_and_its_identity(tmp_path):
    square = AdvectionDiffusion(WIND, cells=8)
    file = written(tmp_path, square.problem)
    model = AdvectionDiffusion(WIND, mesh=file, base=tmp_path)
    assert abs(model.solve([0.1, 0.4]).outputs[0] - square.solve([0.1, 0.4]).outputs[0]) < 1e-13
    other = written(tmp_path, AdvectionDiffusion.cell_problem(WIND, 6), "other.msh")
    assert AdvectionDiffusion.cell_problem(WIND, mesh=other, base=tmp_path).spec != model.spec


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    written(folder, LinearElasticity.cell_problem(positive(2), cells=[4, 2, 2]))
    return folder / "mesh.msh"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fixed": None}, "names no boundary"),
        ({"fixed": ["clmp"]}, "Did you mean 'clamp'"),
        ({"fixed": [12]}, "no boundary 12"),
        ({"fixed": ["x = 77"]}, "holds no point"),
        ({"force": None}, "force = "),
        ({"force": [0.0, float("nan"), 0.0]}, "force = "),
        ({"force": [0.0, -1.0]}, "has dimension 3"),
        ({"mesh": 3}, "mesh = 3"),
        ({"parameters": positive(3)}, r"has 2 regions \(tag 7, tag 8\), and the study gives 3"),
    ],
)
def test_meshes_from_files_refuse_wrong_options(file, options, words):
    with pytest.raises(ConfigError, match=words):
        LinearElasticity(**{"parameters": positive(2), "mesh": file.name, "fixed": ["clamp"],
                            "force": [0.0, 0.0, -1.0], "base": file.parent, **options})


def test_files_that_hold_no_mesh_are_refused(tmp_path):
    def build(name):
        return DiffusionOnMesh(positive(1), name, base=tmp_path)

    with pytest.raises(InputError, match="does not exist"):
        build("none.msh")
    (tmp_path / "bad.msh").write_text("$MeshFormat\nno")
    with pytest.raises(InputError, match=r"bad\.msh cannot be read"):
        build("bad.msh")
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 1.0]])
    two = [("triangle", [[0, 1, 2]]), ("quad", [[0, 1, 3, 2]])]
    for name, cells, words in (("mixed", two, "of the types quad, tri"),
                               ("line", [("line", [[0, 1]])], "of the types line"),
                               ("bent", [("triangle", [[0, 1, 2], [1, 3, 4]])], "do not lie in the plane")):
        meshio.write(tmp_path / f"{name}.vtu", meshio.Mesh(points, cells))
        with pytest.raises(InputError, match=words):
            build(f"{name}.vtu")
    meshio.write(tmp_path / "one.vtu", meshio.Mesh(points, [("triangle", [[0, 1, 2]])]))
    with pytest.raises(ConfigError, match="every value of the mesh is fixed"):
        build("one.vtu")
