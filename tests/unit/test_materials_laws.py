"""Thermo-elasticity and viscoplasticity: what they promise at single steps, their texts, tables and complaints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.materials.hardening import isotropic_hardening
from romflow.materials.making import law_from_spec, law_spec, make_law
from romflow.materials.properties import Properties
from romflow.materials.protocol import MaterialLaw, check_temperature, rows_of, state_size
from romflow.materials.reference import REFERENCE
from romflow.materials.tensors import deviator, mises, trace
from romflow.materials.uniaxial import uniaxial

Array = NDArray[np.float64]

SIMPLE: dict[str, Any] = {"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": "200 + 1000 * p"}
RATE_FREE = {key: value for key, value in REFERENCE.items() if key not in ("viscosity", "exponent")}
_W = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])[:, None]


def _strains(points: int, size: float = 8e-3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((6, points)) * size


def _loaded(law: MaterialLaw, points: int, dt: float = 1.0) -> tuple[Array, dict[str, Array], Array]:
    """(next strain, data, state) of points that have flowed."""
    data = {"T": np.linspace(20.0, 520.0, points)}
    strain = _strains(points)
    state = law.initial(points)
    for factor in (0.5, 1.0):
        state = law.integrate(factor * strain, data, dt, state).state
    return -0.3 * strain + _strains(points, 2e-3, 1), data, state


def test_elastic_stress_is_that_of_lame() -> None:
    law = make_law({"kind": "thermoelastic", "young": 2e5, "poisson": 0.3, "expansion": 1e-5,
                    "reference_temperature": 20})
    strain = _strains(5)
    lame, shear = 2e5 * 0.3 / (1.3 * 0.4), 2e5 / 2.6
    one = np.array([1.0, 1, 1, 0, 0, 0])[:, None]
    right = lame * trace(strain) * one + 2 * shear * strain / _W - 2e5 / 0.4 * 1e-5 * 100 * one
    answer = law.integrate(strain, {"T": 120.0}, 1.0, law.initial(5))
    np.testing.assert_allclose(answer.stress, right, rtol=1e-13)
    assert answer.tangent is not None
    np.testing.assert_allclose(np.einsum("ijp,jp->ip", answer.tangent, strain),
                               right + 2e5 / 0.4 * 1e-5 * 100 * one, rtol=1e-12, atol=1e-9)
    assert make_law(SIMPLE).integrate(strain * 1e-3, {"T": 0.0}, 1.0, np.zeros((7, 5))).state.max() == 0.0


@pytest.mark.parametrize("dt", [1e-2, 1.0, 1e3])
def test_tangent_is_that_of_differences(dt: float, must_fail: Callable[..., None]) -> None:
    law = make_law(REFERENCE)
    strain, data, state = _loaded(law, 60, dt)
    answer = law.integrate(strain, data, dt, state)
    h, found = 1e-7, np.empty((6, 6, 60))
    for j, unit in enumerate(np.eye(6)[:, :, None]):
        above, below = (law.integrate(strain + s * h * unit, data, dt, state, False).stress for s in (1, -1))
        found[:, j] = (above - below) / (2 * h)

    def check(tangent: Array) -> None:
        error = np.linalg.norm(tangent - found, axis=(0, 1)) / np.linalg.norm(found, axis=(0, 1))
        assert error.max() <= 1e-7

    assert answer.tangent is not None
    check(answer.tangent)
    must_fail(check, answer.tangent * (1 + 1e-6), answer.tangent * (1 - 1e-6), answer.tangent.swapaxes(0, 1))


@pytest.mark.parametrize("spec", [REFERENCE, RATE_FREE, SIMPLE], ids=["viscous", "rate independent", "isotropic"])
def test_a_step_satisfies_the_equations_it_was_made_from(spec: dict[str, Any], must_fail: Callable[..., None]) -> None:
    """Flow rule, hardening rules and yield condition of the answer, from the stress and the state alone."""
    law, dt = make_law(spec), 3.0
    strain, data, state = _loaded(law, 40, dt)
    answer = law.integrate(strain, data, dt, state)
    t = (data["T"] - 20) / 1000
    rows = {name: rows_of(law, name) for name in law.variables}
    alphas = [name for name in rows if name.startswith("kinematic")]
    C = [m * (1 - 0.4 * t) for m in (60e3, 8e3)]
    over = deviator(answer.stress) - sum((2 / 3 * c * answer.state[rows[a]] / _W for c, a in
                                         zip(C, alphas, strict=False)), 0.0)
    J = np.sqrt(1.5 * (_W * over**2).sum(axis=0))
    change = answer.state - state
    dp, p = change[6], answer.state[6]
    R = 200 + 1000 * p if spec is SIMPLE else 200 * (1 - 0.5 * t) + 80 * (1 - 0.3 * t) * (1 - np.exp(-10 * p))
    drag = 150 * (1 + 0.5 * t) * (dp / dt) ** (1 / (6 - 2 * t)) if spec is REFERENCE else 0.0

    def check(radius: Array) -> None:
        gap = np.where(dp > 0, J - radius - drag, np.maximum(J - radius, 0.0))
        assert np.abs(gap).max() <= 1e-9 * J.max()

    assert 0.3 < (dp > 0).mean()
    check(R)
    must_fail(check, R * (1 + 1e-8), R * (1 - 1e-8))
    np.testing.assert_allclose(change[:6], dp * 1.5 * over / J * _W, atol=1e-15)
    for a, D in zip(alphas, (300.0, 30.0), strict=False):
        np.testing.assert_allclose(change[rows[a]], change[:6] - D * answer.state[rows[a]] * dp, atol=1e-15)


def test_stiffness_that_changes_with_temperature_changes_the_stress_of_an_unmoved_point() -> None:
    law = make_law({**SIMPLE, "young": "2e5 - 100 * T"})
    strain = _strains(3, 1e-4)
    cold, hot = (law.integrate(strain, {"T": T}, 1.0, law.initial(3)).stress for T in (0.0, 500.0))
    np.testing.assert_allclose(hot, 0.75 * cold, rtol=1e-12)


def test_many_points_are_the_same_as_few() -> None:
    """Beyond a block, and where most points are done before the others."""
    law = make_law(REFERENCE)
    strain, data, state = _loaded(law, 5000)
    answer = law.integrate(strain, data, 1.0, state)
    some = np.array([4999, 2048, 2047, 0, 100])
    few = law.integrate(strain[:, some], {"T": data["T"][some]}, 1.0, state[:, some])
    assert answer.tangent is not None and few.tangent is not None
    for found, right in ((few.stress, answer.stress[:, some]), (few.tangent, answer.tangent[:, :, some]),
                         (few.state, answer.state[:, some])):
        np.testing.assert_allclose(found, right, rtol=1e-13, atol=1e-13 * np.abs(right).max())


@pytest.mark.parametrize("size", [1e-4, 1e-2, 2.0])
def test_every_step_is_solved(size: float) -> None:
    for spec in (REFERENCE, RATE_FREE, {**SIMPLE, "viscosity": 50, "exponent": 20.0}, {**SIMPLE, "isotropic": 0.0,
                 "viscosity": 300, "exponent": 5}, {**SIMPLE, "isotropic": "100 + 100 * exp(-20 * p)"}):
        law = make_law(spec)
        for dt in (1e-8, 1e-2, 1e2, 1e9):
            state = law.initial(200)
            for seed in range(3):
                answer = law.integrate(_strains(200, size, seed), {"T": np.linspace(20, 920, 200)}, dt, state)
                assert answer.converged.all()
                assert (answer.state[6] >= state[6]).all()
                state = answer.state


def test_no_flow_in_no_time() -> None:
    law = make_law(REFERENCE)
    answer = law.integrate(_strains(4), {"T": 20.0}, 0.0, law.initial(4))
    assert answer.state.max() == 0.0 and answer.converged.all()
    free = make_law(RATE_FREE)
    assert free.integrate(_strains(4), {"T": 20.0}, 0.0, free.initial(4)).state[6].min() > 0.0


def test_table_is_the_text_of_its_lines() -> None:
    table = make_law({**SIMPLE, "isotropic": [[0, 200], [0.002, "240 + T / 10"], [0.01, 300]]})
    text = make_law({**SIMPLE, "isotropic": "200 + (40 + T / 10) * min(p, 0.002) / 0.002"
                                            " + (60 - T / 10) * (min(max(p, 0.002), 0.01) - 0.002) / 0.008"})
    strain = _strains(50)
    one, other = (law.integrate(strain, {"T": 100.0}, 1.0, law.initial(50)) for law in (table, text))
    assert one.state[6].max() > 0.01 and (one.state[6] < 0.01).any()
    np.testing.assert_allclose(one.stress, other.stress, rtol=1e-10, atol=1e-8)


def test_parameters_and_amplitudes_in_texts() -> None:
    law = make_law({**SIMPLE, "young": "E * 1e3", "isotropic": "R0 * (1 + a) + H * p"}, columns=["E", "R0", "H", "a"])
    assert set(law.reads) == {"E", "R0", "H", "a"}
    right = make_law({**SIMPLE, "young": 1.9e5, "isotropic": "330 + 500 * p"})
    strain = _strains(6)
    data = {"T": 0.0, "E": np.full(6, 190.0), "R0": 300.0, "H": 500.0, "a": 0.1}
    np.testing.assert_allclose(law.integrate(strain, data, 1.0, law.initial(6)).stress,
                               right.integrate(strain, {"T": 0.0}, 1.0, right.initial(6)).stress, rtol=1e-13)
    with pytest.raises(ShapeError, match="reads 'H', which is not given"):
        law.integrate(strain, {key: data[key] for key in ("T", "E", "R0", "a")}, 1.0, law.initial(6))


def test_hardening_evaluates_only_what_changes() -> None:
    law = isotropic_hardening(REFERENCE["isotropic"], [])
    assert all("p" not in str(text).replace("exp", "") for text in law.texts)
    rows = Properties({str(n): text for n, text in enumerate(law.texts)}, []).values({"T": np.full(3, 20.0)}, 3)
    p = np.array([0.0, 0.01, 0.1])
    radius, slope = law.both(p, rows)
    np.testing.assert_allclose(radius, 200 + 80 * (1 - np.exp(-10 * p)))
    np.testing.assert_allclose(slope, 800 * np.exp(-10 * p))


def test_description_makes_an_equal_law() -> None:
    law = make_law({**REFERENCE, "young": "E * 1e3"}, columns=["E"])
    again = law_from_spec(json.loads(json.dumps(law_spec(law))))
    assert again.to_spec() == law.to_spec() and again.reads == ("E",)


def test_a_users_law_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from romflow.materials.viscoplastic import Viscoplastic\n\n"
                                      "class Mine(Viscoplastic):\n    pass\n", encoding="utf-8")
    law = make_law({**SIMPLE, "kind": "mine.py:Mine"}, base=tmp_path)
    assert type(law).__name__ == "Mine" and state_size(law) == 7
    spec = law_spec(law)
    assert Path(spec["kind"].rpartition(":")[0]).is_file()
    assert type(law_from_spec(spec)).__name__ == "Mine"
    (tmp_path / "none.py").write_text("class None_:\n    pass\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is no material law: it has no variables"):
        make_law({"kind": "none.py:None_"}, base=tmp_path)


def test_mises() -> None:
    stress = _strains(20, 100.0)
    np.testing.assert_allclose(mises(stress), np.sqrt(1.5 * (_W * deviator(stress) ** 2).sum(axis=0)))


@pytest.mark.parametrize(("change", "words"), [
    ({"kind": "viscoplastc"}, "no law is called 'viscoplastc'.*Did you mean 'viscoplastic'"),
    ({"young": "2e5 * x"}, "the law's young: .*no parameter is called 'x'"),
    ({"young": -1.0}, "young = '-1.0' is -1; it must be above zero"),
    ({"young": "2e5 - 300 * T", "temperature_range": [0, 900]}, "young .* at T = 675; it must be above zero"),
    ({"poisson": 0.5}, "poisson .* above -1 and under 0.5"),
    ({"viscosity": 10.0}, "only one of viscosity and exponent"),
    ({"isotropic": "200 + q"}, "the law's isotropic: .*'q'"),
    ({"isotropic": [[0, 200]]}, "at least two rows"),
    ({"isotropic": [[0.1, 200], [0.2, 300]]}, "start at 0 and increase"),
    ({"isotropic": [[0, 200], [0, 300]]}, "start at 0 and increase"),
    ({"kinematic": [{"modul": 1}]}, r"kinematic\[0\] has no key 'modul'"),
    ({"kinematic": [{"recovery": 1}]}, "needs the key 'modulus'"),
    ({"temperature_range": [900, 20]}, "write \\[low, high\\] with low < high"),
    ({"hardening": 1}, "no key 'hardening'"),
])
def test_wrong_laws(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_law({**SIMPLE, **change})


def test_a_parameter_may_not_be_called_p() -> None:
    with pytest.raises(ConfigError, match="called 'p'.*rename the parameter"):
        make_law(SIMPLE, columns=["p"])


def test_temperatures_in_the_wrong_unit() -> None:
    law = make_law({**REFERENCE, "temperature_range": [20, 900]})
    check_temperature(law, [20.0, 900.0])
    with pytest.raises(ParameterError, match=r"field reaches 1100.*\[20, 900\]; is it in kelvin"):
        check_temperature(law, [[300.0], [1100.0]], "the temperature field")
    with pytest.raises(ParameterError, match="check its unit"):
        check_temperature(law, 5000.0)
    with pytest.raises(ParameterError, match="not finite at 1 places"):
        check_temperature(law, [np.nan, 20.0])
    warm = make_law({**SIMPLE, "temperature_range": [293.0, 1200.0]})
    with pytest.raises(ParameterError, match="is it in degrees Celsius where"):
        check_temperature(warm, [25.0, 600.0])


@pytest.mark.parametrize(("text", "exponent"), [("200 + 500 * p ** 0.3", 0.3), ("200 + 500 * sqrt(p)", 0.5),
                                                ("200 + 500 * p ** (0.3 + 0 * T)", 0.3)])
def test_powers_of_the_plastic_strain_harden_from_zero(text: str, exponent: float, must_fail: Any) -> None:
    law = make_law({"kind": "viscoplastic", "young": 200e3, "poisson": 0.3, "isotropic": text})
    t = np.linspace(0.0, 1.0, 11)
    found = uniaxial(law, t, strain=0.02 * t, data={"T": 20.0}).stress[0, -1]

    def on_the_curve(stress: float) -> None:
        # The plastic strain of tension is 0.02 - stress / E.
        assert abs(stress - 200.0 - 500.0 * (0.02 - stress / 200e3) ** exponent) <= 1e-9 * stress

    on_the_curve(float(found))
    must_fail(on_the_curve, found * (1.0 + 1e-8), found * (1.0 - 1e-8))


@pytest.mark.parametrize(("change", "words"), [
    ({"isotropic": "-5"}, "isotropic at p = 0 = '-5.0' is -5; it must be zero or above"),
    ({"isotropic": [[0, -2.0], [0.1, 3.0]]}, "isotropic at p = 0"),
    ({"isotropic": "100 - T", "temperature_range": [0, 200]}, "at T = 106.25"),
    ({"kinematic": [{"modulus": -1e3}]}, "kinematic 0 modulus = '-1000"),
    ({"kinematic": [{"modulus": 1e3, "recovery": -1}]}, "kinematic 0 recovery"),
    ({"kinematic": {"modulus": 1}}, "recovery = D}[.]")])
def test_constants_below_zero_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_law({"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": "200", **change})
