"""Random inputs through a model: statistics, intervals, model errors, and studies that go on."""

import dataclasses
import json

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, SolveFailed, StoreError
from romflow.parameters.copulas import Gaussian
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.evaluation import Evaluated, of_function
from romflow.uq.inputs import RandomInputs
from romflow.uq.streaming.propagation import propagate
from romflow.uq.wishes import Wishes

KINDS = ("monte-carlo", "sobol", "latin-hypercube", "lattice")
PLAIN = {"density": False, "quantiles": ()}


def cube(p=3):
    return RandomInputs(ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=p)]))


def truth(mu):
    return np.stack([mu @ [1.0, 2.0, 0.0][:mu.shape[1]], np.exp(mu.sum(axis=1))])


def model(mu):
    """A reduced model of `truth` with the bound of its error."""
    y = truth(mu)
    e = np.stack([0.01 * (1 + mu[:, 0]), 0.02 * y[1]])
    return Evaluated(y + e * np.sin(9.0 * mu[:, 0]), e, "bound")


def without_seconds(answers):
    plain = answers.plain()
    plain.pop("seconds")
    json.dumps(plain, allow_nan=False)
    return plain


@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_interruptions_change_no_bit(kind, tmp_path):
    wishes = Wishes(kind, 1500, repetitions=4, exceedance={"v": [6.0]}, sensitivity=True, sensitivity_size=600)
    straight = without_seconds(propagate(model, cube(), wishes, names=["u", "v"]))
    other = propagate(model, cube(), dataclasses.replace(wishes, batch=77), names=["u", "v"])
    assert without_seconds(other) == straight

    class Ended(Exception):
        pass

    def run(limit):
        def watcher(done, total):
            assert done <= total
            if done >= limit:
                raise Ended

        return propagate(model, cube(), wishes, names=["u", "v"], folder=tmp_path, identity="m", watcher=watcher,
                         seconds_between=0.0)

    for limit in (300, 1400):
        with pytest.raises(Ended):
            run(limit)
    assert without_seconds(run(np.inf)) == straight

    def dead(mu):
        raise AssertionError("evaluated again")

    again = propagate(dead, cube(), wishes, names=["u", "v"], folder=tmp_path, identity="m")
    assert without_seconds(again) == straight


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_exact_statistics(kind, must_fail):
    found = propagate(of_function(truth), cube(), Wishes(kind, 40_000, exceedance={"output_0": [2.5]}, seed=8,
                                                         confidence=0.999, sensitivity=True))
    one, other = found.outputs["output_0"], found.outputs["output_1"]
    e = np.e
    statistics = [one.mean, one.variance, one.std, one.skewness, one.kurtosis, one.quantiles[1][1],
                  one.exceedance[0][1], one.first_order["a_1"], one.total["a_0"], one.convergence[-1].std, other.mean]
    exact = np.array([1.5, 5 / 12, (5 / 12) ** 0.5, 0.0, (9 / 5 + 16 * 9 / 5 + 24) / 25, 1.5, 1 / 16, 0.8, 0.2,
                      (5 / 12) ** 0.5, (e - 1) ** 3])

    def check(values):
        assert all(s.low - 1e-12 <= value <= s.high + 1e-12 for s, value in zip(statistics, values, strict=True))

    check(exact)
    must_fail(check, exact + 0.2, exact - 0.2)
    assert all(s.model_error == 0.0 for s in statistics)
    assert all(s.high - s.low < 0.15 * max(1.0, abs(s.value)) for s in statistics)


def test_model_errors_hold_the_full_order_statistics():
    wishes = Wishes("monte-carlo", 20_000, exceedance={"u": [2.5], "v": [6.0]}, sensitivity=True, seed=1)
    small, full = (propagate(f, cube(), wishes, names=["u", "v"]) for f in (model, of_function(truth)))
    for name in ("u", "v"):
        a, b = small.outputs[name], full.outputs[name]
        pairs = [(getattr(a, key), getattr(b, key)) for key in ("mean", "variance", "std", "skewness", "kurtosis")]
        pairs += [(s[1], t[1]) for s, t in zip([*a.quantiles, *a.exceedance], [*b.quantiles, *b.exceedance],
                                               strict=True)]
        pairs += [(s[key], t[key]) for s, t in ((a.first_order, b.first_order), (a.total, b.total)) for key in s]
        assert all(0.0 < s.model_error and abs(s.value - t.value) <= s.model_error and s.model_kind == "bound"
                   for s, t in pairs)
        assert a.mean.model_error < 0.05 * b.mean.value
        assert np.abs(np.interp(a.density.x, b.density.x, b.density.density) - a.density.density).max() < 0.05
        assert a.density.model_error > 0


def test_indicators_and_missing_errors_are_said():
    wishes = Wishes("monte-carlo", 500, exceedance={"output_0": [1.0]}, sensitivity=True, sensitivity_size=64)

    def some_infinite(mu):
        answer = model(mu)
        return Evaluated(answer.output, np.where(mu[:, 0] < 0.03, np.inf, answer.output_error), "indicator")

    one = propagate(some_infinite, cube(), wishes).outputs["output_0"]
    assert one.mean.model_error is None and one.mean.model_kind is None and one.quantiles[1][1].model_error < 0.2
    assert one.exceedance[0][1].model_kind == "indicator" and one.exceedance[0][1].model_error < 0.1
    unknown = propagate(lambda mu: Evaluated(truth(mu)), cube(), wishes)
    assert without_seconds(unknown)["outputs"]["output_0"]["density"]["model_error"] is None
    assert unknown.outputs["output_0"].quantiles[0][1].model_error is None
    assert unknown.outputs["output_0"].total["a_0"].model_error is None


def test_failed_draws_are_counted_and_left_out():
    def failing(mu):
        return Evaluated(np.where(mu[:, 0] < 0.1, np.nan, mu[:, 1])[None], np.zeros((1, len(mu))), "bound")

    found = propagate(failing, cube(), Wishes("sobol", 4096, sensitivity=True, sensitivity_size=512))
    assert 0.09 < found.failed_share < 0.11 and found.outputs["output_0"].mean.value == pytest.approx(0.5, abs=0.01)
    assert 0.15 < found.failed_base_points / found.base_points < 0.23
    without_seconds(found)
    for kind in KINDS:
        with pytest.raises(SolveFailed, match="only 0 of"):
            propagate(lambda mu: Evaluated(np.full((1, len(mu)), np.nan)), cube(), Wishes(kind, 64))


def test_constant_outputs_have_statistics():
    one = propagate(of_function(lambda mu: np.full(len(mu), 0.1)), cube(), Wishes(size=64, sensitivity=True))
    plain = without_seconds(one)["outputs"]["output_0"]
    assert plain["mean"]["value"] == pytest.approx(0.1) and plain["std"]["value"] < 1e-15
    assert plain["quantiles"][1]["value"] == 0.1
    assert plain["skewness"] is None and plain["density"] is None and plain["first_order"] == {}


def test_draws_outside_the_range_are_counted_or_refused():
    inputs = RandomInputs(cube().space, {"a_1": Normal(0.9, 0.1)})
    found = propagate(of_function(truth), inputs, Wishes("sobol", 2048))
    assert found.outside_share == pytest.approx(0.159, abs=0.01)
    with pytest.raises(ParameterError, match=r"% of 128 draws .* a_1, such as 1\..* larger range"):
        propagate(of_function(truth), inputs, Wishes("sobol", 2048, outside="refuse"))


def test_inputs_that_depend_on_each_other_share_an_index():
    R = [[1.0, 0.7, 0.0], [0.7, 1.0, 0.0], [0.0, 0.0, 1.0]]
    inputs = RandomInputs(cube().space, copula=Gaussian(R))
    one = propagate(of_function(lambda mu: mu.sum(axis=1)), inputs, Wishes("sobol", 1 << 14, sensitivity=True))
    first = one.outputs["output_0"].first_order
    assert list(first) == ["a_0, a_1", "a_2"]
    assert sum(value.value for value in first.values()) == pytest.approx(1.0, abs=0.01)
    with pytest.raises(InputError, match="all inputs depend on each other"):
        propagate(of_function(truth), RandomInputs(cube(2).space, copula=Gaussian([[1.0, 0.7], [0.7, 1.0]])),
                  Wishes(sensitivity=True))


def test_sparse_grids_integrate_and_say_what_they_cannot():
    wishes = Wishes("sparse-grid", level=6, **PLAIN)
    found = propagate(model, cube(), wishes, names=["u", "v"])
    exact = propagate(of_function(truth), cube(), wishes, names=["u", "v"])
    assert exact.outputs["v"].mean.value == pytest.approx((np.e - 1) ** 3, abs=1e-8) and exact.evaluations == exact.size
    for name in ("u", "v"):
        for key in ("mean", "variance", "std"):
            a, b = getattr(found.outputs[name], key), getattr(exact.outputs[name], key)
            assert abs(a.value - b.value) <= a.model_error
    normal = RandomInputs(cube().space, {"a": Normal(0.0, 1.0)})
    third = propagate(of_function(lambda mu: mu[:, 0] ** 4), normal, wishes).outputs["output_0"].mean
    assert third.value == pytest.approx(3.0) and third.high - third.low < 1e-8
    with pytest.raises(ConfigError, match="means and variances alone"):
        Wishes("sparse-grid")
    with pytest.raises(SolveFailed, match="needs all of them"):
        propagate(lambda mu: Evaluated(np.where(mu[:, 0] > 0.9, np.nan, 1.0)[None]), cube(), wishes)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    wishes = Wishes(size=200, **PLAIN)
    with pytest.raises(InputError, match="fingerprint"):
        propagate(of_function(truth), cube(), wishes, folder=tmp_path)
    first = propagate(of_function(truth), cube(), wishes, folder=tmp_path, identity="one")
    other = propagate(of_function(lambda mu: 2 * truth(mu)), cube(), wishes, folder=tmp_path, identity="two")
    assert other.outputs["output_0"].mean.value == pytest.approx(2 * first.outputs["output_0"].mean.value)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    for file in files:
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"cannot go on from .*damaged.*remove the file to begin anew"):
        propagate(of_function(truth), cube(), wishes, folder=tmp_path, identity="one")


@pytest.mark.parametrize(("values", "words"), [
    ({"draws": "sobl"}, "Did you mean 'sobol'"), ({"size": 3}, "size = 3"), ({"size": 1e4}, "size = 10000"),
    ({"seed": -1}, "seed = -1"), ({"confidence": 1.0}, "confidence holds 1"), ({"quantiles": [0.5, np.nan]}, "nan"),
    ({"quantiles": 0.5}, "is no list"), ({"exceedance": {"u": [np.inf]}}, "not a finite"), ({"batch": 0}, "batch = 0"),
    ({"exceedance": [1.0]}, "no table"), ({"outside": "clip"}, "outside = 'clip'"), ({"outputs": []}, "none or one"),
    ({"sensitivity": 1}, "neither true nor false"), ({"sensitivity_size": 2}, "sensitivity_size = 2"),
    ({"repetitions": 1}, "repetitions = 1"), ({"outputs": ["u", "u"]}, "one twice")])
def test_wrong_wishes(values, words):
    with pytest.raises(ConfigError, match=words):
        Wishes(**values)


def test_wishes_that_do_not_fit_the_model():
    for wishes, words in ((Wishes(outputs=["w"]), "no output is called 'w'"),
                          (Wishes(exceedance={"w": [1.0]}), "no output is called 'w'"),
                          (Wishes(outputs=["u"], exceedance={"v": [1.0]}), "lacks it")):
        with pytest.raises(ConfigError, match=words):
            propagate(model, cube(), wishes, names=["u", "v"])
    with pytest.raises(InputError, match="returns 2 outputs; 1 are named"):
        propagate(model, cube(), Wishes(), names=["u"])
    for wrong in (lambda mu: Evaluated(np.zeros(len(mu))), lambda mu: Evaluated(np.zeros((1, 3))),
                  lambda mu: Evaluated(np.zeros((1, len(mu))), np.zeros((2, len(mu))), "bound")):
        with pytest.raises(ShapeError, match="the rule is"):
            propagate(wrong, cube(), Wishes(size=100))
    one = propagate(model, cube(), Wishes(outputs=["v"], size=100), names=["u", "v"])
    assert list(one.outputs) == ["v"] and 3 < one.outputs["v"].mean.value < 7


def test_errors_far_below_a_cell_move_quantiles(must_fail):
    found = propagate(lambda mu: Evaluated(mu.T, np.full((1, len(mu)), 1e-9), "bound"), cube(1),
                      Wishes("sobol", 4096, quantiles=(0.05, 0.5, 0.95))).outputs["output_0"]

    def check(error):
        assert all(error <= one.model_error <= 2.0 * error for _, one in found.quantiles)

    check(1e-9)
    must_fail(check, 1e-8, 1e-10)


def test_quantiles_beyond_the_draws_have_an_open_interval():
    found = propagate(of_function(lambda mu: mu[:, 0]), cube(1), Wishes("monte-carlo", 64, quantiles=(0.01, 0.5, 0.99)))
    low, middle, high = (one for _, one in found.outputs["output_0"].quantiles)
    assert low.low == -np.inf and high.high == np.inf and np.isfinite([middle.low, middle.high]).all()
    assert low.plain()["low"] is None and json.dumps(found.plain(), allow_nan=False)


def test_errors_that_are_unknown_leave_indices_without_one():
    def without_bound(mu):
        y = truth(mu)
        return Evaluated(y, np.full_like(y, np.inf), "indicator")

    found = propagate(without_bound, cube(), Wishes("sobol", 512, sensitivity=True), names=["u", "v"]).outputs["u"]
    assert found.mean.model_error is None and all(one.model_error is None for one in found.total.values())
