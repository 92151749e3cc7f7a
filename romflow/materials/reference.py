"""The elastoviscoplastic material of the reference problems: all constants depend on the temperature."""

from __future__ import annotations

from typing import Any

__all__ = ["REFERENCE"]

_T = "((T - 20) / 1000)"

#: Options of :class:`~romflow.materials.viscoplastic.Viscoplastic` in MPa, s and degrees Celsius: two kinematic
#: hardenings with recovery, one exponential isotropic hardening, Norton flow.
REFERENCE: dict[str, Any] = {
    "kind": "viscoplastic",
    "young": f"200e3 * (1 - 0.3 * {_T})",
    "poisson": 0.3,
    "expansion": f"1.2e-5 * (1 + 0.2 * {_T})",
    "reference_temperature": 20.0,
    "isotropic": f"200 * (1 - 0.5 * {_T}) + 80 * (1 - 0.3 * {_T}) * (1 - exp(-10 * p))",
    "kinematic": [
        {"modulus": f"60e3 * (1 - 0.4 * {_T})", "recovery": 300.0},
        {"modulus": f"8e3 * (1 - 0.4 * {_T})", "recovery": 30.0},
    ],
    "viscosity": f"150 * (1 + 0.5 * {_T})",
    "exponent": f"6 - 2 * {_T}",
    "temperature_range": [0.0, 1000.0],
}
