"""Schwarz methods, coarse spaces and Krylov methods on one rank, each against a few lines of dense NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp
import skfem

from romflow.core.errors import ConfigError, SolveFailed
from romflow.dd.coarse import CoarseSpace, joined, nicolaides
from romflow.dd.communicator import Single
from romflow.dd.decomposition import Decomposition, decompose
from romflow.dd.geneo import aggregated_modes, exact_modes
from romflow.dd.krylov import conjugate_gradients, flexible_gmres
from romflow.dd.layout import Layout, assemble
from romflow.dd.local_factor import LocalFactor
from romflow.dd.operator import SplitMatrix
from romflow.dd.schwarz import OneLevel, Weighted, weighted_subdomains
from romflow.dd.solver import SchwarzSolver
from romflow.dd.two_level import TwoLevel


class Problem:
    """P1 diffusion on the unit square in 4 subdomains, channels of coefficient 1e4, zero at x = 0."""

    def __init__(self, cells: int = 16, contrast: float = 1e4, overlap: int = 1) -> None:
        line = np.linspace(0.0, 1.0, cells + 1)
        mesh = skfem.MeshTri.init_tensor(line, line)
        free = mesh.p[0] > 1e-12
        number = np.where(free, np.cumsum(free) - 1, -1)
        corners = mesh.p[:, mesh.t]
        edges = np.roll(corners, -1, axis=1) - np.roll(corners, 1, axis=1)
        area = 0.5 * np.abs(edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0])
        centre = corners.mean(axis=1)
        k = np.where(np.floor(5 * centre[1]) % 2 == 1, contrast, 1.0)
        self.K = np.einsum("dae,dbe,e->eab", edges, edges, k / (4.0 * area))
        found = decompose(number[mesh.t.T], mesh.t.T, centre.T, parts=2, subdomains=4, overlap=overlap)
        self.layout = Layout(Single(), [found.part(i) for i in range(2)])
        self.K = self.K[self.layout.cells]
        self.A = assemble(self.layout.cell_dofs, self.K, self.layout.local)
        self.subdomains = weighted_subdomains(self.layout)
        self.b = np.random.default_rng(1).standard_normal((self.layout.owned, 2))

    def neumann(self, i: int) -> sp.csr_array:
        one = self.layout.subdomains[i]
        place = np.full(self.layout.local + 1, -1)
        place[one.dofs] = np.arange(one.dofs.size)
        return assemble(place[self.layout.cell_dofs[one.cells]], self.K[one.cells], one.dofs.size)

    def one_level(self, method: str) -> OneLevel:
        found = OneLevel(self.layout, self.subdomains, method, "definite", "superlu")
        found.setup(self.A, self.neumann)
        return found

    def coarse(self, blocks: list[np.ndarray]) -> CoarseSpace:
        space = CoarseSpace(self.layout, self.subdomains, blocks, True, "superlu")
        space.update(self.A)
        return space

    def columns(self, blocks: list[np.ndarray]) -> np.ndarray:
        """Z, dense."""
        Z = []
        for one, block in zip(self.subdomains, blocks, strict=True):
            Z.append(np.zeros((self.layout.local, block.shape[1])))
            Z[-1][one.dofs] = block
        return np.concatenate(Z, axis=1)


@pytest.fixture(scope="module")
def channels() -> Problem:
    return Problem()


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_the_weights_are_a_partition_of_unity(overlap: int) -> None:
    problem = Problem(overlap=overlap)
    total = np.zeros(problem.layout.local)
    rims = 0
    for i, one in enumerate(problem.subdomains):
        total[one.dofs] += one.weight
        rim = one.weight == 0.0
        rims += int(rim.sum())
        inside = problem.neumann(i).diagonal()
        assert np.allclose(inside[~rim & ~one.owned], problem.A.diagonal()[one.dofs][~rim & ~one.owned])
        if overlap:
            assert (inside[rim] < (1.0 - 1e-6) * problem.A.diagonal()[one.dofs][rim]).all()
    assert np.allclose(total, 1.0, rtol=1e-14)
    assert rims > 0


@pytest.mark.parametrize("method", ["asm", "ras", "oras", "none"])
def test_one_level_methods_are_their_formulas(channels: Problem, method: str, must_fail: Callable[..., None]) -> None:
    A, found = channels.A.toarray(), channels.one_level(method)(channels.b)
    expected = np.zeros_like(channels.b)
    for i, one in enumerate(channels.subdomains):
        B = A[np.ix_(one.dofs, one.dofs)]
        if method == "oras":
            N = channels.neumann(i).toarray()
            robin = np.where(one.weight == 0.0, np.diag(B) - np.diag(N), 0.0)
            B = N + np.diag(one.dofs.size ** (-2.0 / 9.0) * robin)
        keep = 1.0 if method == "asm" else one.owned[:, None]
        expected[one.dofs] += keep * np.linalg.solve(B, channels.b[one.dofs])
    if method == "none":
        expected = channels.b / np.diag(A)[:, None]

    def check(Z: np.ndarray) -> None:
        assert np.allclose(Z, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())

    check(found)
    must_fail(check, found * (1 + 1e-6), found + 1e-6 * channels.b)


def test_unknown_names_are_refused(channels: Problem) -> None:
    with pytest.raises(ConfigError, match="'raz'.*ras"):
        OneLevel(channels.layout, channels.subdomains, "raz", "definite", "auto")


def _dense_modes(problem: Problem, i: int, threshold: float) -> np.ndarray:
    one = problem.subdomains[i]
    D = np.diag(one.weight)
    B = D @ problem.A.toarray()[np.ix_(one.dofs, one.dofs)] @ D
    N = problem.neumann(i).toarray()
    values, vectors = sl.eigh(B, N + 0.01 * B + 1e-12 * np.diag(np.diag(N)))
    return D @ vectors[:, values > 1.0 / (threshold + 0.01)]


def _distance(V: np.ndarray, W: np.ndarray) -> float:
    """Largest sine of the angles from span W to span V."""
    Q, P = sl.orth(V), sl.orth(W)
    return float(np.linalg.norm(P - Q @ (Q.T @ P), 2))


@pytest.mark.parametrize("dense", [300, 10])
def test_exact_modes_are_those_of_the_pencil(channels: Problem, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("romflow.dd.geneo._DENSE", dense)
    sizes = []
    for i in range(4):
        expected = _dense_modes(channels, i, 0.6)
        found = exact_modes(channels.subdomains[i], channels.A, channels.neumann(i), 0.6, "superlu")
        sizes.append(expected.shape[1])
        assert found.shape == expected.shape
        assert _distance(found, expected) <= 1e-4
        assert _distance(found[:, 1:], expected) > 0.5
    assert min(sizes) >= 1
    assert max(sizes) >= 3


def test_aggregated_modes_hold_the_lowest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("romflow.dd.geneo._SCALAR", 90)
    problem = Problem(cells=30)
    count = 0
    for i in range(4):
        one, lowest = problem.subdomains[i], _dense_modes(problem, i, 0.1)
        count += lowest.shape[1]
        found = aggregated_modes(one, problem.A, problem.neumann(i), 0.6, None, problem.layout.nodes)
        assert lowest.shape[1] <= found.shape[1] < one.dofs.size // 10
        assert lowest.shape[1] == 0 or _distance(found, lowest) <= 0.15
        assert lowest.shape[1] == 0 or _distance(nicolaides(one, problem.A, None), lowest) > 0.3
    assert count >= 4


def test_the_coarse_solve_is_its_formula(channels: Problem, must_fail: Callable[..., None],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [_dense_modes(channels, i, 0.3) for i in range(4)]
    Z = channels.columns(blocks)
    expected = Z @ np.linalg.solve(Z.T @ channels.A @ Z, Z.T @ channels.b)

    def check(found: np.ndarray) -> None:
        assert np.allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())

    check(channels.coarse(blocks)(channels.b))
    monkeypatch.setattr("romflow.dd.coarse._DENSE", 0)
    check(channels.coarse(blocks)(channels.b))
    must_fail(check, expected * (1 + 1e-6), channels.coarse([block[:, 1:] for block in blocks])(channels.b))
    monkeypatch.setattr("romflow.dd.coarse._DENSE", 2000)
    check(channels.coarse([np.hstack([block, block[:, :1]]) for block in blocks])(channels.b))
    assert not channels.coarse([block[:, :0] for block in blocks])(channels.b).any()


def test_joined_columns_span_both(channels: Problem) -> None:
    rng = np.random.default_rng(0)
    new, old = rng.standard_normal((50, 4)), rng.standard_normal((50, 3))
    both = joined(new, np.concatenate([old, new[:, :2] + 1e-3 * old[:, :1]], axis=1))
    assert both.shape == (50, 7)
    assert _distance(both, np.concatenate([new, old], axis=1)) < 1e-10
    assert _distance(new, old) > 0.5
    assert joined(new[:, :1], old).shape == (50, 2)
    assert joined(new[:, :0], old).shape == (50, 0)
    space = channels.coarse([_dense_modes(channels, i, 0.3) for i in range(4)])
    for i, one in enumerate(channels.subdomains):
        assert np.allclose(space.block(one, i), _dense_modes(channels, i, 0.3), atol=1e-14)


def test_nicolaides_takes_each_piece_of_a_subdomain(channels: Problem) -> None:
    cells = np.array([[0, 1], [2, 3]])
    layout = Layout(Single(), [Decomposition(cells, cells, np.zeros(2, dtype=int), 1, 1, 0).part(0)])
    A = sp.csr_array(np.kron(np.eye(2), [[2.0, -1.0], [-1.0, 2.0]]))
    V = nicolaides(weighted_subdomains(layout)[0], A, None)
    assert V.shape == (4, 2)
    assert np.allclose(V @ V.T @ np.ones(4), 1.0)
    doubled = nicolaides(channels.subdomains[0], channels.A, np.ones((channels.layout.local, 2)))
    assert doubled.shape[1] == 1


def test_both_levels_are_adapted_deflation(channels: Problem) -> None:
    blocks = [_dense_modes(channels, i, 0.3) for i in range(4)]
    A, Z = channels.A.toarray(), channels.columns(blocks)
    Q = Z @ np.linalg.inv(Z.T @ A @ Z) @ Z.T
    one = channels.one_level("asm")
    both = TwoLevel(SplitMatrix(channels.layout, channels.A), one, channels.coarse(blocks))
    expected = (np.eye(len(A)) - Q @ A) @ one(channels.b) + Q @ channels.b
    assert np.allclose(both(channels.b), expected, atol=1e-9 * np.abs(expected).max())
    start = both.start(channels.b, channels.b)
    assert np.abs(Z.T @ (channels.b - A @ start)).max() <= 1e-7 * np.abs(Z.T @ (channels.b - A @ channels.b)).max()


@pytest.mark.parametrize("krylov", [conjugate_gradients, flexible_gmres])
def test_krylov_methods_solve_each_column(channels: Problem, krylov: Callable, must_fail: Callable[..., None]) -> None:
    method = "asm" if krylov is conjugate_gradients else "ras"
    both = TwoLevel(SplitMatrix(channels.layout, channels.A), channels.one_level(method),
                    channels.coarse([_dense_modes(channels, i, 0.3) for i in range(4)]))
    B = channels.b * [1.0, 1e-9]
    A = SplitMatrix(channels.layout, channels.A)
    answer = krylov(channels.layout, A, B, both, 1e-10, 60, both.start(B, np.zeros_like(B)))

    def check(X: np.ndarray) -> None:
        assert (np.linalg.norm(B - channels.A @ X, axis=0) <= 1e-10 * np.linalg.norm(B, axis=0)).all()

    check(answer.X)
    must_fail(check, answer.X * (1 + 1e-8), answer.X[:, ::-1])
    assert (answer.iterations > 2).all()
    exact = np.linalg.solve(channels.A.toarray(), B)
    assert krylov(channels.layout, A, B, both, 1e-8, 60, exact).iterations.max() == 0
    with pytest.raises(SolveFailed, match="max_iterations = 2"):
        krylov(channels.layout, A, B, both, 1e-10, 2, 0.0 * B)


def test_an_indefinite_preconditioner_is_found(channels: Problem) -> None:
    with pytest.raises(SolveFailed, match="not positive definite"):
        conjugate_gradients(channels.layout, SplitMatrix(channels.layout, channels.A), channels.b, lambda R: -R, 1e-8,
                            50, 0.0 * channels.b)
    with pytest.raises(SolveFailed, match="floating-point"):
        flexible_gmres(channels.layout, SplitMatrix(channels.layout, channels.A), channels.b, lambda R: R * np.nan,
                       1e-8, 50, 0.0 * channels.b)


def test_factors_in_single_precision_are_checked(channels: Problem) -> None:
    X = channels.b
    right = channels.A @ X
    errors = []
    for single in (False, True):
        found = LocalFactor(channels.A, "definite", "superlu", single).solve(right)
        errors.append(np.linalg.norm(found - X) / np.linalg.norm(X))
    assert errors[0] < 1e-9 < errors[1] < 1e-3
    hard = sp.csr_array(np.array([[1.0, 1.0 - 1e-9], [1.0 - 1e-9, 1.0]]))
    assert np.allclose(LocalFactor(hard, "definite", "superlu", True).solve(hard @ X[:2]), X[:2], rtol=1e-5)
    assert LocalFactor(sp.csr_array((0, 0)), "definite").solve(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(SolveFailed):
        LocalFactor(sp.csr_array(np.zeros((2, 2))), "definite", "superlu")
    assert np.allclose(LocalFactor(sp.csr_array(np.diag([1.0, -2.0])), "definite", "superlu").solve(np.ones((2, 1))),
                       [[1.0], [-0.5]])


def test_odd_subdomains_are_solved() -> None:
    """One in two pieces, one floating, one wholly fixed, one that owns nothing."""
    nodes = np.arange(13)
    cells = np.stack([nodes[:-1], nodes[1:]], axis=1)
    number = np.where((nodes > 0) & (nodes < 9), nodes - 1, -1)
    subdomain = np.array([0, 1, 1, 2, 2, 2, 0, 0, 3, 3, 3, 3])
    found = Decomposition(number[cells], cells, subdomain, 2, 4, 1)
    layout = Layout(Single(), [found.part(i) for i in range(2)])
    K = np.tile([[1.0, -1.0], [-1.0, 1.0]], (12, 1, 1))[layout.cells]
    A = assemble(layout.cell_dofs, K, layout.local)

    def neumann(i: int) -> sp.csr_array:
        one = layout.subdomains[i]
        place = np.full(layout.local + 1, -1)
        place[one.dofs] = np.arange(one.dofs.size)
        return assemble(place[layout.cell_dofs[one.cells]], K[one.cells], one.dofs.size)

    for coarse in ("geneo", "nicolaides", "none"):
        for eigensolver in ("aggregated", "exact"):
            solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-10, coarse=coarse, eigensolver=eigensolver)
            solver.setup(A, neumann)
            x = solver.solve(np.ones((8, 1)))
            assert np.allclose(A @ x, 1.0, atol=1e-9)


def test_weights_without_rim_are_whole() -> None:
    one = Weighted(np.arange(3), np.arange(3), np.ones(3), np.ones(3, dtype=bool))
    A = sp.csr_array(np.diag([2.0, 2.0, 2.0]))
    assert nicolaides(one, A, None).shape == (3, 3)
