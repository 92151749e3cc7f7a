"""Energy distance: equal to its double sums, unbiased, with p-values and intervals that hold."""

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import InputError, RomflowError, ShapeError
from romflow.uq.distances import compare_outputs, energy_distance


def double_sum(x, y, paired=False):
    x, y = np.atleast_2d(x), np.atleast_2d(y)

    def mean(a, b, without):
        d = np.sqrt(((a[:, :, None] - b[:, None])**2).sum(axis=0))
        return (d.sum() - np.trace(d)) / (d.size - len(d)) if without else d.mean()

    return 2 * mean(x, y, paired) - mean(x, x, True) - mean(y, y, True)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("paired", [False, True])
def test_it_is_the_double_sum(outputs, paired, must_fail):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(outputs, 40))
    y = x + 0.3 * rng.normal(size=(outputs, 40)) if paired else rng.normal(0.4, 1.0, (outputs, 55))
    found = energy_distance(x, y, paired=paired, repetitions=19)
    scale = np.concatenate([x, y], axis=1).std(axis=1, keepdims=True) if outputs > 1 else 1.0

    def check(value):
        np.testing.assert_allclose(value, double_sum(x / scale, y / scale, paired), rtol=0, atol=1e-12)

    check(found.distance.value)
    must_fail(check, found.distance.value + 1e-11, found.distance.value - 1e-11)


def test_values_that_repeat_are_counted_once_each():
    x, y = np.array([0.0, 0.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 1.0, 3.0])
    assert energy_distance(x, y, repetitions=19).distance.value == pytest.approx(double_sum(x, y), abs=1e-14)
    constant = energy_distance(np.ones(5), np.ones(6), repetitions=19)
    assert constant.distance.value == 0.0 == constant.relative and constant.p_value == 1.0


def normal_distance(shift):
    """Of N(0, 1) and N(shift, 1): E|N(d, 2)| has a closed form."""
    def mean(d):
        return 2 / np.sqrt(np.pi) * np.exp(-d * d / 4) + d * (1 - 2 * stats.norm.cdf(-d / np.sqrt(2)))

    return 2 * mean(shift) - 2 * mean(0.0)


def test_unbiased_with_intervals_that_hold(must_fail):
    rng = np.random.default_rng(3)
    found = [energy_distance(rng.normal(size=80), rng.normal(0.6, 1.0, 80), repetitions=39, seed=s).distance
             for s in range(64)]
    values = np.array([e.value for e in found])

    def check(right):
        assert abs(values.mean() - right) <= 3.0 * values.std(ddof=1) / 8
        assert np.mean([e.low <= right <= e.high for e in found]) >= 0.85

    check(normal_distance(0.6))
    must_fail(check, 1.3 * normal_distance(0.6), 0.7 * normal_distance(0.6))


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_of_equal_distributions_are_uniform(paired):
    rng = np.random.default_rng(4)
    p = []
    for s in range(60):
        x, y, z = rng.normal(size=(3, 40))
        p.append(energy_distance(z + 0.2 * x, (z if paired else 0.7 * y) + 0.2 * y if paired else
                                 np.sqrt(1.04) * y, paired=paired, repetitions=39, seed=s).p_value)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_small_shifts_between_pairs_are_found():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(2, 300))
    names = ("a", "b")
    found = compare_outputs(names, truth, truth + np.array([[0.1], [0.0]]) + 0.01 * rng.normal(size=(2, 300)),
                            paired=True, repetitions=99)
    assert found["a"].p_value <= 0.02 and found["all"].p_value <= 0.02
    assert 0.0 <= found["a"].relative < 0.05
    assert set(found["a"].plain()) == {"distance", "relative", "p_value", "sizes"}


def test_failures_are_left_out():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=30), rng.normal(size=30)
    x_bad, y_bad = x.copy(), y.copy()
    x_bad[3], y_bad[7] = np.nan, np.inf
    assert energy_distance(x_bad, y_bad, repetitions=19).sizes == (29, 29)
    kept = np.delete(np.arange(30), [3, 7])
    assert energy_distance(x_bad, y_bad, paired=True, repetitions=19).distance == energy_distance(
        x[kept], y[kept], paired=True, repetitions=19).distance


@pytest.mark.parametrize(("x", "y", "options", "error"), [
    (np.ones(3), np.ones(9), {}, InputError), (np.empty(0), np.ones(9), {}, InputError),
    (np.full(9, np.nan), np.ones(9), {}, InputError), (np.ones((2, 9)), np.ones((3, 9)), {}, ShapeError),
    (np.ones(8), np.ones(9), {"paired": True}, ShapeError), (np.ones((1, 2, 9)), np.ones(9), {}, ShapeError),
    (np.ones(9), np.ones(9), {"repetitions": 5}, InputError), (np.ones(9), np.ones(9), {"confidence": 1.0}, InputError),
    (np.ones(9), np.ones(9), {"seed": -1}, InputError),
])
def test_wrong_input_is_refused(x, y, options, error):
    with pytest.raises(error):
        energy_distance(x, y, **options)
    with pytest.raises(RomflowError):
        compare_outputs(("a", "b", "c", "d"), x, y, **options)
