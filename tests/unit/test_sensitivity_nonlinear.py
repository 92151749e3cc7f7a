"""Derivatives of outputs of nonlinear models, full-order and hyper-reduced, against central differences."""

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.fom.affine import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.nonlinear import NonlinearReducedModel
from tests.unit.test_sensitivity_affine import central, check_equal

N, SPACE = 60, ParameterSpace([Parameter("k", Uniform(0.5, 2.0)), Parameter("b", Uniform(0.2, 1.5)),
                               Parameter("s", Uniform(1.0, 4.0))])


def reaction(text="exp(b * u) - 1", symmetric=True):
    """-k u'' + reaction(u) = s + s^2 x on (0, 1), u = 0 at both ends; two outputs, one with a coefficient."""
    h = 1.0 / (N + 1)
    K = sp.diags_array([-np.ones(N - 1), 2 * np.ones(N), -np.ones(N - 1)], offsets=[-1, 0, 1]) / h
    x = h * np.arange(1, N + 1)
    one = sp.eye_array(N, format="csr")
    if not symmetric:
        K = K + sp.diags_array([-np.ones(N - 1), np.ones(N - 1)], offsets=[-1, 1])
    outputs = AffineOutputs(["mean", "flux"], Theta(["1", "k"], SPACE.columns),
                            np.stack([np.stack([np.full(N, h), np.zeros(N)]), np.stack([np.zeros(N), np.eye(N)[0]])]))
    return NonlinearModel(
        SPACE, AffineOperator(Theta(["k"], SPACE.columns), [K]),
        PointTerm(h * one, one, PointFunction([text], ["u"], [], SPACE.columns)),
        AffineVector(Theta(["s", "s**2"], SPACE.columns), h * np.stack([np.ones(N), x], axis=1)), 0.5 * (K + K.T),
        outputs, spec={"kind": "test"}, monotone=True, symmetric=symmetric, tolerance=1e-13)


def projected(fom, size, modes):
    """A reduced model with `modes` interpolation points, made from 30 snapshots without a reductor."""
    mu = SPACE.sample(30, np.random.default_rng(0))
    U = np.stack([fom.solve(row).state for row in mu], axis=1)
    V = np.linalg.svd(U, full_matrices=False)[0][:, :size]
    collateral = np.linalg.svd(fom.nonlinear.evaluate(U, mu), full_matrices=False)[0][:, :modes]
    rows = sl.qr(collateral.T, pivoting=True, mode="economic")[2][:modes]
    term = HyperReducedTerm.build(fom.nonlinear.restrict(rows), V, collateral, modes, modes)
    Q, Qf, (Ql, outputs) = fom.operator.Q, fom.rhs.Q, fom.outputs.functionals.shape[:2]
    return NonlinearReducedModel(
        parameters=SPACE, basis=V, operator_theta=fom.operator.theta, operator=fom.operator.project(V),
        rhs_theta=fom.rhs.theta, rhs=fom.rhs.project(V), output_names=fom.outputs.names,
        output_theta=fom.outputs.theta, output=fom.outputs.project(V), output_gram=np.zeros((outputs, Ql, Ql)),
        term=term, factor=np.eye(Qf + modes + size * Q), training=mu, training_coefficients=V.T @ U)


@pytest.mark.parametrize("symmetric", [True, False])
def test_newton_model_equals_central_differences(symmetric, must_fail):
    fom, mu = reaction(symmetric=symmetric), np.array([1.1, 0.8, 3.0])
    expected = central(lambda row: fom.solve(row).outputs, mu, 1e-3)
    found = fom.sensitivity(mu)
    assert found.shape == (2, 3)

    def check(value):
        check_equal(value, expected)

    check(found)
    margin = 1e-5 * np.abs(expected).max()
    must_fail(check, found + margin, found - margin)


def test_the_nonlinear_term_is_part_of_the_derivative(must_fail):
    fom, mu = reaction(), np.array([1.1, 0.8, 3.0])
    expected = central(lambda row: fom.solve(row).outputs, mu, 1e-3)
    fom.nonlinear.parameter_derivative = lambda name, u, row: np.zeros(N)
    must_fail(lambda value: check_equal(value, expected), fom.sensitivity(mu))


@pytest.mark.parametrize("outputs", [1, 2])
def test_hyper_reduced_model_equals_central_differences_for_a_whole_batch(outputs, must_fail):
    fom = reaction()
    if outputs == 1:
        fom.outputs = AffineOutputs(["mean"], Theta(["1"], SPACE.columns), np.full((1, 1, N), 1.0 / (N + 1)))
    rom = projected(fom, 6, 8)
    mu = 0.9 * SPACE.sample(40, np.random.default_rng(1)) + [0.1, 0.08, 0.2]
    expected = central(lambda rows: rom.solve(rows).output, mu, 1e-3)
    found = rom.sensitivity(mu)
    assert found.shape == (outputs, 3, 40)
    check_equal(found, expected)
    must_fail(lambda value: check_equal(value, expected), found * (1 + 1e-5))


def test_hyper_reduced_derivatives_look_at_the_sampled_points_alone():
    rom = projected(reaction(), 4, 6)
    before = rom.term.evaluated
    rom.solve(SPACE.sample(5, np.random.default_rng(2)))
    solve = rom.term.evaluated - before
    rom.sensitivity(SPACE.sample(5, np.random.default_rng(2)))
    # One more Jacobian and one derivative a parameter, at 6 points and 5 parameters.
    assert rom.term.evaluated - before == 2 * solve + 4 * 6 * 5


def test_hyper_reduced_derivatives_come_close_to_those_of_the_full_order_model():
    fom = reaction()
    mu = SPACE.sample(3, np.random.default_rng(3))
    truth = np.stack([fom.sensitivity(row) for row in mu], axis=2)
    gaps = [np.abs(projected(fom, size, size + 2).sensitivity(mu) - truth).max() / np.abs(truth).max()
            for size in (3, 7)]
    assert gaps[1] <= 1e-4 < gaps[0]


def test_rows_without_a_solution_have_no_derivative(monkeypatch):
    rom = projected(reaction(), 4, 6)
    solve = NonlinearReducedModel.solve

    def lost(self, mu, check=True):
        answer = solve(self, mu, check)
        answer.converged[1] = False
        return answer

    mu = SPACE.sample(3, np.random.default_rng(4))
    whole = rom.sensitivity(mu)
    monkeypatch.setattr(NonlinearReducedModel, "solve", lost)
    found = rom.sensitivity(mu)
    assert np.isnan(found[:, :, 1]).all()
    assert np.allclose(found[:, :, [0, 2]], whole[:, :, [0, 2]], rtol=1e-12)
