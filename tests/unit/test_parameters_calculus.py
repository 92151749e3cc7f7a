"""Derivatives, substitution and tracing of expressions, against differences and against the functions themselves."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.parameters.calculus import derivative, substituted, traced
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction

MU = np.array([[0.7, 2.3], [1.9, 0.4], [0.2, 1.1]])
TEXTS = ["a * b", "a / b",
         "a - 3 * b", "-a ** 2", "a ** b", "b ** -a", "2 ** a", "sqrt(a + b)", "exp(-a * b)", "log(a)",
         "sin(a) * cos(b)", "tan(a / 3)", "tanh(a * b)", "abs(a - b)", "sign(a - b) * a", "min(a, b, 3)",
         "max(a ** 2, b)", "a", "7", "(a + b) ** 3 / (1 + exp(a))"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["a", "b"])
def test_derivatives_are_the_central_differences(text, name):
    theta, h = Theta([text], ["a", "b"]), 1e-6
    step = h * np.eye(2)["ab".index(name)]
    reference = (theta(MU + step) - theta(MU - step)) / (2 * h)
    np.testing.assert_allclose(derivative(theta, name)(MU), reference, rtol=1e-7, atol=1e-8)


def test_a_wrong_derivative_would_be_seen():
    theta, h = Theta(["a ** b"], ["a", "b"]), 1e-6
    reference = (theta(MU + [h, 0]) - theta(MU - [h, 0])) / (2 * h)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(derivative(theta, "b")(MU), reference, rtol=1e-7)


def test_a_power_of_zero_has_a_finite_derivative():
    theta = Theta(["abs(u) ** p"], ["u", "p"])
    rows = np.array([[0.0, 1.5], [0.0, 1.0], [-2.0, 2.0]])
    np.testing.assert_allclose(derivative(theta, "u")(rows)[:, 0], [0.0, 0.0, -4.0])
    np.testing.assert_allclose(derivative(theta, "p")(rows)[:, 0], [0.0, 0.0, 4 * np.log(2.0)], atol=1e-300)


def test_long_sums_are_differentiated_without_deep_recursion():
    theta = Theta([" + ".join(["a * b"] * 400)], ["a", "b"])
    np.testing.assert_allclose(derivative(theta, "a")(MU)[:, 0], 400 * MU[:, 1])


@pytest.mark.parametrize("text", TEXTS)
def test_substitution_fixes_a_column(text):
    theta = Theta([text], ["a", "b"])
    value = -0.25 if not any(word in text for word in ("log", "sqrt", "**")) else 0.25
    fixed = substituted(theta, {"a": value})
    assert fixed.columns == ("b",)
    rows = np.column_stack([np.full(3, value), MU[:, 1]])
    np.testing.assert_allclose(fixed(MU[:, 1:]), theta(rows), rtol=1e-15)


def test_substitution_refuses_what_it_cannot_do():
    with pytest.raises(ConfigError, match="no column 'c'"):
        substituted(Theta(["a"], ["a"]), {"c": 1.0})
    with pytest.raises(ConfigError, match="finite"):
        substituted(Theta(["a"], ["a"]), {"a": np.nan})
    with pytest.raises(ConfigError, match="no column 'ab'"):
        derivative(Theta(["a"], ["a"]), "ab")


def everything(x, a):
    return [np.sqrt(x) + np.exp(-a), np.log(x) / a, np.sin(x) * np.cos(a) - np.tan(x), np.tanh(x) ** 2,
            np.abs(x - a) + abs(a), np.sign(a - x), np.minimum(x, a), np.maximum(x, 0.5), np.square(x), 2.0 ** x,
            -x + np.pi, 1.0 / x, np.power(x, 1.5), np.float64(3.0) * x, np.where(x < a, 2.0, x), 1.0 + (x >= a),
            np.where((x > 0.4) & (a <= 0.6), a, 0.0), np.where((x > a) | ~(x > 0.2), 1.0, a)]


def test_a_traced_function_has_the_values_of_the_function():
    x, a = MU.T
    theta = Theta(traced(everything, ["x", "a"]), ["x", "a"])
    np.testing.assert_allclose(theta(MU), np.column_stack(everything(x, a)), rtol=1e-15)


@pytest.mark.parametrize(("function", "said"), [
    (lambda x, a: np.where(x, 1.0, 0.0), "where cannot be followed"),
    (lambda x, a: x & a, "bitwise_and cannot be followed"),
    (lambda x, a: np.sum(x), "sum cannot be followed"),
    (lambda x, a: 1.0 if x else a, "branches"),
    (lambda x, a: np.arctan2(x, a), "arctan2"),
    (lambda x, a: [1, 2][int(a)] * x, "cannot be followed"),
    (lambda x, a: x * np.nan, "finite"),
])
def test_what_cannot_be_followed_is_refused(function, said):
    with pytest.raises((InputError, ShapeError), match=said):
        traced(function, ["x", "a"])


def flux():
    return PointFunction(["k * u * u_x + x", "t * exp(u)"], ["u", "u_x"], ["x"], ["k", "t"])


def test_point_functions_have_consistent_derivatives():
    rng = np.random.default_rng(1)
    w, data, mu, h = rng.random((2, 5, 3)), rng.random((1, 5)), rng.random((3, 1)), 1e-6
    g = flux()
    slopes = g.derivatives(w, data, mu, 0.5)
    assert g.pairs == ((0, 0), (1, 0), (0, 1)) == tuple(slopes)
    for (i, j), slope in slopes.items():
        step = np.zeros_like(w)
        step[j] = h
        reference = (g.values(w + step, data, mu, 0.5) - g.values(w - step, data, mu, 0.5))[i] / (2 * h)
        np.testing.assert_allclose(slope, reference, rtol=1e-8, atol=1e-9)
    reference = (g.values(w, data, mu + h, 0.5) - g.values(w, data, mu - h, 0.5)) / (2 * h)
    np.testing.assert_allclose(g.parameter_derivative("k", w, data, mu, 0.5), reference, rtol=1e-8, atol=1e-9)
    again = PointFunction.from_spec(g.to_spec())
    assert np.array_equal(again.values(w, data, mu, 0.5), g.values(w, data, mu, 0.5))


def test_point_functions_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="time"):
        flux().values(np.ones((2, 4, 1)), np.ones((1, 4)), np.ones((1, 1)))
    with pytest.raises(ShapeError, match=r"\(2, P, b\)"):
        flux().values(np.ones((1, 4, 1)), np.ones((1, 4)), np.ones((1, 1)), 0.0)
    with pytest.raises(ConfigError, match="two things"):
        PointFunction(["u"], ["u"], ["u"], [])


def test_an_expression_broadcasts_over_named_arrays():
    theta = Theta(["a + b", "2"], ["a", "b"])
    first, second = theta.broadcast({"a": np.ones((4, 1)), "b": np.arange(3.0)})
    assert first.shape == (4, 3)
    assert float(second) == 2.0
    with pytest.raises(ShapeError, match="'b'"):
        theta.broadcast({"a": np.ones(2)})
