"""Transport by a uniform wind of any direction, with diffusion: the non-symmetric model of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellMesh, CellProblem, CellTerm
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.forms import Diffusion, Wind
from romflow.fom.gallery.grids import PLANE_ELEMENTS, check_element, counts, grid, on_box
from romflow.fom.gallery.mesh_files import MeshFile
from romflow.fom.gallery.rules import check_columns, check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

STABILITY = ("scm", "inf-sup", "min-theta")
_COLUMNS = ("diffusion", "angle", "elevation")


class AdvectionDiffusion(CellModel):
    """-diffusion lap u + speed (cos angle, sin angle) . grad u = 1 on (0, 1)^2, u = 0 on the boundary.

    With a third parameter "elevation", the wind is speed (cos angle cos elevation, sin angle cos elevation, sin
    elevation) in the cube (0, 1)^3; with `mesh`, the domain is that of the file.

    Galerkin without stabilisation: where the mesh Peclet number speed * h / (2 * diffusion) exceeds 1, layers that the
    mesh does not resolve show as oscillations. That is the user's choice of cells and parameters, and nothing is said
    at run time: choose cells >= speed / (2 * smallest diffusion).

    The wind terms are skew-symmetric, so that the coercivity constant in the norm of X, the H1_0 semi-product, is
    `diffusion` exactly. Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        "diffusion" (positive) and "angle" (radians), in any order; in space also "elevation" (radians).
    cells : int or list of 2 or 3 int
        Rectangles or boxes along each direction.
    element : {"P1", "Q1"}
        Linear triangles (four to a rectangle) or tetrahedra (six to a box); or bilinear rectangles, trilinear boxes.
    speed : float
        Length of the wind, from 0.
    stability : {"scm", "inf-sup", "min-theta"}
        How the lower bound of the stability constant is found: successive constraints on the coercivity or on the
        inf-sup constant, or min-theta over the terms whose symmetric part is not zero.
    mesh : str, optional
        File of a mesh (see `romflow.fom.gallery.mesh_files.MeshFile`); takes the place of cells and element.
    base : path
        Folder that `mesh` is relative to.

    Raises
    ------
    ConfigError
        An option is wrong, the parameters are others, or diffusion can be zero or negative.
    InputError
        The mesh file cannot be read.

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
                 speed: float = 1.0, stability: str = "scm", mesh: str | None = None, base: str | Path = ".") -> None:
        super().__init__(self.cell_problem(parameters, cells, element, speed, stability, mesh, base))

    @staticmethod
    def cell_problem(parameters: ParameterSpace, cells: int | Sequence[int] = 64, element: str = "P1",
                     speed: float = 1.0, stability: str = "scm", mesh: str | None = None,
                     base: str | Path = ".") -> CellProblem:
        """The model before it is assembled; arguments as for the class."""
        columns = parameters.columns
        needed = _COLUMNS if "elevation" in columns else _COLUMNS[:2]
        d = len(needed)
        sizes = counts(cells, d, "cells", least=1 if element == "P1" and d == 2 else 2)
        check_element(element, PLANE_ELEMENTS)
        check_columns("advection-diffusion", parameters, needed)
        check_positive("advection-diffusion", parameters, ("diffusion",))
        speed = _speed(speed)
        if stability not in STABILITY:
            raise ConfigError(f"no stability bound is called {shown(stability)}{nearest(str(stability), STABILITY)}")
        file = None if mesh is None else MeshFile(mesh, base)
        domain = {"cells": list(sizes), "element": element} if file is None else file.spec
        one = Theta(["1"], columns)
        return CellProblem(
            parameters, {"kind": "advection-diffusion", **domain, "speed": speed}, 1,
            (lambda: _mesh(element, sizes)) if file is None else (lambda: file.cells(["boundary"], 1, d)),
            Theta(["diffusion", *_wind(speed, d)], columns),
            (CellTerm(Diffusion()), *(CellTerm(Wind(axis)) for axis in range(d))), (1.0,) + (0.0,) * d,
            one, lambda mesh: nodal_load(mesh)[:, None], one, ("average",), lambda mesh: nodal_load(mesh)[None, None],
            norm="H1_0 semi-norm", stability=_stability(stability, columns), files=() if file is None else (file.path,),
            chunk=65536 if d == 3 or file is not None else 4 * int(np.prod(sizes)))


def _mesh(element: str, sizes: tuple[int, ...]) -> CellMesh:
    sides = (1.0,) * len(sizes)
    points, cells, cell_type = grid(element, sides, sizes)
    return CellMesh(points, cells, cell_type, np.zeros(len(cells), dtype=int), on_box(points, sides)[:, None])


def _wind(speed: float, d: int) -> list[str]:
    if d == 2:
        return [f"{speed!r} * cos(angle)", f"{speed!r} * sin(angle)"]
    return [f"{speed!r} * cos(angle) * cos(elevation)", f"{speed!r} * sin(angle) * cos(elevation)",
            f"{speed!r} * sin(elevation)"]


def _speed(speed: Any) -> float:
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.0 <= speed < np.inf:
        raise ConfigError(f"speed = {shown(speed)} is not a finite number from 0; the angle gives the direction")
    return float(speed)


def _stability(kind: str, columns: Sequence[str]) -> dict[str, Any]:
    if kind != "min-theta":
        return {"kind": kind}
    return {"kind": kind, "reference": [1.0 if name == "diffusion" else 0.0 for name in columns]}
