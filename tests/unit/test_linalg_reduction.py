"""Orthonormalisation, POD, eigenvalues and batched systems."""

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import InputError, SolveFailed
from romflow.linalg.batched import assemble_and_solve, least_squares
from romflow.linalg.eigen import eigenvalue_range, is_semidefinite, largest_eigenvalue, smallest_eigenpair
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import OrthonormalRange, extend_orthonormal
from romflow.linalg.pod import pod
from romflow.linalg.solvers.superlu import SuperLU

RNG = np.random.default_rng(3)
X = sp.csr_array(sp.diags_array([-np.ones(79), 2.1 * np.ones(80), -np.ones(79)], offsets=[-1, 0, 1]))


def decaying(n=80, k=30, decay=0.1, last=1e-12):
    U, V = np.linalg.qr(RNG.standard_normal((n, k)))[0], np.linalg.qr(RNG.standard_normal((k, k)))[0]
    sigma = np.maximum(decay ** np.arange(k), last)
    return (U * sigma) @ V.T


def test_extension_is_orthonormal_and_leaves_dependent_vectors_out():
    product = InnerProduct(X)
    V = extend_orthonormal(np.empty((80, 0)), RNG.standard_normal((80, 4)), product)
    nearly = V[:, :1] + 1e-9 * RNG.standard_normal((80, 1))
    W = extend_orthonormal(V, np.hstack([nearly, V @ RNG.standard_normal((4, 2)), np.zeros((80, 1))]), product)
    assert W.shape == (80, 1)
    B = np.hstack([V, W])
    assert np.abs(product.gram(B, B) - np.eye(5)).max() < 1e-13


@pytest.mark.parametrize("blocks", [[1, 3, 3, 3], [10], [5, 5]])
def test_range_factor_reproduces_norms_of_rank_deficient_columns(blocks):
    Y = RNG.standard_normal((60, 10))
    Y[:, 4] = Y[:, :4] @ [1.0, -2.0, 0.5, 3.0]
    Y[:, 7] = 1e-9 * Y[:, 7] + Y[:, 0]
    grown, start = OrthonormalRange(60), 0
    for j in blocks:
        grown.extend(Y[:, start:start + j])
        start += j
    c = RNG.standard_normal((10, 50))
    assert np.allclose(np.linalg.norm(grown.T @ c, axis=0), np.linalg.norm(Y @ c, axis=0), rtol=1e-13)
    small = np.zeros((10, 1))
    small[[0, 1, 2, 3, 4], 0] = [1.0, -2.0, 0.5, 3.0, -1.0]
    assert np.linalg.norm(grown.T @ small) < 1e-14 * np.linalg.norm(Y)
    assert np.allclose(grown.T, np.triu(grown.T))


def test_range_factor_when_columns_outnumber_rows():
    Y = RNG.standard_normal((6, 15))
    grown = OrthonormalRange(6)
    for start in range(0, 15, 5):
        grown.extend(Y[:, start:start + 5])
    c = RNG.standard_normal((15, 9))
    assert np.allclose(np.linalg.norm(grown.T @ c, axis=0), np.linalg.norm(Y @ c, axis=0), rtol=1e-13)


@pytest.mark.parametrize("tolerance", [2e-2, 2e-5, 2e-9, 1e-11])
def test_pod_reaches_its_tolerance_with_no_more_modes_than_the_svd(tolerance):
    S = decaying()
    found = pod(S, InnerProduct(None), tolerance, block=7)
    V, sigma = found.basis, np.linalg.svd(S, compute_uv=False)
    error = np.linalg.norm(S - V @ (V.T @ S)) / np.linalg.norm(S)
    tails = np.sqrt(np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0)) / np.linalg.norm(S)
    assert error <= tolerance * (1 + 1e-6)
    assert V.shape[1] == int(np.argmax(tails <= tolerance))
    assert np.abs(V.T @ V - np.eye(V.shape[1])).max() < 1e-13
    r = V.shape[1]
    assert np.allclose(found.singular_values[:r], sigma[:r], rtol=1e-3)


def test_gram_route_refuses_a_tolerance_that_it_cannot_keep():
    with pytest.raises(InputError, match="two-pass"):
        pod(decaying(), InnerProduct(None), 1e-9, route="gram")


def test_pod_is_orthonormal_in_the_inner_product_and_optimal_there():
    S, product = decaying(decay=0.5), InnerProduct(X)
    found = pod(S, product, 1e-3)
    R = np.linalg.cholesky(X.toarray()).T
    optimal = np.linalg.svd(R @ S, compute_uv=False)
    r = found.basis.shape[1]
    assert np.abs(product.gram(found.basis, found.basis) - np.eye(r)).max() < 1e-12
    assert np.allclose(found.singular_values[:r], optimal[:r], rtol=1e-9)
    assert found.error == pytest.approx(np.sqrt(np.sum(optimal[r:] ** 2) / np.sum(optimal**2)), rel=1e-6)


def test_pod_of_zero_and_of_more_snapshots_than_unknowns():
    assert pod(np.zeros((5, 3)), InnerProduct(None), 1e-3).basis.shape == (5, 0)
    S = RNG.standard_normal((4, 9))
    assert pod(S, InnerProduct(None), 0.0).basis.shape == (4, 4)
    with pytest.raises(InputError, match="not finite"):
        pod(np.full((2, 2), np.nan), InnerProduct(None), 1e-3)


@pytest.mark.parametrize("n", [50, 500])
def test_extreme_eigenvalues_agree_with_a_dense_solver(n):
    M = sp.csr_array(sp.diags_array([-np.ones(n - 1), 2.1 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]))
    A = sp.csr_array(sp.diags_array([np.linspace(-1.0, 3.0, n), np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1, -1]))
    exact = sl.eigh(A.toarray(), M.toarray(), eigvals_only=True)
    product = InnerProduct(M)
    assert eigenvalue_range(A, product) == pytest.approx((exact[0], exact[-1]), abs=1e-7 * np.abs(exact).max())
    below = exact[0] - 1.0
    inverse = SuperLU(True).setup(A - below * M)
    value, v = smallest_eigenpair(A, product, below, inverse.solve)
    assert value == pytest.approx(exact[0], rel=1e-8)
    assert np.linalg.norm(A @ v - value * (M @ v)) < 1e-6
    operator = LinearOperator((n, n), matvec=lambda w: A @ w, dtype=float)
    assert eigenvalue_range(operator, product) == pytest.approx((exact[0], exact[-1]), abs=1e-7 * np.abs(exact).max())
    assert eigenvalue_range(0.0 * A, product) == pytest.approx((0.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("n", [50, 2000])
def test_the_largest_eigenvalue_of_a_mass_matrix_takes_few_products(n):
    h, products = 1.0 / (n + 1), []
    X = sp.csr_array(sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) / h)
    M = sp.diags_array([np.ones(n - 1), 4 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]) * (h / 6)
    mass = LinearOperator((n, n), matvec=lambda w: products.append(1) or M @ w, dtype=float)
    # The sine is an eigenvector of both: lambda = (2 + cos) h / 3 over 2 (1 - cos) / h, cos of pi h.
    exact = (2 + np.cos(np.pi * h)) * h**2 / 6 / (1 - np.cos(np.pi * h))
    assert largest_eigenvalue(mass, InnerProduct(X)) == pytest.approx(exact, rel=1e-7)
    # Both ends at once take thousands: the small eigenvalues accumulate.
    assert len(products) <= 150


def test_semidefinite_matrices_are_told_from_indefinite_ones():
    product = InnerProduct(sp.eye_array(6))
    flat = sp.diags_array([1.0, 0.0, 0.0, 2.0, 0.0, 1.0])
    assert is_semidefinite(flat, product)
    assert not is_semidefinite(sp.diags_array([1.0, -1e-3, 0.0, 2.0, 0.0, 1.0]), product)


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("b", [1, 7, 2500])
def test_batched_systems_are_solved_to_rounding(definite, b):
    r, Q = 9, 4
    A = RNG.standard_normal((Q, r, r))
    A = np.einsum("qij,qkj->qik", A, A) + np.eye(r) if definite else A + 6 * np.eye(r)
    theta, f = RNG.uniform(0.5, 1.5, (b, Q)), RNG.standard_normal((r, b))
    x = assemble_and_solve(theta, A, f, definite=definite)
    residual = np.einsum("bq,qij,jb->ib", theta, A, x) - f
    assert np.abs(residual).max() < 1e-10


def test_indefinite_batched_system_is_refused_rather_than_answered():
    A = np.array([[[1.0, 0.0], [0.0, -1.0]]])
    with pytest.raises(SolveFailed, match="1 of 1"):
        assemble_and_solve(np.ones((1, 1)), A, np.ones((2, 1)), definite=True)
    with pytest.raises(SolveFailed, match="singular"):
        assemble_and_solve(np.ones((1, 1)), 0.0 * A, np.ones((2, 1)), definite=False)


def test_batched_least_squares_agrees_with_lstsq():
    A, f = RNG.standard_normal((5, 8, 3)), RNG.standard_normal((5, 8))
    expected = np.array([np.linalg.lstsq(a, g)[0] for a, g in zip(A, f, strict=True)]).T
    assert np.allclose(least_squares(A, f), expected, atol=1e-13)
