"""Embeddings: distortion, rows, inner products, chunking, errors."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import InputError, NotSupported, ShapeError
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embedding_kinds import KINDS
from romflow.linalg.sketching.embeddings import ProductEmbedding, distortion, embedding, embedding_rows

ALL = sorted(KINDS)
N, R = 2000, 10


def basis(n=N, r=R, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, r)))[0]


def stiffness(n):
    """A tridiagonal X and the rectangular factor of its element contributions."""
    Q = sp.csr_array(sp.vstack([sp.diags_array([np.ones(n), -np.ones(n - 1)], offsets=[0, -1], shape=(n, n)),
                                np.sqrt(0.1) * sp.eye_array(n)]))
    return InnerProduct(Q.T @ Q, "energy"), Q


@pytest.mark.parametrize("kind", ALL)
def test_distortion_keeps_epsilon_at_the_rows_of_the_rule(kind, must_fail):
    r, epsilon, delta = 6, 0.5, 0.1
    V = basis(r=r)
    rows = embedding_rows(r, epsilon, delta, kind)
    def check(s):
        failures = sum(distortion(embedding(kind, min(s, N), N, seed), V) > epsilon for seed in range(12))
        assert failures <= 3
    check(rows)
    must_fail(check, 24)


@pytest.mark.parametrize("kind", ALL)
def test_sketched_norms_are_unbiased_with_the_spread_of_theory(kind, must_fail):
    u, s = basis(2000, 1)[:, 0], 100
    squares = np.array([np.sum(embedding(kind, s, 2000, seed).apply(u) ** 2) for seed in range(100)])
    def check(values):
        assert abs(values.mean() - 1.0) < 4.0 * np.sqrt(2.0 / s / len(values))
        assert 0.7 < values.std() / np.sqrt(2.0 / s) < 1.3
    check(squares)
    must_fail(check, 1.1 * squares, squares**2)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("spike", ["coordinate", "constant"])
def test_vectors_that_are_hard_for_samples_keep_their_norm(kind, spike):
    u = np.zeros(N)
    u[:1 if spike == "coordinate" else N] = 1.0
    u /= np.linalg.norm(u)
    assert 0.6 < np.linalg.norm(embedding(kind, 400, N, 3).apply(u)) < 1.4


@pytest.mark.parametrize("kind", ALL)
def test_large_panels_orders_and_threads_give_the_same_sketch(kind):
    n = 70_000
    U = np.random.default_rng(1).standard_normal((n, 2))
    theta = embedding(kind, 50, n, 7)
    whole = theta.apply(U)
    bounds = [0, 1, 32_768, 33_000, 50_000, n]
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda i: theta.apply_rows(np.asfortranarray(U[bounds[i]:bounds[i + 1]]), bounds[i]),
                              range(5)))
    scale = np.linalg.norm(U)
    assert np.abs(sum(parts) - whole).max() < 1e-13 * scale
    assert np.abs(theta.apply(np.asfortranarray(U)) - whole).max() < 1e-13 * scale
    assert np.abs(theta.apply(U[:, 0]) - whole[:, 0]).max() < 1e-13 * scale
    assert np.abs(sum(parts[:-1]) - whole).max() > 1e-3 * scale
    assert theta.apply_rows(U[:0], 40).shape == (50, 2) and not theta.apply_rows(U[:0], 40).any()


def test_srht_is_the_hadamard_matrix_on_chosen_rows():
    theta = embedding("srht", 16, 64, 2)
    matrix = 4.0 * theta.apply(np.eye(64))
    H = sl.hadamard(64)
    signs = matrix[0] * H[theta._high[0] * 64 + theta._low[0]]
    assert set(np.unique(np.round(matrix, 12))) == {-1.0, 1.0}
    rows = matrix * signs
    assert all((rows == row).all(axis=1).any() for row in np.round(rows)) and np.linalg.matrix_rank(matrix) == 16
    assert all((np.round(row) == H).all(axis=1).any() for row in rows)
    assert np.allclose(matrix @ matrix.T, 64.0 * np.eye(16))


def test_srht_of_large_n_agrees_with_its_formula():
    n = 9000
    theta = embedding("srht", 30, n, 5)
    sampled = theta._high * theta.panel + theta._low
    column = 8195
    u = np.zeros(n)
    u[column] = 1.0
    sign = np.where(np.bitwise_count(sampled & column) % 2, -1.0, 1.0) / np.sqrt(30)
    found = theta.apply(u)
    assert np.allclose(found, sign) or np.allclose(found, -sign)


def test_sparse_sign_has_eight_distinct_rows_a_column():
    matrix = embedding("sparse-sign", 37, 500, 1).apply(np.eye(500))
    assert (np.count_nonzero(matrix, axis=0) == 8).all()
    assert np.count_nonzero(matrix, axis=1).min() > 60
    assert (np.count_nonzero(embedding("countsketch", 37, 500, 1).apply(np.eye(500)), axis=0) == 1).all()
    assert embedding("sparse-sign", 3, 50).apply(np.ones(50)).shape == (3,)


def test_rows_follow_the_stated_formulas():
    assert embedding_rows(20, 0.5, 0.01, "countsketch") == 168_000
    by_hand = ((np.sqrt(20) + np.sqrt(2 * np.log(200))) / (np.sqrt(1.5) - 1)) ** 2
    assert embedding_rows(20, 0.5, 0.01, "gaussian", proven=True) == int(np.ceil(by_hand))
    assert embedding_rows(20, 0.5, 0.01, "srht") == embedding_rows(20, 0.5, 0.01) == int(np.ceil(by_hand))
    proven = embedding_rows(20, 0.5, 0.01, "srht", n=10_000, proven=True)
    assert proven == int(np.ceil(2 * (np.sqrt(20) + np.sqrt(8 * np.log(6e6))) ** 2 * np.log(6000) / (0.25 - 0.125 / 3)))
    with pytest.raises(InputError, match="depend on n"):
        embedding_rows(20, 0.5, 0.01, "srht", proven=True)
    with pytest.raises(NotSupported, match="no theorem"):
        embedding_rows(20, 0.5, 0.01, proven=True)


@pytest.mark.parametrize("kind", ALL)
def test_sketches_in_an_inner_product_keep_its_norms_and_dual_norms(kind, must_fail):
    n, s = 2000, 800
    product, Q = stiffness(n)
    F = np.random.default_rng(4).standard_normal((n, 3))
    U = product.riesz(F)
    assembled = ProductEmbedding(embedding(kind, s, 2 * n, 1), product, Q)
    own = ProductEmbedding(embedding(kind, s, n, 1), product)
    def check(ratio):
        assert np.abs(ratio - 1.0).max() < 0.15
    for sketched in (assembled, own):
        primal, dual = sketched.apply(U), sketched.apply_dual(F)
        check(np.linalg.norm(primal, axis=0) / product.norm(U))
        check(np.linalg.norm(dual, axis=0) / product.dual_norm(F))
        assert np.allclose(primal, dual, rtol=0, atol=1e-11 * np.abs(dual).max())
        assert np.allclose(sketched.apply(U[:, 0]), primal[:, 0], rtol=0, atol=1e-12 * np.abs(primal).max())
        must_fail(check, np.linalg.norm(sketched.theta.apply(np.vstack([U, U])[:sketched.theta.n]), axis=0)
                  / product.norm(U))


def test_cholesky_sketch_is_a_sketch_of_the_factor():
    n = 300
    product, _ = stiffness(n)
    whole = ProductEmbedding(embedding("gaussian", 40, n, 1), product)
    matrix = whole.apply(np.eye(n))
    roots, Q = whole.theta.apply(np.eye(n)), product.whiten(product.X.toarray())
    assert np.abs(Q.T @ Q - product.X.toarray()).max() < 1e-12
    assert np.allclose(matrix, roots @ Q) and not np.allclose(matrix, roots)


def test_sketches_of_subdomains_sum_up_in_an_inner_product():
    n = 600
    product, Q = stiffness(n)
    sketched = ProductEmbedding(embedding("sparse-sign", 100, 2 * n, 1), product, Q)
    u = np.random.default_rng(1).standard_normal(n)
    bounds = [0, 250, 700, 2 * n]
    parts = [sketched.theta.apply_rows(Q[a:b] @ u, a) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert np.allclose(sum(parts), sketched.apply(u), rtol=0, atol=1e-12)
    assert not np.allclose(parts[0] + parts[1], sketched.apply(u), rtol=0, atol=1e-3)
    alone = ProductEmbedding(sketched.theta, factor=Q)
    assert np.allclose(alone.apply_dual(u), sketched.apply_dual(u))


def test_euclidean_product_is_the_plain_sketch():
    theta = embedding("countsketch", 40, 300, 1)
    u = np.arange(300.0)
    for sketched in (ProductEmbedding(theta), ProductEmbedding(theta, InnerProduct(None))):
        assert np.array_equal(sketched.apply(u), theta.apply(u))
        assert np.array_equal(sketched.apply_dual(u), theta.apply(u))


def test_distortion_in_an_inner_product_and_of_too_small_a_sketch():
    n = 1000
    product, Q = stiffness(n)
    V = np.random.default_rng(1).standard_normal((n, 5))
    V = sl.solve_triangular(sl.cholesky(product.gram(V, V)), V.T, trans="T").T
    theta = embedding("sparse-sign", 500, n)
    assert 0.01 < distortion(theta, V, product) < 0.5
    assert 0.01 < distortion(ProductEmbedding(embedding("srht", 500, 2 * n), product, Q), V) < 0.5
    assert distortion(embedding("gaussian", 4, n), V, product) >= 1.0
    with pytest.raises(InputError, match="not orthonormal in 'energy'"):
        distortion(theta, basis(n, 5), product)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(kind, bad):
    U = np.ones((300, 2))
    U[[17, 40], 1] = bad
    with pytest.raises(InputError, match="not finite"):
        embedding(kind, 20, 300).apply(U)
    with pytest.raises(InputError, match="not finite"):
        ProductEmbedding(embedding(kind, 20, 300), InnerProduct(sp.eye_array(300))).apply_dual(U)


def test_wrong_input_is_refused():
    theta = embedding("srht", 20, 300)
    with pytest.raises(InputError, match="Did you mean 'countsketch'"):
        embedding("count-sketch", 20, 300)
    with pytest.raises(InputError, match="rows <= n"):
        embedding("srht", 301, 300)
    for rows, n, seed in ((0, 5, 0), (2.5, 5, 0), (True, 5, 0), (3, 0, 0), (3, 5, -1)):
        with pytest.raises(InputError, match="whole number of at least"):
            embedding("gaussian", rows, n, seed)
    with pytest.raises(ShapeError, match="for arrays of 300 rows"):
        theta.apply(np.ones((301, 2)))
    with pytest.raises(ShapeError, match="rows 250 to 350"):
        theta.apply_rows(np.ones(100), 250)
    with pytest.raises(ShapeError, match=r"\(n, j\)"):
        theta.apply(np.ones((300, 2, 2)))
    with pytest.raises(InputError, match="real numbers"):
        theta.apply(sp.eye_array(300))
    with pytest.raises(ShapeError, match="one whole number for each row"):
        theta.apply_at(np.ones(3), [0, 1])
    with pytest.raises(ShapeError, match="0 <= index < n"):
        theta.apply_at(np.ones(2), [0, 300])
    for r, epsilon, delta in ((0, 0.5, 0.1), (3, 1.0, 0.1), (3, 0.5, 0.0)):
        with pytest.raises(InputError, match="the rule is"):
            embedding_rows(r, epsilon, delta)


def test_products_that_do_not_fit_are_refused():
    product, Q = stiffness(300)
    theta = embedding("gaussian", 10, 300)
    with pytest.raises(ShapeError, match="make the embedding with n = 600"):
        ProductEmbedding(theta, product, Q)
    with pytest.raises(InputError, match="differs from the inner product 'energy'"):
        ProductEmbedding(embedding("gaussian", 10, 600), product, 1.01 * Q)
    with pytest.raises(ShapeError, match="has 299 columns"):
        ProductEmbedding(embedding("gaussian", 10, 600), product, Q[:, :-1])
    with pytest.raises(ShapeError, match="for \\(300, j\\)"):
        ProductEmbedding(theta, product).apply(np.ones(299))
    with pytest.raises(InputError, match="pivots"):
        ProductEmbedding(theta, InnerProduct(-product.X)).apply(np.ones(300))
