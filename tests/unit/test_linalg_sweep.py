"""Sweeps: every strategy keeps the tolerance, "auto" takes the one that suits, reports add up."""

import json
import math

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, SolveFailed
from romflow.linalg.sweep.family import System
from romflow.linalg.sweep.reduced_guess import ReducedGuess
from romflow.linalg.sweep.strategies import Direct
from romflow.linalg.sweep.sweep import STRATEGIES, SweepSolver
from tests.sweep_families import assembled, bars, block, contrasts, exact, wind

BLOCK = block(12)
BARS = bars(8)
N = BLOCK[1].shape[0]
LAPLACE = sp.csr_array(assembled(BLOCK[0], np.ones(9)))
LOWEST = np.linalg.eigvalsh(LAPLACE.toarray())
SHIFTED = [LAPLACE, sp.csr_array(sp.eye_array(N))]


def mixed():
    """Symmetric but indefinite, with three load vectors."""
    return SHIFTED, np.random.default_rng(1).standard_normal((N, 3))


def thetas(family, systems=6, largest=1e3, seed=0):
    rng = np.random.default_rng(seed)
    return [contrasts(rng, family[0], largest) for _ in range(systems)]


def residual(family, theta, u, phi=None):
    b = family[1] @ (np.ones(family[1].shape[1]) if phi is None else phi)
    return np.linalg.norm(b - assembled(family[0], theta) @ u) / np.linalg.norm(b)


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", [block(21), BARS], ids=["block", "bars"])
def test_every_strategy_reaches_the_tolerance(strategy, family, must_fail):
    sweep = SweepSolver(*family, strategy=strategy, tolerance=1e-9, seed=3)
    b = family[1][:, 0]
    for theta in thetas(family, 6):
        u, A = sweep.solve(theta), assembled(family[0], theta)

        def check(v, A=A):
            assert np.linalg.norm(b - A @ v) <= 1e-9 * np.linalg.norm(b)

        check(u)
        found = np.linalg.norm(b - A @ u) / np.linalg.norm(b)
        assert sweep.last.relative_residual == pytest.approx(found, rel=1e-3, abs=1e-13)
        assert not sweep.last.note
        if strategy not in ("auto", "learned"):
            assert sweep.last.strategy in (strategy, "guess")
    must_fail(check, u * (1.0 + 1e-8), u * (1.0 - 1e-8))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_families_without_symmetry_are_solved_directly_with_several_vectors(strategy):
    family, rng = wind(), np.random.default_rng(5)
    sweep = SweepSolver(*family, strategy=strategy)
    for theta in rng.uniform(0.5, 2.0, (3, 2)):
        phi = rng.standard_normal(2)
        assert residual(family, theta, sweep.solve(theta, phi), phi) <= 1e-8
        assert sweep.last.strategy == "direct"
        assert ("not symmetric" in sweep.last.note) == (strategy not in ("auto", "learned", "direct"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_indefinite_and_negative_systems_fall_to_the_direct_solver_and_say_so(strategy):
    family = mixed()
    sweep = SweepSolver(*family, strategy=strategy, max_iterations=60)
    for shift, sign in ((-0.5 * (LOWEST[3] + LOWEST[4]), 1.0), (-0.5 * (LOWEST[5] + LOWEST[6]), 1.0), (0.1, -1.0)):
        theta = sign * np.array([1.0, shift])
        phi = np.random.default_rng(2).standard_normal(3)
        assert residual(family, theta, sweep.solve(theta, phi), phi) <= 1e-8
    assert sweep.reports[1].strategy == "direct" or strategy == "interpolated"
    if strategy in ("multigrid", "condensed", "deflated", "directions"):
        assert all(report.note.startswith(f"{strategy}: ") for report in sweep.reports if report.strategy == "direct")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_singular_system_is_one_clear_error_and_the_sweep_goes_on(strategy):
    sweep = SweepSolver(*BLOCK, strategy=strategy)
    good = np.ones(9)
    sweep.solve(good)
    for bad in (np.zeros(9), np.r_[0.0, np.ones(8)]):
        with pytest.raises(SolveFailed, match="direct") as error:
            sweep.solve(bad)
        assert error.value.report["theta"] == bad.tolist()
    assert len(sweep.reports) == 1
    assert residual(BLOCK, 1.1 * good, sweep.solve(1.1 * good)) <= 1e-8


@pytest.mark.parametrize("backend", ["auto", "superlu"])
def test_no_factor_is_kept_of_a_matrix_that_was_not_solved(backend):
    sweep = SweepSolver(*BLOCK, strategy="direct", backend=backend, guess_size=0)
    points = np.random.default_rng(0).uniform(0.5, 1.0, (3, 9))
    for theta in points:
        sweep.solve(theta)
    # As if factorising took long and a step nothing: the last factor is taken for the next system.
    sweep._made["direct"]._factor_seconds, sweep._made["direct"]._step_seconds = 1e3, 1e-9
    for factor in (1.0, 1.0 + 1e-9):
        with pytest.raises(SolveFailed):
            sweep.solve(np.zeros(9))
        assert residual(BLOCK, factor * points[-1], sweep.solve(factor * points[-1])) <= 1e-8


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_zero_right_hand_sides_have_zero_answers(strategy):
    sweep = SweepSolver(*BLOCK, strategy=strategy)
    for phi in (np.zeros(1), np.ones(1), np.zeros(1)):
        u = sweep.solve(np.ones(9), phi)
        assert u.any() == phi.any()
        assert sweep.last.relative_residual <= 1e-8 and not sweep.last.note


def test_families_of_one_term_and_with_terms_of_no_rows():
    for terms in ([LAPLACE], [*BLOCK[0], sp.csr_array((N, N))]):
        for strategy in STRATEGIES[1:]:
            sweep = SweepSolver(terms, BLOCK[1], strategy=strategy)
            for theta in thetas((terms, BLOCK[1]), 2):
                assert residual((terms, BLOCK[1]), theta, sweep.solve(theta)) <= 1e-8
                assert not sweep.last.note


@pytest.mark.parametrize("strategy", ["auto", "direct", "multigrid", "deflated", "interpolated"])
def test_answers_are_the_same_in_any_order(strategy):
    points = thetas(BARS, 6)
    expected = [exact(BARS[0], theta, BARS[1][:, 0]) for theta in points]
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 4, 2]):
        sweep = SweepSolver(*BARS, strategy=strategy, tolerance=1e-10)
        for i in order:
            assert np.linalg.norm(sweep.solve(points[i]) - expected[i]) <= 1e-6 * np.linalg.norm(expected[i])


@pytest.mark.parametrize("strategy", ["direct", "multigrid", "deflated", "directions", "interpolated"])
def test_the_same_theta_again_is_answered_by_the_guess(strategy):
    sweep = SweepSolver(*BARS, strategy=strategy)
    points = thetas(BARS, 3)
    for theta in points:
        sweep.solve(theta)
        assert sweep.last.strategy == strategy
    before = len(sweep.reports)
    for theta in points:
        # The guess is best in energy, not in the residual, so that it may need an iteration more.
        again = sweep.solve(theta)
        assert residual(BARS, theta, again) <= 1e-8 and sweep.last.guess_residual < 1e-6
    assert {report.strategy for report in sweep.reports[before:]} <= {"guess", strategy}
    if strategy in ("direct", "interpolated"):
        assert [report.strategy for report in sweep.reports[before:]] == 3 * ["guess"]
        assert all(report.iterations == 0 for report in sweep.reports[before:])
    bare = SweepSolver(*BARS, strategy=strategy, guess_size=0) if strategy in ("direct", "multigrid") else None
    if bare is not None:
        for theta in (points[0], points[0]):
            bare.solve(theta)
        assert bare.last.strategy == strategy and bare.last.guess_residual is None


def test_one_array_of_theta_filled_again_and_again_does_not_mislead():
    rng, theta = np.random.default_rng(8), np.empty(9)
    for strategy in ("direct", "multigrid", "interpolated"):
        sweep = SweepSolver(*BLOCK, strategy=strategy)
        for _ in range(6):
            theta[:] = contrasts(rng, BLOCK[0], 1e2)
            assert residual(BLOCK, theta, sweep.solve(theta)) <= 1e-8
            assert not sweep.last.note
        if strategy == "direct":
            assert sweep._made["direct"]._theta is not theta


def test_terms_and_vectors_are_copies():
    terms, F = [term.copy() for term in BLOCK[0]], BLOCK[1].copy()
    sweep = SweepSolver(terms, F, strategy="multigrid")
    F *= 7.0
    for term in terms:
        term.data *= 3.0
    assert residual(BLOCK, np.ones(9), sweep.solve(np.ones(9))) <= 1e-8


def test_terms_that_rounding_made_unsymmetric_count_as_symmetric():
    terms = [sp.csr_array(term) for term in BLOCK[0]]
    noisy = [sp.csr_array((t.data * (1.0 + 1e-16 * np.sign(np.sin(np.arange(t.nnz)))), t.indices, t.indptr), t.shape)
             for t in terms]
    noisy[0].data[1] *= 1.0 + 4e-16
    assert (noisy[0] != noisy[0].T).nnz > 0
    sweep = SweepSolver(noisy, BLOCK[1], strategy="multigrid")
    sweep.solve(np.ones(9))
    assert sweep.last.strategy == "multigrid"
    noisy[0].data[1] *= 1.0 + 1e-9
    sweep = SweepSolver(noisy, BLOCK[1], strategy="multigrid")
    sweep.solve(np.ones(9))
    assert "not symmetric" in sweep.last.note


# -- choice -----------------------------------------------------------------------------------------------------------


def test_auto_tries_what_fits_and_takes_the_cheapest(monkeypatch):
    family = block(48)
    sweep = SweepSolver(*family, guess_size=0)
    assert sweep._choice.arms == ["condensed", "multigrid"]
    # Times measured beside other work have no say here.
    costs = {"condensed": 1.0, "multigrid": 3.0}
    tell = sweep._choice.tell
    monkeypatch.setattr(sweep._choice, "tell", lambda arm, context, cost: tell(arm, context, costs[arm]))
    for theta in thetas(family, 8):
        sweep.solve(theta)
    used = [report.strategy for report in sweep.reports]
    assert used[:2] == ["condensed", "multigrid"] and set(used[2:]) == {"condensed"}
    assert sweep.why == "condensed: 1 s a system; multigrid: 3 s"


def test_auto_ends_with_condensation_on_a_block_and_with_multigrid_on_bars():
    family = block(96)
    sweep = SweepSolver(*family, reference=np.tile([1.0, 1e3], 5)[:9])
    for theta in thetas(family, 10):
        sweep.solve(theta)
    # Measured times decide, and a busy machine may send one solve elsewhere.
    assert [report.strategy for report in sweep.reports].count("condensed") >= 7
    bar = SweepSolver(*BARS)
    for theta in thetas(BARS, 5):
        bar.solve(theta)
    assert {report.strategy for report in bar.reports} == {"multigrid"} and bar._choice.arms == ["multigrid"]


def test_auto_tries_the_direct_solver_where_multigrid_is_slow_or_fails(monkeypatch):
    monkeypatch.setattr("romflow.linalg.sweep.sweep._SLOW", 2)
    sweep = SweepSolver(*BARS)
    sweep.solve(np.ones(5))
    assert sweep.last.iterations > 2 and sweep._choice.arms == ["multigrid", "direct"]
    failing = SweepSolver(*BARS, max_iterations=1)
    for theta in thetas(BARS, 4):
        failing.solve(theta)
    assert [r.strategy for r in failing.reports] == 4 * ["direct"]
    assert [bool(r.note) for r in failing.reports] == [True, False, False, False]


def test_auto_goes_direct_where_all_that_fits_has_failed():
    terms, F = block(48)
    small = sp.csr_array(sp.diags_array(np.r_[-50.0, np.zeros(F.shape[0] - 1)]))
    sweep = SweepSolver([*terms, small], F, max_iterations=5, guess_size=0)
    assert sweep._choice.arms == ["condensed", "multigrid"]
    for theta in thetas(([*terms, small], F), 5, 2.0):
        sweep.solve(theta)
    assert [report.strategy for report in sweep.reports] == 5 * ["direct"]
    assert not sweep.reports[-1].note and sweep.reports[0].note.startswith("condensed: ")


def test_learned_learns_and_is_the_same_for_one_seed():
    sweeps = [SweepSolver(*BARS, strategy="learned", seed=4) for _ in range(2)]
    for sweep in sweeps:
        tell = sweep._choice.tell
        sweep._choice.tell = lambda arm, context, cost, tell=tell: tell(arm, context, 1.0 if arm == "direct" else 9.0)
        for theta in thetas(BARS, 12):
            sweep.solve(theta)
    used = [[report.strategy for report in sweep.reports] for sweep in sweeps]
    assert used[0] == used[1] and "direct" in used[0]
    assert "systems" in sweeps[0].why


@pytest.mark.parametrize("strategy", ["auto", "learned"])
def test_what_was_learnt_is_stored_as_json_and_goes_on(strategy):
    sweep = SweepSolver(*BARS, strategy=strategy)
    for theta in thetas(BARS, 4):
        sweep.solve(theta)
    other = SweepSolver(*BARS, strategy=strategy)
    other.restore(json.loads(json.dumps(sweep.state(), allow_nan=False)))
    assert other.why == sweep.why
    other.solve(np.ones(5))
    assert residual(BARS, np.ones(5), other.solve(np.ones(5))) <= 1e-8


def test_foreign_states_are_refused():
    auto, learned = SweepSolver(*BARS), SweepSolver(*BARS, strategy="learned")
    for sweep, state in ((auto, learned.state()), (learned, auto.state()), (auto, {}), (auto, None), (auto, "x"),
                         (auto, {"costs": {"multigrid": [1.0], "magic": [0.1]}, "since": 0}),
                         (auto, {"costs": {"direct": []}, "since": 0})):
        with pytest.raises(InputError, match="stored"):
            sweep.restore(state)
    assert auto._choice.arms == ["multigrid"]


# -- guesses and reports ----------------------------------------------------------------------------------------------


def test_guesses_save_iterations(must_fail):
    counts = {}
    for size in (0, 64):
        sweep = SweepSolver(*BARS, strategy="multigrid", guess_size=size)
        for theta in thetas(BARS, 30):
            sweep.solve(theta)
        counts[size] = sum(report.iterations for report in sweep.reports[-10:])

    def check(found):
        assert found < counts[0]

    check(counts[64])
    must_fail(check, counts[0])


@pytest.mark.parametrize("helps", [True, False])
def test_guesses_end_where_they_cost_more_than_they_save(helps, monkeypatch):
    sweep = SweepSolver(*BARS, strategy="multigrid")
    monkeypatch.setattr(ReducedGuess, "energy_left", lambda *_: 1e-6 if helps else 1.0)
    for theta in thetas(BARS, 17):
        sweep.solve(theta)
    assert (sweep._reduced is None) == (not helps)
    sweep.solve(thetas(BARS, 18)[-1])
    assert (sweep.last.guess_residual is None) == (not helps)


@pytest.mark.parametrize("spared", [100.0, 0.0])
def test_systems_that_a_guess_has_answered_count_for_the_guesses(spared, monkeypatch):
    sweep = SweepSolver(*BARS, strategy="direct")
    sweep.solve(np.ones(5))
    sweep._usual = spared
    for _ in range(15):
        sweep.solve(np.ones(5))
        assert sweep.last.strategy == "guess"
    monkeypatch.setattr(SweepSolver, "_weigh", lambda self, *_: self._balance_guess(-50.0))
    sweep.solve(thetas(BARS, 1)[0])
    assert (sweep._reduced is None) == (spared == 0.0)


def test_reports_and_summary_add_up(must_fail):
    sweep = SweepSolver(*BLOCK, strategy="learned")
    for theta in [*thetas(BLOCK, 8), *thetas(BLOCK, 2)]:
        sweep.solve(theta)
    found = sweep.summary()
    assert found["systems"] == len(sweep.reports) == 10 and sweep.last is sweep.reports[-1]
    assert set(found["strategies"]) == {report.strategy for report in sweep.reports}

    def check(summary):
        for key in ("systems", "seconds", "setup_seconds"):
            assert sum(row[key] for row in summary["strategies"].values()) == pytest.approx(summary[key])
        assert summary["seconds"] >= summary["setup_seconds"] > 0.0

    check(found)
    must_fail(check, {**found, "systems": 9}, {**found, "seconds": 2.0 * found["seconds"]})
    for report in sweep.reports:
        assert 0.0 <= report.setup_seconds <= report.seconds * (1.0 + 1e-9) and report.iterations >= 0
    json.dumps(found)
    empty = SweepSolver(*BLOCK).summary()
    assert empty == {"systems": 0, "seconds": 0, "setup_seconds": 0, "why": "", "strategies": {}}


def test_the_pattern_is_no_cost_of_the_strategy_that_happens_to_be_first(monkeypatch):
    told = []
    sweep = SweepSolver(*BLOCK, strategy="multigrid", guess_size=0)
    monkeypatch.setattr(sweep._choice, "tell", lambda arm, context, cost: told.append(cost))
    sweep.solve(np.ones(9))
    assert sweep._pattern_seconds > 0.0
    assert sweep.last.setup_seconds >= sweep._pattern_seconds
    assert told == [pytest.approx(sweep.last.seconds - sweep.last.setup_seconds, abs=1e-3)]


def test_a_near_neighbour_is_solved_with_the_last_factor():
    sweep = SweepSolver(*BLOCK, strategy="direct", guess_size=0)
    strategy = sweep._made["direct"]
    assert isinstance(strategy, Direct)
    for theta in thetas(BLOCK, 2, 1e2):
        sweep.solve(theta)
    # As if factorising took long and a step nothing.
    strategy._factor_seconds, strategy._step_seconds = 1.0, 1e-9
    near = 1.01 * strategy._theta
    near[0] *= 1.05
    kept = strategy._theta.copy()
    assert residual(BLOCK, near, sweep.solve(near)) <= 1e-8
    assert 0 < sweep.last.iterations < 15 and np.array_equal(strategy._theta, kept)
    far = kept * np.geomspace(1.0, 1e9, 9)
    strategy._step_seconds = 1e-3
    sweep.solve(far)
    assert sweep.last.iterations == 0 and np.array_equal(strategy._theta, far)
    assert math.isinf(strategy._expected(sweep_system(sweep, np.r_[0.0, np.ones(8)]), None))


def sweep_system(sweep, theta):
    return System(sweep._family, theta, np.ones(1))
