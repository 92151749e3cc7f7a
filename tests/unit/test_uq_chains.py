"""Diagnostics of chains against exact values, and ranges under bounded weights against linear programs."""

import numpy as np
import pytest
from scipy.optimize import linprog

from romflow.core.errors import InputError, ShapeError
from romflow.uq.bayes.chain_diagnostics import effective_size, split_r_hat
from romflow.uq.bayes.reweighting import mean_range, quantile_range, std_range


def _autoregressive(rho, n, c, seed=0):
    rng = np.random.default_rng(seed)
    x = np.empty((n, c))
    x[0] = rng.normal(size=c)
    for step in range(1, n):
        x[step] = rho * x[step - 1] + np.sqrt(1.0 - rho**2) * rng.normal(size=c)
    return x


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_the_effective_size_of_an_autoregression_is_known(rho, must_fail):
    n, c = 4000, 4
    exact = n * c * (1.0 - rho) / (1.0 + rho)

    def agrees(found):
        assert found == pytest.approx(exact, rel=0.15)

    found = effective_size(_autoregressive(rho, n, c))
    agrees(found)
    must_fail(agrees, 0.7 * found, 1.4 * found)


def test_r_hat_sees_a_shift_a_scale_and_a_drift():
    draws = _autoregressive(0.3, 1000, 4)
    assert split_r_hat(draws) < 1.01
    assert split_r_hat(draws + [0.0, 0.0, 0.0, 1.0]) > 1.05
    assert split_r_hat(draws * [1.0, 1.0, 1.0, 3.0]) > 1.05
    assert split_r_hat(draws + np.linspace(0.0, 2.0, 1000)[:, None]) > 1.05


def test_chains_that_stand_still():
    assert split_r_hat(np.ones((10, 2))) == 1.0 and effective_size(np.ones((10, 2))) == 1.0
    assert split_r_hat(np.ones((10, 2)) * [1.0, 2.0]) == np.inf and effective_size(np.ones((10, 2)) * [1.0, 2.0]) == 1.0


@pytest.mark.parametrize("function", [split_r_hat, effective_size])
def test_wrong_chains_are_refused(function):
    with pytest.raises(ShapeError, match="at least 4 steps"):
        function(np.ones((3, 2)))
    with pytest.raises(ShapeError, match="shape"):
        function(np.ones(8))
    with pytest.raises(InputError, match="not finite"):
        function(np.full((8, 2), np.nan))


X = np.random.default_rng(4).normal(size=12)
LOW, HIGH = -np.random.default_rng(5).random(12), np.random.default_rng(6).random(12)


def _extreme(values, sign):
    """By the linear program that Charnes and Cooper make of a ratio: weights y = t w, sum y = 1, t >= 0."""
    n = len(values)
    a, b = np.exp(LOW)[:, None], np.exp(HIGH)[:, None]
    above, below = np.hstack([-np.eye(n), a]), np.hstack([np.eye(n), -b])
    found = linprog(sign * np.append(values, 0.0), A_ub=np.vstack([above, below]), b_ub=np.zeros(2 * n),
                    A_eq=[[*[1.0] * n, 0.0]], b_eq=[1.0])
    return sign * found.fun


def test_the_range_of_the_mean_is_that_of_the_linear_program(must_fail):
    def agrees(found):
        np.testing.assert_allclose(found, (_extreme(X, 1.0), _extreme(X, -1.0)), rtol=1e-8)

    found = mean_range(X, LOW, HIGH)
    agrees(found)
    must_fail(agrees, (found[0] + 1e-4, found[1]), (found[0], found[1] - 1e-4))


def test_all_weights_give_statistics_within_their_ranges():
    rng = np.random.default_rng(7)
    levels = np.array([0.1, 0.5, 0.9])
    deviation, (least, largest) = std_range(X, LOW, HIGH), quantile_range(X, levels, LOW, HIGH)
    order = np.argsort(X)
    for share in rng.random((300, 12)).round() * rng.random((300, 1)).round(1):
        w = np.exp(LOW + share * (HIGH - LOW))
        w /= w.sum()
        assert deviation[0] - 1e-12 <= np.sqrt(w @ (X - w @ X) ** 2) <= deviation[1] + 1e-12
        quantiles = X[order][np.searchsorted(np.cumsum(w[order]), levels - 1e-12)]
        assert (least <= quantiles).all() and (quantiles <= largest).all()


def test_without_an_error_nothing_moves():
    zero = np.zeros(12)
    np.testing.assert_allclose(mean_range(X, zero, zero), X.mean(), rtol=1e-12)
    np.testing.assert_allclose(std_range(X, zero, zero), X.std(), rtol=1e-12)
