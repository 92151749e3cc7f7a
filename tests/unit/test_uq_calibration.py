"""Calibration: exact posteriors, both samplers, full-order decisions, resuming, wrong input."""

import json
import sys

import numpy as np
import pytest
from scipy import integrate

from romflow.core.errors import ConfigError, InputError, NotSupported, ParameterError, ShapeError, StoreError
from romflow.parameters.copulas import Gaussian
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.bayes.calibration import CalibrationWishes, calibrate
from romflow.uq.bayes.data import Data
from romflow.uq.estimate import Estimate
from romflow.uq.evaluation import Evaluated, of_function
from romflow.uq.inputs import RandomInputs

A = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])
R = np.array([[1.0, 0.4], [0.4, 1.0]])
Y, STD = np.array([1.0, 0.3, -2.0]), np.array([0.5, 0.2, 0.4])
LINEAR = RandomInputs(ParameterSpace([Parameter("x", Normal(1.0, 2.0), size=2)]), copula=Gaussian(R))
LINE = RandomInputs(ParameterSpace([Parameter("a", Uniform(0.0, 2.0))]))


def wished(sampler="pcn", **more):
    return CalibrationWishes(sampler, **{"thin": 1, **more})


def _exact(covariance):
    prior = np.linalg.inv(4.0 * R)
    C = np.linalg.inv(prior + A.T @ np.linalg.inv(covariance) @ A)
    return C @ (prior @ np.ones(2) + A.T @ np.linalg.solve(covariance, Y)), C


def _agrees_with(mean, C, found):
    """Within 4.5 standard errors of the exact posterior, and these are small."""
    for column in range(2):
        for estimate, exact in ((found.mean(column), mean[column]), (found.std(column), np.sqrt(C[column, column])),
                                (found.quantile(column, 0.9), mean[column] + 1.2815516 * np.sqrt(C[column, column]))):
            error = (estimate.high - estimate.low) / (2 * 1.96)
            assert error < 0.05 and abs(estimate.value - exact) < 4.5 * error
    assert found.correlation[0, 1] == pytest.approx(C[0, 1] / np.sqrt(C[0, 0] * C[1, 1]), abs=0.06)


@pytest.mark.parametrize(("sampler", "dependent"), [
    ("pcn", False), ("pcn", True), ("emcee", False), pytest.param("emcee", True, marks=pytest.mark.long)])
def test_linear_gaussian_posterior_is_exact(sampler, dependent, must_fail):
    covariance = np.diag(STD**2) + (0.03 if dependent else 0.0)
    data = Data(Y, covariance=covariance) if dependent else Data(Y, std=STD)
    size = 4800 if sampler == "pcn" else 9600
    wishes = wished(sampler, size=size, chains=24, burn_in=100, seed=2)
    found = calibrate(of_function(lambda mu: A @ mu.T), LINEAR, data, wishes)
    mean, C = _exact(covariance)
    _agrees_with(mean, C, found)
    assert found.r_hat.max() < (1.02 if sampler == "pcn" else 1.2)
    assert found.facts["full_order_solves"] == 0 and 0.1 < found.facts["moved"] <= 1.0
    assert found.mean(0).model_error == 0.0
    must_fail(lambda exact: _agrees_with(*exact, found), (mean + 0.1, C), (mean - 0.1, C), (mean, 1.3 * C))


def _cubic(mu):
    return np.stack([mu[:, 0] ** 3, np.sin(mu[:, 0])])


def _biased(mu, size=0.5):
    """A reduced model that is off where the posterior is, and says by how much."""
    bias = size * np.exp(-8.0 * (mu[:, 0] - 1.0) ** 2)
    return Evaluated(_cubic(mu) + [bias, 0.0 * bias], np.stack([1.01 * bias, 0.0 * bias]), "bound")


CUBIC = Data([1.2, 0.9], std=[0.1, 0.2], outputs=["cube", "sine"])


def _exact_mean(model):
    def density(a):
        return float(np.exp(CUBIC.log_likelihood(model(np.array([[a]])))[0]))

    mass = integrate.quad(density, 0.0, 2.0, points=[0.9, 1.06])[0]
    return integrate.quad(lambda a: a * density(a), 0.0, 2.0, points=[0.9, 1.06])[0] / mass


@pytest.mark.parametrize("sampler", ["pcn", "emcee"])
def test_full_order_decisions_recover_the_true_posterior(sampler):
    solved = []

    def truth(mu):
        solved.append(len(mu))
        return _cubic(mu)

    exact, biased = _exact_mean(_cubic), _exact_mean(lambda mu: _biased(mu).output)
    assert abs(exact - biased) > 0.1

    def run(tolerance):
        wishes = wished(sampler, size=2400, chains=20, burn_in=80, thin=3 if sampler == "pcn" else 1,
                        tolerance=tolerance, seed=3)
        return calibrate(_biased, LINE, CUBIC, wishes, names=["cube", "sine"], truth=truth)

    without = run(None)
    assert not solved
    assert abs(without.mean(0).value - biased) < 0.01 < abs(without.mean(0).value - exact)
    assert without.mean(0).model_error is None and not without.comparable  # the truth lies where no draw is
    with_truth = run(0.05)
    assert abs(with_truth.mean(0).value - exact) < 0.01 < abs(with_truth.mean(0).value - biased)
    assert with_truth.likelihood_error()["largest"] <= 0.05 < without.likelihood_error()["largest"]
    assert with_truth.facts["full_order_solves"] == sum(solved)
    assert sum(solved) < with_truth.facts["evaluations"]


def test_the_stated_model_error_covers_a_small_bias_and_without_bias_is_small(must_fail):
    exact = _exact_mean(_cubic)
    found = calibrate(lambda mu: _biased(mu, 0.05), LINE, CUBIC, wished(size=6000, chains=40, burn_in=100),
                      names=["cube", "sine"])
    mean = found.mean(0)

    def covered(estimate):
        assert estimate.total[0] <= exact <= estimate.total[1]

    covered(mean)
    must_fail(covered, Estimate(mean.value, mean.low, mean.high, 0.0))
    assert abs(mean.value - exact) < mean.model_error < 0.1
    assert 0.0 < found.std(0).model_error < 0.05 and 0.0 < found.quantile(0, 0.95).model_error < 0.1


def test_no_solve_where_the_bound_is_within_the_tolerance():
    wishes = wished(size=400, burn_in=100, tolerance=1e-9)
    found = calibrate(of_function(_cubic), LINE, CUBIC, wishes, names=["cube", "sine"], truth=_biased)
    assert found.facts["full_order_solves"] == 0


def test_rejected_proposals_are_not_solved():
    solved = []

    def truth(mu):
        solved.append(len(mu))
        return _cubic(mu)

    def evaluate(mu):
        return Evaluated(_cubic(mu), np.full((2, len(mu)), 0.1), "indicator")

    wishes = wished(size=800, chains=8, burn_in=200, tolerance=1e-6)
    found = calibrate(evaluate, LINE, CUBIC, wishes, names=["cube", "sine"], truth=truth)
    assert found.kind == "indicator"
    assert sum(solved) < 0.7 * found.facts["evaluations"]
    assert 0.5 < found.facts["second_stage_acceptance"] < 1.0


def test_failed_answers_are_never_accepted_and_counted():
    def evaluate(mu):
        output = mu[:, 0][None].copy()
        output[:, mu[:, 0] > 1.0] = np.nan
        return Evaluated(output, np.zeros_like(output), "bound")

    found = calibrate(evaluate, LINE, Data([1.0], std=0.3), wished(size=2000, burn_in=100))
    assert found.draws.max() <= 1.0 and found.facts["failed"] > 0


def test_the_same_seed_gives_the_same_draws_and_another_does_not():
    def draws(seed):
        return calibrate(of_function(_cubic), LINE, CUBIC, wished(size=400, burn_in=50, seed=seed),
                         names=["cube", "sine"]).draws

    np.testing.assert_array_equal(draws(1), draws(1))
    assert (draws(1) != draws(2)).any()


@pytest.mark.parametrize("sampler", ["pcn", "emcee"])
def test_a_stopped_run_goes_on_to_the_bit(tmp_path, sampler, monkeypatch):
    monkeypatch.setattr("romflow.uq.bayes.calibration._BLOCK", 20)
    wishes = wished(sampler, size=160, chains=4, burn_in=60, tolerance=0.05)

    def run(folder, watcher=None):
        return calibrate(_biased, LINE, CUBIC, wishes, names=["cube", "sine"], truth=_cubic, folder=folder,
                         watcher=watcher, model="m")

    def stop(done, _):
        if done >= 60:
            raise KeyboardInterrupt

    straight = run(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", stop)
    assert 0 < len(list((tmp_path / "b").iterdir())) < len(list((tmp_path / "a").iterdir()))
    for again in (run(tmp_path / "b"), run(tmp_path / "a")):
        np.testing.assert_array_equal(again.draws, straight.draws)
        np.testing.assert_array_equal(again.judged.log, straight.judged.log)
        one, two = again.plain(), straight.plain()
        assert one.pop("seconds") > 0.0 and two.pop("seconds") > 0.0
        assert one == two


def test_a_folder_of_another_calibration_or_a_damaged_one_is_refused(tmp_path):
    wishes = wished(size=400, burn_in=50)

    def run(data=CUBIC, model="m", asked=wishes):
        return calibrate(of_function(_cubic), LINE, data, asked, names=["cube", "sine"], folder=tmp_path, model=model)

    run()
    for other in ({"data": Data([1.2, 0.8], 0.1, outputs=["cube", "sine"])}, {"model": "n"},
                  {"asked": wished(size=401, burn_in=50)}):
        with pytest.raises(StoreError, match="other data, inputs, model or settings; remove the folder"):
            run(**other)
    file = tmp_path / "steps-00000.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"steps-00000.h5 is damaged .*; remove the folder"):
        run()


def test_the_json_form_has_both_errors_and_the_fit():
    found = calibrate(lambda mu: _biased(mu, 0.05), LINE, CUBIC, wished(size=1000, burn_in=200),
                      names=["cube", "sine"])
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    mean = plain["columns"]["a"]["mean"]
    assert mean["model_error"] > 0.01 and mean["model_kind"] == "bound"
    assert plain["log_likelihood_error"]["largest"] > plain["log_likelihood_error"]["median"] > 0.0
    assert [entry["output"] for entry in plain["fit"]] == ["cube", "sine"]
    assert plain["fit"][0]["low"] < plain["fit"][0]["mean"] < plain["fit"][0]["high"]
    assert sum(plain["columns"]["a"]["density"]["density"]) > 0.0 and plain["size"] == 63 * 16


def test_a_model_without_errors_leaves_the_model_error_open():
    found = calibrate(lambda mu: Evaluated(_cubic(mu)), LINE, CUBIC, wished(size=400, burn_in=50),
                      names=["cube", "sine"])
    assert found.mean(0).model_error is None and found.likelihood_error()["largest"] is None
    json.dumps(found.plain(), allow_nan=False)


def _run(evaluate=None, data=CUBIC, truth=None, names=("cube", "sine"), **wishes):
    return calibrate(evaluate or of_function(_cubic), LINE, data, wished(**{"size": 100, **wishes}),
                     names=names, truth=truth)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: wished("pcm"), ConfigError, "Did you mean 'pcn'"),
        (lambda: wished(size=10), ConfigError, "size = 10 is not a whole number from 100"),
        (lambda: wished(chains=1), ConfigError, "chains = 1"),
        (lambda: wished(thin=0), ConfigError, "thin = 0 is not a whole number from 1"),
        (lambda: wished(burn_in=1.5), ConfigError, "burn_in = 1.5"),
        (lambda: wished(tolerance=float("nan")), ConfigError, "tolerance = nan is not a positive"),
        (lambda: wished(confidence=1.0), ConfigError, "1 is no level"),
        (lambda: _run(tolerance=0.1), InputError, "a tolerance needs truth"),
        (lambda: _run(lambda mu: Evaluated(_cubic(mu)), truth=_cubic, tolerance=0.1), InputError, "states no error"),
        (lambda: _run(names=["cube", "sin"]), ParameterError, "no output is called 'sine'; known: cube, sin"),
        (lambda: _run(of_function(lambda mu: mu[:, 0])), ShapeError, r"outputs of shape \(1, "),
        (lambda: _run(of_function(lambda mu: np.full((2, len(mu)), np.nan))), ParameterError, "0 of .* have a lik"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(make, error, text):
    with pytest.raises(error, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_without_emcee_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(NotSupported, match=r"pip install romflow\[mcmc\], or use sampler = 'pcn'"):
        _run(sampler="emcee")
