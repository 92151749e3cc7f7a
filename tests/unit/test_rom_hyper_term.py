"""Hyper-reduced terms: the points they evaluate, what they reproduce, and their derivatives."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.linalg.interpolation.deim import deim_points, oversampled_points
from romflow.parameters.point_function import PointFunction
from romflow.rom.hyper_term import HyperReducedTerm, interpolation

_N, _R = 60, 4


def _term() -> PointTerm:
    """Two values at each of 2 n points from a field and its slope, one parameter and the time."""
    rng = np.random.default_rng(0)
    fields = sp.kron(sp.eye_array(_N), np.array([[0.7], [0.3]]), format="csr")
    slopes = sp.diags_array([np.ones(2 * _N), -np.ones(2 * _N - 1)], offsets=[0, -1], format="csr") @ fields
    g = PointFunction(["a * u**3 + sin(t) * x", "u * u_x"], ["u", "u_x"], ["x"], ["a", "t"])
    test = sp.hstack([fields.T, slopes.T], format="csr")
    return PointTerm(test, sp.vstack([fields, slopes], format="csr"), g, rng.random((1, 2 * _N)))


def _basis() -> np.ndarray:
    x = np.linspace(0.0, 1.0, _N)[:, None]
    return np.linalg.qr(np.sin(np.pi * x * np.arange(1, _R + 1)))[0]


def _snapshots(term: PointTerm, V: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x, mu = rng.standard_normal((_R, count)), rng.uniform(0.5, 2.0, (count, 1))
    return x, mu, term.evaluate(V @ x, mu, 0.3)


def _built(points: int = 12, extra: int = 3) -> tuple[HyperReducedTerm, PointTerm, np.ndarray]:
    term, V = _term(), _basis()
    U = np.linalg.svd(_snapshots(term, V, 80)[2], full_matrices=False)[0][:, :points + extra]
    rows = deim_points(U)
    return HyperReducedTerm.build(term.restrict(rows), V, U, points, points), term, V


def test_few_points_are_evaluated_and_the_counter_proves_it(must_fail: Callable[..., None]) -> None:
    reduced, full, V = _built()
    full.evaluated = 0
    x, mu = np.ones((_R, 5)), np.ones((5, 1))
    reduced.project(x, mu, 0.3)
    assert reduced.evaluated == 5 * reduced.points
    reduced.jacobian(x, mu, 0.3)
    assert reduced.evaluated == 10 * reduced.points
    assert full.evaluated == 0
    # A row sees the points of its own element and its neighbour's.
    assert reduced.points <= 12 * 4 < full.P

    def check(points: int) -> None:
        full.evaluated = 0
        full.evaluate(V @ x, mu, 0.3)
        assert full.evaluated == 5 * points

    check(full.P)
    must_fail(check, reduced.points)


def test_states_of_the_collateral_space_are_reproduced(must_fail: Callable[..., None]) -> None:
    term, V = _term(), _basis()
    x, mu, N = _snapshots(term, V, 10)
    U = np.linalg.svd(N, full_matrices=False)[0]
    rows = deim_points(U)

    def error(reduced: HyperReducedTerm) -> float:
        return float(np.abs(reduced.project(x, mu, 0.3) - V.T @ N).max() / np.abs(V.T @ N).max())

    def check(reduced: HyperReducedTerm) -> None:
        assert error(reduced) <= 1e-10

    exact = HyperReducedTerm.build(term.restrict(rows), V, U, 10, 10)
    check(exact)
    np.testing.assert_allclose(U @ exact.coefficients(x, mu, 0.3), N, atol=1e-9 * np.abs(N).max())
    must_fail(check, HyperReducedTerm.build(term.restrict(rows), V, U, 8, 8))
    more = oversampled_points(U, 18)
    check(HyperReducedTerm.build(term.restrict(more), V, U, 10, 18))


@pytest.mark.parametrize("what", ["state", "parameter"])
def test_derivatives_equal_central_differences(what: str, must_fail: Callable[..., None]) -> None:
    reduced, _, _ = _built()
    rng = np.random.default_rng(2)
    x, mu, h = rng.standard_normal((_R, 7)), rng.uniform(0.5, 2.0, (7, 1)), 1e-5
    d = rng.standard_normal((_R, 7))
    if what == "state":
        found = np.einsum("bij,jb->ib", reduced.jacobian(x, mu, 0.3), d)
        reference = (reduced.project(x + h * d, mu, 0.3) - reduced.project(x - h * d, mu, 0.3)) / (2.0 * h)
    else:
        found = reduced.parameter_derivative("a", x, mu, 0.3)
        reference = (reduced.project(x, mu + h, 0.3) - reduced.project(x, mu - h, 0.3)) / (2.0 * h)

    def check(value: np.ndarray) -> None:
        assert np.abs(value - reference).max() <= 1e-7 * np.abs(reference).max()

    check(found)
    must_fail(check, found * (1.0 + 1e-6), found * (1.0 - 1e-6))


def test_batches_give_what_single_states_give() -> None:
    reduced, _, _ = _built()
    rng = np.random.default_rng(3)
    x, mu = rng.standard_normal((_R, 6)), rng.uniform(0.5, 2.0, (6, 1))
    for j in range(6):
        part = slice(j, j + 1)
        np.testing.assert_allclose(reduced.project(x[:, part], mu[part], 0.3), reduced.project(x, mu, 0.3)[:, part],
                                   rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(reduced.jacobian(x[:, part], mu[part], 0.3), reduced.jacobian(x, mu, 0.3)[part],
                                   rtol=1e-12, atol=1e-13)


def test_trajectories_give_what_their_states_give() -> None:
    reduced, _, _ = _built()
    rng = np.random.default_rng(4)
    X, mu, times = rng.standard_normal((5, _R, 3)), rng.uniform(0.5, 2.0, (3, 1)), np.linspace(0.0, 1.0, 5)
    steady = replace(reduced, function=PointFunction(["a * u**3", "u * u_x"], ["u", "u_x"], ["x"], ["a"]))
    for term, at in ((reduced, times), (steady, [None] * 5)):
        np.testing.assert_allclose(term.project_along(X, mu, times),
                                   np.stack([term.project(x, mu, t) for x, t in zip(X, at, strict=True)]), rtol=1e-12)
        np.testing.assert_allclose(term.coefficients_along(X, mu, times),
                                   np.stack([term.coefficients(x, mu, t) for x, t in zip(X, at, strict=True)]),
                                   rtol=1e-12, atol=1e-13)


def test_file_and_truncation() -> None:
    reduced, _, _ = _built()
    again = HyperReducedTerm.from_arrays(*reduced.to_arrays())
    x, mu = np.ones((_R, 2)), np.ones((2, 1))
    np.testing.assert_array_equal(again.project(x, mu, 0.3), reduced.project(x, mu, 0.3))
    np.testing.assert_array_equal(again.coefficients(x, mu, 0.3), reduced.coefficients(x, mu, 0.3))
    small = reduced.truncate(2)
    padded = np.vstack([x[:2], np.zeros((2, 2))])
    np.testing.assert_allclose(small.project(x[:2], mu, 0.3), reduced.project(padded, mu, 0.3)[:2], rtol=1e-13)
    np.testing.assert_allclose(small.jacobian(x[:2], mu, 0.3), reduced.jacobian(padded, mu, 0.3)[:, :2, :2], rtol=1e-12)


@pytest.mark.parametrize("rows", [[0], [3, 3]])
def test_rows_that_do_not_determine_the_modes_are_refused(rows: list[int]) -> None:
    with pytest.raises(InputError, match="do not determine 2 collateral modes"):
        interpolation(_basis()[:, :2], np.array(rows), np.ones((len(rows), 1)))


@pytest.mark.parametrize("x", [np.ones(_R), np.ones((_R + 1, 2))])
def test_coefficients_of_another_size_are_refused(x: Any) -> None:
    with pytest.raises(ShapeError, match=r"the rule is \(4, b\)"):
        _built()[0].project(x, np.ones((2, 1)), 0.3)
