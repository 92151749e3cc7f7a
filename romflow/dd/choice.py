"""Which solver serves a split system: two-level Schwarz of our own, or PETSc where it is installed."""

from __future__ import annotations

from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.names import nearest
from romflow.dd.petsc_library import library, missing
from romflow.dd.petsc_matrix import same_everywhere

__all__ = ["METHODS", "choose"]

METHODS = ("auto", "schwarz", "petsc")


def choose(method: str, comm: Any, *, components: int, symmetric: bool) -> tuple[type, str]:
    """The solver's class, and why, in words; the same on every rank.

    "auto" takes PETSc where it is installed on all ranks and the problem is scalar and symmetric, and our two-level
    Schwarz everywhere else. Imports the class that it returns, and nothing of the other.

    Parameters
    ----------
    method : {"auto", "schwarz", "petsc"}
    comm : communicator
    components : int
        Unknowns a node; 1 is a scalar problem.
    symmetric : bool

    Returns
    -------
    (SchwarzSolver or PetscSolver, str)

    Raises
    ------
    ConfigError
        Another method; "petsc" without petsc4py, with the name of the extra.

    Examples
    --------
    >>> from romflow.dd.communicator import Single
    >>> choose("petsk", Single(), components=1, symmetric=True)
    Traceback (most recent call last):
    romflow.core.errors.ConfigError: no solver over ranks is called 'petsk'; known: auto, schwarz, petsc. ...
    """
    if method not in METHODS:
        raise ConfigError(f"no solver over ranks is called {method!r}" + nearest(method, list(METHODS)))
    if method == "petsc":
        library()
        return _petsc(), "\"petsc\" was asked for"
    if method == "schwarz":
        return _schwarz(), "\"schwarz\" was asked for"
    if components > 1:
        return _schwarz(), (f"two-level Schwarz, because the problem has {components} unknowns a node: jumps of the "
                            "coefficient cost its spectral coarse space no iterations, and multigrid many")
    if not symmetric:
        return _schwarz(), ("two-level Schwarz, because the problem is not symmetric: multigrid promises "
                            "nothing there")
    absent = missing()
    if not same_everywhere(comm, not absent):
        told = absent or "it does not load on another rank"
        return _schwarz(), f"two-level Schwarz; PETSc is often faster on scalar problems, but {told}"
    return _petsc(), ("PETSc, because it is installed and the problem is scalar and symmetric: its algebraic multigrid "
                      "needs least time there")


def _schwarz() -> type:
    from romflow.dd.solver import SchwarzSolver

    return SchwarzSolver


def _petsc() -> type:
    from romflow.dd.petsc import PetscSolver

    return PetscSolver
