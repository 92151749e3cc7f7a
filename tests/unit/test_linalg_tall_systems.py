"""Least squares behind the face of the linear solver, and what it and its neighbours refuse."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.linalg.sketching.sketched_least_squares import sketched_lstsq
from romflow.linalg.solvers.policy import LinearSolver

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3000, 20)) * np.logspace(0, -6, 20)
B = RNG.standard_normal((3000, 3))


@pytest.mark.parametrize("method", ["auto", "least-squares"])
def test_tall_systems_have_the_answer_of_a_qr_factorisation(method):
    solver = LinearSolver(method)
    system = solver.setup(A)
    X, exact = system.solve(B), np.linalg.lstsq(A, B, rcond=None)[0]
    assert np.abs(A @ (X - exact)).max() < 1e-12
    assert np.abs(A @ (1.0001 * exact - exact)).max() > 1e-6
    assert system.report.method == "least-squares" and "tall" in solver.why
    assert np.isclose(system.report.relative_residual,
                      (np.linalg.norm(B - A @ exact, axis=0) / np.linalg.norm(B, axis=0)).max())
    assert system.solve(B[:, 0]).shape == (20,)


def test_update_takes_another_matrix_of_the_shape():
    solver = LinearSolver()
    solver.setup(A)
    assert np.allclose(solver.update(2.0 * A).solve(B), 0.5 * solver.setup(A).solve(B), rtol=1e-8)
    with pytest.raises(InputError, match="call setup"):
        solver.update(A[:, :5])


def test_sparse_tall_systems():
    S = sp.random_array((2000, 30), density=0.1, rng=np.random.default_rng(1), format="csr")
    X = LinearSolver().setup(S).solve(B[:2000, 0])
    assert np.allclose(X, np.linalg.lstsq(S.toarray(), B[:2000, 0], rcond=None)[0], atol=1e-10)


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match="more rows than columns"):
        LinearSolver("least-squares").setup(np.eye(3))
    with pytest.raises(ShapeError, match="2999|3000"):
        LinearSolver().setup(A).solve(B[:-1])
    with pytest.raises(InputError, match="finite"):
        LinearSolver().setup(A).solve(np.full(3000, np.nan))
    with pytest.raises(InputError, match="guess"):
        LinearSolver().setup(A).solve(B, guess=np.ones((20, 3)))
    with pytest.raises((InputError, SolveFailed), match="dependent|rank"):
        LinearSolver().setup(np.hstack([A, A[:, :1]])).solve(B)


def test_minres_takes_no_cycle_of_a_matrix_with_negative_diagonal():
    signs = np.repeat([-1.0, 1.0], 100)
    D = sp.diags_array([np.full(199, 0.1), signs, np.full(199, 0.1)], offsets=[-1, 0, 1])
    system = LinearSolver("minres").setup(D)
    x = system.solve(np.ones(200))
    assert system.report.backend == "none" and system.report.iterations < 50
    assert np.linalg.norm(D @ x - 1.0) < 1e-8


def test_complex_numbers_are_refused():
    for call in (lambda: sketched_lstsq(A * 1j, B), lambda: sketched_lstsq(A, B * 1j),
                 lambda: pod(A * 1j, InnerProduct(None), 1e-3),
                 lambda: pod(lambda part: 1j * A[:, part], InnerProduct(None), 1e-3, size=20)):
        with pytest.raises(InputError, match="complex"):
            call()
