"""Which solver serves a split system: two-level Schwarz of our own, or PETSc where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from romflow.dd.layout import Layout
from romflow.fom.cells import CellProblem


def make_solver(layout: Layout, problem: CellProblem, options: Mapping[str, Any],
                near_nullspace: np.ndarray | None) -> Any:
    """The solver that the keys of [solver] name, with `setup`, `update`, `solve` and `report`.

    "auto" takes PETSc where it is installed and the problem is scalar and symmetric: its algebraic multigrid is the
    faster one there. Everywhere else, and without PETSc, it takes two-level Schwarz.

    Parameters
    ----------
    layout : Layout
    problem : CellProblem
    options : mapping
        The keys of [solver].
    near_nullspace : (local, j) array or None

    Raises
    ------
    InputError
        method = "petsc", and petsc4py is not installed.
    """
    shared = {"symmetric": problem.symmetric, "definite": True, "tolerance": options["tolerance"],
              "max_iterations": options["max_iterations"], "near_nullspace": near_nullspace}
    if _wants_petsc(options["method"], problem):
        from romflow.dd.petsc import PetscSolver

        return PetscSolver(layout, options=dict(options.get("petsc") or {}), **shared)
    from romflow.dd.solver import SchwarzSolver

    return SchwarzSolver(layout, one_level=options["one_level"], coarse=options["coarse"],
                         threshold=options["threshold"], backend=options["backend"], **shared)


def _wants_petsc(method: str, problem: CellProblem) -> bool:
    fitting = problem.symmetric and problem.components == 1
    return method == "petsc" or (method == "auto" and fitting and find_spec("petsc4py") is not None)
