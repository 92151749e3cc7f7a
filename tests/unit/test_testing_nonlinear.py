"""The laws of nonlinear models: kept by the gallery's, broken one by one by models that are wrong in one thing."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.fom.affine_terms import AffineOperator, AffineVector
from romflow.fom.gallery.reaction_diffusion import ReactionDiffusion
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing.model import check_model
from romflow.testing.verification import verify

SPACE = ParameterSpace([Parameter("a", Uniform(0.5, 2.0))])
N = 12


def law(u, slope, x, a):
    """A function of the user, not a text."""
    return a * np.tanh(slope), x * u**3


def make(term=PointTerm, function=law, **claims):
    h = 1.0 / (N + 1)
    D = sp.diags_array([np.ones(N), -np.ones(N)], offsets=[0, -1], shape=(N + 1, N)) / h
    mean, x = 0.5 * h * abs(D), h * (np.arange(N + 1) + 0.5)
    N_ = term(sp.hstack([h * D.T, h * mean.T]), sp.vstack([mean, D]),
              PointFunction(function, ["u", "slope"], ["x"], ["a"]), x[None])
    K, one = sp.csr_array(h * D.T @ D), Theta(["1"], ["a"])
    return NonlinearModel(SPACE, AffineOperator(one, [K]), N_, AffineVector(one, h * np.ones((N, 1))), K,
                          spec={"kind": "springs"}, **claims)


class NoJacobian(PointTerm):
    def jacobian(self, u, mu, t=None):
        return 0.5 * super().jacobian(u, mu, t)


class NoParameterDerivative(PointTerm):
    def parameter_derivative(self, name, u, mu, t=None):
        return 0.0 * super().parameter_derivative(name, u, mu, t)


class NoRestriction(PointTerm):
    def restrict(self, rows):
        return super().restrict(rows[::-1])


class NoResidual(NonlinearModel):
    def solve(self, mu):
        snapshot = super().solve(mu)
        snapshot.state[0] *= 1.001
        return snapshot


def broken(made):
    return [check.name for check in check_model(made).checks if check.passed is False]


def test_a_model_of_the_user_keeps_them():
    report = check_model(lambda: make(monotone=True, symmetric=True))
    assert report.passed, str(report)
    assert {"jacobian", "restriction", "monotone"} <= {check.name for check in report.checks}


def test_the_gallery_keeps_them():
    assert not broken(lambda: ReactionDiffusion(SPACE, "exp(a * u)", cells=6, monotone=True))


@pytest.mark.parametrize(("term", "name"), [(NoJacobian, "jacobian"), (NoRestriction, "restriction"),
                                            (NoParameterDerivative, "parameter-derivatives")])
def test_a_wrong_term_is_found(term, name):
    assert broken(lambda: make(term)) == [name]


def test_claims_that_are_wrong_are_found():
    falling = ["-tanh(slope) / 4", "0"]
    assert broken(lambda: make(function=falling, monotone=True)) == ["monotone"]
    mixed = ["u * slope / 9", "0"]
    assert broken(lambda: make(function=mixed, symmetric=True)) == ["symmetric-flag"]


def test_a_state_that_is_no_solution_is_found():
    def wrong():
        model = make()
        model.__class__ = NoResidual
        return model

    assert broken(wrong) == ["residual"]


def test_a_study_with_times_verifies_the_model_in_time(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text('[study]\nname = "b"\n[model]\nkind = "burgers"\ncells = [12, 6]\n[parameters.exponent]\n'
                     'low = 1.0\nhigh = 2.0\n[time]\nend = 0.1\nsteps = 5\n[sampling]\nmethod = "sobol"\nsize = 4\n')
    report = verify("burgers", tmp_path, study)
    assert report.passed, str(report)
    assert {"march", "jacobian"} <= {check.name for check in report.checks}
