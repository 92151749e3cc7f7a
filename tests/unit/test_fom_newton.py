"""Newton's method: quadratic where it starts near, damped where it starts far, and a record where it fails."""

import json

import numpy as np
import pytest

from romflow.core.errors import SolveFailed
from romflow.fom.nonlinear.newton import newton


def root(function, slope, guess, **options):
    return newton(function, lambda u, r: r / slope(u), np.array([float(guess)]), **options)


def test_convergence_is_quadratic(must_fail):
    errors = []
    for iterations in (2, 3, 4):
        with pytest.raises(SolveFailed):
            root(lambda u: np.exp(u) - 2.0, np.exp, 0.0, max_iterations=iterations, tolerance=0.0)
        u = np.array([0.0])
        for _ in range(iterations):
            u = u - (np.exp(u) - 2.0) / np.exp(u)
        errors.append(abs(u[0] - np.log(2.0)))

    def check(order):
        assert abs(order - 2.0) < 0.1

    order = np.log(errors[2] / errors[1]) / np.log(errors[1] / errors[0])
    check(order)
    must_fail(check, order + 1.0, order - 1.0)
    u, report = root(lambda u: np.exp(u) - 2.0, np.exp, 0.0)
    assert abs(u[0] - np.log(2.0)) < 1e-12 and report["iterations"] == len(report["steps"]) <= 5


def test_line_search_saves_an_iteration_that_would_diverge():
    u, wild = np.array([3.0]), []
    for _ in range(4):
        u = u - np.arctan(u) * (1.0 + u**2)
        wild.append(abs(u[0]))
    assert wild[-1] > 1e3
    found, report = root(np.arctan, lambda u: 1.0 / (1.0 + u**2), 3.0)
    assert abs(found[0]) < 1e-9 and min(report["steps"]) < 1.0
    assert all(b < a for a, b in zip(report["residuals"], report["residuals"][1:], strict=False))


def test_values_that_are_not_finite_are_stepped_back_from():
    # The full step from 3 goes to log of a negative number.
    found, report = root(np.log, lambda u: 1.0 / u, 3.0)
    assert abs(found[0] - 1.0) < 1e-10 and report["steps"][0] < 1.0


def check_record(error, words):
    report = error.value.report
    json.dumps(report, allow_nan=False)
    assert words in report["reason"] and words in str(error.value)
    assert {"iterations", "residuals", "steps", "reason"} <= set(report)


@pytest.mark.parametrize(("function", "slope", "guess", "words"), [
    (lambda u: u**2 + 1.0, lambda u: 2.0 * u, 0.3, "no "),
    (lambda u: u**2 + 1.0, lambda u: -2.0 * u, 1.0, "no descent"),
    (lambda u: u**2 + 1.0, lambda u: 0.0 * u, 1.0, "singular"),
    (lambda u: np.nan * u, lambda u: u, 1.0, "guess is not finite"),
    (lambda u: u**2 * 1e200, lambda u: 2e200 * u, 1e200, "guess is not finite"),
])
def test_failures_are_records(function, slope, guess, words):
    with pytest.raises(SolveFailed) as error:
        root(function, slope, guess)
    check_record(error, words)


def test_failed_linear_solve_is_a_record():
    def solve(u, r):
        raise SolveFailed("the matrix is singular")

    with pytest.raises(SolveFailed) as error:
        newton(lambda u: u - 1.0, solve, np.zeros(2))
    check_record(error, "linear solve failed")


def test_limit_of_iterations_is_a_record():
    with pytest.raises(SolveFailed) as error:
        root(np.arctan, lambda u: 1.0 / (1.0 + u**2), 3.0, max_iterations=2)
    check_record(error, "no convergence in 2")
    assert error.value.report["iterations"] == 2


def test_exact_guess_needs_no_step_and_a_scale_replaces_its_residual():
    u, report = root(lambda u: u - 1.0, np.ones_like, 1.0)
    assert u[0] == 1.0 and report["iterations"] == 0
    near = 1.0 + 1e-12
    assert root(lambda u: u - 1.0, np.ones_like, near, scale=1.0)[1]["iterations"] == 0
    assert root(lambda u: u - 1.0, np.ones_like, near)[1]["iterations"] == 1


def test_rounding_ends_the_iteration_where_the_tolerance_cannot_be_reached():
    u, report = root(lambda u: u**3 - 2.0, lambda u: 3.0 * u**2, 1.5, tolerance=1e-30)
    assert abs(u[0] - 2.0 ** (1.0 / 3.0)) < 1e-15 and report["iterations"] < 10


def test_norm_may_be_given():
    seen = []

    def norm(r):
        seen.append(r.copy())
        return np.abs(r).max()

    root(lambda u: u**2 - 2.0, lambda u: 2.0 * u, 1.0, norm=norm)
    assert len(seen) >= 4
