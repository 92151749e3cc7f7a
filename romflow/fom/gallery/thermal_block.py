"""Heat conduction in a square of blocks, each with its own conductivity: the standard test of reduced basis methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.gallery.elements import Elements, FreeUnknowns, on_boundary
from romflow.fom.gallery.grids import PLANE_ELEMENTS, check_element, counts, picture_mesh, unit_square
from romflow.fom.gallery.rules import check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace


class ThermalBlock(AffineModel):
    """-div(d grad u) = 1 on (0, 1)^2, u = 0 on the boundary, d = mu_q on block q = ix + iy * blocks[0].

    The coefficient of an element is that of the block of its centroid (on an interface: the block to the right, or
    above). A(mu) = sum_q mu_q A_q; X is the H1_0 semi-product, which is A at mu = 1, so that min_q mu_q bounds the
    coercivity constant from below (min-theta). Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        One positive conductivity a block, in the order of q.
    blocks : int or [int, int]
        Blocks along x and y.
    cells : int or [int, int]
        Rectangles along x and y.
    element : {"Q1", "P1"}
        Bilinear rectangles, or linear triangles (four to a rectangle).

    Raises
    ------
    ConfigError
        An option is wrong, the number of parameters is not the number of blocks, a block holds no element, or a
        conductivity can be zero or negative.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    >>> model = ThermalBlock(space, blocks=[2, 2], cells=8)
    >>> model.n, model.solve(np.ones(4)).outputs.round(4)
    (49, array([0.0343]))
    """

    def __init__(self, parameters: ParameterSpace, blocks: int | Sequence[int] = (3, 3),
                 cells: int | Sequence[int] = 99, element: str = "Q1") -> None:
        shape = counts(blocks, 2, "blocks")
        grid = counts(cells, 2, "cells", least=1 if element == "P1" else 2)
        check_element(element, PLANE_ELEMENTS)
        _check_parameters(parameters, shape)
        elements = Elements(unit_square(element, grid))
        unknowns = FreeUnknowns(elements.vertices, on_boundary(elements.mesh))
        theta = Theta(list(parameters.columns), parameters.columns)
        one = Theta(["1"], parameters.columns)
        operator = AffineOperator(theta, _terms(elements, unknowns, shape))
        load = unknowns.vector(elements.load())
        super().__init__(
            parameters, operator, AffineVector(one, load[:, None]), operator.assemble(np.ones(parameters.size)),
            AffineOutputs(["average"], one, load[None, None]),
            spec={"kind": "thermal-block", "blocks": list(shape), "cells": list(grid), "element": element},
            norm="H1_0 semi-norm", stability={"kind": "min-theta", "reference": [1.0] * parameters.size},
            mesh=picture_mesh(elements.mesh, unknowns.nodal))


def _terms(elements: Elements, unknowns: FreeUnknowns, shape: tuple[int, ...]) -> list[Any]:
    local = elements.stiffness()
    # Centroids on an interface must not be sent left or right by rounding.
    index = np.minimum(np.floor(elements.centroids * shape + 1e-9).astype(int), np.array(shape) - 1)
    block = index[:, 0] + index[:, 1] * shape[0]
    terms = []
    for q in range(shape[0] * shape[1]):
        inside = np.flatnonzero(block == q)
        if inside.size == 0:
            raise ConfigError(f"block {q} of blocks = {list(shape)} holds no element; the rule is at least as many "
                              "cells as blocks in each direction")
        terms.append(unknowns.matrix(local[inside], inside, symmetric=True))
    return terms


def _check_parameters(parameters: ParameterSpace, shape: tuple[int, ...]) -> None:
    if parameters.size != shape[0] * shape[1]:
        needed = shape[0] * shape[1]
        raise ConfigError(f"thermal-block with blocks = {shown(list(shape))} needs {needed} parameters, one "
                          f"conductivity a block; the study gives {parameters.size}: set size = {needed}")
    check_positive("thermal-block", parameters, parameters.columns)
