"""The solver of a split problem, made from the keys of [solver]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.dd.choice import choose
from romflow.dd.layout import Layout
from romflow.fom.cells import CellProblem

_SCHWARZ_KEYS = ("one_level", "coarse", "threshold", "backend")


def make_solver(layout: Layout, problem: CellProblem, options: Mapping[str, Any],
                near_nullspace: np.ndarray | None, symmetric: bool | None = None) -> tuple[Any, str]:
    """The solver that the keys of [solver] name, and why it is this one; see `romflow.dd.choice.choose`.

    Parameters
    ----------
    layout : Layout
    problem : CellProblem
    options : mapping
        The keys of [solver].
    near_nullspace : (local, j) array or None
    symmetric : bool, optional
        Of the systems; that of the problem by default.

    Raises
    ------
    ConfigError
        method = "petsc", and petsc4py is not installed.
    """
    symmetric = problem.symmetric if symmetric is None else symmetric
    solver, why = choose(options["method"], layout.comm, components=problem.components, symmetric=symmetric)
    own: dict[str, Any] = {key: options[key] for key in _SCHWARZ_KEYS}
    if solver.__name__ == "PetscSolver":
        own = {"options": dict(options["petsc"])}
    return solver(layout, symmetric=symmetric, definite=True, tolerance=options["tolerance"],
                  max_iterations=options["max_iterations"], near_nullspace=near_nullspace, **own), why
