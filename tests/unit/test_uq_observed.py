"""Calibration of a reduced model in time: outputs and bounds at the times of the data."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from romflow.core.errors import NotSupported, ParameterError
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.uq.bayes.calibration import CalibrationWishes, calibrate
from romflow.uq.bayes.data import Data
from romflow.uq.bayes.observed import of_reduced_in_time
from romflow.uq.inputs import RandomInputs

TIMES = np.linspace(0.0, 2.0, 41)
SPACE = ParameterSpace([Parameter("rate", Uniform(0.2, 3.0))])


class Decay:
    """exp(-rate t) as a model in time with a bound."""

    parameters, output_names = SPACE, ("warmth",)

    def __init__(self, steady=False):
        self.steady = steady

    def solve(self, mu, check=True):
        series = np.exp(-np.multiply.outer(TIMES, np.atleast_2d(mu)[:, 0]))[None]
        if self.steady:
            return SimpleNamespace(output=series[:, -1])
        return SimpleNamespace(series=series, series_error=0.001 * series, times=TIMES, kind="bound")


def _data(times=(0.1, 0.525, 1.3)):
    times = np.array(times)
    return Data(np.exp(-1.2 * times), std=0.01, outputs=["warmth"] * len(times), times=times)


def test_outputs_and_errors_are_read_at_the_times_of_the_data():
    found = of_reduced_in_time(Decay(), _data())(np.array([[1.2], [0.5]]))
    np.testing.assert_allclose(found.output[:, 0], np.exp([-0.12, -0.63, -1.56]), rtol=1e-3)
    np.testing.assert_allclose(found.output_error, 0.001 * found.output, rtol=1e-12)
    assert found.kind == "bound"


def test_a_rate_is_found_from_three_times():
    data = _data()
    found = calibrate(of_reduced_in_time(Decay(), data), RandomInputs(SPACE), data,
                      CalibrationWishes(size=2000, burn_in=100, thin=1))
    assert found.mean(0).value == pytest.approx(1.2, abs=0.03) and 0.005 < found.std(0).value < 0.03
    assert [entry["time"] for entry in found.fit] == [0.1, 0.525, 1.3]


def test_steady_models_and_times_beyond_the_end_are_refused():
    with pytest.raises(NotSupported, match="need a model in time; Decay answers for one state"):
        of_reduced_in_time(Decay(steady=True), _data())
    with pytest.raises(ParameterError, match=r"times\[0\] = 2.5 is outside \[0, 2\]"):
        of_reduced_in_time(Decay(), _data([2.5]))(np.array([[1.0]]))
