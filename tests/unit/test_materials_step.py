"""Steps of laws that are tried with several strains, data that are prepared, and figures that must stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from romflow.materials.making import make_law
from romflow.materials.protocol import LawAnswer, prepared, step_of
from romflow.materials.reference import REFERENCE
from romflow.rom.mechanics.model import MechanicsReducedModel
from tests.toy_reduced_mechanics import history, reduced, with_law

LINEAR = {"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": [[0, 200], [0.01, 300], [0.1, 400]],
          "kinematic": [{"modulus": 2e4}]}
RATE_FREE = {key: value for key, value in REFERENCE.items() if key not in ("viscosity", "exponent")}
STRAIN = np.array([[4e-3, -1e-3, 2e-3, 5e-4], [-1e-3, 3e-3, -2e-3, 0.0], [0.0, 1e-3, 1e-3, 0.0],
                   [1e-3, -4e-3, 0.0, 2e-4], [2e-3, 0.0, 1e-3, 0.0], [0.0, 1e-3, -3e-3, 0.0]])
DATA = {"T": np.array([20.0, 150.0, 400.0, 600.0])}


def loaded(law: Any) -> np.ndarray:
    """A state with plastic flow behind it, at three of four points."""
    state = law.initial(4)
    for factor in (0.5, 1.0, 0.3, -0.4):
        state = law.integrate(factor * STRAIN, DATA, 5.0, state).state
    return np.asarray(state)


def test_the_reference_material_gives_the_figures_it_always_gave(must_fail: Callable[..., None]) -> None:
    law = make_law(REFERENCE)

    def check(answer: LawAnswer) -> None:
        assert answer.tangent is not None
        np.testing.assert_allclose(answer.stress[0], [-652.409887378642, -1073.3905189797572, -2407.4905968946455,
                                                      -3307.992756923077], rtol=1e-12)
        np.testing.assert_allclose(answer.state[6], [0.00529304204769052, 0.00534785629461517, 0.00475590019246118,
                                                     0.0], rtol=1e-12)
        np.testing.assert_allclose(answer.tangent[0, 0], [187661.9207588623, 195756.31446417095, 183170.4484815883,
                                                          222384.61538461538], rtol=1e-8)

    check(law.integrate(-0.9 * STRAIN, DATA, 5.0, loaded(law)))
    must_fail(check, law.integrate(-0.9 * STRAIN * (1.0 + 1e-9), DATA, 5.0, loaded(law)))


@pytest.mark.parametrize("spec", [REFERENCE, RATE_FREE, LINEAR])
def test_answers_of_one_step_are_those_of_single_ones(spec: dict[str, Any], must_fail: Callable[..., None]) -> None:
    law = make_law(spec)
    state = loaded(law)
    step = step_of(law, prepared(law, DATA, 4), 5.0, state)

    def check(factor: float, other: float) -> None:
        found, alone = step(factor * STRAIN, True), law.integrate(other * STRAIN, DATA, 5.0, state)
        assert found.converged.all() and found.tangent is not None and alone.tangent is not None
        np.testing.assert_allclose(found.stress, alone.stress, rtol=1e-11, atol=1e-9)
        np.testing.assert_allclose(found.state, alone.state, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(found.tangent, alone.tangent, rtol=1e-7, atol=1e-2)

    # Far from the last one, near it, elastic, back, and much further.
    for factor in (-0.9, -0.901, 0.1, 1.4, 1.4, -30.0, -0.5):
        check(factor, factor)
    must_fail(lambda pair: check(*pair), (1.4, 1.4 + 1e-7))
    assert step(STRAIN, False).tangent is None


def test_a_tangent_is_worked_out_once_and_only_when_read() -> None:
    calls = []

    def tangent() -> np.ndarray:
        calls.append(1)
        return np.ones((6, 6, 1))

    answer = LawAnswer(np.zeros((6, 1)), np.zeros((0, 1)), tangent, np.ones(1, dtype=bool))
    assert not calls
    assert answer.tangent is answer.tangent and len(calls) == 1


class Plain:
    """A law that has integrate alone."""

    def __init__(self, law: Any) -> None:
        self.law, self.variables, self.initial = law, law.variables, law.initial
        self.symmetric, self.temperature_range, self.reads = law.symmetric, law.temperature_range, ("pull",)

    def integrate(self, strain: np.ndarray, data: Any, dt: float, state: np.ndarray, tangent: bool = True) -> LawAnswer:
        assert np.shape(data["pull"]) == np.shape(data["T"]) == strain.shape[1:]
        return self.law.integrate(strain, data, dt, state, tangent)


def test_reduced_models_run_with_laws_that_have_integrate_alone() -> None:
    rom: MechanicsReducedModel = replace(reduced(history()), tolerance=1e-11)
    draws, times = np.array([[1.0, 1.0], [2.0, 0.7]]), np.linspace(0.0, 60.0, 13)
    one, two = rom.solve(draws, times=times), with_law(rom, Plain(rom.law)).solve(draws, times=times)
    np.testing.assert_allclose(one.trajectory, two.trajectory, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(one.dual["stress"], two.dual["stress"], rtol=1e-8, atol=1e-6)
