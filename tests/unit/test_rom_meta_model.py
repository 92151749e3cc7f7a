"""Regression of dual coefficients: corrects a bias, grows outside of the training, knows where it is outside."""

import json

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.gappy import GappyBasis
from romflow.rom.mechanics.meta_model import MetaModel


def runs(loads, points=12, steps=30):
    """Hardening fields of several runs: coefficients (3, k), values at points that a biased model gives, runs."""
    x = np.linspace(0.0, 1.0, 200)
    modes = np.linalg.qr(np.stack([np.exp(-3.0 * x), np.exp(-x), 1.0 - x], axis=1))[0]
    t = np.linspace(0.0, 1.0, steps)
    z = np.concatenate([np.stack([load * t**2, load**2 * t**3, np.sin(load) * t]) for load in loads], axis=1)
    rows = np.linspace(0, 199, points).astype(int)
    values = (modes @ z)[rows]
    values = values * (1.0 + 0.1 * np.tanh(10.0 * values)) + 0.02 * values[::-1]
    return modes, rows, z, values, np.repeat(np.arange(len(loads)), steps)


@pytest.fixture(scope="module")
def trained():
    *_, z, values, groups = runs(np.linspace(0.5, 1.5, 8))
    return MetaModel.fit(values, z, groups)


def relative(z, found):
    return np.linalg.norm(z - found) / np.linalg.norm(z)


def test_the_bias_of_the_values_is_corrected(trained, must_fail):
    modes, rows, z, values, _ = runs([0.63, 1.22])

    def check(found):
        assert relative(z, found) <= 0.005

    check(trained.predict(values))
    must_fail(check, GappyBasis(modes, rows).coefficients(values))
    assert trained.error <= 0.01 and (trained.distance(values) < 1.5).all()


def test_cross_validated_error_is_that_of_models_without_the_group():
    *_, z, values, groups = runs([0.5, 1.0, 1.5], steps=12)
    meta = MetaModel.fit(values, z, groups)
    fields = relative(z, meta.predict(values))
    assert fields < meta.error < 0.3
    # Given the truth itself, a linear model is exact.
    assert MetaModel.fit(z, z, groups).error < 1e-4


def test_far_from_the_training_it_grows_or_gives_way(trained):
    modes, rows, z, values, _ = runs([1.5])
    last = values[:, -1:]
    assert np.linalg.norm(trained.predict(3.0 * last)) > 1.5 * np.linalg.norm(trained.predict(last))
    assert trained.distance(3.0 * last)[0] > 3.0
    gappy = GappyBasis(modes, rows)
    *_, z, values, groups = runs(np.linspace(0.5, 1.5, 8))
    guessed = MetaModel.fit(values, z, groups, gappy.pseudo_inverse)
    assert np.array_equal(guessed.predict(3.0 * last), gappy.pseudo_inverse @ (3.0 * last))
    assert relative(z[:, -1:], guessed.predict(last)) < 0.1 * relative(z[:, -1:], gappy.coefficients(last))


def test_a_guess_that_is_right_stays(must_fail):
    modes, rows, z, _, groups = runs(np.linspace(0.5, 1.5, 8))
    gappy, values = GappyBasis(modes, rows), (modes @ z)[rows]
    noise = 1e-3 * np.random.default_rng(0).normal(size=z.shape)

    def check(meta):
        *_, new, _, _ = runs([0.63, 1.22])
        assert relative(new, meta.predict((modes @ new)[rows])) < 1e-3

    check(MetaModel.fit(values, z + noise, groups, gappy.pseudo_inverse))
    must_fail(check, MetaModel.fit(values, z + noise, groups, 0.5 * gappy.pseudo_inverse, max_samples=5))


def test_it_comes_back_from_arrays(trained):
    arrays, numbers = trained.to_arrays()
    again = MetaModel.from_arrays(arrays, json.loads(json.dumps(numbers)))
    values = runs([0.8])[3]
    assert np.array_equal(trained.predict(values), again.predict(values))
    assert np.array_equal(trained.distance(values), again.distance(values))


def test_many_samples_are_thinned_and_equal_ones_do_no_harm():
    *_, z, values, groups = runs(np.linspace(0.5, 1.5, 8))
    few = MetaModel.fit(values, z, groups, max_samples=60)
    assert few.points.shape[1] == 60 and relative(z, few.predict(values)) <= 0.05
    flat = MetaModel.fit(np.ones((4, 6)), np.full((2, 6), 3.0))
    assert flat.predict(np.ones((4, 2))).tolist() == [[3.0, 3.0]] * 2 and flat.error == 0.0
    assert MetaModel.fit(values, np.zeros((0, values.shape[1]))).predict(values).shape == (0, values.shape[1])


def test_bad_input(trained):
    with pytest.raises(ShapeError, match="features of shape"):
        MetaModel.fit(np.ones((2, 5)), np.ones((2, 4)))
    with pytest.raises(ShapeError, match="groups"):
        MetaModel.fit(np.ones((2, 5)), np.ones((2, 5)), np.zeros(4))
    with pytest.raises(ShapeError, match="first guess"):
        MetaModel.fit(np.ones((2, 5)), np.ones((3, 5)), guess=np.ones((2, 3)))
    with pytest.raises(InputError, match="three or more"):
        MetaModel.fit(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(InputError, match="one group"):
        MetaModel.fit(np.eye(5), np.eye(5), np.zeros(5))
    with pytest.raises(ShapeError, match="regression on 12 values"):
        trained.predict(np.ones((3, 1)))
