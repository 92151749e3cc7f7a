"""Cubature: exactness, positivity, counts, ties, warm starts, rows and their compression, subdomains, bad input."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.cubature.active_set import ActiveSet
from romflow.linalg.cubature.compression import (
    compressed_rows,
    integrands,
    merged_factor,
    row_factor,
    with_volume_row,
)
from romflow.linalg.cubature.nonnegative import nonnegative_cubature
from romflow.linalg.cubature.two_level import (
    VOLUME_TOLERANCE,
    LocalSelection,
    global_selection,
    local_selection,
    two_level,
)


def waves(points=1500, n=6, n_s=10, seed=0):
    """Strains and stresses that decay as modes do, on random points of the unit square, and volumes."""
    rng = np.random.default_rng(seed)
    x = rng.random((2, points))

    def modes(count, decay):
        k = rng.normal(size=(6, count, 2)) * np.arange(1, count + 1)[:, None]
        values = np.cos(k @ x + rng.random((6, count, 1)) * 6.0) * np.exp(-decay * np.arange(count))[:, None]
        return values.transpose(0, 2, 1)

    w = rng.random(points) + 0.5
    return integrands(modes(n, 0.4), modes(n_s, 0.3)), w / w.sum()


def residual(G, w, rule):
    return np.linalg.norm(G[:, rule.points] @ rule.weights - G @ w) / np.linalg.norm(G @ w)


@pytest.fixture(scope="module")
def problem():
    return waves()


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_tolerance_is_met_by_few_positive_weights(problem, must_fail, tolerance):
    G, w = problem

    def check(weights, points):
        assert (weights > 0.0).all() and points.size <= G.shape[0] and np.unique(points).size == points.size
        assert np.linalg.norm(G[:, points] @ weights - G @ w) <= tolerance * np.linalg.norm(G @ w)

    rule = nonnegative_cubature(G, G @ w, tolerance)
    check(rule.weights, rule.points)
    assert rule.stopped == "tolerance" and np.isclose(rule.residuals[-1], residual(G, w, rule), rtol=1e-6)
    must_fail(lambda change: check(rule.weights * change, rule.points), 1.0 + 20 * tolerance, 1.0 - 20 * tolerance)
    # The rule has no point to spare: without any one of them, the others do not reach the tolerance.
    if tolerance == 1e-1:
        for at in range(rule.points.size):
            left = np.delete(rule.points, at)
            weights = np.linalg.lstsq(G[:, left], G @ w, rcond=None)[0]
            assert (weights <= 0.0).any() or np.linalg.norm(G[:, left] @ weights - G @ w) > 1e-1 * np.linalg.norm(G @ w)


def test_gauss_rule_is_found():
    # Moments up to degree 5 on a grid with the three Gauss points: three points are exact, as few as can be.
    x = np.concatenate([np.linspace(-1.0, 1.0, 200), np.sqrt(0.6) * np.array([-1.0, 0.0, 1.0])])
    G = np.polynomial.legendre.legvander(x, 5).T
    rule = nonnegative_cubature(G, np.array([2.0, 0, 0, 0, 0, 0]), 1e-9)
    assert rule.points.size <= 6
    gauss = nonnegative_cubature(G, np.array([2.0, 0, 0, 0, 0, 0]), 1e-9, candidates=np.array([200, 201, 202]))
    assert gauss.points.tolist() == [200, 201, 202]
    assert np.allclose(gauss.weights, np.array([5, 8, 5]) / 9.0)


def test_answer_does_not_depend_on_the_order_of_columns(problem):
    G, w = problem
    G = np.concatenate([G, G[:, :300]], axis=1)  # ties: each of these columns is there twice
    w = np.concatenate([w, w[:300]])
    order = np.random.default_rng(3).permutation(w.size)
    one = nonnegative_cubature(G, G @ w, 1e-3)
    other = nonnegative_cubature(G[:, order], G @ w, 1e-3, ids=order)
    assert np.array_equal(one.points, other.points) and np.allclose(one.weights, other.weights, rtol=1e-9)
    assert one.points.max() < 1500  # of equal columns, the one with the smaller id


def test_warm_start_goes_on_from_the_old_rule(problem):
    G, w = problem
    old = nonnegative_cubature(G[:50], G[:50] @ w, 1e-3)
    new = nonnegative_cubature(G, G @ w, 1e-3, start=(old.points, old.weights))
    cold = nonnegative_cubature(G, G @ w, 1e-3)
    assert residual(G, w, new) <= 1e-3 and new.points.size <= 1.3 * cold.points.size
    assert np.isin(new.points, old.points).sum() > max(0.5 * old.points.size, np.isin(cold.points, old.points).sum())
    assert new.residuals[0] < 0.5 * cold.residuals[0]


def test_candidates_are_taken_first_and_others_if_they_do_not_suffice(problem):
    G, w = problem
    many, few = np.arange(0, 1500, 2), np.arange(5)
    assert not np.any(nonnegative_cubature(G, G @ w, 1e-2, candidates=many).points % 2)
    opened = nonnegative_cubature(G, G @ w, 1e-2, candidates=few)
    assert residual(G, w, opened) <= 1e-2 and (opened.points > 4).any()


def test_limit_of_points(problem):
    G, w = problem
    rule = nonnegative_cubature(G, G @ w, 1e-3, max_points=7)
    assert rule.points.size <= 7 and rule.stopped == "max_points"
    assert nonnegative_cubature(G, G @ w, 0.5, max_points=30).stopped == "tolerance"


def test_volume_row_holds_the_volume_at_a_loose_tolerance(problem, must_fail):
    G, w = problem

    def check(rule):
        assert abs(rule.weights.sum() - 1.0) <= VOLUME_TOLERANCE

    rows, b = with_volume_row(G, G @ w, w.sum())
    rule = nonnegative_cubature(rows, b, 5e-2, volume_tolerance=VOLUME_TOLERANCE)
    check(rule)
    assert residual(G, w, rule) <= 5e-2
    must_fail(check, nonnegative_cubature(G, G @ w, 5e-2))


def test_balanced_rows_are_refused_and_unreachable_integrals_reported():
    rng = np.random.default_rng(1)
    G = rng.random((5, 40))
    with pytest.raises(InputError, match="vanish.*volume row"):
        nonnegative_cubature(G, np.zeros(5), 1e-3)
    with pytest.raises(SolveFailed, match="no positive weights") as caught:
        nonnegative_cubature(G, -np.ones(5), 1e-3)
    assert caught.value.report["points"] == 0 and caught.value.report["residual"] == 1.0
    with pytest.raises(InputError, match="vanish"):
        with_volume_row(G, np.zeros(5), 1.0)


@pytest.mark.parametrize(("change", "error", "text"), [
    ({"b": np.ones(4)}, ShapeError, "the rule is"),
    ({"G": np.full((5, 40), np.nan)}, InputError, "not finite"),
    ({"tolerance": 0.0}, InputError, "0 < tolerance < 1"),
    ({"tolerance": np.nan}, InputError, "0 < tolerance < 1"),
    ({"ids": np.zeros(40, dtype=int)}, InputError, "distinct"),
    ({"candidates": np.array([41])}, InputError, "which no column has"),
    ({"candidates": np.array([1, 1])}, InputError, "repeat"),
    ({"start": (np.array([1]), np.array([-1.0]))}, InputError, "positive weight"),
    ({"start": (np.array([1, 2]), np.array([1.0]))}, InputError, "positive weight"),
    ({"volume_tolerance": 1e-4, "b": -np.ones(5)}, InputError, "volume row last"),
])
def test_bad_input(change, error, text):
    G = np.random.default_rng(1).random((5, 40))
    given = {"G": G, "b": G.sum(axis=1), "tolerance": 1e-2} | change
    with pytest.raises(error, match=text):
        nonnegative_cubature(given.pop("G"), given.pop("b"), given.pop("tolerance"), **given)


def test_null_columns_and_dependent_columns_do_no_harm(problem):
    G, w = problem
    G = G.copy()
    G[:, ::3] = 0.0
    rule = nonnegative_cubature(G, G @ w, 1e-4)
    assert np.all(rule.points % 3) and residual(G, w, rule) <= 1e-4
    low = np.outer([1.0, 2.0, 3.0], np.linspace(1.0, 2.0, 30))
    assert nonnegative_cubature(low, low.sum(axis=1), 1e-10).points.size == 1


def test_active_set_is_least_squares_after_many_changes():
    rng = np.random.default_rng(2)
    G, b = rng.random((60, 400)), rng.random(60)
    active = ActiveSet(b)
    outside, within = 0, np.zeros(400)
    for number in rng.permutation(400):
        if active.append(int(number), G[:, number]):
            before = np.linalg.norm(active.residual())
            active.settle()
            assert np.linalg.norm(active.residual()) <= before * (1.0 + 1e-12)
        vectors, signs = active.turned()
        within += signs @ (vectors @ G)**2
        outside += int((signs < 0).sum())
    Z = active.columns
    assert outside > 100 and (active.weights > 0.0).all()
    assert np.allclose(active.weights, np.linalg.lstsq(G[:, Z], b, rcond=None)[0], rtol=1e-8)
    Q = np.linalg.qr(G[:, Z])[0]
    assert np.allclose(within, np.sum((Q.T @ G)**2, axis=0), atol=1e-9)


def test_compressed_rows_give_the_same_rule(problem, must_fail):
    G, w = problem
    G = np.concatenate([G, G[:20] + G[20:40], 2.0 * G[5:10]])
    parts = np.array_split(np.arange(w.size), 5)
    factor, b = row_factor((G[:, part], w[part]) for part in parts)
    merged = merged_factor([row_factor([(G[:, part], w[part])])[0] for part in parts])

    def check(R):
        assert np.allclose(R.T @ R, (G * w) @ G.T, rtol=1e-10, atol=1e-14)

    check(factor)
    check(merged)
    must_fail(check, factor * (1.0 + 1e-8), factor * (1.0 - 1e-8))
    small = compressed_rows(factor)
    assert small.modes.shape[1] <= 60 and np.allclose(b, G @ w)
    x = np.random.default_rng(0).random(w.size)
    assert np.isclose(np.linalg.norm(small.rows(G) @ (x - w)), np.linalg.norm(G @ (x - w)), rtol=1e-8)
    rule = nonnegative_cubature(small.rows(G), small.rows(b), 1e-3)
    assert residual(G, w, rule) <= 1e-3 * (1.0 + 1e-6)
    lossy = compressed_rows(factor, 1e-2)
    assert lossy.modes.shape[1] < small.modes.shape[1] and 0.0 < lossy.dropped <= 1e-2


def test_small_singular_values_of_rows_survive():
    # A Gram matrix would lose everything below 1e-8.
    rng = np.random.default_rng(0)
    rows = np.linalg.qr(rng.normal(size=(300, 6)))[0].T
    G = np.linalg.qr(rng.normal(size=(6, 6)))[0] @ (10.0 ** -np.arange(0, 12, 2)[:, None] * rows)
    s = compressed_rows(row_factor([(G[:, :100], np.ones(100)), (G[:, 100:], np.ones(200))])[0], 1e-11).singular_values
    assert np.allclose(s, 10.0 ** -np.arange(0.0, 12.0, 2.0), rtol=1e-4)


def test_bad_rows():
    with pytest.raises(ShapeError, match="the rule is"):
        integrands(np.ones((6, 4, 2)), np.ones((6, 3, 2)))
    with pytest.raises(ShapeError, match="block"):
        row_factor([(np.ones((2, 4)), np.ones(3))])
    with pytest.raises(InputError, match="negative"):
        row_factor([(np.ones((2, 4)), -np.ones(4))])
    with pytest.raises(InputError, match="not finite"):
        row_factor([(np.full((2, 4), np.inf), np.ones(4))])
    with pytest.raises(InputError, match="no block"):
        row_factor([])
    with pytest.raises(InputError, match="all rows"):
        compressed_rows(np.zeros((3, 3)))
    with pytest.raises(InputError, match="0 <= tolerance"):
        compressed_rows(np.eye(3), 1.0)
    with pytest.raises(InputError, match="must be positive"):
        with_volume_row(np.ones((1, 4)), np.ones(1), 0.0)


@pytest.mark.parametrize("subdomains", [1, 4, 16])
def test_subdomains_give_nearly_the_points_of_one(problem, must_fail, subdomains):
    G, w = problem
    parts = np.array_split(np.arange(w.size), subdomains)
    serial = nonnegative_cubature(*with_volume_row(G, G @ w, 1.0), 1e-3, volume_tolerance=VOLUME_TOLERANCE)
    chosen = []

    def select(tolerance):
        chosen[:] = [local_selection(G[:, part], w[part], tolerance, ids=part) for part in parts]
        return chosen

    def check(points):
        assert points <= 1.2 * serial.points.size

    rule = two_level(select, 1e-3)
    check(rule.points.size)
    assert (rule.weights > 0.0).all() and abs(rule.weights.sum() - 1.0) <= VOLUME_TOLERANCE
    assert residual(G, w, rule) <= 1e-3
    backwards = global_selection(chosen[::-1], 1e-3)
    assert np.array_equal(rule.points, backwards.points) and np.allclose(rule.weights, backwards.weights, rtol=1e-10)
    for part, one in zip(parts, chosen, strict=True):
        b = G[:, part] @ w[part]
        assert np.linalg.norm(G[:, one.points] @ one.weights - b) <= 1e-3 * np.linalg.norm(b)
        assert np.array_equal(one.columns, G[:, one.points]) and np.isin(one.points, part).all()
    if subdomains > 1:
        must_fail(check, sum(one.points.size for one in chosen))


def test_local_rules_are_a_rule(problem):
    G, w = problem
    whole = [local_selection(G[:, part], w[part], 1e-3, ids=part) for part in np.array_split(np.arange(w.size), 4)]
    error = sum(G[:, one.points] @ one.weights for one in whole) - G @ w
    assert np.linalg.norm(error) <= 1e-3 * sum(np.linalg.norm(one.integrals) for one in whole)


def test_subdomain_without_stress_keeps_one_point():
    G, w = np.zeros((3, 5)), np.array([1.0, 3.0, 3.0, 1.0, 1.0])
    one = local_selection(G, w, 1e-3, ids=np.array([9, 8, 7, 6, 5]))
    assert one.points.tolist() == [7] and one.weights.tolist() == [9.0] and one.volume == 9.0
    small = local_selection(G + 1e-9, w, 1e-3, floor=1.0)
    assert small.points.size == 1


def test_too_few_candidates_are_asked_for_again(problem):
    G, w = problem
    asked = []

    def select(tolerance):
        asked.append(tolerance)
        if len(asked) < 3:
            return [LocalSelection(np.arange(2), np.ones(2), G[:, :2], G @ w, 1.0)]
        return [local_selection(G, w, tolerance)]

    rule = two_level(select, 1e-2)
    assert asked == [5e-3, 1.25e-3, 3.125e-4] and residual(G, w, rule) <= 1e-2
    with pytest.raises(SolveFailed):
        two_level(lambda tolerance: [LocalSelection(np.arange(2), np.ones(2), G[:, :2], G @ w, 1.0)], 1e-2)
    with pytest.raises(InputError, match="no subdomain"):
        global_selection([], 1e-2)
