"""What a system M du/dt = G(t, u) must offer to be stepped in time, and the check of its states."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np

from romflow.core.errors import SolveFailed

__all__ = ["Rates", "refuse_nonfinite"]

_NAMED = 5


@runtime_checkable
class Rates(Protocol):
    """A system M du/dt = G(t, u); states are (n,) or (r, b) arrays, one column a parameter.

    The steps hand c bit-equal wherever the steps of the grid are equal up to rounding, so that a factorisation can be
    kept under the key c. No array that is handed in or out is written to.
    """

    def mass(self, u: np.ndarray) -> np.ndarray:
        """M u."""
        ...

    def rate(self, t: float, u: np.ndarray) -> np.ndarray:
        """G(t, u)."""
        ...

    def solve(self, c: float, t: float, rhs: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The u with M u - c G(t, u) = rhs; c = 0 asks for M u = rhs."""
        ...


def refuse_nonfinite(u: np.ndarray, t: float) -> None:
    """Raise SolveFailed naming the time where the state u (n,) or (r, b) holds NaN or infinity.

    Cost: one sum. The report has `time`, and `columns` for a state of several columns.

    Examples
    --------
    >>> import numpy as np
    >>> refuse_nonfinite(np.array([1e308, 1e308]), 0.5)
    >>> try:
    ...     refuse_nonfinite(np.array([[1.0, np.nan]]), 0.5)
    ... except SolveFailed as failure:
    ...     failure.report
    {'time': 0.5, 'columns': [1]}
    """
    if finite(u):
        return
    report: dict[str, object] = {"time": float(t)}
    where = ""
    if u.ndim == 2:
        bad = np.flatnonzero(~np.isfinite(u).all(axis=0)).tolist()
        report["columns"] = bad
        where = f" in columns {bad[:_NAMED]}{' and others' if len(bad) > _NAMED else ''} of {u.shape[1]}"
    raise SolveFailed(f"the state at t = {t:.6g} is not finite{where}: the scheme is unstable for these steps or the "
                      "equation leaves its domain; take smaller steps, an implicit scheme or step control", report)


def finite(u: np.ndarray) -> bool:
    """Whether all entries of u are finite; a finite sum shows it at once."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(u.sum()) or bool(np.isfinite(u).all())
