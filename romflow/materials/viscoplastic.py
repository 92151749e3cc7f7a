"""J2 elastoviscoplasticity: isotropic and several kinematic hardenings, Norton flow, all temperature dependent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.materials.flow import Layout
from romflow.materials.hardening import isotropic_hardening
from romflow.materials.options import checked_range
from romflow.materials.plastic_step import PlasticStep
from romflow.materials.properties import Properties
from romflow.materials.protocol import PLASTIC, LawAnswer, PointData
from romflow.materials.reference import REFERENCE
from romflow.materials.thermoelastic import moduli

__all__ = ["Viscoplastic"]

Array = NDArray[np.float64]

# Where prepared data keep the constants: no column can have this name.
_CONSTANTS = "the law's constants"


class Viscoplastic:
    """J(s - sum X_a) <= R(p) + K (dp/dt)^(1/n), X_a = 2/3 C_a alpha_a, d alpha_a = d eps_p - D_a alpha_a dp.

    All constants are texts in T and the columns and hold at the end of a step (implicit); the strain is total, so a
    stiffness that changes with T changes the stress of an unmoved point. State: "plastic_strain" (6, engineering
    shear), "accumulated_plastic_strain" p (1), and the hardening strains "kinematic_0" (6), ... alpha_a.

    Parameters
    ----------
    young, poisson, expansion, reference_temperature
        As in :class:`~romflow.materials.thermoelastic.Thermoelastic`.
    isotropic : str, number or table
        R (stress): a text in p, T and the columns, or [[0, R], [p, R], ...] with straight lines between (R may be
        texts).
    kinematic : sequence of {modulus, recovery}
        C (stress) and D (none: 0) of each kinematic hardening.
    viscosity, exponent : str or number, optional
        K (stress time^(1/n)) and n; neither: the flow does not depend on the rate.
    temperature_range : [low, high], optional
        Where the constants hold.
    columns : sequence of str
        Names beside "T" that the texts may use.

    Raises
    ------
    ConfigError
        A text is wrong, a constant breaks its rule, or one of viscosity and exponent is alone.

    Notes
    -----
    Backward Euler; the local equation is that of :mod:`~romflow.materials.flow`. Consistent tangent, with
    N = 3/2 xi / J, xi' = sum 2/3 C D theta^2 alpha, D_n = -dF/d dp:
    K 1 1^T + 2G (1 - 3G dp/J) I_dev - 2G [2G/D_n (N + dp/J (3/2 xi' - (N : xi') N)) - 2G dp/J N] N^T,
    not symmetric where D_a > 0. J. Lemaitre, J.-L. Chaboche, Mechanics of Solid Materials, ch. 5; J. Simo, T. Hughes,
    Computational Inelasticity, 3.3. About 2 microseconds a point with plastic flow and tangent.

    Examples
    --------
    >>> law = Viscoplastic(young=200e3, poisson=0.3, isotropic="200 + 1000 * p")
    >>> strain = np.array([[4e-3], [-1.9e-3], [-1.9e-3], [0.0], [0.0], [0.0]])
    >>> answer = law.integrate(strain, {"T": 20.0}, 1.0, law.initial(1))
    >>> p = answer.state[6, 0]
    >>> bool(abs(abs(answer.stress[0, 0] - answer.stress[1, 0]) - (200 + 1000 * p)) < 1e-9)
    True
    """

    variables: dict[str, int]

    def __init__(self, young: str | float, poisson: str | float, isotropic: Any, expansion: str | float = 0.0,
                 reference_temperature: float = 0.0, kinematic: Sequence[Mapping[str, Any]] = (),
                 viscosity: str | float | None = None, exponent: str | float | None = None,
                 temperature_range: Sequence[float] | None = None, columns: Sequence[str] = ()) -> None:
        if (viscosity is None) != (exponent is None):
            raise ConfigError("the law has only one of viscosity and exponent; give both (Norton flow) or neither "
                              "(rate independent).")
        self.temperature_range = checked_range(temperature_range)
        self._isotropic = isotropic_hardening(isotropic, tuple(columns))
        pairs = [_pair(number, table) for number, table in enumerate(kinematic)]
        texts: dict[str, str | float] = {"young": young, "poisson": poisson, "expansion": expansion,
                                         "reference_temperature": reference_temperature}
        if viscosity is not None and exponent is not None:
            texts |= {"viscosity": viscosity, "exponent": exponent}
        texts |= {f"kinematic {a} modulus": pair[0] for a, pair in enumerate(pairs)}
        texts |= {f"kinematic {a} recovery": pair[1] for a, pair in enumerate(pairs)}
        texts |= {f"isotropic {number}": text for number, text in enumerate(self._isotropic.texts)}
        M = len(pairs)
        self._layout = Layout(M, viscosity is not None, len(self._isotropic.texts))
        self._properties = Properties(texts, columns)
        self._properties.check(("young", "viscosity", "exponent"), self.temperature_range,
                               [name for name in texts if name.startswith("kinematic ")])
        start = {"isotropic at p = 0": self._isotropic.first}
        Properties(start, columns).check((), self.temperature_range, tuple(start))
        self.reads = tuple(name for name in self._properties.used if name != "T")
        self.symmetric = all(_is_zero(recovery) for _, recovery in pairs)
        self.variables = {"plastic_strain": 6, PLASTIC: 1,
                          **{f"kinematic_{a}": 6 for a in range(M)}}
        self._spec: dict[str, Any] = {
            "kind": "viscoplastic", "young": young, "poisson": poisson, "isotropic": isotropic, "expansion": expansion,
            "reference_temperature": reference_temperature,
            "kinematic": [{"modulus": modulus, "recovery": recovery} for modulus, recovery in pairs],
            "viscosity": viscosity, "exponent": exponent,
            "temperature_range": None if self.temperature_range is None else list(self.temperature_range),
            "columns": list(columns)}

    @classmethod
    def example(cls) -> Viscoplastic:
        """The material of the reference problems."""
        return cls.from_spec(REFERENCE)

    def initial(self, points: int) -> Array:
        """State (7 + 6 M, points) without plastic strain."""
        return np.zeros((7 + 6 * self._layout.kinematics, points))

    def prepared(self, data: PointData, points: int) -> PointData:
        """Data whose constants are worked out, for many steps; see `materials.protocol.prepared`."""
        return {_CONSTANTS: self._constants(data, points)}

    def step(self, data: PointData, dt: float, state: Array) -> PlasticStep:
        """A step from state (s, P) that is tried with several strains; see `materials.protocol.step_of`."""
        points = state.shape[1]
        constants = data[_CONSTANTS] if _CONSTANTS in data else self._constants(data, points)
        return PlasticStep(constants, self._layout, self._isotropic, dt, state)

    def integrate(self, strain: Array, data: PointData, dt: float, state: Array, tangent: bool = True) -> LawAnswer:
        """One implicit step to the total strain (6, P) from state (s, P); dt in the unit of the viscosity.

        With dt = 0 a viscous law does not flow. The tangent is worked out when it is read.
        """
        return self.step(data, dt, state)(strain, tangent)

    def to_spec(self) -> dict[str, Any]:
        """The arguments."""
        return dict(self._spec)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Viscoplastic:
        """The law that :meth:`to_spec` described."""
        return cls(**{name: value for name, value in spec.items() if name != "kind"})

    def _constants(self, data: PointData, points: int) -> Array:
        """Rows (Q, points) of the layout."""
        with np.errstate(all="ignore"):
            values = self._properties.values(data, points)
            bulk, twice_shear = moduli(values[0], values[1])
            values[3] = bulk * (3.0 * values[2] * (data["T"] - values[3]))
            values[0], values[1], values[2] = bulk, twice_shear, 1.5 * twice_shear
        return values


def _pair(number: int, table: Any) -> tuple[str | float, str | float]:
    """Modulus and recovery of one kinematic hardening."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"the law's kinematic[{number}] = {shown(table)} is no table; write {{modulus = C, "
                          "recovery = D}.")
    for word in table:
        if word not in ("modulus", "recovery"):
            raise ConfigError(f"the law's kinematic[{number}] has no key {shown(word)}"
                              f"{nearest(str(word), ('modulus', 'recovery'))}")
    if "modulus" not in table:
        raise ConfigError(f"the law's kinematic[{number}] needs the key 'modulus'; add it.")
    return table["modulus"], table.get("recovery", 0.0)


def _is_zero(text: str | float) -> bool:
    return not isinstance(text, str) and float(text) == 0.0
