"""Inverse, solutions and log-determinant from interpolated powers, and the bounds of their errors."""

from itertools import product

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import InputError, NotCertified, ShapeError
from romflow.linalg.functions.matrix_functions import PowerInterpolation, monomials
from romflow.linalg.functions.spectral_interval import SpectralInterval
from romflow.linalg.interpolation.maximal_volume import EXCHANGE, interpolation_table

N = 60
H = (2.0 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1)) / 4.0
H *= 8.9 / 9.0 / np.linalg.norm(H, 2)
TRAINING = np.stack([np.ones(300), np.linspace(0.0, 9.0, 300)], axis=1)
TEST = np.stack([np.ones(80), np.random.default_rng(1).uniform(0.0, 9.0, 80)], axis=1)
SPECTRUM = SpectralInterval(1.0, 9.9)
TERMS = np.stack([np.eye(N), H])


def matrices(theta, terms=TERMS):
    return np.tensordot(theta, np.asarray(terms), 1)


def log_determinants(A):
    return np.linalg.slogdet(A)[1]


def one_parameter(order):
    powers = PowerInterpolation.build(TRAINING, order)
    A = matrices(powers.points)
    inverse = powers.inverse(TEST, np.linalg.inv(A))
    exact = np.linalg.inv(matrices(TEST))
    error = np.linalg.norm(exact - inverse, 2, axis=(1, 2)) / np.linalg.norm(exact, 2, axis=(1, 2))
    log_error = np.abs(powers.log_determinant(TEST, log_determinants(A)) - log_determinants(matrices(TEST)))
    return powers, error, log_error


@pytest.mark.parametrize(("order", "size", "inverse_error", "log_error"),
                         [(5, 6, 4e-2, 5e-3), (10, 11, 2.5e-3, 1e-4), (20, 21, 1e-5, 1e-6), (40, 41, 1e-11, 1e-12)])
def test_errors_in_one_parameter_fall_geometrically_also_at_high_orders(order, size, inverse_error, log_error):
    powers, error, absolute = one_parameter(order)
    spread = np.ptp(log_determinants(matrices(TEST)))
    assert powers.size == size
    assert error.max() < inverse_error
    assert absolute.max() < log_error * spread
    assert powers.lebesgue < 5.0


@pytest.mark.parametrize("order", [0, 3, 10])
def test_bounds_hold_and_the_chebyshev_bound_is_sharp_within_a_factor_of_five(order):
    powers, relative, log_error = one_parameter(order)
    error = relative * np.linalg.norm(np.linalg.inv(matrices(TEST)), 2, axis=(1, 2))
    for series in ("chebyshev", "neumann"):
        assert (powers.inverse_bound(TEST, SPECTRUM, series) >= error).all()
        assert (powers.log_determinant_bound(TEST, SPECTRUM, N, series) >= log_error).all()
    assert powers.inverse_bound(TEST, SPECTRUM).max() < 5.0 * error.max()
    assert powers.inverse_bound(TEST, SPECTRUM, "neumann").max() > powers.inverse_bound(TEST, SPECTRUM).max()


def test_a_spectrum_that_is_too_narrow_is_caught_by_the_error(must_fail):
    powers, relative, _ = one_parameter(10)
    error = relative * np.linalg.norm(np.linalg.inv(matrices(TEST)), 2, axis=(1, 2))

    def holds(low, high):
        assert (powers.inverse_bound(TEST, SpectralInterval(low, high)) >= error).all()

    holds(1.0, 9.9)
    must_fail(lambda high: holds(1.0, high), 1.5, 2.0, 4.0)


def test_neumann_bound_is_the_formula():
    powers = PowerInterpolation.build(TRAINING, 6)
    alpha, rho = 2.0 / 10.9, 8.9 / 10.9
    bound = powers.inverse_bound(TEST, SPECTRUM, "neumann")
    Lambda = np.abs(powers.weights(TEST)).sum(axis=1)
    assert np.allclose(bound, (1.0 + Lambda) * alpha * rho**7 / (1.0 - rho), rtol=1e-9)
    assert powers.error < 1e-13


def test_bounds_are_infinite_where_the_spectrum_reaches_zero():
    powers = PowerInterpolation.build(TRAINING, 4)
    for low in (0.0, -0.5):
        interval = SpectralInterval(low, 2.0)
        assert interval.rho >= 1.0
        assert np.isinf(powers.inverse_bound(TEST, interval)).all()
        assert np.isinf(powers.log_determinant_bound(TEST, interval, N, "neumann")).all()
        with pytest.raises(NotCertified, match="precondition"):
            PowerInterpolation.certified(TRAINING, interval, 1e-2)


def test_certified_order_is_the_smallest_and_keeps_its_tolerance():
    powers = PowerInterpolation.certified(TRAINING, SPECTRUM, 1e-4)
    exact = np.linalg.inv(matrices(TEST))
    error = np.linalg.norm(exact - powers.inverse(TEST, np.linalg.inv(matrices(powers.points))), 2, axis=(1, 2))
    assert error.max() <= 1e-4
    below = PowerInterpolation.build(TRAINING, powers.order - 1)
    assert below.inverse_bound(TRAINING, SPECTRUM).max() > 1e-4
    with pytest.raises(NotCertified, match="no order up to 4"):
        PowerInterpolation.certified(TRAINING, SPECTRUM, 1e-4, max_order=4)


def test_weights_sum_to_one_and_are_unit_vectors_at_the_points():
    training = np.random.default_rng(2).uniform(0.1, 1.0, (400, 3))
    powers = PowerInterpolation.build(training, 4)
    assert powers.size == 35
    weights = powers.weights(np.random.default_rng(3).uniform(0.1, 1.0, (50, 3)))
    assert np.abs(weights.sum(axis=1) - 1.0).max() < 1e-13
    assert np.abs(powers.weights(powers.points) - np.eye(35)).max() < 1e-12
    assert np.array_equal(training[powers.indices], powers.points)


def test_one_set_of_weights_serves_every_polynomial_of_a_family_that_does_not_commute(must_fail):
    rng = np.random.default_rng(4)
    terms = [M + M.T for M in rng.standard_normal((3, 7, 7))]
    training, test = rng.uniform(-1.0, 1.0, (300, 3)), rng.uniform(-1.0, 1.0, (20, 3))
    powers = PowerInterpolation.build(training, 4)

    def reproduces(degree):
        there, here = (np.linalg.matrix_power(matrices(at, terms), degree) for at in (powers.points, test))
        assert np.abs(powers.solve(test, there) - here).max() < 1e-11 * np.abs(here).max()

    for degree in range(5):
        reproduces(degree)
    must_fail(reproduces, 5, 6)


def test_solutions_follow_from_solutions():
    powers = PowerInterpolation.build(TRAINING, 30)
    B = np.random.default_rng(5).standard_normal((N, 2))
    values = np.linalg.solve(matrices(powers.points), B)
    assert np.allclose(powers.solve(TEST, values), np.linalg.solve(matrices(TEST), B), atol=1e-7)
    assert powers.solve(TEST[0], values[..., 0]).shape == (1, N)
    inverses = np.linalg.inv(matrices(powers.points))
    P = powers.inverse_operator(TEST[0], [lambda B, M=M: M @ B for M in inverses], N)
    assert isinstance(P, LinearOperator)
    assert np.allclose(P @ B, powers.solve(TEST[0], values)[0])


def test_constant_and_dependent_coefficients_cost_no_points():
    mu = np.linspace(0.5, 2.0, 100)
    powers = PowerInterpolation.build(np.stack([mu, 3.0 * np.ones(100), 2.0 * mu, 1.0 - mu], axis=1), 6)
    assert powers.size == 7
    assert PowerInterpolation.build(np.ones((5, 2)), 6).size == 1


def test_capped_monomials_keep_the_low_degrees_whole_and_the_draw_is_seeded():
    varies = np.ones(9, dtype=bool)
    exponents, degree = monomials(varies, 6, 300, seed=1)
    assert degree == 3
    assert len(exponents) == 300 == len(np.unique(exponents, axis=0))
    assert (exponents[:220].sum(axis=1) <= 3).all()
    assert set(exponents[220:].sum(axis=1)) <= {4, 5, 6}
    assert np.array_equal(exponents, monomials(varies, 6, 300, seed=1)[0])
    assert not np.array_equal(exponents, monomials(varies, 6, 300, seed=2)[0])


def test_bound_holds_where_points_are_missing_for_some_monomials():
    training = np.array(list(product(np.linspace(0.5, 2.0, 15), repeat=2)))
    G = np.random.default_rng(6).standard_normal((2, 6, 6))
    terms = G @ G.transpose(0, 2, 1) + 0.3 * np.eye(6)
    corners = np.linalg.eigvalsh(matrices(np.array(list(product([0.5, 2.0], repeat=2))), terms))
    spectrum = SpectralInterval(corners.min(), corners.max())
    powers = PowerInterpolation.build(training, 6, max_points=15)
    error = np.linalg.norm(powers.inverse(training, np.linalg.inv(matrices(powers.points, terms)))
                           - np.linalg.inv(matrices(training, terms)), 2, axis=(1, 2))
    assert powers.error > 1e-3
    assert (powers.inverse_bound(training, spectrum) >= error * (1 - 1e-9) - 1e-13).all()


def test_exchange_bounds_every_weight_on_the_training_set(must_fail):
    training = np.random.default_rng(3).uniform(-1.0, 1.0, (2000, 2))
    values = np.stack([training[:, 0]**i * training[:, 1]**j for i in range(7) for j in range(7 - i)], axis=1)

    def bounded(exchange):
        table = interpolation_table(values, exchange=exchange)
        assert np.abs(table.weights(values[:, table.functions])).max() <= EXCHANGE * (1 + 1e-9)

    bounded(True)
    must_fail(bounded, False)


def test_spectrum_from_norm_equivalence_holds_the_eigenvalues():
    rng = np.random.default_rng(7)
    G = rng.standard_normal((3, 5, 5))
    terms, theta = G @ G.transpose(0, 2, 1), rng.uniform(0.2, 3.0, (40, 3))
    spectrum = SpectralInterval.from_coefficients(theta, np.ones(3))
    reference = np.linalg.cholesky(terms.sum(axis=0))
    whitened = np.linalg.solve(reference, np.linalg.solve(reference, matrices(theta, terms)).transpose(0, 2, 1))
    values = np.linalg.eigvalsh(whitened)
    assert values.min() >= spectrum.low * (1 - 1e-10)
    assert values.max() <= spectrum.high * (1 + 1e-10)


def test_bound_relative_to_a_reference_does_not_know_the_condition_of_the_terms():
    D = np.eye(101, 100) - np.eye(101, 100, k=-1)
    terms = [np.eye(100), *(101.0**2 * (D.T * side) @ D for side in (np.arange(101) < 50, np.arange(101) >= 50))]
    rng = np.random.default_rng(9)
    training, test = (np.column_stack([np.ones(k), rng.uniform(0.5, 2.0, (k, 2))]) for k in (400, 15))
    powers, spectrum = PowerInterpolation.build(training, 6), SpectralInterval.from_coefficients(training, np.ones(3))
    L = np.linalg.cholesky(sum(terms))
    difference = (powers.inverse(test, np.linalg.inv(matrices(powers.points, terms)))
                  - np.linalg.inv(matrices(test, terms)))
    error = np.linalg.norm(L.T @ difference @ L, 2, axis=(1, 2))
    bound = powers.inverse_bound(test, spectrum)
    assert (error <= bound).all()
    assert bound.max() < 100.0 * error.max()


@pytest.mark.parametrize(("action", "error", "match"), [
    (lambda p: p.weights(np.ones((2, 3))), ShapeError, "rule is"),
    (lambda p: p.weights(np.array([1.0, np.nan])), InputError, "not all finite"),
    (lambda p: p.solve(TEST, np.ones((2, 5))), ShapeError, "interpolation point"),
    (lambda p: p.solve(TEST, np.full((4, 5), np.nan)), InputError, "check the solves"),
    (lambda p: p.inverse(TEST, np.ones((4, 5, 6))), ShapeError, "inverses"),
    (lambda p: p.log_determinant(TEST, np.ones((4, 1))), ShapeError, "log-determinants"),
    (lambda p: p.inverse_operator(TEST[0], [], N), ShapeError, "0 solvers"),
    (lambda p: p.inverse_bound(TEST, SPECTRUM, "taylor"), InputError, "taylor"),
    (lambda p: PowerInterpolation.build(TRAINING, -1), InputError, "order is -1"),
    (lambda p: PowerInterpolation.build(TRAINING, 3, max_monomials=1), InputError, "max_monomials"),
    (lambda p: PowerInterpolation.build(TRAINING[:4], 10), InputError, "lower order"),
    (lambda p: PowerInterpolation.build(np.full((3, 2), np.inf), 2), InputError, "not all finite"),
    (lambda p: PowerInterpolation.certified(TRAINING, SPECTRUM, 0.0), InputError, "positive"),
    (lambda p: SpectralInterval(2.0, 1.0), InputError, "low <= high"),
    (lambda p: SpectralInterval.from_coefficients(TEST, np.array([1.0, 0.0])), InputError, "positive"),
    (lambda p: SpectralInterval.from_coefficients(TEST, np.ones(3)), ShapeError, "reference"),
    (lambda p: interpolation_table(np.zeros((3, 2))), InputError, "column 0"),
    (lambda p: interpolation_table(np.zeros((0, 2))), ShapeError, "rule is"),
])
def test_bad_input_is_named(action, error, match):
    powers = PowerInterpolation.build(TRAINING, 3)
    with pytest.raises(error, match=match):
        action(powers)
