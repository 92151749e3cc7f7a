"""Time schemes on arbitrary grids: orders, states of both shapes, checkpoints, failures."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.stepping.formulas import bdf2, correction_weights, extrapolation, snapped_steps
from romflow.linalg.stepping.march import march
from romflow.linalg.stepping.one_step import sdirk4
from romflow.linalg.stepping.rates import Rates
from romflow.linalg.stepping.schemes import SCHEMES

Array = np.ndarray


class Equation:
    """du/dt = f(t, u) entry by entry, by Newton with the slope df/du."""

    def __init__(self, f: Callable[[float, Array], Array], slope: Callable[[float, Array], Array]) -> None:
        self.f, self.slope = f, slope
        self.lengths: list[float] = []

    def mass(self, u: Array) -> Array:
        return u

    def rate(self, t: float, u: Array) -> Array:
        return self.f(t, u)

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        self.lengths.append(c)
        if c == 0.0:
            return rhs
        u = guess
        for _ in range(50):
            d = (u - c * self.f(t, u) - rhs) / (1.0 - c * self.slope(t, u))
            u = u - d
            if np.all(abs(d) <= 1e-14 * (1.0 + abs(u))):
                break
        return u


class Linear:
    """M du/dt = F cos 3t - A u."""

    def __init__(self, n: int = 4) -> None:
        random = np.random.default_rng(0)
        R = random.standard_normal((2, n, n))
        self.M, self.A = R[0] @ R[0].T / n + np.eye(n), R[1] @ R[1].T / n + np.eye(n)
        self.F = random.standard_normal(n)

    def load(self, t: float, u: Array) -> Array:
        return np.cos(3.0 * t) * (self.F if u.ndim == 1 else self.F[:, None])

    def mass(self, u: Array) -> Array:
        return self.M @ u

    def rate(self, t: float, u: Array) -> Array:
        return self.load(t, u) - self.A @ u

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        return np.linalg.solve(self.M + c * self.A, rhs + c * self.load(t, rhs))


def decay() -> Equation:
    return Equation(lambda t, u: -u, lambda t, u: -np.ones_like(u))


def _wave(t: float) -> float:
    return float(np.cos(t) + 0.3 * np.sin(3.0 * t))


def _wave_slope(t: float) -> float:
    return float(-np.sin(t) + 0.9 * np.cos(3.0 * t))


def relaxed(rate: float) -> Equation:
    return Equation(lambda t, u: -rate * (u - _wave(t)) + _wave_slope(t), lambda t, u: -rate * np.ones_like(u))


PROBLEMS: dict[str, tuple[Equation, Callable[[float], float]]] = {
    "logistic": (Equation(lambda t, u: 3.0 * u * (1.0 - u), lambda t, u: 3.0 - 6.0 * u),
                 lambda t: 1.0 / (1.0 + 19.0 * np.exp(-3.0 * t))),
    "riccati": (Equation(lambda t, u: -u**2 * np.cos(t), lambda t, u: -2.0 * u * np.cos(t)),
                lambda t: 1.0 / (1.0 + np.sin(t))),
    "relaxation": (relaxed(30.0), _wave),
    "stiff": (relaxed(100.0), _wave)}


class Together(Equation):
    """All problems side by side."""

    def __init__(self) -> None:
        systems = [system for system, _ in PROBLEMS.values()]
        super().__init__(lambda t, u: np.array([s.f(t, v) for s, v in zip(systems, u, strict=True)]),
                         lambda t, u: np.array([s.slope(t, v) for s, v in zip(systems, u, strict=True)]))

    def exact(self, t: float) -> Array:
        return np.array([exact(t) for _, exact in PROBLEMS.values()])


LEAST_ORDERS = {"implicit-euler": 0.85, "bdf2": 1.8, "dc3": 2.4, "dc4": 3.0}
SIZES = (40, 80, 160, 320, 640)


def random_grid(steps: int, end: float, seed: int, ratio: float = 35.0) -> Array:
    lengths = np.exp(np.random.default_rng([seed, steps]).uniform(0.0, np.log(ratio), steps))
    times = np.append(0.0, np.cumsum(lengths))
    return times / times[-1] * end


def fitted_order(errors: list[float]) -> float:
    return float(-np.polyfit(np.log(SIZES[:len(errors)]), np.log(errors), 1)[0])


def worst_error(scheme: str, problem: str, times: Array) -> float:
    system, exact = PROBLEMS[problem]
    u0 = np.array([exact(0.0)])
    return max(abs(float(step.state[0]) - exact(step.time)) for step in march(system, scheme, times, u0))


def _orders(scheme: str, least: float) -> None:
    system = Together()
    errors = np.zeros((len(SIZES), len(PROBLEMS)))
    for i, n in enumerate(SIZES):
        for seed in (0, 1):
            steps = march(system, scheme, random_grid(n, 2.0, seed), system.exact(0.0))
            errors[i] += np.max([abs(step.state - system.exact(step.time)) for step in steps], axis=0)
    orders = -np.polyfit(np.log(SIZES), np.log(errors), 1)[0]
    assert min(orders) >= least, dict(zip(PROBLEMS, orders, strict=True))


@pytest.mark.parametrize("scheme", LEAST_ORDERS)
def test_orders_on_random_grids(scheme: str) -> None:
    _orders(scheme, LEAST_ORDERS[scheme])


def test_a_lower_scheme_misses_the_order(must_fail: Callable[..., None]) -> None:
    must_fail(lambda scheme: _orders(scheme, LEAST_ORDERS["dc4"]), "bdf2")


def test_explicit_euler_has_order_one() -> None:
    errors = [worst_error("explicit-euler", "logistic", random_grid(n, 2.0, 0)) for n in SIZES]
    assert 0.85 <= fitted_order(errors) <= 1.3


def test_random_grids_have_steps_up_to_35() -> None:
    steps = np.diff(random_grid(640, 2.0, 0))
    ratios = steps[1:] / steps[:-1]
    assert 25.0 < max(ratios.max(), 1.0 / ratios.min()) <= 35.0


def test_differences_of_states_lose_the_order() -> None:
    """The trap: third differences of the states of BDF2 as correction give no further order on random grids."""
    system, exact = PROBLEMS["logistic"]
    errors = []
    for n in SIZES:
        times = random_grid(n, 2.0, 0)
        base = [step.state for step in march(system, "bdf2", times, np.array([exact(0.0)]))]
        errors.append(_naively_corrected(system, exact, times, base))
    good = [worst_error("dc3", "logistic", random_grid(n, 2.0, 0)) for n in SIZES]
    assert fitted_order(errors) < 2.4 <= fitted_order(good)


def _naively_corrected(system: Equation, exact: Callable[[float], float], times: Array, base: list[Array]) -> float:
    u = [np.array([exact(float(t))]) for t in times[:3]]
    for k in range(3, len(times)):
        h, before = times[k] - times[k - 1], times[k - 1] - times[k - 2]
        a0, a1, a2 = bdf2(h, before)
        nodes = times[k - 3:k + 1]
        third = sum(base[k - 3 + i] / np.prod(nodes[i] - np.delete(nodes, i)) for i in range(4))
        rhs = -(a1 * u[-1] + a2 * u[-2] + h * (h + before) * third) / a0
        u.append(system.solve(1.0 / a0, float(times[k]), rhs, u[-1]))
    return max(abs(float(v[0]) - exact(float(t))) for v, t in zip(u, times, strict=True))


def test_formulas_are_exact_for_their_polynomials(must_fail: Callable[..., None]) -> None:
    steps = (0.7, 0.1, 1.9, 0.4)
    past = -np.cumsum(steps)

    def exact(degree: int) -> None:
        a0, a1, a2 = bdf2(steps[0], steps[1])
        slopes = degree * np.append(0.0, past[:3]) ** (degree - 1)
        difference = a1 * past[0] ** degree + a2 * past[1] ** degree
        assert abs(difference - slopes[0] - np.dot(correction_weights(steps[:3]), slopes)) < 1e-12

    for degree in (2, 3, 4):
        exact(degree)
    must_fail(exact, 5)
    assert np.dot(extrapolation(steps), past**3 - past + 2.0) == pytest.approx(2.0, abs=1e-12)


def test_the_start_has_order_four_and_its_estimate_order_three() -> None:
    system = PROBLEMS["logistic"][0]
    exact = PROBLEMS["logistic"][1]
    errors, estimates = [], []
    for step in (0.2, 0.1, 0.05):
        v, estimate = sdirk4(system, np.array([exact(0.0)]), step, step)
        errors.append(abs(v[0] - exact(step)))
        estimates.append(abs(estimate[0]))
    assert np.log2(errors[1] / errors[2]) > 4.5
    assert 3.5 < np.log2(estimates[1] / estimates[2]) < 4.6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_columns_march_as_they_do_alone(scheme: str) -> None:
    system = Linear()
    assert isinstance(system, Rates)
    U0 = np.random.default_rng(1).standard_normal((4, 3))
    times = random_grid(12, 0.5, 0)
    together = [step.state for step in march(system, scheme, times, U0)]
    for j in range(3):
        alone = [step.state for step in march(system, scheme, times, U0[:, j])]
        np.testing.assert_allclose([u[:, j] for u in together], alone, rtol=1e-10)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_resumed_march_is_bit_equal(scheme: str) -> None:
    system, times = Linear(), random_grid(9, 0.5, 0)
    u0 = np.arange(4.0)
    straight = list(march(system, scheme, times, u0))
    assert [step.index for step in straight] == list(range(10))
    for k in (0, 1, 2, 3, 6, 9):
        saved = {name: np.array(value) for name, value in straight[k].checkpoint.items()}
        rest = list(march(system, scheme, times, u0, resume=saved))
        assert [step.index for step in rest] == list(range(k + 1, 10))
        for step, again in zip(straight[k + 1:], rest, strict=True):
            np.testing.assert_array_equal(step.state, again.state)


def test_a_changed_checkpoint_shows(must_fail: Callable[..., None]) -> None:
    system, times, u0 = Linear(), random_grid(9, 0.5, 0), np.arange(4.0)
    straight = list(march(system, "dc4", times, u0))

    def agrees(name: str | None) -> None:
        saved = dict(straight[5].checkpoint)
        if name is not None:
            saved[name] = saved[name] + 1e-10
        *_, last = march(system, "dc4", times, u0, resume=saved)
        np.testing.assert_array_equal(last.state, straight[-1].state)

    agrees(None)
    names = [name for name in straight[5].checkpoint if name.startswith(("state", "rate"))]
    assert len(names) == 11
    must_fail(agrees, *names)


def test_equal_steps_share_one_length() -> None:
    system = decay()
    list(march(system, "bdf2", np.linspace(0.0, 0.3, 31), np.ones(1)))
    assert len(set(system.lengths[5:])) == 1
    assert len(set(snapped_steps(random_grid(50, 1.0, 0)))) == 50


def test_nan_names_time_and_columns() -> None:
    system = Equation(lambda t, u: np.where(t > 0.45, np.array([[0.0, np.nan]]), 0.0) * u, lambda t, u: 0.0 * u)
    with pytest.raises(SolveFailed, match=r"t = 0\.6 is not finite in columns \[1\] of 2") as caught:
        list(march(system, "explicit-euler", np.linspace(0.0, 1.0, 11), np.ones((1, 2))))
    assert caught.value.report["columns"] == [1]
    assert json.loads(json.dumps(caught.value.report))["time"] == pytest.approx(0.6)


def test_blow_up_is_a_record_without_warnings() -> None:
    system = Equation(lambda t, u: u**3, lambda t, u: 3.0 * u**2)
    with pytest.raises(SolveFailed, match="not finite"):
        list(march(system, "explicit-euler", np.linspace(0.0, 10.0, 101), np.array([3.0])))


@pytest.mark.parametrize(("times", "words"), [([0.0, 1.0, 1.0], "number 1 = 1 comes 1"), ([0.0, np.nan], "finite")])
def test_times_must_increase(times: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        march(decay(), "bdf2", np.array(times), np.ones(1))


def test_bad_input_is_refused_at_the_call() -> None:
    times = np.linspace(0.0, 1.0, 5)
    with pytest.raises(InputError, match="explicit-euler, implicit-euler, bdf2, dc3, dc4"):
        march(decay(), "rk4", times, np.ones(1))
    with pytest.raises(ShapeError, match="at least one time"):
        march(decay(), "bdf2", np.zeros((2, 2)), np.ones(1))
    with pytest.raises(ShapeError, match="initial state"):
        march(decay(), "bdf2", times, np.ones((1, 1, 1)))
    with pytest.raises(SolveFailed, match="t = 0 is not finite"):
        march(decay(), "bdf2", times, np.array([np.inf]))


def test_foreign_checkpoints_are_refused() -> None:
    times = np.linspace(0.0, 1.0, 5)
    saved = list(march(decay(), "dc3", times, np.ones(1)))[3].checkpoint
    with pytest.raises(InputError, match="of the scheme 'dc3'"):
        march(decay(), "bdf2", times, np.ones(1), resume=saved)
    with pytest.raises(InputError, match="do not have there"):
        march(decay(), "dc3", times / 2.0, np.ones(1), resume=saved)
    with pytest.raises(InputError, match="lacks"):
        march(decay(), "dc3", times, np.ones(1), resume={"index": np.array(3)})
    del saved["state_1_0"]
    with pytest.raises(InputError, match="needs steps and state_0_0 to state_1_0"):
        march(decay(), "dc3", times, np.ones(1), resume=saved)
