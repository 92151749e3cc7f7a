"""Sizes of a mesh problem without its mesh: grids are counted by formula, mesh files are read."""

from __future__ import annotations

import math

import numpy as np

from romflow.dd.prediction import MeshSize
from romflow.fom.cells import CellProblem

__all__ = ["mesh_size"]

# Average number of points that share a cell with a point inside, itself included.
_ROW = {"triangle": 7.0, "quad": 9.0, "tetra": 15.0, "hexahedron": 27.0}
_VERTICES = {"triangle": 3, "quad": 4, "tetra": 4, "hexahedron": 8}
_SIMPLICES = ("P1", "tet", "tri")


def mesh_size(problem: CellProblem) -> MeshSize:
    """Unknowns, cells and extents of a problem; its mesh is not made where the problem is a grid of the gallery.

    Cost: none for a grid; the mesh itself for a file or a class of the user.

    Examples
    --------
    >>> from romflow.fom.gallery.linear_elasticity import LinearElasticity
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> space = ParameterSpace([Parameter("young", Uniform(1.0, 2.0), size=3)])
    >>> problem = LinearElasticity.cell_problem(space, cells=[400, 100, 100])
    >>> size = mesh_size(problem)
    >>> size.n, size.cells, "mesh" in vars(problem)
    (12241200, 4000000, False)
    """
    spec = problem.spec
    if "cells" in spec and spec.get("kind") in ("thermal-block", "advection-diffusion", "linear-elasticity"):
        return _grid(problem)
    mesh = problem.mesh
    d = mesh.points.shape[1]
    side = (len(mesh.points)) ** (1.0 / d)
    sides = np.ptp(mesh.points, axis=0)
    extents = side * sides / np.exp(np.log(np.maximum(sides, 1e-300)).mean())
    return _size(problem, problem.n, len(mesh.cells), mesh.cell_type, tuple(float(value) for value in extents))


def _grid(problem: CellProblem) -> MeshSize:
    spec = problem.spec
    counts, d = spec["cells"], len(spec["cells"])
    simplices = spec["element"] in _SIMPLICES
    cell_type = ("triangle" if simplices else "quad") if d == 2 else ("tetra" if simplices else "hexahedron")
    boxes = math.prod(counts)
    centres = boxes if cell_type == "triangle" else 0
    clamped = spec["kind"] == "linear-elasticity"
    free = [counts[0], *(count + 1 for count in counts[1:])] if clamped else [count - 1 for count in counts]
    n = problem.components * (math.prod(free) + centres)
    cells = boxes * {"triangle": 4, "tetra": 6}.get(cell_type, 1)
    stretch = ((math.prod(free) + centres) / math.prod(free)) ** (1.0 / d)
    return _size(problem, n, cells, cell_type, tuple(stretch * count for count in free))


def _size(problem: CellProblem, n: int, cells: int, cell_type: str, extents: tuple[float, ...]) -> MeshSize:
    c, d = problem.components, len(extents)
    modes = 1 if problem.modes is None else {1: 1, 2: 3, 3: 6}.get(c, c)
    regions = [term.region for term in problem.terms if term.region is not None]
    passes = problem.Q - len(regions) + (len(regions) / len(set(regions)) if regions else 0)
    return MeshSize(n, cells, d, _VERTICES[cell_type], c, _ROW[cell_type], extents, modes, problem.symmetric, passes)
