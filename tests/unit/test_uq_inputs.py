"""Random inputs: marginals and copula together, the density, the range of the model, wrong content."""

import json

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import ParameterError, ShapeError
from romflow.parameters.copulas import Gaussian, Independent, Student
from romflow.parameters.distributions import LogNormal, Normal, Table, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.inputs import RandomInputs

SPACE = ParameterSpace([Parameter("a", Uniform(0.0, 2.0), size=2), Parameter("b", Uniform(-1.0, 1.0))])
R = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, -0.4], [0.0, -0.4, 1.0]])
INPUTS = RandomInputs(SPACE, {"a": Normal(1.0, 0.3), "a_1": LogNormal(0.0, 0.2)}, Gaussian(R))
UNIT = np.random.default_rng(0).random((300, 3))


def test_a_column_goes_before_its_table_and_that_before_the_space():
    assert INPUTS.marginals == (Normal(1.0, 0.3), LogNormal(0.0, 0.2), Uniform(-1.0, 1.0))
    assert INPUTS.columns == ("a_0", "a_1", "b") and INPUTS.size == 3
    assert not INPUTS.independent and INPUTS.groups == ((0, 1, 2),)
    assert RandomInputs(SPACE).independent


def test_without_changes_they_are_the_space():
    np.testing.assert_array_equal(RandomInputs(SPACE).ppf(UNIT), SPACE.ppf(UNIT))


def test_the_density_of_normal_inputs_is_that_of_the_joint_normal(must_fail):
    marginals = {"a": Normal(1.0, 0.3), "b": Normal(-1.0, 2.0)}
    inputs = RandomInputs(SPACE, marginals, Gaussian(R))
    std = np.diag([0.3, 0.3, 2.0])
    joint = stats.multivariate_normal(mean=[1.0, 1.0, -1.0], cov=std @ R @ std)
    mu = inputs.ppf(UNIT)

    def agrees(found):
        np.testing.assert_allclose(found, joint.logpdf(mu), rtol=1e-7, atol=1e-7)

    found = inputs.log_density(mu)
    agrees(found)
    must_fail(agrees, found + 1e-5, RandomInputs(SPACE, marginals).log_density(mu))


def test_the_density_integrates_to_one_by_importance_sampling():
    mu = RandomInputs(SPACE, {"a": Normal(1.0, 0.5), "b": Normal(0.0, 1.0)}).ppf(
        stats.qmc.Sobol(3, seed=1).random_base2(14))
    proposal = RandomInputs(SPACE, {"a": Normal(1.0, 0.5), "b": Normal(0.0, 1.0)}).log_density(mu)
    for copula in (None, Gaussian(R), Student(R, 5.0)):
        inputs = RandomInputs(SPACE, {"a": Normal(1.0, 0.3), "a_1": LogNormal(0.0, 0.2)}, copula)
        assert np.mean(np.exp(inputs.log_density(mu) - proposal)) == pytest.approx(1.0, abs=0.02)


def test_unit_and_normal_coordinates_go_there_and_back():
    for inputs in (INPUTS, RandomInputs(SPACE, copula=Student(R, 3.0))):
        np.testing.assert_allclose(inputs.unit(inputs.ppf(UNIT)), UNIT, rtol=1e-8, atol=1e-10)
        z = stats.norm.ppf(UNIT)
        np.testing.assert_allclose(inputs.to_normal(inputs.from_normal(z)), z, rtol=1e-7, atol=1e-8)


def test_rows_do_not_depend_on_the_block_they_are_in():
    points = np.random.default_rng(2).random((5000, 3))
    whole = INPUTS.ppf(points)
    parts = [INPUTS.ppf(points[start : start + 37]) for start in range(0, 5000, 37)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    parts = [INPUTS.log_density(whole[start : start + 37]) for start in range(0, 5000, 37)]
    np.testing.assert_array_equal(np.concatenate(parts), INPUTS.log_density(whole))


def test_rows_outside_the_range_of_the_model_are_flagged():
    mu = np.array([[1.0, 1.0, 0.0], [2.1, 1.0, 0.0], [1.0, 1.0, -1.5], [2.0, 0.0, 1.0]])
    assert INPUTS.outside(mu).tolist() == [False, True, True, False]


def test_no_density_where_an_input_cannot_be():
    assert INPUTS.log_density([[1.0, -1.0, 0.0], [1.0, 1.0, 2.0]]).tolist() == [-np.inf, -np.inf]


def test_a_sample_is_drawn_by_the_generator():
    first, second = (INPUTS.sample(5, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert INPUTS.sample(0, np.random.default_rng(4)).shape == (0, 3)


def test_the_json_form_gives_the_inputs_back():
    inputs = RandomInputs(SPACE, {"a": Table([1.0, 2.0, 4.0], [1.0, 1.0, 2.0])}, Student(R, 4.0))
    again = RandomInputs.from_spec(json.loads(json.dumps(inputs.spec())))
    np.testing.assert_array_equal(again.ppf(UNIT), inputs.ppf(UNIT))
    assert again.spec() == inputs.spec()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: RandomInputs(None), ParameterError, "is no ParameterSpace"),
        (lambda: RandomInputs(SPACE, {"c": Uniform(0.0, 1.0)}), ParameterError, "no parameter is called 'c'"),
        (lambda: RandomInputs(SPACE, {"a": 3.0}), ParameterError, "a = 3 is no Distribution"),
        (lambda: RandomInputs(SPACE, copula=3.0), ParameterError, "copula = 3 is no Copula"),
        (lambda: RandomInputs(SPACE, copula=Independent(2)), ParameterError, "copula has 2 columns and the space 3"),
        (lambda: INPUTS.ppf([0.5, 0.5, 0.5]), ShapeError, r"unit has shape \(3,\); it must be \(k, 3\)"),
        (lambda: INPUTS.ppf([[0.5, np.nan, 0.5]]), ParameterError, r"unit\[0, 1\] \(a_1\) = nan is outside"),
        (lambda: INPUTS.ppf([[0.5, 0.5, 1.1]]), ParameterError, r"unit\[0, 2\] \(b\) = 1.1 is outside \[0, 1\]"),
        (lambda: INPUTS.log_density([[0.5, np.inf, 0.0]]), ParameterError, r"\(a_1\) = inf is not finite"),
        (lambda: INPUTS.outside([[0.5, np.nan, 0.0]]), ParameterError, "is not finite"),
        (lambda: INPUTS.from_normal([[0.5, np.nan, 0.0]]), ParameterError, r"z\[0, 1\]"),
        (lambda: INPUTS.sample(-1, np.random.default_rng(0)), ParameterError, "size = -1"),
        (lambda: RandomInputs(SPACE, {"b": Table([0.0, 1.0], discrete=True)}).unit([[1.0, 1.0, 0.0]]),
         ParameterError, "b is discrete"),
        (lambda: RandomInputs.from_spec({"space": []}), ParameterError, "needs the key 'marginals'"),
    ],
)
def test_wrong_content_is_refused_in_one_sentence(make, error, text):
    with pytest.raises(error, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)
