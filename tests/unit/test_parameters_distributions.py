"""Distributions: supports, inverse distribution functions against scipy.stats, JSON forms."""

import json

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import ParameterError
from romflow.parameters.distributions import (
    Beta,
    LogNormal,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    from_spec,
)

CASES = [
    (Uniform(0.1, 10.0), stats.uniform(0.1, 9.9)),
    (LogUniform(1e-3, 1e3), stats.loguniform(1e-3, 1e3)),
    (Normal(2.0, 0.5), stats.norm(2.0, 0.5)),
    (TruncatedNormal(1.0, 0.5, 0.0, 3.0), stats.truncnorm(-2.0, 4.0, 1.0, 0.5)),
    (TruncatedNormal(0.0, 1.0, 6.0, 9.0), stats.truncnorm(6.0, 9.0)),
    (TruncatedNormal(0.0, 1.0, -9.0, -6.0), stats.truncnorm(-9.0, -6.0)),
    (LogNormal(0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
    (Beta(2.0, 5.0, -1.0, 3.0), stats.beta(2.0, 5.0, -1.0, 4.0)),
    (Beta(0.5, 0.5), stats.beta(0.5, 0.5)),
]
UNIT = np.array([1e-12, 1e-3, 0.1, 0.5, 0.9, 0.999])


@pytest.mark.parametrize(("distribution", "reference"), CASES, ids=lambda case: getattr(case, "kind", ""))
def test_the_inverse_is_that_of_scipy(distribution, reference, must_fail):
    def agrees(values):
        np.testing.assert_allclose(values, reference.ppf(UNIT), rtol=1e-9, atol=1e-12)

    values = distribution.ppf(UNIT)
    agrees(values)
    must_fail(agrees, values * (1 + 1e-8), values * (1 - 1e-8))


@pytest.mark.parametrize(("distribution", "_"), CASES, ids=lambda case: getattr(case, "kind", ""))
def test_values_are_finite_inside_and_increasing(distribution, _):
    unit = np.linspace(0.0, 1.0, 1001)
    values = distribution.ppf(unit)
    low, high = distribution.support
    assert np.isfinite(values).all()
    assert low <= values.min() and values.max() <= high
    assert (np.diff(values) >= 0.0).all() and values[-1] > values[0]
    if np.isfinite(low) and distribution.kind != "log-normal":
        assert values[0] == pytest.approx(low, rel=1e-6, abs=1e-6)
    if np.isfinite(high):
        assert values[-1] == pytest.approx(high, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("distribution", "_"), CASES, ids=lambda case: getattr(case, "kind", ""))
def test_the_json_form_gives_the_distribution_back(distribution, _):
    assert from_spec(json.loads(json.dumps(distribution.spec()))) == distribution


def test_a_truncated_normal_far_in_the_tail_stays_accurate():
    # For z >> 1 the density falls like exp(-z t): the median of [40, inf) is near 40 + log(2) / 40.
    values = TruncatedNormal(0.0, 1.0, 40.0, 50.0).ppf(np.array([0.0, 0.5, 1.0]))
    assert values[0] == 40.0 and values[2] == 50.0
    assert values[1] == pytest.approx(40.0 + np.log(2.0) / 40.0, abs=2e-5)
    mirrored = TruncatedNormal(0.0, 1.0, -50.0, -40.0).ppf(np.array([0.5]))
    assert mirrored[0] == pytest.approx(-values[1], rel=1e-14)


def test_a_log_normal_is_never_zero():
    assert LogNormal(0.0, 1.0).ppf(np.array([0.0]))[0] > 1e-4


def test_a_constant_is_a_uniform_of_no_width():
    assert Uniform(2.0, 2.0).ppf(np.array([0.0, 0.3, 1.0])).tolist() == [2.0, 2.0, 2.0]


def test_numpy_and_whole_numbers_are_numbers():
    assert Uniform(np.float64(0), 1) == Uniform(0.0, 1.0)
    assert type(Uniform(0, np.int64(1)).high) is float


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Uniform(2.0, 1.0), "uniform: low = 2 is above high = 1; swap them."),
        (lambda: Uniform(0.0, float("nan")), "high = nan is not finite"),
        (lambda: Uniform(0.0, float("inf")), "high = inf is not finite"),
        (lambda: Uniform("0", 1.0), "low = '0' is not a number"),
        (lambda: Uniform(True, 1.0), "low = true is not a number"),
        (lambda: Uniform(-1e308, 1e308), "further apart than float64 holds"),
        (lambda: LogUniform(0.0, 1.0), "low = 0 is not positive"),
        (lambda: Normal(0.0, 0.0), "std = 0 is not positive"),
        (lambda: LogNormal(0.0, -1.0), "std = -1 is not positive"),
        (lambda: LogNormal(600.0, 20.0), "mean = 600 and std = 20 reach beyond float64; bring them down"),
        (lambda: Normal(0.0, 1e308), "mean = 0 and std = 1e\\+308 reach beyond float64"),
        (lambda: Beta(0.0, 1.0), "a = 0 is not positive"),
        (lambda: TruncatedNormal(0.0, 1.0, 1.0, 0.0), "low = 1 is above high = 0"),
        (lambda: from_spec({"distribution": "uniforn"}), "Did you mean 'uniform'"),
        (lambda: from_spec({"distribution": "normal", "mean": 1.0}), "needs the key 'std'; it takes mean, std"),
        (
            lambda: from_spec({"low": 1.0, "high": 2.0, "hgih": 2.0}),
            "has no key 'hgih'; known: low, high. Did you mean",
        ),
        (lambda: from_spec({"low": 1.0, "high": None}), "high = none is not a number"),
    ],
)
def test_wrong_numbers_are_refused_in_one_sentence(make, text):
    with pytest.raises(ParameterError, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)
