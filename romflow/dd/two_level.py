"""The two levels together: A-DEF2, and a start whose residual the coarse space does not see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from romflow.dd.coarse import CoarseSpace

__all__ = ["TwoLevel"]


class TwoLevel:
    """z = M r + Q (r - A M r): the adapted deflation A-DEF2 of Tang, Nabben, Vuik and Erlangga (2009), Table 1.

    With Q = Z E^{-1} Z^T it is the operator (I - Q A) M + Q; it is as robust as balancing against rounding, at the cost
    of one product with A and one coarse solve beside M.

    Parameters
    ----------
    A : operator
    one_level : callable
        M: R (owned, j) -> (owned, j).
    coarse : CoarseSpace or None
    """

    def __init__(self, A: Any, one_level: Callable[[np.ndarray], np.ndarray], coarse: CoarseSpace | None) -> None:
        self._A, self._M, self._Q = A, one_level, coarse

    def __call__(self, R: np.ndarray) -> np.ndarray:
        """z (owned, j) for r (owned, j)."""
        Z = self._M(R)
        return Z if self._Q is None else Z + self._Q(R - self._A @ Z)

    def start(self, B: np.ndarray, X: np.ndarray) -> np.ndarray:
        """X + Q (B - A X): conjugate gradients need a first residual with Z^T r = 0 (ibid., Theorem 3.4)."""
        return X if self._Q is None else X + self._Q(B - self._A @ X)
