"""Solver libraries that need not be there: which of them load, and what to say where one does not."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib import metadata
from types import ModuleType

from romflow.core.errors import ConfigError

__all__ = ["EXTRAS", "available", "installed", "load", "problem"]

# back end -> module
EXTRAS = {"pardiso": "pypardiso", "cholmod": "sksparse.cholmod", "mumps": "mumps"}
# Releases that NumPy 2 cannot load print pages before they fail; others have another interface.
_RULES = {"mumps": ("python-mumps", (0, 0, 4), (9,)), "cholmod": ("scikit-sparse", (0, 4, 14), (0, 5))}


@cache
def problem(backend: str) -> str:
    """Why a back end cannot be loaded here, in one clause; empty where it can, and then it is loaded.

    Examples
    --------
    >>> problem("superlu")
    ''
    """
    reason = _absent(backend) if backend in EXTRAS else ""
    if reason or backend not in EXTRAS:
        return reason
    try:
        importlib.import_module(EXTRAS[backend])
    except (ImportError, OSError, AttributeError) as error:
        first = " ".join(str(error).split())[:160]
        return (f"the package of '{backend}' is installed but does not load ({first}): install one that fits this "
                f"NumPy, pip install romflow[{backend}]")
    return ""


@cache
def _absent(backend: str) -> str:
    """What keeps a back end from being tried at all: no package, or a release that does not fit."""
    if importlib.util.find_spec(EXTRAS[backend].partition(".")[0]) is None:
        return f"the package of '{backend}' is not installed: pip install romflow[{backend}]"
    if backend not in _RULES:
        return ""
    package, least, below = _RULES[backend]
    version = metadata.version(package)
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    if least <= numbers < below:
        return ""
    return (f"{package} {version} is installed and the rule is {'.'.join(map(str, least))} or later"
            f"{'' if below == (9,) else ', below ' + '.'.join(map(str, below))}: pip install romflow[{backend}]")


def installed() -> tuple[str, ...]:
    """The optional back ends that are installed in a release that fits, fastest first; none is loaded for it.

    Examples
    --------
    >>> set(installed()) <= {"pardiso", "cholmod", "mumps"}
    True
    """
    return tuple(name for name in EXTRAS if not _absent(name))


def available(*, definite: bool = True) -> str | None:
    """The fastest optional back end that loads here, for definite matrices or for all; None where there is none.

    Examples
    --------
    >>> available() in (None, "pardiso", "cholmod", "mumps")
    True
    """
    return next((name for name in installed() if (definite or name != "cholmod") and not problem(name)), None)


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
