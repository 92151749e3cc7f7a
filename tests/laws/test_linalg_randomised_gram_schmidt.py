"""Laws of randomised Gram-Schmidt, for any columns."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.sketching.embeddings import embedding
from romflow.linalg.sketching.randomised_gram_schmidt import randomised_qr


@settings(deadline=None, max_examples=40)
@given(k=st.integers(1, 12), decay=st.floats(0.0, 12.0), seed=st.integers(0, 10**6), scale=st.floats(-100, 100))
def test_factors_give_the_columns_back_and_do_not_see_their_scale(k, decay, seed, scale):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((300, k)) @ np.diag(np.logspace(0, -decay, k)) @ rng.standard_normal((k, k))
    theta = embedding("gaussian", 80, 300, seed)
    found = randomised_qr(W, theta)
    size = np.linalg.norm(W)
    assert np.linalg.norm(found.Q @ found.R - W) <= 1e-13 * size
    assert np.abs(theta.apply(found.Q) - found.S).max() < 1e-12
    assert np.abs(found.S.T @ found.S - np.eye(k)).max() < 1e-9
    assert np.linalg.cond(found.Q) < 8.0
    again = randomised_qr(W * 2.0 ** round(scale), theta)
    assert np.array_equal(again.Q, found.Q)
    assert np.array_equal(again.R, found.R * 2.0 ** round(scale))
