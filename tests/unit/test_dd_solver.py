"""The two-level Schwarz solver on one rank: tolerance, robustness, what a sweep keeps, guesses, and refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import skfem
from scipy.sparse.linalg import spsolve
from skfem.helpers import dot, grad

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed
from romflow.dd.communicator import Single
from romflow.dd.decomposition import decompose
from romflow.dd.layout import Layout, assemble
from romflow.dd.recycling import EarlierSolutions
from romflow.dd.solver import SchwarzSolver

Cut = tuple[Layout, Callable[[np.ndarray], tuple[sp.csr_array, Callable[[int], sp.csr_array]]], np.ndarray]


def _cut(cells: int = 10, subdomains: int = 6, wind: float = 0.0, fixed: bool = True) -> Cut:
    """Diffusion (with wind) in the unit cube by bars along x, cut into subdomains; contrast of the bars -> system."""
    line = np.linspace(0.0, 1.0, cells + 1)
    mesh = skfem.MeshTet.init_tensor(line, line, line)
    basis = skfem.Basis(mesh, skfem.ElementTetP1(), intorder=1)
    form = skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v)) + wind * grad(u)[0] * v)
    shape = form.coo_data(basis).tolocal()
    free = mesh.p[0] > 1e-12 if fixed else np.ones(mesh.p.shape[1], dtype=bool)
    number = np.where(free, np.cumsum(free) - 1, -1)
    centre = mesh.p[:, mesh.t].mean(axis=1)
    bar = (np.floor(3 * centre[1]) % 2 == 1) | (np.floor(3 * centre[2]) % 2 == 1)
    found = decompose(number[mesh.t.T], mesh.t.T, centre.T, parts=2, subdomains=subdomains, overlap=1)
    layout = Layout(Single(), [found.part(i) for i in range(2)])

    def system(contrast: float) -> tuple[sp.csr_array, Callable[[int], sp.csr_array]]:
        K = (np.where(bar, contrast, 1.0)[:, None, None] * shape)[layout.cells]

        def neumann(i: int) -> sp.csr_array:
            one = layout.subdomains[i]
            place = np.full(layout.local + 1, -1)
            place[one.dofs] = np.arange(one.dofs.size)
            return assemble(place[layout.cell_dofs[one.cells]], K[one.cells], one.dofs.size)

        return assemble(layout.cell_dofs, K, layout.local), neumann

    return layout, system, np.ones((layout.owned, 1))


@pytest.fixture(scope="module")
def bars() -> Cut:
    return _cut()


def _residual(A: sp.csr_array, x: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.linalg.norm(b - A @ x, axis=0) / np.linalg.norm(b, axis=0)))


@pytest.mark.parametrize("options", [{}, {"one_level": "asm"}, {"one_level": "oras"}, {"coarse": "nicolaides"},
                                     {"coarse": "none"}, {"eigensolver": "exact"}, {"one_level": "none"}],
                         ids=["default", "asm", "oras", "nicolaides", "none", "exact", "diagonal"])
def test_the_residual_is_below_the_tolerance(bars: Cut, options: dict[str, str]) -> None:
    layout, system, b = bars
    A, neumann = system(100.0)
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9, **options)
    solver.setup(A, neumann)
    x = solver.solve(b)
    assert _residual(A, x, b) <= 1e-9
    assert _residual(A, x * (1.0 + 1e-8), b) > 1e-9
    assert solver.report["relative_residual"] == pytest.approx(_residual(A, x, b), rel=1e-3, abs=1e-15)
    np.testing.assert_allclose(x[:, 0], spsolve(sp.csc_array(A), b[:, 0]), rtol=1e-5)


def test_iterations_do_not_grow_with_the_contrast(bars: Cut) -> None:
    layout, system, b = bars
    counts, plain = [], []
    for contrast in (1.0, 1e3, 1e6):
        for coarse, found in (("geneo", counts), ("none", plain)):
            solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-8, coarse=coarse)
            solver.setup(*system(contrast))
            solver.solve(b)
            found.append(solver.report["iterations"])
    assert max(counts) <= 25
    assert max(counts) <= min(counts) + 10
    assert plain[-1] > 1.4 * counts[-1]


def test_a_problem_with_wind_is_solved() -> None:
    layout, system, b = _cut(8, 4, wind=20.0)
    A, neumann = system(1.0)
    solver = SchwarzSolver(layout, symmetric=False, tolerance=1e-9)
    solver.setup(A, neumann)
    x = solver.solve(b)
    assert abs(A - A.T).max() > 1e-3
    assert _residual(A, x, b) <= 1e-9


def test_a_sweep_keeps_the_coarse_space_and_stays_right(bars: Cut) -> None:
    layout, system, b = bars
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
    rebuilt = []
    for contrast in (100.0, 120.0, 150.0):
        A, neumann = system(contrast)
        solver.update(A, neumann)
        assert _residual(A, solver.solve(b), b) <= 1e-9
        rebuilt.append(solver.report["rebuilt"])
    assert rebuilt == [True, False, False]


def test_a_coarse_space_that_no_longer_serves_is_built_anew(bars: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, system, b = bars
    monkeypatch.setattr("romflow.dd.solver._SETUP_ITERATIONS", 1)
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
    solver.setup(*system(1.0))
    solver.solve(0.0 * b)
    A, neumann = system(1e6)
    solver.update(A, neumann)
    right = np.random.default_rng(0).standard_normal(b.shape)
    x = solver.solve(right)
    assert solver.report["rebuilt"]
    assert "no answer within" in solver.report["why"]
    assert _residual(A, x, right) <= 1e-9


def test_a_new_coarse_space_keeps_what_the_old_one_adds(bars: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, system, b = bars
    monkeypatch.setattr("romflow.dd.solver._SETUP_ITERATIONS", 1)
    sizes = {}
    for together in (True, False):
        if not together:
            monkeypatch.setattr("romflow.dd.solver.joined", lambda new, old: new)
        solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
        for contrast in (1.0, 1e6):
            A, neumann = system(contrast)
            solver.update(A, neumann)
            right = np.random.default_rng(0).standard_normal(b.shape)
            x = solver.solve(right)
        assert solver.report["rebuilt"]
        assert _residual(A, x, right) <= 1e-9
        sizes[together] = solver.report["coarse_size"]
    assert sizes[False] < sizes[True] <= 2 * sizes[False]


@pytest.mark.long
def test_earlier_solutions_shorten_the_next_solve(bars: Cut) -> None:
    layout, system, b = bars
    counts = {}
    for reuse in (True, False):
        solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9, reuse=reuse)
        for contrast in (100.0, 102.0, 104.0, 106.0):
            A, neumann = system(contrast)
            solver.update(A, neumann)
            assert _residual(A, solver.solve(b), b) <= 1e-9
        counts[reuse] = solver.report["iterations"]
    assert counts[True] <= 0.7 * counts[False]


def test_the_guess_is_the_best_combination(bars: Cut) -> None:
    layout, system, b = bars
    A, _ = system(10.0)
    rng = np.random.default_rng(0)
    kept = EarlierSolutions(layout, 3)
    U = rng.standard_normal((layout.owned, 4))
    kept.add(U)
    right = A @ (U[:, 1:] @ np.array([[1.0], [2.0], [-1.0]]))
    assert np.linalg.norm(right - A @ kept.guess(A, right)) <= 1e-10 * np.linalg.norm(right)
    more = rng.standard_normal((layout.owned, 1))
    kept.add(more, A)
    assert np.linalg.norm(A @ (more - kept.guess(A, A @ more))) <= 1e-10 * np.linalg.norm(A @ more)
    oldest = A @ U[:, :1]
    assert np.linalg.norm(oldest - A @ kept.guess(A, oldest)) > 0.5 * np.linalg.norm(oldest)


def test_columns_are_solved_together_and_zero_ones_stay_zero(bars: Cut) -> None:
    layout, system, b = bars
    A, neumann = system(10.0)
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
    solver.setup(A, neumann)
    B = np.concatenate([b, 0.0 * b, A @ (b + 1.0)], axis=1)
    X = solver.solve(B)
    assert not X[:, 1].any()
    assert _residual(A, X[:, [0, 2]], B[:, [0, 2]]) <= 1e-9


def test_many_columns_are_solved_in_blocks(bars: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, system, b = bars
    monkeypatch.setattr("romflow.dd.solver._WIDEST", 2)
    A, neumann = system(10.0)
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
    solver.setup(A, neumann)
    B = np.random.default_rng(0).standard_normal((layout.owned, 5))
    X = solver.solve(B)
    assert _residual(A, X, B) <= 1e-9
    assert solver.report["relative_residual"] == pytest.approx(_residual(A, X, B), rel=1e-3)
    solver.solve(B[:, :3] @ np.ones((3, 1)))
    assert solver.report["iterations"] <= 2


def test_what_is_wrong_is_refused(bars: Cut) -> None:
    layout, system, b = bars
    with pytest.raises(ConfigError, match="coarse has no 'genio'.*geneo"):
        SchwarzSolver(layout, symmetric=True, coarse="genio")
    with pytest.raises(InputError, match="0 < tolerance < 1"):
        SchwarzSolver(layout, symmetric=True, tolerance=0.0)
    solver = SchwarzSolver(layout, symmetric=True)
    with pytest.raises(InputError, match="before setup"):
        solver.solve(b)
    A, neumann = system(1.0)
    solver.setup(A, neumann)
    with pytest.raises(ShapeError, match="owned"):
        solver.solve(b[1:])
    with pytest.raises(InputError, match="not finite"):
        solver.solve(b * np.nan)
    broken = A.copy()
    broken.data[3] = np.inf
    with pytest.raises(InputError, match="not finite"):
        solver.update(broken, neumann)


def test_too_few_iterations_and_singular_matrices_are_failures(bars: Cut) -> None:
    layout, system, b = bars
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-12, max_iterations=3)
    solver.setup(*system(1.0))
    with pytest.raises(SolveFailed, match="max_iterations = 3"):
        solver.solve(b)
    layout, system, b = _cut(6, 2, fixed=False)
    floating = SchwarzSolver(layout, symmetric=True, tolerance=1e-9, max_iterations=60)
    with pytest.raises(SolveFailed):
        floating.setup(*system(1.0))
        floating.solve(b)


def test_the_rounding_of_the_solution_is_no_failure(bars: Cut) -> None:
    layout, system, b = bars
    A, neumann = system(1e6)
    right = A @ np.random.default_rng(0).standard_normal(b.shape)
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-17)
    solver.setup(A, neumann)
    x = solver.solve(right)
    floor = solver.report["rounding"]
    assert floor == pytest.approx(
        np.linalg.norm(np.finfo(float).eps * (abs(A) @ np.abs(x))) / np.linalg.norm(right), rel=1e-6)
    assert 1e-17 < _residual(A, x, right) <= floor
    assert _residual(A, x * (1.0 + 1e-13), right) > floor
    solver = SchwarzSolver(layout, symmetric=True, tolerance=1e-9)
    solver.setup(A, neumann)
    solver.solve(right)
    assert solver.report["rounding"] is None
