"""Which solver serves a split system: two-level Schwarz of our own, or PETSc where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.names import nearest
from romflow.dd.petsc_library import absent, check_options, library, missing
from romflow.dd.petsc_matrix import same_everywhere

__all__ = ["METHODS", "check", "choose"]

METHODS = ("auto", "schwarz", "petsc")


def check(method: str, options: Mapping[str, Any]) -> None:
    """Refuse before any rank starts what every rank would refuse; loads neither MPI nor PETSc.

    Parameters
    ----------
    method : str
    options : mapping
        Of PETSc.

    Raises
    ------
    ConfigError
        Another method; "petsc" where petsc4py is not installed; options that `check_options` refuses.

    Examples
    --------
    >>> check("auto", {"pc_type": "gamg"})
    >>> check("auto", {"ksp_rtol": 0.1})
    Traceback (most recent call last):
    romflow.core.errors.ConfigError: [solver] petsc has the key 'ksp_rtol'; write [solver] tolerance instead
    """
    if method not in METHODS:
        raise ConfigError(f"no solver over ranks is called {method!r}" + nearest(method, list(METHODS)))
    check_options(options)
    if method == "petsc" and (reason := absent()):
        raise ConfigError(f"[solver] method = \"petsc\" was asked for, and {reason}")


def choose(method: str, comm: Any, *, components: int, symmetric: bool) -> tuple[type, str]:
    """The solver's class, and why, in words; the same on every rank.

    "auto" takes PETSc where it is installed on all ranks and the problem is scalar and symmetric, and our two-level
    Schwarz everywhere else. Measured on one rank, to 1e-8, processor seconds of set-up and iterations together, PETSc
    (GAMG, threshold .02) against Schwarz: bars of contrast 1e4 with 115,248 unknowns 2.6 (14 iterations) and 11.6 (14);
    elasticity of 55,488 unknowns in layers of contrast 1e4 6.0 (44) and 15.3 (23). So the choice for vector problems is
    one of robustness: with stiff balls of contrast 1e3 scattered over 24,336 unknowns PETSc needs 100 iterations and
    Schwarz 36. Imports the class that it returns, and nothing of the other.

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
    check(method, {})
    if method == "petsc":
        library()
        return _petsc(), "\"petsc\" was asked for"
    if method == "schwarz":
        return _schwarz(), "\"schwarz\" was asked for"
    if components > 1:
        return _schwarz(), (f"two-level Schwarz, because the problem has {components} unknowns a node, where multigrid "
                            "may need hundreds of iterations for scattered stiff pieces; method = \"petsc\" is faster "
                            "for smooth or layered coefficients")
    if not symmetric:
        return _schwarz(), ("two-level Schwarz, because the problem is not symmetric: multigrid promises "
                            "nothing there")
    reason = missing()
    if not same_everywhere(comm, not reason):
        told = reason or "it does not load on another rank"
        return _schwarz(), f"two-level Schwarz; PETSc is often faster on scalar problems, but {told}"
    return _petsc(), ("PETSc, because it is installed and the problem is scalar and symmetric: its algebraic multigrid "
                      "needs least time there")


def _schwarz() -> type:
    from romflow.dd.solver import SchwarzSolver

    return SchwarzSolver


def _petsc() -> type:
    from romflow.dd.petsc import PetscSolver

    return PetscSolver
