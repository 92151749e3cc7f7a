"""CG in blocks, MINRES, GMRES, sketched GMRES, the Nystrom preconditioner and multigrid."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, SolveFailed
from romflow.linalg.solvers.amg import KINDS, Multigrid
from romflow.linalg.solvers.iterative import IterativeMethod
from romflow.linalg.solvers.krylov import conjugate_gradients, general_minimal_residual, minimal_residual
from romflow.linalg.solvers.matrix_input import Goal, relative_residuals
from romflow.linalg.solvers.nystrom import Nystrom
from romflow.linalg.solvers.preconditioners import PRECONDITIONERS, Preconditioner, definite_surrogate
from romflow.linalg.solvers.sketched_gmres import sketched_gmres

GOAL = Goal(1e-9)


def diffusion(m: int, contrast: float = 1.0) -> sp.csr_array:
    """Finite volumes on m x m cells, conductivity `contrast` in the middle, zero outside."""
    k = np.ones((m + 2, m + 2))
    k[m // 3: 2 * m // 3, m // 3: 2 * m // 3] = contrast
    A = sp.lil_array((m * m, m * m))
    for i in range(m):
        for j in range(m):
            for di, dj in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                a, b = k[i + 1, j + 1], k[i + 1 + di, j + 1 + dj]
                w = 2.0 * a * b / (a + b)
                A[i * m + j, i * m + j] += w
                if 0 <= i + di < m and 0 <= j + dj < m:
                    A[i * m + j, (i + di) * m + j + dj] = -w
    return sp.csr_array(A)


PLAIN, JUMP = diffusion(32), diffusion(32, 1e4)


def plain(R):
    return R


# -- CG ---------------------------------------------------------------------------------------------------------------

def test_block_cg_is_the_single_cg_of_every_column():
    B = np.random.default_rng(0).standard_normal((1024, 4))
    B[:, 2] = PLAIN @ np.ones(1024)
    jacobi = Preconditioner("jacobi", symmetric=True)
    jacobi.setup(PLAIN)
    together = conjugate_gradients(PLAIN, B, jacobi.apply, GOAL, 500)
    for j in range(4):
        alone = conjugate_gradients(PLAIN, B[:, [j]], jacobi.apply, GOAL, 500)
        assert np.abs(alone.X[:, 0] - together.X[:, j]).max() < 1e-7 * np.abs(alone.X).max()
        assert abs(int(alone.iterations[0]) - int(together.iterations[j])) <= 2
    assert len(set(together.iterations.tolist())) > 1


def test_cg_ends_after_as_many_steps_as_eigenvalues():
    A = np.diag(np.repeat([1.0, 3.0, 10.0], 20))
    assert conjugate_gradients(A, np.ones((60, 1)), plain, Goal(1e-12), 50).iterations[0] == 3


def test_cg_does_not_trust_its_recurrence(must_fail):
    class Drifting:
        """Products with an error that the recurrence cannot see."""

        def __init__(self, drift):
            self.calls, self.drift = 0, drift

        def __matmul__(self, P):
            self.calls += 1
            return PLAIN @ P * (1.0 + (self.drift if 3 < self.calls < 30 else 0.0))

    b = np.ones((1024, 1))
    answer = conjugate_gradients(Drifting(1e-5), b, plain, GOAL, 1000)

    def check(X):
        assert relative_residuals(PLAIN, X, b)[0] <= 1e-9

    check(answer.X)
    must_fail(check, answer.X * (1 + 1e-8))


@pytest.mark.parametrize(("A", "text"), [
    (np.diag([1.0, -1.0, 2.0]), "indefinite or singular"), (np.diag([1.0, 0.0, 2.0]), "indefinite or singular")])
def test_cg_names_indefinite_matrices(A, text):
    with pytest.raises(SolveFailed, match=text + ".*'minres'") as caught:
        conjugate_gradients(A, np.array([[1.0], [3.0], [0.1]]), plain, GOAL, 50)
    assert caught.value.report["iterations"] >= 1


def test_cg_names_a_bad_preconditioner_and_overflow():
    with pytest.raises(SolveFailed, match="preconditioner is not positive definite"):
        conjugate_gradients(np.eye(3), np.ones((3, 1)), lambda R: -R, GOAL, 5)
    with np.errstate(all="ignore"), pytest.raises(SolveFailed, match="use method = 'direct'"):
        conjugate_gradients(1e200 * np.eye(3), 1e200 * np.ones((3, 1)), lambda R: 1e200 * R, GOAL, 5)


# -- MINRES, GMRES, sketched GMRES -------------------------------------------------------------------------------------

@pytest.mark.parametrize("solve", [minimal_residual, general_minimal_residual, sketched_gmres])
def test_true_residual_of_an_indefinite_system(solve):
    A = sp.csr_array(PLAIN - 0.05 * sp.eye_array(1024))
    assert (np.linalg.eigvalsh(A.toarray()) < 0.0).any()
    B = np.random.default_rng(1).standard_normal((1024, 2))
    cycle = Multigrid("smoothed-aggregation").setup(definite_surrogate(A))
    answer = solve(A, B, cycle.apply, GOAL, 400)
    assert relative_residuals(A, answer.X, B).max() <= 1e-9
    assert np.allclose(answer.residuals, relative_residuals(A, answer.X, B))


@pytest.mark.parametrize("solve", [minimal_residual, general_minimal_residual, sketched_gmres])
def test_inconsistent_system_fails_with_a_remedy(solve):
    A = np.diag(np.append(np.linspace(1.0, 2.0, 63), 0.0))
    with pytest.raises(SolveFailed, match="use method = 'direct'"):
        solve(A, np.ones((64, 1)), plain, GOAL, 60)


def test_sketched_gmres_takes_about_as_many_steps_as_gmres():
    A = sp.csr_array(PLAIN + sp.diags_array(0.3 * np.ones(1023), offsets=1))
    b = np.ones((1024, 1))
    sketched, full = sketched_gmres(A, b, plain, GOAL, 400), general_minimal_residual(A, b, plain, GOAL, 400)
    assert sketched.iterations[0] < 1.6 * full.iterations[0]


def test_sketched_gmres_starts_again_before_its_basis_is_useless():
    A = sp.csr_array(sp.diags_array([np.geomspace(1.0, 1e3, 600), np.full(599, 5.0)], offsets=[0, 1]))
    answer = sketched_gmres(A, np.ones((600, 1)), plain, Goal(1e-8), 1500, basis=140)
    assert answer.residuals[0] <= 1e-8


def test_sketched_gmres_depends_on_its_seed_only():
    first, second, other = (sketched_gmres(JUMP, np.ones((1024, 1)), Multigrid().setup(JUMP).apply, GOAL, 100, seed=s)
                            for s in (1, 1, 2))
    assert np.array_equal(first.X, second.X)
    assert not np.array_equal(first.X, other.X)


# -- Nystrom ----------------------------------------------------------------------------------------------------------

def kernel_matrix(n: int, ridge: float) -> np.ndarray:
    x = np.linspace(0.0, 1.0, n)
    return np.exp(-8.0 * (x[:, None] - x) ** 2) + ridge * np.eye(n)


def test_nystrom_makes_cg_short_on_a_fast_falling_spectrum():
    A, b = kernel_matrix(600, 1e-6), np.random.default_rng(2).standard_normal((600, 1))
    made = Nystrom(shift=1e-6).setup(A)
    quick = conjugate_gradients(A, b, made.apply, Goal(1e-7), 2000)
    with pytest.raises(SolveFailed):
        conjugate_gradients(A, b, plain, Goal(1e-7), 4 * int(quick.iterations[0]))
    assert made.rank < 100
    assert quick.iterations[0] <= 20


def test_nystrom_is_exact_where_the_rank_is_full(must_fail):
    random = np.random.default_rng(3)
    U = np.linalg.qr(random.standard_normal((80, 5)))[0]
    A = U @ np.diag([1e4, 1e3, 1e2, 10.0, 1.0]) @ U.T
    values = Nystrom().setup(A).eigenvalues[:5]

    def check(found):
        assert np.abs(found / [1e4, 1e3, 1e2, 10.0, 1.0] - 1.0).max() < 1e-7

    check(values)
    must_fail(check, values * (1 + 1e-6))


def test_nystrom_stops_where_rank_brings_nothing():
    assert Nystrom().setup(np.eye(400)).rank <= 32


def test_nystrom_refuses_indefinite_and_zero():
    with pytest.raises(SolveFailed, match="not positive semidefinite"):
        Nystrom().setup(np.diag(np.linspace(-1.0, 1.0, 50)))
    with pytest.raises(SolveFailed, match="singular"):
        Nystrom().setup(np.zeros((50, 50)))


# -- multigrid and the other preconditioners ---------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_multigrid_is_symmetric_positive_and_follows_the_contrast(kind):
    for A in (PLAIN, JUMP):
        cycle = Multigrid(kind).setup(A)
        U = np.random.default_rng(4).standard_normal((1024, 6))
        G = U.T @ cycle.apply(U)
        assert np.abs(G - G.T).max() < 1e-9 * np.abs(G).max()
        assert np.linalg.eigvalsh(G)[0] > 0.0
        assert conjugate_gradients(A, np.ones((1024, 1)), cycle.apply, GOAL, 100).iterations[0] <= 25
    assert cycle.memory > A.nnz * 8
    assert len(cycle.prolongations) == len(cycle.sizes) - 1


def test_refreshed_coarse_operators_are_those_of_the_new_matrix():
    cycle = Multigrid("ruge-stuben").setup(PLAIN)
    again = cycle.refresh(JUMP)
    P = cycle.prolongations[0]
    assert abs(again._levels[1].A - P.T @ JUMP @ P).max() < 1e-9
    same = cycle.refresh(PLAIN)
    r = np.ones((1024, 1))
    assert np.allclose(same.apply(r), cycle.apply(r), rtol=1e-12)
    assert not np.allclose(again.apply(r), cycle.apply(r), rtol=1e-3)


def test_multigrid_leaves_the_global_random_state_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    first = Multigrid(seed=1).setup(JUMP).apply(np.ones((1024, 1)))
    assert np.array_equal(np.random.rand(3), expected)  # noqa: NPY002
    assert np.array_equal(first, Multigrid(seed=1).setup(JUMP).apply(np.ones((1024, 1))))


def test_near_null_space_shortens_cg():
    T = PLAIN[:256, :256]
    A = sp.csr_array(sp.kron(T, np.array([[2.0, 0.9], [0.9, 1.0]])))
    twisted = sp.diags_array(np.tile([1.0, 50.0], 256))
    A = sp.csr_array(twisted @ A @ twisted)
    B = np.zeros((512, 2))
    B[0::2, 0], B[1::2, 1] = 1.0, 0.02
    known = Multigrid(near_nullspace=B).setup(A)
    assert conjugate_gradients(A, np.ones((512, 1)), known.apply, GOAL, 60).residuals[0] <= 1e-9


def test_prolongations_are_kept_until_they_cost_more():
    made = Preconditioner("smoothed-aggregation", symmetric=True)
    made.setup(PLAIN)
    made.judge(10, 1)
    made.update(JUMP)
    assert made.kept
    made.judge(15, 1)
    made.update(JUMP)
    assert made.kept
    made.judge(30, 1)
    made.update(PLAIN)
    assert not made.kept


@pytest.mark.parametrize("kind", PRECONDITIONERS[1:])
@pytest.mark.parametrize("method", ["cg", "minres", "gmres", "sketched-gmres"])
def test_methods_with_every_preconditioner(method, kind):
    if kind == "adaptive" and "gmres" in method:
        with pytest.raises(ConfigError, match="unsymmetric"):
            IterativeMethod(method, kind, GOAL, 600).setup(PLAIN)
        return
    made = IterativeMethod(method, kind, GOAL, 600)
    made.setup(PLAIN)
    B = np.random.default_rng(6).standard_normal((1024, 2))
    X, iterations, residuals = made.solve(B)
    assert relative_residuals(PLAIN, X, B).max() <= 1e-9
    assert 0 < iterations <= 600
    assert residuals.max() <= 1e-9


def test_surrogate_is_definite_and_close():
    A = sp.csr_array(PLAIN - 0.5 * sp.eye_array(1024))
    S = definite_surrogate(A)
    values = np.linalg.eigvalsh(S.toarray())
    assert values[0] > 0.0
    assert abs(S - PLAIN).max() < 0.5 * abs(PLAIN).max()


def test_unknown_names_and_broken_preconditioners():
    with pytest.raises(ConfigError, match="multigrid"):
        Multigrid("smoothed-aggregations")
    with pytest.raises(ConfigError, match="Did you mean 'gmres'"):
        IterativeMethod("gmress", "none", GOAL, 5)
    with pytest.raises(ConfigError, match="preconditioner"):
        Preconditioner("iluu", symmetric=False)
    holes = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(SolveFailed, match="diagonal of the matrix has zeros"):
        Preconditioner("jacobi", symmetric=True).setup(holes)
    with pytest.raises(SolveFailed, match="use method = 'direct'"):
        Preconditioner("ilu", symmetric=False).setup(sp.csr_array(np.array([[1.0, 1.0], [1.0, 1.0]])))
