"""Sobol' indices from pairs: exact values within intervals, merged sums, wrong input."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.uq.streaming.sensitivity import Indices, index_values, merge_pairs, pairs_of, sobol_indices

WEIGHTS = np.array([0.0, 1.0, 9.0])


def g_function(x):
    return np.prod((np.abs(4.0 * x - 2.0) + WEIGHTS) / (1.0 + WEIGHTS), axis=1)


def exact():
    parts = 1.0 / (3.0 * (1.0 + WEIGHTS) ** 2)
    everything = np.prod(1.0 + parts)
    return parts / (everything - 1.0), parts * everything / (1.0 + parts) / (everything - 1.0)


def points(seed, n, f=g_function, p=3):
    A, B = np.random.default_rng(seed).random((2, n, p))
    return f(A), f(B), [f(np.where(np.arange(p) == i, B, A)) for i in range(p)]


def test_intervals_hold_the_exact_indices_as_often_as_they_say(must_fail):
    studies = [sobol_indices(*points(seed, 400)) for seed in range(300)]

    def check(right):
        held = np.mean([[[one.low <= value <= one.high for one, value in zip(found, values, strict=True)]
                         for found, values in zip(study, right, strict=True)] for study in studies], axis=0)
        assert held.min() > 0.91 and held.max() < 0.99

    first, total = exact()
    check((first, total))
    must_fail(check, (first + 0.05, total), (first - 0.05, total), (first, total + 0.05), (first, total - 0.05))


def test_an_input_without_effect_has_no_index():
    first, total = sobol_indices(*points(0, 500, lambda x: x[:, 0], p=2))
    assert total[1].value == 0.0 == total[1].high and abs(first[1].value) < 0.15
    assert first[0].value == pytest.approx(1.0) and total[0].low < 1.0 < total[0].high


def test_pairs_merge_and_values_far_from_zero_lose_nothing(must_fail):
    rng = np.random.default_rng(3)
    y, other = rng.normal(size=(2, 1, 1000))
    other = 0.5 * y + other
    whole = pairs_of(y, other)
    parts = [pairs_of(y[:, part], other[:, part]) for part in (slice(0, 10), slice(10, 700), slice(700, None))]
    merged = merge_pairs(merge_pairs(parts[0], parts[1]), parts[2])
    assert np.allclose(merged, whole, rtol=1e-10)

    d, middle = 0.5 * (y - other) ** 2, 0.5 * (y + other).mean()
    right = d.mean() / ((0.5 * (y**2 + other**2)).mean() - middle**2)

    def check(values):
        assert abs(values[0, 0] - right) < 1e-12

    check(np.array(index_values(whole)))
    must_fail(check, np.array(index_values(whole)) + 1e-11, np.array(index_values(whole)) - 1e-11)
    near = sobol_indices(*points(1, 300))[0]
    far = sobol_indices(*points(1, 300, lambda x: 1e6 + g_function(x)))[0]
    assert [one.value for one in far] == pytest.approx([one.value for one in near], abs=1e-8)


def test_failed_points_are_left_out():
    first, second, mixed = (np.array(part) for part in points(2, 100))
    holes = [part.copy() for part in (first, second, mixed)]
    holes[0][3], holes[1][5], holes[2][1, 7] = np.nan, np.inf, np.nan
    keep = np.setdiff1d(np.arange(100), [3, 5, 7])
    sums = [Indices(1, 3, np.zeros(1), np.ones(1)) for _ in range(2)]
    sums[0].add(0, holes[0][None], holes[1][None], holes[2][:, None])
    sums[1].add(0, first[None, keep], second[None, keep], mixed[:, None, keep])
    assert np.array_equal(sums[0].intervals(0.95), sums[1].intervals(0.95))
    assert (sums[0].used, sums[0].failed) == (97, 3)


@pytest.mark.parametrize(("change", "words", "kind"), [
    (lambda a, b, c: (a[:-1], b, c), "have shapes", ShapeError),
    (lambda a, b, c: (a, b, c[0]), "have shapes", ShapeError),
    (lambda a, b, c: (a[:5], b[:5], [x[:5] for x in c]), "16 points or more", InputError),
    (lambda a, b, c: (a, b, c, 95), "between 0 and 1", InputError),
    (lambda a, b, c: (np.r_[np.nan, a[1:]], b, c), "first holds nan", InputError),
    (lambda a, b, c: (0 * a + 0.1, 0 * a + 0.1, [0 * a + 0.1]), "all values are alike", InputError)])
def test_wrong_input(change, words, kind):
    with pytest.raises(kind, match=words):
        sobol_indices(*change(*points(0, 50)))
