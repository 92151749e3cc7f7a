"""PETSc as a library that need not be there: whether it loads, its options under a prefix, its errors in words."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from typing import Any

from romflow.core.errors import ConfigError, SolveFailed

__all__ = ["OptionSet", "absent", "check_options", "library", "missing", "reason_text", "spoken"]

_LEAST = (3, 20)
_HOW = ("pip install romflow[petsc] builds it (40 minutes), conda-forge and module systems ship it; or take "
        "method = \"schwarz\"")
_OWN = {"ksp_rtol": "tolerance", "ksp_atol": "tolerance", "ksp_divtol": "tolerance", "ksp_max_it": "max_iterations",
        "ksp_norm_type": "tolerance", "ksp_initial_guess_nonzero": "tolerance"}
_PRINTING = ("view", "monitor", "converged_reason", "error_if_not_converged")
_NUMBERS = count(1)
# Codes of PETSc for a request that this build, or this matrix type, cannot follow.
_UNFIT = {56, 62, 63, 82, 83, 85, 86, 92}
_WORDS = {
    -2: "the method broke down before it began",
    -3: "the limit of iterations was reached",
    -4: "the residual grew without bound",
    -5: "the method broke down",
    -6: "the method broke down on the first step",
    -7: "the matrix is not symmetric, and the method needs that",
    -8: "the preconditioner is not positive definite, and the method needs that",
    -9: "NaN or infinity came up",
    -10: "the matrix is not positive definite, and the method needs that",
    -11: "the preconditioner could not be built (a zero pivot, or a singular block)",
}


def absent() -> str:
    """Why PETSc is not installed, in one clause; empty where it is. Nothing is loaded."""
    return "" if find_spec("petsc4py") else f"petsc4py is not installed: {_HOW}"


@cache
def missing() -> str:
    """Why PETSc cannot be used here, in one clause; empty where it can, and then it is loaded.

    Examples
    --------
    >>> isinstance(missing(), str)
    True
    """
    if reason := absent():
        return reason
    try:
        import petsc4py

        # Neither the command line of the job nor a file in the user's home may change a study.
        petsc4py.init(["romflow", "-skip_petscrc", "-no_signal_handler", "-options_left", "no"])
        from petsc4py import PETSc
    except (ImportError, OSError, RuntimeError) as error:
        return f"petsc4py is installed and does not load ({' '.join(str(error).split())[:160]}): {_HOW}"
    version = tuple(int(part) for part in PETSc.Sys.getVersion())
    if version < _LEAST or PETSc.ScalarType().dtype.kind != "f" or PETSc.ScalarType().itemsize != 8:
        return (f"this PETSc is {'.'.join(map(str, version))} for {PETSc.ScalarType.__name__}; the rule is "
                f"{'.'.join(map(str, _LEAST))} or later for float64: {_HOW}")
    return ""


def library() -> Any:
    """The module petsc4py.PETSc, initialised.

    Raises
    ------
    ConfigError
        It is not installed, does not load or does not fit; the message names the extra.
    """
    if reason := missing():
        raise ConfigError(f"[solver] method = \"petsc\" was asked for, and {reason}")
    from petsc4py import PETSc

    return PETSc


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that the study says elsewhere, that print, or that run other code; PETSc need not be there.

    Raises
    ------
    ConfigError

    Examples
    --------
    >>> check_options({"ksp_type": "cg", "pc_type": "gamg"})
    >>> check_options({"ksp_rtol": 1e-3})
    Traceback (most recent call last):
    romflow.core.errors.ConfigError: [solver] petsc has the key 'ksp_rtol'; write [solver] tolerance instead
    """
    for key, value in options.items():
        if not key.replace("_", "").isalnum() or not isinstance(value, str | int | float | bool):
            raise ConfigError(f"[solver] petsc has the key {key!r} = {value!r}; the rule is a name of letters, digits "
                              "and underscores without a leading hyphen, and a text, number or truth value")
        if key in _OWN:
            raise ConfigError(f"[solver] petsc has the key {key!r}; write [solver] {_OWN[key]} instead")
        if any(word in key for word in _PRINTING):
            raise ConfigError(f"[solver] petsc has the key {key!r}, which prints or stops the job; remove it: the "
                              "report of a solve holds its iterations and its residual")
        if "python" in key or "shell" in key or value in ("python", "shell"):
            raise ConfigError(f"[solver] petsc has {key!r} = {value!r}, which runs other code; take another type")


class OptionSet:
    """Options of one solver under a prefix of its own in PETSc's database, so that no other object sees them.

    Parameters
    ----------
    PETSc : module
    options : mapping
        Without prefix.

    Attributes
    ----------
    prefix : str
    remove : callable
        Takes the options out of the database; that happens too when nobody holds this object any more.
    """

    def __init__(self, PETSc: Any, options: Mapping[str, Any]) -> None:
        self.prefix = f"romflow_{next(_NUMBERS)}_"
        self._names = list(options)
        self._database = PETSc.Options()
        for key, value in options.items():
            self._database.setValue(self.prefix + key, value)
        self.remove = weakref.finalize(self, _removed, self._database, [self.prefix + key for key in options])
        self.remove.atexit = False

    def unused(self) -> list[str]:
        """Names that no object of this rank has asked for."""
        return [key for key in self._names if not self._database.used(self.prefix + key)]


def _removed(database: Any, names: list[str]) -> None:
    for name in names:
        database.delValue(name)


@contextmanager
def spoken(PETSc: Any, doing: str) -> Iterator[None]:
    """Turn errors of PETSc into ours: requests that this build cannot follow are ConfigError, the rest SolveFailed."""
    try:
        yield
    except PETSc.Error as error:
        lines = [line.partition("] ")[2] for line in str(error).splitlines() if "] " in line and "() at" not in line]
        text = " ".join(" ".join(lines).split())[:300].rstrip(".") or f"error {error.ierr}"
        if error.ierr in _UNFIT:
            raise ConfigError(f"PETSc, {doing}: {text}; look at [solver] petsc") from None
        raise SolveFailed(f"PETSc, {doing}: {text} (error {error.ierr})", {"petsc_error": int(error.ierr)}) from None


def reason_text(reason: int) -> str:
    """Why PETSc's iteration stopped without success, in words.

    Examples
    --------
    >>> reason_text(-3)
    'the limit of iterations was reached'
    """
    return _WORDS.get(reason, f"PETSc stopped with reason {reason}")
