"""Randomised Gram-Schmidt stays well conditioned where classical Gram-Schmidt loses all orthogonality."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embeddings import ProductEmbedding, embedding
from romflow.linalg.sketching.randomised_gram_schmidt import SketchedGramSchmidt, randomised_qr
from tests.problems import reaction_diffusion


def ill_conditioned(n=4000, k=40, condition=1e12, seed=0):
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((m, k)))[0] for m in (n, k))
    return (U * np.logspace(0, -np.log10(condition), k)) @ V.T


def classical(W):
    Q = np.empty_like(W)
    for j, w in enumerate(W.T):
        w = w - Q[:, :j] @ (Q[:, :j].T @ w)
        Q[:, j] = w / np.linalg.norm(w)
    return Q


@pytest.mark.parametrize("kind", ["sparse-sign", "srht", "gaussian", "countsketch"])
def test_condition_of_q_stays_small_at_condition_1e12(kind):
    W = ill_conditioned()
    found = randomised_qr(W, embedding(kind, 240, len(W), seed=1))
    assert found.Q.shape == W.shape
    assert np.linalg.cond(found.Q) < 3.0
    assert np.abs(found.S.T @ found.S - np.eye(40)).max() < 1e-9
    assert np.linalg.norm(found.Q @ found.R - W) < 1e-14 * 40 * np.linalg.norm(W)
    assert np.array_equal(found.R, np.triu(found.R))
    assert np.linalg.cond(classical(W)) > 1e4, "the companion: classical Gram-Schmidt fails on the same columns"


def test_q_is_nearly_orthonormal_in_the_product_of_the_embedding():
    fom = reaction_diffusion(2001)
    product = InnerProduct(fom.inner_product)
    W = np.stack([fom.solve(np.array([mu])).state for mu in np.linspace(1, 10, 6)], axis=1)
    found = randomised_qr(W, ProductEmbedding(embedding("sparse-sign", 300, fom.n), product))
    values = np.linalg.eigvalsh(product.gram(found.Q, found.Q))
    assert 0.6 < values[0] <= values[-1] < 1.5
    assert np.linalg.cond(found.Q.T @ found.Q) > 10, "the companion: not so in the Euclidean product"


def test_dependent_columns_bring_no_vector():
    W = ill_conditioned(k=5, condition=10.0)
    W = np.hstack([W[:, :3], W[:, :3] @ np.ones((3, 1)), W[:, 3:], np.zeros((len(W), 1))])
    found = randomised_qr(W, embedding("sparse-sign", 60, len(W)))
    assert found.Q.shape[1] == 5
    assert found.R.shape == (5, 7)
    np.testing.assert_allclose(found.Q @ found.R, W, atol=1e-14)


def test_sketches_alone_give_the_same_coefficients():
    W, theta = ill_conditioned(condition=1e3), embedding("gaussian", 200, 4000)
    found, alone = randomised_qr(W, theta), SketchedGramSchmidt(200)
    for j, p in enumerate(theta.apply(W).T):
        h, rho = alone.append(p)
        np.testing.assert_allclose(np.append(h, rho), found.R[: j + 1, j], atol=1e-11)
    np.testing.assert_allclose(alone.S, found.S, atol=1e-9)


def test_wrong_input_is_refused():
    theta = embedding("sparse-sign", 20, 50)
    with pytest.raises(InputError, match="2 k = 42"):
        randomised_qr(np.ones((50, 21)), theta)
    with pytest.raises(InputError, match="NaN"):
        randomised_qr(np.full((50, 2), np.nan), theta)
    with pytest.raises(ShapeError):
        randomised_qr(np.ones(50), theta)
    with pytest.raises(ShapeError):
        randomised_qr(np.ones((49, 2)), theta)
    with pytest.raises(ShapeError, match="same embedding"):
        SketchedGramSchmidt(20).append(np.ones(21))
