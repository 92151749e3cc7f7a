"""Bandits over solver settings: what they learn, what they refuse, that they resume bit for bit."""

import json
import math

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.learning.bandit import ContextualBandit
from romflow.linalg.learning.bandit_baseline import TsallisInf
from romflow.linalg.learning.bandit_rules import ChebyshevFeatures, draw
from romflow.linalg.learning.learned_choice import LearnedChoice, best_fixed

OMEGA = np.linspace(1.0, 1.95, 12)


def sor_iterations(k, seed=0, noise=0.03):
    """Shifts (k,), and SOR iterations (k, 12) on a shifted 16 x 16 Laplacian by Young's formula, with noise."""
    stream = np.random.default_rng(seed)
    c = stream.uniform(0.0, 0.6, k)
    mu = 4.0 * np.cos(np.pi / 17) / (4.0 + c)[:, None]
    inside = (OMEGA * mu) ** 2 - 4.0 * (OMEGA - 1.0)
    real = ((OMEGA * mu + np.sqrt(np.maximum(inside, 0.0))) / 2.0) ** 2
    rho = np.where(inside > 0.0, real, OMEGA - 1.0)
    return c, np.ceil(np.log(1e-8) / np.log(rho) * np.exp(noise * stream.standard_normal(rho.shape)))


def played(bandit, contexts, losses):
    paid = np.empty(len(contexts))
    for t, x in enumerate(contexts):
        arm = bandit.ask(x)
        paid[t] = losses[t, arm]
        bandit.tell(arm, x, paid[t])
    return paid


def _learnt(paid, losses):
    last = slice(2 * len(paid) // 3, None)
    known = best_fixed(losses[last])
    assert paid[last].mean() <= known.mean
    assert paid[last].mean() <= 1.1 * known.optimum


@pytest.fixture(scope="module")
def sequence():
    return sor_iterations(1500)


def test_contextual_bandit_beats_the_best_fixed_setting_and_nears_the_optimum(sequence, must_fail):
    c, losses = sequence
    check = lambda paid: _learnt(paid, losses)  # noqa: E731
    check(played(ContextualBandit(12, (0.0, 0.6), 0), c, losses))
    blind = played(ContextualBandit(12, (0.0, 0.6), 0), np.random.default_rng(5).permutation(c), losses)
    must_fail(check, blind, losses[:, 0], played(TsallisInf(12, 0), c, losses))


def test_baseline_comes_to_the_best_fixed_arm(must_fail):
    losses = np.random.default_rng(1).uniform(0.5, 1.5, (3000, 4)) * [90.0, 50.0, 120.0, 60.0]

    def check(bandit):
        paid = played(bandit, [None] * 3000, losses)
        assert bandit.best() == best_fixed(losses).arm
        assert paid[2000:].mean() <= 1.1 * losses[:, 1].mean()

    class Uniform(TsallisInf):
        def probabilities(self, context=None):
            return np.full(self.arms, 0.25)

    check(TsallisInf(4, 0))
    must_fail(check, Uniform(4, 0))


@pytest.mark.parametrize("make", [lambda: ContextualBandit(12, (0.0, 0.6), 3), lambda: TsallisInf(12, 3)])
@pytest.mark.parametrize("scale", [2.0**-40, 2.0**30])
def test_choices_do_not_depend_on_the_scale_of_the_loss(make, scale, sequence):
    c, losses = sequence
    plain, scaled = played(make(), c[:300], losses), played(make(), c[:300], scale * losses)
    assert np.mean(plain == scaled / scale) > 0.97


@pytest.mark.parametrize("make", [
    lambda seed: ContextualBandit(12, (0.0, 0.6), seed, scan=range(0, 12, 3), ordered=True),
    lambda seed: TsallisInf(12, seed)])
@pytest.mark.parametrize("stop", [2, 150])
def test_resuming_equals_the_straight_run_bit_for_bit(make, stop, sequence, must_fail):
    c, losses = sequence[0][:300], sequence[1][:300].copy()
    losses[::17] = np.inf
    whole, first, second = make(4), make(4), make(4)
    straight = played(whole, c, losses)
    head = played(first, c[:stop], losses)
    second.restore(json.loads(json.dumps(first.state())))

    def check(tail):
        assert np.array_equal(np.append(head, tail), straight)

    check(played(second, c[stop:], losses[stop:]))
    assert second.state() == whole.state()
    must_fail(check, played(make(4), c[stop:], losses[stop:]))


def test_failures_and_heavy_tails_do_not_spoil_what_is_learnt(sequence, must_fail):
    c, losses = sequence[0], sequence[1].copy()
    losses[:, 11] = np.inf
    stream = np.random.default_rng(2)
    jitter = np.where(stream.random(losses.shape) < 0.02, 1e4, 1.0)
    bandit = ContextualBandit(12, (0.0, 0.6), 0)
    paid = played(bandit, c, losses * jitter)
    assert np.isinf(paid).sum() <= 5

    def check(median):
        assert median <= 1.25 * np.median(losses[1000:].min(axis=1))

    check(np.median(paid[1000:]))
    must_fail(check, np.median(losses[1000:, 3]))


def test_one_outlier_moves_a_known_arm_little(must_fail):
    def check(outlier):
        bandit = ContextualBandit(2, (0.0, 1.0), 0)
        for x in np.linspace(0.0, 1.0, 40):
            bandit.tell(0, x, 30.0)
        bandit.tell(0, 0.5, outlier)
        assert abs(bandit.expected(0.5)[0] - 30.0) < 2.0

    class Trusting(ContextualBandit):
        _tamed = staticmethod(lambda arm, x, y: y)

    check(3e7)
    must_fail(check, 3e-7)
    trusting = Trusting(2, (0.0, 1.0), 0)
    for x, loss in [*((x, 30.0) for x in np.linspace(0.0, 1.0, 40)), (0.5, 3e7)]:
        trusting.tell(0, x, loss)
    assert trusting.expected(0.5)[0] > 60.0


def test_failures_alone_leave_the_other_arm():
    bandit = ContextualBandit(2, (0.0, 1.0), 0)
    for x in np.linspace(0.0, 1.0, 30):
        bandit.tell(0, x, math.inf)
        bandit.tell(1, x, 1e-300)
    assert bandit.best(0.5) == 1
    assert sum(bandit.ask(0.5) for _ in range(50)) > 45


def test_told_measurements_are_a_warm_start(sequence):
    c, losses = sequence
    bandit = ContextualBandit(12, (0.0, 0.6), 0)
    for x, row in zip(c[:30], losses[:30], strict=True):
        for arm in range(12):
            bandit.tell(arm, x, row[arm])
    assert bandit.best(0.01) > bandit.best(0.59)
    assert losses[:30, bandit.ask(0.3)].mean() < 1.5 * best_fixed(losses[:30]).mean


def test_coarse_scan_leaves_told_arms_out_and_interpolates_the_rest():
    bandit = ContextualBandit(5, (0.0, 1.0), 0, scan=[0, 4, 2], ordered=True)
    bandit.tell(4, 0.5, 100.0)
    first = {bandit.ask(0.5), bandit.ask(0.5)}
    assert first == {0, 2}
    bandit.tell(0, 0.5, 1.0)
    assert np.allclose(bandit.expected(0.5), 100.0 ** (np.arange(5) / 4.0))
    assert np.allclose(bandit.probabilities(0.5).sum(), 1.0)
    hopeful = ContextualBandit(3, (0.0, 1.0), 0, scan=[0])
    hopeful.tell(0, 0.5, 7.0)
    assert np.allclose(hopeful.expected(0.5), 7.0)


def test_features_are_products_of_chebyshev_polynomials(must_fail):
    features = ChebyshevFeatures([(0.0, 2.0), (-1.0, 1.0)], 3)
    assert features.size == 10
    x, y = 0.4, -0.3
    T = np.polynomial.chebyshev.chebvander([x - 1.0, y], 3)

    def check(z):
        expected = [T[0, i] * T[1, j] for i, j in features.powers]
        assert np.allclose(features(z), expected, rtol=1e-12)

    check(np.array([x, y]))
    must_fail(check, np.array([y, x]))
    assert np.array_equal(features([5.0, 0.0]), features([2.0, 0.0]))


def test_two_dimensional_context_is_learnt():
    stream = np.random.default_rng(0)
    bandit = ContextualBandit(2, [(0.0, 1.0), (0.0, 1.0)], 1, degree=2)
    for z in stream.random((400, 2)):
        arm = bandit.ask(z)
        bandit.tell(arm, z, 2.0 + (z[0] - z[1] if arm == 0 else z[1] - z[0]))
    right = [bandit.best(z) == int(z[0] > z[1]) for z in stream.random((200, 2))]
    assert np.mean(right) > 0.93


def test_draws_follow_the_probabilities():
    p, stream = np.array([0.1, 0.0, 0.6, 0.3]), np.random.default_rng(0)
    share = np.bincount([draw(p, stream) for _ in range(20000)], minlength=4) / 20000
    assert np.abs(share - p).max() < 0.015
    assert share[1] == 0.0


def test_learned_choice_names_arms_counts_and_resumes():
    def make():
        return LearnedChoice(ContextualBandit(2, (0.0, 1.0), 0), [{"omega": 1.0}, {"omega": 1.5}])

    def solve(arm):
        if arm["omega"] == 1.0:
            raise SolveFailed("no convergence")
        return "solution", 20

    choice = make()
    for _ in range(2):
        try:
            assert choice.attempt(0.5, solve) == "solution"
        except SolveFailed:
            continue
    assert [row["pulls"] for row in choice.summary()] == [1, 1]
    assert [row["failures"] for row in choice.summary()] == [1, 0]
    assert [row["mean_loss"] for row in choice.summary()] == [None, 20.0]
    other = make()
    other.restore(json.loads(json.dumps(choice.state())))
    assert other.summary() == choice.summary()
    assert [other.choose(0.1)[0] for _ in range(20)] == [choice.choose(0.1)[0] for _ in range(20)]


@pytest.mark.parametrize(("action", "match"), [
    (lambda b: b.tell(0, 0.1, math.nan), "loss"), (lambda b: b.tell(0, 0.1, 0.0), "loss > 0"),
    (lambda b: b.tell(0, 0.1, -1.0), "loss"), (lambda b: b.tell(12, 0.1, 1.0), "no arm"),
    (lambda b: b.tell(-1, 0.1, 1.0), "no arm"), (lambda b: b.tell(True, 0.1, 1.0), "no arm"),
])
@pytest.mark.parametrize("make", [lambda: ContextualBandit(12, (0.0, 0.6), 3), lambda: TsallisInf(12, 3)])
def test_wrong_observations_are_refused_and_change_nothing(make, action, match):
    bandit = make()
    before = bandit.state()
    with pytest.raises(InputError, match=match):
        action(bandit)
    assert bandit.state() == before


def test_wrong_contexts_are_refused():
    bandit = ContextualBandit(3, (0.0, 1.0), 0)
    with pytest.raises(InputError, match="finite value"):
        bandit.ask(math.nan)
    with pytest.raises(ShapeError, match="dimension"):
        bandit.ask([0.1, 0.2])


@pytest.mark.parametrize(("options", "match"), [
    ({"arms": 1}, "arms"), ({"arms": 2.5}, "arms"), ({"bounds": (1.0, 1.0)}, "low < high"),
    ({"bounds": (0.0, math.inf)}, "low < high"), ({"bounds": (1.0, 2.0, 3.0)}, "such pairs"),
    ({"degree": -1}, "degree"), ({"boldness": 0.0}, "boldness"), ({"ridge": math.nan}, "ridge"),
    ({"scan": [7]}, "no arm"), ({"bounds": [(0.0, 1.0)] * 10}, "features"),
])
def test_wrong_settings_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        ContextualBandit(**({"arms": 3, "bounds": (0.0, 1.0), "seed": 0} | options))


@pytest.mark.parametrize("damage", [
    lambda s: s | {"arms": 4}, lambda s: s | {"seed": 9}, lambda s: s | {"stream": None}, lambda s: None,
    lambda s: s | {"kind": "other"}, lambda s: {k: v for k, v in s.items() if k not in ("gram", "sums")},
    lambda s: s | {"count": [math.nan] * 3, "pulls": [math.nan] * 3}, lambda s: s | {"scan": 3, "range": [1.0]},
])
@pytest.mark.parametrize("make", [lambda: ContextualBandit(3, (0.0, 1.0), 3), lambda: TsallisInf(3, 3)])
def test_foreign_or_damaged_states_are_refused(make, damage):
    bandit = make()
    state = bandit.state()
    with pytest.raises(InputError, match="stored bandit|state of a bandit"):
        bandit.restore(damage(state))
    assert bandit.state() == state


def test_named_arms_must_fit_the_bandit():
    with pytest.raises(ShapeError, match="one object an arm"):
        LearnedChoice(TsallisInf(3, 0), ["a", "b"])
    with pytest.raises(InputError, match="counts of shape"):
        LearnedChoice(TsallisInf(2, 0), ["a", "b"]).restore({"bandit": {}})
    with pytest.raises(InputError, match="NaN"):
        best_fixed(np.array([[1.0, np.nan]]))
