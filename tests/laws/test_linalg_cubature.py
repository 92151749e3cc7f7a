"""Laws of cubature and gappy bases on random integrands."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.cubature.compression import compressed_rows, row_factor, with_volume_row
from romflow.linalg.cubature.nonnegative import nonnegative_cubature
from romflow.linalg.cubature.two_level import VOLUME_TOLERANCE, local_selection, two_level
from romflow.linalg.gappy import GappyBasis

PROBLEMS = {"seed": st.integers(0, 2**31), "rows": st.integers(1, 12), "points": st.integers(4, 80),
            "rank": st.integers(1, 12), "digits": st.floats(0.5, 7.0)}


def problem(seed, rows, points, rank):
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((rows, rank)) * 0.5**np.arange(rank) @ rng.standard_normal((rank, points))
    return G, 10.0 ** rng.uniform(-2, 2, points), rng


@settings(max_examples=60, deadline=None)
@given(**PROBLEMS)
def test_weights_are_positive_and_the_tolerance_is_met_with_at_most_as_many_points_as_rows(seed, rows, points, rank,
                                                                                           digits):
    G, w, _ = problem(seed, rows, points, rank)
    b, tolerance = G @ w, 10.0**-digits
    rule = nonnegative_cubature(G, b, tolerance)
    assert (rule.weights > 0.0).all() and (np.diff(rule.points) > 0).all()
    assert rule.points.size <= rows
    assert np.linalg.norm(G[:, rule.points] @ rule.weights - b) <= tolerance * np.linalg.norm(b) * (1.0 + 1e-9)
    assert (np.diff(rule.residuals[:-1]) <= 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(**PROBLEMS, subdomains=st.integers(1, 4))
def test_constants_are_integrated_over_subdomains_too(seed, rows, points, rank, digits, subdomains):
    G, w, _ = problem(seed, rows, points, rank)
    parts, tolerance = np.array_split(np.arange(points), subdomains), 10.0**-digits
    rule = two_level(lambda tol: [local_selection(G[:, part], w[part], tol, ids=part) for part in parts], tolerance)
    assert (rule.weights > 0.0).all()
    assert abs(rule.weights.sum() - w.sum()) <= VOLUME_TOLERANCE * w.sum() * (1.0 + 1e-9)
    b = G @ w
    assert np.linalg.norm(G[:, rule.points] @ rule.weights - b) <= tolerance * np.linalg.norm(b) * (1.0 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(**PROBLEMS)
def test_compression_keeps_the_norm_of_every_error(seed, rows, points, rank, digits):
    G, w, rng = problem(seed, rows, points, rank)
    cut = int(rng.integers(1, points))
    small = compressed_rows(row_factor([(G[:, :cut], w[:cut]), (G[:, cut:], w[cut:])])[0], 1e-11)
    x = w * rng.random(points)
    assert small.modes.shape[1] <= min(rows, rank)
    assert np.isclose(np.linalg.norm(small.rows(G) @ (x - w)), np.linalg.norm(G @ (x - w)), rtol=1e-6)
    larger, b = with_volume_row(G, G @ w, w.sum())
    assert np.allclose(larger @ w, b)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 40), modes=st.integers(0, 12), count=st.integers(0, 40))
def test_gappy_coefficients_are_least_squares_and_the_residual_is_orthogonal(seed, size, modes, count):
    rng = np.random.default_rng(seed)
    basis, rows = rng.standard_normal((size, modes)), rng.permutation(size)[:min(count, size)]
    gappy, values = GappyBasis(basis, rows), rng.standard_normal((min(count, size), 3))
    c, residual = gappy.coefficients(values), gappy.residual(values)
    left = values - basis[rows] @ c
    assert np.abs(basis[rows].T @ left).max(initial=0.0) <= 1e-8 * (1.0 + np.abs(c).max(initial=0.0))
    assert np.allclose(residual * np.linalg.norm(values, axis=0), np.linalg.norm(left, axis=0), atol=1e-8)
    assert (residual <= 1.0 + 1e-12).all()
