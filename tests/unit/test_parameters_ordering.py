"""Neighbours one after the other, in groups for workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from romflow.core.errors import InputError, ShapeError
from romflow.parameters.ordering import neighbour_groups


@given(st.integers(0, 60), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**31))
def test_every_row_is_in_one_group_and_sizes_differ_by_one_at_most(k, p, groups, seed):
    mu = np.random.default_rng(seed).integers(0, 5, (k, p)).astype(float)
    parts = neighbour_groups(mu, groups)
    assert sorted(np.concatenate(parts).tolist()) == list(range(k))
    sizes = [part.size for part in parts]
    assert len(parts) == groups and max(sizes) - min(sizes) <= 1


def _path_length(mu, order):
    return float(np.linalg.norm(np.diff(mu[order], axis=0), axis=1).sum())


def test_neighbours_follow_each_other_far_closer_than_by_chance():
    mu = np.random.default_rng(0).random((200, 2))
    ordered = np.concatenate(neighbour_groups(mu, 4))
    assert _path_length(mu, ordered) < 0.35 * _path_length(mu, np.arange(200))


def test_groups_are_regions():
    mu = np.array([[0.0], [10.0], [1.0], [11.0], [2.0], [12.0]])
    low, high = neighbour_groups(mu, 2)
    assert mu[low].max() < mu[high].min()


def test_units_and_logarithms_do_not_matter():
    mu = np.random.default_rng(1).random((50, 3)) + 0.1
    scaled = np.column_stack([1e6 * mu[:, 0], np.log(mu[:, 1]), mu[:, 2] ** 3])
    assert all(np.array_equal(a, b) for a, b in zip(neighbour_groups(mu, 3), neighbour_groups(scaled, 3), strict=True))


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match=r"\(k, p\)"):
        neighbour_groups(np.ones(3), 1)
    with pytest.raises(InputError, match="at least 1"):
        neighbour_groups(np.ones((2, 1)), 0)
    with pytest.raises(InputError, match="finite"):
        neighbour_groups(np.full((2, 1), np.nan), 1)
