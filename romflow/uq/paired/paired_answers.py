"""What paired runs of several models answer: statistics of the full-order outputs and how the budget was spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from romflow.uq.asked import Asked
from romflow.uq.estimate import Estimate
from romflow.uq.paired.nested_estimator import Found
from romflow.uq.paired.nested_sums import Fidelity, NestedSums

__all__ = ["PairedAnswers", "Share", "paired_answers"]


@dataclass(frozen=True)
class Share:
    """Of one model: evaluations that count, those that failed, seconds, and its shares of time and variance.

    `share_of_variance` is the part of the means' variance (averaged over the outputs) that more evaluations of this
    model would lower.
    """

    evaluations: int
    failed: int
    seconds: float
    share_of_seconds: float
    share_of_variance: float


@dataclass(frozen=True)
class PairedAnswers:
    """Statistics of the full-order outputs; the reduced models' own errors are not in them.

    Attributes
    ----------
    mean, variance, std : dict of str to Estimate
        By output.
    exceedance : dict of str to tuple of (float, Estimate)
        Probability of more than each threshold, by output.
    budget : dict of str to Share
        By model.
    correlation : dict of str to dict of str to float
        Model -> output -> correlation with the full-order output.
    gain : dict of str to dict
        Output -> {"mean", "variance": float, "exceedance": list}: variance of plain Monte Carlo with the full-order
        model at equal cost, over that of the estimate; None where it is not known.
    notes : tuple of str
    """

    mean: dict[str, Estimate]
    variance: dict[str, Estimate]
    std: dict[str, Estimate]
    exceedance: dict[str, tuple[tuple[float, Estimate], ...]]
    budget: dict[str, Share]
    correlation: dict[str, dict[str, float]]
    gain: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    confidence: float

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        outputs = {name: {"mean": self.mean[name].plain(), "variance": self.variance[name].plain(),
                          "std": self.std[name].plain(), "gain": self.gain[name],
                          "exceedance": [{"threshold": t, **e.plain()} for t, e in self.exceedance[name]]}
                   for name in self.mean}
        return {"method": "multifidelity", "confidence": self.confidence, "outputs": outputs,
                "budget": {name: asdict(share) for name, share in self.budget.items()},
                "correlation": self.correlation, "notes": list(self.notes)}


def paired_answers(wish: Asked, models: Sequence[Fidelity], counts: Sequence[int], sums: NestedSums,
                   found: dict[str, Found], extra_seconds: float = 0.0, notes: Sequence[str] = ()) -> PairedAnswers:
    """Put the numbers under the names of outputs and models; `extra_seconds` were spent on a pilot."""
    seconds = np.array([model.seconds * count if model.seconds else spent
                        for model, count, spent in zip(models, counts, sums.seconds, strict=True)])
    single = models[0].seconds or seconds[0] / max(counts[0], 1)
    alike = (seconds.sum() + extra_seconds) / single if single > 0.0 else float("nan")
    names = wish.outputs
    mean, variance = (dict(zip(names, found[kind].estimates(least), strict=True))
                      for kind, least in (("mean", -np.inf), ("variance", 0.0)))
    exceedance: dict[str, Any] = {name: () for name in names}
    gain = {name: {"mean": _gain(found["mean"], j, alike), "variance": _gain(found["variance"], j, alike),
                   "exceedance": []} for j, name in enumerate(names)}
    if wish.thresholds:
        for j, ((o, t), e) in enumerate(zip(wish.thresholds, found["exceedance"].estimates(0.0, 1.0), strict=True)):
            exceedance[names[o]] += ((t, e),)
            gain[names[o]]["exceedance"].append(_gain(found["exceedance"], j, alike))
    return PairedAnswers(
        mean, variance, {name: _root(e) for name, e in variance.items()}, exceedance,
        _budget(models, counts, sums, seconds, found["mean"]),
        {model.name: dict(zip(names, map(float, row), strict=True))
         for model, row in zip(models, found["mean"].correlation, strict=True)},
        gain, (*notes, *_failures(models, counts, sums)), wish.confidence)


def _gain(found: Found, j: int, alike: float) -> float | None:
    total = found.variance[:, j].sum()
    gain = found.single[j] / alike / total if total > 0.0 and alike > 0.0 else np.nan
    return float(gain) if np.isfinite(gain) else None


def _root(e: Estimate) -> Estimate:
    value, low, high = (float(np.sqrt(max(x, 0.0))) for x in (e.value, e.low, e.high))
    return Estimate(value, low, high, e.model_error, e.model_kind)


def _budget(models: Sequence[Fidelity], counts: Sequence[int], sums: NestedSums, seconds: np.ndarray,
            mean: Found) -> dict[str, Share]:
    total = mean.variance.sum(axis=0)
    shares = np.divide(mean.variance, total, out=np.zeros_like(mean.variance), where=total > 0.0).mean(axis=1)
    spent = max(float(seconds.sum()), np.finfo(float).tiny)
    return {model.name: Share(count - sums.failed[i], sums.failed[i], float(seconds[i]), float(seconds[i] / spent),
                              float(shares[i]))
            for i, (model, count) in enumerate(zip(models, counts, strict=True))}


def _failures(models: Sequence[Fidelity], counts: Sequence[int], sums: NestedSums) -> list[str]:
    return [f"{sums.failed[i]} of {counts[i]} evaluations of {model.name} have no finite answer and are left out: "
            "the estimates hold for parameters with an answer, a probability may be off by "
            f"{sums.failed[i] / counts[i]:.2g}, a mean by that share of the outputs there"
            for i, model in enumerate(models) if sums.failed[i]]
