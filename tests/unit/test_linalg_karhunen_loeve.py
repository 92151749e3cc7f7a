"""Karhunen-Loeve expansions: known eigenvalues, orthonormal modes, determinism, wrong input."""

import numpy as np
import pytest
from scipy.optimize import brentq

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.linalg.karhunen_loeve import KERNELS, Covariance, karhunen_loeve, pivoted_cholesky


def line(N: int) -> tuple[np.ndarray, np.ndarray]:
    return ((np.arange(N) + 0.5) / N)[:, None], np.full(N, 1.0 / N)


def square(m: int) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(m) + 0.5) / m
    return np.column_stack([np.tile(x, m), np.repeat(x, m)]), np.full(m * m, 1.0 / m**2)


def exponential_eigenvalues(length: float, count: int) -> np.ndarray:
    """2 l / (1 + l^2 w^2), w the roots of (l^2 w^2 - 1) sin w = 2 l w cos w (Ghanem and Spanos 1991, section 2.3.3)."""
    def fault(w):
        return (length**2 * w**2 - 1.0) * np.sin(w) - 2.0 * length * w * np.cos(w)

    grid = np.linspace(1e-6, (count + 2) * np.pi, 4000)
    signs = np.flatnonzero(np.sign(fault(grid[1:])) != np.sign(fault(grid[:-1])))
    roots = np.array([brentq(fault, grid[i], grid[i + 1]) for i in signs])[:count]
    return 2.0 * length / (1.0 + length**2 * roots**2)


def test_exponential_kernel_on_a_line_has_the_known_eigenvalues(must_fail):
    found = karhunen_loeve(*line(400), Covariance("exponential", 0.7), terms=5)
    known = exponential_eigenvalues(0.7, 5)

    def check(values):
        assert np.abs(values / known - 1.0).max() < 2e-3

    check(found.values)
    must_fail(check, found.values * 1.02, found.values * 0.98)


@pytest.mark.parametrize("kernel", KERNELS)
def test_modes_are_orthonormal_and_solve_the_eigenproblem(kernel, must_fail):
    x, w = square(14)
    w = w * (1.0 + x[:, 0])
    covariance = Covariance(kernel, (0.4, 0.8), 2.0)
    found = karhunen_loeve(x, w, covariance, terms=6)
    C = covariance.matrix(x, x)

    def check(modes):
        assert np.abs(modes.T @ (w[:, None] * modes) - np.eye(6)).max() < 1e-10
        assert np.abs(C @ (w[:, None] * modes) - modes * found.values).max() < 1e-6 * found.values[0]

    check(found.modes)
    must_fail(check, found.modes * (1.0 + 1e-5), found.modes[:, ::-1])
    assert found.total == pytest.approx(2.0 * w.sum()) and found.missed < 1e-6 * found.total
    assert (np.diff(found.shares) > 0.0).all() and found.shares[-1] < 1.0


def test_covariance_of_the_fields_is_the_kernel_as_terms_grow():
    x, w = line(60)
    covariance = Covariance("matern-5/2", 0.5, 0.3)
    C = covariance.matrix(x, x)
    errors = [np.abs(found.scaled @ found.scaled.T - C).max()
              for found in (karhunen_loeve(x, w, covariance, terms=M) for M in (1, 3, 9, 27))]
    assert (np.diff(errors) < 0.0).all() and errors[-1] < 1e-5
    xi = np.random.default_rng(0).standard_normal((20000, 27))
    sample = karhunen_loeve(x, w, covariance, terms=27).fields(xi)
    assert np.abs(np.cov(sample) - C).max() < 0.02


def test_share_takes_the_fewest_terms():
    x, w = square(12)
    covariance = Covariance("matern-3/2", 0.5)
    found = karhunen_loeve(x, w, covariance, share=0.9)
    assert found.shares[-1] >= 0.9 > found.shares[-2]
    assert karhunen_loeve(x, w, covariance, terms=found.size).shares[-1] == pytest.approx(found.shares[-1])


def test_double_eigenvalues_have_one_basis_whatever_the_order_of_the_points():
    x, w = square(12)
    covariance = Covariance("squared-exponential", 0.5)
    found = karhunen_loeve(x, w, covariance, terms=3)
    assert found.values[1] == pytest.approx(found.values[2], rel=1e-8)
    order = np.random.default_rng(3).permutation(len(x))
    other = karhunen_loeve(x[order], w, covariance, terms=3)
    assert np.abs(other.modes - found.modes[order]).max() < 1e-5
    again = karhunen_loeve(x, w, covariance, terms=3)
    assert (again.modes == found.modes).all()
    cut = karhunen_loeve(x, w, covariance, terms=2)
    assert np.abs(cut.modes - found.modes[:, :2]).max() < 1e-9


def test_many_points_need_no_dense_matrix():
    x, w = square(100)
    found = karhunen_loeve(x, w, Covariance("squared-exponential", 0.5), terms=4)
    small = karhunen_loeve(*square(20), Covariance("squared-exponential", 0.5), terms=4)
    assert np.abs(found.values / small.values - 1.0).max() < 1e-2


def test_rough_fields_are_refined_with_the_whole_kernel(must_fail):
    x, w = square(24)
    covariance = Covariance("exponential", 0.2)
    known = np.linalg.eigvalsh(covariance.matrix(x, x) / len(x))[::-1][:8]
    found = karhunen_loeve(x, w, covariance, terms=8)

    def check(values):
        assert (values <= known * (1.0 + 1e-12)).all() and (values > known * (1.0 - 1e-6)).all()

    check(found.values)
    must_fail(check, found.values * (1.0 + 1e-5), found.values * (1.0 - 1e-5))
    assert found.missed > 0.01 and np.abs(found.modes.T @ found.modes / len(x) - np.eye(8)).max() < 1e-12
    share = karhunen_loeve(x, w, covariance, share=0.8)
    assert share.shares[-1] >= 0.8 > share.shares[-2]


def test_pivoted_cholesky_leaves_the_trace_it_says():
    A = np.array([np.exp(-abs(i - np.arange(30)) / 10.0) for i in range(30)])
    L, rest = pivoted_cholesky(lambda j: A[:, j], np.diag(A), 0.1, 30)
    assert L.shape[1] < 30 and rest <= 0.1 * 30
    assert np.trace(A - L @ L.T) == pytest.approx(rest) and np.linalg.eigvalsh(A - L @ L.T).min() > -1e-12


@pytest.mark.parametrize(("options", "words"), [
    ({"kernel": "matern"}, "no covariance is called"), ({"kernel": ["matern-3/2"]}, "no covariance is called"),
    ({"length": 0.0}, "correlation length 0 "), ({"length": float("nan")}, "not positive"),
    ({"length": (0.1, -1.0)}, "not positive"), ({"length": ()}, "not positive"),
    ({"variance": -1.0}, "variance -1"), ({"variance": float("inf")}, "variance"), ({"variance": True}, "variance")])
def test_wrong_covariances_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Covariance(**options)


@pytest.mark.parametrize("kernel", KERNELS)
def test_tiny_and_huge_lengths_are_white_noise_and_a_constant(kernel):
    x, w = line(20)
    noise = karhunen_loeve(x, w, Covariance(kernel, 1e-300), terms=20)
    assert np.allclose(noise.values, 0.05) and noise.shares[-1] == pytest.approx(1.0)
    constant = karhunen_loeve(x, w, Covariance(kernel, 1e12), terms=1)
    assert constant.values[0] == pytest.approx(1.0) and np.allclose(constant.modes, 1.0)


def test_wrong_points_and_wishes_are_refused():
    x, w = line(20)
    smooth = Covariance("squared-exponential", 1.0)
    for wish in ({}, {"terms": 2, "share": 0.5}, {"terms": 0}, {"terms": 2.0}, {"terms": 21}, {"share": 1.0},
                 {"share": float("nan")}, {"terms": 20}):
        with pytest.raises(ConfigError):
            karhunen_loeve(x, w, smooth, **wish)
    with pytest.raises(ConfigError, match="3 correlation lengths"):
        karhunen_loeve(x, w, Covariance("exponential", (1.0, 2.0, 3.0)), terms=1)
    for points, weights, error in ((x[:, 0], w, ShapeError), (x, w[1:], ShapeError), (x * np.nan, w, InputError),
                                   (x, 0.0 * w, InputError), (x, -w, InputError), (x[:0], w[:0], ShapeError)):
        with pytest.raises(error):
            karhunen_loeve(points, weights, smooth, terms=1)
    found = karhunen_loeve(x, w, smooth, terms=2)
    with pytest.raises(ShapeError):
        found.fields(np.zeros((1, 3)))
    with pytest.raises(InputError):
        found.fields([np.nan, 0.0])
