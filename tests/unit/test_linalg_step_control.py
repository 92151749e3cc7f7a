"""Step control: errors follow the tolerance, given times are hit, short steps end the march."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from romflow.core.errors import InputError, SolveFailed
from romflow.linalg.stepping.control import StepControl
from romflow.linalg.stepping.march import Step, march
from romflow.linalg.stepping.schemes import SCHEMES

Array = np.ndarray
IMPLICIT = tuple(scheme for scheme in SCHEMES if scheme != "explicit-euler")


class Pulse:
    """du/dt = rate (g(t) - u) + g'(t), u(0) = g(0): the solution g stands, jumps by one at t = .5, stands."""

    rate_constant = 50.0

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.lengths: list[float] = []

    def exact(self, t: float) -> float:
        return float(1.5 + 0.5 * np.tanh((t - 0.5) / 0.01))

    def slope(self, t: float) -> float:
        return float(50.0 / np.cosh((t - 0.5) / 0.01) ** 2)

    def mass(self, u: Array) -> Array:
        return u

    def rate(self, t: float, u: Array) -> Array:
        return self.rate_constant * (self.exact(t) - u) + self.slope(t)

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        self.seen.append(t)
        self.lengths.append(c)
        k = self.rate_constant
        return (rhs + c * (k * self.exact(t) + self.slope(t))) / (1.0 + c * k)


class Explosion:
    """du/dt = u^2, which ends at t = 1 / u(0)."""

    def mass(self, u: Array) -> Array:
        return u

    def rate(self, t: float, u: Array) -> Array:
        return u * u

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        if np.any(1.0 < 4.0 * c * rhs):
            raise SolveFailed("Newton found no root")
        return 2.0 * rhs / (1.0 + np.sqrt(1.0 - 4.0 * c * rhs))


def walk(scheme: str, tolerance: float, times: Array | None = None) -> tuple[Pulse, list[Step], float]:
    system = Pulse()
    times = np.linspace(0.0, 1.0, 6) if times is None else times
    u0 = np.array([system.exact(0.0)])
    steps = list(march(system, scheme, times, u0, StepControl(tolerance)))
    return system, steps, max(abs(float(step.state[0]) - system.exact(step.time)) for step in steps)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_error_follows_the_tolerance(scheme: str) -> None:
    _, rough, error = walk(scheme, 1e-3)
    _, fine, less = walk(scheme, 1e-5 if "euler" in scheme else 1e-6)
    assert error < 1e-2
    assert less < error / 5.0
    assert sum(step.substeps for step in fine) > sum(step.substeps for step in rough)


@pytest.mark.parametrize("scheme", IMPLICIT)
def test_steps_are_short_only_at_the_jump(scheme: str, must_fail: Callable[..., None]) -> None:
    _, steps, error = walk(scheme, 1e-4)
    counts = [step.substeps for step in steps]
    total = sum(counts)
    system = Pulse()
    uniform = march(system, scheme, np.linspace(0.0, 1.0, total + 1), np.array([system.exact(0.0)]))
    same_cost = max(abs(float(step.state[0]) - system.exact(step.time)) for step in uniform)

    def beaten(by: float) -> None:
        assert by > 3.0 * error

    beaten(same_cost)
    must_fail(beaten, error)
    assert counts[3] > 0.6 * total


@pytest.mark.parametrize("scheme", SCHEMES)
def test_given_times_are_hit_and_none_is_overshot(scheme: str) -> None:
    times = np.array([0.0, 1e-3, 0.3, 0.3001, 0.77, 1.0])
    system, steps, error = walk(scheme, 1e-3, times)
    assert [step.time for step in steps] == times.tolist()
    assert steps[0].substeps == 0 and min(step.substeps for step in steps[1:]) >= 1
    assert max(system.seen) <= 1.0
    assert set(times[1:]) <= set(system.seen)
    assert error < 1e-2


def test_equal_steps_share_one_length() -> None:
    system, steps, _ = walk("bdf2", 1e-5)
    taken = sum(step.substeps for step in steps)
    assert len(set(system.lengths)) < 0.5 * taken


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_resumed_march_is_bit_equal(scheme: str) -> None:
    system, straight, _ = walk(scheme, 1e-3)
    times = np.linspace(0.0, 1.0, 6)
    for k in (0, 1, 3):
        rest = list(march(system, scheme, times, np.zeros(1), StepControl(1e-3), resume=straight[k].checkpoint))
        assert [(s.index, s.substeps) for s in rest] == [(s.index, s.substeps) for s in straight[k + 1:]]
        for step, again in zip(straight[k + 1:], rest, strict=True):
            np.testing.assert_array_equal(step.state, again.state)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_that_underflows_is_a_record(scheme: str) -> None:
    with pytest.raises(SolveFailed, match="the step control would need a step") as caught:
        list(march(Explosion(), scheme, np.linspace(0.0, 2.0, 5), np.ones(1), StepControl(1e-2, smallest=1e-4)))
    report = json.loads(json.dumps(caught.value.report))
    assert {"time", "step", "error", "cause"} == set(report)
    assert 0.9 < report["time"] < 1.1
    assert report["step"] < 1e-4


def test_the_worst_column_counts() -> None:
    system = Pulse()
    times = np.linspace(0.0, 1.0, 3)
    U0 = np.array([[1.0, 100.0]])
    *_, last = march(system, "bdf2", times, U0, StepControl(1e-4))
    assert last.substeps > 5
    assert np.abs(last.state - system.exact(1.0)).max() < 1e-2


def test_nothing_moves_from_zero() -> None:
    class Still(Pulse):
        def rate(self, t: float, u: Array) -> Array:
            return -u

        def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
            return rhs / (1.0 + c)

    *_, last = march(Still(), "dc3", np.linspace(0.0, 1.0, 3), np.zeros(2), StepControl(1e-4))
    np.testing.assert_array_equal(last.state, np.zeros(2))


def test_bad_controls_are_refused() -> None:
    for bad in ({"tolerance": 0.0}, {"tolerance": np.nan}, {"tolerance": 1e-3, "smallest": 0.0},
                {"tolerance": 1e-3, "floor": -1.0}):
        with pytest.raises(InputError, match="the rule is"):
            StepControl(**bad)
    _, steps, _ = walk("bdf2", 1e-3)
    saved = {name: value for name, value in steps[1].checkpoint.items() if name != "scale"}
    with pytest.raises(InputError, match=r"lacks \['scale'\]"):
        march(Pulse(), "bdf2", np.linspace(0.0, 1.0, 6), np.ones(1), StepControl(1e-3), resume=saved)


class Driven:
    """du/dt = sin(pi t) - u from rest: u grows like t^2 at first, and so does the error of a first-order step."""

    def mass(self, u: Array) -> Array:
        return u

    def rate(self, t: float, u: Array) -> Array:
        return np.sin(np.pi * t) - u

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        return (rhs + c * np.sin(np.pi * t)) / (1.0 + c)


class DrivenBeside(Driven):
    """Two columns, the second without a force."""

    def rate(self, t: float, u: Array) -> Array:
        return np.array([np.sin(np.pi * t), 0.0]) - u

    def solve(self, c: float, t: float, rhs: Array, guess: Array) -> Array:
        return (rhs + c * np.array([np.sin(np.pi * t), 0.0])) / (1.0 + c)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_march_may_start_from_rest(scheme: str) -> None:
    times = np.linspace(0.0, 1.0, 11)
    steps = list(march(Driven(), scheme, times, np.zeros(1), control=StepControl(1e-4)))
    p = np.pi
    exact = (np.sin(p) - p * np.cos(p) + p * np.exp(-1.0)) / (1.0 + p * p)
    assert steps[-1].state[0] == pytest.approx(exact, abs=1e-2)
    # A column that stays at rest beside it changes nothing.
    both = list(march(DrivenBeside(), scheme, times, np.zeros((1, 2)), control=StepControl(1e-4)))
    assert both[-1].state[0].tolist() == pytest.approx([steps[-1].state[0], 0.0], abs=1e-12)
