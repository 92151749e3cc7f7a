"""Laws of interpolated matrix functions on random affine families of symmetric positive definite matrices."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.functions.matrix_functions import PowerInterpolation
from romflow.linalg.functions.spectral_interval import SpectralInterval


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), Q=st.integers(1, 3), n=st.integers(1, 8), order=st.integers(0, 5),
       share=st.floats(0.3, 1.0), contrast=st.floats(1.0, 20.0))
def test_bounds_hold_for_random_families_with_all_or_some_of_the_points(seed, Q, n, order, share, contrast):
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((Q, n, n))
    terms = np.concatenate([np.eye(n)[None], G @ G.transpose(0, 2, 1) / n])
    training, test = (np.column_stack([np.ones(k), rng.uniform(0.5, 0.5 * contrast, (k, Q))]) for k in (150, 10))
    box = np.stack([training.min(axis=0), training.max(axis=0)])
    test = np.clip(test, *box)
    corners = np.array([[box[i, q] for q, i in enumerate(vertex)] for vertex in product((0, 1), repeat=Q + 1)])
    values = np.linalg.eigvalsh(np.tensordot(corners, terms, 1))
    spectrum = SpectralInterval(float(values.min()), float(values.max()))
    count = PowerInterpolation.build(training, order).size
    powers = PowerInterpolation.build(training, order, max_points=max(1, int(share * count)))
    there, here = np.tensordot(powers.points, terms, 1), np.tensordot(test, terms, 1)
    error = np.linalg.norm(powers.inverse(test, np.linalg.inv(there)) - np.linalg.inv(here), 2, axis=(1, 2))
    difference = np.abs(powers.log_determinant(test, np.linalg.slogdet(there)[1]) - np.linalg.slogdet(here)[1])
    rounding = 1e-12 * powers.lebesgue * (1.0 + np.abs(np.log(spectrum.high)) * n)
    for series in ("chebyshev", "neumann"):
        assert (error <= powers.inverse_bound(test, spectrum, series) * (1.0 + 1e-9) + rounding / spectrum.low).all()
        assert (difference <= powers.log_determinant_bound(test, spectrum, n, series) * (1.0 + 1e-9) + rounding).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), Q=st.integers(1, 4), order=st.integers(0, 4))
def test_weights_sum_to_one_reproduce_the_points_and_stay_small_on_the_training_set(seed, Q, order):
    training = np.random.default_rng(seed).lognormal(size=(200, Q))
    powers = PowerInterpolation.build(training, order)
    weights = powers.weights(training)
    assert np.abs(weights.sum(axis=1) - 1.0).max() < 1e-10
    assert np.abs(weights[powers.indices] - np.eye(powers.size)).max() < 1e-10
    assert np.abs(weights).max() <= 1.01 * (1.0 + 1e-6)
