"""Programs of polynomial regression answer as the model does."""

import numpy as np
import pytest

from romflow.core.snapshot import Snapshot
from romflow.export.program.build import build
from romflow.export.program.interpreter import run
from romflow.parameters.distributions import Beta, LogUniform, Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from tests.problems import MemoryStore

SPACE = ParameterSpace([Parameter("a", Uniform(1.0, 2.0)), Parameter("b", Normal(1.0, 2.0)),
                        Parameter("c", LogUniform(0.1, 5.0)), Parameter("d", Beta(2.0, 3.0))])


class Field:
    """A black box with one output."""

    parameters, n, spec, output_names = SPACE, 20, {"model": "field"}, ("mean",)

    def solve(self, mu):
        u = np.sin(mu[0] * np.linspace(0.0, 3.0, 20)) + mu[1] * mu[3] + np.log(mu[2])
        return Snapshot(u, np.array([u.mean()]))


def model(**options):
    fom = Field()
    mu = SPACE.sample(120, np.random.default_rng(0))
    return PodRegression(1e-6, regressor="polynomial", **options).reduce(fom, MemoryStore(fom), mu)


@pytest.mark.parametrize("options", [{}, {"degree": 2, "index_set": "hyperbolic"}, {"degree": 1}, {"degree": 0}],
                         ids=str)
def test_a_program_agrees_with_the_model(options, must_fail):
    rom = model(**options)
    mu = SPACE.sample(1000, np.random.default_rng(5))
    answer, found = rom.solve(mu), run(build(rom), mu)
    scale = np.abs(answer.output).max()

    def check(output):
        assert np.abs(output.T - answer.output).max() <= 1e-12 * scale

    check(found["output"])
    must_fail(check, found["output"] + 1e-11 * scale, found["output"] - 1e-11 * scale)
    assert np.allclose(found["error"], answer.error, rtol=1e-12)
    assert np.allclose(found["output_error"].T, answer.output_error, rtol=1e-12)
