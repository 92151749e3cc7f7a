"""Counts of values in narrow cells: the distribution of any number of draws in a few megabytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["Cells", "cell_bits", "density", "pivot_of", "rank_interval"]

Array = NDArray[np.float64]

# Beyond this value of z = 2 asinh(x / 2) values are counted without a cell: x = 4.9e8 standard deviations.
_LIMIT = 40
_BUDGET = 1 << 18


def pivot_of(values: Array) -> tuple[float, float]:
    """Median and standard deviation of the first values: the origin and unit of the cells.

    Where all values are alike the unit is their size, or 1.
    """
    middle, spread = float(np.median(values)), float(np.std(values))
    if not spread > 1e-12 * abs(middle):
        spread = abs(middle) or 1.0
    return middle, spread


def cell_bits(outputs: int) -> int:
    """A cell is 2^-bits standard deviations wide near the median: 15 bits up to 8 outputs, then fewer, at least 6."""
    return max(6, min(15, (_BUDGET // max(1, outputs)).bit_length() - 1))


class Cells:
    """Counts in cells of equal width in z = 2 asinh(x / 2), x = (y - pivot) / scale: linear near the pivot, then
    logarithmic. A value's cell depends on the value alone, so that counts add up whatever the order.

    Parameters
    ----------
    bits : int
        A cell is 2^-bits wide in z.
    pivot, scale : float

    Attributes
    ----------
    n : int
        Number of values, infinite ones too.
    least, largest : float
        Of the finite values.

    Examples
    --------
    >>> cells = Cells(10, 0.0, 1.0)
    >>> cells.add(np.linspace(-1.0, 1.0, 10001))
    >>> round(cells.quantile(0.75), 3)
    0.5
    """

    def __init__(self, bits: int, pivot: float, scale: float) -> None:
        self.bits, self.pivot, self.scale = bits, pivot, scale
        self._first, self._counts = 0, np.zeros(0, dtype=np.int64)
        self.below = self.above = self.n = 0
        self._endless = [0, 0]
        self.least, self.largest = np.inf, -np.inf

    def add(self, values: Array) -> None:
        """Count values (b,), infinite ones at the ends."""
        if values.size == 0:
            return
        finite = values[np.isfinite(values)]
        if finite.size:
            self.least, self.largest = min(self.least, float(finite.min())), max(self.largest, float(finite.max()))
        with np.errstate(over="ignore"):
            z = 2.0 * np.arcsinh((values - self.pivot) / (2.0 * self.scale))
        inside = z[np.abs(z) <= _LIMIT]
        self.n += values.size
        self._endless[0] += int(np.count_nonzero(values == -np.inf))
        self._endless[1] += int(np.count_nonzero(values == np.inf))
        self.above += int(np.count_nonzero(z > _LIMIT))
        self.below += int(np.count_nonzero(z < -_LIMIT))
        if inside.size:
            index = np.floor(inside * 2.0**self.bits).astype(np.int64)
            self._put(int(index.min()), np.bincount(index - index.min()))

    def merge(self, other: Cells) -> None:
        """Add the counts of cells with the same pivot, scale and width."""
        self.n, self.below, self.above = self.n + other.n, self.below + other.below, self.above + other.above
        self._endless = [one + more for one, more in zip(self._endless, other._endless, strict=True)]
        self.least, self.largest = min(self.least, other.least), max(self.largest, other.largest)
        self._put(other._first, other._counts)

    def quantile(self, level: float) -> float:
        """The value that n * level values do not exceed, linear within a cell; infinite where that many are."""
        return self._at(level * self.n, None)

    def rank(self, k: int, upper: bool) -> float:
        """An end of the cell of the k-th smallest value (k = 1 .. n): its upper or lower one; k beyond is the last."""
        return self._at(min(max(k, 1), max(self.n, 1)) - 0.5, upper)

    def centres(self, most: int) -> tuple[Array, Array]:
        """Mean places and counts of at most about `most` groups of neighbouring cells that are not empty."""
        step = max(1, -(-self._counts.size // most))
        padded = np.concatenate([self._counts, np.zeros(-self._counts.size % step, dtype=np.int64)]).reshape(-1, step)
        totals = padded.sum(axis=1)
        inner = padded @ (np.arange(step) + 0.5)
        some = totals > 0
        z = (self._first + np.arange(len(totals))[some] * step + inner[some] / totals[some]) * 2.0**-self.bits
        return np.clip(self._value(z), self.least, self.largest), totals[some].astype(np.float64)

    def arrays(self) -> dict[str, Any]:
        """All of it, as arrays; of the cells those that are not empty."""
        index = np.flatnonzero(self._counts)
        return {"index": index, "counts": self._counts[index],
                "about": np.array([self._first, self.below, self.above, self.n, *self._endless, self._counts.size]),
                "place": np.array([self.bits, self.pivot, self.scale, self.least, self.largest])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Cells:
        """The cells that `arrays` described."""
        bits, pivot, scale, least, largest = (float(value) for value in arrays["place"])
        cells = cls(int(bits), pivot, scale)
        about = [int(value) for value in arrays["about"]]
        cells._first, cells.below, cells.above, cells.n = about[:4]
        cells._endless, cells._counts = about[4:6], np.zeros(about[6], dtype=np.int64)
        cells._counts[arrays["index"]] = arrays["counts"]
        cells.least, cells.largest = least, largest
        return cells

    def copy(self) -> Cells:
        """Cells with the same counts."""
        return Cells.from_arrays(self.arrays())

    def _put(self, first: int, counts: NDArray[np.int64]) -> None:
        if counts.size == 0:
            return
        if self._counts.size == 0:
            self._first, self._counts = first, counts.astype(np.int64)
            return
        low = min(self._first, first)
        high = max(self._first + self._counts.size, first + counts.size)
        if high - low > self._counts.size:
            grown = np.zeros(high - low, dtype=np.int64)
            grown[self._first - low:self._first - low + self._counts.size] = self._counts
            self._first, self._counts = low, grown
        self._counts[first - self._first:first - self._first + counts.size] += counts

    def _at(self, rank: float, upper: bool | None) -> float:
        if self.n == 0:
            return float("nan")
        if rank <= self.below and self.below:
            return -np.inf if rank <= self._endless[0] else self.least
        totals = self._totals()
        index = int(np.searchsorted(totals, rank - self.below))
        if index >= totals.size:
            return np.inf if rank > self.n - self._endless[1] else self.largest
        inside = (rank - self.below - (totals[index - 1] if index else 0)) / max(1, self._counts[index])
        share = min(1.0, max(0.0, inside)) if upper is None else float(upper)
        value = float(self._value(np.array((self._first + index + share) * 2.0**-self.bits)))
        return min(max(value, self.least), self.largest)

    def _totals(self) -> NDArray[np.int64]:
        return np.cumsum(self._counts)

    def _value(self, z: Array) -> Array:
        return np.asarray(self.pivot + 2.0 * self.scale * np.sinh(z / 2.0))


def rank_interval(n: int, level: float, confidence: float) -> tuple[int, int]:
    """Ranks l <= u of n independent values between which the quantile lies: P(l <= B < u) >= confidence, B ~ Bin.

    David and Nagaraja, Order Statistics (2003), eq. (7.1.1). l = 0 or u = n + 1 where the values do not reach so far.

    Examples
    --------
    >>> rank_interval(100, 0.5, 0.95)
    (40, 61)
    """
    ends = special.bdtrik(np.array([(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]), n, level)
    low, high = (0 if np.isnan(end) else int(np.ceil(max(end, 0.0))) for end in ends)
    return low, min(high + 1, n + 1)


def density(cells: Cells, x: Array, width: float) -> tuple[Array, Array]:
    """Gaussian kernel estimate (1 / n) sum_i K_h(x - y_i) at x (m,), and its standard deviation for independent draws.

    The standard deviation is sqrt((mean of K_h^2 - (mean of K_h)^2) / n). It says nothing of the smoothing: the
    estimate is of the density smoothed over `width`.
    """
    places, counts = cells.centres(4096)
    kernel = np.exp(-0.5 * ((x[:, None] - places) / width) ** 2) / (width * np.sqrt(2.0 * np.pi))
    mean, square = kernel @ counts / cells.n, kernel**2 @ counts / cells.n
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0) / cells.n)
