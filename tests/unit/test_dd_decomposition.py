"""Partitions and decompositions: parts that are never empty, the numbering by parts, overlaps, and exact rows."""

from collections.abc import Callable

import numpy as np
import pytest
import skfem

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.dd.communicator import Single
from romflow.dd.decomposition import Decomposition, PartData, decompose, default_counts
from romflow.dd.layout import Layout, assemble, parts_of_rank
from romflow.dd.partition import METHODS, cell_graph, partition_cells, pieces, split

LINE = np.linspace(0.0, 1.0, 9)
SPACE = np.linspace(0.0, 1.0, 5)
MESHES = {"triangles": skfem.MeshTri.init_tensor(LINE, LINE), "quads": skfem.MeshQuad.init_tensor(LINE, LINE),
          "tets": skfem.MeshTet.init_tensor(SPACE, SPACE, SPACE),
          "hexes": skfem.MeshHex.init_tensor(SPACE, SPACE, SPACE)}


def _parts(mesh: skfem.Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cell_dofs with x = 0 fixed, cells, centroids."""
    free = mesh.p[0] > 1e-12
    number = np.where(free, np.cumsum(free) - 1, -1)
    return number[mesh.t.T], mesh.t.T, mesh.p[:, mesh.t].mean(axis=1).T


def _cut(name: str = "triangles", **options: object) -> Decomposition:
    return decompose(*_parts(MESHES[name]), **{"parts": 3, "subdomains": 6, "overlap": 1, **options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MESHES)
def test_parts_are_full_and_even(name: str, method: str) -> None:
    mesh = MESHES[name]
    labels = partition_cells(mesh.t.T, mesh.p.T, 5, method)
    counts = np.bincount(labels, minlength=5)
    assert counts.size == 5
    assert counts.min() > 0.6 * labels.size / 5
    every = partition_cells(mesh.t.T, mesh.p.T, mesh.t.shape[1], method)
    assert sorted(every) == list(range(mesh.t.shape[1]))


@pytest.mark.parametrize("name", MESHES)
def test_the_graph_of_cells_is_that_of_common_facets(name: str) -> None:
    mesh = MESHES[name]
    graph = cell_graph(mesh.t.T, mesh.p.shape[0]).toarray() > 0
    expected = np.zeros_like(graph)
    one, other = mesh.f2t[:, mesh.f2t[1] >= 0]
    expected[one, other] = expected[other, one] = True
    assert np.array_equal(graph, expected)
    assert not np.array_equal(graph, cell_graph(mesh.t.T, mesh.p.shape[0] - 1).toarray() > 0)


def test_impossible_partitions_are_refused() -> None:
    mesh = MESHES["triangles"]
    with pytest.raises(InputError, match="129 parts.*128 cells"):
        partition_cells(mesh.t.T, mesh.p.T, 129)
    with pytest.raises(ConfigError, match="'mettis'.*metis"):
        partition_cells(mesh.t.T, mesh.p.T, 2, "mettis")
    with pytest.raises(ShapeError):
        partition_cells(mesh.t.T, mesh.p[0], 2)


def test_default_counts() -> None:
    assert default_counts(1_069_200, 10**7) == (16, 432)
    assert default_counts(10**7, 10**8)[0] > 16
    assert default_counts(100, 5) == (5, 5)
    assert default_counts(100, 500, parts=4, subdomains=9) == (4, 12)
    with pytest.raises(InputError, match="at least 1"):
        default_counts(10, 10, parts=0)


@pytest.mark.parametrize("name", MESHES)
def test_the_numbering_is_by_parts_and_subdomains(name: str) -> None:
    found = _cut(name)
    dofs = _parts(MESHES[name])[0]
    assert np.array_equal(found.natural[found.number], np.arange(found.n))
    lowest = np.full(found.n, 99)
    for cell, subdomain in zip(dofs, found.cell_subdomain, strict=True):
        lowest[cell[cell >= 0]] = np.minimum(lowest[cell[cell >= 0]], subdomain)
    assert np.array_equal(np.sort(lowest), lowest[found.natural])
    assert np.array_equal(found.starts, np.searchsorted(lowest[found.natural], [0, 2, 4, 6]))


@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize("name", MESHES)
def test_parts_know_closures_and_overlaps(name: str, overlap: int) -> None:
    dofs, cells, _ = _parts(MESHES[name])
    found = _cut(name, overlap=overlap)
    own = []
    for i in range(3):
        part = found.part(i)
        own.append(part.cells[:part.own_cells])
        closure = np.unique(dofs[own[-1]])
        assert np.array_equal(np.sort(part.natural[:part.closure]), closure[closure >= 0])
        assert np.array_equal(part.dofs, found.number[part.natural])
        assert np.array_equal(part.dofs[:part.owned], np.arange(part.start, part.start + part.owned))
        for k in range(part.subdomains):
            one = part.subdomain(k)
            reached = set(np.flatnonzero(found.cell_subdomain == one.number))
            assert set(part.cells[one.own_cells]) == reached
            for _ in range(overlap):
                points = np.unique(cells[sorted(reached)])
                reached = set(np.flatnonzero(np.isin(cells, points).any(axis=1)))
            assert set(part.cells[one.cells]) == reached
            touched = np.unique(dofs[sorted(reached)])
            assert np.array_equal(np.sort(part.natural[one.dofs]), touched[touched >= 0])
            assert np.array_equal(np.sort(part.dofs[one.dofs]), part.dofs[one.dofs])
    assert sorted(np.concatenate(own)) == list(range(cells.shape[0]))


def test_rows_of_overlapped_unknowns_are_exact(must_fail: Callable[..., None]) -> None:
    dofs, cells, _ = _parts(MESHES["triangles"])
    found = _cut()
    K = np.random.default_rng(0).random((cells.shape[0], 3, 3))
    whole = assemble(np.where(dofs >= 0, found.number[dofs], -1), K, found.n).toarray()
    part = found.part(1)

    def check(count: int) -> None:
        local = assemble(part.cell_dofs[:count], K[part.cells[:count]], part.dofs.size).toarray()
        for k in range(part.subdomains):
            rows = part.subdomain(k).dofs
            assert np.allclose(local[rows], whole[np.ix_(part.dofs[rows], part.dofs)], atol=1e-12)
            assert np.allclose(local[rows].sum(), whole[part.dofs[rows]].sum(), atol=1e-9)

    check(part.cells.size)
    must_fail(check, part.own_cells, part.cells.size // 2)


def test_parts_survive_arrays_and_layouts_check_them() -> None:
    found = _cut()
    parts = [found.part(i) for i in range(3)]
    again = PartData.from_arrays(parts[1].to_arrays())
    for name, array in parts[1].to_arrays().items():
        assert np.array_equal(array, getattr(again, name)), name
    layout = Layout(Single(), parts)
    assert (layout.owned, layout.local, layout.subdomain_count) == (found.n, found.n, 6)
    with pytest.raises(InputError, match=r"given the parts \[1\]; the rule is \[0, 1, 2\]"):
        Layout(Single(), [parts[1]])
    with pytest.raises(InputError, match="one decomposition"):
        Layout(Single(), [*parts[:2], _cut(parts=3, subdomains=9, method="bisection").part(2)])
    assert found.fingerprint == _cut().fingerprint != _cut(overlap=2).fingerprint
    assert found.fingerprint != _cut(method="bisection").fingerprint


def test_ranks_share_parts_evenly() -> None:
    runs = [parts_of_rank(7, 3, rank) for rank in range(3)]
    assert [list(run) for run in runs] == [a.tolist() for a in np.array_split(np.arange(7), 3)]
    with pytest.raises(InputError, match="raise .solver. parts"):
        parts_of_rank(2, 3, 0)


def test_disconnected_and_wholly_fixed_subdomains_are_allowed() -> None:
    cells = np.array([[0, 1], [1, 2], [2, 3], [5, 6], [6, 7], [7, 8]])
    dofs = np.array([[0, 1], [1, 2], [2, -1], [-1, 3], [3, -1], [-1, -1]])
    found = Decomposition(dofs, cells, np.array([0, 1, 1, 0, 2, 3]), 4, 4, 0)
    assert found.disconnected.tolist() == [0]
    assert [found.part(i).owned for i in range(4)] == [3, 1, 0, 0]
    assert found.part(3).subdomain(0).dofs.size == 0
    assert pieces(cell_graph(cells, 1), np.zeros(6, dtype=int)).tolist() == [2]
    assert split(cells, cells.mean(axis=1)[:, None], 2, "bisection").tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("change", "error", "words"), [
    (lambda d, c, x: (d + (d > 3), c, x), InputError, "the unknown 4 belongs to no cell"),
    (lambda d, c, x: (-np.ones_like(d), c, x), InputError, "every value of the mesh is fixed"),
    (lambda d, c, x: (d.astype(float), c, x), InputError, "whole numbers"),
    (lambda d, c, x: (d[1:], c, x), ShapeError, r"\(E, w\)"),
    (lambda d, c, x: (d, c, x * np.nan), InputError, "not finite"),
])
def test_wrong_meshes_are_refused(change: Callable[..., tuple], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        decompose(*change(*_parts(MESHES["triangles"])), parts=2)
    with pytest.raises(InputError, match="overlap = -1"):
        _cut(overlap=-1)
