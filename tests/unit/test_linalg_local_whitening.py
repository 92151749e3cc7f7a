"""Local whitening equals the whole forward substitution, and touches a part of the factor only."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ShapeError
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.local_whitening import LocalWhitening, WhitenedTerms
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace


@pytest.fixture(scope="module")
def block():
    fom = ThermalBlock(ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=9)]), blocks=[3, 3], cells=60)
    return fom, InnerProduct(fom.inner_product)


def test_whitened_terms_equal_whole_substitutions(block):
    fom, product = block
    V = np.random.default_rng(0).standard_normal((fom.n, 2))
    AV = fom.operator.apply(V)
    terms = WhitenedTerms(product, fom.operator.matrices)
    expected = product.whiten(AV.transpose(1, 2, 0).reshape(fom.n, -1)).reshape(fom.n, 2, 9)
    scale = np.abs(expected).max()
    assert np.abs(terms.dense(AV) - expected).max() < 1e-13 * scale
    sizes = [local.rows.size for local in terms.locals]
    assert max(sizes) < 0.35 * fom.n, "only the ancestors of a term are touched"
    for local, q in zip(terms.locals, range(9), strict=True):
        outside = np.setdiff1d(np.arange(fom.n), local.rows)
        assert np.abs(expected[outside, :, q]).max() == 0.0
    fewer = np.setdiff1d(np.arange(fom.n), terms.locals[0].rows[1:])
    assert np.abs(expected[fewer, :, 0]).max() > 0.0, "the companion: one row less would lose something"


def test_wide_support_takes_the_whole_substitution(block):
    fom, product = block
    local = LocalWhitening(product, np.arange(fom.n))
    F = np.random.default_rng(1).standard_normal((fom.n, 3))
    assert local.rows is None
    assert np.array_equal(local.whiten(F), product.whiten(F))


def test_euclidean_product_keeps_the_functionals():
    local = LocalWhitening(InnerProduct(None), np.array([4, 2]))
    assert np.array_equal(local.rows, [2, 4])
    assert np.array_equal(local.whiten(np.ones((2, 1))), np.ones((2, 1)))


def test_wrong_shapes_are_refused():
    product = InnerProduct(sp.eye_array(9))
    with pytest.raises(ShapeError, match="dof 9"):
        LocalWhitening(product, np.array([9]))
    with pytest.raises(ShapeError, match="2 dofs"):
        LocalWhitening(product, np.array([0, 1])).whiten(np.ones((3, 1)))
