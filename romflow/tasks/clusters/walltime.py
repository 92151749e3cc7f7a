"""Wall-times as batch systems write them."""

from __future__ import annotations

import re
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.names import shown

__all__ = ["walltime_seconds"]


def walltime_seconds(text: Any) -> float | None:
    """Seconds of a wall-time, None without one.

    Parameters
    ----------
    text : str or None
        "MINUTES", "MM:SS", "HH:MM:SS", "DAYS-HH", "DAYS-HH:MM" or "DAYS-HH:MM:SS".

    Raises
    ------
    ConfigError
        Another form.

    Examples
    --------
    >>> [walltime_seconds(text) for text in ("90", "1:30", "02:00:00", "1-12", "1-00:00:30")]
    [5400.0, 90.0, 7200.0, 129600.0, 86430.0]
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", str(text).strip())
    if match is None:
        raise ConfigError(f"[cluster] walltime = {shown(text)} is not a time; write \"HOURS:MINUTES:SECONDS\".")
    numbers = [int(number) for number in match[2].split(":")]
    if match[1] is not None:  # hours come first
        weights: tuple[int, ...] = (3600, 60, 1)
    else:
        weights = {1: (60,), 2: (60, 1), 3: (3600, 60, 1)}[len(numbers)]
    seconds = sum(number * weight for number, weight in zip(numbers, weights, strict=False))
    return float(86400 * int(match[1] or 0) + seconds)
