"""Direct back ends: one analysis for a pattern, several right-hand sides, threads, memory, and what is missing."""

import gc
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from romflow.core.errors import ConfigError, SolveFailed
from romflow.linalg.solvers import optional, pardiso
from romflow.linalg.solvers.direct import BACKENDS, DirectMethod, default_backend
from romflow.linalg.solvers.matrix_input import Goal, Pattern
from romflow.linalg.solvers.policy import LinearSolver

KINDS = ("definite", "symmetric", "general")


def laplacian(m: int, shift: float = 0.0) -> sp.csr_array:
    T = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    identity = sp.eye_array(m)
    return sp.csr_array(sp.kron(T, identity) + sp.kron(identity, T) - shift * sp.eye_array(m * m))


def needs(backend):
    if optional.problem(backend):
        pytest.skip(optional.problem(backend))


def method(backend, kind, A):
    needs(backend)
    made = DirectMethod(backend, kind, Goal())
    made.setup(A)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_residual_and_inverse(backend, kind, must_fail):
    if backend == "cholmod" and kind != "definite":
        with pytest.raises(ConfigError, match="symmetric positive definite"):
            BACKENDS[backend](kind)
        return
    A = laplacian(12)
    if kind == "general":
        A = sp.csr_array(A + 0.5 * sp.diags_array(np.ones(143), offsets=1))
    B = np.random.default_rng(0).standard_normal((144, 12))
    X, _, residuals = method(backend, kind, A).solve(B)
    exact = np.linalg.solve(A.toarray(), B)

    def check(Y):
        assert np.abs(Y - exact).max() < 1e-12 * np.abs(exact).max() * 100

    check(X)
    must_fail(check, X * (1 + 1e-9), X[:, ::-1])
    assert residuals.max() < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
def test_pattern_is_analysed_once(backend, monkeypatch):
    A = laplacian(10)
    made = method(backend, "definite", A)
    monkeypatch.setattr(type(made._backend), "analyse", lambda self, A: pytest.fail("analysed again"))
    for scale in (2.0, 5.0):
        changed = sp.csr_array(A + scale * sp.diags_array(A.diagonal()))
        changed = Pattern(A).read(changed)
        made.update(changed)
        X, _, _ = made.solve(np.ones((100, 1)))
        assert np.abs(changed @ X - 1.0).max() < 1e-12


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "cholmod"])
def test_a_matrix_that_is_not_definite_is_factorised_with_pivots(backend):
    needs(backend)
    A = laplacian(12, shift=0.7)
    made = method(backend, "definite", A)
    X, _, residuals = made.solve(np.ones((144, 2)))
    assert residuals.max() < 1e-10
    saddle = sp.csr_array(sp.block_array([[laplacian(6), np.ones((36, 1))], [np.ones((1, 36)), None]]))
    X, _, residuals = method(backend, "symmetric", saddle).solve(np.ones((37, 1)))
    assert residuals.max() < 1e-10


def test_cholmod_refuses_what_is_not_definite():
    needs("cholmod")
    with pytest.raises(SolveFailed, match="not positive definite"):
        DirectMethod("cholmod", "definite", Goal()).setup(laplacian(12, shift=0.7))


def test_single_right_hand_sides_and_blocks_agree():
    for backend in BACKENDS:
        if optional.problem(backend):
            continue
        made = method(backend, "definite", laplacian(9))
        B = np.random.default_rng(1).standard_normal((81, 20))
        block = made.solve(B)[0]
        single = np.hstack([made.solve(B[:, [j]])[0] for j in range(20)])
        assert np.abs(block - single).max() < 1e-12, backend


def test_a_matrix_without_stored_diagonal():
    A = sp.csr_array(np.array([[0.0, 2.0], [4.0, 0.0]]))
    for symmetric, matrix in ((False, A), (True, sp.csr_array(A + A.T))):
        for backend in ("pardiso", "superlu", "mumps"):
            if not optional.problem(backend):
                solver = LinearSolver("direct", backend=backend)
                x = solver.setup(matrix).solve(np.ones(2))
                assert np.abs(matrix @ x - 1.0).max() < 1e-14, (symmetric, backend)
                assert np.abs(matrix @ solver.update(matrix * 3.0).solve(np.ones(2)) - 1.0 / 3.0).max() < 1e-14


def test_refinement_mends_a_poor_factor(monkeypatch):
    A = laplacian(10)
    made = method("superlu", "definite", A)
    exact = made._backend.solve
    monkeypatch.setattr(made._backend, "solve", lambda B: exact(B) * (1.0 + 1e-4))
    _, steps, residuals = made.solve(np.ones((100, 1)))
    assert steps >= 2
    assert residuals.max() <= 1e-10
    monkeypatch.setattr(made._backend, "solve", lambda B: 3.0 * exact(B))
    monkeypatch.setattr(made, "_sturdier", lambda error: (_ for _ in ()).throw(error))
    with pytest.raises(SolveFailed, match="stays at"):
        made.solve(np.ones((100, 1)))


def test_pardiso_analyses_once_and_gives_its_memory_back():
    needs("pardiso")
    phases = []
    made = BACKENDS["pardiso"]("definite")
    run = made._run
    made._run = lambda phase, B=None: phases.append(phase) or run(phase, B)
    made.analyse(laplacian(5))
    for _ in range(2):
        made.factorise(laplacian(5))
    made.solve(np.ones((25, 1)))
    made.analyse(laplacian(6))
    made.release()
    made.release()
    assert phases == [11, 22, 22, 33, -1, 11, -1]


@pytest.mark.long
def test_many_factors_of_pardiso_do_not_pile_up():
    needs("pardiso")
    A, sizes = laplacian(60), []
    for _ in range(12):
        method("pardiso", "definite", A)
        gc.collect()
        sizes.append(int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))
    assert sizes[-1] - sizes[2] < 2000


def test_pardiso_keeps_to_the_threads_of_blas(monkeypatch):
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with threadpool_limits(1, user_api="blas"):
        assert pardiso._asked_threads() == 1
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    assert pardiso._asked_threads() == 3
    asked = []

    class Library:
        @staticmethod
        def MKL_Set_Num_Threads_Local(number):
            asked.append(number)
            return 7

    with pardiso._threads(Library, 1):
        assert asked == [1]
    assert asked == [1, 7]


@pytest.fixture
def fresh_problems():
    optional.problem.cache_clear()
    optional._absent.cache_clear()
    yield
    optional.problem.cache_clear()
    optional._absent.cache_clear()


@pytest.mark.parametrize("backend", optional.EXTRAS)
def test_a_missing_package_names_its_extra(backend, monkeypatch, fresh_problems):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"pip install romflow\[{backend}\]"):
        LinearSolver("direct", backend=backend).setup(laplacian(4))
    assert optional.installed() == ()
    assert optional.available() is None
    assert default_backend(10_000, 50_000, True) == "superlu"


def test_a_package_that_does_not_load_is_named(monkeypatch, fresh_problems):
    def broken(name):
        raise ImportError("compiled\nfor NumPy 1")

    monkeypatch.setattr(importlib, "import_module", broken)
    monkeypatch.setattr(optional, "_absent", lambda backend: "")
    assert "does not load (compiled for NumPy 1)" in optional.problem("mumps")
    monkeypatch.undo()


@pytest.mark.parametrize(("backend", "version", "fits"), [
    ("mumps", "0.0.2", False), ("mumps", "0.0.4", True), ("cholmod", "0.4.16", True), ("cholmod", "0.5.0", False)])
def test_releases_that_do_not_fit_are_not_tried(backend, version, fits, monkeypatch, fresh_problems):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(optional.metadata, "version", lambda package: version)
    assert (backend in optional.installed()) == fits
    if not fits:
        assert f"{version} is installed" in optional.problem(backend)


def test_extras_are_declared(repository):
    text = (repository / "setup.cfg").read_text(encoding="utf-8")
    for extra in optional.EXTRAS:
        assert f"\n{extra} =\n" in text


def test_default_backend_takes_dense_matrices_to_lapack():
    assert default_backend(1000, 500_000, False) == "lapack"
    assert default_backend(1000, 5_000, False) != "lapack"
