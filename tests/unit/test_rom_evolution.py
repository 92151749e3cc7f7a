"""Reduced evolution models: bounds, all schemes against the full order, batches, files, nonlinear terms, failures."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.linalg.batched_inverse import inverses
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import extend_orthonormal
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.evolution import EvolutionProjection, evolution_stability
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.loading import load

SPACE = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)])
MU = np.random.default_rng(0).uniform(0.1, 1.0, (15, 4))


def states(fom, mu):
    return np.hstack([piece.states for piece in fom.march(mu)])


def product_of(fom):
    return InnerProduct(fom.inner_product, fom.norm)


def projection(fom, vectors):
    product = product_of(fom)
    projected = EvolutionProjection(fom, product, evolution_stability(fom, product))
    projected.extend(extend_orthonormal(np.empty((fom.n, 0)), vectors, product))
    return projected


@cache
def heat(size=8, scheme="implicit-euler", times=(), load="1"):
    """The thermal block with a basis of `size` states of three trajectories."""
    grid = TimeGrid(times=times, scheme=scheme, load=load) if times else TimeGrid(1.0, 10, scheme=scheme, load=load)
    fom = ThermalBlock(SPACE, [2, 2], 10).evolving(grid)
    pool = np.hstack([states(fom, mu)[:, 1::3] for mu in np.random.default_rng(1).uniform(0.1, 1.0, (3, 4))])
    return fom, projection(fom, pool[:, :size]).model()


def driven(time):
    """M u' + (a + sin(t)^2) A u = t f with u(0) = a u0, three unknowns, M and A full."""
    rng = np.random.default_rng(5)
    M, A = (B @ B.T + np.eye(3) for B in rng.standard_normal((2, 3, 3)))
    space = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
    timed = ("a", "t")
    return EvolutionModel(
        space, sp.csr_array(M), AffineOperator(Theta(["a", "sin(t)**2"], timed), [sp.csr_array(A)] * 2),
        AffineVector(Theta(["t"], timed), rng.standard_normal((3, 1))), sp.csr_array(A), time,
        initial=AffineVector(Theta(["a"], ["a"]), rng.standard_normal((3, 1))), spec={"kind": "driven"},
        outputs=AffineOutputs(["s"], Theta(["1 + t"], timed), rng.standard_normal((1, 1, 3))),
        stability={"kind": "min-theta", "reference": [1.0]})


def true_errors(fom, rom, answer, mu):
    """X-norms (K + 1, b) of u - V x."""
    product = product_of(fom)
    return np.stack([product.norm(states(fom, row) - rom.lift(answer.trajectory[:, :, j].T))
                     for j, row in enumerate(mu)], axis=1)


@pytest.mark.parametrize("times", [(), (0.01, 0.05, 0.3, 0.35, 1.0)])
@pytest.mark.parametrize("size", [0, 1, 4, 8])
def test_the_bound_holds_at_every_time(size, times, must_fail):
    fom, rom = heat(size, times=times)
    answer = rom.solve(MU)
    steps = np.diff(fom.times)[:, None]
    true = np.sqrt(np.cumsum(steps * true_errors(fom, rom, answer, MU)[1:] ** 2, axis=0))
    assert rom.error_kind == answer.kind == "bound"

    def check(bound):
        assert np.all(bound >= true)

    check(answer.error_series[1:])
    np.testing.assert_array_equal(answer.error, answer.error_series[-1])
    must_fail(check, 0.1 * answer.error_series[1:])


def test_output_bounds_hold_at_every_time():
    fom, rom = heat(4)
    answer = rom.solve(MU)
    true = np.stack([np.hstack([piece.series for piece in fom.march(row)])[0] for row in MU], axis=1)
    gap = np.abs(true - answer.series[0])
    assert np.all(gap <= answer.series_error[0])
    assert np.max(gap[-1]) > 1e-3 * np.max(answer.output_error)


def test_the_bound_falls_to_rounding_and_not_to_its_root(must_fail):
    """The trajectory itself in the basis: the residual is rounding of the load, which the Gram form would not show."""
    fom, _ = heat()
    rom = projection(fom, states(fom, MU[0])[:, 1:]).model()
    answer = rom.solve(MU[:1])

    def check(relative):
        assert relative < 1e-11

    check(answer.error[0] / answer.norm[0])
    must_fail(check, 1e-8)


@pytest.mark.parametrize(("scheme", "tolerance"), [
    ("explicit-euler", None), ("implicit-euler", None), ("bdf2", None), ("dc4", None), ("bdf2", 1e-3)])
def test_the_whole_space_reproduces_the_full_order_model(scheme, tolerance):
    """Operator, load, outputs and initial state move in time; the estimate is then zero but for rounding."""
    times = np.linspace(0.0, 1.0, 11 if scheme != "explicit-euler" else 201)[1:].tolist()
    fom = driven(TimeGrid(times=times, scheme=scheme, tolerance=tolerance))
    rom, mu = projection(fom, np.eye(3)).model(), np.array([[1.0], [1.6]])
    answer = rom.solve(mu)
    for j, row in enumerate(mu):
        piece = next(iter(fom.march(row)))
        if tolerance is None:
            np.testing.assert_allclose(rom.lift(answer.trajectory[:, :, j].T), piece.states, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(answer.series[:, :, j], piece.series, rtol=1e-9, atol=2e-3 if tolerance else 1e-12)
    assert np.all(answer.error < 1e-9 * answer.norm)
    assert answer.kind == ("bound" if scheme == "implicit-euler" and tolerance is None else "indicator")


def test_the_bound_holds_where_the_operator_and_the_start_move():
    fom = driven(TimeGrid(1.0, 12))
    rom, mu = projection(fom, np.eye(3)[:, :1]).model(), np.linspace(1.0, 2.0, 7)[:, None]
    answer = rom.solve(mu)
    true = true_errors(fom, rom, answer, mu)
    assert np.all(answer.error_series[1:] >= np.sqrt(np.cumsum(np.diff(fom.times)[:, None] * true[1:] ** 2, axis=0)))


@pytest.mark.parametrize("scheme", ["bdf2"])
def test_the_indicator_of_other_schemes_is_near_the_error(scheme):
    fom, rom = heat(6, scheme)
    answer = rom.solve(MU)
    true = np.sqrt(np.diff(fom.times) @ true_errors(fom, rom, answer, MU)[1:] ** 2)
    assert np.median(answer.error / true) < 10.0
    assert np.all(answer.error > 0.3 * true)


def test_a_batch_is_as_its_parameters_one_by_one():
    _, rom = heat()
    many = np.tile(MU, (80, 1))
    whole = rom.solve(many)
    for j in (0, 7, 1180):
        one = rom.solve(many[j])
        np.testing.assert_allclose(whole.trajectory[:, :, j], one.trajectory[:, :, 0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(whole.error[j], one.error[0], rtol=1e-9)
        np.testing.assert_allclose(whole.series_error[:, :, j], one.series_error[:, :, 0], rtol=1e-9)


@pytest.mark.parametrize("load", ["1", "sin(6 * t)"])
def test_truncation_is_projection_on_fewer_vectors(load):
    fom, rom = heat(8, load=load)
    smaller, direct = rom.truncate(5), projection(fom, rom.basis[:, :5]).model()
    first, second = smaller.solve(MU), direct.solve(MU)
    np.testing.assert_allclose(first.error, second.error, rtol=1e-8)
    np.testing.assert_allclose(np.abs(first.trajectory), np.abs(second.trajectory), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("make", [lambda: heat(6)[1], lambda: projection(driven(TimeGrid(1.0, 3, tolerance=1e-3)),
                                                                        np.eye(3)[:, :2]).model(),
                                  lambda: reaction("implicit-euler", steps=3)[1]])
def test_a_model_is_read_back_as_it_was(make, tmp_path):
    rom = make()
    again = load(rom.save(tmp_path / "model.h5"))
    mu = rom.parameters.sample(3, np.random.default_rng(2))
    for name in ("output", "error", "trajectory", "series_error"):
        np.testing.assert_array_equal(getattr(again.solve(mu), name), getattr(rom.solve(mu), name))
    assert (again.norm_name, again.error_kind, again.scheme) == (rom.norm_name, rom.error_kind, rom.scheme)


def reaction(scheme, power="a * u**3", end=1.0, steps=8):
    """u' + A u + a u^3 = 0 on 6 unknowns with all of them in the basis and at the points."""
    n, space = 6, ParameterSpace([Parameter("a", Uniform(0.5, 60.0))])
    one = sp.csr_array(sp.eye_array(n))
    A = sp.csr_array(sp.diags_array([np.full(n - 1, -1.0), np.full(n, 2.0), np.full(n - 1, -1.0)], offsets=[-1, 0, 1]))
    term = PointTerm(one, one, PointFunction([power], ["u"], [], ["a"]))
    fom = EvolutionModel(space, one, AffineOperator(Theta(["1"], ["a"]), [A]), None, one,
                         TimeGrid(end, steps, scheme=scheme), nonlinear=term, spec={"kind": "reaction"}, norm="L2",
                         initial=AffineVector(Theta(["1"], ["a"]), np.linspace(0.5, 1.0, n)[:, None]),
                         outputs=AffineOutputs(["s"], Theta(["1"], ["a"]), np.ones((1, 1, n))))
    projected = EvolutionProjection(fom, product_of(fom), None, np.eye(n))
    projected.extend(np.eye(n))
    hyper = HyperReducedTerm.build(term.restrict(np.arange(n)), np.eye(n), np.eye(n), n, n)
    return fom, projected.model(nonlinear=hyper)


@pytest.mark.parametrize("scheme", ["explicit-euler", "implicit-euler", "dc3"])
def test_nonlinear_models_are_reproduced(scheme):
    fom, rom = reaction(scheme)
    mu = np.array([[0.6], [3.0]])
    answer = rom.solve(mu)
    for j, row in enumerate(mu):
        np.testing.assert_allclose(answer.trajectory[:, :, j].T, states(fom, row), rtol=1e-8, atol=1e-10)
    assert answer.kind == "indicator"
    assert np.all(answer.error < 1e-7)
    assert answer.converged.all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_parameter_that_fails_leaves_the_others_alone():
    """Explicit Euler is unstable for large a: those columns have no numbers, and only those."""
    fom, rom = reaction("explicit-euler", "a * u**3", end=8.0, steps=40)
    mu = np.array([[0.6], [60.0], [1.0]])
    answer = rom.solve(mu)
    np.testing.assert_array_equal(answer.converged, [True, False, True])
    assert np.isinf(answer.error[1]) and np.isnan(answer.output[0, 1])
    np.testing.assert_allclose(answer.trajectory[:, :, 2].T, states(fom, mu[2]), rtol=1e-8, atol=1e-12)
    with pytest.raises(SolveFailed):
        states(fom, mu[1])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_newton_that_finds_nothing_leaves_the_others_alone():
    """The step of u' = a exp(u) has no solution for large a."""
    _, rom = reaction("implicit-euler", "-0.01 * a * exp(3 * u)", end=0.5, steps=4)
    answer = rom.solve(np.array([[0.6], [60.0]]))
    np.testing.assert_array_equal(answer.converged, [True, False])
    assert np.isfinite(answer.error[0]) and np.isinf(answer.error[1])


def test_residuals_are_those_of_the_full_order_equation(must_fail):
    """The squares behind the bound against the dual norm of f - A V x - M V (x - x_before) / dt in R^n."""
    fom, rom = heat(5)
    answer = rom.solve(MU[:1])
    U = rom.lift(answer.trajectory[:, :, 0].T)
    R = (fom.rhs.assemble(MU[0])[:, None] - fom.operator.assemble(MU[0]) @ U[:, 1:]
         - fom.mass @ np.diff(U, axis=1) / np.diff(fom.times))
    squares = product_of(fom).dual_norm(R) ** 2
    alpha = MU[0].min()
    expected = np.sqrt(np.cumsum(np.diff(fom.times) * squares) / alpha**2)

    def check(found):
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    check(answer.error_series[1:, 0])
    must_fail(check, 1.00001 * answer.error_series[1:, 0])


@pytest.mark.parametrize("b", [3, 60])
def test_inverses_of_a_batch(b):
    S = np.random.default_rng(3).standard_normal((5, 5, b))
    S = np.einsum("ikb,jkb->ijb", S, S) + np.eye(5)[:, :, None]
    for definite in (True, False):
        P = inverses(S.copy(), definite)
        np.testing.assert_allclose(np.einsum("ikb,kjb->ijb", P, S), np.repeat(np.eye(5)[:, :, None], b, 2), atol=1e-10)
    with pytest.raises(SolveFailed, match="not positive definite"):
        inverses(-S, b > 10) if b > 10 else inverses(np.zeros((2, 2, b)), True)
