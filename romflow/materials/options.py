"""Rules of options that the laws share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from romflow.core.errors import ConfigError
from romflow.core.names import shown

__all__ = ["checked_range"]


def checked_range(wish: Sequence[float] | None) -> tuple[float, float] | None:
    """A temperature range as (low, high), or None.

    Raises
    ------
    ConfigError
        It is not two finite numbers that increase.

    Examples
    --------
    >>> checked_range([20, 900])
    (20.0, 900.0)
    """
    if wish is None:
        return None
    numbers = list(wish) if isinstance(wish, list | tuple) else []
    fine = len(numbers) == 2 and all(isinstance(x, int | float) and math.isfinite(x) for x in numbers)
    if not fine or not numbers[0] < numbers[1]:
        raise ConfigError(f"the law's temperature_range = {shown(wish)}; write [low, high] with low < high.")
    return float(numbers[0]), float(numbers[1])
