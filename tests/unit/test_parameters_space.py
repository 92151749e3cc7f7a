"""The parameter space: names, validation, sampling, grids, JSON form."""

import json

import numpy as np
import pytest

from romflow.core.errors import ParameterError, ShapeError
from romflow.core.schema import parse_study
from romflow.parameters.distributions import Beta, LogUniform, Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace


@pytest.fixture
def space():
    return ParameterSpace(
        [Parameter("conductivity", Uniform(0.1, 10.0), 4, "W/(m K)"), Parameter("load", Normal(0.0, 1.0))]
    )


def test_columns_are_in_the_order_of_the_tables(space):
    assert space.columns == ("conductivity_0", "conductivity_1", "conductivity_2", "conductivity_3", "load")
    assert space.names == {"conductivity": space.columns[:4], "load": ("load",)}
    assert space.size == 5
    assert space.units == ("W/(m K)",) * 4 + ("",)
    assert space.low.tolist() == [0.1] * 4 + [-np.inf]
    assert space.high.tolist() == [10.0] * 4 + [np.inf]
    with pytest.raises(ValueError, match="read-only"):
        space.low[0] = 0.0


def test_validation_gives_contiguous_float64_rows(space):
    one = space.validate([1, 2, 3, 4, 5])
    assert one.shape == (1, 5) and one.dtype == np.float64
    many = space.validate(np.asfortranarray(np.ones((3, 5), dtype=np.float32)))
    assert many.shape == (3, 5) and many.flags.c_contiguous
    assert space.validate(np.empty((0, 5))).shape == (0, 5)


def test_validation_takes_columns_by_name(space):
    rows = space.validate({"load": [5.0, 6.0], "conductivity": [[1, 2, 3, 4], [4, 3, 2, 1]]})
    assert rows.tolist() == [[1, 2, 3, 4, 5], [4, 3, 2, 1, 6]]
    rows = space.validate({**{f"conductivity_{index}": 1.0 for index in range(4)}, "load": [1.0, 2.0]})
    assert rows.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 2]]


def test_the_message_of_the_design(space):
    mu = np.ones((2, 5))
    mu[0, 3] = 99.0
    with pytest.raises(ParameterError) as caught:
        space.validate(mu)
    assert str(caught.value) == "mu[0, 3] (conductivity_3) = 99 is outside [0.1, 10] (1 such entry)."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.nan, r"mu\[1, 0\] \(conductivity_0\) = nan is not finite \(2 such entries\)\."),
        (np.inf, r"= inf is not finite \(2 such entries\)"),
        (np.nextafter(10.0, 11.0), r"= 10\.000000000000002 is outside \[0\.1, 10\] \(2 such entries\)"),
        (0.0, r"= 0 is outside"),
    ],
)
def test_what_is_outside_or_not_finite_is_counted(space, value, text):
    mu = np.ones((3, 5))
    mu[1:, 0] = value
    with pytest.raises(ParameterError, match=text):
        space.validate(mu)
    assert space.contains(mu).tolist() == [True, False, False]


def test_an_unbounded_column_still_refuses_infinity(space):
    with pytest.raises(ParameterError, match=r"mu\[0, 4\] \(load\) = -inf is not finite"):
        space.validate([1, 1, 1, 1, -np.inf])
    assert space.contains([1, 1, 1, 1, -1e300]).tolist() == [True]


@pytest.mark.parametrize(
    ("mu", "kind", "text"),
    [
        ([1.0, 2.0], ShapeError, r"mu has shape \(2,\); it must be \(k, 5\) with the columns conductivity_0, .*load"),
        (np.ones((5, 4)), ShapeError, r"shape \(5, 4\)"),
        (np.ones((1, 1, 5)), ShapeError, r"shape \(1, 1, 5\)"),
        (1.0, ShapeError, r"shape \(\)"),
        ([], ShapeError, r"shape \(0,\)"),
        ([[1, 2], [3]], ShapeError, "rows of different lengths"),
        (["1"] * 5, ParameterError, "must hold real numbers"),
        ([1j] * 5, ParameterError, "type complex128"),
        ([True] * 5, ParameterError, "type bool"),
        ([None] * 5, ParameterError, "type object"),
        ({"laod": 1.0}, ParameterError, "no parameter is called 'laod'; known: .* Did you mean 'load'"),
        ({"load": 1.0}, ParameterError, r"lacks the column 'conductivity_0' \(4 such\)"),
        ({"load": 1.0, "conductivity": [1, 2, 3]}, ShapeError, r"must be \(k, 4\)"),
        ({"load": [1.0, 2.0], "conductivity": np.ones((3, 4))}, ShapeError, "different lengths"),
    ],
)
def test_what_is_no_table_of_parameters_is_refused(space, mu, kind, text):
    for check in (space.validate, space.contains):
        with pytest.raises(kind, match=text) as caught:
            check(mu)
        assert "\n" not in str(caught.value)


def test_the_pool_is_that_of_numpys_uniform(must_fail):
    space = ParameterSpace([Parameter("a", Uniform(0.1, 10.0), 9)])
    expected = np.random.default_rng(42).uniform(0.1, 10.0, (200, 9))

    def equal(pool):
        np.testing.assert_allclose(pool, expected, rtol=1e-14, atol=0.0)

    pool = space.sample(200, np.random.default_rng(42))
    equal(pool)
    must_fail(equal, pool * (1 + 1e-13), pool * (1 - 1e-13), space.sample(200, np.random.default_rng(43)))


def test_sampling_follows_each_columns_distribution():
    space = ParameterSpace([Parameter("a", LogUniform(1.0, 100.0)), Parameter("b", Beta(2.0, 2.0), 2)])
    mu = space.sample(4000, np.random.default_rng(0))
    assert np.median(mu[:, 0]) == pytest.approx(10.0, rel=0.1)
    assert mu[:, 1:].mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.array_equal(space.validate(mu), mu)


def test_ppf_keeps_to_the_unit_cube(space):
    assert space.ppf(np.zeros(5)).shape == (1, 5)
    assert np.isfinite(space.ppf([[0.0] * 5, [1.0] * 5])).all()
    for value in (-1e-9, 1.0 + 1e-9, np.nan):
        with pytest.raises(ParameterError, match=r"unit\[0, 4\] \(load\) = .* is outside \[0, 1\]"):
            space.ppf([0.5, 0.5, 0.5, 0.5, value])
    with pytest.raises(ShapeError, match=r"unit has shape \(4,\)"):
        space.ppf(np.zeros(4))


def test_a_grid_is_a_tensor_product_with_the_last_column_fastest():
    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0)), Parameter("b", Uniform(0.0, 4.0))])
    assert space.grid([2, 3]).tolist() == [[0, 0], [0, 2], [0, 4], [1, 0], [1, 2], [1, 4]]
    assert space.grid(1).tolist() == [[0.5, 2.0]]
    assert space.grid(3).shape == (9, 2)


def test_a_grid_of_logarithms_is_even_in_the_logarithm_and_of_normals_finite():
    space = ParameterSpace([Parameter("a", LogUniform(1.0, 100.0)), Parameter("b", Normal(0.0, 1.0))])
    grid = space.grid([3, 2])
    assert np.unique(grid[:, 0].round(9)).tolist() == [1.0, 10.0, 100.0]
    assert np.unique(grid[:, 1].round(6)).tolist() == [-0.67449, 0.67449]


def test_a_grid_of_many_columns_with_one_point_each():
    assert ParameterSpace([Parameter("a", Uniform(0.0, 1.0), 200)]).grid(1).shape == (1, 200)


@pytest.mark.parametrize("per_axis", [0, True, [2, 2.5, 1, 1, 1], [-1] * 5, 100, 10**100])
def test_a_grid_that_cannot_be_is_refused(space, per_axis):
    with pytest.raises(ParameterError, match="per_axis"):
        space.grid(per_axis)


def test_a_grid_needs_a_number_for_each_column(space):
    with pytest.raises(ShapeError, match="per_axis has 2 numbers; this space has 5 columns"):
        space.grid([2, 2])


def test_the_centre_is_the_median():
    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0)), Parameter("b", LogUniform(1.0, 100.0))])
    assert space.centre() == pytest.approx([0.5, 10.0])


def test_the_json_form_gives_the_space_back(space):
    copy = ParameterSpace.from_spec(json.loads(json.dumps(space.to_spec())))
    assert copy == space and hash(copy) == hash(space)
    assert copy != ParameterSpace([Parameter("load", Normal(0.0, 1.0))])
    assert copy.units == space.units


def test_the_space_of_a_study():
    config = parse_study(
        {
            "study": {"name": "x"},
            "model": {"kind": "external"},
            "sampling": {"method": "random"},
            "parameters": {
                "b": {"low": 0, "high": 1.0, "size": 2, "unit": "m"},
                "a": {"distribution": "beta", "a": 2.0, "b": 3.0},
            },
        }
    )
    assert ParameterSpace.from_config(config.parameters) == ParameterSpace(
        [Parameter("b", Uniform(0.0, 1.0), 2, "m"), Parameter("a", Beta(2.0, 3.0))]
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ParameterSpace([]), "has no parameters"),
        (lambda: Parameter("heat-flux", Uniform(0, 1)), "call it 'heat_flux'"),
        (lambda: Parameter("2a", Uniform(0, 1)), "call it '_2a'"),
        (lambda: Parameter("", Uniform(0, 1)), "the name ''"),
        (lambda: Parameter("größe", Uniform(0, 1)), "call it 'gr_e'|call it"),
        (lambda: Parameter("lambda", Uniform(0, 1)), "call it 'lambda_'"),
        (lambda: Parameter("min", Uniform(0, 1)), "call it 'min_'"),
        (lambda: Parameter("a", Uniform(0, 1), 0), "size = 0"),
        (lambda: Parameter("a", Uniform(0, 1), True), "size = true"),
        (lambda: Parameter("a", "uniform"), "is no Distribution"),
        (lambda: ParameterSpace([Parameter("a", Uniform(0, 1))] * 2), "comes from the parameters 'a' and 'a'"),
        (
            lambda: ParameterSpace([Parameter("a", Uniform(0, 1), 2), Parameter("a_1", Uniform(0, 1))]),
            "the column 'a_1'",
        ),
        (lambda: ParameterSpace.from_spec([{"low": 0, "high": 1}]), "needs the key 'name'"),
        (lambda: ParameterSpace.from_spec(["a"]), "needs the key 'name'"),
    ],
)
def test_a_space_that_cannot_be_is_refused(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
