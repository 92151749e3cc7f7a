"""Points of the cube by blocks, moments in one pass, cells of values, intervals."""

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import InputError, ShapeError
from romflow.uq.draws import KINDS, Draws
from romflow.uq.intervals import clopper_pearson, from_groups, student_interval
from romflow.uq.streaming.cells import Cells, cell_bits, density, pivot_of, rank_interval
from romflow.uq.streaming.moments import kurtosis, merge, merge_all, moments_of, skewness, variance, without_each


@pytest.mark.parametrize("kind", KINDS)
def test_any_block_is_part_of_the_same_points(kind):
    draws = Draws(kind, 40_000, 3, seed=5, repetitions=2)
    whole = draws.block(draws.repetitions - 1, 0, draws.each)
    assert whole.shape == (draws.each, 3) and whole.min() >= 0.0 and whole.max() <= 1.0
    for start, stop in ((draws.each - 5, draws.each), (0, 1), (7, 16_400), (3, 3)):
        assert np.array_equal(draws.block(draws.repetitions - 1, start, stop), whole[start:stop])
    again = Draws(kind, 40_000, 3, seed=5, repetitions=2)
    assert np.array_equal(again.block(draws.repetitions - 1, 16_380, 16_390), whole[16_380:16_390])


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_streams_and_repetitions_differ(kind):
    one = Draws(kind, 64, 2, seed=1).block(0, 0, 4)
    others = [Draws(kind, 64, 2, seed=2).block(0, 0, 4), Draws(kind, 64, 2, seed=1, stream=1).block(0, 0, 4)]
    others += [] if kind == "monte-carlo" else [Draws(kind, 64, 2, seed=1).block(1, 0, 4)]
    assert all(np.abs(one - other).min() > 0.0 for other in others)


def test_kinds_are_evener_than_chance():
    def error(kind):
        draws = Draws(kind, 4096, 2, seed=3, repetitions=4)
        means = [np.prod(draws.block(r, 0, draws.each) + 0.5, axis=1).mean() for r in range(draws.repetitions)]
        return abs(np.mean(means) - 1.0)

    chance = (13.0 / 12.0) ** 2 - 1.0
    expected = {"monte-carlo": 3.0, "latin-hypercube": 0.6, "sobol": 0.02, "lattice": 0.02}
    assert all(error(kind) < factor * (chance / 4096) ** 0.5 for kind, factor in expected.items())


@pytest.mark.parametrize(("arguments", "words"), [
    (("sobl", 100, 2), "Did you mean 'sobol'"), (("sobol", 0, 2), "number of draws = 0"),
    (("sobol", 2.5, 2), "2.5 is not a whole number"), (("sobol", 100, 0), "dimension p = 0"),
    (("sobol", 100, 2, -1), "seed"), (("sobol", 100, 2, 0, 1), "repetitions = 1"),
    (("latin-hypercube", 10**9, 50), "ask for more repetitions")])
def test_wrong_draws(arguments, words):
    with pytest.raises(InputError, match=words):
        Draws(*arguments)


def test_wrong_blocks_and_weights():
    draws = Draws("monte-carlo", 100, 2)
    for block, words in (((1, 0, 1), "repetition 1"), ((0, 0, 101), "it has 100 points"), ((0, 5, 4), "points 5 to 4")):
        with pytest.raises(InputError, match=words):
            draws.block(*block)
    with pytest.raises(ShapeError, match="one for each of the 2"):
        Draws("lattice", 100, 2, weights=[1.0])


def test_moments_merge_to_those_of_all_values(must_fail):
    y = np.random.default_rng(0).gamma(2.0, size=(2, 999)) + 1e3
    groups = np.stack([moments_of(part) for part in np.array_split(y, 7, axis=1)])

    def check(moments):
        right = [y.mean(axis=1), y.var(axis=1, ddof=1), stats.skew(y, axis=1), stats.kurtosis(y, axis=1, fisher=False)]
        found = [moments[1], variance(moments), skewness(moments), kurtosis(moments)]
        assert all(np.allclose(one, other, rtol=1e-10, atol=0) for one, other in zip(found, right, strict=True))

    total = merge_all(groups)
    check(total)
    must_fail(check, total * (1 + 1e-9), total * (1 - 1e-9))
    assert np.allclose(without_each(groups)[2], merge_all(np.delete(groups, 2, axis=0)), rtol=1e-10)
    assert np.array_equal(merge(total, 0 * total), total) and np.array_equal(merge(0 * total, total), total)
    assert np.isnan(kurtosis(moments_of(np.full((1, 9), 0.1)))).all()


def test_quantiles_of_cells_are_those_of_the_values(must_fail):
    y = np.random.default_rng(1).lognormal(size=100_000)
    cells, levels = Cells(15, *pivot_of(y[:1000])), (1e-4, 0.05, 0.5, 0.99, 0.99999)
    for part in np.array_split(y, 9):
        cells.add(part)
    ordered = np.sort(y)

    def check(quantiles):
        for level, value in zip(levels, quantiles, strict=True):
            right = ordered[max(0, round(level * y.size) - 1)]
            assert abs(value - right) < 1e-4 * max(1.0, right)

    found = np.array([cells.quantile(level) for level in levels])
    check(found)
    must_fail(check, found + 1e-3 * (1 + found), found - 1e-3 * (1 + found))
    k = 777
    assert cells.rank(k, False) <= ordered[k - 1] <= cells.rank(k, True)
    halves = [Cells(15, cells.pivot, cells.scale) for _ in range(2)]
    for half, part in zip(halves, (y[:300], y[300:]), strict=True):
        half.add(part)
    halves[0].merge(halves[1])
    assert all(np.array_equal(a, b) for a, b in zip(halves[0].arrays().values(), cells.arrays().values(), strict=True))


def test_cells_of_atoms_and_of_infinite_values():
    cells = Cells(10, *pivot_of(np.full(9, 0.3)))
    cells.add(np.full(9, 0.3))
    assert cells.quantile(0.5) == cells.rank(1, False) == cells.rank(9, True) == 0.3
    cells.add(np.array([np.inf, -np.inf, 1e300]))
    assert cells.n == 12 and cells.quantile(1e-3) == -np.inf and cells.quantile(0.999) == np.inf
    assert cells.quantile(0.9) == 1e300 and abs(cells.quantile(0.5) - 0.3) < 1e-3
    assert np.isnan(Cells(10, 0.0, 1.0).quantile(0.5))
    assert cell_bits(1) == 15 and cell_bits(10**6) == 6


def test_density_is_that_of_the_values(must_fail):
    y = np.random.default_rng(2).normal(size=20_000)
    cells, x = Cells(15, 0.0, 1.0), np.linspace(-2.0, 2.0, 9)
    cells.add(y)
    values, deviation = density(cells, x, 0.2)

    def check(found):
        assert np.abs(found - stats.norm(0.0, 1.04**0.5).pdf(x)).max() < 5 * deviation.max()

    check(values)
    must_fail(check, values * 1.2, values * 0.8)


def test_intervals_of_ranks_and_counts():
    for n, level in ((100, 0.5), (50, 0.05), (1000, 0.999)):
        low, high = rank_interval(n, level, 0.95)
        inside = stats.binom.cdf(high - 1, n, level) - stats.binom.cdf(low - 1, n, level)
        assert 0.95 <= inside < 0.995
    low, high = clopper_pearson(10, 10**7)
    expected = stats.binomtest(10, 10**7).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert clopper_pearson(5, 5)[1] == 1.0


def test_student_interval_is_that_of_groups_left_out():
    values = np.array([1.0, 4.0, 2.0, 6.0])
    mean, low, high = student_interval(values)
    without = (values.sum() - values) / 3
    assert (high - low) / 2 == pytest.approx(float(from_groups(without, 0.95))) and mean == 3.25
    ci = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((ci.low, ci.high))


@pytest.mark.parametrize(("action", "words"), [
    (lambda: student_interval([1.0]), "two or more"), (lambda: student_interval([1.0, np.nan]), "finite"),
    (lambda: student_interval([1.0, 2.0], 95), "between 0 and 1"), (lambda: clopper_pearson(3, 2), "0 <= count <= n"),
    (lambda: clopper_pearson(0, 0), "n >= 1"), (lambda: clopper_pearson(1, 2, np.nan), "between 0 and 1")])
def test_wrong_numbers(action, words):
    with pytest.raises(InputError, match=words):
        action()
