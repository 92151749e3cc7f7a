"""The laws of marching models hold for a right one and name what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest

from romflow.core.snapshot import Snapshot
from romflow.fom.protocol import Piece
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing.model import check_model


class Growth:
    """u' = mu u by explicit steps, with faults on demand."""

    def __init__(self, fault=""):
        self.parameters, self.n, self.spec = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))]), 3, {}
        self.fault, self.times = fault, np.linspace(0.0, 1.0, 6)
        if fault == "times":
            self.times[3] = 0.1

    def march(self, mu, resume=None):
        start, u = (0, np.ones(3)) if resume is None or self.fault == "march-resumes" else (resume[0], resume[1]["u"])
        start = start if resume is None else resume[0]
        for k in range(start, 5 if self.fault == "march" else 6):
            u = u * (1.0 + 0.2 * mu[0]) if k else u
            yield Piece(k, self.times[[k]], u[:, None], None, {"u": u})

    def solve(self, mu):
        state = list(self.march(mu))[-1].states[:, 0]
        return Snapshot(2.0 * state if self.fault == "march-last" else state)


def test_a_right_model_keeps_all_laws():
    report = check_model(Growth)
    assert report.passed, str(report)
    assert {"times", "march", "march-last", "march-resumes"} <= {check.name for check in report.checks}


@pytest.mark.parametrize("fault", ["times", "march", "march-last", "march-resumes"])
def test_each_fault_breaks_its_law(fault):
    report = check_model(lambda: Growth(fault))
    assert [check.name for check in report.checks if check.passed is False] == [fault]
