"""Sparse grids: exact on polynomials of their degree, nested, anisotropic, with Gauss rules of marginals."""

import itertools

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.parameters.distributions import Beta, LogNormal, Normal, Uniform
from romflow.parameters.empirical import Table
from romflow.parameters.polynomials.marginals import gauss_rules
from romflow.parameters.smolyak import clenshaw_curtis, index_set, node_count, sparse_grid


def degrees(p, most):
    return [d for d in itertools.product(range(most + 1), repeat=p) if sum(d) <= most]


@pytest.mark.parametrize(("p", "level"), [(1, 2), (2, 3), (3, 2), (5, 1), (3, 0)])
def test_polynomials_of_total_degree_twice_the_level_and_one_are_exact(p, level, must_fail):
    nodes, weights = sparse_grid(p, level)
    assert len(nodes) == node_count(p, level) == len(np.unique(nodes, axis=0))

    def check(w):
        for d in degrees(p, 2 * level + 1):
            assert w @ np.prod(nodes ** np.array(d), axis=1) == pytest.approx(1.0 / np.prod(np.add(d, 1)), abs=1e-12)

    check(weights)
    must_fail(check, weights * (1 + 1e-11), weights * (1 - 1e-11))


def test_a_direction_that_matters_less_gets_fewer_nodes(must_fail):
    nodes, weights = sparse_grid(2, 3, anisotropy=[1.0, 3.0])
    assert len(nodes) == node_count(2, 3, [1.0, 3.0]) < node_count(2, 3)
    assert [len(np.unique(nodes[:, j])) for j in range(2)] == [9, 3]

    def check(value):
        assert value == pytest.approx(1.0 / 7.0, abs=1e-13)

    right = weights @ nodes[:, 0] ** 6
    check(right)
    must_fail(check, right + 1e-12, right - 1e-12)


def test_grids_are_nested():
    small, large = ({tuple(row) for row in sparse_grid(3, level)[0]} for level in (2, 3))
    assert small < large
    assert not {tuple(row) for row in sparse_grid(3, 2, rules=gauss_rules([Uniform(0, 1)] * 3))[0]} < large


def test_gauss_rules_of_marginals_integrate_moments(must_fail):
    marginals = [Normal(1.0, 2.0), Beta(0.5, 3.0, -1.0, 1.0), Uniform(0.0, 2.0)]
    unit, weights = sparse_grid(3, 2, rules=gauss_rules(marginals))
    x = np.stack([marginal.ppf(unit[:, j]) for j, marginal in enumerate(marginals)], axis=1)
    assert ((unit >= 0.0) & (unit <= 1.0)).all()

    def check(w):
        assert w @ x[:, 0] ** 4 == pytest.approx(1 + 6 * 4 + 3 * 16, rel=1e-10)
        assert w @ (x[:, 0] ** 2 * x[:, 2]) == pytest.approx(5.0, rel=1e-10)
        assert w @ ((x[:, 1] + 1) / 2) ** 2 == pytest.approx(0.5 * 1.5 / (3.5 * 4.5), rel=1e-10)

    check(weights)
    must_fail(check, weights * (1 + 1e-9), weights * (1 - 1e-9))


def test_gauss_rules_of_log_normals_and_constants():
    unit, weights = sparse_grid(2, 4, rules=gauss_rules([LogNormal(0.0, 0.2), Uniform(3.0, 3.0)]))
    assert len(unit) > 5
    assert weights @ LogNormal(0.0, 0.2).ppf(unit[:, 0]) == pytest.approx(np.exp(0.02), rel=1e-7)


def test_a_discrete_table_takes_part_with_all_its_values(must_fail):
    table = Table([1.0, 2.0, 5.0, 9.0], weights=[1.0, 2.0, 1.0, 0.0], discrete=True)
    marginals = [table, Uniform(0.0, 1.0), Table([1.0, 3.0, 4.0])]
    unit, weights = sparse_grid(3, 2, rules=gauss_rules(marginals))
    x = np.stack([marginal.ppf(unit[:, j]) for j, marginal in enumerate(marginals)], axis=1)
    assert set(x[:, 0]) == {1.0, 2.0, 5.0}

    def check(value):
        assert value == pytest.approx((1.0 / 4.0 + np.sqrt(2.0) / 2.0 + np.sqrt(5.0) / 4.0) / 3.0, rel=1e-12)

    right = weights @ (np.sqrt(x[:, 0]) * x[:, 1] ** 2)
    check(right)
    must_fail(check, right * (1 + 1e-11), right * (1 - 1e-11))
    assert weights @ x[:, 2] == pytest.approx(marginals[2].expectation, rel=1e-12)


def test_many_directions_and_the_middle_alone():
    nodes, weights = sparse_grid(100, 1)
    assert len(nodes) == node_count(100, 1) == 201
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert sparse_grid(4, 0)[0].tolist() == [[0.5] * 4]
    assert np.array_equal(clenshaw_curtis(3)[0][::2], clenshaw_curtis(2)[0])
    assert len(index_set(3, 2)) == 10


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sparse_grid(0, 1), "whole number from 1"), (lambda: sparse_grid(2, -1), "whole number from 0"),
    (lambda: sparse_grid(2, 1.0), "level = 1"), (lambda: sparse_grid(200, 5), "lower the level"),
    (lambda: sparse_grid(2, 40), "lower the level"),
    (lambda: sparse_grid(2, 1, anisotropy=[2.0, 3.0]), "smallest of which is 1"),
    (lambda: sparse_grid(2, 1, anisotropy=[1.0, np.nan]), "numbers from 1"),
])
def test_wrong_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="one number for each of the 2"):
        sparse_grid(2, 1, anisotropy=[1.0])
    with pytest.raises(ShapeError, match="give one for each"):
        sparse_grid(2, 1, rules=[clenshaw_curtis])
