"""Heat conduction in a square or cube of blocks, each with its own conductivity: the standard test of reduced bases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellMesh, CellProblem, CellTerm
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.forms import Diffusion
from romflow.fom.gallery.grids import PLANE_ELEMENTS, check_element, counts, directions, grid, on_box
from romflow.fom.gallery.rules import check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

# Cells whose matrices are held at once in space; in the plane a block is assembled at once.
_CHUNK = 65536


class ThermalBlock(CellModel):
    """-div(d grad u) = 1 on (0, 1)^2 or (0, 1)^3, u = 0 on the boundary, d = mu_q on block q.

    q = ix + iy * blocks[0], in space + iz * blocks[0] * blocks[1]. The coefficient of an element is that of the block
    of its centroid (on an interface: the block to the right, or above). A(mu) = sum_q mu_q A_q; X is the H1_0
    semi-product, which is A at mu = 1, so that min_q mu_q bounds the coercivity constant from below (min-theta).
    Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        One positive conductivity a block, in the order of q.
    blocks : int or list of 2 or 3 int
        Blocks along x and y, and along z for a cube.
    cells : int or list of int
        Rectangles or boxes along each direction.
    element : {"Q1", "P1"}
        Bilinear rectangles or trilinear boxes; or linear triangles (four to a rectangle), tetrahedra (six to a box).

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
        super().__init__(self.cell_problem(parameters, blocks, cells, element))

    @staticmethod
    def cell_problem(parameters: ParameterSpace, blocks: int | Sequence[int] = (3, 3),
                     cells: int | Sequence[int] = 99, element: str = "Q1") -> CellProblem:
        """The model before it is assembled; arguments as for the class."""
        d = directions(blocks, 2)
        shape = counts(blocks, d, "blocks")
        sizes = counts(cells, d, "cells", least=1 if element == "P1" and d == 2 else 2)
        check_element(element, PLANE_ELEMENTS)
        _check_parameters(parameters, shape)
        columns, one = parameters.columns, Theta(["1"], parameters.columns)
        return CellProblem(
            parameters, {"kind": "thermal-block", "blocks": list(shape), "cells": list(sizes), "element": element}, 1,
            lambda: _mesh(element, shape, sizes), Theta(list(columns), columns),
            tuple(CellTerm(Diffusion(), q) for q in range(parameters.size)), (1.0,) * parameters.size,
            one, lambda mesh: nodal_load(mesh)[:, None], one, ("average",), lambda mesh: nodal_load(mesh)[None, None],
            norm="H1_0 semi-norm", stability={"kind": "min-theta", "reference": [1.0] * parameters.size},
            chunk=_CHUNK if d == 3 else 4 * int(np.prod(sizes)))


def _mesh(element: str, shape: tuple[int, ...], sizes: tuple[int, ...]) -> CellMesh:
    sides = (1.0,) * len(shape)
    points, cells, cell_type = grid(element, sides, sizes)
    centroids = points[cells].mean(axis=1)
    # Centroids on an interface must not be sent left or right by rounding.
    index = np.minimum(np.floor(centroids * shape + 1e-9).astype(int), np.array(shape) - 1)
    block = np.ravel_multi_index(tuple(index.T), shape, order="F")
    empty = np.flatnonzero(np.bincount(block, minlength=int(np.prod(shape))) == 0)
    if empty.size:
        raise ConfigError(f"block {empty[0]} of blocks = {list(shape)} holds no element; the rule is at least as many "
                          "cells as blocks in each direction")
    return CellMesh(points, cells, cell_type, block, on_box(points, sides)[:, None])


def _check_parameters(parameters: ParameterSpace, shape: tuple[int, ...]) -> None:
    needed = int(np.prod(shape))
    if parameters.size != needed:
        raise ConfigError(f"thermal-block with blocks = {shown(list(shape))} needs {needed} parameters, one "
                          f"conductivity a block; the study gives {parameters.size}: set size = {needed}")
    check_positive("thermal-block", parameters, parameters.columns)
