"""Laws of sweeps: block elimination is Cholesky's, a guess is a projection, stored choices go on."""

import json
import math

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.sweep.block_cholesky import BlockCholesky
from romflow.linalg.sweep.choice import BanditChoice, TrialChoice, contrast
from romflow.linalg.sweep.condensation import AffineCondensation
from romflow.linalg.sweep.reduced_guess import GeneralReducedGuess, ReducedGuess


@st.composite
def segment_sums(draw):
    """Segments, sets of whole segments that cover them, and semidefinite parts with a definite sum."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    members = draw(st.lists(st.sets(st.integers(0, len(sizes) - 1), min_size=1), min_size=1, max_size=6))
    members += [{i} for i in range(len(sizes)) if not any(i in chosen for chosen in members)]
    sets = [np.concatenate([np.arange(bounds[i], bounds[i + 1]) for i in sorted(chosen)]) for chosen in members]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    parts = []
    for chosen in sets:
        G = rng.standard_normal((chosen.size, max(1, chosen.size - draw(st.integers(0, 2)))))
        parts.append(G @ G.T + 0.1 * np.eye(chosen.size))
    return bounds, sets, parts, rng


@settings(max_examples=60)
@given(segment_sums())
def test_block_elimination_equals_a_dense_cholesky_solve(case):
    bounds, sets, parts, rng = case
    dense = np.zeros((bounds[-1], bounds[-1]))
    for chosen, S in zip(sets, parts, strict=True):
        dense[np.ix_(chosen, chosen)] += S
    b = rng.standard_normal(bounds[-1])
    copies = [S.copy() for S in parts]
    cholesky = BlockCholesky(bounds, sets)
    expected = sl.cho_solve(sl.cho_factor(dense), b)
    for _ in range(2):
        x = cholesky.solve(parts, b)
        assert np.linalg.norm(x - expected) <= 1e-10 * np.linalg.norm(expected)
    assert np.linalg.norm(cholesky.solve([2.0 * S for S in parts], b) - expected) > 0.4 * np.linalg.norm(expected)
    assert all(np.array_equal(S, copy) for S, copy in zip(parts, copies, strict=True))


@st.composite
def networks(draw):
    """Resistor networks whose edges are given to terms at random; every node is tied to the ground."""
    n, Q = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    terms = [np.zeros((n, n)) for _ in range(Q)]
    for _ in range(draw(st.integers(0, 3 * n))):
        i, j, q = int(rng.integers(n)), int(rng.integers(n)), int(rng.integers(Q))
        edge = np.zeros(n)
        edge[i] += 1.0
        edge[j] -= 1.0
        terms[q] += np.outer(edge, edge)
    for i in range(n):
        terms[int(rng.integers(Q))][i, i] += rng.uniform(0.1, 1.0)
    return [sp.csr_array(term) for term in terms], rng.standard_normal((n, draw(st.integers(1, 2)))), rng


def plain(terms, theta):
    return sum(weight * term.toarray() for weight, term in zip(theta, terms, strict=True))


@settings(max_examples=40)
@given(networks())
def test_condensation_equals_a_dense_solve_whatever_is_shared(case):
    terms, F, rng = case
    condensed = AffineCondensation(terms, F)
    for _ in range(2):
        theta, phi = np.exp(rng.uniform(0.0, 5.0, len(terms))), rng.standard_normal(F.shape[1])
        A = plain(terms, theta)
        assert np.linalg.norm(A @ condensed.solve(theta, phi) - F @ phi) <= 1e-9 * np.linalg.norm(F)


@settings(max_examples=40)
@given(networks(), st.integers(1, 6))
def test_a_guess_is_the_best_of_its_span_and_never_worse_than_zero(case, size):
    terms, F, rng = case
    reduced, phi = ReducedGuess(terms, F, size), np.ones(F.shape[1])
    for _ in range(size + 1):
        theta = np.exp(rng.uniform(0.0, 4.0, len(terms)))
        A, b = plain(terms, theta), F @ phi
        u, guess = np.linalg.solve(A, b), reduced.guess(theta, phi)
        assert np.abs(reduced.basis.T @ (b - A @ guess)).max(initial=0.0) <= 1e-9 * np.linalg.norm(b)
        error, whole = (u - guess) @ A @ (u - guess), u @ A @ u
        assert error <= whole * (1.0 + 1e-10)
        assert abs(reduced.energy_left(u, guess, b) - math.sqrt(max(error, 0.0) / whole)) <= 1e-5
        other = guess + reduced.basis @ (1e-2 * rng.standard_normal(reduced.size))
        assert (u - other) @ A @ (u - other) >= error * (1.0 - 1e-10)
        reduced.extend(u)
    assert reduced.size <= min(size, F.shape[0])


@settings(max_examples=30)
@given(networks())
def test_the_general_guess_is_galerkin_without_symmetry(case):
    terms, F, rng = case
    terms = [sp.csr_array(term @ sp.diags_array(rng.uniform(0.5, 1.5, F.shape[0]))) for term in terms]
    reduced, wrong = GeneralReducedGuess(terms, F), ReducedGuess(terms, F)
    phi = np.ones(F.shape[1])
    for _ in range(3):
        u = np.linalg.solve(plain(terms, np.exp(rng.uniform(0.0, 2.0, len(terms)))), F @ phi)
        reduced.extend(u)
        wrong.extend(u)
    theta = np.exp(rng.uniform(0.0, 2.0, len(terms)))
    K = reduced.basis.T @ plain(terms, theta) @ reduced.basis
    expected = reduced.basis @ np.linalg.solve(K, reduced.basis.T @ (F @ phi))
    scale = np.linalg.cond(K) * np.linalg.norm(expected)
    assert np.linalg.norm(reduced.guess(theta, phi) - expected) <= 1e-11 * scale
    if np.abs(K - K.T).max() > 1e-3 * np.abs(K).max():
        assert np.linalg.norm(wrong.guess(theta, phi) - expected) > 1e-11 * scale


COST = st.floats(0.01, 10.0)
COSTS = st.lists(st.tuples(COST, COST, COST), min_size=1, max_size=40)


def run(choice, rows, names):
    told = []
    for row in rows:
        context = sum(cost for cost in row if math.isfinite(cost))
        arm = choice.ask(context)
        choice.tell(arm, context, row[names.index(arm)])
        told.append(arm)
    return told


@settings(max_examples=25)
@given(COSTS, st.integers(0, 40), st.booleans(), st.integers(0, 2))
def test_a_restored_choice_goes_on_like_a_straight_run(rows, cut, learned, failing):
    names = ["a", "b", "c"]
    rows = [tuple(math.inf if i == failing and j % 5 == 0 else cost for i, cost in enumerate(row))
            for j, row in enumerate(rows)]

    def make():
        return BanditChoice(names, 7) if learned else TrialChoice(names)

    straight = run(make(), rows, names)
    first, second = make(), make()
    begun = run(first, rows[:cut], names)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert begun + run(second, rows[cut:], names) == straight


@settings(max_examples=60)
@given(st.permutations([1.0, 2.0, 7.0, 30.0]), st.integers(30, 80))
def test_the_cheapest_arm_is_taken_nearly_always(costs, systems):
    names = ["a", "b", "c", "d"]
    choice = TrialChoice(names)
    told = run(choice, [costs] * systems, names)
    assert told[:4] == names
    assert told.count(names[costs.index(1.0)]) >= systems - 4 - systems // 20


@given(st.lists(st.floats(-1e6, 1e6), max_size=6), st.floats(0.1, 10.0))
def test_contrast_does_not_depend_on_scale_sign_or_zeros(values, factor):
    theta = np.array([value for value in values if abs(value) > 1e-6])
    assert contrast(theta) >= 0.0
    assert math.isclose(contrast(np.append(-factor * theta, 0.0)), contrast(theta), rel_tol=1e-12, abs_tol=1e-12)
