"""Steps of reduced mechanics models that are hard: draws on their own, halves, limit loads, heat alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from romflow.core.errors import ParameterError
from romflow.materials.making import make_law
from romflow.materials.protocol import LawAnswer
from romflow.materials.reference import REFERENCE
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.mechanics.newton import PointRule, balance
from tests.toy_reduced_mechanics import MU, TIMES, history, reduced, with_law


@pytest.fixture(scope="module")
def rom() -> MechanicsReducedModel:
    return reduced(history())


class Shy:
    """A law that has no answer for draws that pull hard, in steps longer than `longest`, until it was asked often."""

    symmetric, temperature_range, reads = False, None, ("pull",)

    def __init__(self, law: Any, longest: float, refusals: float = np.inf) -> None:
        self.law, self.longest, self.refusals = law, longest, refusals
        self.variables, self.initial = law.variables, law.initial

    def integrate(self, strain: np.ndarray, data: Any, dt: float, state: np.ndarray, tangent: bool = True) -> LawAnswer:
        found = self.law.integrate(strain, data, dt, state, tangent)
        if dt <= self.longest or self.refusals <= 0:
            return found
        self.refusals -= 1
        easy = np.broadcast_to(np.asarray(data["pull"]) < 0.9, found.converged.shape)
        return LawAnswer(found.stress, found.state, found.tangent, found.converged & easy)


def test_stiffness_is_the_derivative_of_the_forces(rom: MechanicsReducedModel, must_fail: Callable[..., None]) -> None:
    rule = PointRule(rom.strain, rom.lifting_strain, rom.weights)
    rng = np.random.default_rng(3)
    tangent = rng.standard_normal((6, 6, len(rom.points), 3))
    stress = np.einsum("ijkb,kjrb->ikrb", tangent, np.repeat(rom.strain[..., None], 3, axis=3), optimize=True)
    expected = np.stack([rule.forces(np.ascontiguousarray(stress[:, :, :, j])) for j in range(3)])

    def check(stiffness: np.ndarray) -> None:
        assert np.abs(stiffness - expected).max() < 1e-12 * np.abs(expected).max()

    check(rule.stiffness(tangent))
    check(np.concatenate([rule.stiffness(tangent[..., j:j + 1]) for j in range(3)]))
    must_fail(check, rule.stiffness(tangent).transpose(0, 2, 1), (1.0 + 1e-11) * expected)


def test_newton_converges_quadratically(rom: MechanicsReducedModel) -> None:
    state = rom.start(MU[None])
    for t in TIMES[1:6]:
        state = rom.advance(state, t)
    data = rom.drive.at(MU[None], TIMES[6])
    counts = [balance(rom.stepper.rule, rom.law, data, 5.0, state.coefficients, state.state, tolerance, 0.0).iterations
              for tolerance in (1e-4, 1e-8, 1e-11)]
    assert counts[0] <= 5 and counts[2] <= counts[0] + 3


DRAWS = np.array([[1.0, 0.2], [1.0, 1.0], [1.0, 0.3]])


def test_draws_that_fail_take_halves_alone(rom: MechanicsReducedModel, must_fail: Callable[..., None]) -> None:
    free = with_law(rom, rom.law)
    answer = with_law(rom, Shy(rom.law, 3.0)).solve(DRAWS, times=TIMES[:5])
    whole, fine = free.solve(DRAWS, times=TIMES[:5]), free.solve(DRAWS, times=np.linspace(0.0, 20.0, 9))
    assert answer.converged.all() and answer.halvings.tolist() == [0, 4, 0]

    def check(trajectory: np.ndarray) -> None:
        assert np.allclose(answer.trajectory[:, :, 1], trajectory, rtol=1e-6, atol=1e-10)

    check(fine.trajectory[::2, :, 1])
    must_fail(check, whole.trajectory[:, :, 1])
    assert np.allclose(answer.trajectory[:, :, ::2], whole.trajectory[:, :, ::2], rtol=1e-6, atol=1e-10)


def test_a_step_that_came_through_in_halves_is_found_as_a_whole(rom: MechanicsReducedModel) -> None:
    answer = with_law(rom, Shy(rom.law, 3.0, refusals=1)).solve(MU, times=TIMES[:5])
    whole = with_law(rom, rom.law).solve(MU, times=TIMES[:5])
    assert answer.halvings.tolist() == [1] and np.allclose(answer.trajectory, whole.trajectory, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("copies", "spared"), [(1, 100), (4, 100), (1, 1)])
def test_a_draw_without_equilibrium_fails_alone(rom: MechanicsReducedModel, copies: int, spared: int,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    # With 1 the points of dual fields alone come after the balance, also of draws that have none.
    monkeypatch.setattr("romflow.rom.mechanics.newton._SPARED", spared)
    draws = np.tile(DRAWS, (copies, 1))
    shy = replace(with_law(rom, Shy(rom.law, 0.0)), outputs=rom.outputs[:1])
    answer, free = shy.solve(draws, times=TIMES[:4]), rom.solve(draws, times=TIMES[:4])
    assert answer.converged.tolist() == [True, False, True] * copies and answer.halvings[1] > 0
    assert np.isnan(answer.series[:, :, 1]).all() and np.isfinite(answer.series[:, :, 0]).all()
    assert np.allclose(answer.series[0, :, 2], free.series[0, :, 2], rtol=1e-6)
    state = shy.advance(shy.advance(shy.start(draws), 5.0), 10.0)
    assert state.time == 10.0 and state.converged.tolist() == [True, False, True] * copies


def test_heat_alone_is_balanced(rom: MechanicsReducedModel) -> None:
    answer = rom.solve(np.array([1.0, 0.0]))
    assert answer.converged.all() and answer.halvings[0] == 0
    assert np.abs(answer.trajectory).max() > 0.0 and np.isfinite(answer.residual).all()


def test_a_law_without_state_or_plastic_strain(rom: MechanicsReducedModel) -> None:
    elastic = make_law({"kind": "thermoelastic", "young": 2e5, "poisson": 0.3})
    model = with_law(rom, elastic)
    assert model.measure == "stress"
    one = model.solve(np.array([[1.0, 0.5], [1.0, 1.0]]), times=TIMES[:7])
    assert np.allclose(2.0 * one.trajectory[..., 0], one.trajectory[..., 1], rtol=1e-8)
    many = model.solve(np.column_stack([np.ones(12), np.linspace(0.1, 1.2, 12)]), times=TIMES[:3])
    assert np.allclose(many.trajectory[2] / np.linspace(0.1, 1.2, 12), many.trajectory[2][:, -1:] / 1.2, rtol=1e-7)


def test_temperatures_at_points_are_those_of_the_mesh(rom: MechanicsReducedModel) -> None:
    known = history()
    rows = known.problem.rows(MU, 30.0)
    whole = known.problem.data(rows)["T"]
    assert np.allclose(rom.temperature.at(rows)[:, 0], whole[rom.points])
    along = list(rom.drive.along(np.stack([MU, [2.0, 0.5]]), TIMES[1:4]))
    for data in along:
        single = rom.drive.at(np.stack([MU, [2.0, 0.5]]), data.time)
        assert np.allclose(data.temperature, single.temperature) and np.allclose(data.load, single.load)


def test_temperatures_outside_the_laws_range_are_refused(rom: MechanicsReducedModel) -> None:
    narrow = with_law(rom, make_law({**REFERENCE, "temperature_range": [0.0, 400.0]}))
    with pytest.raises(ParameterError, match="outside the law's temperature_range"):
        narrow.solve(MU, times=TIMES[:8])
    assert narrow.solve(MU, times=TIMES[:3]).converged.all()


def test_points_of_dual_fields_alone_do_not_change_the_balance(rom: MechanicsReducedModel,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(rom.points) > len(rom.weights)
    together = rom.solve(MU, times=TIMES[:9])
    monkeypatch.setattr("romflow.rom.mechanics.newton._SPARED", 1)
    apart = rom.solve(MU, times=TIMES[:9])
    assert np.allclose(together.trajectory, apart.trajectory, rtol=1e-7, atol=1e-12)
    assert np.allclose(together.dual["stress"], apart.dual["stress"], rtol=1e-6, atol=1e-6)
