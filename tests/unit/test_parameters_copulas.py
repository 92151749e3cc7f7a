"""Copulas: densities against joint distributions of scipy.stats, transforms, groups, wrong matrices."""

import json

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import ParameterError, ShapeError
from romflow.parameters.copulas import Gaussian, Independent, Student, copula_from_spec
from romflow.parameters.correlation import correlation_of_pairs, nearest_correlation

R = np.array([[1.0, 0.6, -0.2], [0.6, 1.0, 0.3], [-0.2, 0.3, 1.0]])
U = np.random.default_rng(5).uniform(0.01, 0.99, (50, 3))
COPULAS = [Independent(3), Gaussian(R), Student(R, 3.5)]


def _density(joint, single):
    x = single.ppf(U)
    return joint.logpdf(x) - single.logpdf(x).sum(axis=1)


@pytest.mark.parametrize(
    ("copula", "joint", "single"),
    [(Gaussian(R), stats.multivariate_normal(cov=R), stats.norm()),
     (Student(R, 3.5), stats.multivariate_t(shape=R, df=3.5), stats.t(3.5))],
)
def test_the_density_is_that_of_the_joint_distribution(copula, joint, single, must_fail):
    def agrees(found):
        np.testing.assert_allclose(found, _density(joint, single), rtol=1e-8, atol=1e-8)

    found = copula.log_density(U)
    agrees(found)
    must_fail(agrees, found + 1e-6, found - 1e-6)


@pytest.mark.parametrize("copula", COPULAS, ids=lambda item: item.kind)
def test_the_inverse_undoes_the_transform(copula):
    np.testing.assert_allclose(copula.inverse(copula.transform(U)), U, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("copula", COPULAS, ids=lambda item: item.kind)
def test_column_j_depends_on_the_first_columns_only(copula):
    other = U.copy()
    other[:, 2] = 0.5
    np.testing.assert_array_equal(copula.transform(other)[:, :2], copula.transform(U)[:, :2])


@pytest.mark.parametrize(("copula", "single"), [(Gaussian(R), stats.norm()), (Student(R, 3.5), stats.t(3.5))])
def test_a_sample_has_the_rank_correlations_and_is_uniform(copula, single, must_fail):
    points = copula.transform(np.random.default_rng(1).random((20_000, 3)))

    def agrees(found):
        kendall = [stats.kendalltau(found[:, i], found[:, j])[0] for i, j in ((0, 1), (0, 2), (1, 2))]
        expected = 2.0 / np.pi * np.arcsin([0.6, -0.2, 0.3])  # for every elliptical copula
        np.testing.assert_allclose(kendall, expected, atol=0.02)
        assert max(stats.kstest(found[:, column], "uniform").statistic for column in range(3)) < 0.012

    agrees(points)
    must_fail(agrees, points**1.1, np.stack([points[:, 0], points[:, 1], 1.0 - points[:, 2]], axis=1))


def test_student_extremes_come_together_and_gaussian_ones_less():
    corner = np.array([[0.999, 0.999]])
    matrix = [[1.0, 0.3], [0.3, 1.0]]
    assert Student(matrix, 3.0).log_density(corner) > Gaussian(matrix).log_density(corner) + 1.0
    nearly = Student(matrix, 1e7).log_density(corner)
    np.testing.assert_allclose(nearly, Gaussian(matrix).log_density(corner), rtol=1e-3)


def test_groups_are_the_connected_columns():
    matrix = correlation_of_pairs(["a", "b", "c", "d"], {"a, c": 0.5, "c,d": 0.1})
    assert Gaussian(matrix).groups == ((0, 2, 3), (1,))
    assert Independent(2).groups == ((0,), (1,))
    assert Student(np.eye(3), 4.0).groups == ((0, 1, 2),)  # not correlated, but not independent


@pytest.mark.parametrize("copula", COPULAS, ids=lambda item: item.kind)
def test_the_ends_of_the_cube_stay_finite(copula):
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.5]])
    points = copula.transform(corners)
    assert np.isfinite(copula.log_density(corners)).all()
    assert (points > 0.0).all() and (points < 1.0).all()


@pytest.mark.parametrize("copula", COPULAS, ids=lambda item: item.kind)
def test_the_json_form_gives_the_copula_back(copula):
    again = copula_from_spec(json.loads(json.dumps(copula.spec())))
    np.testing.assert_array_equal(again.transform(U), copula.transform(U))


@pytest.mark.parametrize("copula", COPULAS, ids=lambda item: item.kind)
def test_rows_do_not_depend_on_the_block_they_are_in(copula):
    for function in (copula.transform, copula.inverse, copula.log_density):
        np.testing.assert_array_equal(np.concatenate([function(row[None]) for row in U]), function(U))


def test_the_nearest_correlation_matrix_is_that_of_higham(must_fail):
    # Higham (2002), section 4: nearest to the tridiagonal matrix of ones.
    A = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    expected = np.array([[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]])

    def agrees(found):
        np.testing.assert_allclose(found, expected, atol=1e-4)

    found = nearest_correlation(A)
    agrees(found)
    must_fail(agrees, found + 1e-3, A)
    assert np.linalg.eigvalsh(found)[0] > 0.0
    Gaussian(found)


BAD = [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Gaussian(BAD), ParameterError, r"not positive definite \(smallest eigenvalue -0.8\).*is 0.\d+ away"),
        (lambda: Gaussian([[1.0, 1.0], [1.0, 1.0]]), ParameterError, "not positive definite"),
        (lambda: Gaussian([[1.0, 0.5], [0.4, 1.0]]), ParameterError, r"correlation\[0, 1\] = 0.5 differs"),
        (lambda: Gaussian([[2.0, 0.5], [0.5, 1.0]]), ParameterError, r"correlation\[0, 0\] = 2 is on the diagonal"),
        (lambda: Gaussian([[1.0, 1.5], [1.5, 1.0]]), ParameterError, "beyond -1 .. 1"),
        (lambda: Gaussian([[1.0, np.nan], [np.nan, 1.0]]), ParameterError, r"\[0, 1\] = nan is not finite"),
        (lambda: Gaussian([[1.0, 0.5]]), ShapeError, r"shape \(1, 2\); it must be square"),
        (lambda: Gaussian([[1.0, 0.5], [0.5]]), ShapeError, "no table of numbers"),
        (lambda: Gaussian([]), ShapeError, "must be square"),
        (lambda: Student(R, 0.0), ParameterError, "degrees = 0 is not a positive number"),
        (lambda: Student(R, float("inf")), ParameterError, "gaussian copula for infinitely many"),
        (lambda: Student(R, True), ParameterError, "degrees = true"),
        (lambda: Independent(0), ParameterError, "size = 0 is not a whole number"),
        (lambda: Gaussian(R).transform(U[:, :2]), ShapeError, r"shape \(50, 2\); it must be \(k, 3\)"),
        (lambda: Gaussian(R).transform([[0.5, 0.5, np.nan]]), ParameterError, r"\[0, 2\] = nan is outside"),
        (lambda: Gaussian(R).log_density([[0.5, 0.5, 1.5]]), ParameterError, r"\[0, 2\] = 1.5 is outside"),
        (lambda: copula_from_spec({"copula": "gausian"}), ParameterError, "Did you mean 'gaussian'"),
        (lambda: copula_from_spec({"copula": "gaussian"}), ParameterError, "needs the key 'correlation'"),
        (lambda: copula_from_spec({"copula": "gaussian", "degrees": 3}), ParameterError, "no key 'degrees'"),
        (lambda: correlation_of_pairs(["a", "b"], {"a": 0.5}), ParameterError, "names 1 columns"),
        (lambda: correlation_of_pairs(["a", "b"], {"a, c": 0.5}), ParameterError, "no column is called 'c'"),
        (lambda: correlation_of_pairs(["a", "b"], {"a, a": 0.5}), ParameterError, "'a' with itself"),
        (lambda: correlation_of_pairs(["a", "b"], {"a, b": 0.5, "b, a": 0.4}), ParameterError, "there twice"),
        (lambda: nearest_correlation([[1.0, np.inf], [np.inf, 1.0]]), ParameterError, "not finite"),
        (lambda: nearest_correlation([1.0]), ShapeError, "must be square"),
    ],
)
def test_wrong_content_is_refused_in_one_sentence(make, error, text):
    with pytest.raises(error, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)
