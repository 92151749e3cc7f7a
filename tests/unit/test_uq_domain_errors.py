"""Truncation, mesh and cubature errors of a mean, told apart on a function where each is known."""

import json

import numpy as np
import pytest
from scipy.special import zeta

from romflow.core.errors import InputError, ShapeError
from romflow.fom.gallery.random_domain import RandomDomain
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.error_split import DomainWish, domain_errors

LARGER = 16
SPACE = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=LARGER)])
WISH = DomainWish(8, LARGER, 10, size=64, repetitions=8)


def known(options, mu):
    """Mean zeta(3) / 3 with all inputs and no mesh; a second output that has none of the errors."""
    terms = (mu**2 / np.arange(1, LARGER + 1) ** 3).sum(axis=1) + mu[:, 0]
    return np.array([terms * (1.0 + 3.0 / options["cells"] ** 2), np.full(len(mu), 7.0)])


def test_each_error_is_found(must_fail):
    found = domain_errors(known, SPACE, WISH, ["sum", "constant"])
    one = found.outputs["sum"]
    inside, cut = sum(1.0 / j**3 for j in range(1, 9)) / 3.0, (zeta(3) - sum(1.0 / j**3 for j in range(1, 9))) / 3.0

    def check(values):
        truncation, mesh = values
        assert abs(truncation - 1.03 * cut) < 0.1 * cut and abs(mesh + 0.03 * inside) < 2e-3 * inside

    right = np.array([one.truncation.value, one.discretisation.value])
    check(right)
    must_fail(check, right * (1.3, 1.0), right * (0.7, 1.0), right * (1.0, 1.3), right * (1.0, 0.7), right[::-1])
    assert abs(one.truncation_rate - 2.0) < 0.4 and abs(one.order - 2.0) < 1e-6
    assert abs(one.mean.value - 1.03 * inside) < 5 * one.cubature.value < 0.05
    assert one.mean.low < 1.03 * inside < one.mean.high and one.mean.model_kind == "indicator"
    assert one.mean.total[0] < zeta(3) / 3.0 < one.mean.total[1]
    assert one.total.value == pytest.approx(abs(right).sum() + one.cubature.value)
    assert one.total.low <= one.total.value <= one.total.high
    assert [n for n, _ in one.convergence] == [1, 2, 4, 8, 16, 32, 64] and one.convergence[-1][1] == one.cubature.value
    quiet = found.outputs["constant"]
    assert quiet.mean.value == 7.0 and quiet.total.high == 0.0 and quiet.order is quiet.truncation_rate is None
    assert found.evaluations == 8 * (64 + 4 * 16) and found.failed == 0
    assert json.loads(json.dumps(found.plain(), allow_nan=False))["cells"] == [5, 10, 20]


def test_mesh_that_converges_slower_than_wished_is_not_flattered():
    found = domain_errors(lambda options, mu: np.full((1, len(mu)), 1.0 / options["cells"]), SPACE, WISH)
    one = found.outputs["output_0"]
    assert one.order == pytest.approx(1.0) and one.discretisation.value == pytest.approx(-0.1)
    stuck = domain_errors(lambda options, mu: np.full((1, len(mu)), 1.0 - options["cells"] / 100.0), SPACE, WISH)
    assert stuck.outputs["output_0"].order is None and stuck.outputs["output_0"].discretisation.value < -0.1


def test_intervals_hold_the_mean_as_often_as_they_say():
    hits = 0
    for seed in range(60):
        wish = DomainWish(4, 6, 10, size=16, few=1, repetitions=6, seed=seed)
        space = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=6)])
        one = domain_errors(lambda _, mu: np.exp(mu[:, :4].sum(axis=1))[None], space, wish).outputs["output_0"]
        hits += one.mean.low <= np.sinh(1.0) ** 4 <= one.mean.high
    assert 51 <= hits <= 60


def test_answer_does_not_depend_on_the_batch_and_depends_on_the_seed():
    assert domain_errors(known, SPACE, WISH, batch=5) == domain_errors(known, SPACE, WISH)
    other = domain_errors(known, SPACE, DomainWish(8, LARGER, 10, size=64, repetitions=8, seed=1))
    assert other.outputs["output_0"] != domain_errors(known, SPACE, WISH).outputs["output_0"]


def test_failed_solves_are_left_out_and_counted():
    def sometimes(options, mu):
        q = known(options, mu)
        q[:, mu[:, 1] > 0.95] = np.nan
        return q

    found = domain_errors(sometimes, SPACE, WISH)
    assert 0 < found.failed < 100 and np.isfinite(found.outputs["output_0"].total.high)
    with pytest.raises(InputError, match="have failed"):
        domain_errors(lambda options, mu: np.nan * known(options, mu), SPACE, WISH)


def test_random_domain_is_split():
    space, models = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=16)]), {}

    def truth(options, mu):
        cells = options["cells"]
        models.setdefault(cells, RandomDomain(space, cells=cells, decay=2.5))
        return models[cells].evaluate(mu)

    found = domain_errors(truth, space, DomainWish(8, 16, 8, size=32, few=8, repetitions=6)).outputs["output_0"]
    assert 1.8 < found.order < 2.1 and 0.0 < found.discretisation.value < 1e-3
    assert abs(found.truncation.value) < 1e-4 and found.truncation_rate > 1.0


@pytest.mark.parametrize("options", [
    {"dimension": 1}, {"dimension": 2.5}, {"larger": 4}, {"cells": 9}, {"cells": 2}, {"size": 1}, {"few": 0},
    {"few": 65}, {"repetitions": 1}, {"order": 0.0}, {"confidence": 1.0}, {"neutral": float("nan")},
    {"kind": "monte-carlo"}])
def test_wrong_wishes_are_refused(options):
    with pytest.raises(InputError):
        DomainWish(**({"dimension": 4, "larger": 8, "cells": 10, "size": 64} | options))


def test_wrong_answers_are_refused():
    for truth, error in ((lambda _, mu: np.zeros((2, 3)), ShapeError),
                         (lambda _, mu: np.full((1, len(mu)), np.inf), InputError)):
        with pytest.raises(error):
            domain_errors(truth, SPACE, WISH)
    with pytest.raises(ShapeError, match="3 names for 2"):
        domain_errors(known, SPACE, WISH, ["a", "b", "c"])
    with pytest.raises(ShapeError, match="columns"):
        domain_errors(known, ParameterSpace([Parameter("y", Uniform(0.0, 1.0), size=3)]), WISH)
