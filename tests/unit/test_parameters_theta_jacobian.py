"""Derivatives of the coefficients of an affine decomposition."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.parameters.expressions import Theta
from romflow.parameters.theta_jacobian import ThetaJacobian, theta_jacobian

THETA = Theta(["a", "1", "a * sin(b)", "exp(2 * b) / c"], ["a", "b", "c"])


def dense(jacobian, mu):
    found = np.zeros((len(mu), jacobian.Q, len(jacobian.names)))
    found[:, jacobian.terms, jacobian.columns] = jacobian(mu)
    return found


def test_derivatives_equal_central_differences(must_fail):
    mu = np.random.default_rng(0).uniform(0.5, 1.5, (7, 3))
    steps = 1e-4 * np.eye(3)
    central = np.stack([(THETA(mu + step) - THETA(mu - step)) / 2e-4 for step in steps], axis=2)

    def check(found):
        assert np.abs(found - central).max() <= 1e-5 * np.abs(central).max()

    found = dense(ThetaJacobian(THETA), mu)
    check(found)
    must_fail(check, found + 1e-2, found - 1e-2)


def test_zero_derivatives_are_left_out():
    jacobian = ThetaJacobian(THETA)
    assert list(zip(jacobian.columns, jacobian.terms, strict=True)) == [(0, 0), (0, 2), (1, 2), (1, 3), (2, 3)]
    assert len(ThetaJacobian(Theta(["1", "2"], ["a"]))) == 0


def test_contraction_is_the_sum_over_the_terms():
    jacobian = ThetaJacobian(THETA, ["b", "a"])
    rng = np.random.default_rng(1)
    mu, parts = rng.uniform(0.5, 1.5, (5, 3)), rng.standard_normal((4, 2, 5))
    expected = np.einsum("bqj,qkb->jkb", dense(jacobian, mu), parts)
    assert np.allclose(jacobian.contract(mu, parts), expected, atol=1e-14)
    same = np.broadcast_to(parts[:, :, :1], parts.shape)
    assert np.array_equal(jacobian.contract(mu, parts[:, :, :1]), jacobian.contract(mu, same))


def test_coefficients_without_parameters_contract_to_zero():
    jacobian = ThetaJacobian(Theta(["1"], ["a", "b"]))
    assert np.array_equal(jacobian.contract(np.ones((3, 2)), np.ones((1, 4, 1))), np.zeros((2, 4, 3)))


def test_wrong_input_is_refused():
    with pytest.raises(ConfigError, match="no column"):
        ThetaJacobian(THETA, ["d"])
    with pytest.raises(ShapeError, match=r"\(4, k, 2\)"):
        ThetaJacobian(THETA).contract(np.ones((2, 3)), np.ones((3, 1, 2)))
    with pytest.raises(ParameterError):
        ThetaJacobian(Theta(["sqrt(a)"], ["a"]))(np.zeros((1, 1)))


def test_the_same_texts_are_differentiated_once():
    assert theta_jacobian(THETA) is theta_jacobian(Theta(THETA.expressions, THETA.columns))
    assert theta_jacobian(THETA) is not theta_jacobian(THETA, ["a"])
