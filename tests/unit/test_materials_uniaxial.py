"""Uniaxial histories: against an ODE integration of the same equations, and against closed forms."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.materials.making import make_law
from romflow.materials.reference import REFERENCE
from romflow.materials.uniaxial import uniaxial

Array = NDArray[np.float64]

PERIOD = 100.0
END = 1.5 * PERIOD
STEPS = 120


def strain(t: Array) -> Array:
    return np.asarray(4e-3 * np.sin(2 * np.pi * t / PERIOD))


def temperature(t: Array) -> Array:
    return np.asarray(20 + 200 * (1 - np.cos(2 * np.pi * t / PERIOD)))


def constants(T: Array) -> dict[str, Array]:
    """The reference material, written again from its description."""
    t = (np.asarray(T) - 20) / 1000
    return {"E": 200e3 * (1 - 0.3 * t), "al": 1.2e-5 * (1 + 0.2 * t), "R0": 200 * (1 - 0.5 * t),
            "Q": 80 * (1 - 0.3 * t), "C": np.array([60e3 * (1 - 0.4 * t), 8e3 * (1 - 0.4 * t)]),
            "K": 150 * (1 + 0.5 * t), "n": 6 - 2 * t}


def stress_of(t: Array, plastic: Array) -> Array:
    T = temperature(t)
    c = constants(T)
    return np.asarray(c["E"] * (strain(t) - plastic - c["al"] * (T - 20)))


def rates(t: float, y: Array) -> list[float]:
    """d (plastic strain, p, hardening strains) / dt of a bar."""
    c = constants(temperature(np.array(t)))
    over = float(stress_of(np.array(t), y[0])) - float((c["C"] * y[2:]).sum())
    excess = max(abs(over) - c["R0"] - c["Q"] * (1 - np.exp(-10 * y[1])), 0.0)
    dp = float((excess / c["K"]) ** c["n"])
    flow = np.sign(over) * dp
    return [flow, dp, *(flow - np.array([300.0, 30.0]) * y[2:] * dp)]


@pytest.fixture(scope="module")
def integrated() -> tuple[Array, Array]:
    """Stress and p at 25 times by an ODE solver."""
    times = np.linspace(0.0, END, 25)
    found = solve_ivp(rates, (0.0, END), np.zeros(4), method="LSODA", rtol=1e-9, atol=1e-12, t_eval=times, max_step=1.0)
    return stress_of(times, found.y[0]), found.y[1]


@pytest.fixture(scope="module")
def stepped() -> list[tuple[Array, Array]]:
    """Stress and p at the same times by the law, with STEPS and twice as many."""
    law = make_law(REFERENCE)
    found = []
    for steps in (STEPS, 2 * STEPS):
        t = np.linspace(0.0, END, steps + 1)
        history = uniaxial(law, t, strain=strain(t), data={"T": temperature(t)})
        found.append((history.stress[0, :: steps // 24], history.state[6, :: steps // 24]))
    return found


def test_cyclic_strain_and_temperature_against_an_ode_solver(integrated: tuple[Array, Array], stepped: list[tuple[
        Array, Array]], must_fail: Callable[..., None]) -> None:
    right, p = integrated
    size = np.abs(right).max()

    def check(stress: Array) -> None:
        assert np.abs(stress - right).max() / size <= 1e-3

    # The limit of small steps: one extrapolation of the first order.
    best = 2 * stepped[1][0] - stepped[0][0]
    check(best)
    must_fail(check, best + 0.01 * size, best * 1.01, stepped[0][0])
    assert np.abs(2 * stepped[1][1] - stepped[0][1] - p).max() / p[-1] <= 1e-3


def test_error_falls_with_the_first_power_of_the_step(integrated: tuple[Array, Array],
                                                      stepped: list[tuple[Array, Array]]) -> None:
    coarse, fine = (np.abs(stress - integrated[0]).max() for stress, _ in stepped)
    assert 1.8 <= coarse / fine <= 2.2


def test_bilinear_law_has_its_tangent_modulus() -> None:
    E, H, R = 2e5, 1e4, 200.0
    law = make_law({"kind": "viscoplastic", "young": E, "poisson": 0.3, "isotropic": f"{R} + {H} * p"})
    e = np.array([0.0, 5e-4, 2e-3, 5e-3])
    found = uniaxial(law, [0, 1, 2, 3], strain=e)
    slope = E * H / (E + H)
    right = np.where(E * e <= R, E * e, R + slope * (e - R / E))
    np.testing.assert_allclose(found.stress[0], right, rtol=1e-9)
    np.testing.assert_allclose(found.strain[1], found.strain[2], atol=1e-15)
    assert np.abs(found.stress[1:]).max() <= 1e-7


def test_stress_driven_history_is_the_inverse_of_the_strain_driven_one() -> None:
    law = make_law(REFERENCE)
    t, e = np.linspace(0.0, 10.0, 11), np.linspace(0.0, 0.01, 11)
    pulled = uniaxial(law, t, strain=e, data={"T": 300.0 * t / 10})
    loaded = uniaxial(law, t, stress=pulled.stress[0], data={"T": 300.0 * t / 10})
    np.testing.assert_allclose(loaded.strain[0], e, rtol=1e-6, atol=1e-12)


def test_norton_creep_is_exact_at_constant_stress() -> None:
    law = make_law({"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": 0.0, "viscosity": 500.0,
                    "exponent": 4.0})
    t = np.linspace(0.0, 100.0, 6)
    found = uniaxial(law, t, stress=np.where(t > 0, 100.0, 0.0))
    np.testing.assert_allclose(found.strain[0, 1:], 100 / 2e5 + t[1:] * (100 / 500) ** 4, rtol=1e-8)


def test_free_expansion() -> None:
    law = make_law({"kind": "thermoelastic", "young": 2e5, "poisson": 0.3, "expansion": 1e-5,
                    "reference_temperature": 20.0})
    found = uniaxial(law, [0.0, 1.0], stress=[0.0, 0.0], data={"T": [20.0, 120.0]})
    np.testing.assert_allclose(found.strain[:, 1], [1e-3, 1e-3, 1e-3, 0, 0, 0], atol=1e-15)


def test_a_stress_beyond_the_limit_says_when() -> None:
    law = make_law({"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": 200.0})
    with pytest.raises(SolveFailed, match="at time 2 .* beyond what the material carries") as caught:
        uniaxial(law, [0.0, 1.0, 2.0], stress=[0.0, 150.0, 250.0])
    assert caught.value.report["halvings"] == 10
    assert len(caught.value.report["failed_at"]) == 11


def test_wrong_histories() -> None:
    law = make_law(REFERENCE)
    with pytest.raises(InputError, match="either strain or stress"):
        uniaxial(law, [0.0, 1.0])
    with pytest.raises(ShapeError, match="increasing"):
        uniaxial(law, [1.0, 0.0], strain=[0.0, 0.1])
    with pytest.raises(ShapeError, match=r"strain has shape \(3,\)"):
        uniaxial(law, [0.0, 1.0], strain=[0.0, 0.1, 0.2])
    with pytest.raises(InputError, match="T holds values that are not finite"):
        uniaxial(law, [0.0, 1.0], strain=[0.0, 0.1], data={"T": np.nan})
