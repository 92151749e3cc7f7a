"""Small-strain elasticity with one modulus a region: a clamped beam of layers, or a mesh from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellMesh, CellProblem, CellTerm
from romflow.fom.gallery.elements import face_load, nodal_load
from romflow.fom.gallery.forms import Elasticity, rigid_body_modes
from romflow.fom.gallery.grids import FLAT_ELEMENTS, SOLID_ELEMENTS, check_element, counts, directions, grid
from romflow.fom.gallery.mesh_files import MeshFile
from romflow.fom.gallery.rules import check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace


class LinearElasticity(CellModel):
    """Small-strain elasticity on [0, length] x [0, 1]^2, clamped at x = 0, body force (0, 0, -1), free elsewhere.

    With two numbers of cells: plane strain on [0, length] x [0, 1], body force (0, -1). With `mesh`: the domain of a
    file, clamped where `fixed` says.

    The modulus E of an element is that of the layer floor(L z) of its centroid (in the plane floor(L y); of its region
    in a file), for L parameters; Poisson's ratio nu is the same everywhere. Stress = E (lame tr(eps) 1 + 2 shear eps)
    with lame = nu / ((1 + nu)(1 - 2 nu)) and shear = 1 / (2 (1 + nu)). A(mu) = sum_q E_q A_q; X is A at moduli 1, so
    that min_q E_q bounds the coercivity constant from below (min-theta). Output "tip" = mean of u_z (in the plane u_y)
    over the face x = length; of a file "work" = integral of force . u. Elements of first order are too stiff in
    bending: refine along the beam and across it together.

    Parameters
    ----------
    parameters : ParameterSpace
        One positive modulus a layer, from the lowest; or a region of the file, in the order of their tags.
    length : float
        Length of the beam.
    cells : int or list of 2 or 3 int
        Boxes along x, y, z, or rectangles along x, y.
    poisson : float
        Poisson's ratio, in (-1, 0.5).
    element : {"hex", "tet", "quad", "tri"}, optional
        In space trilinear hexahedra (the default) or linear tetrahedra (six to a box); in the plane bilinear
        quadrilaterals (the default) or linear triangles (four to a rectangle).
    mesh : str, optional
        File of a mesh (see `romflow.fom.gallery.mesh_files.MeshFile`); takes the place of length, cells and element.
    fixed : list of str or int, optional
        Clamped boundaries of the file, by name, number or coordinate ("x = 0"); needed with `mesh`.
    force : list of 2 or 3 numbers, optional
        Body force on the file's mesh; needed with `mesh`.
    base : path
        Folder that `mesh` is relative to.

    Raises
    ------
    ConfigError
        An option is wrong, a layer holds no element, or a modulus can be zero or negative.
    InputError
        The mesh file cannot be read.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("modulus", Uniform(1.0, 10.0), size=2)])
    >>> model = LinearElasticity(space, cells=[4, 2, 2])
    >>> model.n, model.operator.Q, model.mesh.components
    (108, 2, 3)
    >>> LinearElasticity(space, cells=[4, 2]).mesh.components
    2
    """

    def __init__(self, parameters: ParameterSpace, length: float = 4.0, cells: int | Sequence[int] = (16, 4, 4),
                 poisson: float = 0.3, element: str | None = None, mesh: str | None = None,
                 fixed: Sequence[str | int] | None = None, force: Sequence[float] | None = None,
                 base: str | Path = ".") -> None:
        super().__init__(self.cell_problem(parameters, length, cells, poisson, element, mesh, fixed, force, base))

    @staticmethod
    def cell_problem(parameters: ParameterSpace, length: float = 4.0, cells: int | Sequence[int] = (16, 4, 4),
                     poisson: float = 0.3, element: str | None = None, mesh: str | None = None,
                     fixed: Sequence[str | int] | None = None, force: Sequence[float] | None = None,
                     base: str | Path = ".") -> CellProblem:
        """The model before it is assembled; arguments as for the class."""
        check_positive("linear-elasticity", parameters, parameters.columns)
        poisson = _number("poisson", poisson, -1.0, 0.5, "in (-1, 0.5), both ends excluded")
        if mesh is not None:
            return _of_file(parameters, poisson, MeshFile(mesh, base), fixed, force)
        for key, value in {"fixed": fixed, "force": force}.items():
            if value is not None:
                raise ConfigError(f"{key} = {shown(value)} belongs to a mesh from a file; give mesh, or remove {key}")
        d = directions(cells, 3)
        sizes = counts(cells, d, "cells")
        known = SOLID_ELEMENTS if d == 3 else FLAT_ELEMENTS
        kind = next(iter(known)) if element is None else element
        check_element(kind, known)
        length = _number("length", length, 0.0, np.inf, "above 0")
        sides = (length, *(1.0,) * (d - 1))
        return _problem(
            parameters, poisson, d,
            {"kind": "linear-elasticity", "length": length, "cells": list(sizes), "poisson": poisson, "element": kind},
            lambda: _beam(kind, sides, sizes, parameters.size), (0.0,) * (d - 1) + (-1.0,), "tip",
            lambda mesh: _nodal(face_load(mesh, 0, length), (0.0,) * (d - 1) + (1.0,)))


def _problem(parameters: ParameterSpace, poisson: float, d: int, spec: dict[str, Any],
             make_mesh: Callable[[], CellMesh], force: Sequence[float], output: str,
             functional: Callable[[CellMesh], np.ndarray], files: tuple[Path, ...] = ()) -> CellProblem:
    columns, one = parameters.columns, Theta(["1"], parameters.columns)
    form = Elasticity(poisson)
    return CellProblem(
        parameters, spec, d, make_mesh, Theta(list(columns), columns),
        tuple(CellTerm(form, q) for q in range(parameters.size)), (1.0,) * parameters.size,
        one, lambda mesh: _nodal(nodal_load(mesh), force)[:, None], one, (output,),
        lambda mesh: functional(mesh)[None, None], norm="energy norm at moduli 1",
        stability={"kind": "min-theta", "reference": [1.0] * parameters.size}, modes=rigid_body_modes, files=files)


def _of_file(parameters: ParameterSpace, poisson: float, file: MeshFile, fixed: Sequence[str | int] | None,
             force: Sequence[float] | None) -> CellProblem:
    if not isinstance(fixed, list | tuple) or not fixed:
        raise ConfigError(f"fixed = {shown(fixed)} names no boundary of the mesh; write fixed = [\"x = 0\"] or the "
                          "names or numbers of groups of facets")
    load = tuple(force) if isinstance(force, list | tuple) else ()
    d = len(load)
    if d not in (2, 3) or not all(isinstance(f, int | float) and np.isfinite(f) for f in load):
        raise ConfigError(f"force = {shown(force)} is not the body force on the mesh; write 2 or 3 finite numbers")
    load = tuple(float(f) for f in load)
    spec = {"kind": "linear-elasticity", **file.spec, "poisson": poisson, "fixed": list(fixed), "force": list(load)}
    return _problem(parameters, poisson, d, spec, lambda: file.cells(fixed, d, d, parameters.size), load, "work",
                    lambda mesh: _nodal(nodal_load(mesh), load), (file.path,))


def _beam(element: str, sides: Sequence[float], sizes: Sequence[int], layers: int) -> CellMesh:
    points, cells, cell_type = grid(element, sides, sizes)
    height = points[cells].mean(axis=1)[:, -1]
    layer = np.minimum(np.floor(layers * height + 1e-9).astype(int), layers - 1)
    empty = np.flatnonzero(np.bincount(layer, minlength=layers) == 0)
    if empty.size:
        raise ConfigError(f"layer {empty[0]} of {layers} holds no element; the rule is at least as many cells along "
                          f"{'xyz'[len(sides) - 1]} as there are moduli")
    return CellMesh(points, cells, cell_type, layer, np.repeat(points[:, :1] == 0.0, len(sides), axis=1))


def _nodal(load: np.ndarray, direction: Sequence[float]) -> np.ndarray:
    """Nodal vector (d P,): the scalar load (P,) in a direction."""
    return (load[:, None] * np.array(direction)).ravel()


def _number(key: str, value: Any, low: float, high: float, rule: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise ConfigError(f"{key} = {shown(value)} is not a number {rule}")
    return float(value)
