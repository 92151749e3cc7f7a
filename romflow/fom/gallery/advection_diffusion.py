"""Transport by a uniform wind of any direction, with diffusion: the non-symmetric model of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.gallery.elements import Elements, FreeUnknowns, on_boundary
from romflow.fom.gallery.grids import PLANE_ELEMENTS, check_element, counts, picture_mesh, unit_square
from romflow.fom.gallery.rules import check_columns, check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

STABILITY = ("scm", "inf-sup", "min-theta")


class AdvectionDiffusion(AffineModel):
    """-diffusion lap u + speed (cos angle, sin angle) . grad u = 1 on (0, 1)^2, u = 0 on the boundary.

    Galerkin without stabilisation: where the mesh Peclet number speed * h / (2 * diffusion) exceeds 1, layers that the
    mesh does not resolve show as oscillations. That is the user's choice of cells and parameters, and nothing is said
    at run time: choose cells >= speed / (2 * smallest diffusion).

    The wind terms are skew-symmetric, so that the coercivity constant in the norm of X, the H1_0 semi-product, is
    `diffusion` exactly. Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        "diffusion" (positive) and "angle" (radians), in any order.
    cells : int or [int, int]
        Rectangles along x and y.
    element : {"P1", "Q1"}
        Linear triangles (four to a rectangle), or bilinear rectangles.
    speed : float
        Length of the wind, from 0.
    stability : {"scm", "inf-sup", "min-theta"}
        How the lower bound of the stability constant is found: successive constraints on the coercivity or on the
        inf-sup constant, or min-theta over the terms whose symmetric part is not zero.

    Raises
    ------
    ConfigError
        An option is wrong, the parameters are others, or diffusion can be zero or negative.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("diffusion", Uniform(0.1, 1.0)), Parameter("angle", Uniform(0.0, 1.5))])
    >>> model = AdvectionDiffusion(space, cells=8)
    >>> model.n, model.symmetric
    (113, False)
    """

    def __init__(self, parameters: ParameterSpace, cells: int | Sequence[int] = 64, element: str = "P1",
                 speed: float = 1.0, stability: str = "scm") -> None:
        grid = counts(cells, 2, "cells", least=1 if element == "P1" else 2)
        check_element(element, PLANE_ELEMENTS)
        check_columns("advection-diffusion", parameters, ("diffusion", "angle"))
        check_positive("advection-diffusion", parameters, ("diffusion",))
        speed = _speed(speed)
        if stability not in STABILITY:
            raise ConfigError(f"no stability bound is called {shown(stability)}{nearest(str(stability), STABILITY)}")
        elements = Elements(unit_square(element, grid))
        unknowns = FreeUnknowns(elements.vertices, on_boundary(elements.mesh))
        columns = parameters.columns
        one = Theta(["1"], columns)
        diffusion = unknowns.matrix(elements.stiffness(), symmetric=True)
        wind = [_skew(unknowns.matrix(elements.advection(direction))) for direction in (0, 1)]
        theta = Theta(["diffusion", f"{speed!r} * cos(angle)", f"{speed!r} * sin(angle)"], columns)
        load = unknowns.vector(elements.load())
        super().__init__(
            parameters, AffineOperator(theta, [diffusion, *wind]), AffineVector(one, load[:, None]), diffusion,
            AffineOutputs(["average"], one, load[None, None]),
            spec={"kind": "advection-diffusion", "cells": list(grid), "element": element, "speed": speed},
            norm="H1_0 semi-norm", stability=_stability(stability, columns),
            mesh=picture_mesh(elements.mesh, unknowns.nodal))


def _speed(speed: Any) -> float:
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.0 <= speed < np.inf:
        raise ConfigError(f"speed = {shown(speed)} is not a finite number from 0; the angle gives the direction")
    return float(speed)


def _skew(A: Any) -> Any:
    """(A - A^T) / 2: with u = 0 on the boundary the symmetric part of the wind term is rounding."""
    return 0.5 * (A - A.T)


def _stability(kind: str, columns: Sequence[str]) -> dict[str, Any]:
    if kind != "min-theta":
        return {"kind": kind}
    return {"kind": kind, "reference": [1.0 if name == "diffusion" else 0.0 for name in columns]}
