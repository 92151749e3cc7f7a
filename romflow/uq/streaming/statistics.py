"""From the tally of draws to estimates: values, intervals, and what the reduced model's own error adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.uq.estimate import Estimate
from romflow.uq.intervals import clopper_pearson, from_groups, normal_factor, student_factor
from romflow.uq.streaming.answers import Curve, OutputAnswers, Point
from romflow.uq.streaming.cells import Cells, density, rank_interval
from romflow.uq.streaming.model_errors import ErrorMoments, known
from romflow.uq.streaming.moments import kurtosis, merge_all, skewness, variance, without_each
from romflow.uq.streaming.sensitivity import Indices
from romflow.uq.streaming.tally import Tally
from romflow.uq.wishes import Wishes

__all__ = ["output_answers"]

Array = NDArray[np.float64]

# Below this many draws beyond a quantile or a threshold a repetition says little of them: counts do instead.
_FEW = 50
_CURVE = 201
# Rows of the table of moments that cannot be negative: variance, standard deviation, kurtosis.
_POSITIVE = [1, 2, 4]


def output_answers(tally: Tally, indices: Indices | None, names: Sequence[str], wishes: Wishes,
                   independent: bool) -> list[OutputAnswers]:
    """Answers of each output.

    Parameters
    ----------
    tally : Tally
    indices : Indices or None
    names : sequence of str
        Of the groups of inputs.
    wishes : Wishes
    independent : bool
        Whether the draws are independent of each other; their repetitions are, else.
    """
    some = tally.groups[tally.groups[:, 0, 0] > 0.0]
    table = _moment_table(some, wishes.confidence, independent)
    shares = None if indices is None else indices.intervals(wishes.confidence)
    return [_Output(tally, output, wishes, independent, table[:, :, output]).answers(names, shares)
            for output in range(tally.groups.shape[2])]


def _moment_table(groups: Array, confidence: float, independent: bool) -> Array:
    """Mean, variance, standard deviation, skewness, kurtosis (5, 3, o): values, lower and upper ends.

    Variances and kurtoses are estimated on a logarithmic scale, on which they are nearer to a normal distribution.
    """
    total = merge_all(groups)
    values = _five(total, independent)
    others = np.stack([_scaled(_five(one, independent)) for one in without_each(groups)])
    halves = from_groups(others, confidence)
    if independent:
        halves[0] = _mean_half(total, confidence)
    return _ends(values, halves)


def _scaled(values: Array) -> Array:
    """Rows mean and skewness as they are, of the others the logarithms; 0 where there is none."""
    found = np.array(values)
    found[_POSITIVE] = np.log(np.where(values[_POSITIVE] > 0.0, values[_POSITIVE], 1.0))
    return found


def _ends(values: Array, halves: Array) -> Array:
    """(5, 3, o) of values (5, o) and halves of intervals of what `_scaled` gives."""
    low, high = values - halves, values + halves
    with np.errstate(over="ignore"):
        wider = np.exp(halves[_POSITIVE])
    low[_POSITIVE], high[_POSITIVE] = values[_POSITIVE] / wider, values[_POSITIVE] * wider
    return np.stack([values, low, high], axis=1)


def _five(moments: Array, independent: bool) -> Array:
    """The divisor of the variance is n - 1 for independent draws, and n where the mean has hardly an error."""
    square = variance(moments) if independent else moments[2] / moments[0]
    return np.stack([moments[1], square, np.sqrt(square), skewness(moments), kurtosis(moments)])


def _mean_half(moments: Array, confidence: float) -> Array:
    n = np.maximum(moments[0], 2.0)
    return np.asarray(student_factor(float(n.flat[0]) - 1.0, confidence) * np.sqrt(variance(moments) / n))


def _std_half(moments: Array, confidence: float) -> Array:
    """sd(log s) = sqrt((m_4 - (n - 3) / (n - 1) s^4) / n) / (2 s^2) for independent draws."""
    n, square = moments[0], variance(moments)
    spread = np.maximum(moments[4] / n - (n - 3.0) / (n - 1.0) * square**2, 0.0) / n
    return np.asarray(normal_factor(confidence) * np.sqrt(spread) / np.where(square > 0.0, 2.0 * square, 1.0))


class _Output:
    """Answers of one output of a tally."""

    def __init__(self, tally: Tally, output: int, wishes: Wishes, independent: bool, table: Array) -> None:
        self._tally, self._output, self._wishes, self._independent = tally, output, wishes, independent
        self._table, self._errors = table, tally.error_moments(output)
        self._kind = tally.kind

    def answers(self, names: Sequence[str], shares: tuple[Array, Array] | None) -> OutputAnswers:
        mean, variance_, std, third, fourth = self._moments()
        first, total = self._indices(names, shares)
        return OutputAnswers(
            mean=mean, variance=variance_, std=std, skewness=third, kurtosis=fourth, quantiles=self._quantiles(),
            exceedance=self._exceedance(), density=self._density() if self._wishes.density else None,
            first_order=first, total=total, convergence=self._convergence())

    def _estimate(self, value: float, half: float, error: float) -> Estimate:
        return Estimate(float(value), float(value - half), float(value + half), *self._error(error))

    def _error(self, error: float) -> tuple[float | None, str | None]:
        found = None if self._kind is None else known(float(error))
        return found, None if found is None else self._kind

    def _moments(self) -> list[Any]:
        std, third, fourth = (float(value) for value in self._table[2:, 0])
        e: ErrorMoments = self._errors
        errors = [e.mean, e.variance(std), e.std(), 0.0, 0.0]
        if np.isfinite(fourth) and e.root > 0.0:
            errors[3:] = [e.skewness(std, third, fourth), e.kurtosis(std, fourth)]
        return [self._between(*ends, error) if np.isfinite(ends).all() else None
                for ends, error in zip(self._table, errors, strict=True)]

    def _between(self, value: float, low: float, high: float, error: float) -> Estimate:
        return Estimate(float(value), float(low), float(high), *self._error(error))

    # --- distribution -------------------------------------------------------------------------------------------------

    def _quantiles(self) -> list[tuple[float, Estimate]]:
        return [(float(level), self._quantile(row, float(level))) for row, level in enumerate(self._wishes.quantiles)]

    def _quantile(self, row: int, level: float) -> Estimate:
        cells: Cells = self._tally.cells[self._output]
        value = cells.quantile(level)
        low_rank, high_rank = rank_interval(cells.n, level, self._wishes.confidence)
        low = cells.rank(low_rank, False) if low_rank else -np.inf
        high = cells.rank(high_rank, True) if high_rank <= cells.n else np.inf
        own = self._tally.quantiles[:, row, self._output]
        own = own[np.isfinite(own)]
        if not self._independent and own.size > 1 and min(level, 1.0 - level) * cells.n >= _FEW * own.size:
            rank = max(1, round(level * cells.n))
            half = student_factor(own.size - 1, self._wishes.confidence) * float(own.std(ddof=1)) / own.size**0.5
            half += cells.rank(rank, True) - cells.rank(rank, False)
            low, high = value - half, value + half
        return Estimate(value, low, high, *self._error(self._quantile_error(value, level)))

    def _quantile_error(self, value: float, level: float) -> float:
        """The quantile of q is between those of q_r - e and q_r + e, and no farther away than the largest e.

        Of the former the far ends of their cells count, so that no error below a cell's width is lost.
        """
        if not self._tally.shifted:
            return 0.0
        low, high = self._tally.shifted[self._output]
        k = int(np.ceil(level * low.n))
        apart = max(high.rank(k, True) - value, value - low.rank(k, False))
        return float(min(apart, self._tally.largest[self._output]))

    def _exceedance(self) -> list[tuple[float, Estimate]]:
        pairs = enumerate(self._tally.thresholds)
        return [(t, self._probability(row)) for row, (output, t) in pairs if output == self._output]

    def _probability(self, row: int) -> Estimate:
        counts, n = self._tally.exceeded[:, row], self._tally.used
        above, least, most = (int(count) for count in counts.sum(axis=0))
        share = above / n
        low, high = clopper_pearson(above, n, self._wishes.confidence)
        if not self._independent and min(above, n - above) >= _FEW * len(counts):
            used = np.maximum(self._tally.groups[:, 0, 0], 1.0)
            own = counts[:, 0] / used
            half = student_factor(own.size - 1, self._wishes.confidence) * float(own.std(ddof=1)) / own.size**0.5
            low, high = max(share - half, 0.0), min(share + half, 1.0)
        return Estimate(share, low, high, *self._error(max(most - above, above - least) / n))

    def _density(self) -> Curve | None:
        """Over the middle 99.9 %, the width 0.9 min(std, IQR / 1.349) n^(-1/5) (Silverman 1986, eq. 3.31)."""
        cells: Cells = self._tally.cells[self._output]
        std = float(self._table[2, 0])
        low, first, third, high = (cells.quantile(level) for level in (5e-4, 0.25, 0.75, 0.9995))
        if not std > 1e-12 * abs(float(self._table[0, 0])) or not np.isfinite(high - low):
            return None
        spread = min(std, (third - first) / 1.349) or std
        width = 0.9 * spread * cells.n**-0.2
        x = np.linspace(low - 3.0 * width, high + 3.0 * width, _CURVE)
        values, deviation = density(cells, x, width)
        half = normal_factor(self._wishes.confidence) * deviation
        return Curve(x, values, np.maximum(values - half, 0.0), values + half, width,
                     self._error(self._errors.density(width))[0])

    # --- sensitivities and convergence --------------------------------------------------------------------------------

    def _indices(self, names: Sequence[str],
                 shares: tuple[Array, Array] | None) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        if shares is None:
            return {}, {}
        std = float(self._table[2, 0])
        values, halves = (part[:, :, self._output] for part in shares)
        first, total = ({name: self._estimate(value, half, self._errors.sobol_index(std, float(value)))
                         for name, value, half in zip(names, values[kind], halves[kind], strict=True)
                         if np.isfinite(value)} for kind in (0, 1))
        return first, total

    def _convergence(self) -> list[Point]:
        found = []
        for repetitions in self._tally.prefixes[..., self._output]:
            some = repetitions[repetitions[:, 0] > 1.0]
            if len(some) == len(repetitions):
                found.append(self._point(some))
        return found

    def _point(self, groups: Array) -> Point:
        confidence, total = self._wishes.confidence, merge_all(groups)
        values = _five(total, self._independent)
        if self._independent:
            halves = np.zeros_like(values)
            halves[0], halves[2] = _mean_half(total, confidence), _std_half(total, confidence)
            table = _ends(values, halves)
        else:
            table = _moment_table(groups, confidence, False)
        return Point(int(total[0]), self._between(*table[0], self._errors.mean),
                     self._between(*table[2], self._errors.std()))
