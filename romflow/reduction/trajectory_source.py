"""The states of stored trajectories as the columns of one matrix, weighted by their time steps, read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct

__all__ = ["TrajectorySource", "time_weights"]


def time_weights(times: np.ndarray) -> np.ndarray:
    """(K + 1,) with sum_k w_k^2 ||u(t_k)||^2 the squared norm in L2(0, T; X); the first time counts as its step.

    Examples
    --------
    >>> time_weights(np.array([0.0, 1.0, 5.0]))
    array([1., 1., 2.])
    """
    steps = np.diff(times)
    return np.sqrt(np.append(steps[0], steps))


class TrajectorySource(SnapshotSource):
    """S (n, k) of all the states of some trajectories, time by time, each times the root of its time step.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    basis : (n, r) X-orthonormal, optional
        What lies in its span is taken away: S - V V^T X S.
    product : InnerProduct, optional
        X.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> U = np.arange(6.0).reshape(2, 3)
    >>> line = SimpleNamespace(n=2, times=np.array([0.0, 1.0, 2.0]), columns=lambda part: U[:, part])
    >>> TrajectorySource([line, line]).columns(slice(2, 4))
    array([[2., 0.],
           [5., 3.]])
    """

    by_rows = False
    best = 64 << 20

    def __init__(self, trajectories: Sequence[Any], basis: np.ndarray | None = None,
                 product: InnerProduct | None = None) -> None:
        self._trajectories, self._V, self._product = list(trajectories), basis, product
        self._weights = [time_weights(one.times) for one in self._trajectories]
        self._starts = np.concatenate([[0], np.cumsum([len(w) for w in self._weights])])
        self.k = int(self._starts[-1])
        self.n = int(self._trajectories[0].n) if self._trajectories else 0

    def columns(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.k)
        S = np.empty((self.n, max(0, stop - start)), order="F")
        for i, one in enumerate(self._trajectories):
            first, last = max(start, int(self._starts[i])), min(stop, int(self._starts[i + 1]))
            if first < last:
                inside = slice(first - int(self._starts[i]), last - int(self._starts[i]))
                np.multiply(one.columns(inside), self._weights[i][inside], out=S[:, first - start:last - start])
        return self._outside(S)

    def _outside(self, S: np.ndarray) -> np.ndarray:
        if self._V is None or self._product is None or not self._V.shape[1]:
            return S
        return S - self._V @ self._product.gram(self._V, S)
