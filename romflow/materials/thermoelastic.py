"""Linear thermo-elasticity: stress = C(T) (strain - expansion), without memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.materials.options import checked_range
from romflow.materials.properties import Properties
from romflow.materials.protocol import LawAnswer, PointData
from romflow.materials.tensors import SHEAR

__all__ = ["Thermoelastic"]

Array = NDArray[np.float64]


class Thermoelastic:
    """sigma = K tr(e) 1 + 2 G dev(e) with e = eps - expansion (T - T0) 1, all constants texts in T and parameters.

    Parameters
    ----------
    young, poisson : str or number
        E (stress) and nu.
    expansion : str or number
        Secant coefficient of thermal expansion (1/temperature) from the reference temperature.
    reference_temperature : number
        T0, at which the unloaded material has no strain.
    temperature_range : [low, high], optional
        Where the constants hold.
    columns : sequence of str
        Names beside "T" that the texts may use.

    Raises
    ------
    ConfigError
        A text is wrong, or a constant breaks its rule.

    Examples
    --------
    >>> law = Thermoelastic(young=200e3, poisson=0.25)
    >>> strain = np.array([[1e-3], [0.0], [0.0], [0.0], [0.0], [0.0]])
    >>> law.integrate(strain, {"T": 20.0}, 1.0, law.initial(1)).stress.ravel().round(9)
    array([240.,  80.,  80.,   0.,   0.,   0.])
    """

    variables: dict[str, int]
    symmetric = True

    def __init__(self, young: str | float, poisson: str | float, expansion: str | float = 0.0,
                 reference_temperature: float = 0.0, temperature_range: Sequence[float] | None = None,
                 columns: Sequence[str] = ()) -> None:
        self.variables = {}
        self.temperature_range = checked_range(temperature_range)
        self._properties = Properties({"young": young, "poisson": poisson, "expansion": expansion,
                                       "reference_temperature": reference_temperature}, columns)
        self._properties.check(("young",), self.temperature_range)
        self.reads = tuple(name for name in self._properties.used if name != "T")
        self._spec: dict[str, Any] = {
            "kind": "thermoelastic", "young": young, "poisson": poisson, "expansion": expansion,
            "reference_temperature": reference_temperature,
            "temperature_range": None if self.temperature_range is None else list(self.temperature_range),
            "columns": list(columns)}

    @classmethod
    def example(cls) -> Thermoelastic:
        """A steel, in MPa and degrees Celsius."""
        return cls(young="210e3 - 60 * T", poisson=0.3, expansion=1.2e-5, reference_temperature=20.0)

    def initial(self, points: int) -> Array:
        """No state: (0, points)."""
        return np.zeros((0, points))

    def integrate(self, strain: Array, data: PointData, dt: float, state: Array, tangent: bool = True) -> LawAnswer:
        """Stress and tangent at strain (6, P); the state (0, P) passes through."""
        points = strain.shape[1]
        with np.errstate(all="ignore"):
            young, poisson, expansion, start = self._properties.values(data, points)
            bulk, twice_shear = moduli(young, poisson)
            volume = strain[0] + strain[1] + strain[2]
            stress = strain * twice_shear
            stress[SHEAR] *= 0.5
            pressure = bulk * (volume - 3.0 * expansion * (data["T"] - start))
            stress[:3] += pressure - twice_shear * volume / 3.0
        slopes = elastic_tangent(np.zeros((6, 6, points)), bulk, twice_shear) if tangent else None
        converged: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(stress))
        return LawAnswer(stress, np.array(state), slopes, converged)

    def to_spec(self) -> dict[str, Any]:
        """The arguments."""
        return dict(self._spec)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Thermoelastic:
        """The law that :meth:`to_spec` described."""
        return cls(**{name: value for name, value in spec.items() if name != "kind"})


def moduli(young: Array, poisson: Array) -> tuple[Array, Array]:
    """Bulk modulus K = E / (3 - 6 nu) and twice the shear modulus, 2 G = E / (1 + nu)."""
    return young / (3.0 - 6.0 * poisson), young / (1.0 + poisson)


def elastic_tangent(into: Array, bulk: Array, twice_shear: Array) -> Array:
    """Add K 1 1^T + 2 G I_dev to tangents (6, 6, P) in place, and return them."""
    into[:3, :3] += bulk - twice_shear / 3.0
    flat = into.reshape(36, -1)  # a view: the first two axes are one even after a cut of the last
    flat[0:15:7] += twice_shear
    flat[21::7] += 0.5 * twice_shear
    return into
