"""Control variates and multifidelity: unbiased for any reduced model, intervals that hold, the best split."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import InputError, RomflowError, ShapeError, SolveFailed
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.asked import Asked
from romflow.uq.evaluation import Evaluated, of_function
from romflow.uq.paired.allocation import allocate, relative_variance, select
from romflow.uq.paired.control_variates import control_variate
from romflow.uq.paired.joint_moments import JointMoments, union
from romflow.uq.paired.matching import matched_thresholds
from romflow.uq.paired.multifidelity_sampling import Fidelity, multifidelity

SPACE = ParameterSpace([Parameter("a", Normal(0.0, 1.0)), Parameter("b", Uniform(0.0, 1.0))])
# q = a + b: mean 1/2, variance 1 + 1/12; E of a: symmetric around 1/2, so that P(q > 1/2) = 1/2.
MEAN, VARIANCE, HALF = 0.5, 13 / 12, 0.5


def full(mu):
    return mu[:, 0] + mu[:, 1]


def biased(mu):
    return 3.0 + 0.8 * (mu[:, 0] + 0.1 * mu[:, 0] ** 2) + 0.5 * mu[:, 1]


def poor(mu):
    return -mu[:, 0]


TRUTH = Fidelity("full", of_function(full), 1.0)
ROM = Fidelity("rom", of_function(biased), 1e-2)
POOR = Fidelity("poor", of_function(poor), 1e-4)


def cheap(seed):
    return control_variate(TRUTH, ROM, SPACE, ["q"], 40, 400, exceedance={"q": [HALF]}, seed=seed)


def split(seed):
    return multifidelity([TRUTH, POOR, ROM], SPACE, ["q"], 80, exceedance={"q": [HALF]}, seed=seed)


@pytest.mark.parametrize("estimate", [cheap, split])
@pytest.mark.long
def test_estimates_are_unbiased_and_intervals_hold(estimate, must_fail):
    found = [estimate(seed) for seed in range(80)]
    kinds = [[run.mean["q"], run.variance["q"], run.exceedance["q"][0][1]] for run in found]
    values = np.array([[e.value for e in row] for row in kinds])

    def check(right):
        off = (values.mean(axis=0) - right) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))
        held = np.array([[e.low <= v <= e.high for e, v in zip(row, right, strict=True)] for row in kinds])
        assert np.abs(off).max() <= 3.0 and held.mean(axis=0).min() >= 0.88

    right = np.array([MEAN, VARIANCE, HALF])
    check(right)
    must_fail(check, *(right + step * np.eye(3)[j] for j in range(3) for step in (-0.15, 0.15)))
    assert values[:, 0].var(ddof=1) <= VARIANCE / 40 / 3


def test_cost_and_shares_are_told():
    found = multifidelity([TRUTH, POOR, ROM], SPACE, ["q"], 200, seed=3)
    shares = found.budget
    assert list(shares) == ["full", "rom", "poor"]
    assert sum(s.seconds for s in shares.values()) + 20 * 1.0101 <= 200.0001
    assert sum(s.share_of_seconds for s in shares.values()) == pytest.approx(1.0)
    assert sum(s.share_of_variance for s in shares.values()) == pytest.approx(1.0)
    assert shares["full"].evaluations < shares["rom"].evaluations < shares["poor"].evaluations
    assert found.correlation["full"]["q"] == 1.0 and found.correlation["rom"]["q"] > 0.95
    assert found.correlation["poor"]["q"] < -0.9
    assert found.gain["q"]["mean"] > 3.0
    plain = found.plain()
    assert plain["outputs"]["q"]["mean"]["model_error"] == 0.0 and plain["budget"]["rom"]["failed"] == 0
    assert found == multifidelity([TRUTH, POOR, ROM], SPACE, ["q"], 200, seed=3)
    assert found != multifidelity([TRUTH, POOR, ROM], SPACE, ["q"], 200, seed=4)


def test_pilot_can_be_reused_or_given():
    reused = multifidelity([TRUTH, ROM], SPACE, ["q"], 60, seed=1, reuse_pilot=True)
    assert reused.budget["full"].evaluations > 35 and "20 draws of the pilot" in reused.notes[-1]
    given = multifidelity([TRUTH, ROM], SPACE, ["q"], 60, seed=1, pilot=SPACE.sample(15, np.random.default_rng(0)))
    assert given.budget["full"].evaluations < 35


def test_all_outputs_are_answered_and_full_order_is_asked_once():
    asked = []

    def two(mu):
        asked.append(len(mu))
        return np.stack([full(mu), full(mu) ** 2])

    truth = Fidelity("full", of_function(two), 1.0)
    rom = Fidelity("rom", of_function(lambda mu: np.stack([biased(mu), full(mu) ** 2])), 1e-3)
    found = control_variate(truth, rom, SPACE, ["q", "square"], 30, 9000, exceedance={"square": [1.0, 5.0]})
    assert asked == [30]
    assert found.exceedance["q"] == () and [t for t, _ in found.exceedance["square"]] == [1.0, 5.0]
    # A control that is the truth itself leaves the variance of its 9000 draws alone.
    e = found.mean["square"]
    assert abs(e.value - (VARIANCE + 0.25)) < 0.15 and (e.high - e.low) < 0.2


def test_failures_are_dropped_and_told():
    def failing(mu):
        values = full(mu)[None].copy()
        values[:, mu[:, 1] > 0.9] = np.nan
        return Evaluated(values)

    found = control_variate(Fidelity("full", failing, 1.0), ROM, SPACE, ["q"], 200, 2000)
    assert 5 <= found.budget["full"].failed <= 40 and "no finite answer" in found.notes[0]
    assert abs(found.mean["q"].value - MEAN) < 0.3
    with pytest.raises(SolveFailed, match="full has no finite answer"):
        control_variate(Fidelity("full", lambda mu: Evaluated(np.full((1, len(mu)), np.inf))), ROM, SPACE, ["q"], 20)
    with pytest.raises(SolveFailed, match="reduced model has no finite answer"):
        control_variate(TRUTH, Fidelity("rom", lambda mu: Evaluated(np.full((1, len(mu)), np.nan))), SPACE, ["q"], 20)


def test_few_solves_of_which_one_is_refused_still_answer():
    def refusing(mu):
        values = full(mu)[None].copy()
        values[:, np.arange(len(mu)) == 5] = np.nan
        return Evaluated(values)

    found = control_variate(TRUTH, Fidelity("refusing", refusing, 1e-3), SPACE, ["q"], 10, 1000)
    assert found.budget["refusing"].failed == 2
    for one in (found.mean["q"], found.std["q"]):
        assert np.isfinite([one.value, one.low, one.high]).all()


def test_an_event_on_which_models_never_differed_keeps_an_interval():
    found = control_variate(TRUTH, Fidelity("same", TRUTH.evaluate, 1e-3), SPACE, ["q"], 50, exceedance={"q": [6.0]})
    e = found.exceedance["q"][0][1]
    assert 0.0 <= e.low <= e.value <= e.high and 0.01 < e.high < 0.3


def test_allocation_is_the_best_of_its_budget(must_fail):
    rho2, w, budget = np.array([1.0, 0.95, 0.6]), np.array([1.0, 0.02, 1e-4]), 2000.0
    m = np.array(allocate(rho2, w, budget), dtype=float)
    assert m @ w <= budget and m @ w > 0.99 * budget

    def check(counts):
        best = relative_variance(m, rho2)
        counts = np.array([m[0], counts[0] * m[1], counts[1] * m[2]])
        counts[0] = (budget - counts[1:] @ w[1:])
        assert relative_variance(counts, rho2) >= best * (1 - 1e-3)

    for factors in product((0.7, 1.0, 1.4), repeat=2):
        check(factors)
    must_fail(lambda value: np.testing.assert_allclose(value, m[1] / m[0], rtol=1e-2), m[1] / m[0] * 1.1)
    # eq. of theorem 3.4
    assert m[1] / m[0] == pytest.approx(np.sqrt(0.35 / 0.02 / 0.05), rel=1e-2)


def test_selection_leaves_out_models_that_do_not_pay():
    assert select(np.array([1.0, 0.9, 0.99]), np.array([1.0, 0.5, 0.01]), 100.0).models == (0, 2)
    assert select(np.array([1.0, 0.1]), np.array([1.0, 0.99]), 100.0).models == (0,)
    assert select(np.array([1.0, 0.7, 0.99]), np.array([1.0, 1e-4, 0.01]), 100.0).models == (0, 2, 1)
    poor_budget = select(np.array([1.0, 0.9999]), np.array([1.0, 0.1]), 13.0)
    assert poor_budget.models == (0, 1) and poor_budget.evaluations == (10, 30)
    several = np.array([[1.0, 1.0], [0.9, 0.5], [0.2, 0.95]])
    assert select(several, np.array([1.0, 0.01, 0.01]), 100.0).models[1] == 1


def test_moments_merge_in_any_cut():
    features = np.random.default_rng(0).normal(5.0, 1.0, (2, 3, 50))
    whole = JointMoments.of(features)
    parts = union(JointMoments.of(features[:, :, cut]) for cut in (slice(0, 0), slice(0, 7), slice(7, 50)))
    assert parts.count == 50 and np.allclose(parts.mean, whole.mean) and np.allclose(parts.covariance, whole.covariance)
    assert np.allclose(whole.covariance[1], np.cov(features[1])) and np.allclose(whole.last(2).mean, whole.mean[:, 1:])


WRONG = [
    (dict(outputs=[]), "outputs"), (dict(outputs=["q", "q"]), "none twice"), (dict(outputs=["q", "p"]), "shape"),
    (dict(exceedance={"p": [1.0]}), "no output is called 'p'"), (dict(exceedance={"q": [np.nan]}), "threshold"),
    (dict(confidence=1.0), "confidence"), (dict(confidence=np.nan), "confidence"), (dict(budget=-1), "budget"),
    (dict(budget=np.inf), "budget"), (dict(budget=25), "larger budget"), (dict(unit="hours"), "unit"),
    (dict(pilot=2), "pilot"), (dict(models=[TRUTH]), "two or more"), (dict(models=[TRUTH, TRUTH]), "different names"),
    (dict(pilot=np.ones((9, 5))), "pilot"), (dict(pilot=np.full((9, 2), np.nan)), "finite"),
    (dict(seed=-1), "seed"), (dict(pilot=np.ones((9, 2)), reuse_pilot=True), "reuse_pilot"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_wrong_input_is_refused(change, words):
    options = dict(models=[TRUTH, ROM], inputs=SPACE, outputs=["q"], budget=60) | change
    with pytest.raises(RomflowError, match=words):
        multifidelity(**options)


def test_wrong_numbers_are_refused():
    for solves, evaluations in ((9, 100), (True, 100), (20, 10), (20.5, 100)):
        with pytest.raises(InputError, match="whole number"):
            control_variate(TRUTH, ROM, SPACE, ["q"], solves, evaluations)
    for seconds in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="seconds"):
            Fidelity("x", TRUTH.evaluate, seconds)
    with pytest.raises(InputError, match="larger budget"):
        allocate(np.ones(1), np.ones(1), 5.0)
    with pytest.raises(ShapeError):
        select(np.ones(2), np.ones(3), 50.0)
    for rho, w, budget in (([1, 2], [1, 1], 50), ([1, np.nan], [1, 1], 50), ([1, 0], [1, 0], 50), ([1, 0], [1, 1], 5),
                           ([1, 0], [1, 1], np.nan), ([1] * 13, [1] * 13, 50)):
        with pytest.raises(InputError):
            select(np.array(rho, float), np.array(w, float), budget)


def test_a_biased_model_helps_with_probabilities_too(must_fail):
    shifted = Fidelity("shifted", of_function(lambda mu: 3.0 + 0.8 * full(mu)), 1e-3)
    found = [control_variate(TRUTH, shifted, SPACE, ["q"], 100, 5000, exceedance={"q": [2.0]}, seed=seed)
             for seed in range(40)]
    nodes, weights = np.polynomial.legendre.leggauss(20)
    right = float(weights @ stats.norm.sf(2.0 - 0.5 * (nodes + 1.0)) / 2.0)
    values = np.array([run.exceedance["q"][0][1].value for run in found])

    def check(right):
        assert abs(values.mean() - right) <= 3.5 * values.std(ddof=1) / np.sqrt(40)

    check(right)
    must_fail(check, right + 0.02, right - 0.02)
    assert values.var(ddof=1) <= right * (1.0 - right) / 100 / 3
    assert np.mean([run.gain["q"]["exceedance"][0] or np.inf for run in found]) > 3


def test_matched_thresholds_agree_with_the_first_model():
    rng = np.random.default_rng(0)
    q = rng.normal(size=400)
    wish = Asked(("q",), ((0, 0.5), (0, 3.5)), 0.95)
    found = matched_thresholds(wish, np.stack([q, q, -2.0 * q + 1.0, np.zeros(400)])[:, None])
    assert found[:2].tolist() == [[0.5, 3.5], [0.5, 3.5]]
    assert np.allclose(found[2], [0.0, -6.0], atol=0.1) and np.isfinite(found).all()


def test_intervals_of_variances_hold_from_few_solves():
    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=2)])
    full = Fidelity("full", of_function(lambda mu: np.exp(mu.sum(axis=1))), 1.0)
    poor = Fidelity("poor", of_function(lambda mu: 1.0 + mu.sum(axis=1) + 0.6 * mu.sum(axis=1) ** 2), 1e-3)
    right = ((np.e**2 - 1.0) / 2.0) ** 2 - (np.e - 1.0) ** 4
    found = [control_variate(full, poor, space, ["q"], 10, 1000, seed=seed).variance["q"] for seed in range(150)]
    assert np.mean([one.low <= right <= one.high for one in found]) > 0.82
    values = np.array([one.value for one in found])
    assert abs(values.mean() - right) < 3.5 * values.std() / len(values) ** 0.5
