"""Lattice rules: the fast construction finds the best components, points, shifts, the worst-case error's formula."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.parameters.lattice_rule import (
    MAX_POINTS,
    admissible,
    baker,
    embedded,
    lattice,
    next_size,
    points,
    product_weights,
    worst_case_error,
)


def squared(z, n, gamma, smoothness):
    return worst_case_error(z, n, gamma, smoothness=smoothness) ** 2


@pytest.mark.parametrize("smoothness", [1, 2, 3])
@pytest.mark.parametrize("n", [16, 64, 31, 53])
def test_each_component_is_the_best_of_all_candidates(n, smoothness, must_fail):
    gamma = product_weights(4, 1.0)
    z = lattice(n, 4, gamma, smoothness=smoothness)
    units = [c for c in range(1, n) if np.gcd(c, n) == 1]

    def check(found):
        for j in range(1, 5):
            least = min(squared([*found[:j - 1], c], n, gamma[:j], smoothness) for c in units)
            assert squared(found[:j], n, gamma[:j], smoothness) <= least * (1.0 + 1e-9) + 1e-14

    check(z)
    must_fail(check, np.ones(4, dtype=int), np.where(np.arange(4) < 2, z, 1))


def test_the_worst_case_error_is_that_of_the_shift_averaged_kernel(must_fail):
    n, z, gamma = 17, np.array([1, 5, 7]), np.array([1.0, 0.5, 0.2])
    x = points(z, n)
    gap = (x[:, None] - x[None]) % 1.0
    kernel = np.prod(1.0 + gamma * (gap**2 - gap + 1.0 / 6.0), axis=2)

    def check(value):
        assert value**2 == pytest.approx(kernel.mean() - 1.0, rel=1e-10)

    right = worst_case_error(z, n, gamma)
    check(right)
    must_fail(check, right * (1 + 1e-9), right * (1 - 1e-9))


def test_the_korobov_error_is_the_sum_over_the_dual_lattice(must_fail):
    n, z, gamma = 7, np.array([1, 3]), np.array([1.0, 0.3])
    h = np.arange(-400, 401)
    decay = [np.where(h == 0, 1.0, g / np.maximum(np.abs(h), 1) ** 6.0) for g in gamma]
    dual = (h[:, None] * z[0] + h[None] * z[1]) % n == 0
    total = float(np.sum(np.outer(*decay) * dual)) - 1.0

    def check(value):
        assert value**2 == pytest.approx(total, rel=1e-9)

    right = worst_case_error(z, n, gamma, smoothness=3)
    check(right)
    must_fail(check, right * (1 + 1e-8), right * (1 - 1e-8))


def test_an_embedded_rule_is_good_at_every_size(must_fail):
    gamma = product_weights(6)

    def check(z):
        for n in 2 ** np.arange(4, 10):
            assert worst_case_error(z, n, gamma) <= 1.2 * worst_case_error(lattice(int(n), 6, gamma), n, gamma)

    check(embedded(512, 6, gamma))
    must_fail(check, np.ones(6, dtype=int), np.arange(1, 12, 2))


def test_points_come_in_any_parts_and_nested_ones_fill_every_power_of_two():
    z, shift = lattice(64, 3), np.array([0.3, 0.99, -0.2])
    for nested in (False, True):
        whole = points(z, 64, shift=shift, nested=nested)
        parts = [points(z, 64, a, b, shift, nested=nested) for a, b in ((0, 7), (7, 7), (7, 64))]
        assert np.array_equal(whole, np.concatenate(parts))
        assert ((whole >= 0.0) & (whole < 1.0)).all()
    first = points(z, 64, 0, 16, nested=True)
    assert np.array_equal(np.sort(first[:, 0] * 16), np.arange(16.0))
    assert not np.array_equal(np.sort(points(z, 64, 0, 16)[:, 0] * 16), np.arange(16.0))


def test_shifts_make_the_mean_unbiased_and_the_baker_makes_it_converge_faster(must_fail):
    rng, n = np.random.default_rng(0), 251
    z = lattice(n, 3)
    unit = [points(z, n, shift=rng.random(3)) for _ in range(64)]
    plain, baked = (np.array([np.exp(u).prod(axis=1).mean() for u in rows]) for rows in (unit, map(baker, unit)))
    truth = (np.e - 1.0) ** 3

    def unbiased(value):
        assert abs(value - truth) <= 4.0 * plain.std() / 8.0

    unbiased(plain.mean())
    must_fail(unbiased, plain.mean() + 10 * plain.std() / 8, plain.mean() - 10 * plain.std() / 8)
    assert baked.std() < 0.1 * plain.std() < 0.1 * 5.0 / np.sqrt(n)


def test_large_rules_keep_their_accuracy():
    z = lattice(2**16, 5)
    assert worst_case_error(z, 2**16) < 0.02 * worst_case_error(lattice(2**8, 5), 2**8)
    assert lattice(1, 3).tolist() == lattice(2, 3).tolist() == [1, 1, 1]
    assert lattice(3, 2).tolist() == [1, 1]
    assert embedded(16, 2, start=16).shape == (2,)


def test_sizes():
    assert [admissible(n) for n in (2, 9, 15, 16, 17, 91)] == [True, False, False, True, True, False]
    assert next_size(1_000_000) == 1_000_003


@pytest.mark.parametrize(("call", "words"), [
    (lambda: lattice(15, 2), "n must be prime or a power of two, such as 16"),
    (lambda: lattice(0, 2), "whole number from 1"),
    (lambda: lattice(13, 2.0), "p must be a whole number"),
    (lambda: lattice(True, 2), "n must be a whole number"),
    (lambda: lattice(2 * MAX_POINTS, 2), "at most"),
    (lambda: lattice(13, 2, [1.0, -1.0]), "positive and finite"),
    (lambda: lattice(13, 2, [1.0, np.nan]), "positive and finite"),
    (lambda: lattice(13, 2, smoothness=4), "none of 1, 2, 3"),
    (lambda: embedded(13, 2), "powers of two"),
    (lambda: embedded(16, 2, start=32), "start <= n"),
    (lambda: points([1, 2], 5, 0, 6), "0 <= start <= stop <= n"),
    (lambda: points([1, 2], 5, nested=True), "power of two"),
    (lambda: product_weights(0), "p >= 1"),
    (lambda: product_weights(2, np.nan), "decay >= 0"),
    (lambda: product_weights(2, 1.0, 0.0), "scale > 0"),
])
def test_wrong_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: lattice(13, 2, [1.0]), "one for each of the 2 inputs"),
    (lambda: points([[1]], 5), "whole numbers"),
    (lambda: points([1.5], 5), "whole numbers"),
    (lambda: points([1, 2], 5, shift=[0.5]), r"\(2,\) finite numbers"),
    (lambda: points([1], 5, shift=[np.inf]), "finite numbers"),
])
def test_wrong_shapes_are_refused(call, words):
    with pytest.raises(ShapeError, match=words):
        call()
