"""First guesses from earlier solutions: of other right-hand sides, and of other parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.dd.layout import Layout

__all__ = ["EarlierSolutions"]

_NEGLIGIBLE = 1e-12


class EarlierSolutions:
    """The guess U y with the smallest ||b - A U y|| over the span of earlier solutions U. Collective throughout.

    Products A U are kept as long as A is the same; for another A they cost one product for each solution, against an
    iteration's product, local solves and coarse solve. Directions in which A U is dependent to 1e-12 are left out.

    Parameters
    ----------
    layout : Layout
    most : int
        Solutions that are kept; the oldest leave first.
    """

    def __init__(self, layout: Layout, most: int) -> None:
        self._layout, self._most = layout, most
        self._U = np.zeros((layout.owned, 0))
        self._image: np.ndarray | None = None

    def forget_images(self) -> None:
        """The matrix is another one from now on."""
        self._image = None

    def add(self, X: np.ndarray, A: Any = None) -> None:
        """Keep solutions (owned, j), each at unit length; zero ones are of no use.

        With the matrix A of the kept products only those of the new solutions are made.
        """
        norms = self._layout.norm(X)
        fresh = X[:, norms > 0.0] / norms[norms > 0.0]
        self._U = np.concatenate([self._U, fresh], axis=1)[:, -self._most:]
        if self._image is not None:
            new = None if A is None else np.concatenate([self._image, A @ fresh], axis=1)[:, -self._most:]
            self._image = new

    def guess(self, A: Any, B: np.ndarray) -> np.ndarray:
        """U y (owned, j) for the right-hand sides B (owned, j); zero where nothing is kept."""
        if self._U.shape[1] == 0:
            return np.zeros_like(B)
        if self._image is None:
            self._image = A @ self._U
        W = self._image
        both = np.concatenate([W, B], axis=1)
        k = W.shape[1]
        inner = self._layout.sums(np.stack([both[part].T @ both[part] for part in self._layout.part_slices]))
        scale = 1.0 / np.sqrt(np.maximum(np.diag(inner)[:k], np.finfo(float).tiny))
        values, vectors = sl.eigh(scale[:, None] * inner[:k, :k] * scale)
        kept = values > _NEGLIGIBLE * values[-1]
        basis = scale[:, None] * vectors[:, kept]
        y = basis @ ((basis.T @ inner[:k, k:]) / values[kept, None])
        return np.asarray(self._U @ y)
