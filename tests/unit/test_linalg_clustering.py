"""Clusters around members and around subspaces: the known ones are found, and what makes no sense is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.clustering.medoids import distinct, farthest_first, k_medoids
from romflow.linalg.clustering.subspaces import k_subspaces, k_subspaces_of_gram
from romflow.linalg.dissimilarity.fields import sine

POINTS = np.random.default_rng(5).normal(size=(14, 2))
D = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)


def fields(clusters: int = 3, each: int = 8, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Fields (60, N) near `clusters` planes, with amplitudes over four decades and both signs, and their planes."""
    rng = np.random.default_rng(11)
    planes = np.linalg.qr(rng.normal(size=(60, 2 * clusters)))[0].reshape(60, clusters, 2)
    labels = np.repeat(np.arange(clusters), each)
    U = np.einsum("ncm,cnm->nc", planes[:, labels], np.broadcast_to(rng.normal(size=(labels.size, 1, 2)),
                                                                     (labels.size, 60, 2)))
    U /= np.linalg.norm(U, axis=0)
    return (U + noise * rng.normal(size=U.shape) / 8) * 10.0**rng.uniform(-2, 2, labels.size), labels


def same(labels: np.ndarray, truth: np.ndarray) -> bool:
    return bool(np.array_equal(labels[:, None] == labels, truth[:, None] == truth))


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_the_best_medoids_of_all_are_found(clusters: int, must_fail: Callable[..., None]) -> None:
    best = min(D[:, list(chosen)].min(axis=1).sum() for chosen in combinations(range(len(D)), clusters))

    def check(cost: float) -> None:
        assert abs(cost - best) < 1e-12 * best

    found = k_medoids(D, clusters)
    check(found.cost)
    must_fail(check, found.cost * (1 + 1e-11), found.cost * (1 - 1e-11))
    assert found.cost == pytest.approx(D[np.arange(len(D)), found.medoids[found.labels]].sum())
    assert np.array_equal(found.labels[found.medoids], np.arange(clusters))
    assert np.all(np.diff(found.sizes) <= 0) and found.sizes.min() > 0
    assert found.losses.min() == found.cost
    if clusters > 1:
        np.testing.assert_allclose(found.silhouette, silhouette_samples(D, found.labels, metric="precomputed"))


def test_clusters_are_the_same_again_and_after_reordering() -> None:
    found, again = k_medoids(D, 4, seed=1), k_medoids(D.copy(), 4, seed=1)
    assert np.array_equal(found.labels, again.labels) and np.array_equal(found.losses, again.losses)
    order = np.random.default_rng(0).permutation(len(D))
    moved = k_medoids(D[np.ix_(order, order)], 4, seed=1)
    assert same(moved.labels, found.labels[order])


def test_every_sample_may_be_a_cluster_of_its_own() -> None:
    found = k_medoids(D, len(D))
    assert found.sizes.tolist() == [1] * len(D) and found.cost == 0.0 and not found.silhouette.any()
    assert k_medoids(np.zeros((1, 1)), 1).labels.tolist() == [0]


def test_identical_samples_make_one_cluster_and_no_more() -> None:
    assert k_medoids(np.zeros((5, 5)), 1).sizes.tolist() == [5]
    with pytest.raises(InputError, match="identical .* nothing to cluster"):
        k_medoids(np.zeros((5, 5)), 2)
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 7.0])
    twice = np.abs(x[:, None] - x)
    assert distinct(twice) == 3
    found = k_medoids(twice, 3)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 2] and np.isfinite(found.silhouette).all()
    with pytest.raises(InputError, match="only 3 differ"):
        k_medoids(twice, 4)


def test_samples_that_rounding_makes_alike_still_fill_all_clusters() -> None:
    star = 1.0 - np.eye(5)
    star[4] = star[:, 4] = 0.0
    found = k_medoids(star, 3)
    assert found.cost == 0.0 and found.sizes.tolist() == [3, 1, 1] and np.unique(found.medoids).size == 3


def test_angles_find_planes_whatever_the_amplitudes() -> None:
    U, truth = fields(noise=0.0)
    found = k_subspaces(U, 3, 2, starts=20)
    assert same(found.labels, truth) and found.cost < 1e-5
    noisy, truth = fields()
    found = k_subspaces(noisy, 3, 2, starts=20)
    assert same(found.labels, truth) and np.array_equal(found.labels[found.medoids], np.arange(3))
    scaled = noisy / np.linalg.norm(noisy, axis=0)
    again = k_subspaces_of_gram(scaled.T @ scaled, 3, 2, starts=20)
    assert np.array_equal(again.labels, found.labels)
    lines = noisy[:, [0, 8, 16]] @ np.repeat(np.eye(3), 5, axis=1) * np.linspace(-3.0, 2.0, 15)
    assert same(k_medoids(sine(lines, lines), 3).labels, np.repeat(np.arange(3), 5))


def test_subspaces_leave_no_cluster_empty() -> None:
    U = np.zeros((4, 6))
    U[0] = np.arange(6.0)
    found = k_subspaces(U, 3, 2)
    assert found.sizes.min() >= 1 and found.cost == pytest.approx(0.0, abs=1e-7) and np.isfinite(found.silhouette).all()


def test_members_are_taken_farthest_first() -> None:
    x = np.array([0.0, 1.0, 2.0, 5.0, 5.5, 9.0])
    gaps, members = np.abs(x[:, None] - x), np.array([0, 1, 2, 3, 5])
    assert farthest_first(gaps, members, 2, 5).tolist() == [2, 5, 3, 0, 1]
    assert farthest_first(gaps, members, 2, 3).tolist() == [2, 5, 3]
    assert farthest_first(np.zeros((3, 3)), np.arange(3), 1, 3).tolist() == [1, 0, 2]
    for wrong in ((members, 4, 2), (members, 2, 6), (members, 2, 0), (np.array([2, 2]), 2, 1), (np.array([2, 9]), 2, 1),
                  (np.array([2.0]), 2, 1)):
        with pytest.raises(InputError, match="the rule|give the cluster"):
            farthest_first(gaps, *wrong)


def _changed(i: int, j: int, value: float) -> np.ndarray:
    wrong = D.copy()
    wrong[i, j] = value
    return wrong


@pytest.mark.parametrize(("wrong", "said"), [
    (_changed(1, 2, np.nan), "samples 1 and 2 is nan"), (_changed(1, 2, -1.0), "samples 1 and 2 is -1"),
    (_changed(1, 2, 9.0), "not symmetric"), (_changed(3, 3, 1.0), "sample 3 to itself"), (D[:3], "shape"),
    (np.empty((0, 0)), "shape")])
def test_wrong_dissimilarities_are_refused(wrong: np.ndarray, said: str) -> None:
    for call in (lambda: k_medoids(wrong, 2), lambda: farthest_first(wrong, np.arange(2), 0, 1)):
        with pytest.raises((InputError, ShapeError), match=said):
            call()


@pytest.mark.parametrize(("clusters", "said"), [(0, "from 1"), (15, "14 samples"), (2.0, "whole"), (True, "whole")])
def test_wrong_numbers_of_clusters_are_refused(clusters: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        k_medoids(D, clusters)
    with pytest.raises(InputError, match="clusters"):
        k_subspaces(POINTS.T, clusters, 1)
    with pytest.raises(InputError, match="starts"):
        k_medoids(D, 2, starts=-1)


def test_wrong_fields_of_subspaces_are_refused() -> None:
    with pytest.raises(InputError, match="field 1 .*NaN"):
        k_subspaces(np.array([[1.0, np.nan]]), 1, 1)
    with pytest.raises(ShapeError):
        k_subspaces(np.ones(3), 1, 1)
    with pytest.raises(ShapeError):
        k_subspaces_of_gram(np.ones((2, 3)), 1, 1)
    with pytest.raises(InputError, match="modes"):
        k_subspaces(np.eye(3), 2, 0)
