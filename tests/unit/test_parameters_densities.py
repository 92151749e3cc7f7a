"""Distributions: distribution functions, densities and moments against scipy.stats, and against each other."""

import json

import numpy as np
import pytest
from scipy import integrate, stats

from romflow.core.errors import ParameterError
from romflow.parameters.distributions import (
    Beta,
    LogNormal,
    LogUniform,
    Normal,
    Table,
    Triangular,
    TruncatedLogNormal,
    TruncatedNormal,
    Uniform,
    from_spec,
)

CASES = [
    (Uniform(0.1, 10.0), stats.uniform(0.1, 9.9)),
    (LogUniform(1e-3, 1e3), stats.loguniform(1e-3, 1e3)),
    (LogUniform(2.0, 2.001), stats.loguniform(2.0, 2.001)),
    (Normal(2.0, 0.5), stats.norm(2.0, 0.5)),
    (TruncatedNormal(1.0, 0.5, 0.0, 3.0), stats.truncnorm(-2.0, 4.0, 1.0, 0.5)),
    (TruncatedNormal(0.0, 1.0, 6.0, 9.0), stats.truncnorm(6.0, 9.0)),
    (TruncatedNormal(0.0, 1.0, -9.0, -6.0), stats.truncnorm(-9.0, -6.0)),
    (LogNormal(0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
    (Beta(2.0, 5.0, -1.0, 3.0), stats.beta(2.0, 5.0, -1.0, 4.0)),
    (Beta(0.5, 0.5), stats.beta(0.5, 0.5)),
    (Triangular(-1.0, 0.5, 2.0), stats.triang(0.5, -1.0, 3.0)),
    (Triangular(0.0, 0.0, 2.0), stats.triang(0.0, 0.0, 2.0)),
    (Triangular(0.0, 2.0, 2.0), stats.triang(1.0, 0.0, 2.0)),
]
NAMES = [f"{case[0].kind}-{index}" for index, case in enumerate(CASES)]
OWN = [TruncatedLogNormal(0.2, 0.6, 0.5, 3.0), TruncatedLogNormal(0.2, 0.6, 0.0, 1.1),
       TruncatedLogNormal(0.0, 0.1, 2.0, 4.0), Table([3.0, 1.0, 2.0, 2.0, 7.0], [1.0, 2.0, 1.0, 1.0, 0.5])]
# Of the log-uniform distribution on [a, b] = [2, 2.001], with 60 digits: (b - a) / l and (b^2 - a^2) / (2 l) less the
# square of that, l = log(b / a).
_NARROW = (2.000499958343746647, 8.33333329862662891e-8)
UNIT = np.array([1e-12, 1e-3, 0.1, 0.5, 0.9, 0.999])


@pytest.mark.parametrize(("distribution", "reference"), CASES, ids=NAMES)
def test_density_and_distribution_function_are_those_of_scipy(distribution, reference, must_fail):
    x = reference.ppf(UNIT)

    def agrees(found):
        np.testing.assert_allclose(found[0], reference.cdf(x), rtol=2e-9, atol=1e-13)
        np.testing.assert_allclose(found[1], reference.logpdf(x), rtol=1e-9, atol=2e-9)

    cdf, log_density = distribution.cdf(x), distribution.log_density(x)
    agrees((cdf, log_density))
    must_fail(agrees, (cdf * (1 + 1e-7), log_density), (cdf, log_density + 1e-7), (cdf, log_density - 1e-7))


@pytest.mark.parametrize(("distribution", "reference"), CASES, ids=NAMES)
def test_moments_are_those_of_scipy(distribution, reference, must_fail):
    narrow = distribution.support[1] - distribution.support[0] < 0.01  # scipy loses digits there
    mean, variance = (reference.mean(), reference.var()) if not narrow else _NARROW

    def agrees(found):
        assert found[0] == pytest.approx(mean, rel=1e-8, abs=1e-12)
        assert found[1] == pytest.approx(variance, rel=1e-6, abs=0.0)

    found = distribution.expectation, distribution.variance
    agrees(found)
    must_fail(agrees, (found[0] * (1 + 1e-7), found[1]), (found[0], found[1] * (1 - 1e-5)))


@pytest.mark.parametrize("distribution", OWN, ids=lambda item: item.kind)
def test_density_integrates_to_the_distribution_function_and_the_moments(distribution):
    low, high = distribution.support
    points = sorted({low, *getattr(distribution, "values", ()), high})

    def integral(function):
        parts = zip(points[:-1], points[1:], strict=True)
        return sum(integrate.quad(function, a, b, epsabs=1e-13, limit=200)[0] for a, b in parts)

    def density(x):
        return float(np.exp(distribution.log_density(x)))

    assert integral(density) == pytest.approx(1.0, rel=1e-9)
    mean = integral(lambda x: x * density(x))
    assert distribution.expectation == pytest.approx(mean, rel=1e-8)
    assert distribution.variance == pytest.approx(integral(lambda x: (x - mean) ** 2 * density(x)), rel=1e-7)


@pytest.mark.parametrize("distribution", OWN + [case[0] for case in CASES], ids=lambda item: item.kind)
def test_the_distribution_function_undoes_the_quantile(distribution):
    unit = np.linspace(1e-6, 1.0 - 1e-6, 301)
    np.testing.assert_allclose(distribution.cdf(distribution.ppf(unit)), unit, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("distribution", OWN + [case[0] for case in CASES], ids=lambda item: item.kind)
def test_outside_the_support_there_is_nothing(distribution):
    low, high = distribution.support
    for end, share, step in ((low, 0.0, -1.0), (high, 1.0, 1.0)):
        beyond = end + step if np.isfinite(end) else end
        assert distribution.cdf(beyond) == share
        assert distribution.log_density(beyond) == -np.inf
    assert not np.isnan(distribution.log_density(distribution.ppf(np.array([0.0, 1.0])))).any()
    with pytest.raises(ParameterError, match="NaN"):
        distribution.cdf([0.5, np.nan])
    with pytest.raises(ParameterError, match="NaN"):
        distribution.log_density(np.nan)


def test_a_point_has_all_its_probability_in_one_value():
    for point in (Uniform(2.0, 2.0), LogUniform(2.0, 2.0), TruncatedNormal(0.0, 1.0, 2.0, 2.0), Table([2.0, 2.0]),
                  Beta(1.0, 2.0, 2.0, 2.0), Triangular(2.0, 2.0, 2.0), TruncatedLogNormal(0.0, 1.0, 2.0, 2.0)):
        assert point.cdf([1.9, 2.0]).tolist() == [0.0, 1.0]
        assert point.log_density([1.9, 2.0]).tolist() == [-np.inf, 0.0]
        assert (point.expectation, point.variance) == (2.0, 0.0)
        assert point.ppf(np.array([0.0, 0.7])).tolist() == [2.0, 2.0]


def test_a_truncated_normal_far_in_the_tail_has_right_moments():
    far = TruncatedNormal(0.0, 1.0, 40.0, 50.0)  # nearly exponential with rate 40 + 1/40
    assert far.expectation == pytest.approx(40.0 + 1.0 / 40.0, abs=5e-5)
    assert far.variance == pytest.approx(1.0 / 1600.0, rel=5e-3)
    assert float(np.exp(far.log_density(40.0))) == pytest.approx(40.0, rel=2e-3)


def test_a_table_has_the_quantiles_of_its_sample():
    sample = np.random.default_rng(3).normal(size=41)
    np.testing.assert_allclose(Table(sample).ppf(UNIT), np.quantile(sample, UNIT), rtol=1e-12)


def test_a_discrete_table_takes_its_values_with_their_weights():
    table = Table([5.0, 1.0, 5.0, 2.0], [1.0, 2.0, 1.0, 0.0], discrete=True)
    unit = (np.arange(1000) + 0.5) / 1000
    assert np.unique(table.ppf(unit), return_counts=True)[1].tolist() == [500, 500]
    assert table.cdf([0.0, 1.0, 2.0, 5.0]).tolist() == [0.0, 0.5, 0.5, 1.0]
    np.testing.assert_allclose(table.log_density([1.0, 2.0, 5.0]), [np.log(0.5), -np.inf, np.log(0.5)])
    assert (table.expectation, table.variance) == (3.0, 4.0)


def test_equal_weights_of_any_size_are_no_weights():
    for weight in (1e-300, 0.25, 1e140):
        table = Table([1.0, 4.0, 2.0], [weight] * 3)
        np.testing.assert_allclose(table.ppf(UNIT), Table([1.0, 4.0, 2.0]).ppf(UNIT), rtol=1e-14)


@pytest.mark.parametrize("distribution", [*OWN, Table([1.0, 2.0], discrete=True), Triangular(0.0, 1.0, 2.0)])
def test_the_json_form_gives_the_distribution_back(distribution):
    again = from_spec(json.loads(json.dumps(distribution.spec())))
    assert again == distribution and hash(again) == hash(distribution)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Table([]), "values has 0 numbers; a sample has 1 to 100000"),
        (lambda: Table([1.0] * 100_001), "values has 100001 numbers"),
        (lambda: Table("abc"), "values = 'abc' is no list"),
        (lambda: Table([1.0, float("nan")]), r"values\[1\] = nan is not finite"),
        (lambda: Table([1.0, float("inf")]), r"values\[1\] = inf is not finite"),
        (lambda: Table([1.0, 10**400]), r"values\[1\] = .* is not finite"),
        (lambda: Table([1.0, True]), r"values\[1\] = true is not a number"),
        (lambda: Table([1.0, "x"]), r"values\[1\] = 'x' is not a number"),
        (lambda: Table([[1.0], [2.0]]), r"values\[0\] = .* is not a number"),
        (lambda: Table(np.zeros((2, 2))), r"values\[0\] = .* is not a number"),
        (lambda: Table(np.float64(3.0)), "values has 0 numbers|is no list"),
        (lambda: Table([1.0, 2.0], [1.0]), "weights has 1 numbers and values 2; give one weight a value"),
        (lambda: Table([1.0, 2.0], [1.0, -0.5]), r"weights\[1\] = -0.5 is negative"),
        (lambda: Table([1.0, 2.0], [0.0, 0.0]), "all weights are 0"),
        (lambda: Table([1.0], discrete=1), "discrete = 1 is neither true nor false"),
        (lambda: from_spec({"distribution": "table"}), "needs the key 'values'"),
        (lambda: Triangular(0.0, 3.0, 2.0), r"mode = 3 is outside \[0, 2\]"),
        (lambda: TruncatedLogNormal(0.0, 1.0, -1.0, 2.0), "a log-normal value is positive"),
        (lambda: TruncatedLogNormal(0.0, 1.0, 0.0, 0.0), "a log-normal value is positive"),
        (lambda: TruncatedLogNormal(0.0, -1.0, 0.0, 1.0), "std = -1 is not positive"),
    ],
)
def test_wrong_content_is_refused_in_one_sentence(make, text):
    with pytest.raises(ParameterError, match=text) as caught:
        make()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_numbers_at_the_edge_of_float64_stay_numbers():
    assert LogNormal(0.0, 30.0).variance == np.inf and LogNormal(0.0, 20.0).expectation == pytest.approx(np.exp(200.0))
    assert LogUniform(1e-300, 1e-10).variance == pytest.approx(1e-20 / (2.0 * 290.0 * np.log(10.0)), rel=1e-2)
    for sliver in (TruncatedNormal(-1.9e6, 0.0018, -7e-6, 2.6), TruncatedNormal(0.0, 1.0, -1e7, 1e11)):
        assert sliver.low <= sliver.expectation <= sliver.high and 0.0 <= sliver.variance <= 1.01
    assert Beta(9.0, 2e-4).ppf(np.array([1e-300]))[0] == pytest.approx(0.0, abs=1e-20)
