"""The density from which a calibration draws: reduced model, its error bound, full-order model where that asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.uq.bayes.data import Data
from romflow.uq.evaluation import Evaluate
from romflow.uq.inputs import RandomInputs

__all__ = ["Judged", "Target", "Truth"]

Array = NDArray[np.float64]

#: mu (k, p) -> full-order outputs (o, k), NaN in the columns of failed solves.
Truth = Callable[[Array], Array]


@dataclass(frozen=True)
class Judged:
    """Log-likelihoods (b,) by the reduced model, and between which numbers the full-order ones differ from them.

    Without an error of the model both are NaN; -inf and 0 where the model has no answer. `guess` (b,) is the reduced
    model's log-likelihood with the error added to the noise, by which a first stage decides.
    """

    log: Array
    low: Array
    high: Array
    guess: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def bound(self) -> Array:
        """Bound (b,) on the absolute difference."""
        return np.maximum(-self.low, self.high)


class Target:
    """Log-likelihood in standard normal coordinates z (b, p) of the inputs.

    ``l*(z) = log L_full(z)`` where the bound on ``|log L_rom - log L_full|`` exceeds the tolerance, ``log L_rom(z)``
    elsewhere: within the tolerance of the full-order one everywhere.

    Attributes
    ----------
    evaluations, solves, failed : int
        Of the reduced model, of the full-order model, and of either without an answer.
    kind : "bound", "indicator" or None
        What the reduced model says of its errors.
    """

    def __init__(
        self, evaluate: Evaluate, inputs: RandomInputs, data: Data, names: Sequence[str] | None,
        truth: Truth | None, tolerance: float | None,
    ) -> None:
        self._evaluate, self._truth, self._inputs, self._data = evaluate, truth, inputs, data
        self._rows = np.arange(len(data)) if names is None else data.rows(names)
        self.tolerance = tolerance
        self.evaluations = self.solves = self.failed = 0
        self.kind: str | None = None

    def outputs(self, z: Array) -> tuple[Array, Array | None]:
        """Reduced outputs (d, b) and their errors (d, b) or None."""
        found = self._evaluate(self._inputs.from_normal(z))
        self.kind = found.kind
        output = self._picked(found.output, len(z), "reduced model")
        return output, None if found.output_error is None else self._picked(found.output_error, len(z), "reduced model")

    def judge(self, z: Array) -> Judged:
        """The reduced model's word at z (b, p)."""
        output, error = self.outputs(z)
        self.evaluations += len(z)
        log = self._data.log_likelihood(output)
        failed = np.isnan(log)
        self.failed += int(failed.sum())
        low = high = np.full(len(z), np.nan)
        guess = log
        if error is not None:
            error = np.where(np.isnan(error), np.inf, error)
            low, high = self._data.change(output, error)
        if error is not None and self.corrected:
            guess = self._data.widened(output, error)
        parts = (log, -np.inf), (low, 0.0), (high, 0.0), (guess, -np.inf)
        return Judged(*(np.where(failed, other, value) for value, other in parts))

    @property
    def corrected(self) -> bool:
        """Whether a full-order model decides where the reduced one cannot."""
        return self._truth is not None and self.tolerance is not None

    def over(self, judged: Judged) -> NDArray[np.bool_]:
        """Where the full-order model has to decide (b,)."""
        if self.tolerance is None or not self.corrected:
            return np.zeros(len(judged.log), dtype=bool)
        return np.asarray(np.isfinite(judged.log) & ~(judged.bound <= self.tolerance))

    def true(self, z: Array) -> Array:
        """Full-order log-likelihoods (k,) at z (k, p); -inf where the solve failed."""
        if not len(z):
            return np.zeros(0)
        if self._truth is None:
            raise InputError("a calibration has no full-order model; give truth, a function of parameters.")
        output = self._picked(np.asarray(self._truth(self._inputs.from_normal(z))), len(z), "full-order model")
        self.solves += len(z)
        log = self._data.log_likelihood(output)
        self.failed += int(np.isnan(log).sum())
        return np.where(np.isnan(log), -np.inf, log)

    def best(self, z: Array, judged: Judged, wanted: NDArray[np.bool_] | None = None) -> Judged:
        """``l*`` (b,) with what is left of the differences; full-order solves at the rows `wanted` only."""
        solve = self.over(judged) if wanted is None else self.over(judged) & wanted
        log, low, high = judged.log.copy(), judged.low.copy(), judged.high.copy()
        log[solve] = self.true(z[solve])
        low[solve] = high[solve] = 0.0
        return Judged(log, low, high, judged.guess)

    def start(self, chains: int, pool: int, rng: np.random.Generator) -> Array:
        """Coordinates (chains, p) to start from: draws of the inputs, more often those of higher likelihood.

        Without replacement, with probabilities ``L^t`` for the largest t <= 1 at which a tenth of the pool, or twice
        the chains, still counts.

        Raises
        ------
        ParameterError
            Fewer draws than chains have a likelihood.
        """
        z = rng.standard_normal((max(pool, 10 * chains), self._inputs.size))
        log = self.judge(z).guess
        usable = np.isfinite(log)
        if usable.sum() < chains:
            raise ParameterError(f"calibration: {int(usable.sum())} of {len(z)} draws of the inputs have a likelihood "
                                 f"above 0 and {chains} chains start from them; widen std, or check the data and the "
                                 "inputs.")
        z, log = z[usable], log[usable] - log[usable].max()
        power = _tempered(log, max(2.0 * chains, 0.1 * len(log)))
        race = power * log + rng.gumbel(size=len(log))
        return z[np.argsort(-race, kind="stable")[:chains]]

    def _picked(self, output: Array, b: int, who: str) -> Array:
        values = np.asarray(output, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != b or values.shape[0] <= self._rows.max():
            raise ShapeError(f"the {who} gives outputs of shape {values.shape} at {b} parameters; the rule is (o, {b}) "
                             f"with o > {int(self._rows.max())}, an output for each of the data.")
        return np.asarray(values[self._rows])


def _tempered(log: Array, least: float) -> float:
    """The largest power t <= 1 at which the weights exp(t log) have an effective number of at least `least`."""

    def count(power: float) -> float:
        weights = np.exp(power * log)
        return float(weights.sum() ** 2 / (weights**2).sum())

    if count(1.0) >= least:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if count(middle) >= least else (low, middle)
    return low
