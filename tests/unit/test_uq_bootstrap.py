"""Bootstrap intervals against SciPy's, their coverage, the bias of a reduced model, and wrong input."""

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.schema import parse_study
from romflow.report.uncertainty_draws import bias_table, bootstrap_table, chain_table
from romflow.uq.bootstrap import bca_interval, bootstrap, resampled_counts
from romflow.uq.intervals import clopper_pearson
from romflow.uq.paired.bias import reduced_bias

SKEWED = np.random.default_rng(1).lognormal(size=(2, 200))
STATISTICS = {"mean": np.mean, "std": lambda x, axis=-1: np.std(x, axis=axis, ddof=1),
              "exceedance": lambda x, axis=-1: np.mean(x > 2.0, axis=axis)}


@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_are_those_of_scipy_to_the_scatter_of_resamples(name, must_fail):
    found = bootstrap(["a", "b"], SKEWED, 2000, exceedance={"a": [2.0]})["a"]
    one = found.exceedance[0][1] if name == "exceedance" else getattr(found, name)
    known = stats.bootstrap((SKEWED[0],), STATISTICS[name], n_resamples=2000, method="BCa", vectorized=True, axis=-1,
                            random_state=np.random.default_rng(0)).confidence_interval
    width = known.high - known.low

    def check(ends):
        assert abs(ends - np.array(known)).max() < 0.12 * width

    ends = np.array([one.low, one.high])
    check(ends)
    must_fail(check, ends - 0.3 * width)
    assert one.value == pytest.approx(STATISTICS[name](SKEWED[0]))


def test_quantiles_of_resamples_are_those_of_the_resampled_draws():
    x, counts = SKEWED[:1, :30], next(resampled_counts(30, 50, 3))[1]
    found = bootstrap(["a"], x, 50, quantiles=[0.3], seed=3)["a"].quantiles[0][1]
    again = np.array([np.quantile(np.repeat(x[0], count.astype(int)), 0.3) for count in counts])
    value = np.quantile(x[0], 0.3)
    assert (found.low, found.high) == pytest.approx(bca_interval(float(value), again, 0.0, 0.95), rel=1e-14)
    assert found.value == value


def test_resamples_are_the_same_however_many_are_asked_for():
    few, many = (np.concatenate([counts for _, counts in resampled_counts(40, number, 2)]) for number in (70, 130))
    np.testing.assert_array_equal(few, many[:70])
    assert (many.sum(axis=1) == 40).all()
    assert bootstrap(["a"], SKEWED[:1], 60) == bootstrap(["a"], SKEWED[:1], 60)


def test_probabilities_that_hardly_a_draw_tells_have_exact_intervals():
    x = np.arange(100.0)[None]
    found = dict(bootstrap(["a"], x, 60, exceedance={"a": [200.0, 96.5]})["a"].exceedance)
    assert (found[200.0].low, found[200.0].high) == clopper_pearson(0, 100)
    assert (found[96.5].low, found[96.5].high) == clopper_pearson(3, 100)


def test_draws_without_an_answer_are_left_out():
    x = np.hstack([SKEWED[:1], np.full((1, 3), np.nan)])
    assert bootstrap(["a"], x, 60) == bootstrap(["a"], SKEWED[:1], 60)


def test_wrong_input_of_a_bootstrap_is_refused():
    with pytest.raises(ShapeError, match="a name for each row"):
        bootstrap(["a"], SKEWED, 60)
    with pytest.raises(InputError, match="resamples = 10"):
        bootstrap(["a", "b"], SKEWED, 10)
    with pytest.raises(InputError, match="9 draws have an answer"):
        bootstrap(["a"], SKEWED[:1, :9], 60)
    with pytest.raises(InputError, match="quantile"):
        bootstrap(["a"], SKEWED[:1], 60, quantiles=[1.0])
    with pytest.raises(InputError, match="no output is called 'c'"):
        bootstrap(["a"], SKEWED[:1], 60, exceedance={"c": [1.0]})
    with pytest.raises(InputError, match="confidence"):
        bootstrap(["a"], SKEWED[:1], 60, confidence=1.0)


# --- bias -------------------------------------------------------------------------------------------------------------


def pairs(rng, n):
    q = rng.gamma(4.0, size=(1, n))
    return q, 0.97 * q + 0.05 * rng.normal(size=q.shape)


def test_bias_intervals_hold_the_truth_as_often_as_they_say(must_fail):
    rng, hits, runs = np.random.default_rng(0), np.zeros(4), 100
    truth = (0.12, 2.0 - np.hypot(1.94, 0.05), 4.0, 2.0)
    for run in range(runs):
        found = reduced_bias(["q"], *pairs(rng, 20), pairs(rng, 400)[1], resamples=200, seed=run)["q"]
        for i, one in enumerate((found.mean, found.std, found.corrected_mean, found.corrected_std)):
            hits[i] += one.low <= truth[i] <= one.high

    def check(share):
        assert (share >= 0.85).all()

    check(hits / runs)
    must_fail(check, hits / runs - 0.2)


def test_the_corrected_mean_has_no_bias_of_the_reduced_model():
    rng = np.random.default_rng(3)
    full, reduced = pairs(rng, 30)
    found = reduced_bias(["q"], full, reduced - 5.0, pairs(rng, 500)[1] - 5.0)["q"]
    unshifted = reduced_bias(["q"], full, reduced, pairs(np.random.default_rng(4), 500)[1])["q"]
    assert found.mean.value == pytest.approx(unshifted.mean.value + 5.0)
    assert found.std.value == pytest.approx(unshifted.std.value)
    assert found.corrected_mean.low < 4.0 < found.corrected_mean.high


def test_a_bias_without_draws_is_not_corrected():
    found = reduced_bias(["q"], *pairs(np.random.default_rng(0), 12))["q"]
    assert found.corrected_mean is None and found.size == 12


def test_wrong_input_of_a_bias_is_refused():
    full, reduced = pairs(np.random.default_rng(0), 12)
    with pytest.raises(ShapeError, match="a name for each row"):
        reduced_bias(["q", "r"], full, reduced)
    with pytest.raises(ShapeError, match=r"the rule is \(1, N\)"):
        reduced_bias(["q"], full, reduced, reduced[0])
    with pytest.raises(InputError, match="9 pairs"):
        reduced_bias(["q"], full, np.where(np.arange(12) < 3, np.nan, reduced))
    with pytest.raises(InputError, match="3 draws of the reduced model"):
        reduced_bias(["q"], full, reduced, reduced[:, :3])
    with pytest.raises(InputError, match="resamples"):
        reduced_bias(["q"], full, reduced, resamples=5)


# --- study and report -------------------------------------------------------------------------------------------------


def study(**uq):
    return {"study": {"name": "a"}, "model": {"kind": "thermal-block"}, "parameters": {"c": {"low": 0.1, "high": 1.0}},
            "sampling": {"method": "greedy"}, "uq": uq}


@pytest.mark.parametrize(("uq", "words"), [
    ({"draws": "sobol", "bootstrap": 100}, "takes independent draws again"),
    ({"draws": "monte-carlo", "bootstrap": 10}, "at least 50 resamples"),
    ({"draws": "monte-carlo", "size": 200_000, "bootstrap": 100}, "at most 100000 draws"),
    ({"distribute": "often"}, "distribute")])
def test_wishes_that_break_a_rule_are_refused(uq, words):
    with pytest.raises(ConfigError, match=words):
        parse_study(study(**uq))


def test_tables_of_the_page():
    found = {"resamples": 60, "confidence": 0.95, "outputs": {"q": bootstrap(
        ["q"], SKEWED[:1], 60, quantiles=[0.5], exceedance={"q": [2.0]})["q"].plain()}}
    table = bootstrap_table({"bootstrap": found}, "q")
    assert [row[0] for row in table.rows] == ["mean", "standard deviation", "50 % quantile", "P(> 2)"]
    assert bootstrap_table({}, "q") is None and bootstrap_table({"bootstrap": found}, "r") is None
    bias = reduced_bias(["q"], *pairs(np.random.default_rng(0), 12), SKEWED[:1])["q"].plain()
    table = bias_table({"bias": {"resamples": 2000, "confidence": 0.95, "outputs": {"q": bias}}})
    assert len(table.rows) == 4 and "12 full-order solves" in table.note
    assert bias_table({}) is None
    shares = {"draws": 1000, "recommended": 0.9, "second": 0.05, "enriched": 0.03, "refused": 0.02,
              "full_order_steps": 31, "processor_seconds": 3.0}
    table = chain_table({"draws": shares})
    assert table.rows[-1] == ["refused", "2 %", "20"] and "31 full-order steps" in table.note
    assert chain_table({"draws": {**shares, "recommended": 1.0}}) is None and chain_table({}) is None
