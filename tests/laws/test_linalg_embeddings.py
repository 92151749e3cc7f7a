"""Laws of embeddings: parts sum up to the whole, maps are linear, the same seed is the same matrix."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.sketching.embedding_kinds import KINDS
from romflow.linalg.sketching.embeddings import embedding

KIND = st.sampled_from(sorted(KINDS))


@st.composite
def cut_arrays(draw):
    n = draw(st.integers(30, 3000))
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=5)))
    order = draw(st.sampled_from("CF"))
    U = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((n, draw(st.integers(1, 4))))
    return np.asarray(U, order=order), [0, *cuts, n]


@settings(deadline=None, max_examples=40)
@given(KIND, cut_arrays(), st.integers(1, 30), st.integers(0, 1000))
def test_parts_sum_up_to_the_whole(kind, cut, rows, seed):
    U, bounds = cut
    theta = embedding(kind, rows, len(U), seed)
    whole = theta.apply(U)
    parts = sum(theta.apply_rows(U[a:b], a) for a, b in zip(bounds[:-1], bounds[1:], strict=True))
    scattered = np.random.default_rng(seed).permutation(len(U))
    half = len(U) // 2
    subdomains = sum(theta.apply_at(U[part], part) for part in (scattered[:half], scattered[half:]))
    scale = np.linalg.norm(U)
    assert np.abs(parts - whole).max() <= 1e-13 * scale
    assert np.abs(subdomains - whole).max() <= 1e-13 * scale


@settings(deadline=None, max_examples=30)
@given(KIND, st.integers(20, 400), st.integers(1, 20), st.integers(0, 1000))
def test_an_embedding_is_a_matrix_given_by_its_seed(kind, n, rows, seed):
    theta = embedding(kind, rows, n, seed)
    matrix = theta.apply(np.eye(n))
    U = np.random.default_rng(seed).standard_normal((n, 3))
    assert np.allclose(theta.apply(U), matrix @ U, rtol=0, atol=1e-12 * n)
    assert np.array_equal(embedding(kind, rows, n, seed).apply(np.eye(n)), matrix)
    assert not np.array_equal(embedding(kind, rows, n, seed + 1).apply(np.eye(n)), matrix)
    if kind != "gaussian":
        assert np.allclose(np.linalg.norm(matrix, axis=0), 1.0)
