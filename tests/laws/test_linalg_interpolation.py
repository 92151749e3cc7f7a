"""Laws of empirical interpolation on random families."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.compression.source import ArraySource
from romflow.linalg.interpolation.deim import SampledProjection, deim_points, oversampled_points, qdeim_points
from romflow.linalg.interpolation.eim import empirical_interpolation
from romflow.linalg.interpolation.rows import SourceRows

FAMILIES = {"seed": st.integers(0, 2**31), "n": st.integers(2, 40), "k": st.integers(1, 30),
            "rank": st.integers(1, 12), "decay": st.floats(0.1, 1.0)}


def family(seed, n, k, rank, decay):
    rng = np.random.default_rng(seed)
    rank = min(rank, n, k)
    return rng.standard_normal((n, rank)) * decay**np.arange(rank) @ rng.standard_normal((rank, k)), rng


@settings(max_examples=60, deadline=None)
@given(**FAMILIES)
def test_exact_at_the_points_and_on_the_span_with_distinct_points_and_a_unit_triangle(seed, n, k, rank, decay):
    F, rng = family(seed, n, k, rank, decay)
    found = empirical_interpolation(F)
    scale, m = np.abs(F).max(), found.size
    assert np.unique(found.points).size == m <= min(n, k)
    assert np.unique(found.functions).size == m
    assert (np.triu(found.B, 1) == 0.0).all()
    assert (np.diagonal(found.B) == 1.0).all()
    assert np.abs(found.basis).max() <= 1.0
    new = rng.standard_normal((n, 3))
    tolerance = 1e-13 * found.lebesgue_constant * (1 + m)
    assert np.abs(found.interpolate(new[found.points])[found.points] - new[found.points]).max() <= tolerance * 10
    assert np.abs(found.interpolate(F[found.points]) - F).max() <= tolerance * scale
    assert np.abs(found.cardinal[found.points] - np.eye(m)).max() <= tolerance


@settings(max_examples=40, deadline=None)
@given(**FAMILIES, block=st.integers(1, 50))
def test_blocks_of_rows_and_a_work_file_give_the_same_bits(tmp_path_factory, seed, n, k, rank, decay, block):
    F, _ = family(seed, n, k, rank, decay)
    rows = SourceRows(ArraySource(F), memory=8 * k * block)
    whole = empirical_interpolation(F)
    for folder in (None, tmp_path_factory.mktemp("work")):
        parts = empirical_interpolation(rows, folder=folder)
        for name in ("basis", "points", "B", "functions", "errors"):
            assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert folder is None or not list(folder.iterdir())


@settings(max_examples=40, deadline=None)
@given(**FAMILIES, size=st.integers(0, 12))
def test_truncation_is_the_shorter_greedy(seed, n, k, rank, decay, size):
    F, _ = family(seed, n, k, rank, decay)
    found = empirical_interpolation(F)
    small = found.truncate(min(size, found.size))
    if small.size:
        again = empirical_interpolation(F, max_terms=small.size)
        assert np.array_equal(small.points, again.points)
        assert np.array_equal(small.basis, again.basis)
        assert np.array_equal(small.errors, again.errors)
    remainder = np.abs(F - small.interpolate(F[small.points])).max()
    assert abs(remainder - small.errors[-1]) <= 1e-13 * (1 + found.size) * found.lebesgue_constant * np.abs(F).max()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 60), m=st.integers(1, 8), extra=st.integers(0, 10))
def test_sampled_projections_reproduce_the_span_within_the_bound_elsewhere(seed, n, m, extra):
    m, rng = min(n, m), np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, m)))[0]
    count = min(n, m + extra)
    new = rng.standard_normal((n, 2))
    distance = np.linalg.norm(new - U @ (U.T @ new), axis=0)
    for points in (deim_points(U), qdeim_points(U), oversampled_points(U, count)):
        projection = SampledProjection(U, points)
        assert np.unique(points).size == points.size
        c = rng.standard_normal((m, 2))
        assert np.abs(projection.coefficients((U @ c)[points]) - c).max() < 1e-12 * projection.stability
        error = np.linalg.norm(new - U @ projection.coefficients(new[points]), axis=0)
        assert (error <= projection.stability * distance * (1 + 1e-9) + 1e-12 * projection.stability).all()
        assert np.allclose(projection.pseudo_inverse @ U[points], np.eye(m), atol=1e-12 * projection.stability)
    assert (SampledProjection(U, oversampled_points(U, count)).stability
            <= SampledProjection(U, qdeim_points(U)).stability * (1 + 1e-12))
