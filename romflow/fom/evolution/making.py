"""A stationary model set in motion: M du/dt + A(mu) u = load(mu, t) f(mu)."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp

from romflow.core.errors import NotSupported
from romflow.fom.affine_terms import AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.parameters.timed import loaded

__all__ = ["evolving"]


def evolving(model: Any, mass: sp.csr_array | None, time: TimeGrid) -> EvolutionModel:
    """The evolution model of an affine model with this mass matrix, at rest at time 0, in the model's own norm.

    Parameters
    ----------
    model : AffineModel
    mass : sparse (n, n) or None
    time : TimeGrid
        Its load multiplies the right-hand side.

    Raises
    ------
    NotSupported
        There is no mass matrix.
    """
    if mass is None:
        raise NotSupported(f"{type(model).__name__} has no mass matrix, without which it cannot move in time; give "
                           "mass = M (n, n), or leave out [time]")
    rhs = AffineVector(loaded(model.rhs.theta, time.load, model.parameters.columns), model.rhs.vectors)
    return EvolutionModel(model.parameters, mass, model.operator, rhs, model.inner_product, time,
                          outputs=model.outputs, spec=model.spec, norm=model.norm, stability=model.stability,
                          mesh=model.mesh)
