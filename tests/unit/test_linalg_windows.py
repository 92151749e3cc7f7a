"""Time windows: the partition found is the best one, its errors are those of the local bases."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.windows import Windows, interval_tails, optimal_windows, uniform_windows
from romflow.linalg.inner_product import InnerProduct

Array = np.ndarray
PLAIN = InnerProduct(None)


def front(times: int = 120, n: int = 200, start: float = 0.1, end: float = 0.9, width: float = 0.02) -> Array:
    """A front that stands, jumps from `start` to `end` in t = .4 .. .6, and stands."""
    t, x = np.linspace(0.0, 1.0, times), np.linspace(0.0, 1.0, n)[:, None]
    place = start + (end - start) * np.clip((t - 0.4) / 0.2, 0.0, 1.0)
    return 0.5 * (1.0 - np.tanh((x - place) / width))


def left_out(states: list[Array], parts: list[slice], modes: int, product: InnerProduct = PLAIN) -> float:
    """The error by its definition: projections on the local bases."""
    missing = total = 0.0
    for part in parts:
        S = np.concatenate([block[:, part] for block in states], axis=1)
        squares, Q = np.linalg.eigh(product.gram(S, S))
        V = S @ (Q[:, -modes:] / np.sqrt(np.maximum(squares[-modes:], 1e-300)))
        V = V[:, squares[-modes:] > 1e-12 * squares[-1]]
        rest = S - V @ product.gram(V, S)
        missing += float(np.sum(product.norm(rest) ** 2))
        total += float(np.sum(product.norm(S) ** 2))
    return float(np.sqrt(missing / total))


def _gains(windows: Windows, uniform: Windows) -> None:
    assert windows.error <= 0.6 * uniform.error


def test_windows_of_the_standing_jumping_front(must_fail: Callable[..., None]) -> None:
    states = front()
    optimal, uniform = optimal_windows(states, 4, 3), uniform_windows(states, 4, 3)
    everywhere = optimal_windows(states, 1, 3)
    _gains(optimal, uniform)
    must_fail(lambda windows: _gains(windows, uniform), uniform, everywhere)
    assert uniform.error < 0.6 * everywhere.error
    assert 0.1 < everywhere.error < 0.15
    assert optimal.boundaries[1] > 45 and optimal.boundaries[-2] < 75
    assert [optimal.window_of(k) for k in (0, 119)] == [0, 3]
    np.testing.assert_array_equal([optimal.window_of(part.start) for part in optimal.parts], np.arange(4))


def _errors_are_true(windows: Windows, states: list[Array], modes: int, product: InnerProduct = PLAIN) -> None:
    assert windows.error == pytest.approx(left_out(states, windows.parts, modes, product), rel=1e-6)


def test_errors_are_those_of_the_bases(must_fail: Callable[..., None]) -> None:
    states = [front(40), front(40, start=0.2, end=0.7), front(40, width=0.05)]
    X = InnerProduct(sp.diags_array([np.ones(199), np.full(200, 2.5), np.ones(199)], offsets=[-1, 0, 1]))
    together = optimal_windows(states, 3, 4)
    _errors_are_true(together, states, 4)
    weighted = optimal_windows(states, 3, 4, X)
    _errors_are_true(weighted, states, 4, X)
    must_fail(lambda modes: _errors_are_true(together, states, modes), 3, 5)
    must_fail(lambda X: _errors_are_true(weighted, states, 4, X), PLAIN)


def test_no_partition_is_better() -> None:
    states = np.random.default_rng(0).standard_normal((8, 12)) @ np.diag(np.linspace(1.0, 3.0, 12))
    found = optimal_windows(states, 3, 2)
    best = min(left_out([states], [slice(0, i), slice(i, j), slice(j, 12)], 2)
               for i, j in combinations(range(1, 12), 2))
    assert found.error == pytest.approx(best, rel=1e-10)
    assert uniform_windows(states, 3, 2).error > found.error


def test_tails_of_all_intervals_are_exact() -> None:
    coordinates = front(30, 60)[:, :, None]
    tails = interval_tails(coordinates, np.arange(31), 3)
    for i, j in combinations(range(31), 2):
        true = float(np.sum(np.linalg.svd(coordinates[:, i:j, 0], compute_uv=False)[3:] ** 2))
        assert tails[i, j] == pytest.approx(true, rel=1e-4, abs=1e-11)
    assert np.isinf(tails[np.tril_indices(31)]).all()


def test_coordinates_stand_for_states() -> None:
    states = front(50)
    Q, R = np.linalg.qr(states)
    np.testing.assert_array_equal(optimal_windows(R, 4, 3).boundaries, optimal_windows(states, 4, 3).boundaries)
    assert optimal_windows(R, 4, 3).error == pytest.approx(optimal_windows(Q @ R, 4, 3).error, rel=1e-8)


def test_a_coarse_choice_of_times_is_nearly_as_good() -> None:
    states = front(200)
    fine, coarse = optimal_windows(states, 4, 3), optimal_windows(states, 4, 3, resolution=50)
    assert fine.error <= coarse.error <= 1.3 * fine.error
    assert set(coarse.boundaries) <= set(np.round(np.linspace(0, 200, 51)).astype(int))


def test_edge_cases() -> None:
    states = front(6, 20)
    np.testing.assert_array_equal(optimal_windows(states, 6, 1).boundaries, np.arange(7))
    assert optimal_windows(states, 6, 1).error < 1e-7
    np.testing.assert_array_equal(optimal_windows(states, 1, 30).boundaries, [0, 6])
    assert optimal_windows(np.zeros((4, 5)), 2, 1).error == 0.0
    assert optimal_windows(np.zeros((40, 5)), 2, 1).error == 0.0


def test_bad_input() -> None:
    for windows, modes in ((0, 1), (7, 1), (2, 0)):
        with pytest.raises(InputError, match=r"the rule is 1 <= windows <= 6 and modes >= 1"):
            optimal_windows(front(6), windows, modes)
    with pytest.raises(ShapeError, match="several of the same shape"):
        optimal_windows([front(6), front(7)], 2, 1)
    with pytest.raises(InputError, match="not finite"):
        uniform_windows(np.full((3, 4), np.nan), 2, 1)
