"""Batched Newton: every column on its own, and failures that stay with their column."""

from collections.abc import Callable

import numpy as np
import pytest

from romflow.rom.newton import batched_newton


def _coupled(a: np.ndarray) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """x^3 + y = a, x + 2 y = 1 for each a_j."""

    def residual(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.stack([x[0] ** 3 + x[1] - a[columns], x[0] + 2.0 * x[1] - 1.0])

    def jacobian(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        J = np.empty((columns.size, 2, 2))
        J[:, 0, 0], J[:, 0, 1], J[:, 1, 0], J[:, 1, 1] = 3.0 * x[0] ** 2, 1.0, 1.0, 2.0
        return J

    return residual, jacobian


def test_every_column_has_the_root_that_it_has_alone(must_fail: Callable[..., None]) -> None:
    a = np.array([3.0, 10.0, 100.0])
    residual, jacobian = _coupled(a)
    x, converged = batched_newton(residual, jacobian, np.ones((2, 3)))
    assert converged.all()

    def check(x: np.ndarray) -> None:
        assert np.abs(residual(x, np.arange(3))).max() <= 1e-10

    check(x)
    must_fail(check, x + 1e-9, x - 1e-9)
    for j in range(3):
        parts = _coupled(a[j:j + 1])
        alone, _ = batched_newton(*parts, np.ones((2, 1)))
        np.testing.assert_allclose(alone[:, 0], x[:, j], rtol=1e-12)


def test_a_line_search_reaches_what_full_steps_do_not() -> None:
    """Newton on arctan diverges from |x| > 1.39 with full steps."""
    guess = np.array([[0.5, 3.0, -20.0]])
    x, converged = batched_newton(lambda x, j: np.arctan(x), lambda x, j: (1.0 / (1.0 + x**2)).T[:, :, None], guess)
    assert converged.all()
    assert np.abs(x).max() <= 1e-11
    full = guess.copy()
    with np.errstate(all="ignore"):
        for _ in range(8):
            full -= np.arctan(full) * (1.0 + full**2)
    assert not np.abs(full[0, 1:]).max() < 1.0


def test_only_active_columns_are_evaluated() -> None:
    seen: list[int] = []

    def residual(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        seen.append(columns.size)
        return x**2 - np.array([1.0, 1e8])[columns]

    _, converged = batched_newton(residual, lambda x, j: 2.0 * x.T[:, :, None], np.ones((1, 2)))
    assert converged.all()
    assert seen[0] == 2 and seen[-1] == 1


@pytest.mark.parametrize("bad", ["singular", "nan", "no root"])
def test_a_column_that_fails_leaves_the_others(bad: str) -> None:
    def residual(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        R = x**2 - 4.0
        hurt = columns == 1
        R[:, hurt] = {"singular": 1.0, "nan": np.nan, "no root": x[:, hurt] ** 2 + 1.0}[bad]
        return R

    def jacobian(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        J = 2.0 * x.T[:, :, None]
        if bad == "singular":
            J[columns == 1] = 0.0
        return J

    x, converged = batched_newton(residual, jacobian, np.full((1, 3), 3.0))
    np.testing.assert_array_equal(converged, [True, False, True])
    np.testing.assert_allclose(x[0, [0, 2]], 2.0)


def test_a_guess_that_is_the_root_is_kept() -> None:
    x, converged = batched_newton(lambda x, j: x - 1.0, lambda x, j: np.ones((j.size, 1, 1)), np.ones((1, 2)))
    assert converged.all() and (x == 1.0).all()


def test_nothing_to_solve() -> None:
    x, converged = batched_newton(lambda x, j: x, lambda x, j: np.zeros((j.size, 2, 2)), np.ones((2, 0)))
    assert x.shape == (2, 0) and converged.shape == (0,)


def test_a_guess_is_not_taken_for_a_root_beside_an_infinite_scale() -> None:
    x, _ = batched_newton(lambda x, j: x - 1.0, lambda x, j: np.ones((len(j), 1, 1)), np.full((1, 2), 5.0),
                          np.array([1.0, np.inf]))
    assert x.tolist() == [[1.0, 1.0]]
