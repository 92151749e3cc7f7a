"""A material law as cards of CalculiX, where CalculiX has the same law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.core.names import shown
from romflow.fom.mechanics.calculix.inp import number_text
from romflow.materials.protocol import MaterialLaw
from romflow.parameters.expressions import Theta

__all__ = ["finite_strains", "law_cards", "rate_dependent"]

Array = NDArray[np.float64]
_KINDS = ("thermoelastic", "viscoplastic")
# CalculiX 2.20 holds at most 200 points of a hardening curve; dense near p = 0, where curves bend most.
_CURVE = np.linspace(0.0, 1.0, 150) ** 3
_TEMPERATURES = 41
_LINE = 2


def rate_dependent(law: MaterialLaw) -> bool:
    """Whether the law has Norton's viscosity."""
    return law.to_spec().get("viscosity") is not None


def finite_strains(law: MaterialLaw) -> bool:
    """Whether CalculiX must take its finite-strain formulation for this law.

    The linear one of version 2.20 has the sign of kinematic hardening wrong (a bar softens); the other one is right and
    differs from small strains by their size.
    """
    return bool(law.to_spec().get("kinematic"))


def law_cards(law: MaterialLaw, data: Mapping[str, float], temperatures: tuple[float, float]) -> tuple[str, float]:
    """The cards from *MATERIAL on of the material "LAW", and the reference temperature of the law.

    Constants are tables over 41 temperatures from the least to the greatest one, linear between them. Isotropic
    hardening becomes a *PLASTIC table of 150 points up to p = 1; one kinematic hardening without recovery becomes
    HARDENING=KINEMATIC or COMBINED; Norton's flow (overstress / K)^n becomes *CREEP with A = K^-n, which CalculiX
    applies to the stress beyond the yield surface where there is one: the same law.

    Parameters
    ----------
    law : MaterialLaw
    data : mapping of str to float
        What the law reads beside "T".
    temperatures : (least, greatest)

    Raises
    ------
    NotSupported
        The law is of the user's own; it has recovery, several kinematic hardenings, or one together with viscosity.
    """
    spec = law.to_spec()
    kind = spec.get("kind")
    if kind not in _KINDS:
        raise NotSupported(f"CalculiX has no law {shown(kind)}; it can take {' or '.join(_KINDS)}")
    _check(spec)
    table = _Table(spec, data, temperatures)
    reference = float(spec.get("reference_temperature") or 0.0)
    parts = ["*MATERIAL, NAME=LAW\n*ELASTIC\n", table.lines("young", "poisson"),
             f"*EXPANSION, ZERO={number_text(reference)}\n", table.lines("expansion")]
    if kind == "viscoplastic":
        parts += _plastic(table, spec)
        if rate_dependent(law):
            parts += ["*CREEP, LAW=NORTON\n", _creep(table)]
    return "".join(parts), reference


def _check(spec: Mapping[str, Any]) -> None:
    kinematic = spec.get("kinematic") or []
    recovery = [term.get("recovery") for term in kinematic]
    if len(kinematic) > 1 or any(value not in (None, 0, 0.0, "0") for value in recovery):
        raise NotSupported(f"the law has {len(kinematic)} kinematic hardenings with recovery {shown(recovery)}; "
                           "CalculiX has one without: solve it with the model kind \"mechanics\", or give CalculiX "
                           "an `input` with a law of its own")
    if kinematic and spec.get("viscosity") is not None:
        raise NotSupported("the law has kinematic hardening and viscosity; CalculiX has one or the other")


class _Table:
    """Constants of a law at some temperatures."""

    def __init__(self, spec: Mapping[str, Any], data: Mapping[str, float], temperatures: tuple[float, float]) -> None:
        self.spec = spec
        low, high = temperatures
        self.T = np.linspace(low, high, _TEMPERATURES) if high > low else np.array([low])
        self.names = [name for name in spec.get("columns", ()) if name != "T"]
        self.given = np.array([data.get(name, 0.0) for name in self.names])

    def values(self, text: str | float, p: Array | None = None) -> Array:
        """Values of a text (temperatures, points of p)."""
        p = np.zeros(1) if p is None else p
        T, p = (grid.ravel() for grid in np.meshgrid(self.T, p, indexing="ij"))
        rows = np.column_stack([p, T, np.tile(self.given, (T.size, 1))])
        return Theta([text], ["p", "T", *self.names])(rows).reshape(self.T.size, -1)

    def lines(self, *names: str) -> str:
        """One line for each temperature: the constants, then the temperature."""
        columns = [self.values(self.spec.get(name) or 0.0)[:, 0] for name in names]
        return rows_text(np.column_stack([*columns, self.T]))


def _plastic(table: _Table, spec: Mapping[str, Any]) -> list[str]:
    isotropic = spec["isotropic"]
    if isinstance(isotropic, list | tuple):
        p = np.array([row[0] for row in isotropic], dtype=np.float64)
        radius = np.concatenate([table.values(row[1]) for row in isotropic], axis=1)
    else:
        p, radius = _CURVE, table.values(isotropic, _CURVE)
    if np.ptp(radius, axis=1).max() == 0.0:
        p, radius = np.array([0.0, 1.0]), radius[:, :_LINE]
    kinematic = spec.get("kinematic") or []
    if not kinematic:
        return ["*PLASTIC\n", _curves(table.T, p, radius)]
    line = np.array([0.0, 1.0])
    start = radius[:, :1] + table.values(kinematic[0]["modulus"]) * line
    if np.ptp(radius, axis=1).max() == 0.0:
        return ["*PLASTIC, HARDENING=KINEMATIC\n", _curves(table.T, line, start)]
    return ["*PLASTIC, HARDENING=COMBINED\n", _curves(table.T, line, start),
            "*CYCLIC HARDENING\n", _curves(table.T, p, radius)]


def _creep(table: _Table) -> str:
    viscosity = table.values(table.spec["viscosity"])[:, 0]
    exponent = table.values(table.spec["exponent"])[:, 0]
    return rows_text(np.column_stack([viscosity**-exponent, exponent, np.zeros(table.T.size), table.T]))


def _curves(T: Array, p: Array, radius: Array) -> str:
    """Lines stress, plastic strain, temperature; one curve after another."""
    return "".join(rows_text(np.column_stack([row, p, np.full(p.size, t)])) for t, row in zip(T, radius, strict=True))


def rows_text(rows: Array) -> str:
    """Lines of numbers as CalculiX reads them."""
    return "".join(", ".join(map(number_text, row)) + "\n" for row in rows.tolist())
