"""The log of an adaptive run: what the indicator saw at each step, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from romflow.core.files import write_atomic

__all__ = ["AdaptiveLog", "LogRow"]


@dataclass(frozen=True)
class LogRow:
    """One step of an adaptive run.

    Attributes
    ----------
    turn : int
        0, and 1 once the run began again.
    time : float
    residual, indicator : float
        Of the reduced step.
    triggered : bool
        A full-order step was taken.
    error : float or None
        Of the reduced step against the full-order one, where it was.
    modes, points, cubature_points : int
        Of the model after the step.
    """

    turn: int
    time: float
    residual: float
    indicator: float
    triggered: bool
    error: float | None
    modes: int
    points: int
    cubature_points: int


@dataclass(frozen=True)
class AdaptiveLog:
    """Rows as text with commas, the numbers to all digits.

    Examples
    --------
    >>> print(AdaptiveLog([LogRow(0, 2.5, 0.01, 0.1, True, 0.05, 7, 80, 60)]).text())
    turn,time,residual,indicator,triggered,error,modes,points,cubature_points
    0,2.5,0.01,0.1,1,0.05,7,80,60
    <BLANKLINE>
    """

    rows: Sequence[LogRow]

    def text(self) -> str:
        """The file's content."""
        lines = [",".join(one.name for one in fields(LogRow))]
        lines += [",".join(_word(value) for value in astuple(row)) for row in self.rows]
        return "\n".join(lines) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        """
        write_atomic(Path(path), self.text().encode("ascii"))


def _word(value: float | int | bool | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else repr(value)
