"""Domain splitting on tensor grids: rates of the operators and of the guess, the skeleton, symmetry, nested grids."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import splu

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed
from romflow.dd.splitting.grid import TensorGrid
from romflow.dd.splitting.operators import tensor_load, tensor_operator
from romflow.dd.splitting.splitting import DomainSplitting


def axis(cells: int, stretch: float = 0.0, length: float = 1.0) -> np.ndarray:
    s = np.linspace(0.0, 1.0, cells + 1)
    return length * (s + stretch * np.sin(np.pi * s) ** 2 / np.pi)


def exact_answer(splitting: DomainSplitting, f: np.ndarray) -> np.ndarray:
    return splu(splitting.operator.tocsc()).solve(f)


def relative(value: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(value - truth) / np.linalg.norm(truth))


def manufactured(cells: int, **options: Any) -> float:
    """Largest error for u = sin(pi x) sin(pi y) exp(x), k = 1 + x y, w = (3, -y), c = 2 on stretched axes."""
    axes = [axis(cells, 0.4), axis(cells, -0.3)]
    grid = TensorGrid(axes, 2)
    x, y = grid.points.T
    s, c, e = np.sin(np.pi * x), np.cos(np.pi * x), np.exp(x)
    t, q = np.sin(np.pi * y), np.cos(np.pi * y)
    u, ux, uy = s * t * e, e * t * (np.pi * c + s), np.pi * e * s * q
    lap = e * t * (2 * np.pi * c + s - 2 * np.pi ** 2 * s)
    f = -(1 + x * y) * lap - y * ux - x * uy + 3 * ux - y * uy + 2 * u
    A = tensor_operator(axes, diffusion=lambda p: 1 + p[:, 0] * p[:, 1], wind=(3.0, lambda p: -p[:, 1]), reaction=2.0,
                        **options)
    return float(np.abs(splu(A.tocsc()).solve(tensor_load(axes, f)) - u).max())


@pytest.mark.parametrize(("scheme", "order"), [("finite-volume", 2), ("bilinear", 2), ("upwind", 1)])
def test_operators_converge(scheme: str, order: int, must_fail: Callable[..., None]) -> None:
    def check(fine: float) -> None:
        assert np.log2(manufactured(24, scheme=scheme) / fine) > order - 0.2

    fine = manufactured(48, scheme=scheme)
    check(fine)
    must_fail(check, 4.0 * fine)


def test_operators_in_space() -> None:
    axes = [axis(4), axis(6, 0.2), axis(4, length=2.0)]
    for scheme in ("finite-volume", "bilinear"):
        A = tensor_operator(axes, diffusion=2.0, reaction=1.0, scheme=scheme)
        assert abs(A - A.T).max() < 1e-14
        assert np.linalg.eigvalsh(A.toarray())[0] > 0.0
    skew = tensor_operator(axes, wind=(1.0, 2.0, 3.0)) - tensor_operator(axes)
    assert abs(skew + skew.T).max() < 1e-14


@pytest.mark.parametrize(("merge", "least"), [("average", 1.7), ("combination", 3.4)])
def test_guess_is_of_its_order(merge: str, least: float, must_fail: Callable[..., None]) -> None:
    def error(ratio: int) -> float:
        splitting = DomainSplitting.from_coefficients([axis(64), axis(64)], ratio, merge=merge)
        x, y = splitting.grid.points.T
        f = tensor_load(splitting.grid.axes, np.sin(np.pi * x) * np.sin(2 * np.pi * y))
        return relative(splitting.guess(f), exact_answer(splitting, f))

    def check(fine: float) -> None:
        assert np.log2(error(8) / fine) > least

    fine = error(4)
    check(fine)
    must_fail(check, 16.0 * fine)


PROBLEMS: dict[str, dict[str, Any]] = {
    "poisson": {}, "advection": {"diffusion": 0.1, "wind": (1.0, 0.5)},
    "variable": {"diffusion": lambda p: np.where(p[:, 0] > 0.5, 50.0, 1.0), "reaction": 1.0, "scheme": "bilinear"}}


@pytest.mark.parametrize("name", PROBLEMS)
def test_residual_is_on_the_skeleton(name: str, must_fail: Callable[..., None]) -> None:
    splitting = DomainSplitting.from_coefficients([axis(32, 0.3), axis(24)], (8, 4), **PROBLEMS[name])
    f = np.random.default_rng(0).standard_normal((splitting.n, 2))

    def check(u: np.ndarray) -> None:
        r = f - splitting.operator @ u
        r[splitting.skeleton] = 0.0
        assert np.abs(r).max() < 1e-11

    u = splitting.guess(f)
    check(u)
    must_fail(check, u + 1e-9)
    truth = exact_answer(splitting, f)
    assert np.linalg.norm(u - truth) > 1e-3 * np.linalg.norm(truth)


def test_equal_cells_share_a_factor() -> None:
    shared = DomainSplitting.from_coefficients([axis(32), axis(24)], 8)
    assert shared._cells.shared
    varied = DomainSplitting.from_coefficients([axis(32), axis(24)], 8, diffusion=lambda p: 1 + p[:, 0])
    assert not varied._cells.shared


def test_preconditioner_is_symmetric_and_definite(must_fail: Callable[..., None]) -> None:
    def check(merge: str) -> None:
        splitting = DomainSplitting.from_coefficients([axis(24, 0.3), axis(16)], (6, 4), merge=merge,
                                                      diffusion=lambda p: 1 + 9 * (p[:, 0] > p[:, 1]))
        M = splitting.apply(np.eye(splitting.n))
        assert abs(M - M.T).max() < 1e-12 * abs(M).max()
        assert np.linalg.eigvalsh(M)[0] > 0.0
        assert splitting.krylov == "cg"

    check("combination")
    must_fail(check, "average")


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("merge", ["combination", "average"])
def test_solve(name: str, merge: str) -> None:
    splitting = DomainSplitting.from_coefficients([axis(32), axis(32)], 8, merge=merge, **PROBLEMS[name])
    f = tensor_load(splitting.grid.axes, np.ones((splitting.n, 2)))
    answer = splitting.solve(f, tolerance=1e-9)
    assert relative(answer.X, exact_answer(splitting, f)) < 1e-7
    assert answer.residuals.max() <= 1e-9
    assert answer.iterations.max() < (45 if merge == "combination" else 70)


def test_passes_improve_the_guess() -> None:
    errors = []
    for passes in (1, 2, 3):
        splitting = DomainSplitting.from_coefficients([axis(64), axis(64)], 8, passes=passes)
        f = tensor_load(splitting.grid.axes, np.ones(splitting.n))
        errors.append(relative(splitting.guess(f), exact_answer(splitting, f)))
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < errors[1]


def test_in_space() -> None:
    splitting = DomainSplitting.from_coefficients([axis(16), axis(12), axis(8)], 4, wind=(2.0, 0.0, 1.0))
    f = tensor_load(splitting.grid.axes, np.ones(splitting.n))
    truth = exact_answer(splitting, f)
    assert relative(splitting.guess(f), truth) < 0.02
    assert splitting.solve(f).iterations[0] < 30
    assert relative(splitting.solve(f).X[:, 0], truth) < 1e-6


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: TensorGrid([axis(255), axis(256)], 16), InputError, "255 cells.*240 or 256 cells, or a ratio of"),
    (lambda: TensorGrid([axis(16), axis(16)], 16), InputError, "two or more coarse cells"),
    (lambda: TensorGrid([axis(16), axis(16)], 1), InputError, "whole number from 2"),
    (lambda: TensorGrid([axis(16)], 4), ShapeError, "2 or 3"),
    (lambda: TensorGrid([axis(16), axis(16)], (4, 4, 4)), ShapeError, "3 numbers for 2 axes"),
    (lambda: TensorGrid([axis(16), axis(16)[::-1]], 4), InputError, "increasing"),
    (lambda: TensorGrid([axis(16), np.append(axis(15), np.nan)], 4), InputError, "finite"),
    (lambda: DomainSplitting([axis(8), axis(8)], np.eye(48), 4), ShapeError, "49 = 7 x 7"),
    (lambda: DomainSplitting([axis(8), axis(8)], np.ones((49, 49)), 4), InputError, "6 grid lines apart along x"),
    (lambda: DomainSplitting.from_coefficients([axis(8)] * 2, 4, merge="mean"), ConfigError, "no merge"),
    (lambda: DomainSplitting.from_coefficients([axis(8)] * 2, 4, passes=0), InputError, "passes"),
    (lambda: tensor_operator([axis(8)] * 2, scheme="q9"), ConfigError, "no scheme"),
    (lambda: tensor_operator([axis(8)] * 2, diffusion=0.0), InputError, "positive"),
    (lambda: tensor_operator([axis(8)] * 2, reaction=np.nan), InputError, "finite"),
    (lambda: tensor_operator([axis(8)] * 2, diffusion=np.ones((7, 8))), ShapeError, "one value a cell"),
    (lambda: tensor_operator([axis(8)] * 2, wind=(1.0,)), ShapeError, "1 components"),
    (lambda: tensor_load([axis(8)] * 2, np.ones(5)), ShapeError, "49 unknowns"),
    (lambda: DomainSplitting.from_coefficients([axis(8)] * 2, 4).guess(np.full(49, np.inf)), InputError, "finite"),
    (lambda: DomainSplitting.from_coefficients([axis(8)] * 2, 4).guess(np.ones(48)), ShapeError, "49 unknowns"),
    (lambda: DomainSplitting.from_coefficients([axis(8)] * 2, 4, reaction=-100.0).solve(np.ones(49)), SolveFailed,
     "indefinite|definite"),
])
def test_wrong_input(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
