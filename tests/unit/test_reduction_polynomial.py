"""Polynomial regression: exact on polynomials, degree by leave-one-out, weights, Sobol' indices, wrong options."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError
from romflow.core.snapshot import Snapshot
from romflow.parameters.distributions import LogNormal, Normal, Uniform
from romflow.parameters.sampling.optimal_design import OptimalDesign
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.polynomial_fit import PolynomialChoice, fit_polynomials
from tests.problems import MemoryStore

CUBE = ParameterSpace([Parameter("x", Uniform(-np.pi, np.pi), 3)])
MIXED = ParameterSpace([Parameter("a", Uniform(1.0, 2.0)), Parameter("b", Normal(1.0, 2.0)),
                        Parameter("c", LogNormal(0.0, 0.5))])


def ishigami(x):
    return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def polynomial(x):
    return np.stack([2.0 + x[:, 0] ** 2 * x[:, 1], x[:, 1] ** 3 - np.log(x[:, 2]) * x[:, 0]])


def fit(space, function, k, seed=0, **choice):
    mu = space.sample(k, np.random.default_rng(seed))
    values = np.atleast_2d(function(mu))
    return mu, values, fit_polynomials(space, mu, values, np.ones(len(values)), PolynomialChoice(**choice))


@pytest.mark.parametrize("weights", ["equal", "optimal", "auto"])
def test_polynomials_are_found_exactly_with_their_degree(weights, must_fail):
    _, _, (regression, missed, _) = fit(MIXED, polynomial, 60, weights=weights)
    x = MIXED.sample(50, np.random.default_rng(1))

    def check(mean):
        assert np.allclose(mean, polynomial(x), rtol=1e-9, atol=1e-9)

    mean, _ = regression.predict(x)
    check(mean)
    must_fail(check, mean + 1e-7, mean - 1e-7)
    assert missed.max() < 1e-8
    assert regression.degrees.sum(axis=1).max() == 3


@pytest.mark.parametrize("weights", ["equal", "optimal"])
def test_leave_one_out_errors_are_those_of_fits_without_each_point(weights, must_fail):
    mu, values, (regression, missed, std) = fit(CUBE, ishigami, 40, degree=2, weights=weights)
    phi = regression.basis.values(mu)
    root = np.sqrt(regression.basis.weights(mu) if weights == "optimal" else np.ones(40))
    left = []
    for i in range(40):
        kept = np.arange(40) != i
        c = np.linalg.lstsq(phi[kept] * root[kept, None], values[0, kept] * root[kept], rcond=None)[0]
        left.append(abs(values[0, i] - phi[i] @ c))

    def check(found):
        assert np.allclose(found, left, rtol=1e-8)

    check(missed[0])
    must_fail(check, missed[0] * (1 + 1e-7), missed[0] * (1 - 1e-7))
    assert np.sqrt(np.mean((missed / std) ** 2)) == pytest.approx(1.0)


def test_the_degree_is_right_for_the_number_of_snapshots():
    test = CUBE.sample(500, np.random.default_rng(9))
    errors, degrees = [], []
    for k in (100, 200, 400):
        _, values, (regression, missed, _) = fit(CUBE, ishigami, k)
        errors.append(np.sqrt(np.mean((regression.predict(test)[0][0] - ishigami(test)) ** 2)))
        degrees.append(regression.degrees.max())
        assert errors[-1] == pytest.approx(np.sqrt(np.mean(missed**2)), rel=0.6)
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert degrees == sorted(degrees)


def test_sobol_indices_and_moments_come_from_the_coefficients(must_fail):
    _, _, (regression, _, _) = fit(CUBE, ishigami, 500)
    variance = 49.0 / 8.0 + 0.1 * np.pi**4 / 5.0 + 0.01 * np.pi**8 / 18.0 + 0.5
    first = np.array([0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49.0 / 8.0, 0.0]) / variance
    third = 0.01 * np.pi**8 * (1.0 / 18.0 - 1.0 / 50.0) / variance

    def check(indices):
        assert np.allclose(indices[0][0], first, atol=0.01)
        assert np.allclose(indices[1][0], first + np.array([third, 0.0, third]), atol=0.01)

    found = regression.sobol_indices()
    check(found)
    must_fail(check, (found[0] + 0.1, found[1]), (found[0], found[1] - 0.1))
    mean, spread = regression.moments()
    assert mean[0] == pytest.approx(3.5, rel=0.01)
    assert spread[0] == pytest.approx(variance, rel=0.03)


def test_a_constant_has_no_indices():
    _, _, (regression, _, _) = fit(CUBE, lambda x: np.full(len(x), 2.0), 10, degree=1)
    constant = regression.sobol_indices()
    assert np.isfinite(constant[0]).all()
    assert regression.predict(np.zeros((1, 3)))[0][0, 0] == pytest.approx(2.0)


def test_an_optimal_design_is_recognised():
    space = ParameterSpace([Parameter("x", Uniform(-1.0, 1.0))])
    function = lambda x: 1.0 / (1.0 + 5.0 * x[:, 0] ** 2)  # noqa: E731
    test = space.sample(2000, np.random.default_rng(7))
    errors = {"equal": 0.0, "optimal": 0.0, "auto": 0.0}
    for seed in range(4):
        mu = OptimalDesign(space, seed, degree=11, size=36).ask()
        for weights in errors:
            regression, _, _ = fit_polynomials(space, mu, function(mu)[None], np.ones(1),
                                               PolynomialChoice(11, weights=weights))
            errors[weights] += np.mean((regression.predict(test)[0][0] - function(test)) ** 2)
    assert errors["auto"] == errors["optimal"] != errors["equal"]


def test_the_weights_of_independent_points_are_equal():
    for size in (20, 80):
        mu = CUBE.sample(size, np.random.default_rng(size))
        auto, equal = (fit_polynomials(CUBE, mu, ishigami(mu)[None], np.ones(1), PolynomialChoice(2, weights=kind))[0]
                       for kind in ("auto", "equal"))
        assert np.array_equal(auto.coefficients, equal.coefficients)


class Field:
    """A black box with one output."""

    parameters, n, spec, output_names = MIXED, 30, {"model": "field"}, ("mean",)

    def solve(self, mu):
        x = np.linspace(0.0, 1.0, 30)
        u = mu[0] * np.sin(np.pi * x) + mu[1] * x + np.log(mu[2]) * x**2
        return Snapshot(u, np.array([u.mean()]))


def test_pod_with_polynomials_predicts_states_and_outputs():
    fom, mu = Field(), OptimalDesign(MIXED, degree=2).ask()
    rom = PodRegression(1e-8, regressor="polynomial").reduce(fom, MemoryStore(fom), mu)
    assert rom.metadata["degree"] == 1
    assert rom.metadata["polynomials"] == len(rom.regressor.degrees)
    new = MIXED.sample(5, np.random.default_rng(3))
    answer = rom.solve(new)
    truth = [fom.solve(row) for row in new]
    assert np.allclose(rom.lift(answer.coefficients).T, [one.state for one in truth], atol=1e-7)
    assert np.allclose(answer.output[0], [one.outputs[0] for one in truth], atol=1e-7)
    assert rom.truncate(1).solve(new).output.shape == (1, 5)


@pytest.mark.parametrize(("options", "words"), [
    ({"degree": -1}, "degree = -1"), ({"degree": 1.5}, "degree = 1.5"), ({"index_set": "totl"}, "Did you mean 'total'"),
    ({"weights": "even"}, "no weights are called 'even'"),
    ({"regressor": "rbf", "degree": 2}, "for regressor = \"polynomial\" alone"),
])
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        PodRegression(**({"regressor": "polynomial"} | options))


def test_too_few_and_degenerate_snapshots_are_refused():
    with pytest.raises(InputError, match="has 10 polynomials, and there are 10 snapshots"):
        fit(CUBE, ishigami, 10, degree=2)
    mu = np.repeat(CUBE.sample(3, np.random.default_rng(0)), 10, axis=0)
    with pytest.raises(InputError, match="cannot tell polynomials apart"):
        fit_polynomials(CUBE, mu, ishigami(mu)[None], np.ones(1), PolynomialChoice(2))
