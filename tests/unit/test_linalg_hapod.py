"""Hierarchical and incremental POD: the tolerance is kept, the squares left out add up, and odd updates."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.hapod import Node, Split, hapod_node, leaf, merge, project, tree_of
from romflow.linalg.compression.source import ArraySource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import Pod, pod, update
from tests.unit.test_linalg_compression import EUCLID, PRODUCTS, N, optimum, snapshots, true_error


def count(S, tolerance, product=EUCLID):
    """Modes that the tolerance needs at least."""
    return int(np.argmax(optimum(S, product) <= tolerance))


# -- hierarchical ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("tolerance", [3e-2, 3e-6, 3e-10])
@pytest.mark.parametrize("fan", [2, 5])
def test_the_root_keeps_the_tolerance_with_few_modes_more(name, tolerance, fan):
    S, product = snapshots(k=60), PRODUCTS[name]
    root = hapod_node(ArraySource(S), product, tolerance, tree_of(N, 60, leaf_size=7, fan=fan))
    error = true_error(root.basis, S, product)
    assert error**2 <= root.tail / root.energy * (1 + 1e-6)
    assert root.tail <= tolerance**2 * root.energy * (1 + 1e-9)
    assert count(S, tolerance, product) <= root.basis.shape[1] <= count(S, tolerance, product) + 2
    assert root.count == 60 and root.energy == pytest.approx(np.sum(product.norm(S) ** 2))


def test_without_the_split_the_tolerance_breaks():
    # Sixteen leaves of slowly falling values, each with the whole tolerance: the squares add up beyond it.
    S, tolerance = snapshots(k=64, digits=0.5), 0.3
    tree = tree_of(N, 64, leaf_size=4, fan=2)
    root = hapod_node(ArraySource(S), EUCLID, tolerance, tree)
    whole = Split(tolerance, 1)
    nodes = [leaf(S[:, part], EUCLID, whole) for part in tree.leaves]
    for groups in tree.merges:
        nodes = [merge([nodes[child] for child in group], EUCLID, whole) for group in groups]
    assert true_error(nodes[0].basis, S) > tolerance >= true_error(root.basis, S)


def test_without_the_singular_values_the_merge_is_inflated():
    S, split = snapshots(k=40), Split(1e-4, 2)
    parts = [leaf(S[:, half], EUCLID, split) for half in (slice(0, 20), slice(20, 40))]
    found = merge(parts, EUCLID, split, root=True)
    flat = [Node(node.basis, np.ones_like(node.sigma), node.tail, float(node.sigma.size), node.count) for node in parts]
    assert merge(flat, EUCLID, split, root=True).basis.shape[1] >= found.basis.shape[1] + 3
    assert np.allclose(found.sigma[:6], np.linalg.svd(S, compute_uv=False)[:6], rtol=1e-6)


def test_a_large_omega_gives_larger_leaves_and_a_root_nearer_to_the_optimum():
    S = snapshots(k=64, digits=3.0)
    roots = [hapod_node(ArraySource(S), EUCLID, 0.1, tree_of(N, 64, 16), omega) for omega in (0.1, 0.99)]
    leaves = [leaf(S[:, :16], EUCLID, Split(0.1, 2, omega)).sigma.size for omega in (0.1, 0.99)]
    assert leaves[0] < leaves[1]
    assert true_error(roots[1].basis, S) <= 1.05 * optimum(S)[roots[1].sigma.size]
    assert roots[1].sigma.size <= roots[0].sigma.size


def test_leaves_of_zeros_and_of_little_weight_keep_nothing():
    S = np.hstack([np.zeros((N, 8)), 1e-9 * snapshots(k=8), snapshots(k=8, seed=1)])
    root = hapod_node(ArraySource(S), EUCLID, 1e-3, tree_of(N, 24, 8, fan=2))
    assert root.basis.shape[1] <= count(S, 1e-3) + 1
    nothing = leaf(np.zeros((5, 2)), EUCLID, Split(1e-3, 2))
    assert nothing.basis.shape == (5, 0) and nothing.energy == nothing.tail == 0.0


def test_projections_of_the_leaves_make_the_error_exact():
    S = snapshots(k=30, digits=6.0)
    root = hapod_node(ArraySource(S), EUCLID, 1e-3, tree_of(N, 30, 8))
    left = sum(project(S[:, part], EUCLID, root)[1] for part in tree_of(N, 30, 8).leaves)
    assert np.sqrt(left / root.energy) == pytest.approx(true_error(root.basis, S), rel=1e-6)
    found = pod(S, EUCLID, 1e-3, route="hapod", block=8)
    assert found.error == pytest.approx(true_error(found.basis, S), rel=1e-6) and found.error <= 1e-3


@pytest.mark.parametrize("wrong", [{"leaf_size": 0}, {"fan": 1}])
def test_wrong_trees_are_refused(wrong):
    with pytest.raises(InputError, match="at least 1 and 2"):
        tree_of(10, 10, **wrong)
    with pytest.raises(InputError, match="omega"):
        Split(1e-3, 2, 1.0)


# -- incremental -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("tolerance", [3e-2, 3e-6, 3e-10])
@pytest.mark.parametrize("block", [1, 9, 100])
def test_an_update_keeps_the_tolerance_of_all_snapshots(name, tolerance, block):
    S, product = snapshots(), PRODUCTS[name]
    found = update(pod(S[:, :15], product, tolerance), S[:, 15:], product, tolerance, block=block)
    error = true_error(found.basis, S, product)
    assert error <= found.error * (1 + 1e-6) and found.error <= tolerance * (1 + 1e-9)
    assert found.basis.shape[1] <= count(S, tolerance, product) + 2
    assert np.abs(product.gram(found.basis, found.basis) - np.eye(found.basis.shape[1])).max() < 1e-13
    assert found.count == 40 and found.route == "incremental"
    assert found.energy == pytest.approx(np.sum(product.norm(S) ** 2))


def test_an_update_without_the_singular_values_is_wrong():
    S = snapshots()
    first = pod(S[:, :15], EUCLID, 1e-3)
    right = update(first, S[:, 15:], EUCLID, 1e-3)
    forgot = Pod(first.basis, np.zeros_like(first.singular_values), first.error, energy=first.energy)
    assert np.allclose(right.singular_values[:5], np.linalg.svd(S, compute_uv=False)[:5], rtol=1e-5)
    assert true_error(update(forgot, S[:, 15:], EUCLID, 1e-3).basis, S) > true_error(right.basis, S)
    assert not np.allclose(update(forgot, S[:, 15:], EUCLID, 1e-3).singular_values[:5], right.singular_values[:5],
                           rtol=1e-2)


def test_many_updates_stay_orthonormal():
    S = snapshots(k=200, digits=14.0)
    found = pod(S[:, :1], EUCLID, 1e-10)
    for j in range(1, 200, 3):
        found = update(found, S[:, j:j + 3], EUCLID, 1e-10)
    r = found.basis.shape[1]
    assert np.abs(found.basis.T @ found.basis - np.eye(r)).max() < 1e-13
    assert true_error(found.basis, S) <= 1e-10


def test_updates_that_add_nothing_and_updates_of_nothing():
    S = snapshots(k=10, digits=3.0)
    first = pod(S, EUCLID, 1e-12)
    again = update(first, S[:, :4], EUCLID, 1e-12)
    assert again.basis.shape == first.basis.shape
    assert np.linalg.norm(S - again.basis @ (again.basis.T @ S)) < 1e-13
    assert update(first, np.zeros((N, 3)), EUCLID, 1e-12).basis.shape == first.basis.shape
    assert update(first, S[:, :0], EUCLID, 1e-12).count == 10
    empty = pod(np.zeros((N, 2)), EUCLID, 1e-12)
    assert update(empty, S, EUCLID, 1e-12).basis.shape == first.basis.shape
    assert update(first, snapshots(k=10, seed=5), EUCLID, 1e-12, max_size=3).basis.shape == (N, 3)


def test_the_earlier_pod_is_left_as_it_is():
    S = snapshots()
    first = pod(S[:, :20], EUCLID, 1e-3)
    before = first.basis.copy()
    update(first, S[:, 20:], EUCLID, 1e-3)
    assert np.array_equal(first.basis, before)


def test_wrong_updates_are_refused():
    first = pod(snapshots(), EUCLID, 1e-3)
    with pytest.raises(ShapeError, match="900 entries"):
        update(first, np.ones((5, 2)), EUCLID, 1e-3)
    with pytest.raises(InputError, match="new snapshots 0 to 1"):
        update(first, np.full((N, 2), np.nan), EUCLID, 1e-3)
    with pytest.raises(InputError, match="tolerance"):
        update(first, np.ones((N, 2)), EUCLID, 2.0)
    with pytest.raises(InputError, match="block"):
        update(first, np.ones((N, 2)), InnerProduct(None), 1e-3, block=0)
