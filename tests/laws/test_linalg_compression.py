"""Laws of the POD: whatever the snapshots, blocks and trees, the tolerance is kept and the error is the true one."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.compression.hapod import Split, hapod_node, tree_of
from romflow.linalg.compression.source import ArraySource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import GRAM_LIMIT, pod, update

sets = st.builds(lambda n, k, rank, digits, scale, seed: _set(n, k, rank, digits, scale, seed),
                 st.integers(1, 60), st.integers(1, 25), st.integers(0, 25), st.floats(0.0, 14.0),
                 st.sampled_from([1e-30, 1.0, 1e20]), st.integers(0, 2**32 - 1))
tolerances = st.floats(-11.0, -0.3).map(lambda power: 10.0**power)


def _set(n, k, rank, digits, scale, seed):
    """Snapshots (n, k) of a rank, with values that fall, zeros among them and columns twice; and an inner product."""
    random = np.random.default_rng(seed)
    factors = 10.0 ** (-digits * np.arange(rank) / max(rank, 1))
    S = scale * (random.standard_normal((n, rank)) * factors) @ random.standard_normal((rank, k))
    S[:, random.random(k) < 0.1] = 0.0
    if k > 2:
        S[:, 1] = S[:, 0]
    d = random.uniform(0.5, 2.0, n)
    couples = sp.diags_array([0.2 * np.ones(n - 1), d + 0.5, 0.2 * np.ones(n - 1)], offsets=[-1, 0, 1], shape=(n, n))
    X = [None, sp.csr_array(sp.diags_array(d)), sp.csr_array(couples)][int(random.integers(3))]
    return S, InnerProduct(X)


def _errors(V, S, product):
    """Relative projection error and the norm of what it is relative to."""
    E = S - V @ product.gram(V, S)
    E -= V @ product.gram(V, E)
    total = np.linalg.norm(product.norm(S))
    return np.linalg.norm(product.norm(E)) / total if total else 0.0


@settings(max_examples=120)
@given(sets, tolerances, st.sampled_from(["auto", "two-pass", "sketched", "randomised", "hapod"]),
       st.sampled_from([None, 1, 5]))
def test_the_tolerance_is_kept_and_the_error_is_true(drawn, tolerance, route, block):
    S, product = drawn
    found = pod(S, product, tolerance, route=route, block=block)
    V, error = found.basis, _errors(found.basis, S, product)
    assert error <= tolerance * 1.01
    # A mode of value s has a rounding of eps s_1 / s, and those of one Gram matrix reach down to the tolerance.
    rounding = 1e-13 + 1e-15 / max(tolerance, GRAM_LIMIT)
    assert abs(found.error - error) <= 0.02 * error + rounding
    assert np.abs(product.gram(V, V) - np.eye(V.shape[1])).max(initial=0.0) < 1e-12
    if V.shape[1]:
        assert _errors(V[:, :-1], S, product) > 0.99 * tolerance or route == "hapod"


@settings(max_examples=60)
@given(sets, tolerances, st.integers(1, 9), st.integers(2, 4), st.floats(0.1, 0.95))
def test_the_squares_of_all_nodes_stay_below_the_tolerance(drawn, tolerance, leaf_size, fan, omega):
    S, product = drawn
    tree = tree_of(*S.shape, leaf_size, fan)
    root = hapod_node(ArraySource(S), product, tolerance, tree, omega)
    assert root.tail <= tolerance**2 * root.energy * (1 + 1e-9)
    if root.energy:
        assert _errors(root.basis, S, product) <= np.sqrt(root.tail / root.energy) * (1 + 1e-6) + 1e-13
    split = Split(tolerance, tree.levels, omega)
    shares = (tree.levels - 1) * split.local(root.energy) if tree.levels > 1 else 0.0
    assert shares + omega**2 * tolerance**2 * root.energy <= tolerance**2 * root.energy * (1 + 1e-12)


@settings(max_examples=60)
@given(sets, tolerances, st.integers(0, 25), st.integers(1, 9))
def test_an_update_bounds_its_error(drawn, tolerance, first, block):
    S, product = drawn
    found = update(pod(S[:, :first], product, tolerance), S[:, first:], product, tolerance, block=block)
    assert _errors(found.basis, S, product) <= found.error * (1 + 1e-6) + 1e-13
    assert found.error <= tolerance * (1 + 1e-9)
