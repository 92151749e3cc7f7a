"""Geometry of the pictures: boundaries, coarsening, refinement, and what hides what."""

import numpy as np
import pytest

from romflow.core.mesh import Mesh
from romflow.report.scene import scene_of
from romflow.report.surface import averaged, boundary_faces, coarsened, normals, refined, triangles, used, with_middles

# the six tetrahedra of a cube around its diagonal 0-6, vertices in VTK's order of a hexahedron
KUHN = np.array([[0, 1, 2, 6], [0, 2, 3, 6], [0, 3, 7, 6], [0, 7, 4, 6], [0, 4, 5, 6], [0, 5, 1, 6]])


def box(nx, ny, nz, cell_type="hexahedron", size=(1.0, 1.0, 1.0)):
    axes = [np.linspace(0, length, n + 1) for length, n in zip(size, (nx, ny, nz), strict=True)]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    i = np.arange(len(points)).reshape(nx + 1, ny + 1, nz + 1)
    a, b = slice(None, -1), slice(1, None)
    corners = [(a, a, a), (b, a, a), (b, b, a), (a, b, a), (a, a, b), (b, a, b), (b, b, b), (a, b, b)]
    cells = np.stack([i[corner] for corner in corners], axis=-1).reshape(-1, 8)
    return points, cells if cell_type == "hexahedron" else cells[:, KUHN].reshape(-1, 4)


@pytest.mark.parametrize("cell_type", ["hexahedron", "tetra"])
def test_boundary_of_a_box_encloses_its_volume(cell_type, must_fail):
    points, cells = box(3, 2, 4, cell_type, size=(2.0, 1.0, 3.0))
    faces = boundary_faces(points, cells, cell_type)
    normal = normals(points, faces)

    def check(vectors):
        area = 0.5 * np.linalg.norm(vectors, axis=1).sum()
        volume = 0.5 * np.einsum("fd,fd->", points[faces].mean(axis=1), vectors) / 3
        np.testing.assert_allclose([area, volume], [2 * (2 + 3 + 6), 6.0], rtol=1e-12)

    check(normal)
    must_fail(check, -normal, 1.01 * normal)
    assert len(faces) == 2 * (3 * 2 + 2 * 4 + 3 * 4) * (1 if cell_type == "hexahedron" else 2)


def test_coarsening_keeps_area_and_values_of_a_plane_field():
    m = 200
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, m + 1), np.linspace(0, 1, m + 1)))
    i = np.arange((m + 1) ** 2).reshape(m + 1, m + 1)
    quads = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]], axis=-1).reshape(-1, 4)
    points, faces = np.stack([x, y], axis=1), triangles(quads)
    coarse, merged, label = coarsened(points, faces, 10_000)
    assert 2_500 < len(merged) < 15_000
    area = 0.5 * np.abs(normals(np.pad(coarse, ((0, 0), (0, 1))), merged)[:, 2]).sum()
    assert 0.95 < area <= 1.0 + 1e-12
    np.testing.assert_allclose(averaged(x, label), coarse[:, 0], atol=1e-14)
    untouched, same, _ = coarsened(points, faces, len(faces))
    assert untouched is points and same is faces


def test_refinement_keeps_area_and_interpolates_linearly():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces, steps = refined(triangles(np.array([[0, 1, 2, 3]])), 4, 40)
    assert len(faces) == 32 and len(steps) == 2
    fine = with_middles(points, steps)
    assert len(fine) == 25 and len(np.unique(fine, axis=0)) == 25
    np.testing.assert_allclose(0.5 * normals(fine, faces)[:, 2], np.full(32, 1 / 32))
    np.testing.assert_allclose(with_middles(points @ [1.0, 2.0, 3.0], steps), fine @ [1.0, 2.0, 3.0])


def test_unused_points_are_left_out():
    kept, faces = used(np.zeros((9, 2)), np.array([[2, 5, 8]]))
    assert kept.tolist() == [2, 5, 8] and faces.tolist() == [[0, 1, 2]]


def test_a_box_shows_three_of_its_sides_from_back_to_front():
    points, cells = box(2, 2, 2)
    scene = scene_of(Mesh(points, cells, "hexahedron", np.arange(len(points))))
    depth = scene.values(points @ _eye())[scene.faces].mean(axis=1)
    assert np.all(np.diff(depth) >= 0)
    corners = scene.values(points)[scene.faces]
    sides = {
        (axis, end) for axis in range(3) for end in (0.0, 1.0) if np.any(np.all(corners[:, :, axis] == end, axis=1))
    }
    assert sides == {(0, 1.0), (1, 0.0), (2, 1.0)}
    assert scene.body and np.all((scene.shade > 0) & (scene.shade <= 1))


def _eye():
    from romflow.report.scene import _view

    return _view()[2]


def test_meshes_without_faces_have_no_scene():
    assert scene_of(None) is None
    assert scene_of(Mesh([[0.0], [1.0]], [[0, 1]], "line", [0, 1])) is None
    assert scene_of(Mesh(np.zeros((3, 2)), np.zeros((0, 3), dtype=int), "triangle", [0])) is None


def test_plane_mesh_in_space_is_drawn_flat_and_a_shell_in_space():
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    mesh = Mesh(flat, [[0, 1, 2, 3]], "quad", np.arange(4))
    assert scene_of(mesh).shade is None
    bent = flat + np.array([[0, 0, 0.0], [0, 0, 0], [0, 0, 0.4], [0, 0, 0.4]])
    shell = scene_of(Mesh(bent, [[0, 1, 2, 3]], "quad", np.arange(4)))
    assert shell.shade is not None and not shell.body


def test_large_body_is_coarsened(monkeypatch):
    from romflow.report import scene as module

    monkeypatch.setattr(module, "_SOLID_LIMIT", 300)
    monkeypatch.setattr(module, "_SMOOTH", 0)
    points, cells = box(12, 12, 12)
    scene = scene_of(Mesh(points, cells, "hexahedron", np.arange(len(points))))
    assert 50 < len(scene.faces) < 600
    np.testing.assert_allclose(scene.values(points).min(axis=0), 0.0, atol=0.2)
