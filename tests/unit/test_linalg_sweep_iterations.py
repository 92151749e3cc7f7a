"""Iterations of a sweep, reduced guesses, and the choice of a strategy."""

import json
import math

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, SolveFailed
from romflow.linalg.sweep.choice import BanditChoice, TrialChoice
from romflow.linalg.sweep.iterations import conjugate_directions, conjugate_gradient, two_level
from romflow.linalg.sweep.reduced_guess import GeneralReducedGuess, ReducedGuess
from tests.sweep_families import assembled, bars, block, contrasts, exact, wind

RNG = np.random.default_rng(23)
BLOCK = block(18)
METHODS = [conjugate_gradient, conjugate_directions]


def laplace(n=60):
    return sp.csr_array(sp.diags_array([-np.ones(n - 1), 2.0 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]))


def same(r):
    return r


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-8, 1e-12])
def test_the_tolerance_holds_for_the_true_residual(method, tolerance, must_fail):
    terms, F = BLOCK
    theta = contrasts(RNG, terms, 1e4)
    A, b = sp.csr_array(assembled(terms, theta)), F[:, 0]
    diagonal = A.diagonal()
    x, count = method(A, b, lambda r: r / diagonal, RNG.standard_normal(b.size), tolerance, 2000)

    def check(u):
        assert np.linalg.norm(b - A @ u) <= tolerance * np.linalg.norm(b)

    check(x)
    must_fail(check, x * (1.0 + 10.0 * tolerance), x * (1.0 - 10.0 * tolerance))
    assert count > 10
    if tolerance == 1e-12:
        assert np.linalg.norm(x - exact(terms, theta, b)) <= 1e-7 * np.linalg.norm(x)


@pytest.mark.parametrize("method", METHODS)
def test_recursive_residuals_that_lie_are_found_out(method):
    A = sp.csr_array(sp.diags_array(np.geomspace(1e-6, 1e6, 60)))
    b = A @ np.ones(60)
    start = 1e8 * RNG.standard_normal(60)
    try:
        x, _ = method(A, b, same, start, 1e-13, 3000)
    except SolveFailed as error:
        assert "direct" in str(error)
        return
    assert np.linalg.norm(b - A @ x) <= 1e-13 * np.linalg.norm(b)


@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_below_rounding_ends_soon_with_an_error(method):
    A = laplace()
    calls = []

    def precondition(r):
        calls.append(1)
        return r

    with pytest.raises(SolveFailed, match="above 1e-20"):
        method(A, A @ RNG.standard_normal(60), precondition, np.zeros(60), 1e-20, 100000)
    assert len(calls) < 2000


@pytest.mark.parametrize("method", METHODS)
def test_a_guess_that_is_good_enough_takes_no_iteration_and_stays(method):
    A, u = laplace(), RNG.standard_normal(60)
    guess = u.copy()
    x, count = method(A, A @ u, lambda r: pytest.fail("called"), guess, 1e-10, 50)
    assert count == 0 and np.array_equal(x, u) and x is not guess
    started = np.zeros(60)
    method(A, A @ u, same, started, 1e-10, 100)
    assert not started.any()


@pytest.mark.parametrize("method", METHODS)
def test_zero_right_hand_side_gives_zero_whatever_the_guess(method):
    x, count = method(laplace(), np.zeros(60), same, np.ones(60), 1e-8, 3)
    assert count == 0 and not x.any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [4.0, -8.0])
def test_indefinite_matrices_are_refused(method, shift):
    A = sp.csr_array(laplace() - sp.eye_array(60) * abs(shift) * (0.25 if shift > 0 else 1.0))
    with pytest.raises(SolveFailed, match="not positive definite.*direct"):
        method(A, RNG.standard_normal(60), same, np.zeros(60), 1e-10, 500)


@pytest.mark.parametrize("method", METHODS)
def test_no_convergence_names_what_was_reached_and_the_remedy(method):
    with pytest.raises(SolveFailed, match=r"\d\.\d\de.* in 3 .*above 1e-10; .*direct.*, or more") as error:
        method(laplace(), np.ones(60), same, np.zeros(60), 1e-10, 3)
    assert "nan" not in str(error.value)
    with pytest.raises(SolveFailed):
        method(laplace(), np.ones(60), lambda r: r * np.nan, np.zeros(60), 1e-10, 50)


def test_an_indefinite_preconditioner_is_refused_by_conjugate_gradients():
    signs = np.where(np.arange(60) % 2, 1.0, -1.0)
    with pytest.raises(SolveFailed, match="preconditioner is not positive definite"):
        conjugate_gradient(laplace(), RNG.standard_normal(60), lambda r: signs * r, np.zeros(60), 1e-10, 500)


def test_directions_of_a_bad_nonlinear_proposer_let_the_energy_fall_in_every_step(must_fail):
    A, u, history = laplace(), RNG.standard_normal(60), []
    b = A @ u

    def propose(r):
        history.append(r)
        noise = np.random.default_rng(len(history)).standard_normal(60)
        return np.tanh(3.0 * r) + 0.3 * np.linalg.norm(r) / 8.0 * noise

    x, count = conjugate_directions(A, b, propose, np.zeros(60), 1e-6, 3000)
    errors = np.linalg.solve(A.toarray(), np.array([*history, b - A @ x]).T)
    energies = np.einsum("ij,ij->j", errors, A @ errors)

    def check(values):
        assert (np.diff(values) <= 1e-12 * values[0]).all()

    check(energies)
    assert count > 5 and energies[-1] < 1e-9 * energies[0]
    must_fail(check, np.roll(energies, 1))


def test_directions_take_fewer_steps_with_a_good_proposer_and_one_with_the_inverse():
    terms, F = BLOCK
    theta = contrasts(np.random.default_rng(3), terms, 1e2)
    A = sp.csr_array(assembled(terms, theta))
    inverse = np.linalg.inv(A.toarray())
    steps = [conjugate_directions(A, F[:, 0], propose, np.zeros(F.shape[0]), 1e-8, 5000)[1]
             for propose in (lambda r: inverse @ r, lambda r: r / A.diagonal(), same)]
    assert steps[0] == 1 and steps[1] < steps[2]
    forgetful = conjugate_directions(A, F[:, 0], lambda r: r / A.diagonal(), np.zeros(F.shape[0]), 1e-6, 50000, 0)
    assert forgetful[1] > steps[1]


def test_a_reduced_basis_deflates_and_a_guess_shortens():
    """The order of Jacobi alone, Jacobi from a guess, Jacobi with guess and coarse space."""
    terms, F = bars(10)
    rng = np.random.default_rng(4)
    reduced = ReducedGuess(terms, F)
    for _ in range(20):
        reduced.extend(exact(terms, contrasts(rng, terms, 1e4), F[:, 0]))
    counts = []
    for _ in range(4):
        theta = contrasts(rng, terms, 1e4)
        A, b, zero = sp.csr_array(assembled(terms, theta)), F[:, 0], np.zeros(F.shape[0])
        diagonal, guess = A.diagonal(), reduced.guess(theta, np.ones(1))

        def jacobi(r, diagonal=diagonal):
            return r / diagonal

        both = two_level(jacobi, reduced.galerkin(theta), A)
        counts.append([conjugate_gradient(A, b, jacobi, zero, 1e-8, 2000)[1],
                       conjugate_gradient(A, b, jacobi, guess, 1e-8, 2000)[1],
                       conjugate_gradient(A, b, both, guess, 1e-8, 2000)[1]])
    alone, guessed, deflated = np.mean(counts, axis=0)
    assert guessed < alone
    assert deflated < 0.6 * guessed


def test_two_level_is_symmetric_definite_and_exact_on_its_span(must_fail):
    terms, F = BLOCK
    theta = contrasts(RNG, terms, 1e2)
    A = sp.csr_array(assembled(terms, theta))
    reduced = ReducedGuess(terms, F)
    for _ in range(4):
        reduced.extend(exact(terms, contrasts(RNG, terms, 1e2), F[:, 0]))
    diagonal = A.diagonal()
    P = two_level(lambda r: r / diagonal, reduced.galerkin(theta), A)
    M = np.stack([P(e) for e in np.eye(F.shape[0])], axis=1)
    assert np.abs(M - M.T).max() <= 1e-12 * np.abs(M).max()
    assert np.linalg.eigvalsh(0.5 * (M + M.T))[0] > 0.0

    def check(apply):
        for v in reduced.basis.T:
            assert np.linalg.norm(apply(A @ v) - v) <= 1e-10

    check(P)
    must_fail(check, lambda r: r / diagonal, lambda r: 1.001 * P(r))


# -- reduced guesses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [BLOCK, wind(80)])
def test_guesses_are_galerkin_and_exact_on_what_was_stored(family, must_fail):
    terms, F = family
    reduced = (ReducedGuess if family is BLOCK else GeneralReducedGuess)(terms, F)
    thetas, phis = RNG.uniform(0.5, 2.0, (5, len(terms))), RNG.standard_normal((5, F.shape[1]))
    for theta, phi in zip(thetas, phis, strict=True):
        reduced.extend(exact(terms, theta, F @ phi))
    for theta, phi in zip(thetas, phis, strict=True):
        u = exact(terms, theta, F @ phi)
        assert np.linalg.norm(reduced.guess(theta, phi) - u) <= 1e-9 * np.linalg.norm(u)
    theta, phi = RNG.uniform(0.5, 2.0, len(terms)), RNG.standard_normal(F.shape[1])
    A, b = assembled(terms, theta), F @ phi

    def check(guess):
        assert np.abs(reduced.basis.T @ (b - A @ guess)).max() <= 1e-11 * np.linalg.norm(b)

    check(reduced.guess(theta, phi))
    must_fail(check, reduced.guess(theta * np.r_[1.001, np.ones(len(terms) - 1)], phi))


def test_symmetric_projections_are_wrong_for_a_family_without_symmetry():
    terms, F = wind(80)
    wrong, right = ReducedGuess(terms, F), GeneralReducedGuess(terms, F)
    for theta in ([1.0, 0.2], [1.0, 2.0]):
        u = exact(terms, np.array(theta), F @ np.ones(2))
        wrong.extend(u)
        right.extend(u)
    theta = np.array([1.0, 1.0])
    left = [np.abs(right.basis.T @ (F @ np.ones(2) - assembled(terms, theta) @ model.guess(theta, np.ones(2)))).max()
            for model in (right, wrong)]
    assert left[0] < 1e-12 and left[1] > 1e-4


def test_energy_left_equals_the_energy_norms(must_fail):
    terms, F = BLOCK
    reduced = ReducedGuess(terms, F)
    for _ in range(3):
        reduced.extend(exact(terms, contrasts(RNG, terms, 1e2), F[:, 0]))
    theta = contrasts(RNG, terms, 1e2)
    A, b = assembled(terms, theta), F[:, 0]
    u, guess = exact(terms, theta, b), reduced.guess(theta, np.ones(1))
    direct = np.sqrt((u - guess) @ (A @ (u - guess)) / (u @ (A @ u)))

    def check(value):
        assert abs(value - direct) <= 1e-7 and 0.0 < direct < 1.0

    check(reduced.energy_left(u, guess, b))
    must_fail(check, reduced.energy_left(u, 0.999 * guess, b), direct**2)
    assert reduced.energy_left(u, 0.0 * u, b) == 1.0
    assert reduced.energy_left(u, u, b) == pytest.approx(0.0, abs=1e-7)
    assert reduced.energy_left(-u, guess, b) == 1.0


def test_dependent_zero_and_surplus_solutions_are_left_out():
    terms, F = BLOCK
    reduced = ReducedGuess(terms, F, max_size=3)
    u, v = RNG.standard_normal((2, F.shape[0]))
    assert not reduced.guess(np.ones(9), np.ones(1)).any() and reduced.guess(np.ones(9), np.ones(1)).shape == u.shape
    assert not reduced.galerkin(np.ones(9))(u).any()
    for w in (u, 0.0 * u, 2.0 * u, u * (1.0 + 1e-13), v, u + v, u - 1e-13 * v):
        reduced.extend(w)
    assert reduced.size == 2
    kept = u + 1e-7 * RNG.standard_normal(u.size)
    reduced.extend(kept)
    reduced.extend(RNG.standard_normal(u.size))
    assert reduced.size == 3
    assert np.abs(reduced.basis.T @ reduced.basis - np.eye(3)).max() < 1e-14
    assert np.linalg.norm(kept - reduced.basis @ (reduced.basis.T @ kept)) < 1e-13 * np.linalg.norm(kept)


def test_singular_projections_give_a_guess_of_zero_and_no_warning():
    A = sp.csr_array(np.diag([1.0, 1.0, 0.0]))
    reduced = ReducedGuess([A, sp.csr_array(np.diag([-1.0, 0.0, 1.0]))], np.ones((3, 1)))
    for u in np.eye(3)[:2]:
        reduced.extend(u)
    assert not reduced.guess(np.ones(2), np.ones(1)).any()
    assert not reduced.guess(np.zeros(2), np.ones(1)).any()
    assert not reduced.galerkin(np.array([1.0, 2.0]))(np.ones(3)).any()
    assert np.isfinite(reduced.guess(np.array([1.0, 1.0 - 1e-16]), np.ones(1))).all()


# -- choices ----------------------------------------------------------------------------------------------------------


def told(choice, costs, systems):
    asked = []
    for _ in range(systems):
        arm = choice.ask(0.0)
        asked.append(arm)
        choice.tell(arm, 0.0, costs[arm](len(asked)) if callable(costs[arm]) else costs[arm])
    return asked


def test_every_arm_is_tried_and_the_cheapest_taken():
    assert told(TrialChoice(["a", "b", "c"]), {"a": 9.0, "b": 1.0, "c": 5.0}, 30) == ["a", "b", "c"] + 27 * ["b"]


def test_a_first_trial_with_cold_caches_is_no_sentence():
    asked = told(TrialChoice(["a", "b"]), {"a": lambda at: 1.8 if at == 1 else 0.5, "b": 1.0}, 30)
    assert asked[:2] == ["a", "b"] and asked[4:] == 26 * ["a"]


def test_a_close_rival_is_looked_at_again_and_may_win():
    asked = told(TrialChoice(["a", "b"]), {"a": 1.0, "b": lambda at: 1.5 if at < 15 else 0.2}, 80)
    assert asked[-40:] == 40 * ["b"] and "b" not in asked[5:18]
    assert told(TrialChoice(["a", "b"]), {"a": 1.0, "b": 3.1}, 80).count("b") == 1


def test_failing_arms_are_out():
    choice = TrialChoice(["a", "b"])
    assert told(choice, {"a": math.inf, "b": 5.0}, 60) == ["a"] + 59 * ["b"]
    assert not choice.stuck and choice.why == "b: 5 s a system; a: failed"
    later = told(TrialChoice(["a", "b"]), {"a": lambda at: 1.0 if at < 10 else math.inf, "b": 5.0}, 60)
    assert later.count("a") == 10 and later[-40:] == 40 * ["b"]
    lost = TrialChoice(["a"])
    assert told(lost, {"a": math.inf}, 3) == 3 * ["a"] and lost.stuck
    lost.add("b")
    lost.add("b")
    assert lost.arms == ["a", "b"] and not lost.stuck and told(lost, {"b": 1.0}, 2) == ["b", "b"]


def test_a_choice_is_stored_as_json_and_only_its_own_state_is_restored():
    choice = TrialChoice(["a", "b"])
    told(choice, {"a": math.inf, "b": 2.0}, 7)
    choice.add("c")
    text = json.dumps(choice.state(), allow_nan=False)
    other = TrialChoice(["a", "b"])
    other.restore(json.loads(text))
    assert other.arms == ["a", "b", "c"] and other.why == choice.why and other.ask(0.0) == "c"
    with pytest.raises(InputError, match="same strategies"):
        TrialChoice(["a", "z"]).restore(json.loads(text))
    bandit = BanditChoice(["a", "b"], 1)
    told(bandit, {"a": 1.0, "b": 2.0}, 3)
    for target, wrong in ((TrialChoice(["a"]), bandit.state()), (bandit, choice.state()), (bandit, {}),
                          (TrialChoice(["a"]), {"costs": {}}), (TrialChoice(["a"]), None)):
        with pytest.raises(InputError, match="stored"):
            target.restore(wrong)


def test_a_bandit_choice_prefers_what_costs_less_and_tells_its_means():
    choice = BanditChoice(["slow", "fast", "broken"], 3)
    asked = told(choice, {"slow": 1.0, "fast": 0.01, "broken": math.inf}, 200)
    assert asked[-100:].count("fast") > 80
    assert "fast: " in choice.why and "0.01 s each" in choice.why and choice.why.count(";") == 2
