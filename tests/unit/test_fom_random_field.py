"""Random conductivities: statistics of the field, affine and log-normal, certified reduction, wrong options."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.fom.build import build_model
from romflow.fom.gallery.random_field import RandomField
from romflow.parameters.distributions import Normal, TruncatedNormal, Uniform
from romflow.parameters.fields import FieldSample
from romflow.parameters.modal_field import ModalField
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing.model import check_model

ROOT3 = 3.0**0.5


def uniform(size: int, factor: float = 1.0) -> ParameterSpace:
    return ParameterSpace([Parameter("xi", Uniform(-ROOT3 * factor, ROOT3 * factor), size=size)])


def normal(size: int) -> ParameterSpace:
    return ParameterSpace([Parameter("xi", Normal(0.0, 1.0), size=size)])


def test_models_keep_their_laws():
    assert check_model(lambda: RandomField(uniform(3), "affine", cells=6, std=0.2)).passed
    assert check_model(lambda: RandomField(normal(2), cells=6, length=1.0, training=64)).passed


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_field_has_its_mean_and_its_captured_variance(element, must_fail):
    model = RandomField(uniform(30), "affine", cells=10, std=0.05, mean="2 + x", length=0.5, element=element)
    mu = model.parameters.sample(4000, np.random.default_rng(0))
    k = model.conductivity(mu)
    weights = model.forms.weights

    def check(values):
        assert np.abs(values.mean(axis=1) - 2.0 - model.forms.points[:, 0]).max() < 5e-3
        assert abs(weights @ values.var(axis=1) / 0.05**2 - model.expansion.shares[-1]) < 0.06

    check(k)
    must_fail(check, k + 0.02, 1.2 * (k - 2.0) + 2.0)
    assert 0.85 < model.expansion.shares[-1] < 1.0


def test_affine_terms_are_the_truth_and_lognormal_terms_are_near():
    affine = RandomField(uniform(4), "affine", cells=8, std=0.2)
    assert affine.operator.Q == 5 and affine.interpolation is None and affine.symmetric
    mu = affine.parameters.sample(3, np.random.default_rng(0))
    for row in mu:
        gap = affine.operator.assemble(row) - affine.truth.operator.assemble(row)
        assert abs(gap).max() < 1e-13
    curved = RandomField(normal(2), cells=8, length=1.0, std=0.3)
    assert curved.operator.Q > 3
    for row in curved.parameters.sample(3, np.random.default_rng(0)):
        a, b = curved.solve(row).state, curved.interpolated().solve(row).state
        assert 0.0 < np.abs(a - b).max() < 1e-4 * np.abs(a).max()


def test_zero_parameters_are_the_mean_conductivity():
    model = RandomField(normal(2), cells=8, mean="log(3)")
    plain = RandomField(uniform(2), "affine", cells=8, mean=1.0, std=0.1)
    assert np.allclose(3.0 * model.solve([0.0, 0.0]).state, plain.solve([0.0, 0.0]).state, rtol=1e-12)


def test_smallest_value_bounds_the_coercivity_constant():
    model = RandomField(uniform(3), "affine", cells=6, std=0.2)
    bound = model.pointwise()
    assert bound.exact
    for row in model.parameters.sample(4, np.random.default_rng(1)):
        A, X = model.operator.assemble(row).toarray(), model.inner_product.toarray()
        alpha = np.linalg.eigvals(np.linalg.solve(X, A)).real.min()
        assert 0.0 < bound(row[None])[0] <= alpha * (1 + 1e-12)
        assert bound(row[None])[0] == pytest.approx(model.conductivity(row).min())


def test_modal_field_is_its_text_and_comes_back_from_arrays():
    table = np.random.default_rng(0).standard_normal((5, 6))
    mu = np.random.default_rng(1).standard_normal((3, 3))
    for transform in ("affine", "lognormal"):
        field = ModalField(transform, ["a", "b", "c"], 2)
        sample = FieldSample(field, table, np.zeros(5, dtype=int))
        arrays, spec = sample.to_arrays("s")
        again = FieldSample.from_arrays("s", arrays, spec)
        assert (again.values(mu) == sample.values(mu)).all()
        from romflow.parameters.expressions import Theta

        texts = Theta(sample.texts(), ["a", "b", "c"])(mu).T
        assert np.allclose(texts, field.values(table, mu)[0], rtol=1e-13)


def test_modal_field_refuses_other_shapes_and_overflow():
    field = ModalField("lognormal", ["a"])
    with pytest.raises(ConfigError, match="no random field is called 'log-normal'.*lognormal"):
        ModalField("log-normal", ["a"])
    for points, mu in ((np.zeros((1, 3)), np.zeros((1, 1))), (np.zeros((1, 2)), np.zeros((1, 2)))):
        with pytest.raises(ShapeError):
            field.values(points, mu)
    with pytest.raises(ParameterError, match="not finite"):
        field.values(np.array([[0.0, 1.0]]), np.array([[1e3]]))


def test_moves_in_time_and_is_named_in_a_study():
    request = {"kind": "random-field", "options": {"cells": 6, "transform": "affine", "std": 0.1, "length": [0.3, 0.6]},
               "parameters": uniform(2).to_spec(), "base": "."}
    steady = build_model(request)
    moving = build_model({**request, "time": {"end": 5.0, "steps": 10}})
    mu = [1.0, -1.0]
    assert np.allclose(moving.solve(mu).outputs, steady.solve(mu).outputs, rtol=1e-8)


def test_box_in_space():
    model = RandomField(normal(2), cells=[4, 3, 3], length=(0.5, 0.5, 1.0))
    assert model.n == 3 * 2 * 2 and model.solve([0.5, -0.5]).outputs[0] > 0.0


@pytest.mark.parametrize(("options", "words"), [
    ({"std": -1.0}, "std"), ({"std": float("nan")}, "std"), ({"std": "big"}, "std"), ({"length": 0}, "length"),
    ({"kernel": "gauss"}, "no covariance"), ({"transform": "log"}, "no random field"), ({"bound": "point"}, "bound"),
    ({"stability": "scn"}, "stability"), ({"mean": "a"}, "mean"), ({"mean": True}, "mean"), ({"source": "w"}, "source"),
    ({"outputs": {}}, "outputs"), ({"outputs": {"a": "xi_0"}}, "output a"), ({"fixed": []}, "fixed"),
    ({"length": [0.1, 0.2, 0.3]}, "3 correlation lengths")])
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        RandomField(normal(2), **({"cells": 4} | options))


def test_fields_that_are_not_positive_are_refused():
    with pytest.raises(ConfigError, match="reaches -.*lower std"):
        RandomField(uniform(4), "affine", cells=4, std=0.9)
    with pytest.raises(ConfigError, match="xi_0 has no bounds"):
        RandomField(normal(2), "affine", cells=4, std=0.1)
    bounded = ParameterSpace([Parameter("xi", TruncatedNormal(0.0, 1.0, -2.0, 2.0), size=2)])
    assert RandomField(bounded, "affine", cells=4, std=0.1).n == 9
    with pytest.raises(ConfigError, match="terms = 30"):
        RandomField(uniform(30), "affine", cells=4, std=0.01)
