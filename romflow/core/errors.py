"""The errors of romflow: every one that it raises on purpose derives from :class:`RomflowError`.

A message is one sentence without line breaks: who has this value; the rule; what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ConfigError",
    "InputError",
    "NotCertified",
    "NotSupported",
    "ParameterError",
    "RomflowError",
    "ShapeError",
    "SolveFailed",
    "StoreError",
]


class RomflowError(Exception):
    """Base of all errors that romflow raises on purpose."""


class InputError(RomflowError, ValueError):
    """A value given by the user breaks a rule."""


class ShapeError(InputError):
    """An array has the wrong shape."""


class ParameterError(InputError):
    """A parameter value is not finite, is outside the space, or makes an expression undefined."""


class ConfigError(InputError):
    """A study file, an option or a text in a configuration is wrong."""


class NotSupported(RomflowError, TypeError):
    """A model lacks a power that a method needs."""


class SolveFailed(RomflowError, RuntimeError):
    """A full-order solve did not converge, or its external program failed.

    Parameters
    ----------
    message : str
        One sentence.
    report : dict, optional
        JSON-able facts about the failure (exit code, tail of the standard error, iterations ...).

    Examples
    --------
    >>> SolveFailed("no convergence", {"iterations": 50}).report["iterations"]
    50
    """

    report: dict[str, Any]

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = {} if report is None else dict(report)


class NotCertified(RomflowError, RuntimeError):
    """A bound was required and only an indicator exists."""


class StoreError(RomflowError, OSError):
    """Data is missing, damaged or foreign, or the disk refused it.

    Parameters
    ----------
    message : str
        One sentence; ``str(error)`` is exactly this text.
    errno : int, optional
        The system's error number, if the operating system refused the operation.
    """

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.errno)
