"""The sums of `romflow.rom.evolution_bounds`, step by step in the body of a march."""

from __future__ import annotations

import numpy as np

from romflow.export.program.builder import Body, Builder, Value
from romflow.export.program.stability import ratio

__all__ = ["EnergySum", "PlainSum"]


class EnergySum:
    """E_k^2 = ||e^0||_M^2 + sum_{j<=k} dt_j ||r^j||^2 / alpha_j; see `romflow.rom.evolution_bounds.energy_errors`.

    Attributes
    ----------
    first_total, first_mass, first_space : Value
        The errors at the first time, outside the march.
    total, in_mass, in_space : Value
        At the end of a step, in the body.
    following : dict
        The states that sum up.
    """

    def __init__(self, builder: Builder, body: Body, first: Value, dt: Value, square: Value, first_alpha: Value,
                 alpha: Value) -> None:
        energy = body.state("energy", first) + dt * ratio(body, square, alpha)
        least = body.minimum(body.state("least_alpha", first_alpha), alpha)
        weight = dt * alpha
        self.first_total = ratio(builder, first, first_alpha).sqrt()
        self.first_mass, self.first_space = first.sqrt(), builder.constant(np.inf)
        self.total, self.in_mass = ratio(body, energy, least).sqrt(), energy.sqrt()
        self.in_space = body.select(weight, energy / weight, np.inf).sqrt()
        self.following = {"energy": energy, "least_alpha": least}


class PlainSum:
    """||e^0||_M + sum_{j<=k} dt_j ||r^j||; see `romflow.rom.evolution_bounds.summed_errors`."""

    def __init__(self, builder: Builder, body: Body, first: Value, dt: Value, square: Value) -> None:
        at = body.state("error_now", first.sqrt()) + dt * square.sqrt()
        total = body.state("total_square", 0.0) + dt * at.square()
        self.first_total = builder.constant(0.0)
        self.first_mass = self.first_space = first.sqrt()
        self.total, self.in_mass, self.in_space = total.sqrt(), at, at
        self.following = {"error_now": at, "total_square": total}
