"""Sums of sparse terms on the union of their patterns."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ShapeError
from romflow.linalg.affine_pattern import AffinePattern
from tests.sweep_families import block, wind

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("terms", [block(9)[0], wind(20)[0], [sp.random_array((7, 4), density=0.4, rng=RNG)]])
def test_sum_and_transpose_equal_plain_sums(terms, must_fail):
    pattern, theta = AffinePattern(terms), RNG.standard_normal(len(terms))
    dense = sum(weight * term.toarray() for weight, term in zip(theta, terms, strict=True))

    def check(found):
        assert np.abs(found - dense).max() <= 1e-14 * np.abs(dense).max()

    check(pattern.csc(theta).toarray())
    check(pattern.transposed(theta).toarray().T)
    must_fail(check, pattern.csc(theta + 1e-12).toarray())


def test_pattern_is_the_union_whatever_vanishes_or_cancels():
    A = sp.csr_array(np.array([[1.0, 2.0], [0.0, 3.0]]))
    pattern = AffinePattern([A, -A, sp.csr_array(np.array([[0.0, 0.0], [5.0, 0.0]]))])
    for theta in ([1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]):
        assert pattern.csc(np.array(theta)).nnz == pattern.nnz == 4
    first, second = pattern.csc(np.ones(3)), pattern.csc(np.zeros(3))
    assert first.indices is second.indices or np.shares_memory(first.indices, second.indices)
    assert not first.indices.flags.writeable
    assert np.array_equal(second.toarray(), np.zeros((2, 2)))


def test_duplicates_stored_zeros_and_empty_terms():
    twice = sp.coo_array((np.array([1.0, 2.0, 0.0]), (np.array([0, 0, 1]), np.array([1, 1, 0]))), shape=(2, 2))
    pattern = AffinePattern([twice, sp.csr_array((2, 2))])
    assert pattern.nnz == 2
    assert np.array_equal(pattern.csc(np.array([2.0, 7.0])).toarray(), np.array([[0.0, 6.0], [0.0, 0.0]]))


@pytest.mark.parametrize("terms", [[], [sp.eye_array(2), sp.eye_array(3)]])
def test_terms_of_different_shapes_and_no_terms_are_refused(terms):
    with pytest.raises(ShapeError, match="shape"):
        AffinePattern(terms)


def test_theta_of_the_wrong_length_is_refused():
    pattern = AffinePattern([sp.eye_array(2), sp.eye_array(2)])
    for product in (pattern.csc, pattern.transposed):
        with pytest.raises(ShapeError, match=r"theta has shape \(3,\)"):
            product(np.ones(3))
