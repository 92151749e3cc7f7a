"""A number from draws of a model, with its two errors kept apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from romflow.core.files import plain

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A statistic of an output, its confidence interval, and what the reduced model's own error adds.

    Attributes
    ----------
    value : float
    low, high : float
        Confidence interval that the number of draws gives, for the model that was evaluated; infinite where the draws
        do not reach far enough for an end.
    model_error : float or None
        By how much the value may differ because the reduced model is not the full-order one; None where that is not
        known, 0 where the full-order model was evaluated.
    model_kind : "bound", "indicator" or None
        What `model_error` is.

    Examples
    --------
    >>> Estimate(1.0, 0.9, 1.1, 0.01, "bound").total
    (0.89, 1.11)
    """

    value: float
    low: float
    high: float
    model_error: float | None = None
    model_kind: str | None = None

    @property
    def total(self) -> tuple[float, float]:
        """The interval widened by the model's error."""
        more = self.model_error or 0.0
        return self.low - more, self.high + more

    def plain(self) -> dict[str, Any]:
        """JSON form: the attributes by name; an end that is infinite is None."""
        return dict(plain(asdict(self)))
