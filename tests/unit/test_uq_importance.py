"""Importance sampling: rare events within their intervals, from few draws; what was not seen is said."""

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import InputError, RomflowError, SolveFailed
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.evaluation import Evaluated, of_function
from romflow.uq.inputs import RandomInputs
from romflow.uq.rare.importance_sampling import importance
from romflow.uq.rare.mixture import Mixture, best_weights, fitted, standard
from romflow.uq.rare.sampling_rounds import Round, counts_of, estimated

P = np.array([0.5, 1e-2, 1e-4])
T = stats.norm.ppf(np.sqrt(1.0 - P))
SPACE = ParameterSpace([Parameter("z", Normal(0.0, 1.0), size=3)])
TWO_WAYS = of_function(lambda mu: np.maximum(mu[:, 0], mu[:, 1]))


@pytest.mark.long
def test_rare_events_are_unbiased_and_near(must_fail):
    found = [importance(TWO_WAYS, SPACE, ["q"], {"q": T}, size=2000, seed=seed).events for seed in range(100, 125)]
    values = np.array([[event.estimate.value for event in events] for events in found])

    def check(right):
        off = (values.mean(axis=0) - right) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))
        held = [[e.estimate.low <= p <= e.estimate.high for e, p in zip(events, right, strict=True)]
                for events in found]
        assert np.abs(off).max() <= 3.5 and np.mean(held, axis=0).min() >= 0.8

    check(P)
    must_fail(check, P * [1.1, 1, 1], P * [0.9, 1, 1], P * [1, 1, 1.2], P * [1, 1, 0.8])
    errors = np.sqrt(((values / P - 1.0)**2).mean(axis=0))
    assert errors.max() <= np.sqrt(1e4 / 2000) / 15


def test_draws_are_repeatable_and_outputs_are_named():
    both = of_function(lambda mu: np.stack([mu[:, 0], mu.sum(axis=1)]))
    wish = {"b": [5.0], "a": [2.5, 1.0]}
    one, two = (importance(both, SPACE, ["a", "b"], wish, size=1000, seed=5) for _ in range(2))
    assert one.events == two.events and one.evaluations <= 1000
    assert [(e.output, e.threshold) for e in one.events] == [("b", 5.0), ("a", 2.5), ("a", 1.0)]
    right = [stats.norm.sf(5.0 / np.sqrt(3.0)), stats.norm.sf(2.5), stats.norm.sf(1.0)]
    for event, p in zip(one.events, right, strict=True):
        assert abs(event.estimate.value / p - 1.0) < 0.4 and event.seen > 10 and event.effective > 10
    plain = one.plain()
    assert len(plain["outputs"]["a"]["exceedance"]) == 2 and plain["evaluations"] == sum(plain["rounds"])


def test_tolerance_stops_early():
    found = importance(TWO_WAYS, SPACE, ["q"], {"q": T[1:]}, size=50_000, tolerance=0.2)
    assert found.stopped == "tolerance" and found.evaluations < 30_000
    assert max(event.relative_half_width for event in found.events) <= 0.2
    missed = importance(TWO_WAYS, SPACE, ["q"], {"q": T[1:]}, size=500, tolerance=0.01)
    assert missed.stopped == "size" and missed.evaluations <= 500


def test_other_distributions_and_dependence_go_through_their_quantiles():
    from romflow.parameters.copulas import Gaussian

    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0)), Parameter("b", Uniform(0.0, 1.0))])
    inputs = RandomInputs(space, copula=Gaussian([[1.0, 0.9], [0.9, 1.0]]))
    found = importance(of_function(lambda mu: mu.min(axis=1)), inputs, ["q"], {"q": [0.999]}, size=3000)
    right = stats.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]]).cdf(np.full(2, stats.norm.ppf(0.001)))
    event = found.events[0].estimate
    assert event.low <= right <= event.high and abs(event.value / right - 1.0) < 0.3


def test_an_event_that_is_never_seen_gets_the_rule_of_three():
    found = importance(of_function(lambda mu: np.sin(mu[:, 0])), SPACE, ["q"], {"q": [2.0, 0.0]}, size=2000)
    never, often = found.events
    assert never.estimate.value == 0.0 == never.estimate.low and never.seen == 0
    assert 3.0 / 2000 <= never.estimate.high <= 3.0 / 100 and never.relative_half_width == np.inf
    assert "never seen" in found.notes[0] and often.estimate.low <= 0.5 <= often.estimate.high


def test_error_of_the_model_is_kept_apart(must_fail):
    def with_error(mu):
        return Evaluated(mu[:, :1].T, np.full((1, len(mu)), 0.1), "bound")

    event = importance(with_error, SPACE, ["q"], {"q": [2.0]}, size=4000).events[0].estimate
    right = stats.norm.sf(1.9) - stats.norm.sf(2.0)
    check = lambda value: np.testing.assert_allclose(value, right, rtol=0.3)  # noqa: E731
    check(event.model_error)
    must_fail(check, 2 * right, right / 2)
    assert event.model_kind == "bound" and event.low <= stats.norm.sf(2.0) <= event.high
    silent = importance(lambda mu: Evaluated(mu[:, :1].T), SPACE, ["q"], {"q": [1.0]}, size=400).events[0].estimate
    assert silent.model_error is None and silent.model_kind is None
    endless = importance(lambda mu: Evaluated(mu[:, :1].T, np.full((1, len(mu)), np.inf), "bound"), SPACE, ["q"],
                         {"q": [1.0]}, size=400).events[0].estimate
    assert endless.model_error > 0.8


def test_failures_are_told():
    def failing(mu):
        return Evaluated(np.where(mu[:, 1] > 1.0, np.nan, mu[:, 0])[None])

    found = importance(failing, SPACE, ["q"], {"q": [1.0]}, size=2000)
    assert "no finite answer" in found.notes[0]
    with pytest.raises(SolveFailed, match="no finite answer"):
        importance(lambda mu: Evaluated(np.full((1, len(mu)), np.nan)), SPACE, ["q"], {"q": [1.0]}, size=400)
    assert found.events[0].estimate.value == pytest.approx(stats.norm.sf(1.0) * stats.norm.cdf(1.0), rel=0.2)


def test_components_integrate_to_one_and_controls_are_exact(must_fail):
    mixture = Mixture(np.array([0.4, 0.6]), np.array([[0.0, 0.0], [2.0, 1.0]]), np.stack([np.eye(2), 0.7 * np.eye(2)]))
    counts, mixture = counts_of(mixture, 503)
    assert counts.sum() == 500 and (counts % 5 == 0).all()
    z, labels = mixture.draw(counts, np.random.default_rng(0))
    densities = np.exp(mixture.log_densities(z) - standard(2).log_densities(z))
    found = Round(mixture, z, labels, densities, z.T[:1], np.zeros((1, 500)))
    # The components over the standard normal density are integrands of expectation 1 that the controls reproduce.
    value, variance = estimated(found, densities)

    def check(right):
        assert np.allclose(value, right, rtol=0, atol=1e-10) and (variance < 1e-20).all()

    check(1.0)
    must_fail(check, 1.0 + 1e-9, 1.0 - 1e-9)


def test_fit_finds_the_ways_to_fail():
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal([3, 0], 0.3, (300, 2)), rng.normal([0, -4], 0.5, (300, 2))])
    found = fitted(z, np.ones(600), 2)
    means = found.means[np.argsort(found.means[:, 0])]
    assert np.allclose(means, [[0, -4], [3, 0]], atol=0.15) and np.allclose(found.weights, 0.5, atol=0.05)
    # Few points in many dimensions stay near the unit covariance.
    few = fitted(rng.normal(size=(5, 30)), np.ones(5), 3)
    assert np.linalg.eigvalsh(few.factors[0] @ few.factors[0].T).min() > 0.5


def test_weights_minimise_the_worst_variance():
    rng = np.random.default_rng(2)
    densities, integrands = rng.random((3, 50)) + 0.05, rng.random((4, 50))
    best = best_weights(densities, integrands, 0.1)
    value = (integrands / (best @ densities)).sum(axis=1).max()
    others = rng.dirichlet(np.ones(3), 3000)
    others = others[others[:, 0] >= 0.1]
    assert best[0] >= 0.1 - 1e-12 and best.sum() == pytest.approx(1.0)
    assert value <= 1.01 * (integrands[None] / (others @ densities)[:, None]).sum(axis=2).max(axis=1).min()


WRONG = [
    (dict(exceedance={}), "threshold"), (dict(exceedance={"p": [1.0]}), "no output"),
    (dict(exceedance={"q": [np.inf]}), "finite"), (dict(size=100), "size"), (dict(size=1e4), "size"),
    (dict(tolerance=0.0), "tolerance"), (dict(tolerance=np.nan), "tolerance"), (dict(components=0), "components"),
    (dict(defensive=0.0), "defensive"), (dict(defensive=1.5), "defensive"), (dict(confidence=0.0), "confidence"),
    (dict(seed=-1), "seed"), (dict(outputs=["q", "r"]), "shape"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_wrong_input_is_refused(change, words):
    options = dict(evaluate=TWO_WAYS, inputs=SPACE, outputs=["q"], exceedance={"q": [1.0]}) | change
    with pytest.raises((InputError, RomflowError), match=words):
        importance(**options)


@pytest.mark.parametrize("seed", [0, 4])
def test_rarest_of_several_events_is_approached_as_far_as_draws_allow(seed):
    outputs = of_function(lambda mu: np.stack([mu.sum(axis=1) / 3**0.5, np.abs(mu[:, 0])]))
    found = importance(outputs, SPACE, ["s", "m"], {"s": [0.0, 4.7534], "m": [1.0, 4.0]}, size=20_000, seed=seed)
    rare = found.events[1].estimate
    assert rare.low < stats.norm.sf(4.7534) < rare.high and abs(rare.value / 1e-6 - 1.0) < 0.15


def test_events_that_were_hardly_seen_have_no_empty_interval():
    outputs = of_function(lambda mu: np.stack([mu.sum(axis=1) / 3**0.5, np.abs(mu[:, 0])]))
    for seed in range(10):
        found = importance(outputs, SPACE, ["s", "m"], {"s": [0.0, 5.5], "m": [1.0, 4.0]}, size=400, seed=seed)
        rare = found.events[1]
        assert rare.estimate.high > 1.9e-8
        if rare.effective < 8:
            assert any("seen" in note and "5.5" in note for note in found.notes)


def test_draws_beyond_the_range_of_the_model_are_told():
    inputs = RandomInputs(ParameterSpace([Parameter("z", Uniform(-3.0, 3.0), size=2)]), {"z": Normal(0.0, 1.0)})
    found = importance(of_function(lambda mu: mu[:, 0]), inputs, ["q"], {"q": [4.0]}, size=1000)
    assert any("outside the range" in note for note in found.notes)
    within = RandomInputs(ParameterSpace([Parameter("z", Normal(0.0, 1.0), size=2)]))
    assert not importance(of_function(lambda mu: mu[:, 0]), within, ["q"], {"q": [4.0]}, size=1000).notes
