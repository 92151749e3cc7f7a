"""The posterior of random inputs given data: draws, and what they say with both errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from romflow.core.files import plain
from romflow.uq.bayes.chain_diagnostics import effective_size, split_r_hat
from romflow.uq.bayes.posterior_target import Judged
from romflow.uq.bayes.reweighting import mean_range, quantile_range, std_range
from romflow.uq.estimate import Estimate

__all__ = ["Posterior"]

Array = NDArray[np.float64]

_MIXED = 1.01
_READABLE = 1.0  # of the median bound on the log-likelihood, for statements on the full-order posterior
_BARS = 40


@dataclass(frozen=True)
class Posterior:
    """Draws of the parameters given data, from c chains of n steps.

    Attributes
    ----------
    columns : tuple of str
        Names of the p parameters.
    chains : (n, c, p)
        The draws.
    judged : Judged
        Log-likelihoods of the draws (n, c), and between which numbers those of the full-order model differ from them.
    kind : "bound", "indicator" or None
        What the reduced model says of its errors.
    confidence : float
        Of the intervals.
    quantiles : sequence of float
        Levels.
    facts : dict
        Sampler, seconds, evaluations, full-order solves, failures, shares of accepted proposals.
    fit : list of dict
        Each of the data with what the posterior predicts for it.
    """

    columns: tuple[str, ...]
    chains: Array
    judged: Judged
    kind: str | None = None
    confidence: float = 0.95
    quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    facts: dict[str, Any] = field(default_factory=dict)
    fit: list[dict[str, Any]] = field(default_factory=list)

    @property
    def draws(self) -> Array:
        """All draws as rows (n c, p)."""
        return self.chains.reshape(-1, len(self.columns))

    @cached_property
    def r_hat(self) -> Array:
        """Split R-hat of each column (p,): above 1.01 the chains have not mixed."""
        return np.array([split_r_hat(self.chains[:, :, column]) for column in range(len(self.columns))])

    @cached_property
    def effective_sizes(self) -> Array:
        """Effective sample size of each column's mean (p,)."""
        return np.array([effective_size(self.chains[:, :, column]) for column in range(len(self.columns))])

    @property
    def mixed(self) -> bool:
        """Whether all columns' R-hat is at most 1.01."""
        return bool((self.r_hat <= _MIXED).all())

    @cached_property
    def correlation(self) -> Array:
        """Correlation matrix (p, p) of the columns; NaN for one that does not vary."""
        centred = self.draws - self.draws.mean(axis=0)
        std = np.sqrt((centred**2).mean(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(centred.T @ centred / len(centred) / np.outer(std, std))

    @cached_property
    def comparable(self) -> bool:
        """Whether the draws say anything of the full-order model's posterior: bounds are known, their median at most 1.

        Beyond that the full-order posterior may lie where no draw is, so that no weights of the draws make it.
        """
        bound = self.judged.bound
        return self.kind is not None and bool(np.isfinite(bound).all()) and float(np.median(bound)) <= _READABLE

    def mean(self, column: int) -> Estimate:
        """Posterior mean; interval from the effective sample size, model error from the open log-likelihoods."""
        x = self.chains[:, :, column]
        value, half = float(x.mean()), self._half(x)
        return Estimate(value, value - half, value + half, *self._model(value, lambda f: mean_range(f, *self._open), x))

    def std(self, column: int) -> Estimate:
        """Posterior standard deviation, likewise (delta method)."""
        x = self.chains[:, :, column]
        value = float(x.std())
        half = self._half((x - x.mean()) ** 2) / (2.0 * value) if value > 0.0 else 0.0
        ends = max(value - half, 0.0), value + half
        return Estimate(value, *ends, *self._model(value, lambda f: std_range(f, *self._open), x))

    def quantile(self, column: int, level: float) -> Estimate:
        """Posterior quantile: its interval lies between the quantiles at the ends of that of the probability."""
        x = self.chains[:, :, column]
        value = float(np.quantile(x, level, method="inverted_cdf"))
        half = self._half((x <= value).astype(np.float64))
        low, high = np.quantile(x, np.clip([level - half, level + half], 0.0, 1.0), method="inverted_cdf")

        def ends(flat: Array) -> tuple[float, float]:
            least, largest = quantile_range(flat, np.array([level]), *self._open)
            return float(least[0]), float(largest[0])

        return Estimate(value, float(low), float(high), *self._model(value, ends, x))

    def likelihood_error(self) -> dict[str, Any]:
        """Bound on |log L - log L_full| over the draws: its median and largest value, and what it is."""
        bound = self.judged.bound
        known = self.kind is not None and not np.isnan(bound).any()
        values = (float(np.median(bound)), float(bound.max())) if known else (None, None)
        found = {"median": values[0], "largest": values[1], "kind": self.kind, "comparable": self.comparable}
        return plain(found)  # type: ignore[no-any-return]

    def plain(self) -> dict[str, Any]:
        """JSON form: facts, diagnostics, and each column's statistics with their errors."""
        columns = {name: self._column(index) for index, name in enumerate(self.columns)}
        return plain({  # type: ignore[no-any-return]
            **self.facts, "size": len(self.draws), "chains": self.chains.shape[1], "confidence": self.confidence,
            "mixed": self.mixed, "log_likelihood_error": self.likelihood_error(), "columns": columns,
            "correlation": self.correlation, "fit": self.fit,
        })

    def _column(self, index: int) -> dict[str, Any]:
        heights, edges = np.histogram(self.draws[:, index], bins=_BARS, density=np.ptp(self.draws[:, index]) > 0.0)
        return {
            "mean": self.mean(index).plain(), "std": self.std(index).plain(),
            "quantiles": [{"level": level, **self.quantile(index, level).plain()} for level in self.quantiles],
            "r_hat": self.r_hat[index], "effective_size": self.effective_sizes[index],
            "density": {"x": 0.5 * (edges[1:] + edges[:-1]), "density": heights},
        }

    @cached_property
    def _open(self) -> tuple[Array, Array]:
        return self.judged.low.ravel(), self.judged.high.ravel()

    def _half(self, values: Array) -> float:
        """Half the width of the interval of the mean of values (n, c)."""
        reach = float(special.ndtri(0.5 + 0.5 * self.confidence))
        return reach * float(values.std()) / float(np.sqrt(effective_size(values)))

    def _model(self, value: float, ends: Any, x: Array) -> tuple[float | None, str | None]:
        """How far the statistic may move within the open log-likelihoods, and what that statement is."""
        if not self.comparable:
            return None, None
        if not any(part.any() for part in self._open):
            return 0.0, self.kind
        least, largest = ends(x.ravel())
        return max(value - least, largest - value, 0.0), self.kind
