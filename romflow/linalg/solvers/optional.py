"""Solver libraries that need not be there: which of them load, and what to say where one does not."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from romflow.core.errors import ConfigError

__all__ = ["EXTRAS", "available", "load", "problem"]

# back end -> (module, name of the extra)
EXTRAS = {"pardiso": "pypardiso", "cholmod": "sksparse.cholmod", "mumps": "mumps"}


@cache
def problem(backend: str) -> str:
    """Why a back end cannot be loaded here, in one clause; empty where it can.

    Examples
    --------
    >>> problem("superlu")
    ''
    """
    if backend not in EXTRAS:
        return ""
    try:
        importlib.import_module(EXTRAS[backend])
    except ModuleNotFoundError:
        return f"the package of '{backend}' is not installed: pip install romflow[{backend}]"
    except (ImportError, OSError, AttributeError) as error:
        first = " ".join(str(error).split())[:160]
        return (f"the package of '{backend}' is installed but does not load ({first}): install one that fits this "
                f"NumPy, pip install romflow[{backend}]")
    return ""


def available() -> tuple[str, ...]:
    """The optional back ends that load here, fastest first.

    Examples
    --------
    >>> set(available()) <= {"pardiso", "cholmod", "mumps"}
    True
    """
    return tuple(name for name in EXTRAS if not problem(name))


def load(backend: str) -> ModuleType:
    """The module of an optional back end.

    Raises
    ------
    ConfigError
        It is not installed or does not load; the message names the extra.
    """
    reason = problem(backend)
    if reason:
        raise ConfigError(f"the solver back end '{backend}' was asked for, and {reason}; or take backend = \"auto\"")
    return importlib.import_module(EXTRAS[backend])
