"""The answers of a study of random inputs: statistics of each output with intervals and model errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from romflow.core.files import plain
from romflow.uq.estimate import Estimate

__all__ = ["Answers", "Curve", "OutputAnswers", "Point"]


@dataclass(frozen=True)
class Curve:
    """Density at x with its pointwise band, and by how much the reduced model may move it anywhere."""

    x: np.ndarray
    density: np.ndarray
    low: np.ndarray
    high: np.ndarray
    width: float
    model_error: float | None = None

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return dict(plain({"x": self.x, "density": self.density, "low": self.low, "high": self.high,
                           "width": self.width, "model_error": self.model_error}))


@dataclass(frozen=True)
class Point:
    """Mean and standard deviation after so many draws."""

    draws: int
    mean: Estimate
    std: Estimate

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        return {"draws": self.draws, "mean": self.mean.plain(), "std": self.std.plain()}


@dataclass(frozen=True)
class OutputAnswers:
    """Statistics of one output; None or empty where they were not asked for or are not defined.

    Attributes
    ----------
    kurtosis : Estimate or None
        3 for a normal distribution. It and the skewness are None where all values are alike. Their intervals are those
        of large samples: for outputs with long tails some thousands of draws are needed before they hold.
    quantiles : list of (level, Estimate)
    exceedance : list of (threshold t, Estimate of P(output > t))
    first_order, total : dict of group of inputs to Estimate
        Sobol' indices; inputs that depend on each other form a group, its name the names of its columns.
    convergence : list of Point
    """

    mean: Estimate
    variance: Estimate
    std: Estimate
    skewness: Estimate | None = None
    kurtosis: Estimate | None = None
    quantiles: Sequence[tuple[float, Estimate]] = ()
    exceedance: Sequence[tuple[float, Estimate]] = ()
    density: Curve | None = None
    first_order: Mapping[str, Estimate] = field(default_factory=dict)
    total: Mapping[str, Estimate] = field(default_factory=dict)
    convergence: Sequence[Point] = ()

    def plain(self) -> dict[str, Any]:
        """JSON form: the attributes by name."""
        single = {name: getattr(self, name) for name in ("mean", "variance", "std", "skewness", "kurtosis", "density")}
        return {name: None if value is None else value.plain() for name, value in single.items()} | {
            "quantiles": [{"level": level, **value.plain()} for level, value in self.quantiles],
            "exceedance": [{"threshold": t, **value.plain()} for t, value in self.exceedance],
            "first_order": {name: value.plain() for name, value in self.first_order.items()},
            "total": {name: value.plain() for name, value in self.total.items()},
            "convergence": [point.plain() for point in self.convergence]}


@dataclass(frozen=True)
class Answers:
    """All outputs' statistics, and what they cost.

    Attributes
    ----------
    method : str
        Kind of draws.
    size : int
        Number of draws of the statistics; `evaluations` counts those of the Sobol' indices as well.
    seconds : float
        In which the model was evaluated, over all runs of the study.
    outside, failed : int
        Draws outside the range for which the model was built (they are part of the statistics), and draws that have no
        answer (they are not).
    base_points, failed_base_points : int
        Points of the Sobol' indices, and those of them that lack an answer and are left out.
    outputs : dict of str to OutputAnswers
    """

    method: str
    size: int
    evaluations: int
    seconds: float
    confidence: float
    outside: int
    failed: int
    outputs: Mapping[str, OutputAnswers]
    base_points: int = 0
    failed_base_points: int = 0

    @property
    def outside_share(self) -> float:
        """Share of the draws that are outside the range of the model."""
        return self.outside / self.size

    @property
    def failed_share(self) -> float:
        """Share of the draws that have no answer."""
        return self.failed / self.size

    def plain(self) -> dict[str, Any]:
        """JSON form: the attributes by name."""
        return {"method": self.method, "size": self.size, "evaluations": self.evaluations, "seconds": self.seconds,
                "confidence": self.confidence, "outside": self.outside, "outside_share": self.outside_share,
                "failed": self.failed, "failed_share": self.failed_share, "base_points": self.base_points,
                "failed_base_points": self.failed_base_points,
                "outputs": {name: one.plain() for name, one in self.outputs.items()}}
