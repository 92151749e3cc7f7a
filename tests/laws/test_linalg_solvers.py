"""Laws of linear solves: linearity, independence of columns, invariance under scaling and permutation, one residual."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.solvers.matrix_input import Pattern, relative_residuals
from romflow.linalg.solvers.policy import LinearSolver

TOLERANCE = 1e-9
SYMMETRIC = ("auto", "direct", "cg", "minres", "gmres", "sketched-gmres", "nystrom-cg")
FEW = settings(max_examples=12, deadline=None)


@st.composite
def definite(draw):
    """A grounded graph Laplacian with conductances over three decades, and its generator."""
    n, seed = draw(st.integers(5, 60)), draw(st.integers(0, 10**6))
    random = np.random.default_rng(seed)
    ends = random.integers(0, n, (3 * n, 2))
    ends = np.vstack([ends[ends[:, 0] != ends[:, 1]], np.column_stack([np.arange(n - 1), np.arange(1, n)])])
    w = 10.0 ** random.uniform(-1.5, 1.5, len(ends))
    i, j = ends.T
    A = sp.coo_array((np.concatenate([w, w, -w, -w]), (np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i]))),
                     shape=(n, n))
    return sp.csr_array(sp.csr_array(A) + sp.eye_array(n)), random


@pytest.mark.parametrize("method", SYMMETRIC)
@FEW
@given(problem=definite())
def test_residual_of_every_column_and_linearity(method, problem):
    A, random = problem
    B = random.standard_normal((A.shape[0], 3)) * 10.0 ** random.uniform(-8, 8, 3)
    solver = LinearSolver(method, tolerance=TOLERANCE)
    system = solver.setup(A)
    X = system.solve(B)
    assert relative_residuals(A, X, B).max() <= TOLERANCE
    assert relative_residuals(A, system.solve(-2.0 * B[:, [1]]), -2.0 * B[:, [1]]).max() <= TOLERANCE
    exact = np.linalg.solve(A.toarray(), B)
    scale = np.linalg.cond(A.toarray()) * np.abs(exact).max(axis=0)
    assert (np.abs(X - exact).max(axis=0) <= 10 * TOLERANCE * scale).all()


@pytest.mark.parametrize("method", ["direct", "cg"])
@FEW
@given(problem=definite(), power=st.integers(-50, 50))
def test_scaling_by_a_power_of_four_scales_the_solution_exactly(method, problem, power):
    A, random = problem
    b = random.standard_normal(A.shape[0])
    x = LinearSolver(method, tolerance=TOLERANCE, preconditioner="jacobi").setup(A).solve(b)
    y = LinearSolver(method, tolerance=TOLERANCE, preconditioner="jacobi").setup(4.0**power * A).solve(b)
    assert np.array_equal(x, 4.0**power * y)


@FEW
@given(problem=definite())
def test_permuted_system_has_the_permuted_solution(problem):
    A, random = problem
    n = A.shape[0]
    order, b = random.permutation(n), random.standard_normal(n)
    x = LinearSolver().setup(A).solve(b)
    y = LinearSolver().setup(A[order][:, order]).solve(b[order])
    assert np.abs(y - x[order]).max() <= 1e-8 * np.abs(x).max() * 100


@FEW
@given(problem=definite())
def test_pattern_reads_every_format_to_the_same_matrix(problem):
    A, random = problem
    pattern = Pattern(A)
    values = sp.csr_array((random.standard_normal(A.nnz), A.indices, A.indptr), shape=A.shape)
    shuffled = values.tocoo()
    order = random.permutation(shuffled.nnz)
    mixed = sp.coo_array((shuffled.data[order], (shuffled.row[order], shuffled.col[order])), shape=A.shape)
    for form in (values, values.tocsc(), mixed):
        read = pattern.read(form)
        assert np.array_equal(read.toarray(), values.toarray())
        assert np.shares_memory(read.indices, pattern.indices)
    dense = values.toarray()
    assert pattern.skew(pattern.read(values)) == pytest.approx(np.abs(dense - dense.T).max() / np.abs(dense).max())
