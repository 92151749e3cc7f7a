"""By how much statistics may differ between a model q with |q - q_r| <= e at each draw and its reduced model q_r.

All are exact inequalities for the draws at hand; with e an indicator they are indicators. c and c_r are q and q_r minus
their means, h = c - c_r, and ||x|| = sqrt(mean x^2), ||x||_4 = (mean x^4)^(1/4): then ||h|| <= ||e|| and
||h||_4 <= ||e||_4 + mean e.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ErrorMoments", "known"]


@dataclass(frozen=True)
class ErrorMoments:
    """mean e, ||e|| and ||e||_4 of one output; infinite where a draw has no bound.

    Examples
    --------
    >>> ErrorMoments(0.1, 0.1, 0.1).std()
    0.1
    """

    mean: float
    root: float
    fourth: float

    def std(self) -> float:
        """| ||c|| - ||c_r|| | <= ||e|| (Minkowski; a variance is the least mean square over all shifts)."""
        return self.root

    def variance(self, std: float) -> float:
        """|s^2 - r^2| = |s - r| (s + r) <= ||e|| (2 r + ||e||)."""
        return self.root * (2.0 * std + self.root)

    def kurtosis(self, std: float, kurtosis: float) -> float:
        """From (||c||_4 / ||c||)^4, both norms known up to ||h||_4 and ||e||; infinite where ||e|| reaches ||c_r||."""
        if not self.root < std:
            return math.inf
        fourth, h = std * kurtosis**0.25, self.fourth + self.mean
        highest = ((fourth + h) / (std - self.root)) ** 4
        lowest = (max(fourth - h, 0.0) / (std + self.root)) ** 4
        return max(highest - kurtosis, kurtosis - max(lowest, 1.0), 0.0)

    def skewness(self, std: float, skewness: float, kurtosis: float) -> float:
        """|mean c^3 - mean c_r^3| <= ||h||_4 (|c|^2 + |c| |c_r| + |c_r|^2) in norms ||.||_4 >= ||.||_3 (Hoelder)."""
        if not self.root < std:
            return math.inf
        before, h = std * kurtosis**0.25, self.fourth + self.mean
        after = before + h
        third, change = skewness * std**3, h * (after**2 + after * before + before**2)
        ends = [(third + sign * change) / (std + side * self.root) ** 3 for sign in (-1.0, 1.0) for side in (-1.0, 1.0)]
        return max(max(ends) - skewness, skewness - min(ends))

    def sobol_index(self, std: float, index: float) -> float:
        """sqrt(index) * std is the norm of a projection of c, so that it too is known up to ||e||; at most 1.

        Infinite where a draw has no bound.
        """
        if not math.isfinite(self.root):
            return math.inf
        if not self.root < std:
            return 1.0
        part = math.sqrt(min(max(index, 0.0), 1.0)) * std
        highest = min(((part + self.root) / (std - self.root)) ** 2, 1.0)
        lowest = (max(part - self.root, 0.0) / (std + self.root)) ** 2
        return max(highest - index, index - lowest, 0.0) if self.root > 0.0 else 0.0

    def density(self, width: float) -> float:
        """|mean K(x - q) - mean K(x - q_r)| <= max |K'| mean e, max |K'| = 1 / (width^2 sqrt(2 pi e)): any x."""
        return self.mean / (width**2 * math.sqrt(2.0 * math.pi * math.e))


def known(number: float) -> float | None:
    """The number, or None where it is not finite."""
    return number if math.isfinite(number) else None
