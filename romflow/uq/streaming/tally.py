"""What is kept of draws that have been evaluated: sums and counts whose size does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.uq.evaluation import Evaluated
from romflow.uq.streaming.cells import Cells, cell_bits, pivot_of
from romflow.uq.streaming.model_errors import ErrorMoments
from romflow.uq.streaming.moments import merge, merge_all, moments_of, variance

__all__ = ["Tally", "prefix_sizes"]

Array = NDArray[np.float64]

_LEAST_PREFIX = 16


def prefix_sizes(each: int) -> list[int]:
    """Numbers of draws of a repetition at which its moments are noted: powers of two, and all.

    Examples
    --------
    >>> prefix_sizes(100)
    [16, 32, 64, 100]
    """
    return [size for size in (1 << k for k in range(64)) if _LEAST_PREFIX <= size < each] + [each]


class Tally:
    """Moments, counts and cells of the outputs of draws, block by block in a fixed order.

    Parameters
    ----------
    outputs : int
    repetitions, groups : int
        Of the draws; groups are what is left out one at a time.
    each : int
        Draws of a repetition.
    thresholds : sequence of (int, float)
        (output, threshold) of the exceedances.
    levels : sequence of float
        Of the quantiles.
    cells : bool
        Whether quantiles or densities are wanted.

    Attributes
    ----------
    groups : (g, 5, o)
        Moments of each group.
    prefixes : (m, r, 5, o)
        Moments of the first draws of each repetition, as many as `prefix_sizes` says.
    exceeded : (r, t, 3)
        Draws with q > t, q - e > t, q + e > t.
    quantiles : (r, l, o)
        Of each repetition, where there are several.
    cells : list of Cells
        Of each output; `shifted` of q - e and q + e, where these differ.
    used, failed, outside : int
        Draws with and without an answer, and those outside the range of the model.
    largest : (o,)
        Largest errors.
    kind : "bound", "indicator" or None
        Of the errors e; None where some draw has none.
    """

    def __init__(self, outputs: int, repetitions: int, groups: int, each: int, thresholds: Sequence[tuple[int, float]],
                 levels: Sequence[float], cells: bool) -> None:
        self._sizes, self._each = prefix_sizes(each), each
        self.thresholds, self._levels, self._wanted = list(thresholds), list(levels), cells
        self.groups = np.zeros((groups, 5, outputs))
        self.running = np.zeros((5, outputs))
        self.prefixes = np.zeros((len(self._sizes), repetitions, 5, outputs))
        self.errors, self.largest = np.zeros((3, outputs)), np.zeros(outputs)
        self.exceeded = np.zeros((repetitions, len(self.thresholds), 3), dtype=np.int64)
        self.quantiles = np.full((repetitions, len(self._levels), outputs), np.nan)
        self.cells: list[Cells] = []
        self.shifted: list[tuple[Cells, Cells]] = []
        self._own: list[Cells] = []
        self.used = self.failed = self.outside = 0
        self.kind: str | None = "bound"

    def add(self, repetition: int, group: int, start: int, answer: Evaluated) -> None:
        """Draws from `start` on of a repetition; those with a number that is not finite count as failed."""
        y = answer.output
        stop = start + y.shape[1]
        whole = np.isfinite(y).all(axis=0)
        good = y[:, whole]
        self.used, self.failed = self.used + good.shape[1], self.failed + int((~whole).sum())
        e = self._error(answer, whole)
        self._moments(repetition, group, start, y, whole)
        with np.errstate(over="ignore"):
            self.errors += np.stack([e.sum(axis=1), (e**2).sum(axis=1), (e**4).sum(axis=1)])
        self.largest = np.maximum(self.largest, e.max(axis=1, initial=0.0))
        for row, (output, threshold) in enumerate(self.thresholds):
            q, half = good[output], e[output]
            counts = [np.count_nonzero(q > threshold), np.count_nonzero(q - half > threshold),
                      np.count_nonzero(q + half > threshold)]
            self.exceeded[repetition, row] += np.array(counts)
        if self._wanted and good.shape[1]:
            self._count(start, good, e)
        if stop == self._each:
            self._finish(repetition)

    def error_moments(self, output: int) -> ErrorMoments:
        """Means of the errors of one output; the divisor of the root is n - 1, as of the standard deviation's."""
        mean, square, fourth = (float(total) for total in self.errors[:, output])
        n = max(self.used, 2)
        return ErrorMoments(mean / n, (square / (n - 1)) ** 0.5, (fourth / n) ** 0.25)

    def scale(self) -> tuple[Array, Array]:
        """Means and standard deviations (o,) of the outputs, the latter 1 where an output is constant."""
        total = merge_all(self.groups)
        std = np.sqrt(np.nan_to_num(variance(total)))
        return total[1], np.where(std > 1e-14 * np.abs(total[1]), std, 1.0)

    def arrays(self) -> dict[str, Any]:
        """All that changes."""
        about = [self.used, self.failed, self.outside, ("bound", "indicator", None).index(self.kind)]
        found: dict[str, Any] = {"groups": self.groups, "running": self.running, "prefixes": self.prefixes,
                                 "errors": self.errors, "largest": self.largest, "exceeded": self.exceeded,
                                 "quantiles": self.quantiles, "about": np.array(about)}
        lists = {"cells": self.cells, "own": self._own, "low": [low for low, _ in self.shifted],
                 "high": [high for _, high in self.shifted]}
        for name, cells in lists.items():
            for index, one in enumerate(cells):
                found |= {f"{name}/{index}/{key}": value for key, value in one.arrays().items()}
        return found

    def restore(self, arrays: dict[str, Any]) -> None:
        """Go on from what `arrays` gave."""
        for key in ("groups", "running", "prefixes", "errors", "largest", "exceeded", "quantiles"):
            getattr(self, key)[...] = arrays[key]
        self.used, self.failed, self.outside, kind = (int(number) for number in arrays["about"])
        self.kind = ("bound", "indicator", None)[kind]
        self.cells, self._own, low, high = (_cells_from(arrays, name) for name in ("cells", "own", "low", "high"))
        self.shifted = list(zip(low, high, strict=True))

    def _error(self, answer: Evaluated, whole: NDArray[np.bool_]) -> Array:
        """e (o, b) of the draws with an answer: infinite where it is not known."""
        if not whole.any():
            return np.zeros((self.groups.shape[2], 0))
        if answer.output_error is None or answer.kind is None:
            self.kind = None
            return np.full((self.groups.shape[2], int(whole.sum())), np.inf)
        if self.kind == "bound":
            self.kind = answer.kind
        e = np.abs(answer.output_error[:, whole])
        return np.where(np.isnan(e), np.inf, e)

    def _moments(self, repetition: int, group: int, start: int, y: Array, whole: NDArray[np.bool_]) -> None:
        stop = start + y.shape[1]
        block = moments_of(y[:, whole])
        if start == 0:
            self.running[:] = 0.0
            for index, size in enumerate(self._sizes):
                if size < stop:
                    self.prefixes[index, repetition] = moments_of(y[:, :size][:, whole[:size]])
        self.running = merge(self.running, block)
        self.groups[group] = merge(self.groups[group], block)
        if stop in self._sizes:
            self.prefixes[self._sizes.index(stop), repetition] = self.running

    def _count(self, start: int, good: Array, e: Array) -> None:
        if not self.cells:
            bits = cell_bits(len(good))
            self.cells = [Cells(bits, *pivot_of(q)) for q in good]
        if len(self.quantiles) > 1:
            if start == 0 or not self._own:
                self._own = [Cells(one.bits, one.pivot, one.scale) for one in self.cells]
            for one, q in zip(self._own, good, strict=True):
                one.add(q)
        if not self.shifted and e.any() and self.kind is not None:
            self.shifted = [(one.copy(), one.copy()) for one in self.cells]
        for one, q in zip(self.cells, good, strict=True):
            one.add(q)
        for (low, high), q, half in zip(self.shifted, good, e, strict=False):
            low.add(q - half)
            high.add(q + half)

    def _finish(self, repetition: int) -> None:
        if self._own:
            values = [[one.quantile(level) for one in self._own] for level in self._levels]
            self.quantiles[repetition] = np.array(values).reshape(len(self._levels), -1)
        self._own = []


def _cells_from(arrays: dict[str, Any], name: str) -> list[Cells]:
    count = len({key.split("/")[1] for key in arrays if key.startswith(f"{name}/")})
    keys = ("index", "counts", "about", "place")
    return [Cells.from_arrays({key: arrays[f"{name}/{index}/{key}"] for key in keys}) for index in range(count)]
