"""Means and covariances of groups of features, taken in one pass over blocks of draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["JointMoments", "union"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointMoments:
    """Count, mean (g, w) and sums of products of deviations (g, w, w) of g groups of w features.

    Examples
    --------
    >>> first, second = JointMoments.of(np.array([[[1.0, 2.0]]])), JointMoments.of(np.array([[[6.0]]]))
    >>> merged = first + second
    >>> merged.count, merged.mean.item(), merged.covariance.item()
    (3, 3.0, 7.0)
    """

    count: int
    mean: Array
    products: Array

    @classmethod
    def empty(cls, groups: int, width: int) -> JointMoments:
        """Of no draw."""
        return cls(0, np.zeros((groups, width)), np.zeros((groups, width, width)))

    @classmethod
    def of(cls, features: Array) -> JointMoments:
        """Of features (g, w, n)."""
        g, w, n = features.shape
        if n == 0:
            return cls.empty(g, w)
        mean = features.mean(axis=2)
        deviations = features - mean[:, :, None]
        return cls(n, mean, deviations @ deviations.transpose(0, 2, 1))

    def __add__(self, other: JointMoments) -> JointMoments:
        """Of both sets of draws (Chan, Golub and LeVeque 1983, eq. (2.1))."""
        if not self.count or not other.count:
            return other if not self.count else self
        count = self.count + other.count
        step = other.mean - self.mean
        products = self.products + other.products + (
            self.count * other.count / count * step[:, :, None] * step[:, None, :])
        return JointMoments(count, self.mean + step * (other.count / count), products)

    def last(self, width: int) -> JointMoments:
        """Of the last `width` features of each group."""
        start = self.mean.shape[1] - width
        return JointMoments(self.count, self.mean[:, start:], self.products[:, start:, start:])

    @property
    def covariance(self) -> Array:
        """Unbiased covariances (g, w, w); NaN for fewer than two draws."""
        return self.products / (self.count - 1) if self.count > 1 else np.full_like(self.products, np.nan)


def union(parts: Iterable[JointMoments]) -> JointMoments:
    """Of all draws of one or more sets."""
    first, *rest = parts
    for part in rest:
        first = first + part
    return first
