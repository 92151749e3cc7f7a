"""Models in parts in one process: sums over parts, the decomposition on disk, what a model must offer, refusals."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, StoreError
from romflow.core.fingerprint import fingerprint
from romflow.core.snapshot import Snapshot
from romflow.dd.communicator import Single
from romflow.dd.layout import Layout
from romflow.fom.build import build_model, model_identity
from romflow.fom.cells import CellMesh
from romflow.fom.distributed.folder import floating_pieces, read_numbering, read_piece
from romflow.fom.distributed.model import DistributedModel
from romflow.fom.distributed.terms import RankTerms, term_matrix
from romflow.fom.protocol import SupportsAffine, SupportsParts
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.part_arrays import part_file
from romflow.store.snapshots import SnapshotStore

MODULI = ParameterSpace([Parameter("modulus", Uniform(0.1, 10.0), size=2)])
WIND = ParameterSpace([Parameter("diffusion", Uniform(0.01, 1.0)), Parameter("angle", Uniform(-7.0, 7.0))])
BEAM = ("linear-elasticity", MODULI, {"cells": [6, 2, 2], "element": "tet"})
CASES = {
    "block": ("thermal-block", ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)]), {"blocks": 2, "cells": 10}),
    "wind": ("advection-diffusion", WIND, {"cells": 6}),
    "beam": BEAM,
}


def request(kind, space, options, ranks=None, base=".", **solver):
    wish = {"kind": kind, "options": options, "parameters": space.to_spec(), "base": str(base)}
    return wish if ranks is None else {**wish, "ranks": ranks, "solver": {"method": "auto", **solver}}


@pytest.fixture(scope="module", params=CASES)
def split(request, tmp_path_factory):  # noqa: F811
    """A model as a whole, the same in three parts, its folder, and the numbering."""
    kind, space, options = CASES[request.param]
    folder = tmp_path_factory.mktemp("store")
    model = build_model(globals()["request"](kind, space, options, 2, parts=3, subdomains=6))
    model.decompose(folder)
    return build_model(globals()["request"](kind, space, options)), model, folder, read_numbering(folder)


def summed(parts, matrix, n):
    """sum of R_i^T A_i R_i."""
    pieces = [matrix(part).tocoo() for part in parts]
    rows = np.concatenate([part.dofs[A.row] for part, A in zip(parts, pieces, strict=True)])
    columns = np.concatenate([part.dofs[A.col] for part, A in zip(parts, pieces, strict=True)])
    return sp.csr_array((np.concatenate([A.data for A in pieces]), (rows, columns)), shape=(n, n))


def test_sums_over_parts_are_the_operators_of_the_whole(split, must_fail):
    whole, model, folder, natural = split
    parts = [model.part_operators(folder, i) for i in range(model.parts)]
    assert len(parts) == 3 and sum(part.owned for part in parts) == whole.n == model.n
    n = whole.n

    def check(sums):
        terms, product, f = sums
        for q, A in enumerate(whole.operator.matrices):
            assert abs(terms[q] - A[natural][:, natural]).max() <= 1e-14 * abs(A).max()
        X = whole.inner_product[natural][:, natural]
        assert abs(product - X).max() <= 1e-14 * abs(X).max() and np.array_equal(f, whole.rhs.vectors[natural])

    f, outputs = np.zeros_like(whole.rhs.vectors), np.zeros_like(whole.outputs.functionals)
    for part in parts:
        f[part.dofs] += part.rhs
        outputs[:, :, part.dofs] += part.outputs
    terms = [summed(parts, lambda part, q=q: part.operator[q], n) for q in range(whole.operator.Q)]
    product = summed(parts, lambda part: part.product, n)
    check((terms, product, f))
    assert np.array_equal(outputs, whole.outputs.functionals[:, :, natural])
    two = [summed(parts[:2], lambda part, q=q: part.operator[q], n) for q in range(whole.operator.Q)]
    must_fail(check, (two, product, f), (terms, 1.001 * product, f), (terms, product, f[::-1] + 1e-10))


def test_a_part_has_a_product_that_is_not_negative(split):
    _, model, folder, _ = split
    for i in range(model.parts):
        part = model.part_operators(folder, i)
        assert np.linalg.eigvalsh(part.product.toarray()).min() > -1e-13
        assert part.dofs[:part.owned].tolist() == list(range(part.start, part.start + part.owned))


def test_a_rank_assembles_what_the_whole_has_in_its_rows(split, must_fail):
    """Rows of the overlapped unknowns are exact; a Neumann matrix is that of the overlapped cells alone."""
    whole, model, folder, natural = split
    pieces = [read_piece(folder, i) for i in range(model.parts)]
    layout = Layout(Single(), [piece.data for piece in pieces])
    terms = RankTerms(model.problem, pieces, layout)
    mu = np.array([0.7, 0.2, 0.4, 0.9])[:whole.parameters.size]
    theta = model.operator_theta(mu[None])[0]
    A = whole.operator.assemble(mu)[natural][:, natural]

    def check(B):
        assert abs(B - A).max() <= 1e-14 * abs(A).max()

    check(terms.matrix(theta))
    must_fail(check, terms.matrix(theta * (1 + 1e-12)), terms.matrix(theta).T + 1e-9 * A)
    assert np.shares_memory(terms.matrix(theta).indices, terms.matrix(2.0 * theta).indices)
    problem, neumann = model.problem, terms.neumann(theta)
    number = np.empty(whole.n, dtype=int)
    number[natural] = np.arange(whole.n)
    for i, one in enumerate(layout.subdomains):
        cells = layout.cells[one.cells]
        local = problem.weighted_matrices(theta, problem.mesh.chosen(cells))
        B = np.zeros((whole.n, whole.n))
        for dofs, K in zip(problem.cell_dofs[cells], local, strict=True):
            free = dofs >= 0
            B[np.ix_(number[dofs[free]], number[dofs[free]])] += K[np.ix_(free, free)]
        found = neumann(i).toarray()
        assert np.abs(found - B[np.ix_(one.dofs, one.dofs)]).max() <= 1e-13 * np.abs(B).max()
        assert np.abs(B).sum() <= np.abs(found).sum() * (1.0 + 1e-12)


def test_terms_on_other_regions_share_their_pattern():
    problem = build_model(request(*BEAM, 1, parts=1)).problem
    model = DistributedModel(problem, 1, {"parts": 1})
    pieces = model._alone.pieces
    sizes = [slots.size for slots, _ in model._alone._terms._terms]
    whole = term_matrix(problem, 0, [(pieces[0], np.arange(0), np.zeros((0, 12), dtype=int))], model.n)
    assert whole.nnz == 0 and sum(sizes) < 1.5 * model._alone._terms._indices.size


def test_a_split_model_solves_alone_what_the_whole_solves(split, must_fail):
    whole, model, _, natural = split
    mu = whole.parameters.centre()
    expected, snapshot = whole.solve(mu), model.solve(mu)

    def check(state):
        assert np.linalg.norm(state - expected.state[natural]) <= 1e-7 * np.linalg.norm(expected.state)

    check(snapshot.state)
    must_fail(check, snapshot.state * (1.0 + 1e-5), expected.state[natural][::-1] * 1.1)
    assert np.allclose(snapshot.outputs, expected.outputs, rtol=1e-8) and snapshot.info["relative_residual"] <= 1e-9
    nodal = model.mesh.nodal(snapshot.state)
    assert np.allclose(nodal, whole.mesh.nodal(expected.state), rtol=0, atol=1e-7 * np.abs(nodal).max())


def test_ranks_are_no_part_of_the_identity():
    wishes = [request(*BEAM, ranks, parts=4) for ranks in (1, 2, 4)]
    models = [build_model(wish) for wish in wishes]
    keys = {fingerprint(model_identity(wish, model)) for wish, model in zip(wishes, models, strict=True)}
    assert len(keys) == 1 and [model.ranks for model in models] == [1, 2, 4]
    other = request(*BEAM, 2, parts=5)
    assert fingerprint(model_identity(other, build_model(other))) not in keys
    assert isinstance(models[0], SupportsParts) and not isinstance(models[0], SupportsAffine)


# -- the decomposition on disk ----------------------------------------------------------------------------------------

@pytest.fixture
def model():
    return DistributedModel(build_model(request(*BEAM, 1)).problem, 2, {"parts": 2})


def test_the_decomposition_is_written_once_and_whole(model, tmp_path, monkeypatch):
    index = model.decompose(tmp_path)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "decomposition").iterdir()}
    assert {file.name for file in files} == {"part-0000.h5", "part-0001.h5", "index.json", "numbering.h5"}
    again = DistributedModel(model.problem, 1, {"parts": 2})
    assert again.decompose(tmp_path).fingerprint == index.fingerprint
    assert files == {file: file.stat().st_mtime_ns for file in (tmp_path / "decomposition").iterdir()}
    assert index.parts == 2 and index.n == model.n == index.starts[-1] and index.disconnected == 0

    def stop(old, new):
        assert (old / "index.json").is_file()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", stop)
    with pytest.raises(StoreError, match="no space left"):
        model.decompose(tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())


def test_another_decomposition_is_refused(model, tmp_path):
    model.decompose(tmp_path)
    for solver in ({"parts": 3}, {"parts": 2, "overlap": 2}, {"parts": 2, "partition": "bisection"}):
        with pytest.raises(StoreError, match="decomposition of another mesh, or one with other parts"):
            DistributedModel(model.problem, 2, solver).decompose(tmp_path)
    with pytest.raises(StoreError, match="was not decomposed yet"):
        model.index(tmp_path / "elsewhere")


def test_snapshots_of_another_decomposition_are_refused(model, tmp_path):
    store = SnapshotStore(tmp_path, model.spec, model.parameters.columns)
    store.put([1.0, 2.0], Snapshot(np.ones(model.n), None, {"decomposition": "other"}))
    with pytest.raises(StoreError, match="snapshots of another decomposition"):
        model.decompose(tmp_path)


def test_a_lost_or_damaged_part_is_noticed(model, tmp_path):
    model.decompose(tmp_path)
    file = part_file(tmp_path / "decomposition", 1)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match="damaged"):
        model.part_operators(tmp_path, 1)
    file.unlink()
    with pytest.raises(StoreError, match="part 1 was not written, or was removed"):
        model.solve(MODULI.centre())


# -- what a model must offer ------------------------------------------------------------------------------------------

OWN = """
from romflow.fom.gallery.thermal_block import ThermalBlock
class Cells(ThermalBlock):
    pass
class Wrong(ThermalBlock):
    @staticmethod
    def cell_problem(parameters):
        return 3
class Plain:
    def __init__(self, parameters):
        self.parameters, self.n, self.spec = parameters, 4, {"kind": "own"}
    def solve(self, mu):
        return mu
"""


def test_a_class_of_the_user_may_offer_its_cells(tmp_path):
    Path(tmp_path, "own.py").write_text(OWN)
    space = CASES["block"][1]
    wish = request("own.py:Cells", space, {"blocks": 2, "cells": 8}, 2, tmp_path, parts=2)
    model = build_model(wish)
    assert isinstance(model, DistributedModel) and model.n == 49
    assert "sha256" in model_identity(wish, model)["model"]
    for kind, words in (("own.py:Plain", "offers no `cell_problem`: give the class a static method"),
                        ("own.py:Wrong", "gives a int; the rule is a")):
        with pytest.raises(ConfigError, match=words):
            build_model(request(kind, space, {}, 2, tmp_path))


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (request("external", MODULI, {"command": ["true"]}, 2), "'external' offers no `cell_problem`: remove ranks"),
        (request("affine-files", MODULI, {"path": "none"}, 2), "'affine-files' offers no `cell_problem`"),
        (request(*BEAM, 0), "ranks = 0"),
        (request(*BEAM, "2"), "ranks = '2'"),
        (request(*BEAM[:2], {"cell": 3}, 2), "no key 'cell'"),
        (request(*BEAM[:2], {"poisson": 3}, 2), "poisson = 3"),
        ({**request(*BEAM), "rank": 2}, "Did you mean 'ranks'"),
    ],
)
def test_wrong_requests_are_refused(wish, words):
    with pytest.raises(ConfigError, match=words):
        build_model(wish)


def test_more_parts_than_cells_and_more_ranks_than_parts_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="lower \\[solver\\] parts"):
        DistributedModel(model.problem, 1, {"parts": 1000}).decompose(tmp_path)
    with pytest.raises(InputError, match="3 ranks and the mesh 2 parts"):
        DistributedModel(model.problem, 3, {"parts": 2}).decompose(tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_before_it_is_asked_for():
    problem, made = build_model(request(*BEAM, 1)).problem, []
    watched = dataclasses.replace(problem, make_mesh=lambda: made.append(1) or problem.make_mesh())
    model = DistributedModel(watched, 2)
    assert model.spec and model.operator_theta.expressions and made == []
    assert model.n == problem.n and made == [1]


def test_a_piece_of_the_mesh_that_floats_is_named() -> None:
    mesh = CellMesh(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 0.0], [6.0, 0.0], [5.0, 1.0]]),
                    np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32), "triangle", np.zeros(2, dtype=np.int64),
                    np.array([True, False, False, False, False, False]))
    problem = SimpleNamespace(mesh=mesh, cell_dofs=np.array([[-1, 0, 1], [2, 3, 4]]))
    assert floating_pieces(problem) == ["1 cells around [5.333, 0.333]"]
    problem.cell_dofs = np.array([[-1, 0, 1], [-1, 2, 3]])
    assert floating_pieces(problem) == []
