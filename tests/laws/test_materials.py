"""Laws of viscoplastic materials with any constants: frame indifference, work, and the yield condition."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from romflow.materials.tensors import deviator, mises, rotation
from romflow.materials.viscoplastic import Viscoplastic

_W = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])[:, None]


@st.composite
def materials(draw: st.DrawFn) -> Viscoplastic:
    """A law with up to three kinematic hardenings, viscous or not."""
    kinematic = [{"modulus": draw(st.floats(0.0, 3e5)), "recovery": draw(st.floats(0.0, 2000.0))}
                 for _ in range(draw(st.integers(0, 3)))]
    viscous = {"viscosity": draw(st.floats(0.1, 1e4)), "exponent": draw(st.floats(1.0, 25.0))}
    yields, slope = draw(st.floats(1.0, 500.0)), draw(st.floats(0.0, 1e4))
    return Viscoplastic(young=2e5, poisson=draw(st.floats(0.0, 0.49)), isotropic=f"{yields} + {slope} * p",
                        kinematic=kinematic, **(viscous if draw(st.booleans()) else {}))


def _strains(seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal((6, 12)) * np.logspace(-4, -1.3, 12))


@settings(max_examples=25)
@given(materials(), st.integers(0, 100), st.floats(1e-6, 1e6))
def test_turned_strains_give_turned_answers(law: Viscoplastic, seed: int, dt: float) -> None:
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    strain, turned = law.initial(12), law.initial(12)
    for factor in (0.6, 1.0, -0.4):
        right = law.integrate(factor * _strains(seed), {"T": 20.0}, dt, strain)
        found = law.integrate(rotation(Q, engineering=True) @ (factor * _strains(seed)), {"T": 20.0}, dt, turned)
        scale = np.abs(right.stress).max()
        assert right.converged.all()
        assert np.abs(found.stress - rotation(Q) @ right.stress).max() <= 1e-9 * scale
        strain, turned = right.state, found.state


@settings(max_examples=25)
@given(materials(), st.integers(0, 100), st.floats(1e-6, 1e6))
def test_dissipation_is_never_negative(law: Viscoplastic, seed: int, dt: float) -> None:
    """Stress times plastic rate less what the hardenings store: sigma : d eps_p - sum X_a : d alpha_a >= 0."""
    state = law.initial(12)
    for factor in (0.6, 1.0, -0.4, 0.5):
        answer = law.integrate(factor * _strains(seed), {"T": 20.0}, dt, state)
        change = answer.state - state
        power = (deviator(answer.stress) * change[:6]).sum(axis=0)
        size = mises(answer.stress) * change[6]
        for a, pair in enumerate(law.to_spec()["kinematic"]):
            rows = slice(7 + 6 * a, 13 + 6 * a)
            back = 2 / 3 * pair["modulus"] * answer.state[rows] / _W
            power = power - (back * change[rows]).sum(axis=0)
            size = size + pair["modulus"] * np.abs(answer.state[rows]).max(axis=0) * change[6]
        assert (power >= -1e-9 * size).all()
        state = answer.state
