"""LinearSolver: what it answers, how it chooses, and what it refuses."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed
from romflow.linalg.solvers import policy
from romflow.linalg.solvers.facts import MatrixFacts, graph_dimension
from romflow.linalg.solvers.matrix_input import Goal, Pattern
from romflow.linalg.solvers.policy import LinearSolver
from romflow.linalg.solvers.rules import Choice, choose

ITERATIVE = ("cg", "minres", "gmres", "sketched-gmres", "nystrom-cg")
METHODS = ("auto", "direct", *ITERATIVE)


def laplacian(m: int, dimension: int = 2, shift: float = 0.0) -> sp.csr_array:
    T = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    identity, A = sp.eye_array(m), T
    for _ in range(dimension - 1):
        A = sp.kron(A, identity) + sp.kron(sp.eye_array(A.shape[0]), T)
    return sp.csr_array(A - shift * sp.eye_array(A.shape[0]))


def upwind(m: int) -> sp.csr_array:
    D = sp.diags_array([-np.ones(m - 1), np.ones(m)], offsets=[-1, 0])
    return sp.csr_array(laplacian(m) + 2.0 * sp.kron(D, sp.eye_array(m)))


def residual(A, X, B):
    return (np.linalg.norm(B - A @ X, axis=0) / np.linalg.norm(B, axis=0)).max()


def check_solution(A, X, B, tolerance=1e-9):
    assert X.shape == B.shape
    assert residual(A, X, B) <= tolerance


# -- answers ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_for_several_columns(method, must_fail):
    A, B = laplacian(20), np.random.default_rng(0).standard_normal((400, 3))
    B[:, 1] *= 1e6
    system = LinearSolver(method, tolerance=1e-9).setup(A)
    X = system.solve(B)
    check_solution(A, X, B)
    must_fail(lambda Y: check_solution(A, Y, B), X + 1e-6, X[:, ::-1])
    assert system.report.relative_residual == pytest.approx(residual(A, X, B), rel=1e-3, abs=1e-14)
    assert (system.report.method == method) or method == "auto"


@pytest.mark.parametrize("method", ["auto", "direct", "gmres", "sketched-gmres"])
def test_unsymmetric_matrices(method):
    A, b = upwind(25), np.random.default_rng(1).standard_normal(625)
    check_solution(A, LinearSolver(method, tolerance=1e-9).setup(A).solve(b), b)


@pytest.mark.parametrize("method", ["auto", "direct", "minres"])
def test_indefinite_matrices(method):
    A, b = laplacian(12, shift=0.7), np.random.default_rng(2).standard_normal(144)
    assert np.linalg.eigvalsh(A.toarray())[0] < 0.0
    check_solution(A, LinearSolver(method, tolerance=1e-9).setup(A).solve(b), b)


@pytest.mark.parametrize("method", METHODS)
def test_zero_and_vector_right_hand_sides_and_guess(method):
    A, b = laplacian(12), np.random.default_rng(3).standard_normal(144)
    system = LinearSolver(method, tolerance=1e-9).setup(A)
    assert np.array_equal(system.solve(np.zeros(144)), np.zeros(144))
    assert system.report.relative_residual == 0.0
    x = system.solve(b)
    check_solution(A, x, b)
    mixed = system.solve(np.column_stack([b, 0 * b]), guess=np.column_stack([x, x]))
    assert np.array_equal(mixed[:, 1], np.zeros(144))
    assert system.report.iterations == 0
    assert system.solve(np.empty((144, 0))).shape == (144, 0)


def test_same_input_same_bits():
    A, b = laplacian(20), np.ones(400)
    for method in METHODS:
        first, second = (LinearSolver(method, seed=4).setup(A).solve(b) for _ in range(2))
        assert np.array_equal(first, second), method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.coo_array, lambda A: A.toarray()])
def test_update_solves_the_new_matrix_in_any_format(method, form):
    A, b = laplacian(10), np.ones(100)
    scaling = sp.diags_array(np.linspace(1.0, 3.0, 100))
    changed = sp.csr_array(scaling @ A @ scaling)
    solver = LinearSolver(method, tolerance=1e-9)
    solver.setup(form(A))
    for _ in range(2):
        check_solution(changed, solver.update(form(changed)).solve(b), b)


def test_a_good_guess_saves_iterations():
    A, b = laplacian(40), np.ones(1600)
    system = LinearSolver("cg", preconditioner="jacobi", tolerance=1e-8).setup(A)
    x = system.solve(b)
    cold = system.report.iterations
    system.solve(b, guess=x * (1.0 + 1e-7))
    assert system.report.iterations < cold / 2


def test_operator_without_entries():
    A = laplacian(15)
    operator = LinearOperator(A.shape, matvec=lambda v: A @ v, matmat=lambda V: A @ V, dtype=float)
    for method in ("nystrom-cg", "cg", "minres", "gmres"):
        check_solution(A, LinearSolver(method, tolerance=1e-8).setup(operator).solve(np.ones(225)), np.ones(225), 1e-8)
    with pytest.raises(InputError, match="needs the entries"):
        LinearSolver("direct").setup(operator)
    skew = LinearOperator((2, 2), matvec=lambda v: np.array([v[1], 0.0 * v[0]]), dtype=float)
    with pytest.raises(InputError, match="not symmetric"):
        LinearSolver("cg").setup(skew)


def test_an_explicit_tolerance_is_kept_or_refused_and_the_default_knows_rounding():
    A = sp.diags_array(np.geomspace(1.0, 1e12, 200)).tocsr() + sp.csr_array(laplacian(200, 1))
    b = np.ones(200)
    X = np.full((200, 1), 1e8)
    tight = np.array([1e-9])
    assert Goal(None).reached(tight, A, X, b[:, None]).all()
    assert not Goal(1e-10).reached(tight, A, X, b[:, None]).any()
    assert not Goal(None).reached(np.array([1e-2]), A, 1e-9 * X, b[:, None]).any()
    with pytest.raises(InputError, match="0 < tolerance < 1"):
        LinearSolver(tolerance=0.0)


# -- the choice -------------------------------------------------------------------------------------------------------

def test_why_names_the_facts():
    solver = LinearSolver(right_hand_sides=7)
    solver.setup(laplacian(30))
    for fact in ("n = 900", "entries a row", "definite", "MB of factors", "7 right-hand side(s)", "direct"):
        assert fact in solver.why
    assert solver.setup(laplacian(30)).report is None


def test_rule_prefers_direct_in_the_plane_and_multigrid_in_space(monkeypatch):
    def facts(n, dimension, fill, operations, symmetric=True, definite=True, lattice=True):
        return MatrixFacts(n, 7 * n, symmetric, definite, dimension, lattice, fill, operations)

    monkeypatch.setattr("romflow.linalg.solvers.rules.default_backend", lambda n, nnz, definite: "pardiso")
    plane, space = facts(110_000, 2.0, 5.7e6, 7e8), facts(115_000, 3.0, 4.7e7, 7e10)
    assert choose(plane).method == "direct"
    assert (choose(space).method, choose(space).preconditioner) == ("cg", "ruge-stuben")
    assert choose(facts(115_000, 3.0, 4.7e7, 7e10, symmetric=False)).method == "gmres"
    assert choose(facts(115_000, 3.0, 4.7e7, 7e10, definite=False)).method == "direct"
    assert choose(facts(55_000, 3.0, 3e7, 4e10, lattice=False)).method == "direct"
    assert choose(space, right_hand_sides=100).method == "direct"
    monkeypatch.setattr("romflow.linalg.solvers.rules.machine_memory", lambda: 1e6)
    assert choose(plane).method == "cg"
    assert choose(facts(115_000, 3.0, 4.7e7, 7e10, definite=False)).method == "minres"
    assert "half of the memory" in choose(plane).reason


@pytest.mark.parametrize(("A", "low", "high"), [
    (laplacian(1500, 1), 0.9, 1.2), (laplacian(70), 1.8, 2.2), (laplacian(20, 3), 2.5, 3.2)])
def test_graph_dimension(A, low, high):
    assert low < graph_dimension(Pattern(A)) < high


def test_facts_of_matrices():
    def facts(A):
        pattern = Pattern(A)
        return MatrixFacts.of(pattern, pattern.read(A))

    assert facts(laplacian(9)).definite is True
    assert facts(laplacian(9, shift=5.0)).definite is False
    assert facts(laplacian(9, shift=1.0)).definite is None
    assert not facts(upwind(9)).symmetric
    assert facts(upwind(9)).lattice
    assert not facts(sp.csr_array(np.ones((3, 3)) + np.eye(3))).lattice


def test_auto_falls_back_and_says_so(monkeypatch):
    A, b = laplacian(12, shift=0.7), np.ones(144)
    wrong = Choice("cg", "superlu", "smoothed-aggregation", 60, "a test")
    monkeypatch.setattr(policy, "choose", lambda *_, **__: wrong)
    solver = LinearSolver()
    system = solver.setup(A)
    check_solution(A, system.solve(b), b)
    assert system.report.method == "direct"
    assert "then cg (smoothed-aggregation) failed" in system.report.why
    assert solver.update(A).solve(b) is not None
    explicit = LinearSolver("cg", preconditioner="none").setup(A)
    with pytest.raises(SolveFailed, match="minres"):
        explicit.solve(b)


# -- what is refused --------------------------------------------------------------------------------------------------

def test_structurally_singular():
    A = laplacian(4).tolil()
    A[5, :] = 0.0
    A[:, 5] = 0.0
    with pytest.raises(SolveFailed, match="row 5 of the matrix holds no entry"):
        LinearSolver().setup(sp.csr_array(A))


@pytest.mark.parametrize("backend", ["superlu", "lapack", "pardiso"])
def test_numerically_singular(backend):
    neumann = laplacian(12, 1) - sp.csr_array((np.ones(2), ([0, 11], [0, 11])), shape=(12, 12))
    consistent = np.zeros(12)
    consistent[[2, 7]] = 1.0, -1.0
    if backend not in ("superlu", "lapack"):
        pytest.importorskip("pypardiso")
    for b in (np.ones(12), consistent):
        with pytest.raises(SolveFailed, match="singular"):
            LinearSolver("direct", backend=backend).setup(neumann).solve(b)
    with pytest.raises(SolveFailed, match="use method"):
        LinearSolver("cg", preconditioner="jacobi").setup(neumann).solve(np.ones(12))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(value):
    A = laplacian(4)
    bad = A.copy()
    bad.data[3] = value
    solver = LinearSolver()
    with pytest.raises(InputError, match="not finite"):
        solver.setup(bad)
    system = solver.setup(A)
    with pytest.raises(InputError, match="not finite"):
        system.solve(np.full(16, value))
    with pytest.raises(InputError, match="initial guess"):
        system.solve(np.ones(16), guess=np.full(16, value))
    with pytest.raises(InputError, match="not finite"):
        solver.update(bad)


@pytest.mark.parametrize("method", ["cg", "nystrom-cg"])
def test_indefinite_matrix_given_to_cg(method):
    with pytest.raises(SolveFailed, match=r"a_ii = -1 in row 0.*minres"):
        LinearSolver(method).setup(laplacian(5, shift=5.0))
    hidden = sp.csr_array(np.array([[1.0, 3.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    with pytest.raises(SolveFailed, match="use method = 'minres' or 'direct'"):
        LinearSolver(method, preconditioner="none").setup(hidden).solve(np.array([1.0, -1.0, 0.5]))


@pytest.mark.parametrize("method", ["cg", "minres", "nystrom-cg"])
def test_unsymmetric_matrix_given_to_a_symmetric_method(method):
    with pytest.raises(InputError, match="not symmetric.*gmres"):
        LinearSolver(method).setup(upwind(5))
    solver = LinearSolver(method)
    A = laplacian(5)
    solver.setup(A)
    skewed = A.copy()
    skewed.data[1] *= 2.0
    with pytest.raises(InputError, match="not symmetric"):
        solver.update(skewed)
    with pytest.raises(InputError, match="said to be symmetric"):
        LinearSolver(symmetric=True).setup(upwind(5))


def test_auto_follows_a_matrix_that_loses_its_symmetry():
    A = laplacian(12)
    solver = LinearSolver()
    solver.setup(A)
    skewed = A.copy()
    skewed.data[1] *= 2.0
    check_solution(skewed, solver.update(skewed).solve(np.ones(144)), np.ones(144))


@pytest.mark.parametrize("shape", [(15,), (17, 2), (16, 2, 2), ()])
def test_mismatched_right_hand_sides(shape):
    system = LinearSolver().setup(laplacian(4))
    with pytest.raises(ShapeError, match=r"the rule is \(16,\)"):
        system.solve(np.ones(shape))
    with pytest.raises(ShapeError):
        system.solve(np.ones(16), guess=np.ones((16, 1)))


def test_complex_and_non_square():
    with pytest.raises(InputError, match="complex"):
        LinearSolver().setup(sp.csr_array(1j * np.eye(3)))
    with pytest.raises(InputError, match="complex"):
        LinearSolver().setup(np.eye(3)).solve(np.ones(3) * 1j)
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        LinearSolver().setup(sp.csr_array(np.ones((2, 3))))
    with pytest.raises(ShapeError):
        LinearSolver().setup(np.ones(3))


@pytest.mark.parametrize("method", METHODS)
def test_a_pattern_that_changes_under_update(method):
    solver = LinearSolver(method)
    with pytest.raises(InputError, match="call setup"):
        solver.update(laplacian(4))
    solver.setup(laplacian(4))
    for other in (sp.csr_array(np.eye(16)), laplacian(5), sp.csr_array(laplacian(4) + 0.1 * np.ones((16, 16)))):
        with pytest.raises(InputError, match="call setup with the new matrix"):
            solver.update(other)
    check_solution(laplacian(5), solver.setup(laplacian(5)).solve(np.ones(25)), np.ones(25))


@pytest.mark.parametrize("method", ["direct", "cg"])
def test_a_stale_system_is_refused(method):
    solver = LinearSolver(method)
    old = solver.setup(laplacian(4))
    new = solver.update(2.0 * laplacian(4))
    with pytest.raises(InputError, match="stale"):
        old.solve(np.ones(16))
    check_solution(2.0 * laplacian(4), new.solve(np.ones(16)), np.ones(16))


@pytest.mark.parametrize("method", ITERATIVE)
def test_too_few_iterations_name_a_remedy(method):
    A = laplacian(30)
    system = LinearSolver(method, preconditioner="none", max_iterations=3).setup(A)
    with pytest.raises(SolveFailed, match=r"max_iterations.*use method = ") as caught:
        system.solve(np.random.default_rng(0).standard_normal(900))
    assert caught.value.report["iterations"] <= 5
    assert caught.value.report["relative_residual"] > 1e-10


def test_unknown_names():
    for options, text in (({"method": "cgg"}, "Did you mean 'cg'"), ({"backend": "pardizo"}, "Did you mean 'pardiso'"),
                          ({"preconditioner": "jacoby"}, "Did you mean 'jacobi'")):
        with pytest.raises(ConfigError, match=text):
            LinearSolver(**options)
    with pytest.raises(InputError, match="at least 1"):
        LinearSolver(max_iterations=0)
